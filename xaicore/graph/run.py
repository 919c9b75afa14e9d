"""Evaluating a graph: checking what was fed, running the nodes in order, naming the node when something is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, InputError, ShapeError, UnknownName, XaicoreError, nearest
from xaicore.graph.graph import DTYPES, Graph, InputSpec, Node
from xaicore.graph.untrusted import check_bytes
from xaicore.numerics import Array, all_finite, rationals


def check_feeds(graph: Graph, x: Any) -> dict[str, Array]:
    """The inputs by name, in the graph's arithmetic; every mistake is an error that names the input.

    ``x`` is one array (a graph with one input), a sequence in the order of the inputs, or a mapping by name.
    """
    if type(x) is np.ndarray and len(graph.inputs) == 1:
        return {k: _check_input(k, spec, x, graph.dtype) for k, spec in graph.inputs.items()}
    names = list(graph.inputs)
    if isinstance(x, Mapping):
        for k in x:
            if k not in graph.inputs:
                raise UnknownName(f"the graph has no input {k!r}: {nearest(str(k), names)}")
        given = dict(x)
    elif len(names) == 1:
        given = {names[0]: x[0] if isinstance(x, tuple) and len(x) == 1 else x}
    elif isinstance(x, (tuple, list)) and len(x) == len(names):
        given = dict(zip(names, x))
    else:
        count = len(x) if isinstance(x, (tuple, list)) else f"one {type(x).__name__}"
        raise InputError(f"the graph has {len(names)} inputs ({', '.join(names)}), and {count} came; give a mapping by name, or a tuple "
                         f"with one array for each")
    missing = [k for k in names if k not in given]
    if missing:
        raise InputError(f"no value was given for input {missing[0]!r} ({graph.inputs[missing[0]]})")
    feeds = {k: _check_input(k, graph.inputs[k], given[k], graph.dtype) for k in names}
    batches = {k: v.shape[0] for k, v in feeds.items()}
    if len(set(batches.values())) > 1:
        raise ShapeError(f"the inputs differ in their batch (axis 0): {batches}")
    return feeds


def _check_input(name: str, spec: InputSpec, value: Any, dtype: str) -> Array:
    if _as_it_should_be(spec, value, dtype):
        return value.copy(order="K")                                    # type: ignore[no-any-return]
    given = _to_array(name, value)
    if spec.kind == "float" and (value is None or given.dtype.kind in "SUVMm"):
        what = f"has dtype {given.dtype}" if given.ndim else f"is {value!r:.60}"
        raise InputError(f"input {name!r} {what}, but an array of numbers is expected; read the file or the text into one first")
    x = _check_kind(name, spec, given, dtype)
    want = spec.shape
    if x.ndim != len(want):
        hint = "; axis 0 is the batch: a single sample is x[None]" if x.ndim == len(want) - 1 else ""
        raise ShapeError(f"input {name!r} has shape {x.shape}, but {spec} is expected (rank {len(want)}){hint}")
    for k, (have, need) in enumerate(zip(x.shape, want)):
        if need is not None and have != need:
            where = f"axis {k}"
            if k == 0:
                where = f"the batch; this graph was converted with a fixed batch: feed {need} at a time, or convert it with a free batch"
            raise ShapeError(f"input {name!r} has shape {x.shape}, but {spec} is expected: {have} instead of {need} on {where}")
    if 0 in x.shape:
        what = "an empty batch" if x.shape[0] == 0 else "an empty array"
        raise InputError(f"input {name!r} has shape {x.shape}: {what} has nothing to explain; give at least one sample")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        bad = tuple(int(k) for k in np.argwhere(~np.isfinite(x))[0])
        if np.isfinite(given[bad]):
            raise InputError(f"input {name!r} holds {given[bad]} at index {bad}, which {dtype} cannot hold; scale the input down, or use "
                             f"graph.astype('float64')")
        raise InputError(f"input {name!r} holds {x[bad]} at index {bad}; every entry must be finite, so replace what is missing first")
    return x


def _as_it_should_be(spec: InputSpec, value: Any, dtype: str) -> bool:
    """Is there nothing that ``_check_input`` would convert or refuse? Asked first, as it is nearly always so."""
    if type(value) is not np.ndarray or value.dtype is not DTYPES[dtype] or dtype == "exact" or spec.kind != "float":
        return False
    shape, wanted = value.shape, spec.shape
    fits = shape == wanted or (shape[1:] == wanted[1:] and shape and wanted[0] is None)
    return bool(fits) and value.size > 0 and all_finite(value)


def _to_array(name: str, value: Any) -> Array:
    """A NumPy array of whatever was given; framework tensors come along through ``__array__``."""
    try:
        if hasattr(value, "detach") and hasattr(value, "cpu"):
            value = value.detach().cpu().numpy()
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise InputError(f"input {name!r} cannot be read as an array ({error}); give nested lists of equal lengths, or an array") from None


def _check_kind(name: str, spec: InputSpec, x: Array, dtype: str) -> Array:
    kind = x.dtype.kind
    if spec.kind == "float":
        if dtype == "exact":
            return x.copy() if _all_rational(x) else rationals(x, f"input {name!r}")
        if kind == "O" and x.size and all(hasattr(v, "numerator") for v in x.reshape(-1)):
            raise InputError(f"input {name!r} holds Fractions, but the graph is {dtype}; use graph.astype('exact')")
        if kind not in "fiu":
            raise InputError(f"input {name!r} has dtype {x.dtype}, but numbers are expected; if that is what it holds, convert it with "
                             f"x.astype({dtype!r})")
        if x.dtype == DTYPES[dtype]:
            return x.copy(order="K")
        with np.errstate(over="ignore"):                           # what overflows becomes infinite, and is refused as that
            return np.asarray(x.astype(DTYPES[dtype]))
    if spec.kind == "int":
        if kind not in "iu":
            raise InputError(f"input {name!r} has dtype {x.dtype}, but whole numbers are expected, such as token ids; convert it with "
                             f"x.astype('int64')")
        return x.astype(np.int64)
    if kind != "b" and not (kind in "iu" and np.isin(x, (0, 1)).all()):
        raise InputError(f"input {name!r} has dtype {x.dtype}, but booleans are expected; convert it with x.astype(bool)")
    return x.astype(bool)


def _all_rational(x: Array) -> bool:
    from fractions import Fraction

    return x.dtype == object and all(type(v) is Fraction for v in x.reshape(-1))


def evaluate(
    graph: Graph,
    feeds: Mapping[str, Array],
    keep: Collection[str] | None = None,
    override: Mapping[str, Array] | None = None,
    visit: Callable[[Node, tuple[Array, ...], Array], None] | None = None,
) -> dict[str, Array]:
    """Runs every node and returns the values in ``keep`` (default: the outputs).

    ``override`` gives values of nodes that are then not computed; ``visit`` is called after each node with its inputs
    and output. A value is released after its last reader unless it is kept or visited.
    """
    wanted = set(graph.outputs if keep is None else keep)
    override = override or {}
    values: dict[str, Array] = {**graph.params, **feeds}
    last = _last_readers(graph, override) if override else graph.once("last readers", lambda: _last_readers(graph))
    outside = np.geterr()
    over = () if override or visit is not None else graph.once(("written over", frozenset(wanted)), lambda: _written_over(graph, wanted))
    with raising():
        for node, read in zip(graph.nodes, last):
            if node.name in override:
                values[node.name] = override[node.name]
                continue
            xs = tuple([values[i] for i in node.inputs])
            values[node.name] = y = run_within(node, xs, graph.dtype, node.name in over)
            if visit is not None:
                with np.errstate(**outside):
                    visit(node, xs, y)
            for i in read:
                if i not in wanted:
                    values.pop(i, None)
    return {k: values[k] for k in wanted if k in values}


def evaluate_all(graph: Graph, feeds: Mapping[str, Array], override: Mapping[str, Array] | None = None) -> dict[str, Array]:
    """Runs every node and returns every value, of the inputs and the parameters too; ``override`` as for ``evaluate``."""
    values: dict[str, Array] = {**graph.params, **feeds}
    dtype = graph.dtype
    with raising():
        for node in graph.nodes:
            name = node.name
            if override and name in override:
                values[name] = override[name]
            else:
                values[name] = run_within(node, [*map(values.__getitem__, node.inputs)], dtype)
    return values


def _last_readers(graph: Graph, override: Collection[str] = ()) -> tuple[tuple[str, ...], ...]:
    """For every node the values, parameters apart, that nothing behind it reads any more, its own among them where nothing does."""
    last: dict[str, int] = {}
    for k, node in enumerate(graph.nodes):
        last |= {} if node.name in override else dict.fromkeys((node.name, *node.inputs), k)
    return tuple(tuple(i for i in (*dict.fromkeys(n.inputs), n.name) if last.get(i) == k and i not in graph.params)
                 for k, n in enumerate(graph.nodes))


def _written_over(graph: Graph, wanted: Collection[str]) -> frozenset[str]:
    """The nodes that may write their output over their first input: it is memory of its own, and nobody else reads it."""
    readers = Counter(i for n in graph.nodes for i in n.inputs)
    fresh = {n.name for n in graph.nodes if n.op.fresh and readers[n.name] == 1 and n.name not in wanted}
    return frozenset(n.name for n in graph.nodes if n.inputs[0] in fresh)


def raising() -> np.errstate:
    """Where overflow, division by zero and invalid operations of floats are errors."""
    return np.errstate(over="raise", invalid="raise", divide="raise")


def run_node(node: Node, xs: Sequence[Array], dtype: str) -> Array:
    """One node's output, with its name on every error, and with the promise that the arithmetic did not change."""
    with raising():
        return run_within(node, xs, dtype)


