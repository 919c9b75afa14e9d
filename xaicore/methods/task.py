"""What is to be explained, made definite: graph, inputs, one number f(x) for each sample, and how to get f and ∇f anywhere.

Methods are thin because this is here: targets, softmax heads, baselines, batching and progress are settled once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import isfunction, signature
from typing import Any, Literal

import numpy as np

from xaicore.errors import Inapplicable, InputError, ShapeError, UnknownName, XaicoreError, nearest
from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.graph.passes import behind, extend, prune, without_head
from xaicore.graph.run import check_feeds, evaluate
from xaicore.methods.prepared import Memo, prepared
from xaicore.numerics import Array, filled, rationals, scalar
from xaicore.ops import LogSoftmax, Softmax
from xaicore.rules.gradient import gradient
from xaicore.rules.ruleset import RuleSet, total
from xaicore.trace import Later, Signals, Trace, backward, forward

Feeds = Mapping[str, Array]
Progress = Callable[[int, int], None]
OUTPUTS = ("logit", "probability", "log_probability")
BUDGET = 2**27
"""Bytes that the values of one internal batch may take when no batch_size is given. Past it, larger batches leave the cache and gain
nothing (VGG16, with 110 MB a sample: two at a time took 1.13 of the time of one by one)."""


@dataclass(frozen=True, eq=False)
class Task:
    """f(x) = Σ weights ⊙ value, a number for each sample, with the graph and the inputs that it is about.

    value     the name of the explained value; weights has its shape (N, *K), a one-hot row for a class index
    wrt       the inputs that get an attribution
    head      the softmax that was taken off, or None;  output is the asked-for scale
    """

    graph: Graph
    feeds: Feeds
    value: str
    weights: Array
    wrt: tuple[str, ...]
    target: Any = None
    output: str = "logit"
    head: str | None = None
    words: str = ""
    batch_size: int = 64
    progress: Progress | None = None
    keep: Any = "all"
    trace: Trace | None = field(default=None, repr=False)
    memo: Memo = field(default_factory=lambda: Memo(), repr=False)
    workers: int | None = None

    @property
    def size(self) -> int:
        """The number of samples N."""
        return len(self.weights)

    def scores(self, value: Array, rows: Array | None = None) -> Array:
        """f for explained values (M, *K); ``rows`` says which sample's target each of the M belongs to."""
        return total(value * (self.weights if rows is None else self.weights[rows]))

    @property
    def result(self) -> Array:
        """f(x), shape (N,)."""
        assert self.trace is not None
        return self.scores(self.trace[self.value])

    # ----- as a rule set wants it ---------------------------------------------------------------------------------

    def prepared(self, rules: RuleSet) -> Graph:
        """The graph as ``rules`` want it (``RuleSet.prepare``)."""
        assert self.trace is not None
        return prepared(self.trace, self.feeds, rules)

    def traced(self, rules: RuleSet) -> Trace:
        """The forward pass of the prepared graph: the task's own where nothing had to be prepared."""
        assert self.trace is not None
        return self.memo.traced(self.trace, self.feeds, rules)

    # ----- f and its gradient at other inputs -------------------------------------------------------------------

    def at(self, feeds: Feeds, rows: Array) -> Array:
        """f at M inputs, ``rows`` (M,) naming the sample whose target counts; evaluated ``batch_size`` at a time."""
        parts = [self.scores(evaluate(self.graph, self._part(feeds, rows, part), keep=[self.value])[self.value], rows[part])
                 for part in self._parts(len(rows))]
        return np.concatenate(parts)

    def gradients(self, feeds: Feeds, rows: Array, rules: RuleSet | None = None) -> tuple[dict[str, Array], Array]:
        """∇f (or another cotangent rule set) at M inputs, and f there: ({input: (M, ...)}, (M,))."""
        grads: dict[str, list[Array]] = {k: [] for k in self.wrt}
        values: list[Array] = []
        rules = rules or gradient()
        for part in self._parts(len(rows)):
            trace = forward(self.graph, self._part(feeds, rows, part), wrt=self.wrt)
            signals = self.pull(trace, rules, self.weights[rows[part]], release=True)
            for k in self.wrt:
                grads[k].append(signals.values[k] if k in signals.values else trace[k] * scalar(0, trace[k]))
            values.append(self.scores(trace[self.value], rows[part]))
        return {k: np.concatenate(v) for k, v in grads.items()}, np.concatenate(values)

    def pull(self, trace: Trace, rules: RuleSet, seed: Array, keep: Sequence[str] = (), release: bool = False,
             only: Sequence[str] | None = None) -> Signals:
        """The backward pass of a rule set from the explained value, without a ledger; ``release`` uses the trace up, ``only`` names the
        values at which it ends (``trace.backward``)."""
        plan = rules.plan(trace.graph, trace.wrt, self.value)
        return backward(trace, plan, {self.value: seed}, keep, books=False, release=release, only=only)

    def _part(self, feeds: Feeds, rows: Array, part: slice) -> dict[str, Array]:
        """One batch: the given inputs, and for every other input of the graph the samples' own."""
        own = {k: v[rows[part]] for k, v in self.feeds.items() if k not in feeds}
        return {**own, **{k: v[part] for k, v in feeds.items()}}

    def _parts(self, count: int) -> Iterable[slice]:
        step = max(1, self.batch_size)
        slices = [slice(k, min(k + step, count)) for k in range(0, count, step)]
        return slices if self.progress is None else _reported(slices, count, self.progress)

    # ----- derived tasks ----------------------------------------------------------------------------------------

    def moved(self, feeds: Feeds, rows: Array) -> Task:
        """The task at M other inputs, ``rows`` (M,) naming the sample whose target and other inputs count."""
        there = self._part(feeds, rows, slice(None))
        return replace(self, feeds=there, weights=self.weights[rows], trace=forward(self.graph, there, wrt=self.wrt), progress=None)

    def baseline(self, baseline: Any, setting: str = "baseline") -> dict[str, Array]:
        """Feeds of the baseline: None or 0 for zeros, a number, one sample or a batch; other inputs keep their values.

        ``setting`` is what the user calls it, for messages.
        """
        if baseline is None:
            baseline = 0
        given = baseline if isinstance(baseline, Mapping) else dict.fromkeys(self.wrt, baseline)
        for k in given:
            if k not in self.feeds:
                raise UnknownName(f"the {setting} names {k!r}, which is no input: {nearest(str(k), self.feeds)}")
        full = dict(self.feeds)
        for k, v in given.items():
            x, b = self.feeds[k], np.asarray(v)
            if v is None or b.dtype.kind not in "fiuO":
                raise InputError(f"the {setting} of input {k!r} is {v!r:.60}; a number, one sample or a batch of numbers is expected")
            if b.shape not in ((), x.shape, x.shape[1:], (1, *x.shape[1:])):
                raise ShapeError(f"the {setting} of input {k!r} has shape {b.shape}; a number, {x.shape[1:]} (one for all) or {x.shape} is "
                                 f"expected")
            try:
                full[k] = check_feeds(self.graph, {**self.feeds, k: np.array(np.broadcast_to(b, x.shape))})[k]
            except XaicoreError as error:
                raise type(error)(f"the {setting}: {error}") from None
        return full

    def at_layer(self, layer: str, baseline: Feeds | None = None) -> tuple[Task, dict[str, Array] | None]:
        """The task behind a layer, whose value becomes the explained input, and the layer's baseline values."""
        name = self.graph.find(layer)
        if name in self.graph.inputs:
            return self, None if baseline is None else dict(baseline)
        assert self.trace is not None
        if not self.trace.carries(name):
            raise Inapplicable(f"layer {layer!r} does not depend on the input, so it has no attribution")
        value = self.trace[name]
        inner = behind(self.graph, self.value, name, value.shape)
        if name not in {i for n in inner.nodes for i in n.inputs}:
            raise Inapplicable(f"layer {layer!r} lies behind the explained value {self.value!r} or beside it, so nothing flows to it")
        feeds = {k: v for k, v in {**self.feeds, name: value}.items() if k in inner.inputs}
        task = replace(self, graph=inner, feeds=feeds, wrt=(name,), trace=forward(inner, feeds, wrt=(name,)))
        if baseline is None:
            return task, None
        there = evaluate(self.graph, baseline, keep=[name])[name]
        return task, {**feeds, name: there}


