"""Programs that measure: ``python -m benchmarks`` for speed and memory beside the peers, ``python -m benchmarks.coverage`` for models."""
