"""The least that a method takes in NumPy: its array calls alone, written out for one chain of layers and one shape, every buffer laid out before.

No engine could take less with these calls. The numbers are the method's own (tests/test_benchmarks.py); nothing is checked, nothing kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from xaicore import Graph

Step = Callable[[np.ndarray], np.ndarray]
Made = tuple[Step, Step, tuple[int, ...]]
"""A layer there and back, and the shape of its output."""

EPS = 1e-6


def gradient(graph: Graph, x: np.ndarray, target: int) -> Callable[[], np.ndarray]:
    """∂f/∂x of a chain of Conv, Dense, ReLU, MaxPool 2 x 2 and Flatten, for one sample."""
    there, back, shape = _chain(graph, x, 0)
    seed = np.zeros(shape, x.dtype)
    seed[:, target] = 1

    def run() -> np.ndarray:
        h, g = x, seed
        for step in there:
            h = step(h)
        for step in back:
            g = step(g)
        return g

    return run


def relevance(alpha: int, graph: Graph, x: np.ndarray, target: int) -> Callable[[], np.ndarray]:
    """LRP of the same chain: ε on dense layers, on convolutions z+ (``alpha`` 1) or α2β1 (2), pools to the winner. No denominator is 0."""
    there, back, shape = _chain(graph, x, alpha)
    seed = np.zeros(shape, x.dtype)

    def run() -> np.ndarray:
        h = x
        for step in there:
            h = step(h)
        r = seed
        r[:, target] = h[:, target]
        for step in back:
            r = step(r)
        return r

    return run


epsilon_plus, epsilon_alpha2_beta1 = partial(relevance, 1), partial(relevance, 2)


def _chain(graph: Graph, x: np.ndarray, alpha: int) -> tuple[list[Step], list[Step], tuple[int, ...]]:
    """The steps there, the steps back (of the gradient with ``alpha`` 0), and the shape of the output."""
    there: list[Step] = []
    back: list[Step] = []
    shape = x.shape
    for node in graph.nodes:
        params = [graph.params[i] for i in node.inputs[1:]]
        forth, return_, shape = STEPS[type(node.op).__name__](node.op, shape, alpha, *params, **({} if there else {"first": True}))
        there.append(forth)
        back.insert(0, return_)
    return there, back, shape


def _dense(op: object, shape: tuple[int, ...], alpha: int, w: np.ndarray, b: np.ndarray, first: bool = False) -> Made:
    seen = [w, w]                                                       # the input and the output of the last pass
    eps, zero = np.array(EPS, w.dtype), np.zeros((), w.dtype)

    def there(h: np.ndarray) -> np.ndarray:
        y = np.matmul(h, w.T)
        y += b
        seen[:] = h, y
        return y

    def share(r: np.ndarray) -> np.ndarray:
        a, z = seen
        below = np.add(z, zero)
        np.copysign(eps, below, out=below)
        below += z
        out = np.matmul(r / below, w)
        out *= a
        return out

    return there, share if alpha else (lambda g: np.matmul(g, w)), (1, len(w))


def _relu(op: object, shape: tuple[int, ...], alpha: int) -> Made:
    mask, zero = np.empty(shape, bool), np.zeros((), np.float32)

    def there(h: np.ndarray) -> np.ndarray:
        np.greater(h, zero, out=mask)
        return np.maximum(h, zero)

    return (lambda h: np.maximum(h, zero), lambda r: r, shape) if alpha else (there, lambda g: g * mask, shape)


def _flatten(op: object, shape: tuple[int, ...], alpha: int) -> Made:
    return lambda h: h.reshape(1, -1), lambda g: g.reshape(shape), (1, int(np.prod(shape)))


def _pool(op: object, shape: tuple[int, ...], alpha: int) -> Made:
    """One axis after the other: what a place takes of g, and what is left for the other one."""
    n, c, height, width = shape
    left, below = np.empty((n, c, height, width // 2), bool), np.empty((n, c, height // 2, width // 2), bool)
    rows, out = np.empty(left.shape, np.float32), np.empty(shape, np.float32)
    parts = rows[:, :, ::2], rows[:, :, 1::2], out[..., ::2], out[..., 1::2]

    def there(h: np.ndarray) -> np.ndarray:
        a, b = h[..., ::2], h[..., 1::2]
        np.greater_equal(a, b, out=left)
        m = np.maximum(a, b)
        a, b = m[:, :, ::2], m[:, :, 1::2]
        np.greater_equal(a, b, out=below)
        return np.maximum(a, b)

    def back(g: np.ndarray) -> np.ndarray:
        upper, lower, before, after = parts
        np.multiply(g, below, out=upper)
        np.subtract(g, upper, out=lower)
        np.multiply(rows, left, out=before)
        np.subtract(rows, before, out=after)
        return out

    return there, back, below.shape


class _Windows:
    """Windows of k x k with their places worked out: gathered into a matrix in one copy, and added back from one in a copy and a sum."""

    def __init__(self, shape: tuple[int, ...], k: int, pad: int) -> None:
        _, channels, height, width = shape
        high, wide = height + 2 * pad, width + 2 * pad
        self.count = (high - k + 1, wide - k + 1)
        self.room = np.zeros((channels, high, wide), np.float32)
        self.inside = self.room[:, pad : pad + height, pad : pad + width]
        self.seen = np.lib.stride_tricks.sliding_window_view(self.room, self.count, (1, 2))        # (C, k, k, *count)
        self.columns = np.empty(self.seen.shape, np.float32)
        self.flat = self.columns.reshape(channels * k * k, -1)
        self.apart = np.zeros((channels, k * k, high * wide), np.float32)                          # for each place in the window all of space
        item = self.apart.itemsize
        steps = (k * k * high * wide, k * high * wide + wide, high * wide + 1, wide, 1)
        self.laid = np.ndarray(self.seen.shape, np.float32, self.apart, 0, tuple(item * s for s in steps))
        self.back_to = (slice(None), slice(pad, pad + height), slice(pad, pad + width))

    def gathered(self, h: np.ndarray) -> np.ndarray:
        self.inside[...] = h[0]
        self.columns[...] = self.seen
        return self.flat

    def added_up(self, parts: np.ndarray) -> np.ndarray:
        self.laid[...] = parts.reshape(self.seen.shape)
        return np.add.reduce(self.apart, axis=1).reshape(self.room.shape)[self.back_to][None]


def _conv(op: object, shape: tuple[int, ...], alpha: int, w: np.ndarray, b: np.ndarray, first: bool = False) -> Made:
    """``first``: of a signed input, which LRP takes apart by sign."""
    outputs, k = len(w), w.shape[2]
    at, behind = (_Windows(shape, k, (op.pads or ((0, 0),))[0][0]) for _ in range(2))              # type: ignore[attr-defined]
    matrix, bias = w.reshape(outputs, -1), b[:, None]
    signs = [(np.maximum(matrix, 0), np.maximum(bias, 0)), (np.minimum(matrix, 0), np.minimum(bias, 0))]
    seen, zero = [w], np.zeros((), w.dtype)

    def there(h: np.ndarray) -> np.ndarray:
        y = np.matmul(matrix, at.gathered(h))
        y += bias
        seen[0] = h
        return y.reshape(1, outputs, *at.count)

    def back(g: np.ndarray) -> np.ndarray:
        return at.added_up(np.matmul(matrix.T, g.reshape(outputs, -1)))

    def share(r: np.ndarray) -> np.ndarray:
        xs = [np.maximum(seen[0], zero), np.minimum(seen[0], zero)] if first else seen
        columns = [place.gathered(x) for place, x in zip((at, behind), xs)] if first else [at.flat]
        r, out = r.reshape(outputs, -1), None
        for sign, factor in ((1, alpha), (-1, 1 - alpha))[:alpha]:
            (up, shift), (down, _) = signs[::sign]
            z = np.matmul(up, columns[0])
            z += shift
            if first:
                z += np.matmul(down, columns[1])
            s = r / z
            part = xs[0] * at.added_up(np.matmul(up.T, s))
            if first:
                part += xs[1] * at.added_up(np.matmul(down.T, s))
            if alpha > 1:
                part *= factor
            out = part if out is None else out + part
        return out                                                      # type: ignore[return-value]

    return there, share if alpha else back, (1, outputs, *at.count)


STEPS: dict[str, Callable[..., Made]] = {"Dense": _dense, "ReLU": _relu, "Flatten": _flatten, "MaxPool": _pool, "Conv": _conv}
