"""What Keras has recorded of a model, and its arrays as NumPy's: all that this package knows of the inside of Keras."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Literal

import keras
import numpy as np

from xaicore.numerics import Array


def calls(model: Any) -> list[Any]:
    """The recorded calls that the outputs depend on, each after those that it reads."""

    def maker(tensor: Any) -> Any:
        operation, index, _ = tensor._keras_history
        return operation._inbound_nodes[index]

    given = {id(t) for t in model.inputs}
    order: list[Any] = []
    done: set[int] = set()
    stack = [maker(t) for t in reversed(model.outputs) if id(t) not in given]
    while stack:
        node = stack[-1]
        needs = [maker(t) for t in node.input_tensors if id(t) not in given]
        waiting = [n for n in needs if id(n) not in done]
        if id(node) not in done and waiting:
            stack.extend(reversed(waiting))
            continue
        stack.pop()
        if id(node) not in done:
            done.add(id(node))
            order.append(node)
    return order


def functional_of(op: Any) -> Any:
    """The graph of calls of a Functional or built Sequential model; None for all else, also where ``call`` is overridden."""
    if not isinstance(op, (keras.Model, keras.Function)):
        return None
    home = type(op).call.__module__
    if home == "keras.src.models.sequential":
        return op._functional
    return op if home in ("keras.src.models.functional", "keras.src.ops.function") else None


def kind_of(op: Any) -> str:
    """"keras.layers.Conv2D", "keras.ops.Add": the key of an operation in the table; a user's class keeps its own module."""
    module, name = type(op).__module__, type(op).__qualname__
    for inside in ("layers", "ops", "models", "activations", "applications"):
        if module.startswith(f"keras.src.{inside}."):
            return f"keras.{inside}.{name}"
    return f"{module}.{name}"


def is_layer(op: Any) -> bool:
    return isinstance(op, keras.Layer)


def is_variable(x: Any) -> bool:
    return isinstance(x, keras.Variable)


def numpy_of(x: Any) -> Array:
    """A NumPy array of a Keras variable, a backend tensor or a number."""
    x = x.value if is_variable(x) else x
    if hasattr(x, "detach"):        # torch: without the detour that NumPy 2 warns about
        return np.asarray(x.detach().cpu().numpy())
    return np.asarray(keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else x)


def flat(structure: Any) -> list[Any]:
    return list(keras.tree.flatten(structure))


def kind_of_number(dtype: str) -> Literal["float", "int", "bool"]:
    return "float" if "float" in dtype else "bool" if dtype == "bool" else "int"


def no_gradient() -> Any:
    """The context in which the framework runs without recording for its own gradient."""
    if keras.backend.backend() == "torch":
        import torch

        return torch.no_grad()
    return nullcontext()
