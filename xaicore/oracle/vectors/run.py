"""Asking a subject all the questions: what it answers, in which convention, and which failures were expected.

A subject is a Python function that is called with keywords,

    subject(method=..., model=..., x=..., target=..., settings=..., id=...)

and gives an array (for one input), a mapping from inputs to arrays, or ``NotImplemented`` where it does not offer the method or a
setting. ``model`` is the vector's own (nested lists), or what ``emit`` makes of it: a module of torch, a model of ONNX or Keras; ``x`` is a
mapping of float64 arrays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xaicore.errors import FileRefused, InputError, NothingChecked, SubjectFault, UnknownName, XaicoreError, nearest
from xaicore.graph.untrusted import parse_json, read_bytes
from xaicore.numerics import Array
from xaicore.oracle.vectors.model import graph_of
from xaicore.oracle.vectors.vector import Vector, array, thawed

Status = Literal["agrees", "another convention", "differs", "refused", "not refused", "not offered", "fault"]
PASSED: tuple[Status, ...] = ("agrees", "another convention", "refused")
FAILED: tuple[Status, ...] = ("differs", "not refused", "fault")

RTOL = 1e-9
"""Of the largest entry of the answer: float64 rounding of some thirty operations on small whole numbers, with a thousandfold margin."""


@dataclass(frozen=True)
class Outcome:
    """What a subject made of one vector; ``expected`` is the reason for which its failure is known."""

    vector: Vector
    status: Status
    detail: str = ""
    expected: str = ""

    @property
    def ok(self) -> bool:
        """Neither a failure that nobody expected, nor a success where one was."""
        return self.status == "not offered" or (self.status in FAILED) == bool(self.expected)

    def __str__(self) -> str:
        known = f"  (known: {self.expected})" if self.expected else ""
        surprise = "  although a failure was expected" if self.expected and self.status in PASSED else ""
        return f"{self.vector.id:56} {self.status}{surprise}{': ' + self.detail if self.detail else ''}{known}"


@dataclass(frozen=True)
class Run:
    """All outcomes; ``exit_code`` is 0, 1 where something is not as expected, 5 where nothing was checked."""

    outcomes: tuple[Outcome, ...]

    @property
    def exit_code(self) -> int:
        if all(o.status == "not offered" for o in self.outcomes):
            return 5
        return 0 if all(o.ok for o in self.outcomes) else 1

    def __str__(self) -> str:
        counts = Counter(o.status for o in self.outcomes)
        lines = [str(o) for o in self.outcomes if not o.ok or o.status == "another convention"]
        lines.append(", ".join(f"{n} {status}" for status, n in counts.most_common()) or "nothing was asked")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The counts and every outcome as plain data."""
        rows = [{"id": o.vector.id, "status": o.status, "detail": o.detail, "expected_failure": o.expected, "ok": o.ok}
                for o in self.outcomes]
        return {"counts": dict(Counter(o.status for o in self.outcomes)), "exit_code": self.exit_code, "outcomes": rows}


def run(subject: Callable[..., Any], found: Sequence[Vector], emit: str = "", known: Mapping[str, str] | None = None,
        rtol: float = RTOL) -> Run:
    """Asks ``subject`` every vector. ``known`` maps ids to the reason of a failure that is expected: then a success is a surprise.

    NothingChecked where no vector is given; UnknownName for an id among ``known`` that is no vector.
    """
    if not found:
        raise NothingChecked("no vector was selected, so nothing was checked")
    known = dict(known or {})
    return Run(tuple(_asked(subject, v, emit, known.get(v.id, ""), rtol) for v in found))


def known_failures(path: str | Path, ids: Sequence[str]) -> dict[str, str]:
    """A JSON file {"id": "reason"}. FileRefused where it is none, UnknownName for an id that no vector has, InputError without a reason."""
    given = parse_json(read_bytes(Path(path)), str(path))
    if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
        raise FileRefused(f"{path}: an object {{\"id of a vector\": \"why it fails\"}} is expected")
    for k, reason in given.items():
        if k not in ids:
            raise UnknownName(f"{path} expects {k!r} to fail, and no vector is called so: {nearest(k, ids)}")
        if not reason.strip():
            raise InputError(f"{path} gives no reason why {k!r} is expected to fail")
    return given


