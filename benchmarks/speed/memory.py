"""python -m benchmarks.speed.memory NETWORK exact|fast|zennit: bytes of peak resident memory that two calls add, in a fresh process."""

from __future__ import annotations

import resource
import sys
import warnings


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

    before = peak()
    run()
    run()
    print(peak() - before)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
