"""Gathers, scatters, running sums and products, positions of the largest. torch's own functions, or plain indexing, are the opinion."""

from __future__ import annotations

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.ops import (
    ArgMax,
    ArgMin,
    CumProd,
    CumSum,
    GatherElements,
    GatherND,
    Hardmax,
    OneHot,
    ReverseSequence,
    ScatterElements,
    ScatterND,
    TopK,
    TopKIndices,
    Trilu,
)

from .case import Case, Domain, distinct, given, index, normal

BATCH_AXIS = "is axis 0, the batch"
FLOATS = "the indices have dtype float64, but integers are expected"


def interleaved(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Between the values of ``distinct``."""
    return distinct(rng, shape) + 1 / 256


def order(n: int) -> Domain:
    """Different indices in every row."""
    return lambda rng, shape: rng.permuted(np.broadcast_to(np.arange(n), (*shape[:-1], n)), axis=-1)[..., : shape[-1]]


def places(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Different pairs (i, j) of a 5 x 4 sample."""
    flat = order(20)(rng, shape[:-1])
    return np.stack([flat // 4, flat % 4], axis=-1)


def gather(axis):
    def run(x, at):
        import torch

        batch = max(len(x), len(at))
        return torch.gather(x.expand(batch, *x.shape[1:]), axis, at.expand(batch, *at.shape[1:]) % x.shape[axis])

    return run


def scatter(axis, reduce=None):
    def run(x, at, updates):
        import torch

        batch = max(len(x), len(at), len(updates))
        x, at, updates = (v.expand(batch, *v.shape[1:]) for v in (x, at % x.shape[axis], updates))
        if reduce is None:
            return torch.scatter(x, axis, at, updates)
        return torch.scatter_reduce(x, axis, at, updates, reduce)

    return run


def put(x, at, updates):
    """x[n, i, j] = updates, written as assignments one after the other."""
    y = x.clone()
    for n in range(len(x)):
        for j in range(at.shape[1]):
            y[(n, *at[n % len(at), j])] = updates[n, j]
    return y


def put_with(f):
    def run(x, at, updates):
        rows = [list(one) for one in x.reshape(len(x), -1)]
        for n in range(len(x)):
            for j in range(at.shape[1]):
                k = int(at[n % len(at), j, 0]) * x.shape[2] + int(at[n % len(at), j, 1])
                rows[n][k] = f(rows[n][k], updates[n, j])
        import torch

        return torch.stack([torch.stack(row) for row in rows]).reshape(x.shape)

    return run


def add_blocks(x, at, updates):
    import torch

    rows = torch.arange(len(x))[:, None]
    return x.index_put((rows, at[..., 0].expand(len(x), -1)), updates, accumulate=True)


def taken(x, at):
    import torch

    return x[torch.arange(len(x))[:, None], at[..., 0], at[..., 1]]


def exclusive(run, reverse, start):
    def shifted(x):
        import torch

        x = x.flip(1) if reverse else x
        y = torch.cat([torch.full_like(x[:, :1], start), run(x, 1)[:, :-1]], 1)
        return y.flip(1) if reverse else y

    return shifted


def reversed_rows(x, lengths):
    import torch

    return torch.stack([torch.cat([one[:, :n].flip(1), one[:, n:]], 1) for one, n in zip(x, lengths.tolist())])


def top(k, axis, largest, part):
    return lambda x: x.topk(k, axis, largest)[part]


def cumulative(name):
    def run(x, axis=1):
        return getattr(x, name)(axis)

    return run


def hardmax(x):
    import torch

    return torch.nn.functional.one_hot(x.argmax(-1), x.shape[-1]).to(x.dtype)


def some_zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros among the factors: none, one and two in a row."""
    x = normal(rng, shape)
    x.reshape(len(x), -1)[1, 1] = 0
    x.reshape(len(x), -1)[2, :2] = 0
    return x


THREE = (3, 5, 4)

CASES = (
    Case("GatherElements", GatherElements(1), (THREE, (3, 2, 3)), (distinct, index(5)), torch=gather(1), batched=(True, True), errors=(
        ((np.zeros(THREE), np.zeros((3, 2, 3))), InputError, FLOATS),
        ((np.zeros(THREE), np.full((3, 2, 3), 5)), InputError, "index 5 is outside the 5 entries"),
        ((np.zeros(THREE), np.zeros((3, 2), int)), ShapeError, "as many axes as x (3, 5, 4)"),
        ((np.zeros(THREE), np.zeros((3, 2, 5), int)), ShapeError, "longer than x (3, 5, 4) on axis 2"),
        ((np.zeros(THREE), np.zeros((2, 2, 3), int)), ShapeError, "one batch, or 1, is expected on axis 0"),
        ((np.zeros(3), np.zeros(3, int)), ShapeError, "outside an array of rank 1"),
    )),
    Case("GatherElements-last", GatherElements(-1), (THREE, (3, 5, 7)), (distinct, lambda rng, shape: rng.integers(-4, 4, shape)), torch=gather(2),
         batched=(True, True)),
    Case("GatherElements-same-for-all", GatherElements(1), (THREE, (1, 2, 4)), (distinct, index(5)), torch=gather(1)),
    Case("GatherElements-constant", GatherElements(1), ((1, 5, 4), (3, 2, 4)), (distinct, index(5)), torch=gather(1),
         active=(False, False), batched=(False, True)),
    Case("GatherND", GatherND(), (THREE, (3, 6, 2)), (distinct, index(4)), torch=taken, batched=(True, True), errors=(
        ((np.zeros(THREE), np.zeros((3, 6, 3), int)), ShapeError, "must hold 1 to 2 numbers"),
        ((np.zeros(THREE), np.zeros((3, 6, 2))), InputError, FLOATS),
        ((np.zeros(THREE), np.full((3, 1, 2), 4)), InputError, "index 4 is outside the 4 entries"),
        ((np.zeros(THREE), np.zeros(3, int)), ShapeError, "do not fit"),
    )),
    Case("GatherND-position", GatherND(), (THREE, (3, 1)), (distinct, lambda rng, shape: rng.integers(-5, 5, shape)), batched=(True, True),
         torch=lambda x, at: x[range(3), at[:, 0]]),
    Case("GatherND-same-for-all", GatherND(), (THREE, (1, 2, 3, 1)), (distinct, index(5)), torch=lambda x, at: x[:, at[0, ..., 0]]),
    Case("GatherND-within", GatherND(2), ((3, 2, 5, 2), (3, 2, 4, 1)), (distinct, index(5)), batched=(True, True),
         torch=lambda x, at: x.gather(2, at.expand(3, 2, 4, 2)), errors=(
        ((np.zeros((3, 2, 5, 2)), np.zeros((3, 3, 4, 1), int)), ShapeError, "the first 2 axes must agree"),
    )),
    Case("ScatterElements", ScatterElements(axis=2), (THREE, (3, 5, 3), (3, 5, 3)), (distinct, order(4), interleaved), (True, False, True),
         torch=scatter(2), batched=(True, True, True), errors=(
        ((np.zeros(THREE), np.zeros((3, 5, 3), int), np.zeros((3, 5, 2))), ShapeError, "updates have shape (3, 5, 2), but (N, *(5, 3))"),
        ((np.zeros(THREE), np.zeros((3, 5, 3)), np.zeros((3, 5, 3))), InputError, FLOATS),
    )),
    Case("ScatterElements-repeated", ScatterElements(), ((3, 3), (3, 6), (3, 6)), (distinct, index(3), interleaved), (True, False, True),
         torch=lambda x, at, u: put(x, at[..., None], u), batched=(True, True, True)),
    Case("ScatterElements-into-zeros", ScatterElements(), ((1, 6, 2), (3, 4, 2), (3, 4, 2)),
         (given(np.zeros((1, 6, 2))), lambda rng, shape: np.swapaxes(order(6)(rng, (3, 2, 4)), 1, 2), distinct),
         (False, False, True), torch=scatter(1), batched=(False, True, True)),
    Case("ScatterElements-add", ScatterElements("add"), (THREE, (1, 7, 4), (3, 7, 4)), (normal, index(5), normal), (True, False, True),
         torch=scatter(1, "sum"), batched=(True, False, True)),
    Case("ScatterElements-add-bias", ScatterElements("add"), (THREE, (1, 7, 4), (1, 7, 4)), (normal, index(5), normal), torch=scatter(1, "sum")),
    Case("ScatterElements-mul", ScatterElements("mul"), ((3, 4), (3, 6), (3, 6)), (normal, index(4), normal), (True, False, True),
         torch=scatter(1, "prod"), batched=(True, True, True)),
    Case("ScatterElements-mul-zeros", ScatterElements("mul"), ((3, 2), (3, 4), (3, 4)), (normal, index(2), some_zeros), (True, False, True),
         torch=scatter(1, "prod"), batched=(True, True, True)),
    Case("ScatterElements-max", ScatterElements("max"), ((3, 4), (3, 6), (3, 6)), (distinct, index(4), interleaved), (True, False, True),
         torch=scatter(1, "amax"), batched=(True, True, True)),
    Case("ScatterElements-min", ScatterElements("min"), ((3, 4), (3, 6), (3, 6)), (distinct, index(4), interleaved), (True, False, True),
         torch=scatter(1, "amin"), batched=(True, True, True)),
    Case("ScatterND", ScatterND(), (THREE, (3, 6, 2), (3, 6)), (distinct, places, interleaved), (True, False, True), torch=put,
         batched=(True, True, True)),
    Case("ScatterND-blocks", ScatterND("add"), (THREE, (1, 3, 1), (3, 3, 4)), (distinct, index(5), normal), (True, False, True), torch=add_blocks,
         batched=(True, False, True)),
    Case("ScatterND-mul", ScatterND("mul"), (THREE, (1, 3, 2), (3, 3)), (normal, index(4), normal), (True, False, True),
         torch=put_with(lambda a, b: a * b), batched=(True, False, True)),
    Case("ScatterND-max", ScatterND("max"), (THREE, (3, 6, 2), (3, 6)), (distinct, index(4), interleaved), (True, False, True),
         torch=put_with(lambda a, b: a.maximum(b)), batched=(True, True, True)),
    Case("Trilu", Trilu(), (THREE,), distinct, torch=lambda x: x.triu(), errors=((((3, 4),), ShapeError, "(N, ..., R, C) is expected"),)),
    Case("Trilu-lower", Trilu(1, False), ((3, 2, 3, 3),), distinct, torch=lambda x: x.tril(1)),
    Case("ReverseSequence", ReverseSequence(2), ((3, 2, 5), (3,)), (distinct, given([0, 3, 5])), torch=reversed_rows, batched=(True, True), errors=(
        ((np.zeros((3, 2, 5)), np.zeros(2, int)), ShapeError, "one for each sample"),
        ((np.zeros((3, 2, 5)), np.array([0, 6, 1])), InputError, "index 6 is outside"),
    )),
    Case("CumSum", CumSum(1), (THREE,), torch=cumulative("cumsum"), errors=((((3,),), ShapeError, "outside an array of rank 1"),)),
    Case("CumSum-reverse", CumSum(-1, reverse=True), (THREE,), torch=lambda x: x.flip(2).cumsum(2).flip(2)),
    Case("CumSum-exclusive", CumSum(1, exclusive=True), (THREE,), torch=exclusive(cumulative("cumsum"), False, 0)),
    Case("CumSum-both", CumSum(1, True, True), (THREE,), torch=exclusive(cumulative("cumsum"), True, 0)),
    Case("CumProd", CumProd(1), ((3, 5),), torch=cumulative("cumprod"), errors=((((3,),), ShapeError, "outside an array of rank 1"),)),
    Case("CumProd-zeros", CumProd(1), ((3, 4),), some_zeros, torch=cumulative("cumprod")),
    Case("CumProd-reverse", CumProd(2, reverse=True), ((3, 2, 4),), torch=lambda x: x.flip(2).cumprod(2).flip(2)),
    Case("CumProd-exclusive", CumProd(1, exclusive=True), ((3, 4, 2),), some_zeros, torch=exclusive(cumulative("cumprod"), False, 1)),
    Case("CumProd-both", CumProd(1, True, True), ((3, 4),), torch=exclusive(cumulative("cumprod"), True, 1)),
    Case("ArgMax", ArgMax(1), (THREE,), distinct, torch=lambda x: x.argmax(1), errors=((((3,),), ShapeError, "outside an array of rank 1"),)),
    Case("ArgMax-last", ArgMax(-1, True, True), (THREE,), index(3), torch=lambda x: 3 - x.flip(2).argmax(2, keepdim=True)),
    Case("ArgMin", ArgMin(2), (THREE,), index(3), torch=lambda x: x.argmin(2)),
    Case("ArgMin-last", ArgMin(1, True, True), (THREE,), index(3), torch=lambda x: 4 - x.flip(1).argmin(1, keepdim=True)),
    Case("Hardmax", Hardmax(), (THREE,), distinct, torch=hardmax),
    Case("Hardmax-axis", Hardmax(1), (THREE,), distinct, torch=lambda x: hardmax(x.mT).mT),
    Case("OneHot", OneHot(4), ((3, 2),), index(4), torch=lambda i: (i[..., None] == i.new_tensor(range(4))).long(), errors=(
        (((3, 2),), InputError, FLOATS),
    )),
    Case("OneHot-axis", OneHot(3, 1), ((3, 2),), lambda rng, shape: rng.integers(-5, 5, shape),
         torch=lambda i: ((i[:, None] == i.new_tensor(range(3))[:, None]) | (i[:, None] + 3 == i.new_tensor(range(3))[:, None])).long()),
    Case("TopK", TopK(1, 3), (THREE,), distinct, torch=top(3, 1, True, 0), errors=(
        (((3, 2),), ShapeError, "axis 1 of x (3, 2) has 2 entries, so k is 2 at most"),
    )),
    Case("TopK-smallest", TopK(-1, 4, False), (THREE,), distinct, torch=top(4, 2, False, 0)),
    Case("TopKIndices", TopKIndices(1, 3), (THREE,), distinct, torch=top(3, 1, True, 1)),
    Case("TopKIndices-smallest", TopKIndices(-1, 2, False), (THREE,), distinct, torch=top(2, 2, False, 1)),
)
