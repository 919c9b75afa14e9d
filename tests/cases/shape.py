"""Operators that move entries. Padding and resampling are in resize.py."""

from __future__ import annotations

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.ops import (
    Concat,
    Detach,
    Dropout,
    Embedding,
    Expand,
    Flatten,
    Gather,
    Identity,
    Reshape,
    Slice,
    Split,
    Squeeze,
    Transpose,
    Unsqueeze,
)

from .case import Case, distinct, index, normal


def lookup(table, ids):
    from torch.nn.functional import embedding

    return embedding(ids, table)


def join(axis):
    def run(*tensors):
        import torch

        return torch.cat(tensors, axis)

    return run


BATCH_AXIS = "is axis 0, the batch"

CASES = (
    Case("Reshape", Reshape((2, 6)), ((3, 3, 4),), distinct, torch=lambda x: x.reshape(3, 2, 6), errors=(
        (((3, 5),), ShapeError, "a sample of x (3, 5) has 5 entries, which do not fill (2, 6)"),
        (((),), ShapeError, "no axes"),
    )),
    Case("Reshape-free", Reshape((2, -1, 2)), ((3, 3, 4),), distinct, torch=lambda x: x.reshape(3, 2, -1, 2), errors=(
        (((3, 5),), ShapeError, "do not fill (2, -1, 2)"),
    )),
    Case("Reshape-scalar", Reshape(()), ((3, 1),), distinct, torch=lambda x: x.reshape(3)),
    Case("Flatten", Flatten(), ((3, 2, 2, 3),), distinct, torch=lambda x: x.flatten(1)),
    Case("Flatten-start", Flatten(2), ((3, 2, 2, 3),), distinct, torch=lambda x: x.flatten(2), errors=(
        (((3,),), ShapeError, "at least 2 axes are expected"),
    )),
    Case("Flatten-nothing", Flatten(), ((3,),), distinct, torch=lambda x: x[:, None]),
    Case("Transpose", Transpose((0, 3, 1, 2)), ((3, 2, 4, 3),), distinct, torch=lambda x: x.permute(0, 3, 1, 2), errors=(
        (((3, 2, 4),), ShapeError, "an axis for each of the 4 entries of perm"),
    )),
    Case("Squeeze", Squeeze((-1, 1)), ((3, 1, 2, 1),), distinct, torch=lambda x: x[:, 0, :, 0], errors=(
        (((3, 2, 1),), ShapeError, "axis 1 of x (3, 2, 1) is not of size 1"),
        (((3, 1),), ShapeError, "is named twice"),
        (((1,),), ShapeError, BATCH_AXIS),
    )),
    Case("Unsqueeze", Unsqueeze((-1, 1)), ((3, 2),), distinct, torch=lambda x: x[:, None, :, None], errors=(
        (((),), ShapeError, "no axes"),
    )),
    Case("Unsqueeze-batch", Unsqueeze((1,)), ((3,),), distinct, torch=lambda x: x[:, None]),
    Case("Concat", Concat(1), ((3, 2, 2), (3, 1, 2), (3, 3, 2)), distinct, (True, False, True), torch=join(1),
         batched=(True, True, True), errors=(
        (((3, 2, 2), (1, 1, 2)), ShapeError, "input 1 has shape (1, 1, 2) and input 0 (3, 2, 2)"),
        (((3, 2, 2), (3, 2)), ShapeError, "goes through Expand first"),
        (((3,), (3,)), ShapeError, "outside an array of rank 1"),
    )),
    Case("Concat-last", Concat(-1), ((3, 2, 2), (3, 2, 1)), distinct, (True, True), torch=join(-1), errors=(
        (((3,), (3,)), ShapeError, BATCH_AXIS),
    )),
    Case("Split", Split(1, (2, 3), 1), ((3, 5, 2),), distinct, torch=lambda x: x.split([2, 3], 1)[1], errors=(
        (((3, 6, 2),), ShapeError, "the sizes add up to 5, which is not axis 1 of x (3, 6, 2)"),
    )),
    Case("Split-last", Split(-1, (1, 2), 0), ((3, 2, 3),), distinct, torch=lambda x: x.split([1, 2], -1)[0], errors=(
        (((3,),), ShapeError, BATCH_AXIS),
    )),
    Case("Slice", Slice(1, 1, -1), ((3, 5, 2),), distinct, torch=lambda x: x[:, 1:-1], errors=(
        (((3, 2, 2),), ShapeError, "nothing is left of axis 1"),
        (((3,),), ShapeError, "outside an array of rank 1"),
    )),
    Case("Slice-step", Slice(-1, step=2), ((3, 2, 5),), distinct, torch=lambda x: x[..., ::2], errors=(
        (((3,),), ShapeError, BATCH_AXIS),
    )),
    Case("Slice-flip", Slice(2, step=-1), ((3, 2, 5),), distinct, torch=lambda x: x.flip(2)),
    Case("Slice-back", Slice(1, 3, None, -2), ((3, 5),), distinct, torch=lambda x: x[:, [3, 1]]),
    Case("Gather", Gather(1), ((3, 5, 2), (4,)), (distinct, index(5)), torch=lambda x, i: x.index_select(1, i), errors=(
        ((np.zeros((3, 5, 2)), np.zeros(2)), InputError, "the indices have dtype float64, but integers are expected"),
        ((np.zeros((3, 5, 2)), np.array([1, 5])), InputError, "index 5 is outside the 5 entries"),
        ((np.zeros((3, 5, 2)), np.array([-6])), InputError, "index -6 is outside"),
    )),
    Case("Gather-scalar", Gather(-1), ((3, 2, 4), ()), (distinct, index(4)), torch=lambda x, i: x[..., int(i)], errors=(
        ((np.zeros(3), np.array(1)), ShapeError, BATCH_AXIS),
    )),
    Case("Gather-matrix-from-the-end", Gather(1), ((3, 4, 2), (2, 2)), (distinct, lambda rng, shape: rng.integers(-4, 0, shape)),
         torch=lambda x, i: x[:, i]),
    Case("Embedding", Embedding(), ((5, 2), (3, 4)), (distinct, index(5)), torch=lookup, batched=(False, True), errors=(
        ((np.zeros((5, 2)), np.array([[1, 5]])), InputError, "index 5 is outside the 5 entries"),
        ((np.zeros((5, 2)), np.array([[-1]])), InputError, "index -1 is outside"),
        ((np.zeros((5, 2)), np.array([[True]])), InputError, "the indices have dtype bool"),
        ((np.zeros((5, 2, 2)), np.array([[1]])), ShapeError, "a table (V, D)"),
    )),
    Case("Embedding-flat", Embedding(), ((5, 2), (3,)), (distinct, index(5)), torch=lookup, batched=(False, True)),
    Case("Expand", Expand((4, -1)), ((3, 1, 2),), distinct, torch=lambda x: x.expand(3, 4, 2), errors=(
        (((3, 2),), ShapeError, "the batch and one axis for each entry of shape"),
        (((3, 2, 2),), ShapeError, "does not expand to (N, *(4, 2))"),
    )),
    Case("Expand-like", Expand((2, 3)), ((1, 2, 1), (3, 5)), distinct, torch=lambda x, like: x.expand(3, 2, 3), batched=(False, True),
         errors=((((2, 2, 1), (3, 5)), ShapeError, "x has 2 samples and ``like`` has 3"),)),
    Case("Expand-like-batched", Expand((2, 3)), ((3, 2, 1), (3, 5)), distinct, torch=lambda x, like: x.expand(3, 2, 3),
         batched=(True, True)),
    Case("Identity", Identity(), ((3, 2),), distinct, torch=lambda x: x * 1),
    Case("Dropout", Dropout(0.3), ((3, 2),), distinct, torch=lambda x: x * 1),
    Case("Detach", Detach(), ((3, 2),), normal, torch=lambda x: x.detach()),
    Case("Detach-shared", Detach(shared=True), ((3, 2),), normal, torch=lambda x: x.detach()),
)
