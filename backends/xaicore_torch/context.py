"""What the lowering tables work with: values of the graph with their layout, constants that torch folds, names and messages.

There is no operator in here: which ATen operator becomes what stands in products.py, layers.py,
arithmetic.py, reductions.py, shapes.py and positions.py.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import fx

from xaicore.errors import ConversionError
from xaicore.graph.build import Builder
from xaicore.graph.layout import Layout, common
from xaicore.numerics import Array
from xaicore.ops import Op, ToFloat, ToInt
from xaicore_torch.places import Place, places

PRIME = 1_000_003
"""Stands for a free batch in shapes: larger than any axis and no product of other axes, so that a reshape has one reading."""

TRIALS = (2, 3)
"""The batches at which a constant that is as large as the batch is computed; what it holds must not depend on them."""

HARMLESS = frozenset({
    "dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking", "copy", "momentum", "cudnn_enable", "cudnn_enabled",
    "generator", "padding_idx", "scale_grad_by_freq", "sparse", "implicit",
})
"""Arguments of ATen operators that change no value at inference, or whose effect is read off the result's dtype."""


DROPPED = -1e30
"""In place of the lowest number of a dtype in an additive mask, and of minus infinity where no row is masked as a whole: its exponential
is 0 too, and sums and differences of scores stay numbers. (A row that is masked as a whole torch gives as 0 where it stands at minus
infinity, which nothing else can say.)"""

