"""ONNX models as graphs, and graphs as ONNX models.

A file is data: it is read with a size limit, nothing in it is executed, no other file is opened. How operators are converted stands
in lower.py and the files it names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import onnx

from xaicore.errors import BackendError
from xaicore.graph import Graph
from xaicore_onnx.check import graph_of
from xaicore_onnx.emit import emit
from xaicore_onnx.safe import checked, read_bytes, read_file

__all__ = ["emit", "load", "to_graph"]


def to_graph(
    model: Any, example: Any = None, *, dtype: str = "float64", verify: bool = True, unbatched: bool = False,
    constants: Mapping[str, Any] | None = None, batch_axes: Mapping[str, int] | None = None,
) -> Graph:
    """The graph of a ModelProto, or of the bytes of one.

    ``example`` (one array, one for each input, or a mapping) gives the sizes that the file leaves free, and the values to verify on;
    without it they are random and free sizes are 64. With ``verify`` every value that graph and onnx.reference both know is compared.
    Axis 0 of every input is the batch; with ``unbatched`` the model takes one sample without such an axis, and the graph's inputs have
    it in front. A batch that the file fixes is free in the graph if no number in the file depends on it.
    ``batch_axes``: where the batch of an input is, if not on axis 0, {"state": 1}; the graph has it on axis 0, and ``meta["shape.state"]``
    says where ONNX has it. It is found by itself where the file names the size of axis 0 of the first input and uses that name again.
    ``constants``: values by name for inputs that are no inputs of the graph, such as a target shape, axes, a mask or a sequence length.
    FileRefused for what is not a sound model, ConversionError for what has no counterpart, Mismatch where the values differ.
    """
    if isinstance(model, (bytes, bytearray, memoryview)):
        proto = read_bytes(bytes(model))
    elif isinstance(model, onnx.ModelProto):
        proto = checked(model)
    else:
        raise BackendError(
            f"the ONNX backend takes an onnx.ModelProto or its bytes, not {type(model).__name__}; a file: "
            "xaicore.load(path)"
        )
    return graph_of(proto, example, dtype=dtype, verified=verify, unbatched=unbatched, constants=constants, batch_axes=batch_axes)


def load(
    path: str | os.PathLike[str], *, example: Any = None, dtype: str = "float64", verify: bool = False, unbatched: bool = False,
    constants: Mapping[str, Any] | None = None, batch_axes: Mapping[str, int] | None = None, external_data: bool = False,
) -> Graph:
    """The graph of an .onnx file; see ``to_graph``. FileRefused for everything that is not a sound ONNX file.

    ``external_data``: tensors that the model keeps in files of their own are read, from regular files in the model's folder alone.
    """
    proto = read_file(path, external_data)
    return graph_of(proto, example, dtype=dtype, verified=verify, unbatched=unbatched, constants=constants, batch_axes=batch_axes)

