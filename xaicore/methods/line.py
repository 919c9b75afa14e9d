"""Where a graph bends on a straight line: the exact kinks of a piecewise-linear graph between two inputs.

This is ExactLine of Sotoudeh and Thakur 2019 (key sotoudeh2019), here with maxima found as upper envelopes of lines. What
is done with the kinks, an integral without quadrature error, is in paths.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable
from xaicore.graph.graph import Graph, Node
from xaicore.graph.run import run_node
from xaicore.methods.sweep import column
from xaicore.numerics import Array

ULPS = 16
"""A difference within this many units in the last place of the largest value of a node counts as zero: its sign is rounding.
A kink that is overlooked for it bends by a unit in the last place and moves the integral no further."""


@dataclass(frozen=True, eq=False)
class Line:
    """The segment (1 - α) start + α end, 0 <= α <= 1, for one sample, and a graph whose values bend along it.

    start, end   the moving inputs, one sample each: (1, ...);  fixed: the other inputs, one sample each
    value        the name of the value that is wanted at the kinks
    room         no more than this many points are evaluated at a time; a line with more kinks is done in stretches
    most         Inapplicable beyond this many pieces
    """

    graph: Graph
    value: str
    start: Mapping[str, Array]
    end: Mapping[str, Array]
    fixed: Mapping[str, Array]
    room: int = 64
    most: int = 100_000

    def kinks(self) -> tuple[Array, Array]:
        """(α of every kink with 0 and 1 at its ends, ascending; the wanted value there).

        Between two neighbours every unit of the graph is affine in α, so there f has one gradient along the line. A kink of
        a unit that does not reach f is listed too: the pieces are those of the whole graph before ``value``. Inapplicable
        where an operator that moves along the line is not piecewise linear. Exact (Fraction) for a graph in exact mode.
        """
        first = next(iter(self.start.values()))
        zero, one = first.reshape(-1)[0] * 0, first.reshape(-1)[0] * 0 + 1
        stretches = [(zero, one)]
        alphas: list[Any] = []
        values: list[Array] = []
        while stretches:
            low, high = stretches.pop()
            found, value = self._walk(np.array([low, high], dtype=first.dtype))
            if len(found) - 1 + max(len(alphas) - 1, 0) > self.most:
                raise Inapplicable(f"the line has more than {self.most:,} linear pieces; raise max_pieces, or use integrated_gradients, "
                                   f"whose cost is chosen with steps")
            if value is None:
                ends = [*found[:: max(1, len(found) // 4)][:-1], found[-1]]
                stretches += list(pairwise(ends))[::-1]
                continue
            done = 1 if alphas else 0                                   # the end of one stretch is the start of the next
            alphas += list(found[done:])
            values.append(value[done:])
        return np.array(alphas, dtype=first.dtype), np.concatenate(values)

    def _walk(self, alphas: Array) -> tuple[Array, Array | None]:
        """The kinks between the ends of ``alphas``; None for the value when they became more than there is room for."""
        graph = self.graph
        values: dict[str, Array] = dict(graph.params)
        values |= {k: _mix(self.start[k], self.end[k], alphas) for k in self.start}
        values |= {k: np.repeat(v, len(alphas), axis=0) for k, v in self.fixed.items()}
        moving, batched = set(self.start), {*self.start, *self.fixed}
        readers = Counter([*(i for n in graph.nodes for i in n.inputs), self.value])
        for node in graph.nodes:
            moves = tuple(i in moving for i in node.inputs)
            if any(moves):
                moving.add(node.name)
                new = _bends(node, tuple(values[i] for i in node.inputs), moves, alphas)
                grown = _merged(alphas, new)
                if len(grown) > max(self.room, 4):                      # 4: the ends and two kinks, so that stretches get shorter
                    return grown, None
                if len(grown) > len(alphas):
                    values |= {k: _refined(v, alphas, grown, k in moving) for k, v in values.items() if k in batched}
                    alphas = grown
            values[node.name] = run_node(node, tuple(values[i] for i in node.inputs), graph.dtype)
            if any(i in batched for i in node.inputs):
                batched.add(node.name)
            for i in node.inputs:
                readers[i] -= 1
                if not readers[i]:
                    del values[i]
        return alphas, values[self.value]


def _mix(start: Array, end: Array, alphas: Array) -> Array:
    a = column(alphas, start)
    return np.asarray((1 - a) * start + a * end)                        # not start + a (end - start), which may miss the end


# ----- where one node bends ---------------------------------------------------------------------------------------


def _bends(node: Node, xs: tuple[Array, ...], moves: tuple[bool, ...], alphas: Array) -> Array:
    """The α between neighbouring points at which an entry of the node's output changes its slope."""
    op = node.op
    if op.affine(moves):
        return alphas[:0]
    signs = None if any(moves[1:]) else op.kinks(*xs)
    if signs is not None:
        return np.concatenate([alphas[:0], *(_sign_changes(z, alphas) for z in signs)])
    candidates = op.candidates(*xs)
    if candidates is not None:
        return _envelope(candidates, alphas)
    raise Inapplicable(f"node {node.name!r} ({op}; layer {node.layer or '?'}) is not piecewise linear in what moves along the path, so its "
                       f"integral has no exact pieces; use integrated_gradients, which samples the path")


