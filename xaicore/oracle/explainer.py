"""A third party's explainer under our axioms and beside our numbers: what a test suite imports as ``xaicore.testing``."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np

from xaicore.errors import Inapplicable, InputError, Mismatch, NothingChecked, SubjectFault, UnknownName, XaicoreError, nearest
from xaicore.graph import Graph
from xaicore.graph.passes import extend
from xaicore.graph.run import evaluate
from xaicore.methods.attribution import Attribution
from xaicore.methods.table import METHODS
from xaicore.methods.task import Task, make_task
from xaicore.numerics import Array
from xaicore.ops import Dense, Flatten
from xaicore.oracle.axioms import AXIOMS
from xaicore.oracle.case import Case
from xaicore.oracle.compare import Comparison, compare
from xaicore.oracle.expected import Expected, expected_failures
from xaicore.oracle.numbers import numbers
from xaicore.oracle.serve import emitted
from xaicore.oracle.state import digest
from xaicore.oracle.zoo import Sample, zoo
from xaicore.plugins import from_model

Status: TypeAlias = Literal["passed", "failed", "skipped", "xfail", "xpass"]
BUDGETS: Mapping[str, int] = MappingProxyType({"smoke": 2, "ci": 8, "deep": 200})
"""name -> how many networks of the zoo, always the same ones: a check never fails by chance."""

OWN: Mapping[str, str] = MappingProxyType({
    "reference": "the numbers are those of xaicore's method, up to rounding",
    "model_unchanged": "the model is the same after an explanation: parameters, hooks, mode",
})
"""Checks besides the axioms."""


class AttributionMismatch(Mismatch, AssertionError):
    """Two attributions differ: a failed assertion for a test runner, a Mismatch for everybody else."""


class Explainer:
    """An explainer to be checked: a subclass gives ``explain``, and says in class attributes what it claims to compute.

    method     the id of xc.METHODS that it implements, with its ``settings``; "" where there is none: then only ``axioms`` are checked
    settings   of ours, such as {"eps": 1e-9}: the convention that it claims to follow
    framework  what ``explain`` gets as its model: "torch", "keras", "onnx", or "graph" (a xaicore Graph)
    dtype      the arithmetic that it runs in
    axioms     ids of AXIOMS that it claims to keep; None: those that the method's row promises
    accepts    settings of ours that ``explain`` takes as keywords, so that vectors with other values than its own can be asked
    name       what it is called in messages
    """

    method: str = ""
    settings: Mapping[str, Any] = MappingProxyType({})
    accepts: Sequence[str] = ()
    framework: str = "graph"
    dtype: Literal["float32", "float64"] = "float64"
    axioms: Sequence[str] | None = None
    name: str = ""

    def explain(self, model: Any, x: Array, target: Any, baseline: Any, **settings: Any) -> Any:
        """The attribution of x (N, ...), of the shape of x, for class target[n] of sample n (None: the model has one number for each)."""
        raise NotImplementedError(f"{type(self).__name__} has no explain(model, x, target, baseline)")

    def __repr__(self) -> str:
        return self.name or type(self).__name__


@dataclass(frozen=True)
class Function(Explainer):
    """A function (model, x, target, baseline) -> attribution as an Explainer."""

    function: Callable[..., Any]
    method: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    framework: str = "graph"
    dtype: Literal["float32", "float64"] = "float64"
    axioms: Sequence[str] | None = None
    accepts: Sequence[str] = ()
    name: str = ""

    def explain(self, model: Any, x: Array, target: Any, baseline: Any, **settings: Any) -> Any:
        """The function's answer."""
        return self.function(model, x, target, baseline, **settings)

    def __repr__(self) -> str:
        return self.name or getattr(self.function, "__name__", "function")


@dataclass(frozen=True)
class CheckResult:
    """What one check of one explainer found. ``status``: passed, failed, skipped (it does not apply), xfail (a failure that was
    expected), xpass (an expected failure that did not come). ``kind`` is "mismatch" or "fault" for a failure."""

    explainer: str
    check: str
    status: Status
    message: str = ""
    kind: str = ""
    expected: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Is there nothing to do about it?"""
        return self.status in ("passed", "skipped", "xfail")


def checks_of(explainer: Explainer) -> tuple[str, ...]:
    """The checks that an explainer's claims call for: the axioms, ``model_unchanged``, and ``reference`` where it names a method."""
    if explainer.method and explainer.method not in METHODS:
        raise UnknownName(f"{explainer!r} claims to be {explainer.method!r}: {nearest(explainer.method, METHODS)}")
    promised = METHODS[explainer.method].promised(explainer.settings) if explainer.method else ()
    chosen = tuple(promised if explainer.axioms is None else explainer.axioms)
    for one in chosen:
        if one not in AXIOMS:
            raise UnknownName(f"{explainer!r} claims the axiom {one!r}: {nearest(one, AXIOMS)}")
    return (*chosen, "model_unchanged", *(("reference",) if explainer.method else ()))


