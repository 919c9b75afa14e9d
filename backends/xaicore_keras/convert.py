"""From the record of a Keras model to the Builder's calls: the walk, what a tensor has become, and where its channels stand.

Keras records every call of a layer or a ``keras.ops`` function as a node, with the symbolic tensors that went in and came
out. ``Converter.model`` walks these nodes, hands each one as a ``Call`` to its row of the table (lower.py), and, given an
example, runs the framework alongside. What a layer means is not in here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xaicore.errors import ConversionError, FileRefused, Mismatch, XaicoreError
from xaicore.numerics import Array
from xaicore.ops import Logical, Op, ToFloat, Transpose
from xaicore_keras.masks import MASKED, PASSES_MASKS, READS_MASKS
from xaicore_keras.record import Key, Layer, Net, Ref, Settings, Step, Weight, flat, kind_of_number, mapped, numpy_of
from xaicore_keras.sized import MAX_ENTRIES, SizedBuilder
from xaicore_keras.weights import Shape, with_weights

LAYOUTS = {3: "NWC", 4: "NHWC", 5: "NDHWC"}

class FreeAxis(ConversionError):
    """A layer needs a length that the model leaves free; with an example the model is converted for the example's size."""


@dataclass(frozen=True, eq=False)
class Value:
    """What a Keras tensor has become: a value of the graph, and how the two are laid out.

    ``shape`` has Keras's order of axes. ``moved`` says that the graph's value has the channels, which are last in Keras,
    on axis 1. ``image`` is the graph input of which this is a function entry by entry, ``mask`` the boolean value (N, T)
    that Keras carries along, ``seen`` the framework's own tensor on the example.
    """

    name: str
    shape: Shape
    kind: str = "float"
    moved: bool = False
    image: str = ""
    mask: Value | None = None
    seen: Any = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    def axis(self, k: int) -> int:
        """Where the graph's value has Keras's axis ``k``."""
        k = k + self.rank if k < 0 else k
        return k if not self.moved or k == 0 else 1 if k == self.rank - 1 else k + 1

    def in_layout(self, x: Array) -> Array:
        """A Keras array as the graph has it."""
        return np.moveaxis(x, -1, 1) if self.moved else x


