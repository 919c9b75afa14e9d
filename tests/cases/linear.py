"""Dense, MatMul and Einsum."""

from __future__ import annotations

from xaicore.errors import ShapeError
from xaicore.ops import Dense, Einsum, MatMul

from .case import Case


def dense(*tensors):
    from torch.nn.functional import linear

    return linear(*tensors)


def einsum(equation):
    def run(*tensors):
        import torch

        return torch.einsum(equation, *tensors)

    return run


CASES = (
    Case("Dense", Dense(), ((3, 4), (2, 4)), torch=dense),
    Case(
        "Dense-bias",
        Dense(),
        ((3, 4), (2, 4), (2,)),
        torch=dense,
        errors=(
            (((3, 5), (2, 4), (2,)), ShapeError, "x has shape (3, 5), but (N, ..., 4) is expected"),
            (((3, 4), (2, 4, 1), (2,)), ShapeError, "w has shape (2, 4, 1), but (O, I) is expected"),
            (((4,), (2, 4), (2,)), ShapeError, "x has shape (4,)"),
            (((3, 4), (2, 4), (4,)), ShapeError, "the bias has shape (4,), but w has 2 outputs"),
            (((3, 4), (2, 4), (2, 1)), ShapeError, "(2,) is expected"),
        ),
    ),
    Case("Dense-tokens", Dense(), ((3, 2, 5, 4), (3, 4), (3,)), torch=dense),
    Case(
        "MatMul-left",
        MatMul(),
        ((3, 4, 2), (2, 5)),
        torch=lambda a, b: a @ b,
        errors=(
            (((3, 4, 2), (3, 5)), ShapeError, "the last axis of a has 2 entries and the last but one of b has 3"),
            (((3, 4), (4,)), ShapeError, "two axes at least are expected"),
            (((3, 2, 4, 2), (3, 2, 5)), ShapeError, "do not broadcast (2 against 3)"),
        ),
    ),
    Case("MatMul-rows", MatMul(), ((3, 2), (2, 5)), torch=lambda a, b: a @ b),
    Case("MatMul-right", MatMul(), ((4, 2), (3, 2, 5)), active=(False, True), torch=lambda a, b: a @ b),
    Case("MatMul-both", MatMul(), ((3, 2, 4, 2), (3, 2, 2, 5)), active=(True, True), torch=lambda a, b: a @ b),
    Case("MatMul-heads-shared", MatMul(), ((3, 2, 4, 2), (3, 1, 2, 5)), active=(True, True), torch=lambda a, b: a @ b),
    Case(
        "Einsum-both",
        Einsum("nhid,nhjd->nhij"),
        ((3, 2, 4, 3), (3, 2, 5, 3)),
        active=(True, True),
        torch=einsum("nhid,nhjd->nhij"),
        errors=(
            (((3, 2, 4, 3),), ShapeError, "1 inputs were given, but 2 are expected"),
            (((3, 2, 4), (3, 2, 5, 3)), ShapeError, "input 0 has shape (3, 2, 4), but axes 'nhid' are expected"),
            (((3, 2, 4, 3), (3, 2, 5, 4)), ShapeError, "label 'd' is 3 long before and 4 long in input 1"),
        ),
    ),
    Case("Einsum-weight", Einsum("nij, jk -> nki"), ((3, 2, 4), (4, 3)), torch=einsum("nij,jk->nki")),
    Case("Einsum-weight-first", Einsum("oi,ni->no"), ((2, 4), (3, 4)), active=(False, True), torch=einsum("oi,ni->no")),
    Case("Einsum-lonely-label", Einsum("nij,nk->nk"), ((3, 2, 4), (3, 2)), active=(True, True), torch=einsum("nij,nk->nk")),
    Case("Einsum-three", Einsum("ni,nj,nk->nikj"), ((3, 2), (3, 3), (3, 2)), active=(True,) * 3, torch=einsum("ni,nj,nk->nikj")),
    Case("Einsum-sum", Einsum("nijk->nki"), ((3, 2, 4, 2),), torch=einsum("nijk->nki")),
    Case("Einsum-turn", Einsum("nijk->nkij"), ((3, 2, 4, 3),), torch=einsum("nijk->nkij")),
    Case("Einsum-permute", Einsum("nij->nji"), ((3, 2, 4),), torch=einsum("nij->nji")),
    Case("Einsum-same", Einsum("nij->nij"), ((3, 2, 4),), torch=einsum("nij->nij")),
)
