"""A framework of forty lines, to check the checker of backends with: a chain of steps, channels last, with its own backpropagation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


class Chain:
    """Applies ``steps``, (layer name, kind) pairs, in order; the same name twice is the same layer.

    dense (.., I) -> (.., O) with weights NAME.w and NAME.b, on the last axis, so that on an image (N, H, W, C) it mixes the channels;
    relu;  mean (N, H, W, C) -> (N, C);  spin, which nobody converts.
    """

    def __init__(self, steps: Sequence[tuple[str, str]], shape: Sequence[int], weights: Mapping[str, np.ndarray]):
        self.steps = list(steps)
        self.shape = tuple(shape)
        self.weights = dict(weights)

    def values(self, x: np.ndarray) -> list[np.ndarray]:
        """x and what each step makes of it."""
        out = [x]
        for name, kind in self.steps:
            x = out[-1]
            if kind == "dense":
                x = x @ self.weights[f"{name}.w"].T + self.weights[f"{name}.b"]
            elif kind == "relu":
                x = np.maximum(x, 0)
            elif kind == "mean":
                x = x.mean((1, 2))
            else:
                x = x[..., ::-1]
            out.append(x)
        return out

    def gradient(self, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        """g times the Jacobian at x."""
        for (name, kind), before in zip(reversed(self.steps), reversed(self.values(x)[:-1])):
            if kind == "dense":
                g = g @ self.weights[f"{name}.w"]
            elif kind == "relu":
                g = g * (before > 0)
            elif kind == "mean":
                g = np.broadcast_to(g[:, None, None], before.shape) / (before.shape[1] * before.shape[2])
        return g
