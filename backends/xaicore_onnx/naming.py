"""What nodes and layers are called: the exporters' own names, turned into the dotted module paths that users select layers by."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import onnx

SCOPES = "pkg.torch.onnx.name_scopes"
LAYER = "xaicore.layer"
"""Metadata keys of a node: torch's list of module paths, and the layer that ``emit`` writes."""


def layer_of(node: onnx.NodeProto) -> str:
    """The module path of a node: from torch's metadata, else from a name like "/layer1/layer1.0/conv1/Conv".

    >>> layer_of(onnx.helper.make_node("Conv", ["x", "w"], ["y"], name="/layer1/layer1.0/conv1/Conv"))
    'layer1.0.conv1'
    """
    for entry in node.metadata_props:
        if entry.key == LAYER:
            return str(entry.value)
        if entry.key == SCOPES:
            try:
                scopes = ast.literal_eval(entry.value)                     # a list of strings; a literal cannot run code
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                break
            if isinstance(scopes, list) and len(scopes) > 1 and isinstance(scopes[-2], str):
                return scopes[-2]
    path = ""
    for part in node.name.strip("/").split("/")[:-1]:
        inside = not path or part.startswith(path + ".")
        path = part if inside else f"{path}.{part}"
    return path


def transposed_name(node: onnx.NodeProto, names: Sequence[str]) -> str:
    """W.T for the transpose of a matrix W, and W for that of W.T; empty for anything else.

    Exporters store or compute the transpose of a weight, and a converter turns it back: in the end it has the name it had.
    """
    perm = next((list(a.ints) for a in node.attribute if a.name == "perm"), [1, 0])
    return swapped(names[0]) if node.op_type == "Transpose" and perm == [1, 0] else ""


def swapped(name: str) -> str:
    """The name of the transpose."""
    return name.removesuffix(".T") if name.endswith(".T") else f"{name}.T"
