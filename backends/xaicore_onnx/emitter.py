"""What the rules of emit.py work with: ONNX nodes and initialisers in the making, and what is known of the graph's values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from xaicore.errors import ConversionError
from xaicore.graph import Graph, Node
from xaicore.graph.run import sample_feeds
from xaicore.numerics import Array
from xaicore.ops import Op
from xaicore_onnx.naming import LAYER, META, ORIGIN
from xaicore_onnx.trial import ones, try_out

ELEMENTS = {"f4": TensorProto.FLOAT, "f8": TensorProto.DOUBLE, "i8": TensorProto.INT64, "b1": TensorProto.BOOL}

Rule = Callable[..., Any]
"""Takes the Emitter, the operator and the names of its inputs, and adds ONNX nodes of which the last has the graph node's name."""


class Emitter:
    """ONNX nodes and initialisers in the making."""

    def __init__(self, graph: Graph, opset: int, table: Mapping[str, Rule]):
        self.graph, self.opset, self.table = graph, opset, table
        self.float = TensorProto.DOUBLE if graph.dtype == "float64" else TensorProto.FLOAT
        self.dtype = np.dtype(graph.dtype)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.names = {*graph.inputs, *graph.params, *(n.name for n in graph.nodes)}
        self.current = Node("", Op(), ())

    def model(self) -> onnx.ModelProto:
        """The whole model."""
        for node in self.graph.nodes:
            self.current = node
            rule = self.table.get(type(node.op).__name__)
            if rule is None:
                raise ConversionError(f"node {node.name!r}: ONNX has no operator for {node.op}, and none is written out for it")
            rule(self, node.op, *node.inputs)
        outputs = [self._output(o) for o in self.graph.outputs]
        read = {i for n in self.nodes for i in n.input}
        arrays = {**self.graph.params, **self.constants}
        body = helper.make_graph(
            self.nodes, self.graph.name or "graph", [self._input(k) for k in self.graph.inputs], outputs,
            [numpy_helper.from_array(np.ascontiguousarray(x).reshape(x.shape), k) for k, x in arrays.items() if k in read],
        )
        imports = [helper.make_opsetid("", self.opset)]
        made = helper.make_model(body, opset_imports=imports, producer_name="xaicore", ir_version=helper.find_min_ir_version_for(imports))
        meta = {META + k: str(v) for k, v in self.graph.meta.items() if not k.startswith("shape.")}      # there the batch is on axis 0
        helper.set_model_props(made, meta)
        onnx.checker.check_model(made)
        return made

    # ----- adding ---------------------------------------------------------------------------------------------------

    def put(self, kind: str, *inputs: str, part: str = "", output: int = 0, outputs: int = 1, **attributes: Any) -> str:
        """Adds an ONNX node: the last of the current graph node, with its name, or a part of it; of several outputs one is used."""
        name = self.unique(f"{self.current.name}/{part}") if part else self.current.name
        made = [name if k == output else self.unique(f"{name}/unused{k}") for k in range(outputs)]
        node = helper.make_node(kind, inputs, made, name=name, **attributes)
        for key, value in ((LAYER, self.current.layer), (ORIGIN, self.current.origin)):
            if value:
                entry = node.metadata_props.add()
                entry.key, entry.value = key, value
        self.nodes.append(node)
        return name

    def floats(self, value: Any, part: str) -> str:
        """A constant in the graph's float type."""
        return self.constant(np.asarray(value, self.dtype), part)

    def ints(self, values: Sequence[int], part: str) -> str:
        """A constant of integers, such as a shape."""
        return self.constant(np.asarray(values, np.int64), part)

    def constant(self, x: Array, part: str) -> str:
        """A constant as it is."""
        name = self.unique(f"{self.current.name}/{part}")
        self.constants[name] = x
        return name

    def unique(self, name: str) -> str:
        """A name that nothing has yet."""
        k, final = 1, name
        while final in self.names:
            k += 1
            final = f"{name}@{k}"
        self.names.add(final)
        return final

    # ----- knowing --------------------------------------------------------------------------------------------------

    @cached_property
    def samples(self) -> Mapping[str, tuple[tuple[int, ...], str]]:
        """Shape (for a batch of 1) and element type of every value, found by running each node on ones."""
        arrays = {**self.graph.params, **{k: ones(x.shape, x.dtype) for k, x in sample_feeds(self.graph).items()}}
        found = {k: (x.shape, x.dtype.str[1:]) for k, x in arrays.items()}
        for node in self.graph.nodes:
            xs = [self.graph.params[i] if i in self.graph.params else ones(*found[i]) for i in node.inputs]
            y = try_out(node, xs, self.graph.dtype)
            found[node.name] = (y.shape, y.dtype.str[1:])
        return found

    @cached_property
    def varying(self) -> set[str]:
        """The values that depend on an input, so that their axis 0 is the batch."""
        found = set(self.graph.inputs)
        for node in self.graph.nodes:
            if found & set(node.inputs):
                found.add(node.name)
        return found

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a value for a batch of 1."""
        return self.samples[name][0]

    def element(self, name: str) -> int:
        """The ONNX element type of a value."""
        return int(ELEMENTS.get(self.samples[name][1], TensorProto.INT64))

    def truth(self, name: str, part: str) -> str:
        """A value as a boolean."""
        return name if self.element(name) == TensorProto.BOOL else self.put("Cast", name, part=part, to=TensorProto.BOOL)

    def _input(self, name: str) -> onnx.ValueInfoProto:
        spec = self.graph.inputs[name]
        element = {"float": self.float, "int": TensorProto.INT64, "bool": TensorProto.BOOL}[spec.kind]
        sizes = [("N" if k == 0 else f"{name}_{k}") if n is None else n for k, n in enumerate(spec.shape)]
        return helper.make_tensor_value_info(name, element, sizes)

    def _output(self, name: str) -> onnx.ValueInfoProto:
        shape = self.shape(name)
        free = any(n is None for spec in self.graph.inputs.values() for n in spec.shape[1:])
        out = name
        if name in self.graph.inputs or name in self.graph.params:
            out = self.unique(f"{name}/output")
            self.nodes.append(helper.make_node("Identity", [name], [out], name=out))
        if name in self.graph.params:
            return helper.make_tensor_value_info(out, self.element(name), shape)
        tail = [f"{out}_{k}" if free else n for k, n in enumerate(shape[1:], 1)]
        return helper.make_tensor_value_info(out, self.element(name), ["N", *tail])