UNWRITTEN = frozenset({"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "empty_permuted"})
"""Functions that give memory as it is, to be written over; what is in it must not enter a graph."""

SIZE_ENTERS = "the size of the batch enters the computation, so a sample's result depends on how many there are"


@dataclass(frozen=True)
class Value:
    """A value that depends on a graph input: its name in the graph, how it lies there, and whether it is float, int or bool."""

    name: str
    layout: Layout
    kind: str = "float"


@dataclass(frozen=True, eq=False)
class Const:
    """A value that does not: a parameter, a buffer, or something computed from them.

    ``versions`` holds one tensor; or, if it is as large as the batch, one for each of the trial batches.
    """

    versions: tuple[Any, ...]
    name: str

    @property
    def tensor(self) -> Any:
        """The one tensor; ConversionError when there is one for each batch, and they differ."""
        first = self.versions[0]
        if any(v.shape != first.shape or not torch.equal(v, first) for v in self.versions[1:]):
            raise ConversionError("a constant that it needs depends on the size of the batch")
        return first


class Context:
    """The state of one conversion: the Builder, what each node of the exported graph has become, and the node at hand."""

    def __init__(self, program: Any, dtype: str, name: str):
        self.builder = Builder(name, dtype)
        self.env: dict[fx.Node, Any] = {}
        self.node: Any = None
        self.places = places(program)
        self._own: dict[Any, Const] = {}
        self._arrays: dict[str, Array] = {}
        self._derived: dict[Any, tuple[Const, str]] = {}             # with the constant itself: an id is its own only while it lives
        sizes = batch_sizes(program)
        self.trials = TRIALS if any(isinstance(n, torch.SymInt) for n in sizes) else (_one(sizes),)
        self.batch = PRIME if len(self.trials) > 1 else self.trials[0]

    @property
    def free(self) -> bool:
        """Does the converted graph take any batch?"""
        return self.batch == PRIME

    # ----- reading the node at hand -----------------------------------------------------------------------------------

    @property
    def place(self) -> Place:
        """What the node at hand is called in the graph, and where it comes from."""
        return self.places[self.node]

    def arguments(self) -> dict[str, Any]:
        """The arguments by their ATen names (``self`` and ``input`` are both called ``x``), defaults filled in."""
        node, found = self.node, {}
        for k, argument in enumerate(node.target._schema.arguments):
            default = argument.default_value if argument.has_default_value() else None
            value = node.args[k] if k < len(node.args) else node.kwargs.get(argument.name, default)
            if _is_size(value) and str(argument.type) in ("Tensor", "number", "float"):
                raise ConversionError(SIZE_ENTERS)
            if argument.name not in HARMLESS:
                found["x" if argument.name in ("self", "input") else argument.name] = self.resolve(value, self.batch)
        return found

    def resolve(self, value: Any, batch: int) -> Any:
        """An argument with nodes replaced by what they became, and sizes by numbers at this batch."""
        if isinstance(value, fx.Node):
            return self.env[value] if value in self.env else self.size(value.meta.get("val"), batch)
        if isinstance(value, torch.SymInt):
            return self.size(value, batch)
        if isinstance(value, (list, tuple)):
            return [self.resolve(v, batch) for v in value]
        return value

    def size(self, value: Any, batch: int) -> Any:
        """A size as a number, the free batch being ``batch``; ConversionError for one that depends on values."""
        if not isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)):
            return value
        known = value.node.expr
        if any(str(s).startswith(("u", "zu")) for s in known.free_symbols):
            raise ConversionError(
                "a shape or number here depends on the values of tensors (as after x[x > 0], nonzero() or item()), so there is no "
                "static graph; use torch.where, or keep it a tensor"
            )
        if not isinstance(value, torch.SymInt):
            raise ConversionError(SIZE_ENTERS)
        return int(known.subs(dict.fromkeys(known.free_symbols, batch)))

    def result(self, output: int = 0) -> Any:
        """The framework's description of a result of the node at hand: it has shape and dtype."""
        value = self.node.meta["val"]
        return value if isinstance(value, torch.Tensor) else value[output]

    def shape(self, output: int = 0) -> tuple[int, ...]:
        """The framework's shape of a result."""
        return tuple(self.size(n, self.batch) for n in self.result(output).shape)

    def used(self) -> list[int]:
        """Which of the several results of the node at hand are read."""
        return sorted({user.args[1] for user in self.node.users if user.target is operator.getitem})

    # ----- adding to the graph ----------------------------------------------------------------------------------------

    def add(self, op: Op, *inputs: str, part: str = "") -> str:
        """A node of the graph that comes from the node at hand; ``part`` names a step that is not its result."""
        place = self.place
        return self.builder.add(op, *inputs, name=f"{place.name}/{part}" if part else place.name, layer=place.layer, origin=place.origin)

    def emit(self, op: Op | None, x: Value, *others: str, layout: Layout | None = None, part: str = "", kind: str = "") -> Value:
        """``op`` of x and others, in the layout of x unless another is given; x itself when ``op`` is None."""
        name = x.name if op is None else self.add(op, x.name, *others, part=part)
        return Value(name, layout or x.layout, kind or (x.kind if part or op is None else kind_of(self.result().dtype)))

    def checked(self, found: Any) -> Any:
        """What a node has become; ConversionError when an axis besides the batch's is as long as the batch."""
        for value in found if isinstance(found, list) else [found]:
            if self.free and isinstance(value, Value) and max(value.layout.graph_shape[1:], default=0) >= PRIME:
                raise ConversionError("its result has the size of the batch on another axis, so a sample's result depends on the others")
        return found

    def active(self, x: Any, what: str = "the first argument") -> Value:
        """x, which must depend on an input of the graph."""
        if not isinstance(x, Value):
            raise ConversionError(f"{what} does not depend on the model's input while another one does; this form is not supported")
        return x

    def batch_first(self, x: Any, rank: int | None = None) -> Value:
        """x, which must have its batch alone on axis 0, and ``rank`` axes: for operators whose axes have a meaning."""
        value = self.active(x)
        if rank is not None and len(value.layout.shape) != rank:
            raise ConversionError(f"{rank} axes are expected, the batch first, not {len(value.layout.shape)}; give inputs with a batch")
        if not value.layout.trivial:
            raise ConversionError(
                f"the batch must stand alone on axis 0 here, but the input is {value.layout.shown()}; a model that merges the batch N "
                f"with frames or patches before such an operator is not supported"
            )
        return value

    def as_float(self, x: Value) -> Value:
        """x as a float, if it is none."""
        return x if x.kind == "float" else self.emit(ToFloat(self.builder.dtype), x, part="float", kind="float")  # type: ignore[arg-type]

    def as_int(self, x: Value) -> Value:
        """Booleans as 0 and 1."""
        return x if x.kind != "bool" else self.emit(ToInt(), x, part="int", kind="int")

    # ----- operands that broadcast ------------------------------------------------------------------------------------

    def align(self, *xs: Any, shape: Sequence[int] | None = None, keep: Sequence[int] = ()) -> tuple[list[str], Layout]:
        """Values, constants and numbers laid out to broadcast with each other: their names, and the layout of the result.

        If the result is a float, integers and booleans among them become floats, except those at the positions ``keep``.
        """
        layout = common([x.layout for x in xs if isinstance(x, Value)], self.shape() if shape is None else tuple(shape))
        floats = kind_of(self.result().dtype) == "float"
        return [self.operand(x, layout, floats and k not in keep) for k, x in enumerate(xs)], layout

    def operand(self, x: Any, layout: Layout, as_float: bool = True) -> str:
        """The name of x laid out to broadcast to a value of ``layout``."""
        if isinstance(x, Value):
            _, op = x.layout.lifted(len(layout.shape))
            lifted = self.emit(op, x, part="lifted")
            return self.as_float(lifted).name if as_float else lifted.name
        if not isinstance(x, Const):
            return self.constant(_bounded(np.asarray(float(x) if as_float else x)))
        versions = [_bounded(layout.constant(_array(t))) for t in x.versions]
        if any(v.shape != versions[0].shape or (v != versions[0]).any() for v in versions[1:]):
            raise ConversionError("a constant that it needs depends on the size of the batch")
        return self._param(x, versions[0].astype(float) if as_float and versions[0].dtype.kind != "f" else versions[0])

    def input(self, name: str, tensor: Any) -> Value:
        """An input of the graph, described by the framework."""
        kind: Any = kind_of(tensor.dtype)
        sizes = tuple(int(n) for n in tensor.shape[1:])
        self.builder.input(name, (None if self.free else self.batch, *sizes), kind)
        return Value(name, Layout((self.batch, *sizes), self.batch), kind)

    # ----- constants --------------------------------------------------------------------------------------------------

    def parameter(self, name: str, tensor: Any) -> Const:
        """A parameter or buffer of the model under its own name; tied weights are there once, under the first name."""
        if tensor.numel() == 1 and tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return Const((tensor,), name)                               # a bound that bounds nothing: read as a number, or refused
        same = (tensor.data_ptr(), tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype) if tensor.numel() else name
        if same not in self._own:
            unique = f"self.{name}" if self.builder.has(name) else name   # a graph input may have the name of a parameter
            self._arrays[unique] = _array(tensor)
            self._own[same] = Const((tensor,), self.builder.param(unique, self._arrays[unique]))
        return self._own[same]

    def weight(self, x: Any, what: str = "the weight") -> str:
        """The name of a constant in the framework's own shape."""
        if not isinstance(x, Const):
            raise ConversionError(f"{what} depends on the model's input; that is not supported")
        return self._param(x, _array(x.tensor))

    def weights(self, *xs: Any) -> list[str]:
        """The names of weight and bias, as far as they are there."""
        return [self.weight(x, what) for x, what in zip(xs, ("the weight", "the bias")) if x is not None]

    def number(self, x: Any) -> Any:
        """A Python number out of one, or out of a constant with one entry."""
        if isinstance(x, Const) and x.tensor.numel() == 1:
            return x.tensor.item()
        if not isinstance(x, (bool, int, float)):
            raise ConversionError("a number is expected where the model has a tensor; this form is not supported")
        return x

    def constant(self, array: Array, name: str = "constant") -> str:
        """A parameter that the conversion itself makes."""
        return self.builder.constant(array, f"{self.place.name}/{name}")

    def _param(self, x: Const, array: Array) -> str:
        root = x.name.split("/")[0]
        if root in self._arrays and np.array_equal(self._arrays[root], array) and self._arrays[root].dtype.kind == array.dtype.kind:
            return root                                                  # a view, or an expansion over the batch, of the model's own
        key = (id(x), array.shape, array.dtype.kind)
        if key not in self._derived:
            self._derived[key] = x, self.builder.constant(array, f"{x.name}/laid_out" if x.name == root else x.name)
        return self._derived[key][1]

    def fold(self) -> Any:
        """What the node at hand gives, computed by torch: for a node whose inputs are constants, or that reads only their shape.

        What depends on the size of the batch, by a shape or by a constant that does, is computed at each trial batch.
        """
        node = self.node
        sources = [self.env[n] for n in node.all_input_nodes if isinstance(self.env.get(n), Const)]
        sized = any(isinstance(self.env.get(n), Value) for n in node.all_input_nodes) or any(len(s.versions) > 1 for s in sources)
        sized = sized or any(_is_size(v) for v in _leaves((node.args, node.kwargs)))
        root = sources[0].name.split("/")[0] if len(sources) == 1 else "constant"
        found = []
        for k, batch in enumerate(self.trials if sized else self.trials[:1]):
            args, kwargs = (fx.node.map_aggregate(a, lambda v: self._at(v, k, batch)) for a in (node.args, node.kwargs))  # noqa: B023
            with torch.no_grad():
                made = node.target(*args, **kwargs)
            found.append(torch.zeros_like(made) if self.place.function in UNWRITTEN else made)
        return _constants(found, f"{root}/{self.place.function}")

    def _at(self, value: Any, k: int, batch: int) -> Any:
        """An argument of torch's own at trial ``k``; of a value that is not constant only the shape is right."""
        known = self.resolve(value, batch)
        if isinstance(known, Const):
            return known.versions[min(k, len(known.versions) - 1)]
        if isinstance(known, Value):
            like = value.meta["val"]
            return torch.zeros([self.size(n, batch) for n in like.shape], dtype=like.dtype)
        return known


