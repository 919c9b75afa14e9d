"""ATen operators that are products: linear, matmul, einsum, and attention, which becomes products and a softmax.

Each function takes the Context and the operator's arguments under their ATen names, and returns what its results become. The
table at the end says which function lowers which operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from xaicore.errors import ConversionError
from xaicore.graph.blocks import attention
from xaicore.graph.layout import Layout, common
from xaicore.ops import Add, Dense, Einsum, MatMul, Mul, Where
from xaicore_torch.context import DROPPED, Const, Context, Value

# ----- products ---------------------------------------------------------------------------------------------------


def linear(c: Context, x: Any, weight: Any, bias: Any) -> Value:
    """x @ weight.T + bias."""
    x = c.active(x)
    x.layout.graph_axis(-1)
    return c.emit(Dense(), x, *c.weights(weight, bias), layout=x.layout.resized(c.shape()))


def addmm(c: Context, x: Any, mat1: Any, mat2: Any, beta: Any, alpha: Any) -> Value:
    """beta * x + alpha * (mat1 @ mat2)."""
    product = _matmul(c, mat1, mat2, c.shape(), part="product")
    if c.number(alpha) != 1:
        product = c.emit(Mul(), product, c.constant(np.asarray(float(c.number(alpha))), "alpha"), part="scaled")
    if c.number(beta) != 1 and isinstance(x, Value):
        x = c.emit(Mul(), x, c.constant(np.asarray(float(c.number(beta))), "beta"), part="scaled_input")
    elif c.number(beta) != 1:
        x = Const(tuple(c.number(beta) * t for t in x.versions), x.name)
    (left, right), layout = c.align(product, x)
    return Value(c.add(Add(), left, right), layout)


def matmul(c: Context, x: Any, other: Any) -> Value:
    """x @ other, for matrices and stacks of them, and for a constant vector on the right."""
    if isinstance(other, Const) and other.tensor.ndim == 1:
        column = Const((other.tensor[:, None],), other.name)
        product = _matmul(c, x, column, (*c.shape(), 1), part="product")
        layout, op = product.layout.reshape(c.shape())
        return c.emit(op, product, layout=layout)
    return _matmul(c, x, other, c.shape())


def mm(c: Context, x: Any, mat2: Any) -> Value:
    """x @ mat2."""
    return _matmul(c, x, mat2, c.shape())


def _matmul(c: Context, a: Any, b: Any, shape: Sequence[int], part: str = "") -> Value:
    ranks = [len(v.layout.shape) if isinstance(v, Value) else v.versions[0].ndim for v in (a, b)]
    if min(ranks) < 2:
        raise ConversionError(f"a product of arrays with {ranks[0]} and {ranks[1]} axes is not supported; use at least two each")
    if isinstance(a, Value) and isinstance(b, Const) and ranks[1] == 2:
        a.layout.graph_axis(-1)
        turned = Const(tuple(t.T for t in b.versions), f"{b.name}.T")
        return c.emit(Dense(), a, c.weight(turned), layout=a.layout.resized(shape), part=part)
    apart = _samples_apart(a, b, shape)
    if apart:
        return einsum(c, apart, [a, b])
    (left, right), layout = matrices(c, a, b, shape=shape)
    return Value(c.add(MatMul(), left, right, part=part), layout)


def _samples_apart(a: Any, b: Any, shape: Sequence[int]) -> str:
    """The equation of a product with a constant whose rows (or columns) are the samples, each by itself; "" for any other.

    (4, N, 7) @ (4, 7, 3) is "aij,ajk->aik" with the samples on i, which the product does not sum over.
    """
    sizes = [v.layout.shape if isinstance(v, Value) else tuple(v.tensor.shape) for v in (a, b)]
    rows = isinstance(a, Value) and isinstance(b, Const) and a.layout.axis == len(sizes[0]) - 2
    columns = isinstance(b, Value) and isinstance(a, Const) and b.layout.axis == len(sizes[1]) - 1
    if not (rows or columns) or any(n[:-2] != tuple(shape)[len(shape) - len(n) : -2] for n in sizes):
        return ""
    stack = "abcdefgh"[: len(shape) - 2]
    left, right = (stack[len(stack) - (len(n) - 2) :] for n in sizes)
    return f"{left}ij,{right}jk->{stack}ik"


def matrices(c: Context, *xs: Any, shape: Sequence[int]) -> tuple[list[str], Layout]:
    """Stacks of matrices (..., I, J) laid out so that their leading axes broadcast; ``shape`` is that of the result."""
    rank = len(shape)
    for x in xs:
        if isinstance(x, Value) and x.layout.axis >= len(x.layout.shape) - 2:
            raise ConversionError(f"the batch is a row or column of a matrix {x.layout.shown()} in this product, so samples mix")
    layout = common([x.layout for x in xs if isinstance(x, Value)], shape)
    names = []
    for x in xs:
        if isinstance(x, Const):                                  # every axis written out: a transposition counts on the rank
            x = Const(tuple(t.reshape((1,) * (rank - t.ndim) + tuple(t.shape)) for t in x.versions), x.name)
        names.append(c.operand(x, layout))
    return names, layout


def einsum(c: Context, equation: str, tensors: list[Any], **_: Any) -> Value:
    """An explicit Einsum whose terms are written in the order of the graph's axes; what is merged with the batch has labels of its own."""
    terms, out = _explicit(equation, [len(v.layout.shape) if isinstance(v, Value) else v.tensor.ndim for v in tensors])
    sample = {term[v.layout.axis] for term, v in zip(terms, tensors) if isinstance(v, Value)}
    merged = {(v.layout.before, v.layout.after) for v in tensors if isinstance(v, Value)}
    if len(merged) > 1:
        shapes = " and ".join(v.layout.shown() for v in tensors if isinstance(v, Value))
        raise ConversionError(f"it combines values of shapes {shapes}, which have different axes merged with the batch N")
    (label,) = sample if len(sample) == 1 else ("",)
    if not label or label not in out or any(label in t for t, v in zip(terms, tensors) if isinstance(v, Const)):
        raise ConversionError(f"{equation!r} sums over the batch or pairs samples with each other; the batch needs its own label, kept")
    names = [v.name if isinstance(v, Value) else c.weight(v) for v in tensors]
    before, after = merged.pop()
    free = [s for s in "ZYXWVUTS" if s not in equation]
    apart = (free[0] if before != 1 else "") + (free[1] if after != 1 else "")
    written = [label + t.replace(label, apart) if isinstance(v, Value) else t for t, v in zip(terms, tensors)]
    op = Einsum(f"{','.join(written)}->{label}{out.replace(label, apart)}")
    return Value(c.add(op, *names), Layout(c.shape(), c.batch, out.index(label), before, after))


