"""The smallest backend that keeps the contract: for the framework in chain.py. backends/README.md walks through it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.meta.chain import Chain
from xaicore.errors import BackendError, ConversionError, Unsupported
from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.graph.run import check_feeds
from xaicore.graph.verify import verify as compare
from xaicore.ops import Conv, Dense, Flatten, GlobalAvgPool, ReLU, Transpose

__all__ = ["emit", "to_graph"]


def to_graph(model: Any, example: Any = None, *, dtype: str = "float64", verify: bool = True) -> Graph:
    """The graph of a Chain. BackendError for anything else, ConversionError for a step without a counterpart, Mismatch where values differ."""
    if not isinstance(model, Chain):
        raise BackendError(f"a chain.Chain is expected, not a {type(model).__name__}")
    b = Builder("chain")
    x = b.input("x", (None, *model.shape))
    image = len(model.shape) == 3
    if image:
        b.meta["layout.x"] = "NHWC"
        x = b.add(Transpose((0, 3, 1, 2)), x, name="turned", origin="channels last")
    params: dict[str, str] = {}
    made = []
    for name, kind in model.steps:
        origin = f"chain.{kind}"
        if kind == "dense":
            for k in ("w", "b"):
                value = model.weights[f"{name}.{k}"]
                if f"{name}.{k}" not in params:
                    params[f"{name}.{k}"] = b.param(f"{name}.{k}", kernel(value) if image else value)
            op = Conv() if image else Dense()
            x = b.add(op, x, params[f"{name}.w"], params[f"{name}.b"], name=name, layer=name, origin=origin)
        elif kind == "relu":
            x = b.add(ReLU(), x, name=name, layer=name, origin=origin)
        elif kind == "mean":
            x = b.add(Flatten(), b.add(GlobalAvgPool(), x, name=f"{name}.all", layer=name, origin=origin), name=name, layer=name, origin=origin)
            image = False
        else:
            raise ConversionError(f"step {name!r}: the operator {kind!r} has no counterpart; write it with dense, relu and mean")
        made.append((x, image))
    graph = b.build(x)
    if verify:
        fed = check_feeds(graph, np.ones((2, *model.shape)) if example is None else example)
        values = model.values(fed["x"])[1:]
        compare(graph, fed, {n: np.moveaxis(v, -1, 1) if turned else v for (n, turned), v in zip(made, values)}, "chain")
    return graph.astype(dtype)


def kernel(w: np.ndarray) -> np.ndarray:
    """A matrix as the kernel of a convolution with windows of one pixel; a bias as it is."""
    return w[:, :, None, None] if w.ndim == 2 else w


def emit(graph: Graph) -> Chain:
    """The way back. Unsupported for all but Dense and ReLU."""
    steps = []
    for node in graph.nodes:
        if not isinstance(node.op, (Dense, ReLU)):
            raise Unsupported(f"node {node.name!r}: a chain has no {node.op}")
        steps.append((node.layer, type(node.op).__name__.lower()))
    return Chain(steps, [n or 1 for n in graph.inputs["x"].shape[1:]], {k: np.array(v) for k, v in graph.params.items()})
