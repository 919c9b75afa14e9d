"""What every backend keeps (backends/README.md), law by law: ``LAWS`` is the table that ``testing.check_backend`` walks.

A law looks at a Subject, one model of the backend with its graph, and says "holds", "fails" or "does not apply", always with the
reason when it is not the first. Nothing in here knows a framework: what only the framework can say is a function of the author's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from unittest import mock

import numpy as np

from xaicore.errors import Mismatch, Unsupported, XaicoreError, nearest
from xaicore.graph.graph import Graph, Node
from xaicore.graph.run import check_feeds, evaluate
from xaicore.graph.verify import TOLERANCE
from xaicore.numerics import Array
from xaicore.oracle.report import Status
from xaicore.oracle.state import digest
from xaicore.rules.gradient import gradient
from xaicore.trace import backward, forward

Outcome = tuple[Status, str]
HOLDS: Outcome = ("holds", "")
ROUNDING = 1e-9
"""Of the largest entry, in float64: the sums of one node, in another order or over another batch, differ by some 1e-13."""


def fails(reason: str) -> Outcome:
    return "fails", reason


def skips(reason: str) -> Outcome:
    return "does not apply", reason


@dataclass(frozen=True, eq=False)
class Subject:
    """One model, and how the backend under test and its framework treat it.

    convert(model, example, **options)   the backend's to_graph;  emit  its way back, or None
    forward, gradient, layers, weights   the framework's own answers, or None (see testing.check_backend)
    """

    name: str
    model: Any
    example: Any
    convert: Callable[..., Graph]
    emit: Callable[[Graph], Any] | None = None
    forward: Callable[..., Any] | None = None
    gradient: Callable[..., Any] | None = None
    layers: Callable[[Any], Sequence[str] | Mapping[str, int]] | None = None
    weights: Callable[[Any], Mapping[str, Any]] | None = None

    @cached_property
    def graph(self) -> Graph:
        """The graph, converted as a user would: float64, verified."""
        return self.convert(self.model, self.example)

    @cached_property
    def feeds(self) -> dict[str, Array]:
        """The example, as the graph is fed."""
        given = tuple(self.example) if isinstance(self.example, list) else self.example
        return check_feeds(self.graph, given[0] if isinstance(given, tuple) and len(given) == 1 else given)

    def fixed(self) -> list[str]:
        """The inputs whose batch the model fixes."""
        return [k for k, spec in self.graph.inputs.items() if spec.shape[0] is not None]

    def fresh(self, samples: int, seed: int = 0) -> dict[str, Array]:
        """Other inputs of the example's kind: entries scaled by 0.5 to 1.5, or whole numbers in another order; float32 values."""
        rng = np.random.default_rng(seed)
        out = {}
        for name, x in self.feeds.items():
            rows = x[np.arange(samples) % len(x)]
            if rows.dtype.kind == "f":
                out[name] = (rows * rng.uniform(0.5, 1.5, rows.shape)).astype(np.float32).astype(rows.dtype)
            else:
                out[name] = rng.permuted(rows.reshape(samples, -1), axis=1).reshape(rows.shape)
        return out

    def batch(self, samples: int) -> int:
        """``samples``, or as many as the model insists on."""
        return samples if not self.fixed() else len(next(iter(self.feeds.values())))


# ----- numbers ----------------------------------------------------------------------------------------------------------


def forward_agrees(s: Subject) -> Outcome:
    """On inputs that the conversion has not seen."""
    if s.forward is None:
        return skips("no forward= was given, so only the backend's own verification was asked")
    feeds = s.fresh(s.batch(3))
    ours, theirs = outputs(s.graph, feeds), arrays(s.forward(s.model, tuple(feeds.values())))
    if len(ours) != len(theirs):
        return fails(f"the graph has {len(ours)} outputs, the framework {len(theirs)}")
    if s.batch(3) > 1 and all(spread(y) < 1e-3 for y in ours):
        return skips("the outputs differ by less than 1e-3 from sample to sample, so that a wrong graph would agree; give another model")
    for name, a, b in zip(s.graph.outputs, ours, theirs):
        wrong = differs(a, b, TOLERANCE.get(str(b.dtype), TOLERANCE["float32"]) if b.dtype.kind == "f" else ROUNDING)
        if wrong:
            return fails(f"output {name!r}: {wrong}")
    return HOLDS