def _reported(slices: Sequence[slice], count: int, progress: Progress) -> Iterator[slice]:
    for part in slices:
        progress(part.start, count)
        yield part
    progress(count, count)


# ----- making a task ----------------------------------------------------------------------------------------------


def make_task(
    graph: Graph, x: Any, target: Any = None, output: str = "logit", batch_size: int | Literal["auto"] | None = None,
    progress: Progress | None = None, keep: Any = "all", wrt: Sequence[str] | None = None, free: bool = False,
    rules: Callable[[Graph], RuleSet] | None = None,
) -> Task:
    """Checks everything a user gave and settles what f is. Errors are typed and name the next step.

    ``free``: the method only evaluates f, so that inputs of whole numbers (token ids) can be explained, too: those that ``wrt``
    names, or all of a graph that has no floating input. ``rules``: the method is one pass of these, so that where they
    prepare the graph the prepared one is run, and the graph as it is only where its values are asked for (the largest logit is one).
    """
    if not isinstance(graph, Graph):
        kind = type(graph).__name__ if type(graph).__module__ == "builtins" else f"{type(graph).__module__}.{type(graph).__name__}"
        if isfunction(graph):
            raise InputError("explain takes a Graph, not a function: wrap it, graph = xaicore.from_function(function, (None, ...)), for "
                             "the methods that only evaluate it")
        raise InputError(f"explain takes a Graph, not {kind}: convert the model first, graph = xaicore.from_model(model, example_inputs), "
                         f"or read its file, graph = xaicore.load('model.onnx')")
    if output not in OUTPUTS:
        raise UnknownName(f"output={output!r}: the explained scale is one of {', '.join(map(repr, OUTPUTS))}")
    if batch_size == "auto":
        from xaicore.methods import memory  # which looks at methods, which need this

        batch_size = memory.fitting(graph, x, "evaluation" if free else "point", True, "an explanation")
    if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1):
        raise InputError(f"batch_size={batch_size!r} must be a whole number of at least 1, None for what fits {BUDGET // 2**20} MiB, or "
                         f"'auto' for what keeps below --max-bytes")
    feeds = check_feeds(graph, x)
    name, rest, scale = _choose_output(graph, target, output)
    made_by = rest if callable(rest) else None
    if made_by is None:
        whole = graph
        graph, value, head = whole.once(("explained", name, scale), lambda: _explained(whole, name, scale))
    else:
        graph, end, _ = _scale(graph, name, scale)
        graph, value = extend(graph, lambda b: _called(made_by, b, end))
        graph, rest, head = prune(graph, [value]), None, None
    wrt = [wrt] if isinstance(wrt, str) else wrt
    if wrt is not None and not list(wrt):
        raise InputError(f"wrt names no input, so nothing would be explained; leave it out, or choose among "
                         f"{', '.join(graph.float_inputs)}")
    if free and wrt is None and not graph.float_inputs:
        wrt = [k for k, spec in graph.inputs.items() if spec.kind == "int"]
    for k in wrt or ():
        known = [i for i, spec in graph.inputs.items() if spec.kind == "float" or (free and spec.kind == "int")]
        if k not in known:
            raise UnknownName(f"wrt={k!r} is not {'an input of numbers' if free else 'a floating input'}: {nearest(str(k), known)}")
    trace = forward(graph, feeds, wrt=wrt or None, later=rules is not None and target is not None and made_by is None)
    if made_by is not None and int(np.prod(trace[value].shape[1:])) != 1:
        raise InputError(f"the target callable returned {value!r} of shape {trace[value].shape}; one number for each sample is expected, "
                         f"for example b.add(Sum((1,)), name)")
    memo, ran = Memo(), trace
    if rules is not None and isinstance(trace.values, Later):
        wanted = rules(graph)
        ran = memo.traced(trace, feeds, wanted)
        if ran is trace:                                                # nothing is prepared, so that the graph's own values are wanted now
            trace = ran = Trace(graph, trace.values.found, trace.active, trace.wrt)
            memo.of(trace).asked[id(wanted)] = wanted, trace
    weights, label = _weights(ran[value], rest, value)
    return Task(graph, feeds, value, weights, trace.wrt, target if target is not None else label, output, head, _words(label, head, output),
                batch_size or _fitting(ran), progress, keep, trace, memo)


