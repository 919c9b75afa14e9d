"""atheris over one reader: python -m tests.fuzz.run m.onnx [seconds] [corpus folder]. A crash is anything but an XaicoreError; ten seconds are a hang.

Needs ``pip install atheris``. A crash file is read again with  python -m tests.fuzz.run m.onnx FILE
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from pathlib import Path


def main() -> None:
    import atheris

    name, *rest = sys.argv[1:]
    with atheris.instrument_imports(include=["xaicore", "xaicore_onnx", "xaicore_keras", "zipfile", "json"], enable_loader_override=False):
        import xaicore_onnx  # noqa: F401

        import xaicore.cli.inputs
        import xaicore.cli.stored
        import xaicore.oracle.numbers
        import xaicore.oracle.vectors
        import xaicore.plugins  # noqa: F401
        from tests.fuzz.targets import TARGETS, tried

    target = TARGETS[name]
    folder = Path(tempfile.mkdtemp(prefix="xaicore-fuzz-"))
    warnings.simplefilter("ignore")
    if rest and Path(rest[0]).is_file():
        print(tried(target, Path(rest[0]).read_bytes(), folder) or "read")
        return
    corpus = Path(rest[1]) if len(rest) > 1 else folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for k, seed in enumerate(target.seeds()):
        (corpus / f"seed{k}").write_bytes(seed)
    limits = [f"-max_total_time={rest[0] if rest else 30}", "-timeout=10", "-rss_limit_mb=3000", "-max_len=20000", "-print_final_stats=1",
              f"-artifact_prefix={corpus}/", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], lambda data: tried(target, data, folder) and None)
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
