"""Second derivatives: the Hessian times a vector, forward over reverse, with the kinks of a network left where they are.

Every node is differentiated by itself. A piecewise-linear one has no curvature, exactly; a product has its own, exactly; a smooth one
has the difference of its vector-Jacobian product at two near points.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from xaicore.methods.sweep import column
from xaicore.methods.task import Feeds, Task
from xaicore.numerics import Array, filled, scalar
from xaicore.trace import Step, forward

Arrays = tuple[Array, ...]


def hessian_product(task: Task, feeds: Feeds, rows: Array, along: Feeds) -> tuple[dict[str, Array], Array]:
    """(H u by input name, uᵀ H u (M,)) at M inputs for M directions u, ``rows`` naming the sample whose target counts.

    Exact for functions made of affine, piecewise-linear and bilinear nodes; through a smooth node the error is about 1e-10 of
    its size in float64. Rational in exact mode. The caller keeps M small: all values of the graph are in memory.
    """
    own = {k: v[rows] for k, v in task.feeds.items() if k not in feeds}
    trace = forward(task.graph, {**own, **feeds}, wrt=task.wrt)
    tangents: dict[str, Array] = {k: along[k] for k in task.wrt}
    steps = [s for s in trace if any(s.active)]
    for step in steps:
        tangents[step.node.name] = _pushed(step, _moving(step, tangents))
    weights = task.weights[rows]
    first, second = {task.value: weights}, {task.value: weights * scalar(0, weights)}
    for step in reversed(steps):
        name = step.node.name
        if name in task.wrt or name not in first:
            continue
        g, dg = first.pop(name), second.pop(name)
        bent = _bent(step, _moving(step, tangents), g)
        for i, a, b, c in zip(step.node.inputs, step.vjp(g), step.vjp(dg), bent):
            if a is None or b is None or i in task.graph.params:
                continue
            b = b if c is None else b + c
            first[i] = first[i] + a if i in first else a
            second[i] = second[i] + b if i in second else b
    out = {k: second.get(k, along[k] * scalar(0, along[k])) for k in task.wrt}
    flat = [(out[k] * along[k]).reshape(len(rows), -1).sum(axis=1) for k in task.wrt]
    return out, np.asarray(sum(flat[1:], flat[0]))


def _moving(step: Step, tangents: Feeds) -> tuple[Array | None, ...]:
    return tuple(tangents[i] if on else None for i, on in zip(step.node.inputs, step.active))


def _pushed(step: Step, dx: tuple[Array | None, ...]) -> Array:
    """J dx of one node."""
    op, xs = step.node.op, step.xs
    if op.elementwise and sum(step.active) == 1 and step.active[0] and dx[0] is not None:
        return np.asarray(op.vjp(0, dx[0], step.y, *xs))                            # a diagonal Jacobian is its own transpose
    winners = op.candidates(*xs)
    if winners is not None:
        moved = op.candidates(*(x * scalar(0, x) if d is None else d for x, d in zip(xs, dx)))
        assert moved is not None
        best = winners.argmax(axis=-1)[..., None]
        dy = np.take_along_axis(moved, best, axis=-1)[..., 0].reshape(step.y.shape)
        top = np.take_along_axis(winners, best, axis=-1)[..., 0].reshape(step.y.shape)
        return np.asarray(np.where(top == step.y, dy, -dy))             # a minimum's candidates are negated
    h = _distance(step, dx)
    up, down = (op.forward(*_shifted(xs, dx, h, sign)) for sign in (1, -1))
    return _halved(up - down, h)


def _bent(step: Step, dx: tuple[Array | None, ...], g: Array) -> tuple[Array | None, ...]:
    """How g J changes along dx, for each input; None where it does not."""
    op = step.node.op
    if op.affine(step.active) or op.kinks(*step.xs) is not None or op.candidates(*step.xs) is not None:
        return tuple(None for _ in step.xs)
    h = _distance(step, dx)
    up, down = (step.vjp(g, _shifted(step.xs, dx, h, sign)) for sign in (1, -1))
    return tuple(None if a is None or b is None else _halved(a - b, h) for a, b in zip(up, down))


def _distance(step: Step, dx: tuple[Array | None, ...]) -> Array:
    """How far to go, for each row: 1 where the node is affine or bilinear, and any distance is exact."""
    like = next(d for d in dx if d is not None)
    one = filled((len(like),), 1, like)
    if step.node.op.affine(step.active) or step.node.op.bilinear(step.active):
        return one
    if like.dtype == object:
        return np.asarray(one * Fraction(1, 2**20))
    size = np.max([abs(x).reshape(len(like), -1).max(axis=1) for x, d in zip(step.xs, dx) if d is not None], axis=0)
    move = np.max([abs(d).reshape(len(like), -1).max(axis=1) for d in dx if d is not None], axis=0)
    far = np.finfo(like.dtype).eps ** (1 / 3) * np.maximum(size, 1)     # balances rounding and the third derivative
    h: Array = np.divide(far, move, out=np.ones_like(move), where=move > 0)
    return h.astype(like.dtype)


def _shifted(xs: Arrays, dx: tuple[Array | None, ...], h: Array, sign: int) -> Arrays:
    return tuple(x if d is None else np.asarray(x + scalar(sign, x) * column(h, x) * d) for x, d in zip(xs, dx))


def _halved(difference: Array, h: Array) -> Array:
    return np.asarray(difference / (column(h, difference) * scalar(2, difference)))
