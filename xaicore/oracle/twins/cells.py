"""Twins of LRP through recurrent layers: one layer with hard gates, so that all is rational, by the loops of recurrent.py."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from xaicore.graph.build import Builder
from xaicore.numerics import Array
from xaicore.ops import GRU, LSTM, Clip, HardSigmoid, Op, Slice, Squeeze
from xaicore.oracle.twins import recurrent
from xaicore.oracle.twins.plain import rational, target_of
from xaicore.oracle.twins.problems import eighths, twins
from xaicore.oracle.twins.twin import Problem, Twin

STEPS, WIDTH, UNITS = 3, 2, 2
HARD: dict[str, Any] = {"gate": HardSigmoid(0.25, 0.5), "activation": Clip(-1, 1)}
CELLS: dict[str, tuple[Op, int]] = {
    "lstm": (LSTM(squash=Clip(-1, 1), **HARD), 4), "gru": (GRU(**HARD), 3), "gru-before": (GRU(reset="before", **HARD), 3)}


def hard_sigmoid(z: Any) -> Any:
    """z/4 + 1/2, between 0 and 1."""
    return min(max(z / 4 + Fraction(1, 2), Fraction(0)), Fraction(1))


def hard_tanh(z: Any) -> Any:
    """z, between -1 and 1."""
    return min(max(z, Fraction(-1)), Fraction(1))


def on_cell(kind: str, **settings: Any) -> Callable[[np.random.Generator], Problem]:
    """The last state of one layer, from given zeros as its first.

    An x with w x = 0 or w x + b = 0 in some row is drawn again: a sum of its own in an unrolled GRU, whose parts get nothing where it is
    0, while the paper's one sum of x and h hands on +a and -a.
    """
    def make(rng: np.random.Generator) -> Problem:
        op, gates = CELLS[kind]
        b = Builder(kind, "exact")
        params = [b.param(name, eighths(rng, *size)) for name, size in (
            ("w", (gates * UNITS, WIDTH)), ("u", (gates * UNITS, UNITS)), ("b", (gates * UNITS,)), ("c", (gates * UNITS,)))]
        params += [b.param(f"initial{k}", rational(np.zeros((1, UNITS), int))) for k in range(2 if kind == "lstm" else 1)]
        h = b.add(op, b.input("x", (None, STEPS, WIDTH)), *params, name="cell")
        graph = b.build(b.add(Squeeze((1,)), b.add(Slice(1, STEPS - 1, STEPS), h), name="last"))
        x, w, bias = eighths(rng, 2, STEPS, WIDTH), graph.params["w"], graph.params["b"]
        while (x @ w.T == 0).any() or (x @ w.T + bias == 0).any():
            x = eighths(rng, 2, STEPS, WIDTH)
        return Problem(graph, x, 1, settings)

    return make


def through_time(kind: str) -> Callable[[Problem], Array]:
    """Step by step from the last to the first: Arras et al. 2017."""
    def run(p: Problem) -> Array:
        w, u, b, c = (p.graph.params[k].tolist() for k in "wubc")
        settings, out = {k: v for k, v in p.settings.items() if k in ("eps", "bias")}, []
        for n, xs in enumerate(rational(p.x).tolist()):
            t = target_of(p, n)
            if kind == "lstm":
                lstm = recurrent.LSTM(w, u, b, c, hard_sigmoid, hard_tanh)
                end = lstm.states(xs)[-1][0]
                out.append(lstm.relevance(xs, [v if k == t else 0 * v for k, v in enumerate(end)], **settings))
            else:
                gru = recurrent.GRU(w, u, b, c, hard_sigmoid, hard_tanh, before=kind == "gru-before")
                last = gru.states(xs)[-1]
                out.append(gru.relevance(xs, [v if k == t else 0 * v for k, v in enumerate(last)], **settings))
        return np.array(out, dtype=object)

    return run


def _cells(kind: str, *several: dict[str, Any]) -> tuple[Twin, ...]:
    return twins(f"{kind}: the loop over time, gate by gate, in rationals", through_time(kind), *(on_cell(kind, **s) for s in several))


THROUGH_TIME: dict[str, tuple[Twin, ...]] = {
    "lrp.zero": (*_cells("lstm", *({"bias": b} for b in ("absorb", "ignore", "distribute"))), *_cells("gru", {}, {"bias": "ignore"}),
                 *_cells("gru-before", {}, {"bias": "ignore"})),
    "lrp.epsilon": _cells("lstm", *({"eps": Fraction(1, 8), "bias": b} for b in ("absorb", "ignore", "distribute"))),
}
"""Method -> twins, which stand beside the others in relevance.py."""
