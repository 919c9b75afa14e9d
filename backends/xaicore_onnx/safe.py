"""Reading ONNX that may be hostile: size, kind of file, tensors, operator sets; nothing is trusted before it was checked.

What comes out is a checked ModelProto without local functions, whose tensors are all inside it and hold as many bytes as they say.
Files beside the model are read by external.py, where the caller asks for it, and by nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.checker
import onnx.inliner
import onnx.numpy_helper
from onnx import TensorProto

from xaicore.errors import ConversionError, FileRefused
from xaicore.graph import untrusted
from xaicore.numerics import Array
from xaicore_onnx.external import ITEM_BYTES, fill

MAX_BYTES = 2 << 30
"""What one protobuf message can hold at most; a larger model has to use external data."""

MAX_INLINED = 100_000
"""Nodes that a model with local functions may have once they are inlined; the exporters' largest have some thousands."""

OPSETS = range(7, 29)
"""The operator sets whose meaning was read and is implemented: before 7 broadcasting was another, after 28 nothing is known."""

MAGIC = {
    b"PK\x03\x04": "a zip archive (a torch checkpoint, a .keras or an .npz file)",
    b"\x89HDF": "an HDF5 file (Keras weights)",
    b"\x1f\x8b": "a gzip archive; unpack it first",
    b"\x93NUM": "a NumPy array",
    b"\x80\x02": "a Python pickle, which is never opened, since that would run code from it",
    b"\x80\x03": "a Python pickle, which is never opened, since that would run code from it",
    b"\x80\x04": "a Python pickle, which is never opened, since that would run code from it",
    b"\x80\x05": "a Python pickle, which is never opened, since that would run code from it",
}

RECIPE = "give a file that torch.onnx.export, tf2onnx or onnx.save wrote"

TYPED_FIELD = {
    TensorProto.FLOAT: "float_data", TensorProto.DOUBLE: "double_data", TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data", TensorProto.UINT64: "uint64_data",
}  # fmt: skip
"""Where a tensor without raw bytes keeps its elements; int32_data for all types that are not named."""


def read_file(path: str | os.PathLike[str], external_data: bool = False) -> onnx.ModelProto:
    """The checked model of a file; FileRefused for everything that is not one. ``external_data``: tensors in files beside it are read."""
    where = Path(path)
    return read_bytes(untrusted.read_bytes(where, MAX_BYTES), str(where), where.parent if external_data else None)


def read_bytes(data: bytes, source: str = "the model", folder: Path | None = None) -> onnx.ModelProto:
    """The checked model of a serialised ModelProto; ``folder`` holds the files that its tensors may be in."""
    if not data:
        raise FileRefused(f"{source} is empty (0 bytes); {RECIPE}")
    for magic, kind in MAGIC.items():
        if data.startswith(magic):
            raise FileRefused(f"{source} is not an ONNX model but {kind}; {RECIPE}")
    if len(data) > MAX_BYTES:
        raise FileRefused(f"{source} has {len(data):,} bytes; an ONNX model holds {MAX_BYTES:,} at most")
    try:
        model = onnx.ModelProto.FromString(data)
    except Exception as error:  # protobuf's own error type moves between its implementations
        raise FileRefused(
            f"{source} is not an ONNX model, or is cut off or damaged: {_short(error)} ({len(data):,} bytes). "
            f"Compare its size with the original; {RECIPE}"
        ) from error
    if folder is not None:
        fill(tensors_of(model), folder, min(MAX_BYTES, untrusted.max_total()) - len(data), source)
    return checked(model, source)


def checked(model: onnx.ModelProto, source: str = "the model") -> onnx.ModelProto:
    """The model after all checks, with local functions inlined. The one given is not changed."""
    if not model.ir_version or not model.HasField("graph") or not model.graph.output:
        raise FileRefused(f"{source} is not an ONNX model, or is cut off: it has no ir_version, no graph or no output; {RECIPE}")
    for tensor in tensors_of(model):
        check_tensor(tensor, source)
    opset_of(model)
    check_calls(model, source)
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # ValidationError, ValueError (over 2 GB), UnicodeDecodeError (damaged names)
        raise FileRefused(f"{source} is not a valid ONNX model: {_short(error)}; export it again, or repair it") from error
    if not model.functions:
        return model
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:
        raise FileRefused(f"{source}: its local functions cannot be inlined: {_short(error)}; export the model without them") from error