# ----- helpers ----------------------------------------------------------------------------------------------------


def kind_of(dtype: Any) -> str:
    """float, int or bool."""
    return "float" if dtype.is_floating_point else "bool" if dtype == torch.bool else "int"


def batch_sizes(program: Any) -> list[Any]:
    """Axis 0 of every tensor that the user feeds; ConversionError when there is none, or another axis is free."""
    sizes = []
    names = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if node.op != "placeholder" or node.name not in names or not isinstance(value, torch.Tensor):
            continue
        if value.ndim == 0 or any(not isinstance(n, int) for n in value.shape[1:]):
            raise ConversionError(
                f"input {node.name!r} has shape {tuple(map(str, value.shape))}; the batch on axis 0 can be free, every other size must "
                f"be a number: export the program with only axis 0 dynamic"
            )
        sizes.append(value.shape[0])
    if not sizes:
        raise ConversionError("the model takes no tensor, so there is nothing to attribute to")
    return sizes


def _one(sizes: list[Any]) -> int:
    """The fixed batch of all inputs."""
    if len(set(sizes)) > 1:
        raise ConversionError(f"the program's inputs are {sizes} long on axis 0, but it is the batch of every input")
    if sizes[0] < 2:
        raise ConversionError(
            "the program was exported for a batch of 1, which cannot be told from other axes of 1; export it with a batch of at least 2, "
            "or with dynamic_shapes={name: {0: torch.export.Dim('batch')}}"
        )
    return int(sizes[0])


def _array(tensor: Any) -> Array:
    return np.asarray(tensor.detach().cpu().contiguous().numpy())


def _bounded(array: Array) -> Array:
    """The array with the lowest numbers of a dtype, with which masks are written, as ``DROPPED``."""
    low = array.dtype.kind == "f" and bool((np.isfinite(array) & (array < DROPPED)).any())
    return np.where(np.isfinite(array) & (array < DROPPED), DROPPED, array) if low else array


def _constants(found: list[Any], name: str) -> Any:
    """The results of a constant node at each trial, as one Const (or a list of them, or a number)."""
    first = found[0]
    if isinstance(first, torch.Tensor):
        return Const(tuple(found), name)
    if isinstance(first, (list, tuple)):
        return [_constants(list(each), name) for each in zip(*found, strict=True)]
    return first


def _leaves(value: Any) -> list[Any]:
    found: list[Any] = []
    fx.node.map_aggregate(value, found.append)
    return found


def _is_size(value: Any) -> bool:
    return isinstance(value, torch.SymInt) or (isinstance(value, fx.Node) and isinstance(value.meta.get("val"), torch.SymInt))
