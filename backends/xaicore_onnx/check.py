"""What surrounds a conversion: the input sizes to convert at, which of them stay free, and the comparison with the reference evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import onnx

from xaicore.errors import ConversionError, FileRefused, InputError, NothingChecked, XaicoreError, nearest
from xaicore.graph import Graph, InputSpec
from xaicore.graph.run import check_feeds, evaluate, sample_feeds
from xaicore.graph.verify import TOLERANCE, verify
from xaicore.numerics import Array
from xaicore_onnx.convert import Conversion, Converter, Feed
from xaicore_onnx.fold import MAX_VALUE
from xaicore_onnx.lower import TABLE
from xaicore_onnx.reference import evaluator
from xaicore_onnx.safe import opset_of
from xaicore_onnx.values import to_graph

FREE_SIZE = 64
"""Tried for an axis that the file leaves free when there is no example: a token sequence or a small image."""

HALF_TOLERANCE = 1e-2
"""float16 has 11 bits: about 5e-4 for one rounding, and a network makes some tens of them."""

DOUBLE_TOLERANCE = 1e-6
"""Settings such as epsilon are stored in single precision (6e-8), and so are the constants in function bodies such as Gelu's."""

KINDS = {
    **dict.fromkeys((onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16), "f"),
    **dict.fromkeys(
        (getattr(onnx.TensorProto, f"{sign}INT{bits}") for sign in ("", "U") for bits in (8, 16, 32, 64)), "i"
    ),
    onnx.TensorProto.BOOL: "b",
}

Sizes = tuple[int | str | None, ...]
"""The declared shape of an input: a number, a name of a free size, or None."""


def graph_of(
    model: onnx.ModelProto, example: Any = None, *, dtype: str = "float64", verified: bool = True, unbatched: bool = False,
    constants: Mapping[str, Any] | None = None, batch_axes: Mapping[str, int] | None = None,
) -> Graph:
    """The graph of a checked model; see ``xaicore_onnx.to_graph``."""
    model = with_constants(model, constants or {})
    declared = declared_inputs(model)
    examples = named(example, [name for name, _, _ in declared])
    axes = axes_of(declared, batch_axes or {}, unbatched)
    if any(axes.values()):
        declared = [(name, _moved(sizes, axes[name]), kind) for name, sizes, kind in declared]
        examples = {name: np.moveaxis(x, axes[name], 0) if axes[name] < x.ndim else x for name, x in examples.items()}
    batch, fixed = batch_of(declared, examples, unbatched)
    feeds = [replace(_feed(name, sizes, kind, examples.get(name), unbatched), at=axes[name]) for name, sizes, kind in declared]
    total = max(batch, 1) * sum(prod(max(n, 1) for n in f.tail) for f in feeds)     # also beside a 0: NumPy refuses such sizes
    if total > MAX_VALUE:
        raise FileRefused(f"the inputs have {total:,} entries; {MAX_VALUE:,} are allowed. The file is broken or hostile")
    try:
        first = _first(model, feeds, batch, fixed, unbatched)
    except XaicoreError as error:
        free = next((name for name, sizes, _ in declared if name not in examples and any(not isinstance(n, int) for n in sizes[1:])), None)
        if free is None:
            raise
        raise type(error)(
            f"{error}   [The file leaves sizes of input {free!r} free, and {FREE_SIZE} was tried for each: pass an example input, "
            f"xaicore.from_model(onnx.load(path), example)]"
        ) from error
    graph = _freed(model, first, feeds, declared, batch, fixed, unbatched)
    if (fixed and not unbatched and not _any_batch(graph, batch)) or first.hard_coded:
        graph = _with_batch(graph, batch)
    if verified:
        compare(model, graph, first, examples, batch if fixed else None, unbatched)
    return graph.astype(dtype)


def _first(model: onnx.ModelProto, feeds: Sequence[Feed], batch: int, fixed: bool, unbatched: bool) -> Conversion:
    """The conversion at the sizes of the file; where it holds a number of its own for each sample, at its batch size alone."""
    try:
        return run(model, feeds, batch, fixed and batch == 1, unbatched, fixed=fixed)
    except ConversionError as error:
        if not fixed or batch == 1:
            raise
        try:
            return run(model, feeds, batch, False, unbatched, frozen=True, fixed=True)
        except XaicoreError:
            raise error from None


