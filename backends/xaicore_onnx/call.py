"""What a lowering works with: one ONNX node, its inputs and attributes, ways to add graph nodes, and where the batch of each value lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper

from xaicore.errors import ConversionError
from xaicore.numerics import Array
from xaicore.ops import Conv, Dense, Expand, Op, Reshape, Transpose, Unsqueeze
from xaicore_onnx.naming import layer_of, origin_of
from xaicore_onnx.values import Known, Live, MixingError, Numbered, to_graph

if TYPE_CHECKING:
    from xaicore_onnx.convert import Converter

Value = Known | Live
Anything = Known | Live | Numbered
Results = Anything | Sequence[Anything | None]
Lowering = Callable[["Call"], Results | None]
"""None: the standard's own definition of the operator shall be used."""
Layout = tuple[int | None, int, int]
"""Where the batch lies: at, outer and inner of a Live."""


class Call:
    """One ONNX node while it is converted: its inputs and attributes, and ways to add graph nodes for it."""

    def __init__(self, converter: Converter, node: onnx.NodeProto, inputs: Sequence[Anything | None]):
        self.converter, self.node, self.inputs = converter, node, list(inputs)
        self.opset = converter.opset
        self.name = node.name or next((o for o in node.output if o), "node")
        self.attrs = {a.name: _attribute(a) for a in node.attribute}
        self.who = f"{node.op_type}"

    # ----- reading --------------------------------------------------------------------------------------------------

    def has(self, i: int) -> bool:
        """Is input ``i`` given?"""
        return i < len(self.inputs) and self.inputs[i] is not None

    def x(self, i: int = 0) -> Value:
        """Input ``i``."""
        value = self.inputs[i] if i < len(self.inputs) else None
        if isinstance(value, Numbered):
            raise MixingError(
                f"{self.who} reads the numbers of the samples beside {value.rest.name!r}, which GatherND, ScatterND, MaxUnpool and Mod "
                f"alone may: a graph's sample does not know its number"
            )
        if value is None:
            raise ConversionError(f"{self.who} lacks its input {i}; the file is inconsistent, export it again")
        return value

    def live(self, i: int = 0) -> Live:
        """Input ``i``, which must depend on an input of the model."""
        value = self.x(i)
        if isinstance(value, Known):
            raise ConversionError(
                f"input {i} of {self.who} is a constant ({value.name!r}) while another depends on the model's input: not "
                "converted"
            )
        return value

    def known(self, i: int, what: str) -> Known:
        """Input ``i``, which must be a constant or a shape."""
        value = self.x(i)
        if isinstance(value, Live):
            if any(f.name == value.name for f in self.converter.feeds):
                raise ConversionError(
                    f"the {what} of {self.who} is the model's input {value.name!r}, so it is not a constant; a static graph cannot hold "
                    f"it. Give its value: constants={{{value.name!r}: array}}"
                )
            raise ConversionError(
                f"the {what} of {self.who} is computed from the model's input (from {value.name!r}), so it is not a constant; a static "
                f"graph cannot hold it. Make it a constant before the export, or give the input it is computed from: "
                f"constants={{name: array}}"
            )
        return value

    def array(self, i: int, what: str) -> Array:
        """Input ``i``, which must be a constant that does not depend on the batch size either."""
        value = self.known(i, what)
        if not value.fixed:
            raise MixingError(f"the {what} of {self.who} depends on the batch size; each sample must be computed by itself")
        return value.low

    def numbers(self, i: int, what: str) -> list[int]:
        """A constant input as a list of whole numbers."""
        return [int(v) for v in self.array(i, what).reshape(-1)]

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attrs.get(name, default)

    def reads(self, j: int) -> bool:
        """Does anything read output ``j``?"""
        return j < len(self.node.output) and bool(self.node.output[j]) and self.converter.readers[self.node.output[j]] > 0

    # ----- adding nodes ---------------------------------------------------------------------------------------------

    def put(self, op: Op, *inputs: Live | str, like: Live | None = None, layout: Layout | None = None, part: str = "") -> Live:
        """Adds a node; its batch lies where that of ``like`` (or of the first input) does, unless ``layout`` says otherwise."""
        names = [i if isinstance(i, str) else i.name for i in inputs]
        model = like or next((i for i in inputs if isinstance(i, Live)), None)
        at, outer, inner = layout or (model.layout if model else (0, 1, 1))
        name = self.converter.append(
            f"{self.name}/{part or type(op).__name__.lower()}", op, names, layer_of(self.node), origin_of(self.node, self.opset)
        )
        shape = self.converter.shapes[name]
        rows = self.converter.batches[0]
        if not shape or shape[0] != rows:
            raise MixingError(f"{self.who}: {op} gives shape {shape} for a batch of {rows}, so the batch got lost")
        return Live(name, shape[1:], self.converter.kinds[name], at, outer, inner)

    def param(self, value: Known) -> str:
        """The name of the parameter that holds a constant: an initialiser keeps its own."""
        if not value.fixed:
            raise MixingError(f"the constant {value.name!r} that {self.who} reads depends on the batch size")
        return self.converter.param(value.name, value.low)

    def derived(self, x: Array, name: str) -> str:
        """The name of a parameter that holds an array computed at conversion."""
        return self.converter.param(name, x)

    def number(self, value: float, part: str) -> str:
        """A number that is part of the operator, such as the 1/2 of a formula."""
        return self.converter.param(f"{self.name}/{part}", np.asarray(float(value)))

    def join(self, op: Op, *values: Value, part: str = "") -> Live:
        """Adds an operator whose inputs broadcast."""
        names, like = self.aligned(*values)
        return self.put(op, *names, like=like, part=part)

    # ----- where the batch lies -------------------------------------------------------------------------------------

    def sample(self, x: Live) -> Live:
        """The value as ONNX has it for one sample, batch axis and all, so that an operator may work along it."""
        if x.at is None:
            return x
        return self.put(Reshape(x.shape(1)), x, layout=(None, 1, 1), part="sample")

    def images(self, x: Live) -> Live:
        """A value with the same axes in ONNX and in the graph, as operators on (N, C, ...) want it."""
        if x.plain:
            return x
        if x.at is None and x.tail[:1] == (1,):
            return self.put(Reshape(x.tail[1:]), x, layout=(0, 1, 1), part="batch")
        where = "no batch" if x.at is None else "other axes joined with the batch" if x.at == 0 else f"the batch on axis {x.at}"
        raise MixingError(f"{self.who} takes (N, C, ...), but its input {x.name!r} has {where}")

    def frames(self, x: Live) -> tuple[Live, bool]:
        """As ``images``; but where another axis lies beside the batch, as the frames of films do, (N, C, frames, ...) and True.

        An operator of windows then takes it for a spatial axis with windows of one entry; ``unframed`` is the way back.
        """
        beside = x.at == 0 and (x.outer == 1) != (x.inner == 1)
        if not (beside or (x.at is None and x.tail[:1] != (1,))) or len(x.tail) < 2:
            return self.images(x), False
        return self.put(Transpose((0, 2, 1, *range(3, len(x.tail) + 1))), x, part="frames"), True

    def unframed(self, y: Live, x: Live) -> Live:
        """The result of an operator on ``frames`` with its axes in the order of x."""
        return self.put(Transpose((0, 2, 1, *range(3, len(y.tail) + 1))), y, layout=x.layout, part="unframed")

    def volumes(self, x: Live) -> Live | None:
        """Frames of volumes, which would have four spatial axes, as groups of channels (N, frames * C, *S), else None.

        ``parted`` is the way back.
        """
        if len(x.tail) != 5 or x.at != 0 or (x.outer == 1) == (x.inner == 1):
            return None
        return self.put(Reshape((x.tail[0] * x.tail[1], *x.tail[2:])), x, layout=(0, 1, 1), part="frames_joined")

    def parted(self, y: Live, x: Live) -> Live:
        """The result of an operator on ``volumes`` with the frames of x."""
        frames = x.tail[0]
        return self.put(Reshape((frames, y.tail[0] // frames, *y.tail[1:])), y, layout=x.layout, part="parted")

    def batched(self, value: Known, like: Live, layout: Layout | None = None) -> Live:
        """A constant as a value with the batch of ``like``: one copy of it for each sample."""
        x = self.placed(value, layout or like.layout, value.high.ndim)
        same = value.fixed and x.shape == value.low.shape
        name = self.converter.param(value.name if same else f"{value.name}/sample", x)
        if len(x) > 1:
            return Live(name, x.shape[1:], x.dtype.kind, *(layout or like.layout))
        return self.put(Expand(x.shape[1:]), name, like, layout=layout or like.layout, part="copies")

    def placed(self, value: Known, layout: Layout, rank: int) -> Array:
        """A constant of ONNX rank ``rank`` in the graph's order of axes, with one entry on the batch axis if all samples agree."""
        low, high = (x.reshape((1,) * (rank - x.ndim) + x.shape) for x in (value.low, value.high))
        at, outer, inner = layout
        if at is None:
            if not value.fixed:
                raise MixingError(f"the constant {value.name!r} that {self.who} reads depends on the batch size")
            return low[None]
        size, (n, m) = outer * inner, self.converter.batches
        if at >= rank:
            raise MixingError(f"the constant {value.name!r} that {self.who} reads depends on the batch size, but has no axis for the batch")
        if low.shape == high.shape and not value.fixed:
            raise MixingError(f"the constant {value.name!r} that {self.who} reads depends on the batch size without one for each sample")
        if low.shape[at] == 1 and high.shape[at] == 1:
            ones = [1] * ((outer > 1) + (inner > 1))
            return low.reshape(1, *low.shape[:at], *ones, *low.shape[at + 1:])
        if low.shape[at] != n * size or high.shape[at] not in (n * size, m * size):
            raise MixingError(
                f"the constant {value.name!r} {value.low.shape} that {self.who} reads meets the batch with its axis {at} of "
                f"{low.shape[at]} "
                f"entries"
            )
        rows = to_graph(high, layout)
        if not (rows == rows[:1]).all():
            if high.shape != low.shape:
                raise MixingError(f"the constant {value.name!r} that {self.who} reads is another one for each place in the batch")
            self.converter.hard_coded = self.converter.hard_coded or n > 1
            return rows
        return rows[:1]

    def aligned(self, *values: Value) -> tuple[list[str], Live]:
        """Values that broadcast in ONNX as names that broadcast in the graph, and a Live with their common layout."""
        lives = [v for v in values if isinstance(v, Live)]
        rank = max(v.rank if isinstance(v, Live) else max(v.low.ndim, v.high.ndim) for v in values)
        grown = {id(v): self.grown(v, rank) for v in lives}
        first = grown[id(lives[0])]
        for other in grown.values():
            if other.layout != first.layout:
                raise MixingError(
                    f"{self.who} broadcasts {first.name!r} and {other.name!r}, whose batches lie on different axes, so that samples "
                    "would mix"
                )
        return [grown[id(v)].name if isinstance(v, Live) else self.beside(v, first, rank) for v in values], first

    def grown(self, x: Live, rank: int) -> Live:
        """The value with axes of size 1 put in front in ONNX, up to ``rank``."""
        extra = rank - x.rank
        if not extra:
            return x
        layout = (None if x.at is None else x.at + extra, x.outer, x.inner)
        return self.put(Unsqueeze(tuple(range(1, extra + 1))), x, layout=layout, part="axes")

    def beside(self, value: Known, like: Live, rank: int) -> str:
        """A constant shaped to broadcast against ``like``; untouched if it does so by itself."""
        if value.fixed and value.low.size == 1 and value.low.ndim <= len(like.tail) + 1:
            return self.param(value)
        x = self.placed(value, like.layout, rank)
        while x.ndim > value.low.ndim and x.shape[0] == 1:
            x = x[0]
        if value.fixed and x.shape == value.low.shape and like.plain:
            return self.param(value)
        same = x.shape == value.low.shape and np.array_equal(x, value.low)
        return self.converter.param(value.name if same else f"{value.name}/placed", x)

    def fused(self, x: Live, bias: Known) -> Live | None:
        """x + bias as one Dense or Conv: x is one without bias that nothing else reads, bias a number for each feature or channel."""
        made = self.converter.producer(x)
        one_reader = self.converter.readers[self.converter.origin.get(x.name, ("", None))[0]] == 1
        if made is None or len(made.inputs) != 2 or not isinstance(made.op, (Dense, Conv)) or not one_reader or not bias.fixed:
            return None
        shape = bias.low.shape
        while shape[:1] == (1,) and len(shape) > 1:
            shape = shape[1:]
        ends = x.tail[-1:] if isinstance(made.op, Dense) else (x.tail[0], *(1,) * (len(x.tail) - 1))
        settled = x.groups[-1] == (len(x.tail),) if isinstance(made.op, Dense) else x.plain
        if bias.low.dtype.kind != "f" or shape != ends or len(bias.low.shape) > x.rank or not settled:
            return None
        b = self.param(bias) if bias.low.ndim == 1 else self.derived(bias.low.reshape(-1), f"{bias.name}/row")
        self.converter.drop(made.name)
        y = self.put(made.op, *made.inputs, b, like=x)
        mine = self.converter.nodes[-1]
        before = made.origin.split(" ")[0]
        self.converter.nodes[-1] = replace(mine, layer=made.layer or mine.layer, origin=f"{before} + {mine.origin}")
        return y


def _attribute(a: onnx.AttributeProto) -> Any:
    if a.ref_attr_name:
        raise ConversionError(f"attribute {a.name!r} refers to {a.ref_attr_name!r} of a function outside any; the file is inconsistent")
    value = helper.get_attribute_value(a)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return list(value) if a.type in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS) else value
