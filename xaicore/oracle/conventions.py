"""Which named convention reproduces a number: the settings that a method has, tried one by one, two and three at a time, and fitted.

Finite settings are enumerated, continuous ones (eps, gamma, kernel width) fitted on a logarithmic grid and refined (axes.py says which);
the settings that libraries use (profiles.py) are tried first. Only settings that a method really has are searched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations
from typing import Any

import numpy as np

from xaicore.errors import XaicoreError
from xaicore.methods.attribution import Attribution
from xaicore.methods.explain import explain
from xaicore.methods.table import METHODS
from xaicore.numerics import Array
from xaicore.oracle.axes import AXES, FAMILIES, FITS
from xaicore.oracle.condition import tolerance_of
from xaicore.oracle.profiles import named

Settings = Mapping[str, Any]
AMOUNTS = ("steps", "samples", "sigma", "eps", "window", "stride")
"""Settings of which a library has a default, but its user another value."""

@dataclass(frozen=True)
class Convention:
    """A method with settings, and how far its numbers are from theirs.

    settings    what differs from ours, as little of it as will do;  names: the libraries that compute so
    difference  the largest |it - theirs|;  allowed: what rounding may amount to
    """

    method: str
    settings: Settings
    difference: float
    allowed: float
    names: tuple[str, ...] = ()

    @property
    def reproduces(self) -> bool:
        """Is the difference rounding?"""
        return self.difference <= self.allowed

    def __str__(self) -> str:
        shown = ", ".join(f"{k}={_short(v)}" for k, v in self.settings.items())
        used = f" ({'; '.join(self.names[:4])}{', ...' if len(self.names) > 4 else ''})" if self.names else ""
        return f"{self.method}" + (f" with {shown}" if shown else "") + used


@dataclass(frozen=True)
class Candidate:
    """One evaluation: its distance from theirs, and from ours."""

    method: str
    settings: Settings
    gap: float
    moved: float
    refused: bool


@dataclass(frozen=True)
class Found:
    """What a search found: the conventions that reproduce theirs, fewest changes first, and the nearest of those that do not."""

    reproducing: tuple[Convention, ...]
    nearest: Convention | None
    tried: int
    seconds: float
    complete: bool
    refused: int = 0


def _short(v: Any) -> str:
    return f"{v:.6g}" if isinstance(v, float) else repr(v)


Progress = Callable[[str, int], None]


@dataclass(eq=False)
class Search:
    """The search for one attribution. ``theirs`` by name of value; ``seconds`` and ``most`` bound it."""

    a: Attribution
    theirs: Mapping[str, Array]
    dtype: str
    seconds: float = 20.0
    most: int = 4000
    slack: Callable[[float], float] = lambda allowed: allowed
    progress: Progress | None = None
    seen: dict[str, Candidate] = field(default_factory=dict)
    started: float = 0.0
    complete: bool = True

    # ----- one candidate ----------------------------------------------------------------------------------------

    def distance(self, method: str, settings: Settings) -> float:
        """max |candidate - theirs|; infinite for one that is refused or has other shapes."""
        return self.candidate(method, settings).gap

    def candidate(self, method: str, settings: Settings) -> Candidate:
        """One candidate, evaluated once."""
        key = _key(method, settings)
        if key not in self.seen:
            found = rerun(self.a, method, settings)
            gap = float("inf") if found is None else largest_gap(found.values, self.theirs)
            moved = float("inf") if found is None else largest_gap(found.values, self.a.values)
            self.seen[key] = Candidate(method, settings, gap, moved, found is None)
            if self.progress is not None:
                self.progress(method, len(self.seen))
        return self.seen[key]

    def allowed(self, method: str, settings: Settings) -> float:
        """What rounding may amount to for a candidate: the same formula as for ours, on its own numbers."""
        again = rerun(self.a, method, settings, keep="all")
        return 0.0 if again is None else self.slack(tolerance_of(again, self.dtype).absolute)

    def matches(self, method: str, settings: Settings) -> bool:
        """Does it reproduce theirs?"""
        gap = self.distance(method, settings)
        return gap == 0 or (gap < self._scale() and gap <= self.allowed(method, settings))

    def _scale(self) -> float:
        """A hundredth of the largest of theirs: what is farther off needs no tolerance to be ruled out."""
        return 0.01 * max((float(np.abs(np.asarray(x, dtype=float)).max(initial=0.0)) for x in self.theirs.values()), default=0.0)

    # ----- the stages -------------------------------------------------------------------------------------------

    def run(self) -> Found:
        """Stage after stage until one reproduces theirs, or nothing is left, or the time is up."""
        self.started = time.perf_counter()
        base = dict(self.a.settings)
        hits: list[tuple[str, Settings, tuple[str, ...]]] = []
        for stage in (self._usual, self._doubles, self._triples):
            for method, settings, names in stage(base):
                spent = time.perf_counter() - self.started
                if len(self.seen) >= self.most or spent > self.seconds or (hits and spent > self.seconds / 4):
                    self.complete = False
                    break
                if self.matches(method, settings):
                    hits.append((method, settings, names))
            if hits or not self.complete:
                break
        found = self._named([self._smallest(m, s, names, base) for m, s, names in hits])
        nearest, best = None, min(self.seen.values(), key=lambda c: c.gap, default=None)
        if best is not None and np.isfinite(best.gap) and not found:
            nearest = Convention(best.method, changes(best.method, best.settings, self.a), best.gap, 0.0)
        refused = sum(c.refused for c in self.seen.values())
        return Found(tuple(found), nearest, len(self.seen), time.perf_counter() - self.started, self.complete, refused)

    def _relatives(self) -> Iterator[str]:
        """The methods that are taken for ours and give other numbers here."""
        own, base = self.a.method, self.a.settings
        for m in dict.fromkeys(m for f in FAMILIES if own in f for m in f if m != own):
            if self.candidate(m, {**base, **_taken_over(m, self.a)}).moved > 0:
                yield m

    def _usual(self, base: Settings) -> Iterator[tuple[str, Settings, tuple[str, ...]]]:
        """What libraries do, and every change of one setting."""
        yield from self._libraries(base)
        yield from self._singles(base)

    def _libraries(self, base: Settings) -> Iterator[tuple[str, Settings, tuple[str, ...]]]:
        """Our defaults, then what libraries do: with all that their profile says, and with our numbers of steps and samples."""
        own = METHODS[self.a.method].settings
        usual = {k: own[k] for k in {*AXES.get(self.a.method, {}), *FITS} & set(own)}
        yield self.a.method, {**base, **usual}, ()
        for method in chain((self.a.method,), self._relatives()):
            for entry in named(method):
                plain = {**base, **_defaults(method), **entry.settings}
                amounts = {k: base[k] for k in AMOUNTS if k in base and k in entry.settings}
                for settings in (plain, {**plain, **amounts}):
                    yield method, settings, (entry.name,)

    def _options(self, method: str, base: Settings) -> list[tuple[str, Any]]:
        """(setting, value) of every finite setting that is not ours already."""
        axes = AXES.get(method, {})
        given = not isinstance(base.get("noise", ""), str)              # the noise itself was given: nothing is drawn
        idle = ("noise", "sigma", "samples", "clean") if given else ()
        mine = {**_defaults(method), **base}
        return [(k, v) for k, values in axes.items() if k not in idle for v in values if not _same(mine.get(k), v)]

    def _singles(self, base: Settings) -> Iterator[tuple[str, Settings, tuple[str, ...]]]:
        own = self.a.method
        for k, v in self._options(own, base):
            yield own, {**base, k: v}, ()
        for method in self._relatives():
            yield method, {**base, **_taken_over(method, self.a)}, ()
        yield from self._fits(own, base)

    def _live(self, base: Settings) -> list[tuple[str, Any]]:
        """The options that change anything here by themselves, the most promising first."""
        options = [(self.candidate(self.a.method, {**base, k: v}), k, v) for k, v in self._options(self.a.method, base)]
        return [(k, v) for c, k, v in sorted(options, key=lambda o: o[0].gap) if c.moved > 0 and not c.refused]

    def _doubles(self, base: Settings) -> Iterator[tuple[str, Settings, tuple[str, ...]]]:
        own, live = self.a.method, self._live(base)
        for (k, v), (m, w) in combinations(live, 2):
            if k != m:
                yield own, {**base, k: v, m: w}, ()
        for k, v in live[:8]:
            yield from self._fits(own, {**base, k: v}, skip=k)
        for method in self._relatives():
            plain = {**base, **_taken_over(method, self.a)}
            for k, v in self._options(method, plain):
                yield method, {**plain, k: v}, ()
            yield from self._fits(method, plain)

    def _triples(self, base: Settings) -> Iterator[tuple[str, Settings, tuple[str, ...]]]:
        own, live = self.a.method, self._live(base)
        pairs = [(self.distance(own, {**base, k: v, m: w}), {k: v, m: w}) for (k, v), (m, w) in combinations(live, 2) if k != m]
        for _, pair in sorted(pairs, key=lambda p: p[0])[:8]:
            yield from self._fits(own, {**base, **pair})
        for picked in combinations(live[:14], 3):
            if len({k for k, _ in picked}) == 3:
                yield own, {**base, **dict(picked)}, ()

    # ----- continuous settings ------------------------------------------------------------------------------------

    def _fits(self, method: str, base: Settings, skip: str = "") -> Iterator[tuple[str, Settings, tuple[str, ...]]]:
        for k, (low, high) in FITS.items():
            drawn = not isinstance(base.get("noise", ""), str) and k == "sigma"
            if k in METHODS[method].settings and k != skip and not drawn:
                for v in self._fit(method, base, k, low, high):
                    yield method, {**base, k: v}, ()

    def _fit(self, method: str, base: Settings, k: str, low: float, high: float) -> Iterator[float]:
        """The best value of one setting: a grid with a point for each decade and its thirds, then golden section between neighbours,
        then the root of the residual's projection on the direction in which the setting moves the numbers."""
        from scipy.optimize import brentq, minimize_scalar

        grid = np.unique(np.concatenate([np.logspace(np.log10(low), np.log10(high), 1 + 3 * round(np.log10(high / low))), [1.0]]))
        gaps = np.array([self._at(method, base, k, float(v)) for v in grid])
        if not np.isfinite(gaps).any() or np.nanmin(gaps) == np.nanmax(gaps[np.isfinite(gaps)]):
            return
        best = int(np.nanargmin(gaps))
        yield _rounded(float(grid[best]))
        left, right = np.log10(grid[max(best - 1, 0)]), np.log10(grid[min(best + 1, len(grid) - 1)])
        found = minimize_scalar(lambda e: self._at(method, base, k, 10.0**e), bounds=(left, right), method="bounded",
                                options={"xatol": 1e-10, "maxiter": 60})
        v = float(10.0**found.x)
        yield _rounded(v)
        ends = [self._values(method, base, k, v * f) for f in (0.99, 1.01)]
        if ends[0] is not None and ends[1] is not None:
            way = ends[1] - ends[0]

            def off(at: float) -> float:
                values = self._values(method, base, k, at)
                return 0.0 if values is None else float((values - self._flat()) @ way)

            if off(v * 0.99) * off(v * 1.01) < 0:
                v = float(brentq(off, v * 0.99, v * 1.01, xtol=1e-300, rtol=4 * np.finfo(float).eps))
        yield _rounded(v)
        yield v

    def _at(self, method: str, base: Settings, k: str, v: float) -> float:
        if time.perf_counter() - self.started > self.seconds:
            return float("inf")
        return self.distance(method, {**base, k: v})

    def _values(self, method: str, base: Settings, k: str, v: float) -> Array | None:
        found = rerun(self.a, method, {**base, k: v})
        return None if found is None else np.concatenate([np.asarray(found.values[n], dtype=float).reshape(-1) for n in self.theirs])

    def _flat(self) -> Array:
        return np.concatenate([np.asarray(x, dtype=float).reshape(-1) for x in self.theirs.values()])

    # ----- what is told -------------------------------------------------------------------------------------------

    def _smallest(self, method: str, settings: Settings, names: tuple[str, ...], base: Settings) -> Convention:
        """The same with every change taken back that is not needed."""
        kept = dict(settings)
        for k in list(changes(method, settings, self.a)):
            usual = base if method == self.a.method else {**METHODS[method].settings, **_taken_over(method, self.a)}
            back = {**kept, k: usual[k]}
            if self.matches(method, back):
                kept = back
        return Convention(method, changes(method, kept, self.a), self.distance(method, kept), self.allowed(method, kept), names)

    def _named(self, found: Sequence[Convention]) -> list[Convention]:
        """One for each set of changes, with all names; our own method first, then the fewest changes."""
        together: dict[str, Convention] = {}
        for one in found:
            key = str(Convention(one.method, one.settings, 0.0, 0.0))
            first = together.get(key, one)
            names = tuple(dict.fromkeys((*first.names, *one.names)))
            together[key] = Convention(first.method, first.settings, first.difference, first.allowed, names)
        return sorted(together.values(), key=self._remoteness)

    def _remoteness(self, c: Convention) -> tuple[float, bool, float]:
        """How far a convention lies from ours: a change of method counts as one of a setting, a fitted number as two and a half;
        a library's own first among equals."""
        usual = [*AXES.get(c.method, {}).items(), *((k, (v,)) for e in named(c.method) for k, v in e.settings.items())]
        fitted = sum(k in FITS and not any(k == name and any(_same(v, one) for one in values) for name, values in usual)
                     for k, v in c.settings.items())
        return len(c.settings) + (c.method != self.a.method) + 1.5 * fitted, not c.names, c.difference