def run(
    model: onnx.ModelProto, feeds: Sequence[Feed], batch: int, single: bool, unbatched: bool, frozen: bool = False, fixed: bool = False,
) -> Conversion:
    """One conversion at given sizes."""
    try:
        return Converter(model, TABLE, feeds, opset_of(model), batch, single, unbatched, frozen, fixed).run()
    except MemoryError as error:
        raise FileRefused("the model asks for more memory than there is; its sizes are broken or hostile") from error
    except RecursionError as error:
        raise FileRefused("the model nests subgraphs deeper than any exporter does; it is broken or hostile") from error


# ----- inputs -----------------------------------------------------------------------------------------------------


def declared_inputs(model: onnx.ModelProto) -> list[tuple[str, Sizes, str]]:
    """(name, sizes, kind) of every input that has no initialiser (those are constants with a default)."""
    defaults = {t.name for t in model.graph.initializer}
    found = []
    for value in model.graph.input:
        if value.name in defaults:
            continue
        if not value.type.HasField("tensor_type") or value.type.tensor_type.elem_type not in KINDS:
            raise ConversionError(f"input {value.name!r} is not a tensor of floats, integers or booleans; other inputs are not converted")
        tensor = value.type.tensor_type
        if not tensor.HasField("shape"):
            raise ConversionError(f"the file does not say how many axes input {value.name!r} has; export it with input shapes")
        sizes: Sizes = tuple(
            d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else d.dim_param or None for d in tensor.shape.dim
        )
        found.append((value.name, sizes, KINDS[tensor.elem_type]))
    if not found:
        raise ConversionError("the model has no input, so there is nothing to explain; its output is a constant")
    return found


def named(example: Any, names: Sequence[str]) -> dict[str, Array]:
    """An example (one array, a sequence in the order of the inputs, or a mapping) as arrays by name."""
    if example is None:
        return {}
    if isinstance(example, Mapping):
        given = {str(k): v for k, v in example.items()}
    elif isinstance(example, (tuple, list)) and len(example) == len(names) and (len(names) > 1 or hasattr(example[0], "shape")):
        given = dict(zip(names, example))
    else:
        given = {names[0]: example}
    strange = [k for k in given if k not in names]
    if strange or len(given) != len(names):
        raise InputError(
            f"the example has {', '.join(given) or 'nothing'}, but the model has the inputs {', '.join(names)}; give each of "
            "them"
        )
    return {k: np.asarray(v.detach().cpu().numpy() if hasattr(v, "detach") else v) for k, v in given.items()}


def with_constants(model: onnx.ModelProto, constants: Mapping[str, Any]) -> onnx.ModelProto:
    """The model in which inputs have become constants; InputError for values that do not fit what the file declares."""
    if not constants:
        return model
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    declared = {v.name: v for v in fixed.graph.input}
    for name, value in constants.items():
        if name not in declared:
            raise InputError(f"constants names {name!r}, which is no input of the model: {nearest(str(name), declared)}")
        tensor = declared[name].type.tensor_type
        x = np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
        if tensor.elem_type not in KINDS or x.dtype.kind not in "fiub":
            raise InputError(f"the constant for input {name!r} is no tensor of floats, integers or booleans, which alone are converted")
        sizes = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
        if tensor.HasField("shape") and (len(sizes) != x.ndim or any(want not in (None, have) for want, have in zip(sizes, x.shape))):
            raise InputError(f"the constant for input {name!r} has shape {x.shape}, but the file says {sizes} (None: any size)")
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if {"u": "i"}.get(x.dtype.kind, x.dtype.kind) != KINDS[tensor.elem_type] and x.size:
            raise InputError(f"the constant for input {name!r} has dtype {x.dtype}, but the file says {kind}; convert it with astype")
        fixed.graph.input.remove(declared[name])
        default = next((t for t in fixed.graph.initializer if t.name == name), None)
        if default is not None:
            fixed.graph.initializer.remove(default)
        fixed.graph.initializer.append(onnx.numpy_helper.from_array(x.astype(kind), name))
    return fixed


def axes_of(declared: Sequence[tuple[str, Sizes, str]], given: Mapping[str, int], unbatched: bool) -> dict[str, int]:
    """On which axis each input has the batch: as given, else where the name of the batch's size (axis 0 of the first) stands, else 0."""
    known = {name: len(sizes) for name, sizes, _ in declared}
    for name, axis in given.items():
        if name not in known:
            raise InputError(f"batch_axes names {name!r}, which is no input of the model: {nearest(str(name), known)}")
        if not isinstance(axis, int) or not 0 <= axis < known[name]:
            raise InputError(f"batch_axes says {axis!r} for input {name!r}, which has {known[name]} axes; a number from 0 is expected")
    if unbatched:
        return dict.fromkeys(known, 0)
    batch = next((sizes[0] for _, sizes, _ in declared[:1] if sizes and isinstance(sizes[0], str)), None)
    named_so = {name: sizes.index(batch) for name, sizes, _ in declared if batch is not None and sizes.count(batch) == 1}
    return {name: given.get(name, named_so.get(name, 0)) for name in known}


