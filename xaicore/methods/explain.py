"""``explain``: one call for every method. It checks names and settings, makes the task, serves ``layer=``, takes the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from xaicore.errors import Inapplicable, InputError, UnknownName, nearest
from xaicore.graph.graph import Graph, layers_of
from xaicore.graph.passes import cut, faster
from xaicore.graph.run import check_feeds, evaluate
from xaicore.methods.attribution import Attribution
from xaicore.methods.games import backgrounds
from xaicore.methods.memory import family_of, fitting
from xaicore.methods.table import METHODS, Method
from xaicore.methods.task import Progress, Task, make_task, retargeted
from xaicore.methods.workers import checked as workers_of
from xaicore.methods.workers import one_thread_each
from xaicore.numerics import Array
from xaicore.rules.ruleset import RuleSet

SPEEDS = ("exact", "fast")


def explain(
    graph: Graph, x: Any, method: str | RuleSet = "gradient", target: Any = None, *, output: str = "logit",
    layer: str | Sequence[str] | None = None,
    keep: Any = "all", batch_size: int | Literal["auto"] | None = None, progress: bool | Progress | None = None,
    wrt: Sequence[str] | None = None,
    speed: str = "exact", workers: int | None = None, **settings: Any,
) -> Attribution:
    """The attribution of ``method`` for what the graph says about ``x``.

    graph     from xc.load or xc.from_model; of a Python function from xc.from_function, for methods that only evaluate f
    x         one array (N, ...), a sequence in the order of the inputs, or a mapping by name
    method    an id of xc.METHODS, or a RuleSet of your own
    target    a class index; one index for each sample; a tuple into a spatial output; an array of weights, which are floats
              (whole numbers are indices); a callable (builder, value name) -> node name; ("output name", ...) where there
              are several; ("layer name", ...) explains a neuron, or weighted neurons, inside the graph; None: the largest logit
    output    "logit" (a softmax head is taken off), "probability", "log_probability"
    layer     attribute to this layer's value instead of the input; for maps (CAM, SMOE) the layer, or layers, that the map is made of
    batch_size  internal evaluations at a time (path, noise, occlusion methods); None: as many as have their values in an eighth of a GiB;
              "auto": as many as keep the estimated peak below the limit on bytes (--max-bytes; ``methods.memory``), or TooLarge
    progress  True for a bar, or a function of (done, count)
    speed     "exact": direct sums; "fast": Winograd's for 3 x 3 convolutions, whose rounding error is up to some twenty times larger
    workers   threads for evaluations that do not depend on each other (batches of ``batch_size``), no more than there are processors; the
              bytes of the result are the same for every number. None: one, and whatever threads linear algebra takes
    keep      inner values to keep in ``.layers``: "all", "inputs", or names (propagation methods); with "inputs" the ledger is kept
              when somebody looks into it, by taking the pass again
    settings  the method's own, see xc.METHODS[id].settings

    Errors are XaicoreError and say what to do: UnknownName (with the nearest names), InputError, ShapeError,
    Inapplicable, UncoveredNode.
    """
    started = time.perf_counter()
    row = _method(method)
    checked, threads = _settings(row, settings, speed), workers_of(workers)
    graph, x, reached = _floating(_at_speed(graph, speed), x, layer)
    size = fitting(graph, x, family_of(row, checked, method), row.slow, row.id) if batch_size == "auto" else batch_size
    task = make_task(graph, x, target, output, size, progress_of(progress), _keep(keep), wrt, row.free, _rules_of(row, checked))
    checked = _range_of_input(task, row, checked, reached)
    return _described(_answer(row, graph, task, reached, checked, threads), row, checked, layer, output, speed, started)


def explain_all(
    graph: Graph, x: Any, methods: Sequence[Any] | Mapping[str, Any], targets: Sequence[Any] = (None,), *, output: str = "logit",
    layer: str | Sequence[str] | None = None,
    keep: Any = "all", batch_size: int | Literal["auto"] | None = None, progress: bool | Progress | None = None,
    wrt: Sequence[str] | None = None,
    speed: str = "exact", workers: int | None = None,
) -> dict[str, tuple[Attribution, ...]]:
    """Many explanations of one forward pass: label -> the attribution for each of ``targets``, equal to what ``explain`` gives.

    methods   ids, RuleSets, or pairs (id or RuleSet, {setting: value}); a mapping label -> one of these names them itself
    targets   each as ``target`` of ``explain``
    the rest  as in ``explain``

    The forward pass is taken once for all methods and for all targets that are entries of one output; rule sets that want the graph
    prepared alike (folded, expanded) share the pass through it. InputError where two methods would have one label.
    """
    asked = [(label, _method(method), settings) for label, method, settings in _labelled(methods)]
    ready, threads = [(label, row, _settings(row, settings, speed)) for label, row, settings in asked], workers_of(workers)
    graph, x, reached = _floating(_at_speed(graph, speed), x, layer)
    report, keep = progress_of(progress), _keep(keep)
    if batch_size == "auto":
        batch_size = min(fitting(graph, x, family_of(row, settings, method), row.slow, row.id)
                         for (_, row, settings), (_, method, _) in zip(ready, _labelled(methods)))
    first: dict[bool, Task] = {}
    out: dict[str, tuple[Attribution, ...]] = {}
    for label, row, settings in ready:
        found = []
        for target in targets:
            started = time.perf_counter()
            task = retargeted(first[row.free], target) if row.free in first else None
            if task is None:
                task = make_task(graph, x, target, output, batch_size, report, keep, wrt, row.free)
                first.setdefault(row.free, task)
            checked = _range_of_input(task, row, settings, reached)
            found.append(_described(_answer(row, graph, task, reached, checked, threads), row, checked, layer, output, speed, started))
        out[label] = tuple(found)
    return out


def _labelled(methods: Sequence[Any] | Mapping[str, Any]) -> list[tuple[str, str | RuleSet, Mapping[str, Any]]]:
    """(label, method, settings) of everything that was asked for."""
    if isinstance(methods, str) or not isinstance(methods, (Mapping, list, tuple)) or not methods:
        raise InputError(f"methods={methods!r:.60} must be a list of method ids, RuleSets or pairs (id, settings), or a mapping from "
                         f"labels to these; at least one")
    named = isinstance(methods, Mapping)
    out: list[tuple[str, str | RuleSet, Mapping[str, Any]]] = []
    for label, given in methods.items() if isinstance(methods, Mapping) else ((None, m) for m in methods):
        method, settings = given if isinstance(given, tuple) and len(given) == 2 else (given, {})
        if not isinstance(method, (str, RuleSet)) or not isinstance(settings, Mapping):
            raise InputError(f"{given!r:.60} is no method; give an id, a RuleSet, or a pair (id, {{setting: value}})")
        shown = str(label) if named else method.name if isinstance(method, RuleSet) else method
        if any(shown == other for other, _, _ in out):
            raise InputError(f"two methods are called {shown!r}; give a mapping with a label for each: {{'a': ({shown!r}, ...), 'b': ...}}")
        out.append((shown, method, settings))
    return out


def _at_speed(graph: Graph, speed: str) -> Graph:
    if speed not in SPEEDS:
        raise UnknownName(f"speed={speed!r}: the speeds are {' and '.join(map(repr, SPEEDS))}")
    return graph.once("faster", lambda: faster(graph)) if speed == "fast" and isinstance(graph, Graph) else graph


def _floating(graph: Graph, x: Any, layer: Any) -> tuple[Graph, Any, Any]:
    """(graph, x, layer), where token ids have no attribution: the graph behind the layer, which has one."""
    if isinstance(layer, str) and isinstance(graph, Graph) and not graph.float_inputs:
        return *from_layer(graph, x, layer), None
    return graph, x, layer


def _answer(row: Method, graph: Graph, task: Task, layer: Any, settings: dict[str, Any], threads: int | None) -> Attribution:
    """One method on a task, at the input or at a layer, its evaluations by so many threads."""
    if threads is not None:
        with one_thread_each(threads):
            return _answer(row, graph, replace(task, workers=threads), layer, settings, None)
    several = list(layer) if isinstance(layer, (list, tuple)) else []
    if several and row.layer != "own":
        raise InputError(f"{row.id} attributes to one layer, and layer={layer!r} names {len(several)}; choose one")
    for one in several or ([] if layer is None else [layer]):
        _check_layer(graph, task, one)
    if layer is None or row.layer == "own":
        return row.run(task, **({"layer": layer} if layer is not None else {}), **settings)
    if row.layer == "signal":
        return _at_signal(row.run(task, **settings), task, str(layer))
    if row.layer == "cut":
        return _behind(row, task, str(layer), settings)
    raise Inapplicable(f"{row.id} has no layer version; leave out layer={layer!r}")


def _described(a: Attribution, row: Method, settings: dict[str, Any], layer: Any, output: str, speed: str, started: float) -> Attribution:
    """The attribution with everything that made it."""
    shown = {**row.defaults, **a.settings, **settings, **({} if layer is None else {"layer": layer}), "output": output,
             **({} if speed == "exact" else {"speed": speed})}
    return a.changed(settings=shown, seconds=time.perf_counter() - started)


def _method(method: str | RuleSet) -> Method:
    if isinstance(method, RuleSet):
        rules = method
        base = METHODS[{"multiplier": "deeplift.rescale", "cotangent": "deconvnet"}.get(rules.carrier, "lrp.epsilon")]
        run = base.run
        settings = {"baseline": 0} if rules.carrier == "multiplier" else {}
        return replace(base, id=rules.name, settings=settings, promises=("batch_invariance", "determinism"), rules=None,
                       run=lambda task, **s: replace(run(task, rules=rules, **s), method=rules.name))
    if method not in METHODS:
        raise UnknownName(f"no method is called {method!r}: {nearest(str(method), METHODS)}  (xaicore methods lists them)")
    return METHODS[method]


def _settings(row: Method, settings: Mapping[str, Any], speed: str) -> dict[str, Any]:
    settings = {**settings, "speed": speed} if "speed" in row.settings else settings
    for k in settings:
        if k not in row.settings:
            known = nearest(k, row.settings) if row.settings else f"it has none, so leave {k} out"
            raise UnknownName(f"{row.id} has no setting {k!r}: {known}")
    if len(row.defaults) < len(row.settings):
        missing = [k for k in row.settings if k not in row.defaults and k not in settings]
        if missing:
            raise InputError(f"{row.id} needs the setting {missing[0]!r}: {missing[0]}=...")
    return dict(settings)


def _rules_of(row: Method, settings: Mapping[str, Any]) -> Callable[[Graph], RuleSet] | None:
    """The rule set of a method that is one pass of it, once a graph is there; None where the graph is yet to say the range of its input."""
    table = row.rules
    if table is None or ("low" in row.settings and settings.keys().isdisjoint(("low", "high"))):
        return None
    return lambda graph: table(graph, settings)


def _range_of_input(task: Task, row: Method, settings: dict[str, Any], layer: Any = None) -> dict[str, Any]:
    """low and high from the graph's own knowledge of its input, where the user gave none; a layer's value has another range."""
    recorded = task.graph.meta.get(f"range.{task.wrt[0]}", "")
    if (layer is not None and row.layer == "cut") or "low" not in row.settings or "low" in settings or "high" in settings or not recorded:
        return settings
    low, high = recorded.split(",")
    return {**settings, "low": float(low), "high": float(high)}


def _keep(keep: Any) -> Any:
    if isinstance(keep, str):
        return keep
    if not isinstance(keep, (list, tuple, set, frozenset)) or not all(isinstance(k, str) for k in keep):
        raise InputError(f"keep={keep!r} must be 'all', 'inputs', or a list of layer names")
    return keep


def _check_layer(graph: Graph, task: Task, layer: Any) -> None:
    """Refuses a layer that the model has, but from which nothing reaches the explained value."""
    try:
        task.graph.find(layer)
    except UnknownName:
        name = graph.find(layer)
        head = f" (the {task.head} is taken off; output='probability' explains what is behind it)" if task.head else ""
        raise Inapplicable(f"layer {name!r} does not lie between the input and the explained value {task.value!r}{head}; choose one that "
                           f"does: {', '.join(layers_of(task.graph.nodes)[:8])}") from None


def from_layer(graph: Graph, x: Any, layer: str) -> tuple[Graph, dict[str, Array]]:
    """The graph behind a layer and its inputs, for a model whose own inputs are whole numbers (token ids)."""
    feeds = check_feeds(graph, x)
    name = graph.find(layer)
    value = evaluate(graph, feeds, keep=[name])[name]
    if value.dtype.kind not in "fO":
        raise Inapplicable(f"layer {layer!r} has dtype {value.dtype}, so there is nothing to differentiate; choose a floating layer, such "
                           f"as an embedding")
    behind = cut(graph, name, value.shape)
    return behind, {k: v for k, v in {**feeds, name: value}.items() if k in behind.inputs}


def _at_signal(a: Attribution, task: Task, layer: str) -> Attribution:
    name = task.graph.find(layer)
    if name in a.values:
        return replace(a, values={name: a.values[name]})
    if name not in a.layers:
        raise Inapplicable(f"no signal passes {layer!r} on the way from {task.value!r} to the input (or keep= left it out)")
    return replace(a, values={name: a.layers[name]})


def _behind(row: Method, task: Task, layer: str, settings: dict[str, Any]) -> Attribution:
    """The method on the part of the graph behind the layer; a baseline is taken through the part before it."""
    if task.graph.find(layer) == task.value:
        raise Inapplicable(f"layer {layer!r} is the explained value itself, so nothing lies behind it; choose a layer before it")
    if not row.baseline or settings.get("background") is not None:
        inner, _ = task.at_layer(layer)
        return row.run(inner, **_background_at(task, inner, settings))
    start = task.baseline(settings.get("baseline", 0))
    inner, at = task.at_layer(layer, start)
    assert at is not None
    return row.run(inner, **{**settings, "baseline": {k: at[k] for k in inner.wrt}})


def _background_at(task: Task, inner: Task, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with a background set of inputs taken to the layer that ``inner`` explains."""
    if settings.get("background") is None:
        return settings
    if isinstance(settings["background"], str):
        raise Inapplicable(f"background={settings['background']!r} makes references out of the input, so there is none at a layer; give "
                           f"an array, or leave layer= out")
    if inner.wrt == task.wrt:
        return settings
    sets = backgrounds(task, settings["background"])
    if set(sets) != set(task.feeds) or any(v.shape[1] > 1 for v in sets.values()):
        raise Inapplicable("a background set at a layer is one set of whole inputs for all samples; here some inputs keep the values of "
                           "each sample, so use baseline=, or leave layer= out")
    (name,) = inner.wrt
    values = evaluate(task.graph, {k: v[:, 0] for k, v in sets.items()}, keep=[name])[name]
    return {**settings, "background": {name: values}}


def progress_of(progress: bool | Progress | None) -> Progress | None:
    """What is to be called with (done, count): nothing, the given function, or a bar on the terminal for True. InputError otherwise."""
    if progress is None or progress is False:
        return None
    if progress is not True:
        if not callable(progress):
            raise InputError(f"progress={progress!r} must be True, False, or a function of (done, count)")
        return progress
    from rich.progress import Progress as Bar

    bar = Bar(transient=True)
    line = bar.add_task("evaluating", total=None)

    def report(done: int, count: int) -> None:
        bar.start()                                                     # not before: methods of one pass report nothing
        bar.update(line, completed=done, total=count)
        if done >= count:
            bar.stop()

    return report
