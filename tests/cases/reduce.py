"""Cases of the reductions."""

from __future__ import annotations

import numpy as np

from xaicore.errors import ShapeError
from xaicore.ops import Mean, Norm, ReduceMax, ReduceMin, ReduceProd, Sum, Variance

from .case import Case, distinct, normal

X = ((3, 2, 4, 5),)


def some_zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Rows without, with one and with two zeros."""
    x = normal(rng, shape)
    x[1, :, 1] = 0
    x[2, :, :2] = 0
    return x


BATCH_AXIS = (((3,),), ShapeError, "axis 0, the batch")

CASES = (
    Case("Sum", Sum((1,)), X, torch=lambda x: x.sum(1)),
    Case("Sum-two", Sum((1, -1)), X, torch=lambda x: x.sum((1, 3))),
    Case("Sum-keepdims", Sum((-2, 1), keepdims=True), X, torch=lambda x: x.sum((1, 2), keepdim=True)),
    Case("Sum-none", Sum(()), X, torch=lambda x: x),
    Case("Sum-matrix", Sum((-1,)), ((3, 2),), torch=lambda x: x.sum(1), errors=(BATCH_AXIS,)),
    Case("Mean", Mean((2, 3)), X, torch=lambda x: x.mean((2, 3))),
    Case("Mean-keepdims", Mean((-1,), keepdims=True), X, torch=lambda x: x.mean(-1, keepdim=True), errors=(BATCH_AXIS,)),
    Case("ReduceMax", ReduceMax((2,)), X, distinct, torch=lambda x: x.amax(2)),
    Case("ReduceMax-keepdims", ReduceMax((3, 1), keepdims=True), X, distinct, torch=lambda x: x.amax((1, 3), keepdim=True)),
    Case("ReduceMax-all", ReduceMax((1, 2, 3)), X, distinct, torch=lambda x: x.amax((1, 2, 3))),
    Case("ReduceMin", ReduceMin((-1,)), X, distinct, torch=lambda x: x.amin(-1), errors=(BATCH_AXIS,)),
    Case("ReduceMin-keepdims", ReduceMin((1, 2), keepdims=True), X, distinct, torch=lambda x: x.amin((1, 2), keepdim=True)),
    Case("ReduceProd", ReduceProd((1,)), ((3, 5, 2),), torch=lambda x: x.prod(1), errors=((((3,),), ShapeError, "outside an array of rank 1"),)),
    Case("ReduceProd-two", ReduceProd((1, -1), keepdims=True), ((3, 2, 2, 3),), torch=lambda x: x.prod(1, True).prod(3, True)),
    Case("ReduceProd-zeros", ReduceProd((-1,)), ((3, 2, 4),), some_zeros, torch=lambda x: x.prod(-1)),
    Case("ReduceProd-none", ReduceProd(()), ((3, 2),), torch=lambda x: x),
    Case("Norm", Norm((1, 2)), ((3, 2, 4),), torch=lambda x: x.norm(2, (1, 2)), errors=((((3,),), ShapeError, "outside an array of rank 1"),)),
    Case("Norm-1", Norm((-1,), True, p=1), ((3, 2, 4),), torch=lambda x: x.norm(1, -1, True)),
    Case("Norm-3", Norm((1,), p=3), ((3, 2, 4),), torch=lambda x: x.norm(3, 1)),
    Case("Variance", Variance((1, 3)), X, torch=lambda x: x.var((1, 3), correction=0)),
    Case("Variance-keepdims", Variance((-1,), keepdims=True), X, torch=lambda x: x.var(-1, correction=0, keepdim=True)),
    Case("Variance-ddof", Variance((1, 2), ddof=1), X, torch=lambda x: x.var((1, 2), correction=1), errors=(
        (((2, 1, 1),), ShapeError, "more than ddof = 1"),
    )),
)