def check_calls(model: onnx.ModelProto, source: str = "the model") -> None:
    """Refuses local functions that call themselves (on which older inliners crash), or that make more than MAX_INLINED nodes of each other.

    Each that calls the next one twice doubles the nodes, so that a file of some kilobytes has 2^24 of them.
    """
    bodies = {_called(f.domain, f.name, f): f.node for f in model.functions}
    if not bodies:
        return
    sizes: dict[tuple[str, str, str], int] = {}

    def size(nodes: Any) -> int:
        return sum(1 + inlined(_called(n.domain, n.op_type, n)) + sum(size(g.node) for a in n.attribute for g in [a.g, *a.graphs])
                   for n in nodes)

    def inlined(name: tuple[str, str, str]) -> int:
        if name not in bodies:
            return 0
        if sizes.get(name) == -1:
            raise FileRefused(f"{source} is not a valid ONNX model: its local function {name[1]!r} calls itself")
        if name not in sizes:
            sizes[name] = -1
            sizes[name] = size(bodies[name])
        return sizes[name]

    try:
        count = size(model.graph.node) + sum(map(inlined, bodies))      # those that nobody calls, too
    except RecursionError:
        raise FileRefused(f"{source}: its local functions call each other too deeply; export the model without them") from None
    if count > MAX_INLINED:
        raise FileRefused(f"{source}: its local functions make {count:,} nodes of each other; at most {MAX_INLINED:,} are read")


def _called(domain: str, name: str, proto: Any) -> tuple[str, str, str]:
    """What a call and a function have in common; the standard domain has two names."""
    return "" if domain == "ai.onnx" else domain, name, getattr(proto, "overload", "")


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operator set; ConversionError when its meaning is not known."""
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if not versions:
        raise ConversionError("the model imports no standard operator set; only operators of the domain ai.onnx are converted")
    if versions[0] not in OPSETS:
        raise ConversionError(
            f"the model uses operator set {versions[0]}; the sets {OPSETS[0]} to {OPSETS[-1]} are understood. "
            f"Export it with opset_version=18, or convert it with onnx.version_converter"
        )
    return int(versions[0])


# ----- tensors ----------------------------------------------------------------------------------------------------


def tensors_of(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """Every tensor: initialisers, and attributes of all nodes, in subgraphs and functions too."""
    yield from _in_graph(model.graph)
    for function in model.functions:
        yield from _in_nodes(function.node)


def _in_graph(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise FileRefused(f"the model has a sparse initialiser ({name!r}), which this version does not read; store it dense")
    yield from graph.initializer
    yield from _in_nodes(graph.node)


def _in_nodes(nodes: Any) -> Iterator[TensorProto]:
    for node in nodes:
        for a in node.attribute:
            if a.HasField("t"):
                yield a.t
            yield from a.tensors
            if a.HasField("sparse_tensor") or a.sparse_tensors:
                raise FileRefused(f"node {node.name!r} ({node.op_type}) holds a sparse tensor, which is not read; store it dense")
            for graph in [a.g, *a.graphs] if a.HasField("g") else a.graphs:
                yield from _in_graph(graph)


def check_tensor(tensor: TensorProto, source: str = "the model") -> None:
    """Refuses external data, impossible sizes, and tensors that hold another number of bytes than they say."""
    who = f"{source}: tensor {tensor.name or '(unnamed)'!r}"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise FileRefused(
            f"{who} keeps its data in another file (external data), which is read only if asked: "
            f"xaicore.load('model.onnx', external_data=True) reads files in the model's folder. Or put it into the model, if you trust the "
            f"file: onnx.save(onnx.load('model.onnx'), 'inlined.onnx', save_as_external_data=False)"
        )
    if tensor.HasField("segment"):
        raise FileRefused(f"{who} is stored in segments, which this version does not read; save the model again with onnx.save")
    if any(d < 0 for d in tensor.dims):
        raise FileRefused(f"{who} has the shape {list(tensor.dims)}; sizes of at least 0 are expected. The file is damaged")
    count = prod(tensor.dims)                               # Python integers do not overflow
    if tensor.data_type not in ITEM_BYTES:
        return                                              # refused where it is used, if it is used at all
    if tensor.HasField("raw_data"):
        have, unit = len(tensor.raw_data), ITEM_BYTES[tensor.data_type]
        if have != count * unit:
            raise FileRefused(
                f"{who} has the shape {list(tensor.dims)}, so {count * unit:,} bytes are expected, but it holds {have:,}. "
                f"The file is damaged or cut off"
            )
        untrusted.check_bytes(have, who)
        return
    have = len(getattr(tensor, TYPED_FIELD.get(tensor.data_type, "int32_data")))
    if have != count:
        raise FileRefused(
            f"{who} has the shape {list(tensor.dims)}, so {count:,} elements are expected, but it holds {have:,}. The file is damaged"
        )


def array_of(tensor: TensorProto, who: str) -> Array:
    """The array of a checked tensor. bfloat16 becomes float32, which holds all its values."""
    check_tensor(tensor)                                    # never trust that the caller did: to_array would read external files
    if tensor.data_type not in ITEM_BYTES:
        kind = TensorProto.DataType.Name(tensor.data_type) if tensor.data_type in TensorProto.DataType.values() else tensor.data_type
        raise ConversionError(f"{who} has the element type {kind}, which is not converted; use float, integer or bool tensors")
    x = np.asarray(onnx.numpy_helper.to_array(tensor))
    return x if x.dtype.kind in "fiub" else x.astype(np.float32)


def _short(error: Exception) -> str:
    """The first line of a message, at most 300 characters."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]