def gradient_agrees(s: Subject) -> Outcome:
    """Of a random projection of the outputs."""
    if s.gradient is None:
        return skips("no gradient= was given")
    if not s.graph.float_inputs:
        return skips("no input is floating")
    feeds = s.fresh(s.batch(3))
    rng = np.random.default_rng(1)
    seeds = tuple(rng.standard_normal(y.shape) if y.dtype.kind == "f" else np.zeros(y.shape) for y in outputs(s.graph, feeds))
    theirs = arrays(s.gradient(s.model, tuple(feeds.values()), seeds))
    ours = input_gradients(s.graph, feeds, seeds)
    if len(theirs) != len(ours):
        return fails(f"gradient= gave {len(theirs)} arrays, one for each floating input is expected: {', '.join(ours)}")
    for (name, a), b in zip(ours.items(), theirs):
        wrong = differs(a, b, 10 * ROUNDING if b.dtype == np.float64 else TOLERANCE["float32"])      # products of roundings
        if wrong:
            return fails(f"gradient at input {name!r}: {wrong}")
    return HOLDS


def batch_is_free(s: Subject) -> Outcome:
    """Fed 1, 2 and 3 samples, every value has them on axis 0, and each sample is what it is alone."""
    if s.fixed():
        return skips(f"the model fixes the batch of {', '.join(s.fixed())}")
    feeds = s.fresh(3)
    together = everything(s.graph, feeds)
    for start, stop in ((0, 1), (1, 2), (0, 2), (1, 3)):
        apart = everything(s.graph, {k: v[start:stop] for k, v in feeds.items()})
        for name, value in apart.items():
            node = s.graph.node(name)
            if not value.ndim or len(value) != stop - start:
                return fails(f"{said(node)} has the shape {value.shape} for {stop - start} samples; axis 0 is the batch")
            wrong = differs(value, together[name][start:stop], ROUNDING)
            if wrong:
                return fails(f"{said(node)} mixes samples, which depend on who is fed with them: {wrong}")
    return HOLDS


def dtypes_are_kept(s: Subject) -> Outcome:
    """float32 and float64 when asked, and the same function in both."""
    single = s.convert(s.model, s.example, dtype="float32", verify=False)
    for graph, dtype in ((s.graph, "float64"), (single, "float32")):
        kinds = {str(v.dtype) for v in graph.params.values() if v.dtype.kind == "f"}
        if graph.dtype != dtype or kinds - {dtype}:
            return fails(f"asked for {dtype}, the graph is {graph.dtype} with parameters in {', '.join(sorted(kinds)) or 'no float'}")
    feeds = s.fresh(s.batch(2))
    for name, a, b in zip(s.graph.outputs, outputs(single, feeds), outputs(s.graph, feeds)):
        if a.dtype.kind == "f" and a.dtype != np.float32:
            return fails(f"output {name!r} of the float32 graph is {a.dtype}")
        wrong = differs(a, b, TOLERANCE["float32"])
        if wrong:
            return fails(f"output {name!r} in float32 and in float64: {wrong}")
    try:
        s.convert(s.model, s.example, dtype="float7", verify=False)
    except XaicoreError:
        return HOLDS
    return fails("dtype='float7' was taken; an unknown dtype is an InputError (Graph.astype gives it)")


def repeats(s: Subject) -> Outcome:
    """Converted again, the same graph; fed again, the same bits."""
    again = s.convert(s.model, s.example, verify=False)
    wrong = changed(s.graph, again)
    if wrong:
        return fails(f"a second conversion gives another graph: {wrong}")
    feeds = s.fresh(s.batch(2))
    same = all(a.tobytes() == b.tobytes() for a, b in zip(outputs(s.graph, feeds), outputs(s.graph, feeds)))
    return HOLDS if same else fails("fed twice with the same arrays, the graph gives different bits")


def a_difference_is_found(s: Subject) -> Outcome:
    """With every parameter off by 1 to 10 percent, verify=True (the default) must raise Mismatch and name a node."""
    good, made = s.graph, Graph.__post_init__

    def off(self: Graph) -> None:
        rng = np.random.default_rng(0)
        wrong = {k: v * rng.uniform(1.01, 1.1, v.shape).astype(v.dtype) if v.dtype.kind == "f" else v for k, v in self.params.items()}
        object.__setattr__(self, "params", wrong)
        made(self)

    with mock.patch.object(Graph, "__post_init__", off):
        try:
            planted = s.convert(s.model, s.example)
        except Mismatch as error:
            named = [n.name for n in good.nodes if repr(n.name) in str(error)]
            return HOLDS if named else fails(f"Mismatch names no node of the graph: {error}")
        except XaicoreError as error:
            return skips(f"with wrong parameters it does not convert at all: {error}")
    feeds = s.fresh(s.batch(2))
    if not any(differs(a, b, ROUNDING) for a, b in zip(outputs(planted, feeds), outputs(s.graph, feeds))):
        return skips("the model has no floating parameters that its output depends on; give one with weights")
    return fails("with every parameter off by 1 to 10 percent it converts without a word; call xaicore.graph.verify.verify with the "
                 "framework's values")


# ----- structure --------------------------------------------------------------------------------------------------------


