"""From Keras's record of calls to the Builder's: the walk, what a tensor has become, and where its channels stand.

Keras records every call of a layer or a ``keras.ops`` function as a node, with the symbolic tensors that went in and came
out. ``Converter.model`` walks these nodes, hands each one as a ``Call`` to its row of the table (lower.py), and, given an
example, runs the framework alongside. What a layer means is not in here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from xaicore.errors import ConversionError
from xaicore.graph.build import Builder
from xaicore.numerics import Array
from xaicore.ops import Logical, Op, ToFloat, Transpose
from xaicore_keras.record import calls, flat, functional_of, is_layer, is_variable, kind_of, kind_of_number, no_gradient, numpy_of

Shape = tuple[int | None, ...]
LAYOUTS = {3: "NWC", 4: "NHWC", 5: "NDHWC"}
READS_MASKS = {f"keras.layers.{one}" for one in ("GlobalAveragePooling1D", "MultiHeadAttention", "BatchNormalization")}
"""Layers that are told of a mask and whose lowering heeds it (BatchNormalization has no use for it at inference)."""

PASSES_MASKS = ("keras.src.layers.layer", "keras.src.layers.merging.base_merge")
"""Where ``compute_mask`` is defined for layers that hand on the mask of their input, or the one mask of all their inputs."""


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

    ``args`` and ``kwargs`` are the call's own, with a ``Value`` in place of every symbolic tensor. ``outs`` are its outputs,
    as yet without a name. ``extra`` counts leading axes that the layer does not know of (the time axis of TimeDistributed).
    """

    to: Converter
    op: Any
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outs: tuple[Value, ...]
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
        """The length of one of Keras's axes; where the model leaves it free, that of the example."""
        n = v.shape[axis]
        if n is not None:
            return n
        if v.seen is None:
            raise self.refuse(
                f"needs the length of axis {axis} of a tensor {v.shape}, which the model leaves free",
                "give an example input (from_model(model, example)); the graph is then made for its sizes",
            )
        self.to.fixed = True
        return int(v.seen.shape[axis])

    # ----- adding to the graph ----------------------------------------------------------------------------------

    def add(self, op: Op, *inputs: Value | str, tag: str = "") -> str:
        """Adds a node that is called as the layer is, or layer/tag."""
        names = [i.name if isinstance(i, Value) else i for i in inputs]
        name = f"{self.name}/{tag}" if tag else self.name
        return self.to.b.add(op, *names, name=name, layer=self.name, origin=kind_of(self.op))

    def value(self, name: str, moved: bool = False) -> Value:
        """A value of the graph as the call's first output."""
        return replace(self.outs[0], name=name, moved=moved)

    def map(self, op: Op, v: Value, *others: Value | str, tag: str = "") -> Value:
        """An operator that works entry by entry: shape, layout and image stay."""
        return replace(v, name=self.add(op, v, *others, tag=tag), mask=None)

    def own(self, v: Value) -> Value:
        """The value with its axes in Keras's order."""
        return self.to.own(v)

    def moved(self, v: Value) -> Value:
        """The value with the channels, last in Keras, on axis 1."""
        return self.to.moved(v)

    def param(self, variable: Any, fit: Callable[[Array], Array] | None = None, tag: str = "") -> str:
        """A weight under its Keras path, once for all calls; ``fit`` brings it into the operator's layout."""
        return self.to.param(variable, fit, tag, self.name)

    def constant(self, value: Any, like: Value | None = None, tag: str = "constant") -> str:
        """A number or array that is no weight; with ``like`` it is laid out so that it broadcasts against that value."""
        if is_variable(value):
            return self.param(value, None if like is None else lambda w: self._beside(w, like), f"{like and (like.rank, like.moved)}")
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

    def refuse(self, why: str, todo: str) -> ConversionError:
        """The error for a call that has no counterpart."""
        return ConversionError(f"{'layer' if is_layer(self.op) else 'operation'} {self.name!r} ({kind_of(self.op)}) {why}. To do: {todo}")


