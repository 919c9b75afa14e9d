"""The least that a method takes in NumPy: its array calls alone, written out for one chain of layers and one shape, every buffer laid out before.

No engine could take less with these calls. The numbers are the method's own (tests/test_benchmarks.py); nothing is checked, nothing kept.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xaicore import Graph

Step = Callable[[np.ndarray], np.ndarray]


def gradient(graph: Graph, x: np.ndarray, target: int) -> Callable[[], np.ndarray]:
    """∂f/∂x of a chain of Conv, Dense, ReLU, MaxPool 2 x 2 and Flatten, for one sample."""
    there, back, seed = _chain(graph, x, target)

    def run() -> np.ndarray:
        h, g = x, seed
        for step in there:
            h = step(h)
        for step in back:
            g = step(g)
        return g

    return run


def epsilon(graph: Graph, x: np.ndarray, target: int, eps: float = 1e-6) -> Callable[[], np.ndarray]:
    """LRP-ε of a chain of Dense and ReLU: the gradient's products, and for each layer a division and a product with its input."""
    dense = [[graph.params[i] for i in n.inputs[1:]] for n in graph.nodes if type(n.op).__name__ == "Dense"]
    two = np.array(-2 * eps, x.dtype)

    def run() -> np.ndarray:
        inputs, sums = [x], []
        for w, b in dense:
            z = np.matmul(inputs[-1], w.T)
            z += b
            sums.append(z)
            inputs.append(np.maximum(z, 0))
        r = np.zeros_like(sums[-1])
        r[:, target] = sums[-1][:, target]
        for (w, _), a, z in zip(reversed(dense), reversed(inputs[:-1]), reversed(sums)):
            below = (z < 0) * two
            below += z
            below += eps
            r = np.matmul(r / below, w) * a
        return r

    return run


def _chain(graph: Graph, x: np.ndarray, target: int) -> tuple[list[Step], list[Step], np.ndarray]:
    """The steps there, the steps back, and the cotangent that starts."""
    there: list[Step] = []
    back: list[Step] = []
    shape = x.shape
    for node in graph.nodes:
        params = [graph.params[i] for i in node.inputs[1:]]
        forth, return_, shape = STEPS[type(node.op).__name__](node.op, shape, *params)
        there.append(forth)
        back.insert(0, return_)
    seed = np.zeros(shape, x.dtype)
    seed[:, target] = 1
    return there, back, seed


def _dense(op: object, shape: tuple[int, ...], w: np.ndarray, b: np.ndarray) -> tuple[Step, Step, tuple[int, ...]]:
    def there(h: np.ndarray) -> np.ndarray:
        y = np.matmul(h, w.T)
        y += b
        return y

    return there, lambda g: np.matmul(g, w), (1, len(w))


def _relu(op: object, shape: tuple[int, ...]) -> tuple[Step, Step, tuple[int, ...]]:
    mask = np.empty(shape, bool)

    def there(h: np.ndarray) -> np.ndarray:
        np.greater(h, 0, out=mask)
        return np.maximum(h, 0)

    return there, lambda g: g * mask, shape


def _flatten(op: object, shape: tuple[int, ...]) -> tuple[Step, Step, tuple[int, ...]]:
    return lambda h: h.reshape(1, -1), lambda g: g.reshape(shape), (1, int(np.prod(shape)))


def _pool(op: object, shape: tuple[int, ...]) -> tuple[Step, Step, tuple[int, ...]]:
    places = [np.s_[:, :, i::2, j::2] for i in range(2) for j in range(2)]
    half = (*shape[:2], shape[2] // 2, shape[3] // 2)
    wins, out = [np.empty(half, bool) for _ in places], np.empty(shape, np.float32)
    parts = [out[p] for p in places]

    def there(h: np.ndarray) -> np.ndarray:
        seen = [h[p] for p in places]
        y = np.maximum(seen[0], seen[1])
        np.maximum(y, seen[2], out=y)
        np.maximum(y, seen[3], out=y)
        free = np.ones(half, bool)
        for v, won in zip(seen, wins):
            np.equal(v, y, out=won)
            won &= free
            free ^= won
        return y

    def back(g: np.ndarray) -> np.ndarray:
        for won, part in zip(wins, parts):
            np.multiply(g, won, out=part)
        return out

    return there, back, half


def _conv(op: object, shape: tuple[int, ...], w: np.ndarray, b: np.ndarray) -> tuple[Step, Step, tuple[int, ...]]:
    """Windows of 5 x 5, gathered into a matrix and added back from one."""
    pad, (outputs, channels, k, _), (height, width) = (op.pads or ((0, 0),))[0][0], w.shape, shape[2:]  # type: ignore[attr-defined]
    room = np.zeros((channels, height + 2 * pad, width + 2 * pad), w.dtype)
    inside = room[:, pad : pad + height, pad : pad + width]
    out = np.empty_like(room)
    count = (room.shape[1] - k + 1, room.shape[2] - k + 1)
    seen = np.lib.stride_tricks.sliding_window_view(room, count, (1, 2))        # (C, k, k, *count)
    columns, matrix, bias = np.empty(seen.shape, w.dtype), w.reshape(outputs, -1), b[:, None]
    flat = columns.reshape(matrix.shape[1], -1)
    taps = [(out[:, i : i + count[0], j : j + count[1]], (slice(None), i, j)) for i in range(k) for j in range(k)]

    def there(h: np.ndarray) -> np.ndarray:
        inside[...] = h[0]
        columns[...] = seen
        y = np.matmul(matrix, flat)
        y += bias
        return y.reshape(1, outputs, *count)

    def back(g: np.ndarray) -> np.ndarray:
        parts = np.matmul(matrix.T, g.reshape(outputs, -1)).reshape(seen.shape)
        out[...] = 0
        for place, at in taps:
            place += parts[at]
        return out[None, :, pad : pad + height, pad : pad + width]

    return there, back, (1, outputs, *count)


STEPS = {"Dense": _dense, "ReLU": _relu, "Flatten": _flatten, "MaxPool": _pool, "Conv": _conv}