def one_node_per_call(s: Subject) -> Outcome:
    """A layer that is called twice is two nodes of its name, which read one parameter."""
    if s.layers is None:
        return skips("how often a layer is called only layers= can tell")
    named = s.layers(s.model)
    if not isinstance(named, Mapping) or not any(n > 1 for n in named.values()):
        return skips("no layer is called twice: give one such model, and let layers= return {name: number of calls}")
    for layer, calls in named.items():
        nodes = [n for n in s.graph.nodes if n.layer == layer]
        for param in {i for n in nodes for i in n.inputs if i in s.graph.params}:
            readers = [n.name for n in nodes if param in n.inputs]
            if len(readers) != calls:
                return fails(f"the layer {layer!r} is called {calls} times, but its parameter {param!r} is read by {', '.join(readers)}")
    return HOLDS


def parameters_once(s: Subject) -> Outcome:
    """No two parameters hold the same numbers (constants and very small ones apart)."""
    seen: dict[tuple[Any, ...], str] = {}
    for name, value in s.graph.params.items():
        if value.dtype.kind != "f" or value.size < 4 or (value == value.flat[0]).all():
            continue
        key = (str(value.dtype), np.sort(value, axis=None).tobytes())
        if key in seen:
            return fails(f"the parameters {seen[key]!r} and {name!r} hold the same {value.size} numbers; what several calls read is there "
                         f"once")
        seen[key] = name
    return HOLDS if seen else skips("the model has no parameters of four or more different numbers")


def parameters_are_named(s: Subject) -> Outcome:
    """A parameter has its name in the framework."""
    if s.weights is None:
        return skips("no weights= was given")
    for name, value in s.weights(s.model).items():
        theirs = np.asarray(value)
        if name not in s.graph.params:
            return fails(f"the framework's {name!r} is no parameter of the graph: {nearest(name, s.graph.params)}")
        ours = s.graph.params[name]
        if ours.size != theirs.size or not np.array_equal(np.sort(ours, axis=None), np.sort(theirs, axis=None).astype(ours.dtype)):
            return fails(f"parameter {name!r} holds other numbers than in the framework")
    return HOLDS


def layers_are_named(s: Subject) -> Outcome:
    """Every node says where it came from, and every layer of the framework is found by its name."""
    for node in s.graph.nodes:
        if not node.origin:
            return fails(f"{said(node)} has no origin: the framework's operator and where it stood, for messages")
    if s.layers is None:
        return skips("every node has an origin; whether layers keep their names only layers= can tell")
    known = {n.layer for n in s.graph.nodes}
    lost = [k for k in s.layers(s.model) if k not in known]
    return fails(f"no node comes from the layer {lost[0]!r}: {nearest(lost[0], known)}") if lost else HOLDS


def constants_are_folded(s: Subject) -> Outcome:
    """Every node depends on an input of the graph."""
    live = set(s.graph.inputs)
    for node in s.graph.nodes:
        if not live.intersection(node.inputs):
            return fails(f"{said(node)} depends on no input: fold it into a parameter (xaicore.graph.passes.fold_constants)")
        live.add(node.name)
    return HOLDS


def layout_is_told(s: Subject) -> Outcome:
    """meta["layout.x"] = "NHWC" exactly where an image input x is fed channels last."""
    told = {k.removeprefix("layout."): v for k, v in s.graph.meta.items() if k.startswith("layout.")}
    for name, layout in told.items():
        spec = s.graph.inputs.get(name)
        if spec is None or spec.kind != "float":
            return fails(f"meta 'layout.{name}' speaks of {name!r}, which is no floating input: {nearest(name, s.graph.inputs)}")
        if len(layout) != len(spec.shape) or sorted(layout) != sorted(set(layout)) or layout[0] != "N" or "C" not in layout:
            return fails(f"meta 'layout.{name}' is {layout!r}, but the input is {spec}; one letter for each axis, as in NHWC or NCHW")
    images = [k for k, spec in s.graph.inputs.items() if spec.kind == "float" and len(spec.shape) == 4]
    for name in images:
        first = [n.op for n in s.graph.nodes if name in n.inputs]
        turned = bool(first) and all(getattr(op, "perm", None) == (0, 3, 1, 2) for op in first)
        if turned and name not in told:
            return fails(f"input {name!r} is turned from channels last at once, but meta 'layout.{name}' does not say so")
    return HOLDS if images or told else skips("the model takes no images")


def nothing_is_modified(s: Subject, before: tuple[str, str]) -> Outcome:
    """Model and example are after all conversions what they were."""
    now = (digest(s.model), digest(s.example))
    if now == before:
        return HOLDS
    return fails("converting changed the model" if now[0] != before[0] else "converting wrote into the example")


