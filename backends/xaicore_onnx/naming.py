"""What nodes and layers are called: the exporters' own names, turned into the dotted module paths that users select layers by."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import PurePath

import onnx

SCOPES, CLASSES, TRACE = (f"pkg.torch.onnx.{key}" for key in ("name_scopes", "class_hierarchy", "stack_trace"))
"""Metadata keys of a node: torch's lists of module paths and of classes, innermost last, and where the line of source stands."""

LAYER, ORIGIN, META = "xaicore.layer", "xaicore.origin", "xaicore.meta."
"""What ``emit`` writes: layer and origin of a node, and, with its key behind, each entry of a graph's metadata."""

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators whose second input is named after their layer."""

EMITTED = ", emitted from "


def layer_of(node: onnx.NodeProto) -> str:
    """The module path of a node: from torch's metadata, else from a name like "/layer1/layer1.0/conv1/Conv".

    >>> layer_of(onnx.helper.make_node("Conv", ["x", "w"], ["y"], name="/layer1/layer1.0/conv1/Conv"))
    'layer1.0.conv1'
    """
    known = {e.key: e.value for e in node.metadata_props}
    if LAYER in known:
        return str(known[LAYER])
    scopes = _names(known.get(SCOPES, ""))
    if len(scopes) > 1:
        # a convolution that a normalisation was folded into carries the scopes of that, a projection those of its attention
        weight = node.input[1] if node.op_type in WEIGHTED and len(node.input) > 1 else ""
        return weight.removesuffix(".weight") if weight.endswith(".weight") else scopes[-2]
    path = ""
    for part in node.name.strip("/").split("/")[:-1]:
        inside = not path or part.startswith(path + ".")
        path = part if inside else f"{path}.{part}"
    return path


def origin_of(node: onnx.NodeProto, opset: int) -> str:
    """Operator and set; where the exporter told them, torch's operator, module class and line; what a graph that was emitted said of it.

    >>> origin_of(onnx.helper.make_node("Conv", ["x", "w"], ["y"]), 18)
    'Conv (opset 18)'
    """
    known = {e.key: e.value for e in node.metadata_props}
    origin = f"{node.op_type} (opset {opset})"
    classes = _names(known.get(CLASSES, ""))
    if len(classes) > 1:
        origin += f", {classes[-1]} in {classes[-2]}"
    lines = re.findall(r'File "([^"\n]{1,400})", line (\d{1,7})', known.get(TRACE, "")[:20_000])
    own = [found for found in lines if "site-packages" not in found[0]] or lines
    if own:
        origin += f", {PurePath(own[-1][0]).name}:{own[-1][1]}"
    if known.get(ORIGIN):
        origin += EMITTED + known[ORIGIN].split(EMITTED)[-1]
    return origin[:400]


def meta_of(model: onnx.ModelProto) -> dict[str, str]:
    """The metadata of a graph that was emitted."""
    return {e.key.removeprefix(META): e.value[:10_000] for e in list(model.metadata_props)[:1000] if e.key.startswith(META)}


def _names(text: str) -> list[str]:
    """A list of strings as Python writes it; [] for anything else."""
    try:
        found = ast.literal_eval(text) if text else []      # a literal cannot run code
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    return found if isinstance(found, list) and all(isinstance(one, str) for one in found) else []


def transposed_name(node: onnx.NodeProto, names: Sequence[str]) -> str:
    """W.T for the transpose of a matrix W, and W for that of W.T; empty for anything else.

    Exporters store or compute the transpose of a weight, and a converter turns it back: in the end it has the name it had.
    """
    perm = next((list(a.ints) for a in node.attribute if a.name == "perm"), [1, 0])
    return swapped(names[0]) if node.op_type == "Transpose" and perm == [1, 0] else ""


def swapped(name: str) -> str:
    """The name of the transpose."""
    return name.removesuffix(".T") if name.endswith(".T") else f"{name}.T"
