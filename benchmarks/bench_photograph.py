"""How long one photograph takes: EfficientNet-Lite0 at 224 x 224, xaicore beside torch, captum and zennit, on one thread.

    python benchmarks/bench_photograph.py [--dtype float32] [--rounds 5] [--profile METHOD]

Ours and theirs take turns (A B A B ...), after one run of each that does not count and gives the values that are
compared. Figures are medians of CPU seconds, which whatever else runs on the machine disturbs least, though it does;
the ratio is the median over the rounds, whose two halves were disturbed alike. Peers that are not installed are left
out (zennit needs torchvision to be imported). The last table stands in README.md.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"    # read when NumPy loads

import argparse
import copy
import statistics
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
import xaicore as xc
from docs import photograph

TARGET, STEPS = 285, 8                                                   # Egyptian cat
Run = Callable[[], Any]
OURS: dict[str, dict[str, Any]] = {
    "gradient": {}, "guided_backprop": {}, "lrp.epsilon_plus": {}, "deeplift.rescale": {}, "integrated_gradients": {"steps": STEPS},
    "grad_cam": {},
}


# ----- peers: (method, name, a function that makes the run) ------------------------------------------------------------


def by_torch(net: Any, x: Any) -> Iterator[tuple[str, str, Run]]:
    def gradient(module: Any = net) -> Any:
        leaf = x.clone().requires_grad_()
        module(leaf)[0, TARGET].backward()
        return leaf.grad.numpy()

    guided = copy.deepcopy(net)
    for module in guided.modules():
        if isinstance(module, torch.nn.ReLU6):
            module.register_full_backward_hook(lambda _, passed, arrived: (passed[0].clamp(min=0),))

    def forward() -> Any:
        with torch.no_grad():
            return net(x).numpy()

    yield "forward", "torch", forward
    yield "gradient", "torch", gradient
    yield "guided_backprop", "torch, hooks on ReLU6", lambda: gradient(guided)


def by_captum(net: Any, x: Any) -> Iterator[tuple[str, str, Run]]:
    from captum.attr import DeepLift, GuidedBackprop, IntegratedGradients, LayerAttribution, LayerGradCam

    def cam() -> Any:
        found = LayerGradCam(net, net._avg_pooling).attribute(x, TARGET, attribute_to_layer_input=True, relu_attributions=True)
        return LayerAttribution.interpolate(found, x.shape[2:], "bilinear").detach().numpy()

    def integrated() -> Any:
        return IntegratedGradients(net).attribute(x, target=TARGET, n_steps=STEPS, internal_batch_size=STEPS).detach().numpy()

    def plain(kind: Any) -> Run:
        return lambda: kind(net).attribute(x.clone().requires_grad_(), target=TARGET).detach().numpy()

    yield "guided_backprop", "captum", plain(GuidedBackprop)
    yield "deeplift.rescale", "captum", plain(DeepLift)
    yield "integrated_gradients", "captum", integrated
    yield "grad_cam", "captum", cam


def by_zennit(net: Any, x: Any) -> Iterator[tuple[str, str, Run]]:
    from zennit.attribution import Gradient
    from zennit.composites import EpsilonPlus

    one_hot = torch.nn.functional.one_hot(torch.tensor([TARGET]), 1000)
    changed = for_zennit(net)

    def relevance() -> Any:
        with Gradient(changed, EpsilonPlus()) as attributor:
            return attributor(x.clone(), lambda logits: one_hot * logits)[1].detach().numpy()

    yield "lrp.epsilon_plus", "zennit", relevance


def for_zennit(net: Any) -> Any:
    """The same function made of what zennit sees: no BatchNorm, and every skip connection a module of its own."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval
    from zennit.layer import Sum

    def fuse(module: Any, conv: str, norm: str) -> None:
        if hasattr(module, conv):
            setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
            setattr(module, norm, torch.nn.Identity())

    def forward(block: Any, inputs: Any, drop_connect_rate: float | None = None) -> Any:
        y = block._swish(block._expand_conv(inputs)) if hasattr(block, "_expand_conv") else inputs
        y = block._project_conv(block._swish(block._depthwise_conv(y)))
        return block._sum(torch.stack([y, inputs], dim=-1)) if block.id_skip and y.shape == inputs.shape else y

    changed = copy.deepcopy(net)
    fuse(changed, "_conv_stem", "_bn0")
    fuse(changed, "_conv_head", "_bn1")
    for block in changed._blocks:
        for conv, norm in (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")):
            fuse(block, conv, norm)
        block._sum = Sum()
        block.forward = types.MethodType(forward, block)
    return changed


# ----- measuring ------------------------------------------------------------------------------------------------------


def seconds(run: Run) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def compared(ours: Run, theirs: Run, rounds: int) -> tuple[float, float, float, float]:
    """(our seconds, theirs, ours in units of theirs, largest difference of the values in units of the largest)."""
    a, b = ours(), theirs()
    times = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    mine, other = (statistics.median(column) for column in zip(*times, strict=True))
    return mine, other, statistics.median(m / o for m, o in times), float(abs(a - b).max() / abs(b).max())


def peers(net: Any, x: Any) -> Iterator[tuple[str, str, Run]]:
    for make in (by_torch, by_captum, by_zennit):
        try:
            yield from make(net, x)
        except ImportError as error:
            print(f"{make.__name__} is left out: {error}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description="seconds per method on one photograph")
    parser.add_argument("--dtype", choices=("float32", "float64"), action="append", help="default: both")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", metavar="METHOD", help="print where this method of ours spends its time, and nothing else")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")                                      # the peers' own
    x = photograph.pixels([photograph.shipped("chelsea")])
    net = photograph.network()
    wide = photograph.through_torch(net, x)
    if args.profile:
        profile(wide, x, args.profile)
        return
    print("| dtype | method | ours, s | peer | peer, s | ours / peer | largest difference |\n|---|---|---:|---|---:|---:|---:|")
    for dtype in args.dtype or ("float32", "float64"):
        graph = wide.astype(dtype)
        module = copy.deepcopy(net).to(getattr(torch, dtype))
        data = x.astype(dtype)
        runs: dict[str, Run] = {"forward": lambda graph=graph, data=data: graph(data)}
        for name, settings in OURS.items():
            runs[name] = lambda name=name, s=settings, g=graph, d=data: np.asarray(xc.explain(g, d, name, TARGET, keep="inputs", **s))
        for name, peer, theirs in peers(module, torch.from_numpy(data.copy())):
            try:
                mine, other, ratio, difference = compared(runs[name], theirs, args.rounds)
            except (AssertionError, RuntimeError) as error:              # how captum refuses a model
                print(f"| {dtype} | {name} | {statistics.median(seconds(runs[name]) for _ in range(args.rounds)):.2f} | {peer} | "
                      f"refuses: {str(error).splitlines()[0]:.60} | | |")
                continue
            print(f"| {dtype} | {name} | {mine:.2f} | {peer} | {other:.2f} | {ratio:.1f} | {difference:.0e} |", flush=True)


def profile(graph: xc.Graph, x: Any, name: str) -> None:
    import cProfile
    import pstats

    def run() -> Any:
        return xc.explain(graph, x, name, TARGET, keep="inputs", **OURS[name])

    run()
    profiler = cProfile.Profile(time.process_time)
    profiler.runcall(run)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(20)


if __name__ == "__main__":
    main()