# ----- one explanation of theirs as an Attribution of ours --------------------------------------------------------------


def attribution_of(explainer: Explainer, graph: Graph, feeds: Mapping[str, Array], target: Any = None, baseline: Any = None,
                   model: Any = None, **own: Any) -> Attribution:
    """What an explainer says, checked and with our bookkeeping. Any target: what is no class index is built into the model's last layer."""
    task, classes = _with_classes(make_task(graph, feeds, target, str(explainer.settings.get("output", "logit"))))
    if len(task.wrt) != 1 or len(task.feeds) != 1:
        raise Inapplicable(f"{explainer!r} is asked about models with one input, and this one has {len(task.feeds)}")
    (name,) = task.wrt
    start = task.baseline(baseline) if baseline is not None or _compares(explainer) else None
    asked = emitted(task.graph, explainer.framework) if model is None else model
    x = np.array(task.feeds[name])
    try:
        found = explainer.explain(asked, x, classes, None if start is None else np.array(start[name]), **own)
    except (KeyboardInterrupt, NothingChecked):
        raise
    except Exception as error:
        raise SubjectFault(f"{explainer!r} raised {type(error).__name__}: {error}") from error
    at_start = None if start is None else task.scores(evaluate(task.graph, start, keep=[task.value])[task.value])
    blank = Attribution({name: task.feeds[name]}, task.result, explainer.method, task.graph, task.feeds, target, dict(explainer.settings),
                        task.words, start, at_start)
    return replace(blank, values={name: numbers(found, repr(explainer), blank).values[name].astype(task.feeds[name].dtype)})


def _compares(explainer: Explainer) -> bool:
    return bool(explainer.method) and METHODS[explainer.method].baseline


def _with_classes(task: Task) -> tuple[Task, list[int] | None]:
    """The task with a class for each sample; weights that are no class become one more layer with one number."""
    flat = task.weights.reshape(task.size, -1)
    if flat.shape[1] == 1 and (flat == 1).all():
        return task, None
    hot = ((flat != 0).sum(axis=1) == 1).all() and (flat.max(axis=1) == 1).all()
    if hot and task.weights.ndim == 2:
        return task, [int(k) for k in flat.argmax(axis=1)]
    if (flat != flat[:1]).any():
        raise Inapplicable("every sample has other weights of the outputs, which no class index says")
    graph, value = extend(task.graph, lambda b: b.add(Dense(), b.add(Flatten(), task.value) if task.weights.ndim > 2 else task.value,
                                                      b.constant(flat[:1], "target/weights"), name="target"))
    return make_task(replace(graph, outputs=(value,)), task.feeds), None


# ----- checks ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """One check, to be called with an explainer: raises AttributionMismatch, SubjectFault, or Inapplicable when no network tells."""

    id: str
    budget: str = "ci"

    @property
    def statement(self) -> str:
        """What it says, as a sentence."""
        return AXIOMS[self.id].statement if self.id in AXIOMS else OWN[self.id]

    def __call__(self, explainer: Explainer) -> int:
        """The number of networks on which it holds."""
        held, reasons = 0, []
        for sample in zoo(_count(self.budget), explainer.dtype):
            try:
                self._one(explainer, sample)
                held += 1
            except Inapplicable as error:
                reasons.append(str(error))
        if not held:
            raise Inapplicable(f"{self.id} does not apply to any of {len(reasons)} networks: {reasons[0] if reasons else 'none was made'}")
        return held

    def _one(self, explainer: Explainer, sample: Sample) -> None:
        where = f"{explainer!r} on {sample.name}"
        if self.id == "model_unchanged":
            model = emitted(sample.graph, explainer.framework)
            before = digest(model)
            attribution_of(explainer, sample.graph, sample.feeds, sample.target, model=model)
            if digest(model) != before:
                raise AttributionMismatch(f"{where}: the model is another one after the explanation; {OWN['model_unchanged']}")
            return
        if self.id == "reference":
            assert_matches_reference(explainer, sample.graph, sample.feeds, target=sample.target, where=sample.name)
            return

        def run(graph: Graph, feeds: Mapping[str, Array], method: str = "", target: Any = None, **settings: Any) -> Attribution:
            return attribution_of(explainer, graph, feeds, target, settings.get("baseline"))

        case = Case.of(sample.graph, sample.feeds, explainer.method or repr(explainer), sample.target, run=run)
        verdict = AXIOMS[self.id].check(case, True)
        if verdict.status == "does not apply":
            raise Inapplicable(verdict.reason)
        if verdict.status == "fails":
            raise AttributionMismatch(f"{where}: {self.id} fails, {self.statement}. Off by {verdict.residual:.3g}, allowed "
                                      f"{verdict.tolerance:.3g}. {verdict.reason}")

    def __str__(self) -> str:
        return self.id