def there_and_back(s: Subject) -> Outcome:
    """What emit makes of the graph converts to the same function again."""
    if s.emit is None:
        return skips("the backend has no emit")
    try:
        emitted = s.emit(s.graph)
    except Unsupported as error:
        return skips(f"emit refuses this graph: {error}")
    feeds = s.fresh(s.batch(2))
    second = s.convert(emitted, tuple(feeds.values()) if len(feeds) > 1 else next(iter(feeds.values())))
    for name, a, b in zip(s.graph.outputs, outputs(s.graph, feeds), outputs(second, tuple(feeds.values()))):
        wrong = differs(a, b, ROUNDING)
        if wrong:
            return fails(f"output {name!r}, before and after: {wrong}")
    return HOLDS if len(second.outputs) == len(s.graph.outputs) else fails(f"{len(s.graph.outputs)} outputs became {len(second.outputs)}")


LAWS: Mapping[str, Callable[[Subject], Outcome]] = {
    "forward": forward_agrees, "gradient": gradient_agrees, "batch": batch_is_free, "dtypes": dtypes_are_kept, "determinism": repeats,
    "planted difference": a_difference_is_found, "one node per call": one_node_per_call, "parameters once": parameters_once,
    "parameter names": parameters_are_named, "layer names": layers_are_named, "constants": constants_are_folded, "layout": layout_is_told,
    "round trip": there_and_back,
}
"""Per model; "conversion" comes before them, "model not changed" after, and testing.py has the laws of the backend as a whole."""


# ----- comparing --------------------------------------------------------------------------------------------------------


def outputs(graph: Graph, feeds: Any) -> list[Array]:
    """The outputs as a list."""
    given = feeds[0] if isinstance(feeds, tuple) and len(feeds) == 1 else feeds
    y = graph(given)
    return list(y) if isinstance(y, tuple) else [y]


def arrays(values: Any) -> list[Array]:
    """What a framework function returned, as a list of arrays."""
    many = values if isinstance(values, (list, tuple)) else [values]
    return [np.asarray(v.detach().cpu() if hasattr(v, "detach") else v) for v in many]


def everything(graph: Graph, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The value of every node."""
    names = [n.name for n in graph.nodes]
    return evaluate(graph, check_feeds(graph, feeds), keep=names)


def input_gradients(graph: Graph, feeds: Mapping[str, Array], seeds: Sequence[Array]) -> dict[str, Array]:
    """At every floating input the gradient of Σ_k <seeds[k], output k>."""
    trace = forward(graph, check_feeds(graph, feeds))
    total = {k: np.zeros_like(trace[k]) for k in graph.float_inputs}
    for name, seed in zip(graph.outputs, seeds):
        if trace.carries(name):
            found = backward(trace, gradient().plan(graph, target=name), {name: seed.astype(trace[name].dtype)}).values
            total = {k: v + found.get(k, 0) for k, v in total.items()}
    return total


def differs(a: Array, b: Array, tolerance: float) -> str:
    """How two arrays differ, "" when they agree to ``tolerance`` of the largest entry."""
    if a.shape != b.shape:
        return f"shapes {a.shape} and {b.shape}"
    if a.dtype.kind not in "f" or b.dtype.kind not in "f":
        return "" if np.array_equal(a, b) else "the values differ"
    finite = np.isfinite(b)
    if not np.array_equal(finite, np.isfinite(a)):
        return "one has infinite values or none where the other has numbers"
    gap = float(np.abs(np.where(finite, a, 0) - np.where(finite, b, 0)).max(initial=0))
    size = max(float(np.abs(np.where(finite, b, 0)).max(initial=0)), 1e-6)          # below that a value is rounding of something larger
    return f"a difference of {gap:.3g} where values reach {size:.3g}, allowed {tolerance:g} of that" if gap > tolerance * size else ""


def spread(y: Array) -> float:
    """How much the samples differ, relative to the largest entry."""
    if y.dtype.kind != "f":
        return float(np.any(y != y[:1]))
    return float(np.abs(y - y[:1]).max(initial=0)) / max(float(np.abs(y).max(initial=0)), 1e-300)


def changed(a: Graph, b: Graph) -> str:
    """What differs between two graphs, "" when nothing does."""
    for what, x, y in (("inputs", dict(a.inputs), dict(b.inputs)), ("outputs", a.outputs, b.outputs), ("meta", dict(a.meta), dict(b.meta)),
                       ("parameter names", list(a.params), list(b.params))):
        if x != y:
            return f"the {what} are {x} and {y}"
    for one, other in zip(a.nodes, b.nodes):
        if one != other:
            return f"node {one.name!r} is {one} and {other}"
    lost = [k for k in a.params if a.params[k].tobytes() != b.params[k].tobytes()]
    return f"parameter {lost[0]!r} holds other numbers" if lost else "" if len(a.nodes) == len(b.nodes) else "it has more nodes"


def said(node: Node) -> str:
    """A node, for a message."""
    return f"node {node.name!r} ({node.op}{f'; from {node.origin}' if node.origin else ''})"