def retargeted(task: Task, target: Any) -> Task | None:
    """The task of another target on the same forward pass; None where the target is another value than the task's."""
    both = (target, task.target)
    if any(callable(t) or (isinstance(t, tuple) and t and isinstance(t[0], str)) for t in both):
        return None
    assert task.trace is not None
    weights, label = _weights(task.trace[task.value], target, task.value)
    return replace(task, weights=weights, target=target if target is not None else label, words=_words(label, task.head, task.output))


def _words(label: str, head: str | None, output: str) -> str:
    """The explained number in words: "probability 3 of 'fc2'", "class 3 of 'fc2' (before Softmax)"."""
    scale = "" if head is None and output == "logit" else f"{output} "
    return scale + label + (f" (before {head})" if head and output == "logit" else "")


def _fitting(trace: Trace) -> int:
    """How many samples have all their values in BUDGET bytes: at least one, at most 4096."""
    values = trace.values
    sample = sum([values[n.name].nbytes for n in trace.graph.nodes]) // len(values[trace.wrt[0]])
    return max(1, min(4096, BUDGET // max(sample, 1)))


def _called(target: Callable[..., Any], b: Builder, value: str) -> str:
    """What a target callable built; its mistakes are the user's and get a message."""
    usage = "it gets (builder, name of the explained value) and returns the name of the node that it adds: lambda b, y: b.add(Sum((1,)), y)"
    try:
        signature(target).bind(b, value)
    except (TypeError, ValueError):
        raise InputError(f"the target callable cannot be called with two arguments; {usage}") from None
    name = target(b, value)
    if not isinstance(name, str) or not b.has(name):
        raise InputError(f"the target callable returned {name!r}; {usage}")
    return name


def _explained(graph: Graph, name: str, scale: str | None) -> tuple[Graph, str, str | None]:
    """``_scale``, without what the value does not need."""
    graph, value, head = _scale(graph, name, scale)
    return prune(graph, [value]), value, head


def _choose_output(graph: Graph, target: Any, output: str) -> tuple[str, Any, str | None]:
    """(explained value, rest of the target, scale): a target ("boxes", 3) begins with the name of an output, or of a layer.

    A layer's value is explained as it is (scale None), and the graph ends there: ("conv1", (5, 2, 2)) is one neuron.
    """
    if not (isinstance(target, tuple) and target and isinstance(target[0], str)):
        if len(graph.outputs) > 1:
            raise InputError(f"the graph has {len(graph.outputs)} outputs ({', '.join(graph.outputs)}); name one in the target: "
                             f"target=({graph.outputs[0]!r}, index)")
        return graph.outputs[0], target, output
    name = target[0]
    rest = target[1] if len(target) == 2 else target[1:] or None
    if name in graph.outputs:
        return name, rest, output
    layers = {k for n in graph.nodes for k in (n.name, n.layer) if k}
    if name not in layers:
        raise UnknownName(f"the target names output {name!r}: {nearest(name, {*graph.outputs, *layers})}")
    if output != "logit":
        raise InputError(f"the target names layer {name!r}, whose value is explained as it is; output={output!r} is for a graph's output")
    return graph.find(name), rest, None


def _scale(graph: Graph, name: str, output: str | None) -> tuple[Graph, str, str | None]:
    """The graph and the value on the asked-for scale: before the softmax head, or behind one; a layer's value as it is."""
    if output is None:
        return replace(graph, outputs=(name,)), name, None
    value, head = without_head(graph, name)
    if output == "logit":
        return graph, value, head
    wanted = Softmax if output == "probability" else LogSoftmax
    if head == wanted.__name__:
        return graph, name, head
    axis = next((n.op.axis for n in graph.nodes if value in n.inputs and isinstance(n.op, (Softmax, LogSoftmax))), -1)
    graph, value = extend(graph, lambda b: b.add(wanted(axis), value, name=output))
    return graph, value, wanted.__name__


def target_weights(value: Array, target: Any, name: str) -> Array:
    """Which entries of a value a target means, as weights in its shape: one-hot rows for an index, a tuple, or one for each sample."""
    return _weights(value, target, name)[0]


def _weights(value: Array, target: Any, name: str) -> tuple[Array, str]:
    """One-hot rows (or the given weights) in the shape of the explained value, and the target in words."""
    n, inner = len(value), value.shape[1:]
    if value.dtype.kind not in "fO":
        raise InputError(f"the explained value {name!r} has dtype {value.dtype}; only floating outputs can be explained")
    if type(target) is int and len(inner) == 1 and 0 <= target < inner[0]:                        # as it is nearly always
        return _one_hot(value, [(target,)] * n, name), f"{target} of {name!r}"
    if target is None:
        if int(np.prod(inner)) == 1:
            return filled(value.shape, 1, value), repr(name)
        if len(inner) != 1:
            raise InputError(f"output {name!r} has shape (N, {', '.join(map(str, inner))}); give a target tuple with {len(inner)} indices, "
                             f"for example target=({', '.join('0' for _ in inner)})")
        top = value.argmax(axis=1)
        return _one_hot(value, [(int(t),) for t in top], name), f"class {_listed(top)} (largest) of {name!r}"
    positions = _positions(target, n, inner, name)
    if positions is not None:
        shown = [p[0] if len(p) == 1 else p for p in positions]
        return _one_hot(value, positions, name), f"{_listed(shown)} of {name!r}"
    w = np.asarray(target)
    if w.dtype.kind not in "fiuO" or w.shape not in (inner, value.shape) or not w.ndim:
        index = "an index" if len(inner) == 1 else f"a tuple of {len(inner)} indices"
        raise InputError(f"the target is {target!r:.60}; for output {name!r} of shape (N, {', '.join(map(str, inner))}) it is {index}, one "
                         f"for each sample in a list, or an array of weights of shape {inner}")
    if value.dtype == object:
        w = rationals(w, "the target's weights")
    elif w.dtype.kind == "O":
        raise InputError("the target's weights have dtype object; give floats, or use graph.astype('exact') for Fractions")
    elif not np.isfinite(w).all():
        bad = tuple(int(k) for k in np.argwhere(~np.isfinite(w))[0])
        raise InputError(f"the target's weights hold {w[bad]} at index {bad}, so f(x) would not be a number; give finite weights")
    return np.array(np.broadcast_to(w.astype(value.dtype), value.shape)), f"a weighted sum of {name!r}"


def _listed(items: Any) -> str:
    shown = [str(i) for i in items]
    if len(set(shown)) == 1:
        return shown[0]
    return "[" + ", ".join(shown[:8]) + (", ..." if len(shown) > 8 else "") + "]"


def _positions(target: Any, n: int, inner: tuple[int, ...], name: str) -> list[tuple[int, ...]] | None:
    """The index tuple of each sample, or None when the target is a weight array."""
    def is_int(v: Any) -> bool:
        return isinstance(v, (int, np.integer)) and not isinstance(v, bool)

    if is_int(target):
        return _checked([(int(target),)] * n, inner, name)
    if isinstance(target, tuple) and target and all(is_int(t) for t in target):
        return _checked([tuple(int(t) for t in target)] * n, inner, name)
    if isinstance(target, list) and target and all(isinstance(t, tuple) for t in target):
        return _checked(_per_sample([tuple(int(i) for i in t) for t in target], n), inner, name)
    array = np.asarray(target)
    if array.dtype.kind in "iu" and array.ndim == 1:
        return _checked(_per_sample([(int(t),) for t in array], n), inner, name)
    if array.dtype.kind in "iu" and array.ndim == 0:
        return _checked([(int(array),)] * n, inner, name)
    return None


def _per_sample(positions: list[tuple[int, ...]], n: int) -> list[tuple[int, ...]]:
    if len(positions) != n:
        raise InputError(f"{len(positions)} targets were given for a batch of {n}; give one index, or one for each sample (weights are an "
                         f"array of floats or Fractions)")
    return positions


def _checked(positions: list[tuple[int, ...]], inner: tuple[int, ...], name: str) -> list[tuple[int, ...]]:
    for p in positions:
        if len(p) != len(inner):
            raise InputError(f"target {p if len(p) != 1 else p[0]} has {_many(len(p))}, but output {name!r} has shape "
                             f"(N, {', '.join(map(str, inner))}) and needs {_many(len(inner))}, for example "
                             f"target={0 if len(inner) == 1 else (0,) * len(inner)}")
        for k, (i, size) in enumerate(zip(p, inner)):
            if not 0 <= i < size:
                raise InputError(f"target {i} is out of range on axis {k + 1} of output {name!r}: it has {size} entries, 0 to {size - 1}")
    return positions


def _many(count: int) -> str:
    return f"{count} index" if count == 1 else f"{count} indices"


def _one_hot(value: Array, positions: list[tuple[int, ...]], name: str) -> Array:
    w, one = filled(value.shape, 0, value), scalar(1, value)
    for n, p in enumerate(positions):
        w[(n, *p)] = one
    return w