# ----- helpers ----------------------------------------------------------------------------------------------------


def rerun(a: Attribution, method: str, settings: Settings, keep: str = "inputs") -> Attribution | None:
    """The same model, input and target under another method or other settings; None where that is refused."""
    known = {k: v for k, v in settings.items() if k in METHODS[method].settings and k not in ("output", "layer")}
    target = None if isinstance(a.target, str) or callable(a.target) else a.target
    more = {k: settings[k] for k in ("output", "layer") if settings.get(k) is not None}
    try:
        with np.errstate(all="ignore"):
            return explain(a.graph, a.feeds, method, target, keep=keep, **more, **known)
    except (XaicoreError, ArithmeticError):
        return None


def largest_gap(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float:
    """max |ours - theirs| over all that theirs has; infinite where it has another name or shape."""
    worst = 0.0
    for name, x in theirs.items():
        if name not in ours or ours[name].shape != x.shape:
            return float("inf")
        gap = np.abs(np.asarray(ours[name] - x, dtype=float)) if ours[name].dtype == x.dtype == object else \
            np.abs(np.asarray(ours[name], dtype=float) - np.asarray(x, dtype=float))
        if np.isnan(gap).any():
            return float("inf")
        worst = max(worst, float(gap.max(initial=0.0)))
    return worst


def changes(method: str, settings: Settings, a: Attribution) -> dict[str, Any]:
    """The settings of a candidate that are not ours (for another method: that are not its defaults)."""
    mine = a.settings if method == a.method else {**METHODS[method].settings, **_taken_over(method, a)}
    known = {*METHODS[method].settings, "output", "layer"}
    return {k: v for k, v in settings.items() if k in known and not _same(mine.get(k), v)}


def _same(p: Any, q: Any) -> bool:
    if isinstance(p, np.ndarray) or isinstance(q, np.ndarray):
        return p is q or np.array_equal(p, q)
    return (type(p) is type(q) and bool(p == q)) or (isinstance(p, (int, float)) and isinstance(q, (int, float)) and type(p) is not bool
                                                    and type(q) is not bool and p == q)


def _defaults(method: str) -> dict[str, Any]:
    """The defaults of the settings that are searched: the first value of those that a convention of the method decides."""
    known = METHODS[method].settings
    return {k: values[0] if method == "occlusion" else known[k] for k, values in AXES.get(method, {}).items() if k in known}


def _taken_over(method: str, a: Attribution) -> dict[str, Any]:
    """Where a sibling starts: its defaults, with what is asked taken over from ours, and the values of settings that both have."""
    asked = ("baseline", "background", "mask", "low", "high", "seed", "window", "stride", "noise", "samples", "sigma", "output", "layer")
    mine, own = AXES.get(a.method, {}), AXES.get(method, {})
    both = {k: a.settings[k] for k, values in own.items() if k in mine and k in a.settings and any(_same(a.settings[k], v) for v in values)}
    return {**_defaults(method), **both, **{k: a.settings[k] for k in asked if k in a.settings}}


def _key(method: str, settings: Settings) -> str:
    parts = [f"{k}={v!r}" if not isinstance(v, np.ndarray) else f"{k}@{id(v)}" for k, v in sorted(settings.items(), key=lambda i: i[0])]
    return f"{method}:" + ",".join(parts)


def _rounded(v: float) -> float:
    """The nearest number of three digits, when it is within a thousandth."""
    near = float(f"{v:.3g}")
    return near if abs(near - v) <= 1e-3 * abs(v) else v
