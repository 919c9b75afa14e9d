"""What a Keras model is, as data: calls, settings and weights. A live model (live.py) and a file (stored.py) give the same record.

Nothing here, nor in the files that convert a record (convert, lower*, activations), imports Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from xaicore.numerics import Array

Key = Hashable
"""What a tensor is known by: the call that makes it, and which of its outputs it is."""


@dataclass(frozen=True)
class Ref:
    """A symbolic tensor among the arguments of a call."""

    key: Key


@dataclass(frozen=True)
class Function:
    """An activation function of Keras by its name, with the settings that were bound to it."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Weight:
    """One array of a layer: its shape, and how to get it."""

    shape: tuple[int, ...]
    read: Callable[[], Array]

    @property
    def ndim(self) -> int:
        return len(self.shape)


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer or operation. ``op.strides`` is a setting, ``op.kernel`` a weight, ``op.layer`` a layer inside it.

    ``kind`` is "keras.layers.Conv2D", "keras.ops.Add": its key in the table. ``net`` is the graph of calls of a nested model,
    ``arrays`` gives its saved arrays by group (weights.py),
    ``live`` the object that this was made of, if any.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    weights: Mapping[str, Weight] = field(default_factory=dict)
    parts: Mapping[str, Layer] = field(default_factory=dict)
    arrays: Callable[[str], Sequence[Weight]] = lambda group: ()
    net: Net | None = None
    live: Any = None

    def __getattr__(self, key: str) -> Any:
        for where in (self.weights, self.parts, self.config):
            if key in where:
                return where[key]
        raise AttributeError(f"{self.kind} {self.name!r} has no setting and no weight {key!r}")

    @property
    def is_layer(self) -> bool:
        """A layer or a model, not an operation of keras.ops."""
        return not self.kind.startswith(("keras.ops.", "keras.activations."))

    @property
    def policy(self) -> str:
        """The name of the layer's dtype policy: "float32", "mixed_float16", "int8_from_float32"."""
        given = self.config.get("dtype")
        while isinstance(given, Mapping):
            config, kind = given.get("config"), given.get("class_name")
            given = config.get("name", kind) if isinstance(config, Mapping) else kind
        return given if isinstance(given, str) else "float32"


@dataclass(frozen=True, eq=False)
class Step:
    """One call of a layer or operation. Its outputs are the tensors (where, 0), (where, 1), ..."""

    layer: Layer
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    where: Key

    @property
    def reads(self) -> list[Key]:
        return [x.key for x in flat((self.args, dict(self.kwargs))) if isinstance(x, Ref)]


@dataclass(frozen=True)
class Input:
    """One input of a model: the tensor, its name, its shape with None for what is free, and its dtype."""

    key: Key
    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class Net:
    """The graph of calls of a Functional or Sequential model: the calls on which the outputs depend, each after what it reads."""

    name: str
    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Key, ...]


@dataclass(frozen=True)
class Settings:
    """What a layer leaves to Keras's global configuration. A file does not say it, so there it is what Keras starts with."""

    epsilon: float = 1e-7
    data_format: str = "channels_last"
    backend: str = ""


def arranged(outputs: Sequence[Key], given: Sequence[Key], maker: Callable[[Key], Step]) -> tuple[Step, ...]:
    """The calls on which ``outputs`` depend, each after those that it reads. ``maker`` finds the call that makes a tensor."""
    known, done = set(given), set[Key]()
    order: list[Step] = []
    stack = [maker(key) for key in reversed(outputs) if key not in known]
    open_calls = set[Key]()
    while stack:
        step = stack[-1]
        if step.where in done:
            stack.pop()
            continue
        waiting = [one for one in (maker(key) for key in step.reads if key not in known) if one.where not in done]
        if waiting and step.where in open_calls:
            raise ValueError(f"{step.layer.kind} {step.layer.name!r} reads, by way of other calls, what it makes; a model has no cycles")
        if waiting:
            open_calls.add(step.where)
            stack.extend(reversed(waiting))
            continue
        stack.pop()
        done.add(step.where)
        order.append(step)
    return tuple(order)


def chain(name: str, first: Input, layers: Sequence[Layer]) -> Net:
    """A model in which each layer is called on what the one before it makes."""
    steps, key = [], first.key
    for layer in layers:
        steps.append(Step(layer, (Ref(key),), {}, (layer.name, 0)))
        key = (layer.name, 0), 0
    return Net(name, (first,), tuple(steps), (key,))


# ----- structures and numbers -----------------------------------------------------------------------------------------


def flat(structure: Any) -> list[Any]:
    """The leaves of nested tuples, lists and dicts; a dict's in the order of its keys, as Keras takes them."""
    return list(_leaves(structure))


def _leaves(structure: Any) -> Iterator[Any]:
    if isinstance(structure, Mapping):
        structure = [structure[k] for k in sorted(structure)]
    if isinstance(structure, (list, tuple)):
        for one in structure:
            yield from _leaves(one)
    else:
        yield structure


def mapped(change: Callable[[Any], Any], structure: Any) -> Any:
    """The same structure with other leaves."""
    if isinstance(structure, Mapping):
        return {k: mapped(change, v) for k, v in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)([mapped(change, v) for v in structure])
    return change(structure)


def numpy_of(x: Any) -> Array:
    """The array of a number, a weight, or a tensor or variable of whatever framework Keras runs on."""
    if isinstance(x, Weight):
        return x.read()
    x = getattr(x, "value", x)                                          # a variable's tensor
    if hasattr(x, "detach"):        # torch: without the detour that NumPy 2 warns about
        x = x.detach().cpu().numpy()
    return np.asarray(x)


def kind_of_number(dtype: str) -> Literal["float", "int", "bool"]:
    return "float" if "float" in dtype else "bool" if dtype == "bool" else "int"


def kind_in(module: str, name: str) -> str:
    """"keras.layers.Conv2D", "keras.ops.Add": the key in the table for a class; one of your own keeps its module."""
    for inside in ("layers", "ops", "models", "activations", "applications"):
        if module == f"keras.{inside}" or module.startswith((f"keras.src.{inside}.", f"keras.{inside}.")):
            return f"keras.{inside}.{ALIASES.get(name, name)}"
    return f"{module}.{name}"


ALIASES = {"GroupQueryAttention": "GroupedQueryAttention"}
"""Layers whose name in ``keras.layers``, which a file gives, is not that of their class."""
