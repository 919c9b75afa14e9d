"""python -m benchmarks: speed beside the peers, row by row, with the agreement of the numbers in the same run."""

from __future__ import annotations

import argparse
import fnmatch
import os
import subprocess
import sys

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"                                                # before NumPy and torch are loaded

KERNELS = ("", "SkylakeX", "Zen", "Haswell")
"""Of OpenBLAS. The first is its own choice, which on some processors is not the fastest that they can run."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small networks: two minutes; without the peers that are not there")
    parser.add_argument("--rows", default="*", help="a pattern of row names, such as 'lrp.*'")
    parser.add_argument("--networks", default="*", help="a pattern of networks, such as 'VGG*'")
    parser.add_argument("--peers", default="*", help="a pattern of peers, such as 'zennit*'")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--speed", choices=("exact", "fast", "both"), default="both")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kernel", choices=KERNELS, help="of OpenBLAS; default: the one that multiplies fastest here, by a trial")
    parser.add_argument("--memory", action="store_true", help="peak resident memory of both sides, a fresh process for each")
    parser.add_argument("--scaling", action="store_true", help="with batch, size of the image, depth and number of methods")
    parser.add_argument("--write", action="store_true", help="keep results, and write docs/performance.md from all that are kept")
    parser.add_argument("--resume", action="store_true", help="leave out rows that are kept for the sources as they are")
    args = parser.parse_args()
    if "OPENBLAS_CORETYPE" not in os.environ and "XAICORE_BENCH" not in os.environ:
        kernel = args.kernel if args.kernel is not None else max(KERNELS, key=_speed_of)
        own = {**os.environ, "XAICORE_BENCH": "1", **({"OPENBLAS_CORETYPE": kernel} if kernel else {})}
        return subprocess.run([sys.executable, "-m", "benchmarks", *sys.argv[1:]], env=own, check=False).returncode
    from benchmarks.speed.report import run

    return run(args, lambda text, pattern: fnmatch.fnmatch(text.lower(), pattern.lower()))


def _speed_of(kernel: str) -> float:
    """Operations a second of one matrix product with this kernel, in a process of its own."""
    code = ("import numpy as np, time\na = np.ones((512, 2048), 'f'); b = np.ones((2048, 512), 'f'); a @ b\n"
            "def once():\n t = time.process_time(); a @ b; a @ b; a @ b; return time.process_time() - t\n"
            "print(1 / min(once() for _ in range(25)))")
    environment = {**os.environ, **({"OPENBLAS_CORETYPE": kernel} if kernel else {})}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    return float(done.stdout or 0) * (1.05 if not kernel else 1)             # its own choice unless another is clearly faster


if __name__ == "__main__":
    sys.exit(main())