def run_within(node: Node, xs: Sequence[Array], dtype: str, over: bool = False) -> Array:
    """``run_node`` where overflow is an error already (``raising``), which a pass enters once for all of its nodes; ``over``: the first
    input may be written over."""
    if dtype == "exact" and not node.op.rational:
        raise ExactnessError(
            f"node {node.name!r}: {node.op} is not rational, so it has no value in exact mode; "
            f"use graph.astype('float64'), or cut the graph before it"
        )
    try:
        y = node.op.over(*xs) if over and xs[0].flags.writeable else node.op.forward(*xs)
    except (FloatingPointError, XaicoreError, ValueError, IndexError, TypeError, ZeroDivisionError, RuntimeWarning) as error:
        raise _named(error, node, xs, dtype) from error
    if type(y) is np.ndarray and y.dtype is DTYPES[dtype] and dtype != "exact":
        return y                                                        # as nearly all are
    y = np.asarray(y)
    if y.dtype.kind in "fO":
        if dtype == "exact":
            return rationals(y, f"node {node.name!r} ({node.op})")
        if y.dtype != DTYPES[dtype]:
            raise ExactnessError(f"node {node.name!r}: {node.op} gave {y.dtype} in a {dtype} graph; an operator keeps the dtype")
    return y


def _named(error: Exception, node: Node, xs: Sequence[Array], dtype: str) -> Exception:
    """An operator's error with the name of its node."""
    if isinstance(error, FloatingPointError):
        wider = ", or use graph.astype('float64')" if dtype == "float32" else ""
        return InputError(f"node {node.name!r}{_from(node)}: {node.op} leaves the range of {dtype} ({error}); its output would not be a "
                          f"number. Check the scale of the input{wider}")
    if isinstance(error, XaicoreError):
        return type(error)(f"node {node.name!r}{_from(node)}: {error}")
    shapes = ", ".join(str(x.shape) for x in xs)                        # a RuntimeWarning is the mean of nothing
    return ShapeError(f"node {node.name!r}{_from(node)}: {node.op} cannot take inputs of shape {shapes}: {error}")