def _moved(sizes: Sizes, axis: int) -> Sizes:
    """The batch axis first; a single number has none, which ``batch_of`` refuses."""
    return sizes if not sizes else (sizes[axis], *sizes[:axis], *sizes[axis + 1:])


def batch_of(declared: Sequence[tuple[str, Sizes, str]], examples: Mapping[str, Array], unbatched: bool) -> tuple[int, bool]:
    """The batch size that literal numbers in the file stand for, and whether the file fixes it."""
    if unbatched:
        return 1, False
    for name, sizes, _ in declared:
        if not sizes:
            raise ConversionError(
                f"input {name!r} is a single number without a batch axis; give its value: constants={{{name!r}: value}}, or convert a "
                f"model for one sample with unbatched=True"
            )
    literal = {sizes[0] for _, sizes, _ in declared if isinstance(sizes[0], int)}
    if len(literal) > 1:
        raise ConversionError(
            f"the inputs have different sizes on axis 0 ({', '.join(f'{name} {sizes[0]}' for name, sizes, _ in declared)}), "
            "which is the batch "
            f"of every input here. Say where it is: batch_axes={{name: axis}}; give inputs that have none as constants={{name: array}}; if "
            f"the model takes one sample without a batch axis, use unbatched=True"
        )
    return (int(literal.pop()), True) if literal else (1, False)


def _feed(name: str, sizes: Sizes, kind: str, example: Array | None, unbatched: bool) -> Feed:
    """The sizes of one sample to convert at: those of the file, of the example, or FREE_SIZE."""
    if example is not None and example.ndim != len(sizes):
        raise InputError(f"the example for input {name!r} has shape {example.shape}, but {len(sizes)} axes are declared in the file")
    tail = []
    for k, size in enumerate(sizes):
        if k == 0 and not unbatched:
            continue
        if isinstance(size, int) and example is not None and example.shape[k] != size:
            raise InputError(f"the example for input {name!r} has shape {example.shape}, but the file says {size} for axis {k}")
        tail.append(size if isinstance(size, int) else example.shape[k] if example is not None else FREE_SIZE)
    return Feed(name, tuple(tail), kind)


# ----- what stays free --------------------------------------------------------------------------------------------


def _freed(
    model: onnx.ModelProto, first: Conversion, feeds: Sequence[Feed], declared: Sequence[tuple[str, Sizes, str]], batch: int, fixed: bool,
    unbatched: bool,
) -> Graph:
    """The graph whose inputs leave those sizes free that the file leaves free and that no node depends on.

    Whether one does is found by converting at another size: where the same graph comes out, no number in it comes from the size.
    """
    skip = 0 if unbatched else 1
    loose = {name: [k for k, n in enumerate(sizes[skip:], 1) if not isinstance(n, int)] for name, sizes, _ in declared}
    if not any(loose.values()):
        return first.graph

    def other(n: int) -> int:
        return n // 2 if n % 2 == 0 and n >= 16 else 2 * n

    changed = [
        replace(f, tail=tuple(other(n) if k in loose[f.name] else n for k, n in enumerate(f.tail, 1))) for f in feeds
    ]
    try:
        second = run(model, changed, batch, fixed and batch == 1, unbatched, fixed=fixed).graph
    except XaicoreError:
        return first.graph
    if not _same(first.graph, second):
        return first.graph
    inputs = {
        name: InputSpec((None, *(None if k in loose[name] else n for k, n in enumerate(spec.shape[1:], 1))), spec.kind)
        for name, spec in first.graph.inputs.items()
    }
    return replace(first.graph, inputs=inputs)


def _same(a: Graph, b: Graph) -> bool:
    """Have two graphs the same nodes and parameters?"""
    if a.nodes != b.nodes or a.outputs != b.outputs or a.params.keys() != b.params.keys():
        return False
    return all(np.array_equal(x, b.params[k]) for k, x in a.params.items())


