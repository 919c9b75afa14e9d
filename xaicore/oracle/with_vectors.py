"""Certified vectors as tests of a third party's explainer: ``xaicore.testing.parametrize_with_vectors``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from xaicore.errors import NothingChecked, SubjectFault
from xaicore.graph import Graph
from xaicore.methods.table import METHODS
from xaicore.oracle.expected import Expected, expected_failures
from xaicore.oracle.explainer import AttributionMismatch, Explainer, attribution_of
from xaicore.oracle.vectors import Vector, vectors
from xaicore.oracle.vectors.model import graph_of
from xaicore.oracle.vectors.run import run

QUESTION = ("baseline", "low", "high")
"""Settings that ask something else, rather than compute it in another way: a vector may have them whatever an explainer claims."""


@dataclass(frozen=True)
class VectorCheck:
    """One vector, to be called with an explainer: raises AttributionMismatch where the numbers differ, SubjectFault where it fails."""

    vector: Vector

    def __call__(self, explainer: Explainer) -> str:
        """ "agrees", "another convention" (one that the vector names) or "refused" (what has no answer)."""
        __tracebackhide__ = True
        v = self.vector

        def subject(method: str, model: Any, x: Mapping[str, Any], target: Any, settings: Mapping[str, Any], id: str) -> Any:
            graph: Graph = graph_of(v.model, explainer.dtype)
            own = {k: s for k, s in settings.items() if k in explainer.accepts}
            return dict(attribution_of(explainer, graph, x, target, settings.get("baseline"), **own).values)

        # float32 keeps 1e-7 of each of some thirty operations
        (outcome,) = run(subject, [v], rtol=1e-4 if explainer.dtype == "float32" else 1e-9).outcomes
        if outcome.status in ("agrees", "another convention", "refused"):
            return outcome.status
        where = f"{explainer!r} on the vector {v.id} ({v.method}{_settings(v)}; {'; '.join(v.source.values())})"
        text = f"{where}: {outcome.status}. {outcome.detail}"
        if outcome.status == "not offered":
            raise NothingChecked(text)
        raise (SubjectFault if outcome.status == "fault" else AttributionMismatch)(text)


def vectors_of(explainer: Explainer, select: str = "*") -> tuple[Vector, ...]:
    """The vectors of an explainer's method whose id matches the glob ``select`` and whose settings it claims or accepts.

    Those of one input, and with an attribution in its shape, as an Explainer gives it.
    """
    usual = METHODS[explainer.method].settings if explainer.method in METHODS else {}
    claimed = {**usual, **explainer.settings}

    def its(v: Vector) -> bool:
        own = {**usual, **v.question()[2]}
        return all(k in (*QUESTION, *explainer.accepts) or _same(own.get(k), claimed.get(k)) for k in {*own, *claimed})

    return tuple(v for v in vectors() if v.method == explainer.method and fnmatchcase(v.id, select) and len(v.x) == 1 and its(v)
                 and all(k in v.x and np.shape(e) == np.shape(v.x[k]) for k, e in v.expected.items()))


def _same(a: Any, b: Any) -> bool:
    return a is b or (np.array_equal(a, b) if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else bool(a == b))


def parametrize_with_vectors(explainers: Iterable[Explainer], *, select: str = "*", expected_failed: Expected = None, strict: bool = True
                             ) -> Any:
    """A pytest decorator: one test for each explainer and certified vector of its method, whose body is ``vector(explainer)``.

        @xt.parametrize_with_vectors([Mine()], expected_failed={"lrp.epsilon/two-paths": "mine#12"})
        def test_vectors(explainer, vector):
            vector(explainer)

    select           a glob over ids;  expected_failed, strict as for ``parametrize_with_axioms``, by the ids of vectors

    Raises NothingChecked where no vector is about any of the explainers.
    """
    import pytest

    rows = []
    for one in explainers:
        found = vectors_of(one, select)
        expected = expected_failures(expected_failed, one, {v.id for v in vectors()})
        for v in found:
            why = expected.get(v.id)
            marks = [] if why is None else [pytest.mark.xfail(reason=why, strict=strict, raises=(AttributionMismatch, SubjectFault))]
            rows.append(pytest.param(one, VectorCheck(v), marks=marks, id=f"{one!r}-{v.id}"))
    if not rows:
        raise NothingChecked(f"no vector matches {select!r} for the methods and settings of these explainers, so nothing would be checked")
    return pytest.mark.parametrize(("explainer", "vector"), rows)


def _settings(v: Vector) -> str:
    return "".join(f", {k}={np.asarray(s).tolist() if isinstance(s, np.ndarray) else s!r}" for k, s in v.question()[2].items())
