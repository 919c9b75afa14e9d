"""python -m benchmarks.speed.memory NETWORK exact|fast|zennit: bytes of peak resident memory that two calls add, in a fresh process."""

from __future__ import annotations

import ctypes
import gc
import sys
import warnings
from pathlib import Path


def main() -> None:
    warnings.simplefilter("ignore")
    import torch

    from benchmarks.speed.networks import inputs, network
    from benchmarks.speed.rows import explained, zennit

    torch.set_num_threads(1)
    name, side = sys.argv[1:]
    model, x = network(name), inputs(name, 1)
    if side == "zennit":
        run = zennit("EpsilonPlus", "ZPlus")(model, x)
    else:
        import xaicore as xc

        graph = xc.from_model(model, (x,), verify=False).astype("float32")
        del model
        data, ours = x.numpy(), explained("lrp.epsilon_plus")

        def run() -> object:
            return ours(graph, data, side)

    before = forgotten()
    run()
    run()
    print(kilobytes("VmHWM") * 1024 - before)


def forgotten() -> int:
    """Bytes that are resident, once what was freed is given back; from here on the peak counts anew, so that no conversion hides it."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return kilobytes("VmRSS") * 1024


def kilobytes(field: str) -> int:
    """A line of what Linux says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


if __name__ == "__main__":
    main()