def _count(budget: str) -> int:
    if budget not in BUDGETS:
        raise UnknownName(f"budget={budget!r} does not exist: {nearest(str(budget), BUDGETS)}")
    return BUDGETS[budget]


def check_explainer(
    explainer: Explainer, *, on_fail: Literal["raise", "warn"] | None = "raise", checks: Sequence[str] | None = None, budget: str = "ci",
    expected_failed: Expected = None, strict: bool = True, callback: Callable[[CheckResult], None] | None = None,
) -> list[CheckResult]:
    """Every check that the explainer's claims call for (or those of ``checks``), as a list of results.

    on_fail          "raise" AttributionMismatch or SubjectFault at the first failure, "warn", or None: the results tell
    budget           "smoke", "ci" or "deep": 2, 8 or 200 networks, the same ones every time
    expected_failed  checks that fail, with reasons: a mapping, a function of the explainer, or the path of a file
    strict           an expected failure that does not come is a failure
    callback         called with every result

    Raises NothingChecked where no check applies to anything, UnknownName for a check that there is not.
    """
    known = checks_of(explainer)
    wanted = list(known if checks is None else checks)
    for one in wanted:
        if one not in AXIOMS and one not in OWN:
            raise UnknownName(f"no check is called {one!r}: {nearest(one, [*AXIOMS, *OWN])}")
    expected = expected_failures(expected_failed, explainer, {*AXIOMS, *OWN})
    results = []
    for one in wanted:
        result, error = _result(explainer, Check(one, budget), expected.get(one, ""))
        results.append(result)
        if callback is not None:
            callback(result)
        bad = result.status == "failed" or (strict and result.status == "xpass")
        if bad and on_fail == "raise":
            raise error or AttributionMismatch(f"{result.explainer}: {result.check} was expected to fail ({result.expected}), and holds; "
                                               f"take it off the list")
        if bad and on_fail == "warn":
            warnings.warn(f"{result.explainer}: {result.check} {result.status}: {result.message}", stacklevel=2)
    if all(r.status == "skipped" for r in results):
        why = results[0].message if results else "none was chosen"
        raise NothingChecked(f"{explainer!r}: no check applies ({why}), so nothing was checked")
    return results


def _result(explainer: Explainer, check: Check, expected: str) -> tuple[CheckResult, XaicoreError | None]:
    started, status, message, kind, error = time.perf_counter(), "passed", "", "", None
    try:
        held = check(explainer)
        status, message = ("xpass" if expected else "passed"), f"on {held} networks"
    except (Inapplicable, NothingChecked) as raised:
        status, message = "skipped", str(raised)
    except XaicoreError as raised:
        status, message, error = ("xfail" if expected else "failed"), str(raised), raised
        kind = "mismatch" if isinstance(raised, Mismatch) else "fault"
    made: Any = status
    return CheckResult(repr(explainer), check.id, made, message, kind, expected, time.perf_counter() - started), error


def axioms(explainer: Explainer, budget: str = "ci") -> Iterator[tuple[Explainer, Check]]:
    """(explainer, check) for every check that its claims call for, for test runners of any kind."""
    return ((explainer, Check(one, budget)) for one in checks_of(explainer))


