"""Keras 3 models as graphs: ``to_graph``. The table "layer or operation -> Builder calls" is in lower.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from xaicore.errors import BackendError, ConversionError, InputError
from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph, InputSpec
from xaicore.graph.run import check_feeds
from xaicore.graph.verify import TOLERANCE
from xaicore.graph.verify import verify as compare
from xaicore.numerics import Array
from xaicore_keras.convert import LAYOUTS, Converter, Value
from xaicore_keras.lower import EXPORT, TABLE, reject
from xaicore_keras.record import flat, functional_of, kind_of, kind_of_number, no_gradient, numpy_of

__all__ = ["to_graph"]


def to_graph(model: Any, example: Any = None, *, dtype: str = "float64", verify: bool = True) -> Graph:
    """The graph of a live Functional or Sequential Keras 3 model, at inference.

    ``example`` is what the model is fed: an array, a sequence in the order of ``model.inputs``, or a mapping by name; without
    one, ``verify`` draws its own. Where the model leaves an axis free and a layer needs its length, the example decides it
    and the graph is for that size. With ``verify`` Keras runs on the example, and each tensor that it records is compared.
    BackendError for what is no such model, ConversionError for what has no counterpart, Mismatch where values differ.
    """
    functional = _recorded(model)
    specs = {t._keras_history.operation.name: _spec(t) for t in functional.inputs}
    feeds = None
    if example is not None:
        feeds = check_feeds(Graph(specs, {}, (), tuple(specs)), _by_name(example, tuple(specs)))
    elif verify:
        feeds = _drawn(specs)
    builder = Builder(str(model.name))
    convert = Converter(builder, TABLE, reject)
    given = _framework_feeds(functional, feeds)
    values: list[Value] = []
    for tensor, (name, spec) in zip(functional.inputs, specs.items()):
        image = name if spec.kind == "float" and len(spec.shape) in LAYOUTS else ""
        seen = None if given is None else given[len(values)]
        values.append(Value(builder.input(name, spec.shape, spec.kind), tuple(tensor.shape), spec.kind, image=image, seen=seen))
    outputs = [convert.own(v) for v in convert.model(functional, values)]
    builder.meta.update(_layouts(convert, specs))
    graph = builder.build(*(v.name for v in outputs))
    if convert.fixed and feeds is not None:
        graph = replace(graph, inputs={k: InputSpec((None, *feeds[k].shape[1:]), s.kind) for k, s in specs.items()})
    if verify and feeds is not None:
        with no_gradient():
            final = flat(functional(_packed(functional, given), training=False))
        expected = {**convert.expected, **{v.name: numpy_of(y) for v, y in zip(outputs, final)}}
        _verify(graph, feeds, expected)
    return graph.astype(dtype)


def _verify(graph: Graph, feeds: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    """Compares each tensor that Keras recorded with what the graph makes of Keras's own values before it.

    So a deep network's float32 rounding, which a normalisation by a small variance amplifies without bound, does not add up
    to a difference that no layer made.
    """
    known = {k: v for k, v in expected.items() if k not in graph.inputs and np.isfinite(v).all()}
    given = {f"{k} (keras)": v for k, v in known.items()}
    nodes = tuple(replace(n, inputs=tuple(f"{i} (keras)" if i in known else i for i in n.inputs)) for n in graph.nodes)
    inputs = {**graph.inputs, **{k: InputSpec((None, *v.shape[1:]), kind_of_number(str(v.dtype))) for k, v in given.items()}}
    cut = replace(graph, inputs=inputs, nodes=nodes)
    compare(cut, {**feeds, **given}, expected, "keras", TOLERANCE["float32"])     # Keras computes float64 models in float32 too


def _recorded(model: Any) -> Any:
    """The Functional graph of a model; what is none gets an error with a way out."""
    if not isinstance(model, keras.Model):
        raise BackendError(f"a keras.Model is expected, not a {type(model).__name__}; wrap layers as keras.Sequential([...])")
    functional = functional_of(model)
    if functional is not None:
        return functional
    if isinstance(model, keras.Sequential) and kind_of(model).startswith("keras."):
        raise ConversionError(
            f"the Sequential model {model.name!r} has no input shape yet, so it has no graph; "
            f"put a keras.Input first, or call model.build((None, ...))"
        )
    raise ConversionError(
        f"the model {model.name!r} ({kind_of(model)}) is a subclass with its own call(), whose code Keras does not record. "
        f"To do: build it as a Functional model (keras.Model(inputs, outputs)); or {EXPORT}"
    )


# ----- inputs -----------------------------------------------------------------------------------------------------


def _spec(tensor: Any) -> InputSpec:
    dtype = str(tensor.dtype)
    if "string" in dtype or "complex" in dtype:
        raise ConversionError(f"input {tensor.name!r} has dtype {dtype}; numbers are expected: take the preprocessing out of the model")
    return InputSpec((None, *tensor.shape[1:]), "float" if dtype == "uint8" else kind_of_number(dtype))     # bytes are pixels


def _by_name(example: Any, names: tuple[str, ...]) -> Any:
    """A list for several inputs as a tuple; a mapping or one array as it is."""
    if isinstance(example, Mapping) or len(names) == 1:
        return example[0] if isinstance(example, (list, tuple)) and len(example) == 1 else example
    return tuple(example) if isinstance(example, list) else example


def _drawn(specs: Mapping[str, InputSpec]) -> dict[str, Array]:
    """Two samples of noise, and of the indices 0 and 1."""
    rng = np.random.default_rng(0)
    out: dict[str, Array] = {}
    for name, spec in specs.items():
        if None in spec.shape[1:]:
            raise InputError(
                f"input {name!r} has the shape {spec.shape}, so no example can be drawn to verify the conversion with; "
                f"give one (from_model(model, example)), or use verify=False"
            )
        shape = (2, *(n or 0 for n in spec.shape[1:]))
        out[name] = rng.standard_normal(shape) if spec.kind == "float" else rng.integers(0, 2, shape)
    return check_feeds(Graph(specs, {}, (), tuple(specs)), out)


def _framework_feeds(functional: Any, feeds: Mapping[str, Array] | None) -> list[Any] | None:
    if feeds is None:
        return None
    return [keras.ops.convert_to_tensor(x, dtype=t.dtype) for t, x in zip(functional.inputs, feeds.values(), strict=True)]


def _packed(functional: Any, given: list[Any] | None) -> Any:
    """The tensors in the structure in which the model takes its inputs."""
    return keras.tree.pack_sequence_as(functional.input, given)


def _layouts(convert: Converter, specs: Mapping[str, InputSpec]) -> dict[str, str]:
    """The inputs whose channels are last: those of channels-last layers, and images that no layer places, by Keras's setting."""
    default = keras.config.image_data_format() == "channels_last"
    found = dict(convert.layouts)
    for name, spec in specs.items():
        if spec.kind == "float" and len(spec.shape) in (4, 5) and default:
            found.setdefault(name, LAYOUTS[len(spec.shape)])
    return {f"layout.{name}": layout for name, layout in found.items() if layout}