def _asked(subject: Callable[..., Any], v: Vector, emit: str, reason: str, rtol: float) -> Outcome:
    try:
        model = v.model if not emit else _emitted(v, emit)
    except (XaicoreError, KeyError) as error:
        return Outcome(v, "not offered", f"the model cannot be given to {emit}: {error}")
    x = {k: np.asarray(array(part, v.arithmetic), float) for k, part in v.x.items()}
    try:
        settings = _floats({k: thawed(s) for k, s in v.settings.items()})
        answer = subject(method=v.method, model=model, x=x, target=thawed(v.target), settings=settings, id=v.id)
    except NotImplementedError as error:
        return Outcome(v, "not offered", str(error))
    except Exception as error:
        if v.verdict == "reject":
            return Outcome(v, "refused", "", reason)
        return Outcome(v, "fault", f"raised {type(error).__name__}: {error}", reason)
    if answer is NotImplemented:
        return Outcome(v, "not offered")
    if v.verdict == "reject":
        return Outcome(v, "not refused", f"{v.reason}; it gave an answer", reason)
    try:
        got = _arrays(answer, v)
    except SubjectFault as error:
        return Outcome(v, "fault", str(error), reason)
    for name, expected in {"": v.expected, **v.variants}.items():
        if _equal(got, expected, v, rtol):
            return Outcome(v, "another convention" if name else "agrees", name, reason)
    return Outcome(v, "differs", _worst(got, v), reason)


def _emitted(v: Vector, framework: str) -> Any:
    from xaicore.oracle.serve import emitted

    return emitted(graph_of(v.model, "float64"), framework)


def _floats(value: Any) -> Any:
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, np.ndarray):
        return value.astype(float) if value.dtype == object else value
    if isinstance(value, dict):
        return {k: _floats(v) for k, v in value.items()}
    return type(value)(_floats(v) for v in value) if isinstance(value, (list, tuple)) else value


def _arrays(answer: Any, v: Vector) -> dict[str, Array]:
    """The answer as arrays by input; SubjectFault says what it is instead."""
    parts = dict(answer) if isinstance(answer, Mapping) else {next(iter(v.expected)): answer}
    missing = set(v.expected) - set(parts)
    if missing:
        raise SubjectFault(f"gave no attribution of {', '.join(sorted(missing))}")
    out = {}
    for k in v.expected:
        part = parts[k]
        if hasattr(part, "detach"):
            part = part.detach().cpu().numpy()
        try:
            got = np.asarray(part, float)
        except (TypeError, ValueError):
            raise SubjectFault(f"gave a {type(part).__name__} that is no array of numbers") from None
        want = np.shape(array(v.expected[k], v.arithmetic))
        if got.shape != want:
            raise SubjectFault(f"gave shape {got.shape} for {k!r}, where {want} is expected")
        if not np.isfinite(got).all():
            raise SubjectFault(f"gave {got[~np.isfinite(got)][0]} for {k!r}")
        out[k] = got
    return out


def _equal(got: Mapping[str, Array], expected: Mapping[str, Any], v: Vector, rtol: float) -> bool:
    wanted = {k: np.asarray(array(part, v.arithmetic), float) for k, part in expected.items()}
    scale = max((np.abs(w).max(initial=0) for w in wanted.values()), default=0) or 1.0
    return all(np.abs(got[k] - w).max(initial=0) <= rtol * scale for k, w in wanted.items())


def _worst(got: Mapping[str, Array], v: Vector) -> str:
    k, at, g, w = max(((k, at, g[at], float(array(v.expected[k], v.arithmetic)[at])) for k, g in got.items() for at in np.ndindex(g.shape)),
                      key=lambda one: abs(one[2] - one[3]))
    return f"{k}{list(map(int, at))} is {g:.10g}, expected {w:.10g}"
