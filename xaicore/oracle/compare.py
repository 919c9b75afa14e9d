"""Is a number from elsewhere right? Ours beside theirs: where they part, by how much, and which known convention explains it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.methods.attribution import Attribution, Layers
from xaicore.methods.table import METHODS
from xaicore.numerics import Array
from xaicore.oracle.condition import UNITS, Tolerance, counted, tolerance_of
from xaicore.oracle.conventions import Convention, Found, Search, rerun
from xaicore.oracle.numbers import Numbers, arithmetic, numbers
from xaicore.oracle.relations import relation
from xaicore.oracle.tolerance import largest


@dataclass(frozen=True)
class Gap:
    """Ours against theirs at one value.

    count      of entries;  mismatched: those that differ by more than is allowed
    largest    the largest absolute difference, at ``index``: there theirs is ``theirs`` and ours is ``ours``
    """

    name: str
    count: int
    mismatched: int
    largest: float
    index: tuple[int, ...]
    theirs: float
    ours: float


@dataclass(frozen=True)
class Divergence:
    """The first node, from the output back, at which two explanations differ.

    agreeing  how many compared nodes lie behind it, nearer to the output, where they agree
    seen      "layer values of both", or "the convention that reproduces theirs" when they gave none
    """

    node: str
    operator: str
    difference: float
    agreeing: int
    seen: str

    def __str__(self) -> str:
        behind = "no node nearer to the output was compared" if not self.agreeing else \
            "1 node nearer to the output agrees" if self.agreeing == 1 else f"{self.agreeing} nodes nearer to the output agree"
        return f"{self.node!r} ({self.operator}), by {self.difference:.3g}; {behind}; seen in {self.seen}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """What ``compare`` found; ``str()`` is the message.

    agree               no entry differs by more than rounding may amount to
    first_divergence    the first diverging node, from the output back; None without one, or where nothing tells
    closest_convention  the setting of ours that reproduces theirs with the fewest changes, or None: nothing known does
    conventions         all that reproduce theirs, other methods included;  nearest: the closest of those that do not
    relation            what theirs is to ours in plain words ("ours times 2"), ""
    noise               for methods that draw: differences in standard errors, root mean square and largest; None otherwise
    sums                of the sample with the worst entry: "ours", "theirs", "f", and "absorbed" or "baseline" where there are such
    """

    label: str
    mine: str
    gaps: tuple[Gap, ...]
    tolerance: Tolerance
    rtol: float
    sums: Mapping[str, float]
    explained: str = ""
    model: str = ""
    first_divergence: Divergence | None = None
    conventions: tuple[Convention, ...] = ()
    nearest: Convention | None = None
    search: Found | None = None
    relation: str = ""
    noise: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def agree(self) -> bool:
        """Every entry is equal up to rounding, or, where both sides drew noise of their own, up to that (unless other settings of ours
        give theirs to the last digit)."""
        return not self.mismatched or (self.within_noise and not self.conventions)

    @property
    def within_noise(self) -> bool:
        """The two drew noise of their own and differ as much as two such draws do: 1 standard error in the root mean square, at most
        1.25 here, and nowhere by 6."""
        return self.noise is not None and self.noise[0] <= 1.25 and self.noise[1] < 6

    @property
    def exit_code(self) -> int:
        """0 they agree, 1 they do not."""
        return 0 if self.agree else 1

    @property
    def mismatched(self) -> int:
        """Entries that differ by more than is allowed."""
        return sum(g.mismatched for g in self.gaps)

    @property
    def count(self) -> int:
        """Entries that were compared."""
        return sum(g.count for g in self.gaps)

    @property
    def worst(self) -> Gap:
        """The value with the largest difference."""
        return max(self.gaps, key=lambda g: g.largest)

    @property
    def closest_convention(self) -> Convention | None:
        """The convention that reproduces theirs with the fewest changes to ours."""
        return self.conventions[0] if self.conventions else None

    def to_json(self) -> dict[str, Any]:
        """The whole as plain data."""
        def plain(c: Convention | None) -> dict[str, Any] | None:
            return None if c is None else {"method": c.method, "settings": {k: repr(v) if not isinstance(v, (bool, int, float, str)) else v
                                                                             for k, v in c.settings.items()},
                                           "names": list(c.names), "difference": c.difference, "allowed": c.allowed, "text": str(c)}

        first, s = self.first_divergence, self.search
        return {
            "agree": self.agree, "exit_code": self.exit_code, "ours": self.mine, "theirs": self.label, "explained": self.explained,
            "model": self.model, "count": self.count, "mismatched": self.mismatched,
            "gaps": [{**vars(g), "index": list(g.index)} for g in self.gaps],
            "tolerance": {"absolute": self.tolerance.absolute, "relative": self.rtol, "words": self.tolerance.words,
                          "condition": self.tolerance.worst, "node": self.tolerance.node},
            "sums": dict(self.sums), "relation": self.relation, "noise": None if self.noise is None else list(self.noise),
            "first_divergence": None if first is None else dict(vars(first)),
            "closest_convention": plain(self.closest_convention), "conventions": [plain(c) for c in self.conventions],
            "nearest": plain(self.nearest), "notes": list(self.notes),
            "search": None if s is None else {
                "tried": s.tried, "refused": s.refused, "seconds": round(s.seconds, 3), "complete": s.complete},
        }

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def _lines(c: Comparison) -> Iterator[str]:
    verdict = "agrees with" if c.agree else "does NOT agree with"
    yield f"{c.label} {verdict} {c.mine}" + (f": {c.explained}" if c.explained else "") + (f"   [{c.model}]" if c.model else "")
    w = c.worst
    at = f" at {w.name}{list(w.index)}: theirs {w.theirs:.9g}, ours {w.ours:.9g}" if w.count else ""
    share = f"{c.mismatched} of {c.count} numbers differ" if c.mismatched else f"{c.count} numbers compared, none differs"
    yield f"  {share} by more than is allowed; the largest difference is {w.largest:.3g}{at}"
    yield f"  allowed: {c.tolerance.words}" + (f", and {c.rtol:.3g} of each number" if c.rtol else "")
    if c.noise is not None:
        much = "as two draws differ" if c.within_noise else "more than two draws do"
        yield (f"  both sides drew their own noise: {c.noise[0]:.3g} standard errors apart in the root mean square, {c.noise[1]:.3g} at "
               f"most, {much}")
    if c.sums:
        yield "  sums: " + ", ".join(f"{k} {v:.9g}" for k, v in c.sums.items()) + _whose_leak(c)
    if c.relation:
        yield f"  theirs is {c.relation}"
    if c.first_divergence is not None:
        yield f"  first diverging node, from the output back: {c.first_divergence}"
    if c.closest_convention is not None:
        best = c.closest_convention
        yield f"  theirs is {best}: max difference {best.difference:.3g}"
        for other in c.conventions[1:4]:
            yield f"    the same numbers: {other}, max difference {other.difference:.3g}"
    elif c.search is not None and not c.agree:
        yield "  nothing known reproduces theirs" + (f"; the nearest is {c.nearest}: max difference {c.nearest.difference:.3g}"
                                                      if c.nearest is not None else "")
    if c.search is not None and not c.agree:
        stopped = "" if c.search.complete or c.conventions else "; stopped by the limit, so that more may be tried with seconds=..."
        yield f"    searched: {c.search.tried} settings in {c.search.seconds:.1f} s{stopped}"
    for note in c.notes:
        yield f"  note: {note}"


def _whose_leak(c: Comparison) -> str:
    """What the sums say: whether this is a leak or another rule."""
    s = c.sums
    if c.agree or not {"ours", "theirs", "f"} <= set(s):
        return ""
    allowed = max(c.tolerance.absolute * 4, 1e-6 * abs(s["f"]))
    wanted = s["f"] - s.get("f(baseline)", 0.0) - s.get("absorbed by ours", 0.0)
    ours, theirs = (abs(s[k] - wanted) <= allowed for k in ("ours", "theirs"))
    if ours and theirs:
        return ": both hand on the same total, so this is another rule, not a leak"
    return ": theirs loses or gains what ours does not" if ours else ""


# ----- comparing ----------------------------------------------------------------------------------------------------


def compare(
    ours: Any, theirs: Any, *, rtol: float | None = None, atol: float | None = None, search: bool = True, seconds: float | None = None,
    label: str = "theirs", progress: Callable[[str, int], None] | None = None,
) -> Comparison:
    """|ours - theirs| <= atol + rtol |theirs| for every number, and if not: where, by how much, and by which convention.

    ours        an Attribution (from xaicore.explain); of bare arrays only the numbers can be compared
    theirs      numbers in the shape of ours: an array, a list, a tensor of any framework, an Attribution, or a mapping from the names of
                inputs, and of layers for their relevance there, to such
    rtol, atol  both or none; by default what rounding may amount to (``Comparison.tolerance`` says how it comes about)
    search      look for the convention that reproduces theirs, for at most ``seconds`` (default: 20, or what 60 explanations take, 300 at
                the most);  progress(method, settings tried)
    label       what theirs is called in the message

    Raises SubjectFault for numbers that cannot be compared (another shape, NaN, text), InputError for one of rtol and atol alone.
    Differences of nodes are told when theirs has layers, or through the convention that reproduces theirs.

    >>> import xaicore as xc
    >>> from xaicore.ops import Dense
    >>> b = xc.Builder()
    >>> g = b.build(b.add(Dense(), b.input("x", (None, 3)), b.param("w", [[1, -0.5, -0.25]]), b.param("b", [0.5]), name="fc"))
    >>> print(compare(xc.explain(g, [[1.0, -2.0, 3.0]], "lrp.gamma", start="one"), [[0.625, 0.5, -0.375]]).closest_convention)
    lrp.gamma with bias='whole', variant='original'
    """
    if (rtol is None) != (atol is None):
        raise InputError("give rtol and atol together, or neither: what one of them leaves open has no meaning of its own")
    if not isinstance(ours, Attribution):
        return _bare(numbers(ours, "ours"), numbers(theirs, label), rtol, atol, label)
    got = numbers(theirs, label, ours)
    dtype = arithmetic(got.values.values(), ours.values.values())
    tolerance = tolerance_of(ours, dtype) if atol is None else Tolerance(float(atol), dtype, 0.0, given=True)
    gaps = tuple(gap(name, ours.values[name], x, tolerance.absolute, rtol or 0.0) for name, x in got.values.items())
    judged = dtype == "float32" and ours.graph.dtype == "float64"
    note = ("theirs holds float32 numbers, so that it is judged as float32",) if judged else ()
    worst = max(gaps, key=lambda g: g.largest)
    c = Comparison(label, title(ours), gaps, tolerance, rtol or 0.0, _sums(ours, got, worst), ours.explained,
                   f"{ours.graph.name or 'model'}, {counted(len(ours.graph.nodes), 'node')}", noise=_noise(ours, got), notes=note)
    first = _first_divergence(ours, got.layers, c, "the layer values of both")
    if not c.mismatched:
        return replace(c, noise=None, first_divergence=first)
    words = relation(ours.values[worst.name], got.values[worst.name], tolerance.absolute)
    c = replace(c, first_divergence=first, relation=words)
    if not search or ours.method not in METHODS:
        return c

    def slack(allowed: float) -> float:
        """A tolerance that the user gave holds for every candidate."""
        return allowed if atol is None else float(atol) + (rtol or 0.0) * max(largest(x) for x in got.values.values())

    limit = max(20.0, min(300.0, 60 * ours.seconds)) if seconds is None else seconds
    found = Search(ours, got.values, dtype, limit, slack=slack, progress=progress).run()
    c = replace(c, search=found, conventions=found.reproducing, nearest=found.nearest)
    if first is None and c.closest_convention is not None:
        again = rerun(ours, c.closest_convention.method, {**ours.settings, **c.closest_convention.settings}, keep="all")
        layers = {} if again is None or not isinstance(again.layers, Layers) else again.layers.kept
        c = replace(c, first_divergence=_first_divergence(ours, layers, c, "the convention that reproduces theirs"))
    return c


def gap(name: str, ours: Array, theirs: Array, atol: float, rtol: float) -> Gap:
    """The statistics of one value."""
    exact = ours.dtype == theirs.dtype == object
    a, b = (ours, theirs) if exact else (np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float))
    off = np.asarray(abs(a - b))
    if not off.size:
        return Gap(name, 0, 0, 0.0, (), 0.0, 0.0)
    wrong = off > (atol + rtol * abs(b) if atol or rtol else 0)
    at = tuple(int(k) for k in np.unravel_index(int(np.argmax(off)), off.shape))
    return Gap(name, off.size, int(np.count_nonzero(wrong)), float(off[at]), at, float(b[at]), float(a[at]))


def title(a: Attribution) -> str:
    """The method with the settings that are not its defaults."""
    usual = METHODS[a.method].settings if a.method in METHODS else {}
    own = {k: v for k, v in a.settings.items() if k in usual and not isinstance(v, np.ndarray) and not (v is usual[k] or v == usual[k])
           and not isinstance(v, Mapping)}
    return a.method + (" (" + ", ".join(f"{k}={v!r}" for k, v in own.items()) + ")" if own else "")


def _bare(ours: Numbers, theirs: Numbers, rtol: float | None, atol: float | None, label: str) -> Comparison:
    """Two sets of arrays, about which nothing is known."""
    shared = [k for k in ours.values if k in theirs.values] or [""]
    pairs = {k: (ours.values[k], theirs.values[k]) for k in shared} if shared != [""] else {
        "": (next(iter(ours.values.values())), next(iter(theirs.values.values())))}
    if len(ours.values) != len(theirs.values) or (shared != [""] and len(shared) < len(ours.values)):
        raise InputError(f"ours holds {', '.join(ours.values)}, theirs {', '.join(theirs.values)}; the same names are expected")
    for k, (a, b) in pairs.items():
        if a.shape != b.shape:
            raise InputError(f"{k or 'the arrays'}: shapes {a.shape} and {b.shape} cannot be compared")
    both = [v for pair in pairs.values() for v in pair]
    dtype = arithmetic(both)
    eps = 0.0 if dtype == "exact" else float(np.finfo(dtype).eps)
    size = max(largest(v) for v in both)
    tolerance = Tolerance(UNITS * eps * size, dtype, eps, size, 1) if atol is None else Tolerance(float(atol), dtype, 0.0, given=True)
    gaps = tuple(gap(k, a, b, tolerance.absolute, rtol or 0.0) for k, (a, b) in pairs.items())
    worst = max(gaps, key=lambda g: g.largest)
    words = relation(*pairs[worst.name], tolerance.absolute) if worst.mismatched else ""
    sums = {} if not worst.count else {"ours": float(np.asarray(pairs[worst.name][0], dtype=float)[worst.index[:1]].sum()),
                                       "theirs": float(np.asarray(pairs[worst.name][1], dtype=float)[worst.index[:1]].sum())}
    return Comparison(label, "ours", gaps, tolerance, rtol or 0.0, sums, relation=words)


def _sums(a: Attribution, got: Numbers, worst: Gap) -> dict[str, float]:
    """The totals of the sample with the worst entry."""
    if not worst.count or not worst.index:
        return {}
    n = worst.index[0]
    sums = {"ours": float(a.total()[n]), "theirs": float(sum(np.asarray(x, dtype=float)[n].sum() for x in got.values.values())),
            "f": float(a.output[n])}
    if a.baseline_output is not None:
        sums["f(baseline)"] = float(a.baseline_output[n])
    if a.absorbed is not None and len(a.absorbed) == len(a.output) and a.method.startswith(("lrp", "deep_taylor")):
        sums["absorbed by ours"] = float(a.absorbed[n])
    return sums


def _noise(a: Attribution, got: Numbers) -> tuple[float, float] | None:
    """Differences in standard errors of a difference of two such means, where ours drew."""
    errors = a.extras.get("standard_error")
    if not isinstance(errors, Mapping) or not isinstance(a.settings.get("noise", ""), str) or set(errors) != set(got.values):
        return None
    ratios = []
    for k, x in got.values.items():
        e = np.sqrt(2.0) * np.asarray(errors[k], dtype=float)
        off = np.abs(np.asarray(a.values[k], dtype=float) - np.asarray(x, dtype=float))
        if (off[e == 0] > 0).any():
            return None                                                 # a number that noise does not move differs
        ratios.append((off[e > 0] / e[e > 0]).reshape(-1))
    flat = np.concatenate(ratios)
    return (float(np.sqrt((flat**2).mean())), float(flat.max())) if flat.size else None


def _first_divergence(a: Attribution, layers: Mapping[str, Array], c: Comparison, seen: str) -> Divergence | None:
    """The first node from the output back at which the layer values differ; None without layers that both have, or where none differs."""
    if not layers or not isinstance(a.layers, Layers):
        return None
    agreeing = 0
    for node in reversed(a.layers.graph.nodes):
        if node.name not in layers or node.name not in a.layers.kept:
            continue
        mine, other = (np.asarray(v, dtype=float) for v in (a.layers.kept[node.name], layers[node.name]))
        if mine.shape != other.shape:
            continue
        off = float(np.abs(mine - other).max(initial=0.0))
        if off > c.tolerance.absolute:
            reader = next((n for n in a.layers.graph.nodes if node.name in n.inputs and n.name in a.layers.kept), node)
            return Divergence(reader.name, type(reader.op).__name__, off, agreeing, seen)
        agreeing += 1
    last = next((n for n in a.layers.graph.nodes if c.worst.name in n.inputs), None)
    return None if last is None or not c.mismatched else Divergence(last.name, type(last.op).__name__, c.worst.largest, agreeing, seen)
