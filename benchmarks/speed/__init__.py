"""Speed and memory beside the peers, on the same processor in the same run; written to docs/performance.md."""