def _with_batch(graph: Graph, n: int) -> Graph:
    inputs = {name: InputSpec((n, *spec.shape[1:]), spec.kind) for name, spec in graph.inputs.items()}
    return replace(graph, inputs=inputs)


def _any_batch(graph: Graph, n: int) -> bool:
    """Does a graph of a file with a fixed batch run on one sample more, with the same results for the others?"""
    feeds = sample_feeds(graph, batch=n + 1)
    try:
        more = evaluate(graph, feeds)
        same = evaluate(graph, {k: v[:n] for k, v in feeds.items()})
    except XaicoreError:
        return False
    return all(o in graph.params or _close(more[o][:n], same[o], TOLERANCE["float64"]) for o in graph.outputs)


def _close(a: Array, b: Array, tolerance: float) -> bool:
    if a.shape != b.shape:
        return False
    x, y = a.astype(float), b.astype(float)
    finite = np.isfinite(y)
    size = max(float(np.abs(y[finite]).max(initial=0)), 1e-6)
    return bool(np.allclose(x, y, rtol=0, atol=tolerance * size, equal_nan=True))


# ----- the reference evaluator ------------------------------------------------------------------------------------


def compare(
    model: onnx.ModelProto, graph: Graph, conversion: Conversion, examples: Mapping[str, Array], batch: int | None, unbatched: bool
) -> None:
    """Raises Mismatch at the first node whose value differs from that of onnx.reference; all values that both know are compared.

    A file with a fixed batch is run on pieces of that size, a model for one sample on every sample by itself.
    """
    feeds = dict(examples)
    if unbatched:
        feeds = {k: v[None] for k, v in feeds.items()}
    if not feeds:
        rng = np.random.default_rng(0)
        drawn = sample_feeds(_sized(graph, conversion.graph), batch=2 if batch is None else batch)
        # zeros and ones are numbers that any table has; zeros alone would make constants of layers, whose normal form is rounding
        feeds = {k: x if x.dtype.kind == "f" else rng.integers(0, 2, x.shape).astype(x.dtype) for k, x in drawn.items()}
    feeds = check_feeds(graph, feeds)
    count = next(iter(feeds.values())).shape[0]
    step = 1 if unbatched or any(layout[0] is None for _, layout in conversion.origin.values()) else batch or count
    if count % step:
        raise InputError(f"the example has {count} samples, but the file takes batches of {step}; give a multiple of {step}")
    pieces = [_reference(model, {k: v[n:n + step] for k, v in feeds.items()}, conversion, unbatched) for n in range(0, count, step)]
    expected = {k: np.concatenate([p[k] for p in pieces]) for k in pieces[0]}
    expected.update({o: graph.params[o] for o in graph.outputs if o in graph.params})
    floats = {x.dtype.str[1:] for x in expected.values() if x.dtype.kind == "f"}
    tolerance = HALF_TOLERANCE if "f2" in floats else DOUBLE_TOLERANCE if floats == {"f8"} else TOLERANCE["float32"]
    verify(graph, feeds, expected, "onnx.reference", tolerance)


def _sized(graph: Graph, first: Graph) -> Graph:
    """The graph with the input sizes it was converted at."""
    return replace(graph, inputs={k: InputSpec((spec.shape[0], *first.inputs[k].shape[1:]), spec.kind) for k, spec in graph.inputs.items()})


def _reference(model: onnx.ModelProto, feeds: Mapping[str, Array], conversion: Conversion, unbatched: bool) -> dict[str, Array]:
    """The values of onnx.reference by graph name, in the graph's order of axes."""
    types = {v.name: onnx.helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type) for v in model.graph.input}
    axes = {f.name: f.at for f in conversion.feeds}
    given = {k: (v[0] if unbatched else np.moveaxis(v, 0, axes[k])).astype(types[k]) for k, v in feeds.items()}
    try:
        with np.errstate(all="ignore"):
            values = evaluator(model).run(None, given, intermediate=True)
    except Exception as error:  # the evaluator raises whatever its NumPy code raises
        raise NothingChecked(
            f"onnx.reference cannot run the model ({type(error).__name__}: {str(error)[:200]}), so the conversion could not be compared; "
            f"pass verify=False to convert anyway, and compare with the framework yourself"
        ) from error
    found = {}
    for name, (origin, layout) in conversion.origin.items():
        if origin in values and values[origin] is not None:
            x = np.asarray(values[origin])
            found[name] = to_graph(x if x.dtype.kind in "fiub" else x.astype(np.float32), layout)
    return found
