"""How the tests of the Keras backend compare a converted model with Keras: values and gradients, in float64.

Keras runs on torch. It computes much of a float64 model in float32 (its rule of promotion takes 64 bits back to 32); the fixture
``double`` suspends that rule, so that values are compared to 1e-9 instead of 1e-4.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from xaicore.graph.graph import Graph

os.environ.setdefault("KERAS_BACKEND", "torch")
torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")
if keras.backend.backend() != "torch":
    pytest.skip("these tests take gradients of Keras through torch: set KERAS_BACKEND=torch", allow_module_level=True)

from xaicore_keras import to_graph  # noqa: E402

from tests.backends.common import input_gradients  # noqa: E402

MARKS = [
    pytest.mark.usefixtures("double"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),     # Keras on torch and NumPy 2
    pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask attached:UserWarning"),     # Keras, of a nested model
]


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keras in float64 throughout."""
    from keras.src.backend.common import dtypes

    before = keras.config.floatx(), keras.config.dtype_policy()
    monkeypatch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


def redraw(model: Any, seed: int = 0) -> Any:
    """Every weight anew, so that none is at a value (0, 1) that would hide a mistake; variances and scales stay positive."""
    rng = np.random.default_rng(seed)
    for w in model.weights:
        if "seed" not in w.path:
            x = rng.normal(0, 0.5, w.shape)
            w.assign(torch.tensor(np.abs(x) + 0.5 if "variance" in w.path or "gamma" in w.path else x))
    return model


def example_for(model: Any, batch: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    shapes = [(batch, *(n or 6 for n in t.shape[1:])) for t in model.inputs]
    return tuple(rng.normal(size=s) if "float" in t.dtype else rng.integers(0, 4, s) for t, s in zip(model.inputs, shapes))


def run_keras(model: Any, xs: tuple[Any, ...]) -> list[Any]:
    packed = keras.tree.pack_sequence_as(model.input, list(xs)) if hasattr(model, "input") else xs[0]
    return keras.tree.flatten(model(packed, training=False))


def outputs(graph: Graph, xs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    y = graph(xs if len(xs) > 1 else xs[0])
    return y if isinstance(y, tuple) else (y,)


def close(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> None:
    """Largest difference over the largest value."""
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= tolerance * max(float(np.abs(theirs).max()), 1e-6)


def agree(model: Any, xs: tuple[np.ndarray, ...] | None = None, values: float = 1e-9, gradients: float = 1e-8, **to: Any) -> Graph:
    """Converts a model and compares outputs and input gradients with Keras on torch.

    1e-9 and 1e-8: float64 rounding through a few layers is below 1e-13, and torch computes one constant in float32 (see below).
    """
    xs = example_for(model) if xs is None else xs
    graph = to_graph(model, xs, **to)
    tensors = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in xs]
    theirs = run_keras(model, tuple(tensors))
    ours = outputs(graph, xs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        close(a, b.detach().numpy(), values)
    rng = np.random.default_rng(2)
    seeds = [rng.normal(size=y.shape) for y in ours]
    total = sum((y * torch.tensor(s)).sum() for y, s in zip(theirs, seeds))
    if total.requires_grad and any(t.requires_grad for t in tensors):
        total.backward()
        found = input_gradients(graph, xs if len(xs) > 1 else xs[0], seeds)
        wanted = [t for t in tensors if t.requires_grad]
        for (_, g), t in zip(found.items(), wanted, strict=True):
            close(g, np.zeros(g.shape) if t.grad is None else t.grad.numpy(), gradients)
    return graph


def small_cnn() -> Any:
    x = keras.Input((8, 8, 3), name="photo")
    h = keras.layers.Conv2D(4, 3, padding="same", strides=2, activation="relu", name="first")(x)
    h = keras.layers.BatchNormalization(name="norm")(h)
    h = keras.layers.Add(name="sum")([h, keras.layers.Conv2D(4, 1, name="side", activation="silu")(h)])
    h = keras.layers.MaxPooling2D(name="pool")(h)
    return keras.Model(x, keras.layers.Dense(3, activation="softmax", name="head")(keras.layers.Flatten(name="flat")(h)), name="small")
