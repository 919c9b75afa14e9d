"""Operators that the standard defines by other operators: the nodes of that definition, under names of their own.

It is the fall-back for what lower.py lacks: an attribution then passes the simpler operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
import onnx.defs
from onnx import AttributeProto, TensorProto, TypeProto, helper

from xaicore.errors import ConversionError
from xaicore_onnx.call import Anything
from xaicore_onnx.naming import LAYER, layer_of
from xaicore_onnx.values import Known, Numbered

ELEMENTS = {"f": TensorProto.FLOAT, "i": TensorProto.INT64, "b": TensorProto.BOOL}
"""The element type that stands for a kind of graph value."""


@dataclass(frozen=True)
class Body:
    """The nodes that compute what one node does, and the operator set that they are written in."""

    nodes: Sequence[onnx.NodeProto]
    opset: int


def body_of(node: onnx.NodeProto, inputs: Sequence[Anything | None], opset: int) -> Body | None:
    """What the standard defines this node by at this operator set; None where it defines it in words alone."""
    try:
        schema = onnx.defs.get_schema(node.op_type, opset if node.domain in ("", "ai.onnx") else 1, node.domain)
    except onnx.defs.SchemaError:
        return None
    versions = schema.function_opset_versions or schema.context_dependent_function_opset_versions
    if not versions:
        return None
    version = max((v for v in versions if v <= opset), default=min(versions)) if not node.domain else max(versions)
    named = with_defaults(node, schema)
    if schema.has_function:
        written = schema.get_function_with_opset_version(version)
    else:
        types = [_type_of(v).SerializeToString() for v in inputs]
        written = schema.get_context_dependent_function_with_opset_version(version, named.SerializeToString(), types)
    if not written:
        return None
    function = onnx.FunctionProto.FromString(written)
    imported = next((o.version for o in function.opset_import if o.domain in ("", "ai.onnx")), opset)
    return Body(_inlined(named, function), int(imported))


def with_defaults(node: onnx.NodeProto, schema: onnx.defs.OpSchema) -> onnx.NodeProto:
    """The node with the defaults of its attributes written out: a definition refers to them by name."""
    full = onnx.NodeProto()
    full.CopyFrom(node)
    given = {a.name for a in node.attribute}
    for name, attribute in schema.attributes.items():
        if name not in given and attribute.default_value.type != AttributeProto.UNDEFINED:
            full.attribute.append(attribute.default_value)
    return full


def _type_of(value: Anything | None) -> TypeProto:
    """The type of an input: its elements and its shape, the batch left free."""
    if value is None or isinstance(value, Numbered):
        return TypeProto()
    if isinstance(value, Known):
        return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.low.dtype), list(value.low.shape))
    sizes: list[int | None] = list(value.shape(1))
    if value.at is not None:
        sizes[value.at] = None
    return helper.make_tensor_type_proto(ELEMENTS[value.kind], sizes)


def _inlined(node: onnx.NodeProto, function: onnx.FunctionProto) -> list[onnx.NodeProto]:
    """The function's nodes with the names of the call: its inputs and outputs, and all others behind the name of the node."""
    prefix = node.name or next((o for o in node.output if o), node.op_type)
    names = {"": ""}
    names.update(dict.fromkeys(function.input, ""))
    names.update(zip(function.input, node.input))
    names.update({formal: name or f"{prefix}/{formal}" for formal, name in zip(function.output, node.output)})
    given = {a.name: a for a in node.attribute}
    given.update({a.name: a for a in function.attribute_proto if a.name not in given})
    return [_renamed(one, prefix, names, given, node) for one in function.node]


def _renamed(
    node: onnx.NodeProto, prefix: str, names: dict[str, str], given: Mapping[str, AttributeProto], caller: onnx.NodeProto
) -> onnx.NodeProto:
    made = onnx.NodeProto()
    made.CopyFrom(node)
    made.input[:] = [names.get(i, f"{prefix}/{i}") for i in node.input]
    made.output[:] = [names.setdefault(o, f"{prefix}/{o}") for o in node.output]
    made.name = f"{prefix}/{node.name or next(iter(node.output), node.op_type)}"
    made.metadata_props.extend(caller.metadata_props)
    entry = made.metadata_props.add()
    entry.key, entry.value = LAYER, layer_of(caller) or caller.name
    del made.attribute[:]
    for a in node.attribute:
        one = AttributeProto()
        one.CopyFrom(given.get(a.ref_attr_name, a))
        if a.ref_attr_name:
            if a.ref_attr_name not in given:
                continue                                    # optional and not given: the inner operator's own default holds
            one.name = a.name
        if one.type == AttributeProto.GRAPH:
            _rename_graph(one.g, prefix, dict(names), given, caller)
        elif one.type == AttributeProto.GRAPHS:
            raise ConversionError(f"{caller.op_type} is defined by {node.op_type} with several graphs, which is not converted")
        made.attribute.append(one)
    return made


def _rename_graph(
    graph: onnx.GraphProto, prefix: str, names: dict[str, str], given: Mapping[str, AttributeProto], caller: onnx.NodeProto
) -> None:
    for value in (*graph.input, *graph.initializer):
        value.name = names.setdefault(value.name, f"{prefix}/{value.name}")
    nodes = [_renamed(one, prefix, names, given, caller) for one in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for value in graph.output:
        value.name = names.get(value.name, f"{prefix}/{value.name}")
