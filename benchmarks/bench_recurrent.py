"""Seconds per method on a recurrent layer of 140 time steps and 256 units (the size of reactionrnn), forward and gradient beside torch.

    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/bench_recurrent.py

One sample, float64, CPU seconds, the median of 3. LRP, DeepLIFT and guided backpropagation unroll the layer into some 2,500 nodes
first, which is counted in. The last column is |f - ΣR| (f(x) - f(0) for methods with a baseline) over the largest entry; with biases that
absorb, that is what they absorbed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

import xaicore as xc
from xaicore.graph import Builder, Graph
from xaicore.ops import GRU, LSTM, RNN, Dense, Op, Slice, Squeeze

T, X, H = 140, 100, 256
METHODS = (
    ("gradient", {}), ("guided_backprop", {}), ("lrp.epsilon", {}), ("lrp.zero", {"bias": "ignore"}), ("lrp.epsilon_plus_flat", {}),
    ("deeplift.rescale", {}), ("deeplift.reveal_cancel", {}), ("integrated_gradients", {"steps": 32}),
)


def network(op: Op, gates: int) -> Graph:
    """The layer, read at its last step by five outputs."""
    rng = np.random.default_rng(0)
    b = Builder(type(op).__name__)
    shapes = {"w": (gates * H, X), "u": (gates * H, H), "b": (gates * H,), "c": (gates * H,)}
    h = b.add(op, b.input("x", (None, T, X)), *(b.param(k, rng.normal(size=s) / 16) for k, s in shapes.items()), name="rnn")
    last = b.add(Squeeze((1,)), b.add(Slice(1, -1), h))
    return b.build(b.add(Dense(), last, b.param("v", rng.normal(size=(5, H))), name="fc"))


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds, the median of three."""
    found = []
    for _ in range(3):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return float(np.median(found))


def beside_torch(kind: str, graph: Graph, x: np.ndarray) -> str:
    """Forward and gradient of torch's own layer with the same weights."""
    import torch

    torch.set_num_threads(1)
    layer = getattr(torch.nn, kind)(X, H, batch_first=True).double()
    for p, name in zip(layer.parameters(), "wubc"):
        p.data = torch.from_numpy(graph.params[name].copy())
    v, t = torch.from_numpy(graph.params["v"].copy()), torch.from_numpy(x).requires_grad_()

    def output() -> torch.Tensor:
        return layer(t)[0][:, -1] @ v.T

    def gradient() -> None:
        output()[0, 0].backward()

    gap = np.abs(graph(x) - output().detach().numpy()).max()
    return f"torch: forward {seconds(output):.3f} s, with gradient {seconds(gradient):.3f} s; largest difference of outputs {gap:.0e}"


def main() -> None:
    x = np.random.default_rng(1).normal(size=(1, T, X))
    for op, gates in ((RNN(), 1), (GRU(), 3), (LSTM(), 4)):
        graph = network(op, gates)
        print(f"{op}: forward {seconds(lambda: graph(x)):.3f} s   {beside_torch(graph.name, graph, x)}")  # noqa: B023
        for method, settings in METHODS:
            a = xc.explain(graph, x, method, target=0, **settings)
            wanted = a.output if a.baseline_output is None else a.output - a.baseline_output
            gap = np.abs(a.total() - wanted).max() / np.abs(np.asarray(a)).max()
            spent = seconds(lambda: xc.explain(graph, x, method, target=0, **settings))  # noqa: B023
            print(f"  {method:24} {spent:6.2f} s   {gap:8.1e}")


if __name__ == "__main__":
    main()
