"""Keras 3 models as graphs: ``to_graph`` for live ones, ``load`` for .keras files, which are read without Keras.

The table "layer or operation -> Builder calls" is in lower.py. It works on a record (record.py) that a live model (live.py) and a
file (stored.py) give alike.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from xaicore.errors import BackendError, ConversionError, InputError, Mismatch
from xaicore.graph.graph import Graph, InputSpec
from xaicore.graph.run import check_feeds
from xaicore.numerics import Array
from xaicore_keras.convert import LAYOUTS, Converter, FreeAxis, Value
from xaicore_keras.lower import TABLE, reject
from xaicore_keras.record import Input, Layer, Net, Settings, kind_of_number
from xaicore_keras.sized import SizedBuilder

__all__ = ["emit", "load", "to_graph"]


def to_graph(model: Any, example: Any = None, *, dtype: str = "float64", verify: bool = True) -> Graph:
    """The graph of a live Functional or Sequential Keras 3 model, at inference.

    ``example`` is what the model is fed: an array, a sequence in the order of ``model.inputs``, or a mapping by name; without
    one, ``verify`` draws its own. Where the model leaves an axis free and a layer needs its length, the example decides it
    and the graph is for that size. With ``verify`` Keras runs on the example, and each tensor that it records is compared.
    BackendError for what is no such model, ConversionError for what has no counterpart, Mismatch where values differ.
    """
    with _imports():
        from xaicore_keras import live

    return _graph(live.recorded(model), example, live.settings(), model if verify else None).astype(dtype)


def load(path: str | os.PathLike[str], *, example: Any = None, dtype: str = "float64", verify: bool = False) -> Graph:
    """The graph of a .keras file, read with zipfile, json and h5py: nothing in the file is run, and Keras is not imported.

    The graph is the one that ``to_graph`` makes of the model that was saved, bit for bit, where Keras runs on its default
    configuration (epsilon 1e-7, channels last) and computes averages at the border as all its backends but torch do.
    ``verify`` does import Keras: it loads the file too, in its safe mode, and every tensor is compared.
    FileRefused for what is no sound .keras file, ConversionError for a layer without a counterpart: Lambda, your own classes.
    """
    from xaicore_keras import stored

    with stored.opened(path) as model:
        graph = _graph(model, example, Settings(), from_file=True)
    if verify:                                                          # Keras sees only what was found sound
        with _imports():
            from xaicore_keras import live

        _same(graph, to_graph(live.loaded(os.fspath(path)), example), os.fspath(path))
    return graph.astype(dtype)


def emit(graph: Graph) -> Any:
    """The graph as a keras.Model with the graph's weights: see xaicore_keras.emission.emit."""
    with _imports():
        from xaicore_keras import emission

    return emission.emit(graph)


@contextmanager
def _imports() -> Iterator[None]:
    """Around an import of what imports Keras: BackendError where Keras, or what it runs on, is not there."""
    try:
        yield
    except (ImportError, ValueError) as error:                          # ValueError: a backend that there is not
        raise BackendError(
            f"this needs Keras, which did not import ({error}); try: pip install 'xaicore[keras]', and set the environment variable "
            f"KERAS_BACKEND to torch, jax or tensorflow, whichever is installed"
        ) from error


def _same(ours: Graph, theirs: Graph, path: str) -> None:
    """Mismatch unless a file's graph is that of the model which Keras makes of the file."""
    for a, b in zip(ours.nodes, theirs.nodes):
        if a != b:
            raise Mismatch(f"{path}: the file gives the node {a}, the model that Keras loads from it {b}; please report this model")
    differ = [k for k in ours.params if k not in theirs.params or not np.array_equal(ours.params[k], theirs.params[k])]
    if differ or len(ours.nodes) != len(theirs.nodes):
        raise Mismatch(f"{path}: {differ[0] if differ else 'the number of nodes'!r} differs from the model that Keras loads from the file")


def _graph(model: Layer, example: Any, settings: Settings, live_model: Any = None, from_file: bool = False) -> Graph:
    net = model.net
    assert net is not None
    specs = {one.name: _spec(one) for one in net.inputs}
    feeds = None
    if example is not None:
        feeds = check_feeds(Graph(specs, {}, (), tuple(specs)), _by_name(example, tuple(specs)))
    elif live_model is not None:
        feeds = _drawn(specs)
    try:
        return _converted(net, specs, feeds, settings, live_model, from_file)
    except FreeAxis:
        if example is None or feeds is None:
            raise
        specs = {k: InputSpec((None, *feeds[k].shape[1:]), s.kind) for k, s in specs.items()}
        return _converted(net, specs, feeds, settings, live_model, from_file)


def _converted(
    net: Net, specs: Mapping[str, InputSpec], feeds: Mapping[str, Array] | None, settings: Settings, live_model: Any, from_file: bool
) -> Graph:
    """The graph for inputs of these sizes; with a live model and feeds compared with what Keras makes of them."""
    builder = SizedBuilder(net.name)
    convert = Converter(builder, TABLE, reject, settings, from_file=from_file)
    given: list[Any] | None = None
    if live_model is not None and feeds is not None:
        from xaicore_keras import live

        convert.run, given = live.run, live.feeds_of(live_model, feeds)
    values: list[Value] = []
    for k, (name, spec) in enumerate(specs.items()):
        image = name if spec.kind == "float" and len(spec.shape) in LAYOUTS else ""
        values.append(Value(builder.input(name, spec.shape, spec.kind), spec.shape, spec.kind, image=image, seen=given and given[k]))
    outputs = [convert.own(v) for v in convert.model(net, values)]
    builder.meta.update(_layouts(convert, specs))
    graph = builder.build(*(v.name for v in outputs))
    if given is not None and feeds is not None:
        final = live.outputs_of(live_model, given)
        live.verify(graph, feeds, {**convert.expected, **{v.name: y for v, y in zip(outputs, final)}})
    return graph


# ----- inputs -----------------------------------------------------------------------------------------------------


def _spec(one: Input) -> InputSpec:
    if "string" in one.dtype or "complex" in one.dtype:
        raise ConversionError(f"input {one.name!r} has dtype {one.dtype}; numbers are expected: take the preprocessing out of the model")
    return InputSpec((None, *one.shape[1:]), "float" if one.dtype == "uint8" else kind_of_number(one.dtype))      # bytes are pixels


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


def _layouts(convert: Converter, specs: Mapping[str, InputSpec]) -> dict[str, str]:
    """The inputs whose channels are last: those of channels-last layers, and images that no layer places, by Keras's setting."""
    found = dict(convert.layouts)
    for name, spec in specs.items():
        if spec.kind == "float" and len(spec.shape) in (4, 5) and convert.settings.data_format == "channels_last":
            found.setdefault(name, LAYOUTS[len(spec.shape)])
    return {f"layout.{name}": layout for name, layout in found.items() if layout}
