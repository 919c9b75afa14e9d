"""What one array is to another when it is not the same: a multiple, its absolute values, the same scaled, turned or in another order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from xaicore.numerics import Array

Floats = Array


def relation(ours: Array, theirs: Array, allowed: float) -> str:
    """ "ours times 2", "the absolute values of ours", ... for two arrays of one shape that differ; "" for none that is known."""
    a, b = (np.asarray(v, dtype=float) for v in (ours, theirs))
    if not a.size or not np.abs(b).max(initial=0.0) > allowed:
        return "zero everywhere" if a.size and np.abs(a).max(initial=0.0) > allowed else ""
    for words, made in _candidates(a, b):
        if made.shape == b.shape and np.abs(made - b).max() <= max(allowed, 4 * np.finfo(float).eps * float(np.abs(b).max())):
            return words
    return ""


def _candidates(a: Floats, b: Floats) -> Iterator[tuple[str, Floats]]:
    square = float((a * a).sum())
    if square > 0:
        factor = float((a * b).sum()) / square
        yield f"ours times {factor:.9g}", a * factor
        each = a.reshape(len(a), -1)
        norms = (each * each).sum(axis=1)
        factors = np.divide((each * b.reshape(each.shape)).sum(axis=1), norms, out=np.zeros(len(a)), where=norms > 0)
        yield "ours, each sample times a factor of its own", (each * factors[:, None]).reshape(a.shape)
    yield "the absolute values of ours", np.abs(a)
    yield "the squares of ours", a * a
    yield "the positive part of ours", np.maximum(a, 0)
    yield "the negative part of ours", np.minimum(a, 0)
    scales: tuple[tuple[str, Callable[[Floats], Floats]], ...] = (
        ("divided by its largest absolute value", lambda v: v / np.abs(v).max()),
        ("divided by its largest value", lambda v: v / v.max()),
        ("divided by the sum of its absolute values", lambda v: v / np.abs(v).sum()),
        ("scaled from its minimum and maximum to 0 and 1", lambda v: (v - v.min()) / (v.max() - v.min())),
    )
    for words, scale in scales:
        with np.errstate(all="ignore"):
            yield f"ours, {words} in each sample", np.stack([scale(v) for v in a])
            yield f"ours, {words}", scale(a)
    if a.ndim >= 3:
        yield "ours with the last two axes exchanged", np.swapaxes(a, -1, -2)
        for axis in range(1, a.ndim):
            yield f"ours, turned round along axis {axis}", np.flip(a, axis)
        mean = a.mean(axis=1, keepdims=True)
        yield "the mean of ours over its channels, in each of them", np.broadcast_to(mean, a.shape)
        yield "the sum of ours over its channels, in each of them", np.broadcast_to(mean * a.shape[1], a.shape)
    if len(a) > 1:
        yield "ours with the samples in the opposite order", a[::-1]
        yield "the mean of ours over the batch, in each sample", np.broadcast_to(a.mean(axis=0, keepdims=True), a.shape)