Lowering = Callable[["Call"], "Value | tuple[Value, ...]"]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a Keras layer or operation, to be added to the graph: what a row of the table is given.

    ``args`` and ``kwargs`` are the call's own, with a ``Value`` in place of every symbolic tensor. ``extra`` counts leading axes
    that the layer does not know of (the time axis of TimeDistributed).
    """

    to: Converter
    op: Layer
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    extra: int = 0

    # ----- what was given ---------------------------------------------------------------------------------------

    @property
    def values(self) -> list[Value]:
        """Every Value among the arguments."""
        return [v for v in flat((self.args, dict(self.kwargs))) if isinstance(v, Value)]

    @property
    def x(self) -> Value:
        """The first Value among the arguments."""
        return self.values[0]

    def arg(self, position: int, name: str, default: Any = None) -> Any:
        """An argument of the call, by position or name."""
        return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)

    def size(self, v: Value, axis: int) -> int:
        """The length of one of Keras's axes."""
        n = v.shape[axis]
        if n is None:
            raise FreeAxis(str(self.refuse(
                f"needs the length of axis {axis} of a tensor {v.shape}, which the model leaves free",
                "give an example input (from_model(model, example), load(path, example=...)); the graph is then made for its sizes",
            )))
        return n

    def within(self, n: int, what: str) -> int:
        """A number of entries that a constant is about to be made with, if it is a sound one."""
        if n > MAX_ENTRIES:
            raise FileRefused(f"layer {self.name!r} ({self.op.kind}): {what} has {n:,} entries; at most {MAX_ENTRIES:,} are allowed")
        return n

    # ----- adding to the graph ----------------------------------------------------------------------------------

    def add(self, op: Op, *inputs: Value | str, tag: str = "") -> str:
        """Adds a node that is called as the layer is, or layer/tag."""
        names = [i.name if isinstance(i, Value) else i for i in inputs]
        name = f"{self.name}/{tag}" if tag else self.name
        return self.to.b.add(op, *names, name=name, layer=self.name, origin=self.op.kind)

    def value(self, name: str, moved: bool = False) -> Value:
        """A value of the graph as an output of the call."""
        return self.to.value(name, moved)

    def map(self, op: Op, v: Value, *others: Value | str, tag: str = "") -> Value:
        """An operator that works entry by entry: layout and image stay."""
        name = self.add(op, v, *others, tag=tag)
        return replace(self.value(name, v.moved), image=v.image)

    def own(self, v: Value) -> Value:
        """The value with its axes in Keras's order."""
        return self.to.own(v)

    def moved(self, v: Value) -> Value:
        """The value with the channels, last in Keras, on axis 1."""
        return self.to.moved(v)

    def weight(self, name: str) -> Weight | None:
        """An array of the layer; None if its settings do without."""
        return self.op.weights.get(name)

    def param(self, name: str, fit: Callable[[Array], Array] | None = None, tag: str = "") -> str:
        """An array of the layer as a parameter layer/name, once for all calls; ``fit`` brings it into the operator's layout.

        Where one array is fitted in several ways, ``tag`` tells them apart.
        """
        return self.to.param(self.op.weights[name], fit, tag, f"{self.name}/{name}")

    def params(self, *names: str) -> list[str]:
        """Those of the named arrays that the layer has, as they are."""
        return [self.param(name) for name in names if name in self.op.weights]

    def constant(self, value: Any, like: Value | None = None, tag: str = "constant") -> str:
        """A number or array that is no weight; with ``like`` it is laid out so that it broadcasts against that value."""
        x = numpy_of(value)
        if x.dtype.kind in "iu" and (like is None or like.kind == "float"):
            x = x.astype(float)
        return self.to.b.constant(x if like is None else self._beside(x, like), name=f"{self.name}/{tag}")

    def _beside(self, x: Array, like: Value) -> Array:
        if x.ndim == 0:
            return x
        if x.ndim > like.rank or (x.ndim == like.rank and x.shape[0] != 1):
            raise self.refuse(
                f"combines a constant of shape {x.shape} with a tensor {like.shape}, whose axis 0 is the batch",
                "give the constant a shape that broadcasts without touching axis 0",
            )
        return like.in_layout(x.reshape((1,) * (like.rank - x.ndim) + x.shape)) if like.moved else x

    def inside(self, part: Layer) -> Call:
        """The call as one of a layer inside this one, with that layer's arrays."""
        call = replace(self, op=part, name=f"{self.name}/{part.name}")
        return replace(call, op=self.to.with_weights(call))

    def refuse(self, why: str, todo: str) -> ConversionError:
        """The error for a call that has no counterpart."""
        return ConversionError(f"{'layer' if self.op.is_layer else 'operation'} {self.name!r} ({self.op.kind}) {why}. To do: {todo}")