def _sign_changes(z: Array, alphas: Array) -> Array:
    """z (M, ...) is linear between neighbouring α: where it crosses zero strictly between two of them."""
    z = z.reshape(len(z), -1)
    tiny = _tiny(z)
    sign = (z > tiny).astype(np.int8) - (z < -tiny).astype(np.int8)
    piece, unit = np.nonzero(sign[:-1] * sign[1:] < 0)
    left, right = z[piece, unit], z[piece + 1, unit]
    return _between(alphas, piece, left / (left - right))


def _envelope(c: Array, alphas: Array) -> Array:
    """c (M, ..., K) are K lines for each unit: where their maximum changes from one line to another.

    From the winner at the left end, the line that crosses it first (the steepest of these) is the next winner, until no
    line lies higher at the right end.
    """
    c = c.reshape(len(c), -1, c.shape[-1])
    tiny = _tiny(c)
    winner = c[:-1].argmax(axis=-1)
    piece, unit = np.nonzero(c[1:].max(axis=-1) - _pick(c[1:], winner) > tiny)
    left, right, winner = c[piece, unit], c[piece + 1, unit], winner[piece, unit]
    found = [alphas[:0]]
    while len(piece):
        ahead, behind = _pick(left, winner)[:, None] - left, _pick(right, winner)[:, None] - right
        crosses = behind < -tiny
        t = np.where(crosses, ahead / np.where(crosses, ahead - behind, 1), 2)
        first = t.min(axis=1)
        winner = np.where(crosses & (t == first[:, None]), right, _pick(right, winner)[:, None]).argmax(axis=1)
        found.append(_between(alphas, piece, first))
        more = right.max(axis=1) - _pick(right, winner) > tiny
        piece, left, right, winner = piece[more], left[more], right[more], winner[more]
    return np.concatenate(found)


def _pick(x: Array, index: Array) -> Array:
    return np.asarray(np.take_along_axis(x, index[..., None], axis=-1)[..., 0])


def _tiny(z: Array) -> Any:
    """What cannot be told from zero; nothing in exact mode."""
    return 0 if z.dtype == object or not z.size else ULPS * np.finfo(z.dtype).eps * np.abs(z).max()


# ----- points on the line -----------------------------------------------------------------------------------------


def _between(alphas: Array, piece: Array, t: Array) -> Array:
    return np.asarray(alphas[piece] + t * (alphas[piece + 1] - alphas[piece]))


def _merged(old: Array, new: Array) -> Array:
    """The sorted points of both, without new ones that cannot be told from a neighbour."""
    new = np.setdiff1d(new, old)
    if not len(new):
        return old
    both = np.concatenate([old, new])
    order = np.argsort(both, kind="stable")
    both, is_old = both[order], order < len(old)
    near = 0 if both.dtype == object else 4 * np.finfo(both.dtype).eps
    close = np.diff(both) <= near
    keep = is_old | ~(np.concatenate([[False], close]) | np.concatenate([close & is_old[1:], [False]]))
    return np.asarray(both[keep])


def _refined(v: Array, old: Array, new: Array, moves: bool) -> Array:
    """v (M, ...) at the points ``old``, linear between them, as its values at ``new``; what does not move is repeated."""
    left = np.minimum(np.searchsorted(old, new, side="right") - 1, len(old) - 2)
    if not moves:
        return v[left]
    t = column((new - old[left]) / (old[left + 1] - old[left]), v)
    return np.asarray((1 - t) * v[left] + t * v[left + 1])
