"""From ONNX nodes to graph nodes: what is constant is evaluated, what is not goes through the table in lower.py, one call at a time.

Nothing but shapes is known of the values in between: each operator runs once on ones, which also shows at conversion that it accepts
its inputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx
import onnx.defs
from onnx import helper

from xaicore.errors import ConversionError, FileRefused, nearest
from xaicore.graph import Graph, InputSpec, Node
from xaicore.numerics import Array
from xaicore.ops import Identity, Op, Transpose
from xaicore_onnx.call import Anything, Call, Layout, Lowering, Results
from xaicore_onnx.fold import ALSO_FOLDED, MAX_CONSTANT, MAX_VALUE, check_size, check_work, constant, evaluate
from xaicore_onnx.functions import body_of
from xaicore_onnx.naming import meta_of, transposed_name
from xaicore_onnx.safe import array_of
from xaicore_onnx.trial import ones, refusing, try_out
from xaicore_onnx.values import Known, Live, MixingError, Numbered

if TYPE_CHECKING:
    from xaicore_onnx.lower_quantize import Quantised

DTYPES = {"f": np.float64, "i": np.int64, "b": np.bool_}


RANDOM = frozenset({"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"})


@dataclass(frozen=True)
class Feed:
    """What a graph input is: its name, its sizes for one sample, its kind, and the axis on which ONNX has the batch."""

    name: str
    tail: tuple[int, ...]
    kind: str
    at: int = 0


@dataclass(frozen=True)
class Conversion:
    """A graph, and for each of its nodes that has a counterpart: the name of the ONNX value and where its batch lies."""

    graph: Graph
    origin: Mapping[str, tuple[str, Layout]]
    feeds: Sequence[Feed]
    hard_coded: bool
    """Holds the model a number of its own for each sample of a batch?"""


class Converter:
    """One conversion at given input sizes. ``batch`` is the batch size of the file, which literal sizes in it stand for.

    ``single``: the file describes one sample, so that an operator may work along the batch axis, which has one entry.
    ``frozen``: the file's batch size is the only one at which it makes sense, since it holds numbers for each sample.
    ``fixed``: the file says that batch size of its inputs.
    ``unbatched``: the inputs have no batch axis in ONNX at all.
    """

    def __init__(
        self, model: onnx.ModelProto, table: Mapping[str, Lowering], feeds: Sequence[Feed], opset: int, batch: int,
        single: bool, unbatched: bool, frozen: bool = False, fixed: bool = False,
    ):
        self.table, self.opset, self.single = table, opset, single or unbatched
        self.batches = (batch, batch if frozen else batch + 1)
        self.hard_coded, self.fixed = frozen, fixed
        self.graph, self.feeds = model.graph, tuple(feeds)
        self.nodes: list[Node] = []
        self.params: dict[str, Array] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.kinds: dict[str, str] = {}
        self.values: dict[str, Anything] = {}
        self.origin: dict[str, tuple[str, Layout]] = {}
        self.makers: dict[str, onnx.NodeProto] = {}                         # which node computes each ONNX value
        self.quantised: dict[str, Quantised] = {}
        self.folded = self.unrolled = 0
        self.small: dict[Any, str] = {}                                     # small parameters by their contents
        self.taken: dict[str, int] = {}                                     # up to which number a name is taken
        self.inside = False                                                 # are these the nodes of an operator's definition?
        self.meta: dict[str, str] = meta_of(model)
        self.readers: Counter[str] = Counter(o.name for o in self.graph.output)
        self.count_readers(self.graph.node)
        self.used = {f.name for f in self.feeds}
        self.reserved = {t.name for t in self.graph.initializer}
        self.fresh: list[str] = []                                          # the nodes of the call that is being converted
        for f in self.feeds:
            live = Live(f.name, f.tail, f.kind, None if unbatched else f.at)
            if f.at and live.place is not None:
                self.meta[f"shape.{f.name}"] = live.place.shown()
            self.values[f.name] = live
            self._learn(f.name, (batch, *f.tail), f.kind)
        self._read_initialisers(self.graph)

    def run(self) -> Conversion:
        """Converts all nodes and collects the outputs."""
        self.convert(self.graph.node)
        outputs = []
        for o in self.graph.output:
            with refusing(f"output {o.name!r}"):
                outputs.append(self._output(o.name))
        graph = self._build(outputs)
        known = {n.name for n in graph.nodes}
        return Conversion(graph, {k: v for k, v in self.origin.items() if k in known}, self.feeds, self.hard_coded)

    def convert(self, nodes: Iterable[onnx.NodeProto]) -> None:
        """Converts nodes in order; their results are in ``values``."""
        for node in nodes:
            self.makers.update(dict.fromkeys(node.output, node))
            who = f"node {node.name or (node.output[0] if node.output else '?')!r} ({node.op_type}, opset {self.opset})"
            missing = [i for i in node.input if i and i not in self.values]
            if missing:
                raise ConversionError(f"{who} reads {missing[0]!r}, which nothing before it computes: {nearest(missing[0], self.values)}")
            with refusing(who):
                self._convert_one(node)

    # ----- one node -------------------------------------------------------------------------------------------------

    def _convert_one(self, node: onnx.NodeProto) -> None:
        if node.domain not in ("", "ai.onnx", "ai.onnx.preview"):
            raise ConversionError(
                f"the operator {node.domain}::{node.op_type} is not one of the standard set. Export the model without fused or "
                f"custom operators (for files that onnxruntime optimised: export again and do not optimise)"
            )
        if node.op_type == "Constant":
            x = constant(node)
            self._know(node.output[0], x, x)
            return
        inputs = [self.values[i] if i else None for i in node.input]
        constants = node.op_type not in ("If", "Loop", "Scan") and all(v is None or isinstance(v, Known) for v in inputs)
        if constants and (node.op_type in self.table or node.op_type in ALSO_FOLDED):
            self._fold(node, inputs)
            return
        if isinstance(inputs[0] if inputs else None, Numbered) and node.op_type in ("Cast", "Identity"):
            self.values[node.output[0]] = self.values[node.input[0]]
            return
        if node.op_type not in self.table:
            if self._by_definition(node, inputs):
                return
            if constants:
                self._fold(node, inputs)
                return
            if node.op_type in RANDOM:
                raise ConversionError(f"{node.op_type} draws random numbers; export the model in inference mode, or the draw as an input")
            raise ConversionError(
                f"{node.op_type} has no counterpart here. Export the model with another operator in its place, or cut the model "
                f"before it (onnx.utils.extract_model)"
            )
        shapes = [None if v is None else self._shape(v) for v in inputs]
        check_size(node, shapes, [v.high if isinstance(v, Known) else None for v in inputs], MAX_VALUE)
        self.fresh = []
        call = Call(self, node, inputs)
        try:
            results = self.table[node.op_type](call)
        except MixingError:
            if not self.single:
                raise
            for name in self.fresh:
                self.drop(name)
            self.fresh = []
            results = self.table[node.op_type](Call(self, node, [call.sample(v) if isinstance(v, Live) else v for v in inputs]))
        if results is not None:
            self._take(node, results)
        elif not self._by_definition(node, inputs):
            raise ConversionError(f"{node.op_type} is not converted with these inputs, and the standard defines it in words alone")

    def _shape(self, value: Anything) -> tuple[int, ...]:
        if isinstance(value, Known):
            return value.high.shape
        return (value.rest if isinstance(value, Numbered) else value).shape(self.batches[0])

    def _by_definition(self, node: onnx.NodeProto, inputs: Sequence[Anything | None]) -> bool:
        """Converts the operators that the standard defines this one by, if it does; the last of them has the name of the node."""
        body = body_of(node, inputs, self.opset)
        if body is None:
            return False
        self.count_readers(body.nodes)
        made: list[str] = []
        before = self.opset, self.inside
        self.opset, self.inside = body.opset, True
        try:
            for one in body.nodes:
                self.fresh = []
                self.convert([one])
                made += self.fresh
        finally:
            self.opset, self.inside = before
        self.fresh = [name for name in made if name in self.used]
        self._take(node, [self.values.get(name) for name in node.output])
        return True

    def _take(self, node: onnx.NodeProto, results: Results) -> None:
        """Files the results under the names of the node's outputs."""
        found = [results] if isinstance(results, (Known, Live, Numbered)) else list(results)
        for j, name in enumerate(node.output):
            value = found[j] if j < len(found) else None
            if not name:
                continue
            if value is None:
                if self.readers[name]:
                    raise ConversionError(
                        f"output {j} ({name!r}) is read, but only the first {len(found)} of {node.op_type} are converted; "
                        f"export the model in inference mode, without it"
                    )
                continue
            if isinstance(value, Live) and self.inside:
                value = self._shortened(value)
            elif isinstance(value, Live):
                several = sum(bool(o) for o in node.output) > 1
                value = self._name(value, name if several else node.name or name, name, node)
                self.origin[value.name] = (name, value.layout)
            self.values[name] = value

    def _shortened(self, value: Live) -> Live:
        """What an Identity copies: inside a definition nobody looks for the copy."""
        node = self.producer(value)
        if node is None or value.name not in self.fresh or not isinstance(node.op, Identity):
            return value
        self.drop(value.name)
        return replace(value, name=node.inputs[0])

    def _name(self, value: Live, wish: str, output: str, node: onnx.NodeProto) -> Live:
        """Gives the node that computes ``value`` its final name; a value that was there before gets an Identity of that name."""
        if value.name not in self.fresh or value.name in self.origin:
            value = Call(self, node, []).put(Identity(), value)
        self.used.discard(value.name)
        final = self.unique(output if wish in self.used or wish in self.reserved else wish)
        for k in range(len(self.nodes) - len(self.fresh), len(self.nodes)):
            n = self.nodes[k]
            inputs = tuple(final if i == value.name else i for i in n.inputs)
            self.nodes[k] = replace(n, name=final if n.name == value.name else n.name, inputs=inputs)
        self.fresh = [final if name == value.name else name for name in self.fresh]
        self._learn(final, self.shapes[value.name], self.kinds[value.name])
        return replace(value, name=final)

    def _fold(self, node: onnx.NodeProto, inputs: Sequence[Anything | None]) -> None:
        """Evaluates a node whose inputs are all known, at both batch sizes where they differ."""
        if node.op_type not in self.table and node.op_type not in ALSO_FOLDED:
            raise ConversionError(
                f"{node.op_type} of constants is not evaluated; simplify the model before (onnxsim, onnxscript's "
                "optimizer)"
            )
        if node.op_type == "Dropout" and len(inputs) > 2 and isinstance(inputs[2], Known) and inputs[2].low.any():
            raise ConversionError("Dropout is in training mode, so its output is random; export the model in inference mode (model.eval())")
        known = [v for v in inputs if isinstance(v, Known)]
        low, high = ([None if v is None else getattr(v, end) for v in inputs] for end in ("low", "high"))
        for arrays in (low, high):
            shapes = [None if x is None else x.shape for x in arrays]
            check_size(node, shapes, arrays, MAX_CONSTANT)
            check_work(node, shapes)
        first = evaluate(node, low, self.opset)
        second = first if all(v.fixed for v in known) else evaluate(node, high, self.opset)
        for name, a, b in zip(node.output, first, second):
            if name and a is not None and b is not None:
                self.folded += a.size
                if self.folded > 3 * MAX_CONSTANT:
                    raise FileRefused(f"constants of more than {3 * MAX_CONSTANT:,} elements in all; a file like this is broken or hostile")
                self._know(name, a, b, transposed_name(node, [v.name for v in known]))

    def _know(self, name: str, low: Array, high: Array, called: str = "") -> None:
        self.values[name] = Known(called or name, low, high)

    # ----- graph values ---------------------------------------------------------------------------------------------

    def append(self, name: str, op: Op, inputs: Sequence[str], layer: str, origin: str) -> str:
        """Adds a node under a free name, runs it on ones, and remembers its shape."""
        final = self.unique(name)
        node = Node(final, op, tuple(inputs), layer, origin)
        xs = [self.params[i] if i in self.params else ones(self.shapes[i], DTYPES[self.kinds[i]]) for i in inputs]
        y = try_out(node, xs)
        self.nodes.append(node)
        self.fresh.append(final)
        self._learn(final, y.shape, y.dtype.kind)
        return final

    def drop(self, name: str) -> None:
        """Takes back a node that nothing reads."""
        self.nodes = [n for n in self.nodes if n.name != name]
        self.fresh = [f for f in self.fresh if f != name]
        self.origin.pop(name, None)
        self.used.discard(name)

    def producer(self, value: Live) -> Node | None:
        """The node that computes a value."""
        return self.node(value.name)

    def node(self, name: str) -> Node | None:
        """The graph node of this name."""
        if name in self.params or any(f.name == name for f in self.feeds):
            return None
        return next((n for n in reversed(self.nodes) if n.name == name), None)

    def param(self, name: str, x: Array) -> str:
        """A parameter with this value: the one that is there if it is equal, else a new one."""
        y = np.asarray(x, np.float64) if x.dtype.kind == "f" else np.asarray(x)
        y.flags.writeable = False                           # a graph copies what could still change; weights may be gigabytes
        key = (name, y.dtype.str, y.shape, y.tobytes()) if y.size <= 64 else None
        if key in self.small:
            return self.small[key]
        k, final = (self.taken.get(name, 1) if key is not None else 1), name
        while final in self.used:
            mine = self.params.get(final)
            if mine is not None and mine.dtype == y.dtype and np.array_equal(mine, y):
                return final
            k += 1
            final = f"{name}@{k}"
        if key is not None:
            self.small[key], self.taken[name] = final, k
        self.params[final] = y
        self.used.add(final)
        return final

    def unique(self, name: str) -> str:
        """``name``, or with @2, @3, ... if it is taken."""
        if name not in self.used and name not in self.reserved:
            return name
        k = self.taken.get(name, 1) + 1
        while f"{name}@{k}" in self.used or f"{name}@{k}" in self.reserved:
            k += 1
        self.taken[name] = k - 1                            # a loop asks for the same name a thousand times
        return f"{name}@{k}"

    def _learn(self, name: str, shape: tuple[int, ...], kind: str) -> None:
        self.used.add(name)
        self.shapes[name], self.kinds[name] = shape, "i" if kind == "u" else kind

    # ----- the model as a whole -------------------------------------------------------------------------------------

    def _read_initialisers(self, graph: onnx.GraphProto) -> None:
        for t in graph.initializer:
            if t.name not in {f.name for f in self.feeds}:
                x = array_of(t, f"initialiser {t.name!r}")
                self._know(t.name, x, x)

    def count_readers(self, nodes: Iterable[onnx.NodeProto]) -> None:
        """Counts who reads each value, in subgraphs too."""
        for node in nodes:
            self.readers.update(i for i in node.input if i)
            for a in node.attribute:
                if a.type == onnx.AttributeProto.GRAPH:
                    self.readers.update(o.name for o in a.g.output)
                    self.count_readers(a.g.node)

    def element(self, name: str) -> int:
        """The ONNX element type of a value, as far as the types of inputs, constants and operators tell it; else 0."""
        value = self.values.get(name)
        if isinstance(value, Known):
            return int(helper.np_dtype_to_tensor_dtype(value.low.dtype))
        declared = next((v.type.tensor_type.elem_type for v in self.graph.input if v.name == name), 0)
        node = self.makers.get(name)
        if declared or node is None:
            return int(declared)
        to = next((a.i for a in node.attribute if a.name in ("to", "output_dtype")), 0)
        try:
            schema = onnx.defs.get_schema(node.op_type, self.opset, node.domain)
        except onnx.defs.SchemaError:
            return 0
        kind = schema.outputs[min(list(node.output).index(name), len(schema.outputs) - 1)].type_str
        same = [i for i, formal in zip(node.input, schema.inputs) if formal.type_str == kind and i]
        return int(to) or next((found for found in map(self.element, same) if found), 0)

    def branch(self, graph: onnx.GraphProto) -> list[Anything]:
        """The outputs of a subgraph whose nodes may read all values so far."""
        self._read_initialisers(graph)
        self.convert(graph.node)
        return [self.values[o.name] for o in graph.output]

    def _output(self, name: str) -> str:
        """The graph value of an output; the batch of one sample that was treated without axis comes back."""
        if name not in self.values:
            raise ConversionError(f"the output {name!r} is not computed by any node; known: {nearest(name, self.values)}")
        value, call = self.values[name], Call(self, helper.make_node("Identity", [name], [name], name=name), [])
        call.who = "the output"
        if isinstance(value, Known):
            if value.fixed:
                return self.param(value.name, value.low)
            self.fresh = []
            copies = self._name(call.batched(value, Live(self.feeds[0].name, self.feeds[0].tail)), name, name, call.node)
            self.origin[copies.name] = (name, copies.layout)
            return copies.name
        if isinstance(value, Numbered):
            raise MixingError(f"the output holds the number of each sample beside {value.rest.name!r}, which no sample of a graph knows")
        self.fresh = []
        if value.at is None and self.single and value.tail[:1] == (1,) and self._has_batch():
            value = self._name(call.images(value), f"{value.name}/output", name, call.node)
            self.origin[value.name] = (name, value.layout)
        elif value.at is not None and not self._has_batch():            # an axis of one sample that was taken for the batch
            value = self._name(call.sample(value), f"{value.name}/output", name, call.node)
            self.origin[value.name] = (name, value.layout)
        if value.place is not None and not value.plain:
            self.meta[f"shape.{value.name}"] = value.place.shown()
        elif value.at is None and self._has_batch():
            self.meta[f"shape.{value.name}"] = f"{value.tail} of one sample"
        return value.name

    def _has_batch(self) -> bool:
        first = self.values[self.feeds[0].name]
        return isinstance(first, Live) and first.at is not None

    def _build(self, outputs: Sequence[str]) -> Graph:
        needed = set(outputs)
        for n in reversed(self.nodes):
            if n.name in needed:
                needed.update(n.inputs)
        kinds: dict[str, Literal["float", "int", "bool"]] = {"f": "float", "i": "int", "b": "bool"}
        inputs = {f.name: InputSpec((None, *f.tail), kinds[f.kind]) for f in self.feeds}
        params = {name: x for name, x in self.params.items() if name in needed}
        nodes = tuple(n for n in self.nodes if n.name in needed)
        return Graph(inputs, params, nodes, tuple(outputs), name=self.graph.name, meta={**self.meta, **channels_last(inputs, nodes)})


def channels_last(inputs: Mapping[str, InputSpec], nodes: Sequence[Node]) -> dict[str, str]:
    """The metadata for images that are fed as (N, H, W, C): inputs of four axes of which nothing is read but the transpose."""
    found = {}
    for name, spec in inputs.items():
        readers = [n.op for n in nodes if name in n.inputs]
        if len(spec.shape) == 4 and readers and all(op == Transpose((0, 3, 1, 2)) for op in readers):
            found[f"layout.{name}"] = "NHWC"
    return found