def parametrize_with_axioms(explainers: Iterable[Explainer], *, expected_failed: Expected = None, strict: bool = True, budget: str = "ci"
                            ) -> Any:
    """A pytest decorator: one test for each explainer and check, whose body is ``axiom(explainer)``.

        @xt.parametrize_with_axioms([Mine()], expected_failed={"completeness": "mine#12"})
        def test_axioms(explainer, axiom):
            axiom(explainer)

    expected_failed, strict, budget as for ``check_explainer``: expected failures are xfail marks with their reasons, for mismatches and for
    faults alike; a check that applies to no network is skipped, with the reason.
    """
    import pytest

    rows = []
    for one in explainers:
        expected = expected_failures(expected_failed, one, {*AXIOMS, *OWN})
        for _, check in axioms(one, budget):
            why = expected.get(check.id)
            marks = [] if why is None else [pytest.mark.xfail(reason=why, strict=strict, raises=(Mismatch, SubjectFault))]
            rows.append(pytest.param(one, _Skipping(check), marks=marks, id=f"{one!r}-{check.id}"))
    if not rows:
        raise NothingChecked("no explainer was given, so there is nothing to check")
    return pytest.mark.parametrize(("explainer", "axiom"), rows)


@dataclass(frozen=True)
class _Skipping:
    """A check that pytest skips when it does not apply."""

    check: Check

    def __call__(self, explainer: Explainer) -> None:
        __tracebackhide__ = True
        import pytest

        try:
            self.check(explainer)
        except (Inapplicable, NothingChecked) as error:
            pytest.skip(str(error))


# ----- numbers ----------------------------------------------------------------------------------------------------------


def assert_matches_reference(
    explainer: Explainer, model: Any, x: Any, *, target: Any = None, baseline: Any = None, rtol: float | None = None,
    atol: float | None = None, search: bool = True, seconds: float | None = 10.0, where: str = "the model",
) -> Comparison:
    """The explainer's numbers on a model of yours (of its framework, or a Graph) are those of xaicore's method; the Comparison itself.

    rtol, atol, search, seconds as for ``xaicore.compare``. Raises AttributionMismatch with the comparison's message where they differ,
    InputError for an explainer that names no method.
    """
    __tracebackhide__ = True
    if not explainer.method:
        raise InputError(f"{explainer!r} names no method of ours to compare with; set its class attribute method, such as 'lrp.epsilon'")
    graph = model if isinstance(model, Graph) else from_model(model, x)
    graph = graph.astype(explainer.dtype)
    from xaicore.methods.explain import explain

    own = {k: v for k, v in explainer.settings.items() if k != "output"}
    if _compares(explainer) and baseline is not None:
        own["baseline"] = baseline
    wide = graph.astype("float64")
    feeds = {k: np.asarray(v) for k, v in x.items()} if isinstance(x, Mapping) else x
    theirs = attribution_of(explainer, graph, feeds, target, baseline, model=None if isinstance(model, Graph) else model)
    ours = explain(wide, {k: v.astype(np.float64) for k, v in theirs.feeds.items()}, explainer.method, target,
                   output=str(explainer.settings.get("output", "logit")), **own)
    found = compare(ours, dict(theirs.values), rtol=rtol, atol=atol, search=search, seconds=seconds, label=f"{explainer!r} on {where}")
    if not found.agree:
        raise AttributionMismatch(str(found))
    return found


def assert_attributions_close(actual: Any, expected: Any, *, rtol: float | None = None, atol: float | None = None, err_msg: str = ""
                              ) -> None:
    """|actual - expected| <= atol + rtol |expected| everywhere; AttributionMismatch says where not, by how much, and what it is instead.

    actual, expected  arrays, lists, tensors of any framework, or Attributions
    rtol, atol        both or neither: by default 16 units in the last place of the coarser arithmetic, relative to the largest number

    Raises SubjectFault for what is no array of finite numbers, InputError for shapes that differ.

    >>> assert_attributions_close([0.1, 0.2], np.array([0.1, 0.2]))
    """
    __tracebackhide__ = True
    if (rtol is None) != (atol is None):
        raise InputError("give rtol and atol together, or neither")
    found = compare(np.asarray(expected) if isinstance(expected, Attribution) else expected,
                    np.asarray(actual) if isinstance(actual, Attribution) else actual, rtol=rtol, atol=atol, label="actual")
    if not found.agree:
        raise AttributionMismatch(f"{err_msg}: {found}" if err_msg else str(found))
