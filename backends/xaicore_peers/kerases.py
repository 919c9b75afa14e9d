"""What the peers on Keras share: images are (N, C, H, W) outside and have their channels last inside, as Keras's layers want them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xaicore.graph import Builder, Graph
from xaicore.ops import Transpose
from xaicore_peers.protocol import Array, targets


def channels_last(graph: Graph) -> Graph:
    """The graph with its one input, if that is an image, fed channels last: what emits to a Keras model of its usual form."""
    (name, spec), *others = graph.inputs.items()
    if others or len(spec.shape) != 4:
        return graph
    n, c, h, w = spec.shape
    b = Builder(graph.name)
    first = b.add(Transpose((0, 3, 1, 2)), b.input(name, (n, h, w, c)), name=f"{name}_channels_first")
    values = {name: first, **{k: b.param(k, v) for k, v in graph.params.items()}}
    for node in graph.nodes:
        values[node.name] = b.add(node.op, *(values[i] for i in node.inputs), name=node.name, layer=node.layer, origin=node.origin)
    return b.build(*(values[o] for o in graph.outputs))


def images(explain: Callable[..., Array]) -> Callable[..., Array]:
    """An explainer of channels-last images as one of (N, C, H, W); a map without channels gets one."""
    def around(model: Any, x: Array, target: Any, baseline: Any, **settings: Any) -> Array:
        inner = np.moveaxis(x, 1, -1) if x.ndim == 4 else x
        found = np.asarray(explain(model, inner, target, baseline, **settings))
        if x.ndim == 4:
            return np.moveaxis(found, -1, 1) if found.ndim == 4 else found[:, None]
        return found

    around.__wrapped__ = explain  # type: ignore[attr-defined]         # inspect.signature reads the settings there
    return around


def score(target: Any, n: int) -> Any:
    """A score for tf-keras-vis: the target's output of each sample."""
    chosen = targets(0 if target is None else target, n)
    return lambda output: [output[k, int(t)] for k, t in enumerate(chosen)]


def one_hot(model: Any, target: Any, n: int) -> Array:
    """Targets as xplique takes them: a row of 0 and one 1 for each sample."""
    return np.asarray(np.eye(int(model.output_shape[-1]), dtype=np.float32)[targets(0 if target is None else target, n)])