@dataclass(eq=False)
class Converter:
    """The state of one conversion: the Builder, the weights and layouts that exist already, the framework's values.

    ``run`` calls the framework's own layer on the framework's tensors; without it (a file) nothing is run alongside.
    """

    b: SizedBuilder
    table: Mapping[str, Lowering]
    reject: Callable[[Call], ConversionError]
    settings: Settings = field(default_factory=Settings)
    run: Callable[[Layer, Any, Any], list[Any]] | None = None
    from_file: bool = False
    expected: dict[str, Array] = field(default_factory=dict)
    layouts: dict[str, str] = field(default_factory=dict)
    _layers_with: dict[int, Layer] = field(default_factory=dict)
    _params: dict[tuple[int, str], tuple[str, Any]] = field(default_factory=dict)
    _turned: dict[tuple[str, bool], str] = field(default_factory=dict)
    _layers: dict[str, str] = field(default_factory=dict)

    # ----- the walk ---------------------------------------------------------------------------------------------

    def model(self, net: Net, inputs: Sequence[Value], path: str = "") -> list[Value]:
        """Adds all calls on which the outputs of a model depend; a nested model's under ``path``."""
        known = _Known({one.key: v for one, v in zip(net.inputs, inputs, strict=True)})
        for step in net.steps:
            known.update({(step.where, k): v for k, v in enumerate(self.call(step, known, path))})
        return [known[key] for key in net.outputs]

    def call(self, step: Step, known: Mapping[Key, Value], path: str) -> list[Value]:
        """Adds one recorded call, and runs it in the framework where its inputs were seen."""

        def here(x: Any) -> Any:
            return known[x.key] if isinstance(x, Ref) else x

        args, kwargs = mapped(here, step.args), dict(mapped(here, step.kwargs))
        if "training" in kwargs:        # what model(x, training=False) and model.predict(x) do to every call
            kwargs["training"] = False
        call = Call(self, step.layer, path + step.layer.name, args, kwargs)
        if step.layer.net is not None:
            return self.model(step.layer.net, _nested_inputs(call, step.layer.net), f"{call.name}/")
        if step.layer.kind not in self.table:
            raise self.reject(call)
        self._check(call)
        seen = self._run(call)
        made = self.lower(call)
        return [self._finish(call, v, seen[k] if seen else None) for k, v in enumerate(made)]

    def lower(self, call: Call) -> tuple[Value, ...]:
        """What the table makes of a call."""
        lowering = self.table.get(call.op.kind)
        if lowering is None:
            raise self.reject(call)
        try:
            made = lowering(replace(call, op=self.with_weights(call)))
        except (FreeAxis, FileRefused):
            raise
        except (XaicoreError, ValueError, TypeError, IndexError, KeyError, AttributeError, ArithmeticError, MemoryError) as error:
            explained = self._explained(call, error)
            if explained is error:
                raise
            raise explained from error
        return made if isinstance(made, tuple) else (made,)

    def _explained(self, call: Call, error: Exception) -> Exception:
        """What went wrong in a row of the table: lengths that only fit the example, a refusal of ours, or settings that make no sense."""
        free = [v.shape for v in call.values if None in v.shape[1:]]
        if free and not isinstance(error, ConversionError):
            return FreeAxis(str(call.refuse(
                f"does not go with a tensor {free[0]} of any length ({error})",
                "give an example input; the graph is then made for its sizes",
            )))
        if isinstance(error, ConversionError):
            return error
        shapes = ", ".join(str(v.shape) for v in call.values)
        if not self.from_file:
            return error
        return FileRefused(
            f"layer {call.name!r} ({call.op.kind}) cannot be what its settings say, on {shapes or 'no tensor'}: {type(error).__name__}: "
            f"{str(error)[:300]}. Check the model in Keras, and save it again"
        )

    def with_weights(self, call: Call) -> Layer:
        """The layer with its arrays by name, which are looked up once however often it is called."""
        if id(call.op) not in self._layers_with:
            self._layers_with[id(call.op)] = with_weights(call.op, _shapes(call), FileRefused if self.from_file else ConversionError)
        return self._layers_with[id(call.op)]

    def _check(self, call: Call) -> None:
        """Refuses calls that no row of the table could get right: masked ones, and those in reduced precision."""
        op = call.op
        if not op.is_layer:
            return
        masked = call.kwargs.get("mask") is not None or any(v.mask for v in call.values)
        if masked and op.kind in MASKED and op.kind not in READS_MASKS:
            raise call.refuse("reads a mask (of Embedding(mask_zero=True), or given to it)", "build the model without masking")
        if "float16" in op.policy or "float8" in op.policy or op.policy.startswith(("int", "gptq", "awq", "Quantized")):
            raise call.refuse(
                f"computes in {op.policy.removeprefix('mixed_')}",
                "rebuild the model with keras.config.set_dtype_policy('float32') and load its weights there",
            )

    def _run(self, call: Call) -> list[Any] | None:
        """The framework's outputs, where its inputs were seen."""
        if self.run is None or any(v.seen is None for v in call.values):
            return None

        def theirs(x: Any) -> Any:
            return x.seen if isinstance(x, Value) else x

        return self.run(call.op, mapped(theirs, call.args), mapped(theirs, dict(call.kwargs)))

    def value(self, name: str, moved: bool = False) -> Value:
        """A value of the graph, whose shape in Keras's order of axes is worked out from how it lies."""
        shape = self.b.shape(name)
        own = (shape[0], *shape[2:], shape[1]) if moved else shape
        return Value(name, own, self.b.kind(name), moved)

    def _finish(self, call: Call, v: Value, seen: Any) -> Value:
        """The output with what Keras says of it; the framework's value is noted for ``verify``."""
        self._layers[v.name] = call.name
        done = replace(v, mask=v.mask or self._mask(call), seen=seen)
        if seen is None:
            return done
        if tuple(seen.shape[:1]) != tuple(call.x.seen.shape[:1]):
            raise call.refuse(f"makes {tuple(seen.shape)} of {tuple(call.x.seen.shape)}", "keep axis 0, the batch, as it is")
        theirs = numpy_of(seen)
        own = self.b.shape(v.name)
        if len(own) != theirs.ndim or any(n is not None and n != have for n, have in zip(own[1:], done.in_layout(theirs).shape[1:])):
            node = self.b.last(v.name)
            raise Mismatch(f"node {v.name!r} ({node.op}; layer {node.layer}; from {node.origin}): keras gives shape "
                           f"{tuple(seen.shape)}, the graph {own}; please report this model")
        if done.kind == "float":
            self.expected[v.name] = done.in_layout(theirs)
        return done

    def _mask(self, call: Call) -> Value | None:
        """The mask that Keras hands on from the inputs, for layers that have no rule of their own for it."""
        op, masks = call.op, [v.mask for v in call.values]
        if op.kind not in PASSES_MASKS or not masks or not all(masks):
            return None
        distinct = {m.name: m for m in masks if m}
        if len(distinct) > 1:       # layers that merge keep a step that any of their inputs keeps
            first, *rest = distinct
            for other in rest:
                first = self.b.add(Logical("or"), first, other, name=f"{call.name}/mask", layer=call.name, origin=op.kind)
            return replace(next(iter(distinct.values())), name=first, seen=None)
        return next(iter(distinct.values()), None)

    # ----- layouts ----------------------------------------------------------------------------------------------

    def own(self, v: Value) -> Value:
        """See Call.own."""
        return replace(v, name=self._turn(v, (0, *range(2, v.rank), 1), "channels_last"), moved=False) if v.moved else v

    def moved(self, v: Value) -> Value:
        """See Call.moved."""
        if v.moved or v.rank < 3:
            return v
        if v.image:
            self.layouts.setdefault(v.image, LAYOUTS.get(v.rank, ""))
        return replace(v, name=self._turn(v, (0, v.rank - 1, *range(1, v.rank - 1)), "channels_first"), moved=True)

    def _turn(self, v: Value, perm: tuple[int, ...], tag: str) -> str:
        """The value in the other layout. Its name alone does not tell which: after a transpose in Keras, one node is both."""
        key = v.name, v.moved
        if key not in self._turned:
            layer = self._layers.get(v.name, v.name)
            turned = self.b.add(Transpose(perm), v.name, name=f"{v.name}/{tag}", layer=layer, origin="change of layout")
            self._turned[key], self._turned[turned, not v.moved] = turned, v.name
            self._layers[turned] = layer
        return self._turned[key]

    # ----- weights ----------------------------------------------------------------------------------------------

    def param(self, weight: Weight, fit: Callable[[Array], Array] | None, tag: str, name: str) -> str:
        """See Call.param."""
        key = (id(weight), tag)
        if key not in self._params:
            x, k, unique = weight.read(), 2, name
            while self.b.has(unique):
                unique, k = f"{name}@{k}", k + 1
            self._params[key] = self.b.param(unique, x if fit is None else fit(x)), weight      # kept, so that its id stays its own
        return self._params[key][0]