@dataclass(eq=False)
class Converter:
    """The state of one conversion: the Builder, the weights and layouts that exist already, the framework's values."""

    b: Builder
    table: Mapping[str, Lowering]
    reject: Callable[[Call], ConversionError]
    expected: dict[str, Array] = field(default_factory=dict)
    layouts: dict[str, str] = field(default_factory=dict)
    fixed: bool = False
    _params: dict[tuple[int, str], tuple[str, Any]] = field(default_factory=dict)
    _turned: dict[tuple[str, bool], str] = field(default_factory=dict)
    _layers: dict[str, str] = field(default_factory=dict)

    # ----- the walk ---------------------------------------------------------------------------------------------

    def model(self, model: Any, inputs: Sequence[Value], path: str = "") -> list[Value]:
        """Adds all calls on which the outputs of a Functional model depend; a nested model's under ``path``."""
        known = {id(t): v for t, v in zip(model.inputs, inputs, strict=True)}
        for node in calls(model):
            results = self.call(node, known, path)
            known.update({id(t): v for t, v in zip(node.outputs, results, strict=True)})
        return [known[id(t)] for t in model.outputs]

    def call(self, node: Any, known: Mapping[int, Value], path: str) -> list[Value]:
        """Adds one recorded call, and runs it in the framework where its inputs were seen."""

        def here(x: Any) -> Any:
            return known[id(x)] if isinstance(x, keras.KerasTensor) else x

        args = tuple(keras.tree.map_structure(here, node.arguments.args))
        kwargs = dict(keras.tree.map_structure(here, node.arguments.kwargs))
        if "training" in kwargs:        # what model(x, training=False) and model.predict(x) do to every call
            kwargs["training"] = False
        call = Call(self, node.operation, path + node.operation.name, args, kwargs, ())
        self._check(call)
        inner = functional_of(call.op)
        if inner is not None:
            return self.model(inner, _nested_inputs(call, inner), f"{call.name}/")
        if kind_of(call.op) not in self.table:
            raise self.reject(call)
        kinds = [kind_of_number(str(t.dtype)) for t in node.outputs]
        seen = self._run(call, len(kinds))
        outs = [Value("", tuple(t.shape), kind, seen=one) for t, kind, one in zip(node.outputs, kinds, seen, strict=True)]
        call = replace(call, outs=tuple(outs))
        return [self._finish(call, out, v) for out, v in zip(outs, self.lower(call), strict=True)]

    def lower(self, call: Call) -> tuple[Value, ...]:
        """What the table makes of a call."""
        lowering = self.table.get(kind_of(call.op))
        if lowering is None:
            raise self.reject(call)
        made = lowering(call)
        return made if isinstance(made, tuple) else (made,)

    def _check(self, call: Call) -> None:
        """Refuses calls that no row of the table could get right: masked ones, and those in reduced precision."""
        op = call.op
        if not is_layer(op):
            return
        masked = call.kwargs.get("mask") is not None or any(v.mask for v in call.values)
        if masked and getattr(op, "_call_has_mask_arg", False) and kind_of(op) not in READS_MASKS and functional_of(op) is None:
            raise call.refuse("reads a mask (of Embedding(mask_zero=True), or given to it)", "build the model without masking")
        if getattr(op, "compute_dtype", "float32") in ("float16", "bfloat16") or getattr(op, "quantization_mode", None):
            raise call.refuse(
                f"computes in {getattr(op, 'quantization_mode', None) or op.compute_dtype}",
                "rebuild the model with keras.config.set_dtype_policy('float32') and load its weights there",
            )

    def _run(self, call: Call, count: int) -> list[Any]:
        """The framework's outputs, where its inputs were seen."""
        if any(v.seen is None for v in call.values):
            return [None] * count

        def theirs(x: Any) -> Any:
            return x.seen if isinstance(x, Value) else x

        with no_gradient():
            out = call.op(*keras.tree.map_structure(theirs, call.args), **keras.tree.map_structure(theirs, dict(call.kwargs)))
        return list(keras.tree.flatten(out))

    def _finish(self, call: Call, out: Value, v: Value) -> Value:
        """The output with what Keras says of it; the framework's value is noted for ``verify``."""
        self._layers[v.name] = call.name
        done = replace(out, name=v.name, moved=v.moved, image=v.image, mask=v.mask or self._mask(call))
        if out.seen is None:
            return done
        if tuple(out.seen.shape[:1]) != tuple(call.x.seen.shape[:1]):
            raise call.refuse(f"makes {tuple(out.seen.shape)} of {tuple(call.x.seen.shape)}", "keep axis 0, the batch, as it is")
        if out.kind == "float":
            self.expected[v.name] = done.in_layout(numpy_of(out.seen))
        return done

    def _mask(self, call: Call) -> Value | None:
        """The mask that Keras hands on from the inputs, for layers that have no rule of their own for it."""
        op, masks = call.op, [v.mask for v in call.values]
        if not is_layer(op) or not op.supports_masking or not all(masks) or type(op).compute_mask.__module__ not in PASSES_MASKS:
            return None
        distinct = {m.name: m for m in masks if m}
        if len(distinct) > 1:       # layers that merge keep a step that any of their inputs keeps
            first, *rest = distinct
            for other in rest:
                first = self.b.add(Logical("or"), first, other, name=f"{call.name}/mask", layer=call.name, origin=kind_of(op))
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

    def param(self, variable: Any, fit: Callable[[Array], Array] | None, tag: str, owner: str) -> str:
        """See Call.param. Two layers that were built apart may carry one path; the second goes under its own layer's name."""
        key = (id(variable), tag)
        if key not in self._params:
            x = numpy_of(variable)
            path = str(getattr(variable, "path", f"{owner}/{tag or 'weight'}"))
            name = path if not self.b.has(path) else f"{owner}/{path.rpartition('/')[2]}"
            k, base = 2, name
            while self.b.has(name):
                name, k = f"{base}@{k}", k + 1
            self._params[key] = self.b.param(name, x if fit is None else fit(x)), variable      # kept, so that its id stays its own
        return self._params[key][0]


def _nested_inputs(call: Call, inner: Any) -> list[Value]:
    """The inputs of a nested model in its own order and dtype, each with the mask that Keras gives it."""
    given = call.arg(0, "inputs")
    if isinstance(given, dict) and set(given) >= {t.name for t in inner.inputs}:
        values = [given[t.name] for t in inner.inputs]
    else:
        values = flat(given)
    mask = call.kwargs.get("mask")
    masks = mask if isinstance(mask, (list, tuple)) and len(mask) == len(values) else [mask] * len(values)
    values = [replace(v, mask=m) if isinstance(m, Value) else v for v, m in zip(values, masks)]
    return [_converted(call, v, str(t.dtype)) for v, t in zip(values, inner.inputs, strict=True)]


def _converted(call: Call, v: Value, dtype: str) -> Value:
    if v.kind == "float" or kind_of_number(dtype) != "float":
        return v
    seen = None if v.seen is None else keras.ops.cast(v.seen, dtype)
    return replace(v, name=call.add(ToFloat(), v, tag="float"), kind="float", seen=seen)