def _from(node: Node) -> str:
    return f" (from {node.origin})" if node.origin else f" (layer {node.layer!r})" if node.layer and node.layer != node.name else ""


def sample_feeds(graph: Graph, batch: int = 1, size: int = 8, seed: int = 0) -> dict[str, Array]:
    """Feeds of the right kind to learn shapes with: positive noise (safe for logarithms), zeros for indices."""
    rng = np.random.default_rng(seed)
    out: dict[str, Array] = {}
    for name, spec in graph.inputs.items():
        shape = tuple(n if n is not None else batch if k == 0 else size for k, n in enumerate(spec.shape))
        check_bytes(8 * prod(shape), f"input {name!r} of {' x '.join(map(str, shape))}")
        if spec.kind == "float":
            noise = rng.integers(1, 9, shape)
            out[name] = rationals(noise, name) if graph.dtype == "exact" else (noise / 8).astype(DTYPES[graph.dtype])
        else:
            out[name] = np.zeros(shape, dtype=np.int64 if spec.kind == "int" else bool)
    return out


class Shapes(Mapping[str, tuple[int, ...]]):
    """The shape of every value of a run, looked up when it is asked for."""

    def __init__(self, values: Mapping[str, Array]) -> None:
        self.values_of = values

    def __getitem__(self, name: str) -> tuple[int, ...]:
        return self.values_of[name].shape

    def __contains__(self, name: object) -> bool:
        return name in self.values_of

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_of)

    def __len__(self) -> int:
        return len(self.values_of)


def shapes_of(graph: Graph, feeds: Mapping[str, Array] | None = None) -> dict[str, tuple[int, ...]]:
    """The shape of every value, learned by running the graph once (on ``sample_feeds`` unless feeds are given)."""
    feeds = sample_feeds(graph) if feeds is None else feeds
    shapes = {k: v.shape for k, v in {**graph.params, **feeds}.items()}
    evaluate(graph, feeds, keep=(), visit=lambda node, xs, y: shapes.__setitem__(node.name, y.shape))
    return shapes