class _Known(dict[Key, Value]):
    """The tensors that are there; a call may name more outputs than the layer has."""

    def __missing__(self, key: Any) -> Value:
        raise FileRefused(f"config.json names output {key[1]} of a call of {key[0][0]!r:.90}, which has fewer. Save the model again")


def _shapes(call: Call) -> list[Shape]:
    """The shapes of what a layer was built on, as it knows them; of an attention layer query, value and key."""
    values = call.values
    query, value, key = (call.arg(k, name) for k, name in enumerate(("query", "value", "key")))
    if isinstance(query, Value) and isinstance(value, Value):
        values = [query, value, key if isinstance(key, Value) else value]
    return [(v.shape[0], *v.shape[1 + call.extra :]) for v in values]


def _nested_inputs(call: Call, inner: Net) -> list[Value]:
    """The inputs of a nested model in its own order and dtype, each with the mask that Keras gives it."""
    given = call.arg(0, "inputs")
    if isinstance(given, Mapping) and set(given) >= {t.name for t in inner.inputs}:
        values = [given[t.name] for t in inner.inputs]
    else:
        values = flat(given)
    mask = call.kwargs.get("mask")
    masks = mask if isinstance(mask, (list, tuple)) and len(mask) == len(values) else [mask] * len(values)
    values = [replace(v, mask=m) if isinstance(m, Value) else v for v, m in zip(values, masks)]
    return [_converted(call, v, t.dtype) for v, t in zip(values, inner.inputs, strict=True)]


def _converted(call: Call, v: Value, dtype: str) -> Value:
    if v.kind == "float" or kind_of_number(dtype) != "float":
        return v
    seen = None if v.seen is None or call.to.run is None else call.to.run(Layer("cast", dtype, {}), (v.seen,), {})[0]
    return replace(v, name=call.add(ToFloat(), v, tag="float"), kind="float", seen=seen)