def _explicit(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The terms and the output of an equation, an ellipsis written out and an implicit output made explicit."""
    left, arrow, out = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    free = [s for s in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if s not in equation]
    hidden = max([n - len(t.replace("...", "")) for t, n in zip(terms, ranks) if "..." in t], default=0)
    dots = "".join(free[:hidden])
    terms = [t.replace("...", dots[hidden - (n - len(t.replace("...", ""))):]) for t, n in zip(terms, ranks)]
    if not arrow:
        out = "..." + "".join(sorted(s for s in set("".join(terms)) - set(dots) if "".join(terms).count(s) == 1))
    return terms, out.replace("...", dots)


# ----- attention --------------------------------------------------------------------------------------------------

def scaled_dot_product_attention(
    c: Context, query: Any, key: Any, value: Any, attn_mask: Any, dropout_p: float, is_causal: bool, scale: float | None, enable_gqa: bool
) -> Value:
    """softmax(scale * q kᵀ + mask) v out of simple operators; a boolean mask is true where attention is allowed."""
    shape = c.shape()
    (q, k, v), layout = matrices(c, query, key, value, shape=shape)
    shared = None
    if enable_gqa and len(shape) == 4 and layout.trivial:               # heads stand on axis 1
        heads = c.size(c.node.args[1].meta["val"].shape[1], c.batch)
        shared = (heads, shape[1] // heads) if heads != shape[1] else None
    elif enable_gqa:
        raise ConversionError(f"grouped queries (enable_gqa) are supported for (N, heads, length, width), not for {layout.shown()}")
    long, short = c.node.args[0].meta["val"].shape[-1], c.node.args[1].meta["val"].shape[-2]
    scores = layout.resized((*shape[:-1], c.size(short, c.batch)))
    if is_causal:
        attn_mask = Const((torch.ones(shape[-2], scores.shape[-1], dtype=torch.bool).tril(),), f"{c.place.name}/causal")
    mask = None if attn_mask is None else _additive(c, attn_mask, scores)
    width = float(c.size(long, c.batch))
    return Value(attention(
        c.builder, q, k, v, scale=width**-0.5 if scale is None else scale, mask=mask, rank=len(layout.graph_shape), shared=shared,
        name=c.place.name, layer=c.place.layer, origin=c.place.origin,
    ), layout)


def _additive(c: Context, mask: Any, scores: Layout) -> str:
    """A mask that is added to the scores: 0 where a boolean one is true, minus infinity (or ``DROPPED``) elsewhere."""
    if isinstance(mask, Const):
        versions = tuple(torch.zeros(t.shape).masked_fill(~t, -torch.inf) if t.dtype == torch.bool else t for t in mask.versions)
        if all(bool((t > -torch.inf).any(-1).all()) for t in versions):
            versions = tuple(t.clamp(min=DROPPED) for t in versions)
        return c.operand(Const(versions, mask.name), scores)
    name = c.operand(mask, scores, as_float=mask.kind == "int")
    if mask.kind != "bool":
        return name
    return c.add(Where(), name, c.constant(np.zeros(()), "kept"), c.constant(np.asarray(-np.inf), "dropped"), part="mask")


TABLE: Mapping[str, Callable[..., Any]] = {
    "linear": linear, "addmm": addmm, "matmul": matmul, "mm": mm, "bmm": mm, "einsum": einsum,
    "scaled_dot_product_attention": scaled_dot_product_attention,
}
