"""Products: Gemm and MatMul (as Dense where the right side is a constant matrix), Einsum, convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from xaicore.errors import ConversionError
from xaicore.numerics import Array
from xaicore.ops import Add, Conv, ConvTranspose, Dense, Einsum, Expand, GatherElements, MatMul, Mul, Squeeze, Sum, Transpose, Unsqueeze
from xaicore_onnx.call import Call, Lowering, Results, Value
from xaicore_onnx.naming import swapped
from xaicore_onnx.patterns import scaled_product
from xaicore_onnx.values import Known, Live, MixingError

# ----- matrices ---------------------------------------------------------------------------------------------------


def gemm(c: Call) -> Results:
    """alpha * A' B' + beta * C, where ' transposes if transA, transB say so: one Dense with alpha and beta in its weights."""
    alpha, beta = c.attr("alpha", 1.0), c.attr("beta", 1.0)
    a, b = (_transposed(c, c.x(k)) if c.attr(flag, 0) else c.x(k) for k, flag in ((0, "transA"), (1, "transB")))
    bias = c.x(2) if c.has(2) else None
    if isinstance(a, Live) and isinstance(b, Known) and b.fixed and b.low.ndim == 2:
        y, left = dense(c, a, b, bias, alpha, beta)
    else:
        y, left = product(c, a, b), bias
        y = y if alpha == 1.0 else c.put(Mul(), y, c.number(alpha, "alpha"))
    if left is None or (isinstance(left, Known) and not left.low.any()):
        return y
    if isinstance(left, Known):
        left = left if beta == 1.0 else left.mapped(f"{left.name}/beta", lambda c: c * beta)
    else:
        left = left if beta == 1.0 else c.put(Mul(), left, c.number(beta, "beta"))
    names, like = c.aligned(y, left)
    return c.put(Add(), *names, like=like)


def dense(c: Call, a: Live, b: Known, bias: Value | None, alpha: float, beta: float) -> tuple[Live, Value | None]:
    """A constant matrix at the right as a Dense, and the bias if that could not be taken in."""
    _need_features(c, a)
    w = b.low.T if alpha == 1.0 else b.low.T.astype(np.float64) * alpha
    weight = c.derived(w, swapped(b.name) if alpha == 1.0 else f"{b.name}/alpha")
    if not isinstance(bias, Known) or not bias.fixed or bias.low.shape not in ((), (1,), (len(w),), (1, 1), (1, len(w))):
        return c.put(Dense(), a, weight), bias
    if bias.low.shape == (len(w),) and beta == 1.0:
        return c.put(Dense(), a, weight, c.param(bias)), None
    if not (bias.low * beta).any():
        return c.put(Dense(), a, weight), None
    row = np.broadcast_to(bias.low.reshape(-1).astype(np.float64) * beta, (len(w),))
    return c.put(Dense(), a, weight, c.derived(row, f"{bias.name}/row")), None


def _need_features(c: Call, x: Live) -> None:
    """Refuses a value whose last axis holds the batch."""
    x.axis(-1, c.who)


def _transposed(c: Call, x: Value) -> Value:
    """The transpose of a matrix."""
    if isinstance(x, Known):
        return x.mapped(swapped(x.name), lambda matrix: matrix.T)
    return transpose(c, x, (1, 0))


def transpose(c: Call, x: Live, perm: Sequence[int]) -> Live:
    """ONNX's Transpose. Where the batch goes is remembered; the axes in the graph move only as far as their order changes."""
    if sorted(perm) != list(range(x.rank)):
        raise ConversionError(f"{c.who} permutes by {list(perm)}, but its input has {x.rank} axes; the file is inconsistent")
    place = x.place
    if place is None:
        return c.put(Transpose((0, *(k + 1 for k in perm))), x)
    moved, op = place.permute(perm)
    layout = (moved.axis, x.outer, x.inner)
    return Live(x.name, x.tail, x.kind, *layout) if op is None else c.put(op, x, layout=layout)


def matmul(c: Call) -> Results:
    """a @ b as NumPy has it."""
    a, b = c.x(0), c.x(1)
    if isinstance(a, Live) and isinstance(b, Known) and b.fixed and b.low.ndim == 2:
        return dense(c, a, b, None, 1.0, 1.0)[0]
    return product(c, a, b)


def product(c: Call, a: Value, b: Value) -> Live:
    """The product of stacks of matrices of which one at least depends on the input; a vector becomes a matrix for the time."""
    ranks = [v.rank if isinstance(v, Live) else v.low.ndim for v in (a, b)]
    if ranks[0] == 1:
        a = _unsqueezed(c, a, 0)
    if ranks[1] == 1:
        b = _unsqueezed(c, b, 1)
    if isinstance(a, Live) and isinstance(b, Known) and (y := _rows_of_samples(c, a, b)) is not None:
        return y
    rank = max(*ranks, 2)
    lives = [c.grown(v, rank) for v in (a, b) if isinstance(v, Live)]
    like = lives[0]
    for one in lives:
        if one.layout != like.layout or (one.at is not None and one.at >= rank - 2):
            raise MixingError(
                f"{c.who} sums or matches samples with each other: the batch of {one.name!r} lies on axis {one.at} of "
                f"{rank}"
            )
    if len(lives) == 2 and min(ranks) >= 2:
        y = scaled_product(c, *lives)
        if y is not None:
            return y
    names = []
    for v in (a, b):
        if isinstance(v, Live):
            names.append(lives.pop(0).name)
        else:
            names.append(c.beside(v, like, rank) if v.low.ndim > 2 or not v.fixed else c.param(v))
    y = c.put(MatMul(), *names, like=like)
    gone = tuple(y.axis(k, c.who) for k, r in ((-2, ranks[0]), (-1, ranks[1])) if r == 1)
    return c.put(Squeeze(gone), y) if gone else y


def _rows_of_samples(c: Call, a: Live, b: Known) -> Live | None:
    """a @ b where the batch is among the rows of a, which keeps samples apart; None if it is not there, or b is no stack that fits.

    So torch takes apart an einsum of queries with relative positions: (heads, N * T, C) @ (heads, C, K).
    """
    lead, sizes = b.low.shape[:-2], a.shape(1)[: a.rank - 2]
    if a.at != a.rank - 2 or not b.fixed or len(lead) > len(sizes) or any(n not in (1, m) for n, m in zip(lead[::-1], sizes[::-1])):
        return None
    term, features = LABELS[: len(a.tail) + 1], LABELS[len(a.tail) + 1]
    stacked = [term[1 + len(sizes) - len(lead) + k] for k, n in enumerate(lead) if n != 1]
    w = b.low.reshape([n for n in lead if n != 1] + list(b.low.shape[-2:]))
    weight = c.param(b) if w.shape == b.low.shape else c.derived(w, f"{b.name}/rows")
    return c.put(Einsum(f"{term},{''.join(stacked)}{term[-1]}{features}->{term[:-1]}{features}"), a, weight)


def _unsqueezed(c: Call, x: Value, k: int) -> Value:
    """A vector as a matrix of one row (k = 0) or column (k = 1)."""
    if isinstance(x, Known):
        return x.mapped(f"{x.name}/matrix", lambda vector: np.expand_dims(vector, k))
    if x.at is not None:
        raise MixingError(f"{c.who} takes the vector {x.name!r} whose only axis is the batch")
    return c.put(Unsqueeze((k + 1,)), x)


# ----- Einsum -----------------------------------------------------------------------------------------------------

LABELS = "ZYXWVUTSRQPONMLKJIHGFEDCBAzyxwvutsrqponmlkjihgfedcba"


def einsum(c: Call) -> Results:
    """Any equation whose first label is the batch in all that depends on an input; heads joined with it get a label of their own."""
    inputs, target = _terms(c)
    lives = [v for v in c.inputs if isinstance(v, Live)]
    if any(v.layout != lives[0].layout for v in lives) or lives[0].at not in (0, None):
        raise MixingError(f"Einsum wants the batch on axis 0 of {', '.join(repr(v.name) for v in lives)}, but it lies elsewhere")
    if any(len(set(term)) != len(term) for term in inputs):
        inputs = [_diagonal(c, k, term) for k, term in enumerate(inputs)]
        lives = [v for v in c.inputs if isinstance(v, Live)]
    spare = (k for k in LABELS if k not in "".join(inputs))
    batch = next(spare) if lives[0].at is None else ""
    joined = "".join(next(spare) for n in lives[0].layout[1:] if n != 1)
    target = batch + target
    names: list[str] = []
    terms: list[str] = []
    for term, v in zip(inputs, c.inputs):
        terms.append(batch + term[:1] + joined + term[1:] if isinstance(v, Live) else term)
        names.append(v.name if isinstance(v, Live) else c.param(c.known(len(names), "constant")))
        if target[:1] in (term if joined and isinstance(v, Known) else term[1:]) or (isinstance(v, Live) and terms[-1][:1] != target[:1]):
            raise MixingError(f"Einsum {c.attr('equation')!r} does not keep the batch as first axis of what depends on the input")
    target = target[:1] + joined + target[1:]
    kept = [k for k in terms[0] if k in target]
    if len(terms) == 1 and kept == list(target):
        summed = tuple(k for k, label in enumerate(terms[0]) if label not in target)
        return c.put(Sum(summed), names[0], like=lives[0]) if summed else lives[0]
    return c.put(Einsum(f"{','.join(terms)}->{target}"), *names, like=lives[0])


def _diagonal_of(x: Array, first: int, second: int) -> Array:
    """The diagonal along two axes, in the place of the first."""
    return np.moveaxis(np.diagonal(x, 0, first, second), -1, first)


def _diagonal(c: Call, k: int, term: str) -> str:
    """Makes input ``k`` its diagonal along axes that have the same label; the term without the repetition."""
    while len(set(term)) != len(term):
        label = next(a for a in term if term.count(a) > 1)
        first = term.index(label)
        second = term.index(label, first + 1)
        value = c.x(k)
        if isinstance(value, Known):
            c.inputs[k] = value.mapped(f"{value.name}/diagonal", partial(_diagonal_of, first=first, second=second))
        else:
            rows, columns = (value.axis(j, c.who) for j in (first, second))
            n = value.tail[rows - 1]
            shape = [n if j == rows else 1 if j == columns else size for j, size in enumerate((1, *value.tail))]
            places = np.broadcast_to(np.arange(n).reshape([n if j == rows else 1 for j in range(len(shape))]), shape)
            at = c.put(Expand(tuple(shape[1:])), c.derived(places, f"{c.name}/places"), value, layout=value.layout, part="copies")
            found = c.put(GatherElements(columns), value, at, part="diagonal")
            batch = None if value.at is None else value.at - (second < value.at)
            c.inputs[k] = c.put(Squeeze((columns,)), found, layout=(batch, value.outer, value.inner))
        term = term[:second] + term[second + 1:]
    return term


def _terms(c: Call) -> tuple[list[str], str]:
    """Labels of each input and of the output, an ellipsis written out, an implicit output found."""
    equation = c.attr("equation", "").replace(" ", "")
    left, arrow, out = equation.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(c.inputs):
        raise ConversionError(f"Einsum {equation!r} has {len(inputs)} terms for {len(c.inputs)} inputs; the file is inconsistent")
    ranks = [v.rank if isinstance(v, Live) else v.low.ndim for v in (c.x(k) for k in range(len(inputs)))]
    spare = [k for k in LABELS if k not in equation][:-1]
    widest = max([rank - len(t.replace("...", "")) for t, rank in zip(inputs, ranks) if "..." in t], default=0)
    dots = "".join(spare[:widest])
    written = [t.replace("...", dots[len(dots) - (rank - len(t.replace("...", ""))):]) for t, rank in zip(inputs, ranks)]
    if not arrow:
        labels = "".join(inputs).replace("...", "")
        out = ("..." if "..." in left else "") + "".join(sorted(k for k in set(labels) if labels.count(k) == 1))
    return written, out.replace("...", dots)


# ----- convolution ------------------------------------------------------------------------------------------------


def conv(c: Call) -> Results:
    """Conv of rank 1 to 3 with constant weights."""
    x, w = c.live(), _weights(c)
    bias = c.known(2, "bias") if c.has(2) else None
    groups, joined = c.attr("group", 1), c.volumes(x)
    if joined is not None:                                  # the weights once for each frame
        frames, groups = x.tail[0], groups * x.tail[0]
        w, bias = _repeated(w, frames), None if bias is None else _repeated(bias, frames)
    images, framed = (joined, False) if joined is not None else c.frames(x)
    kernel, stride, dilation = window_settings(c, w.low.shape[2:])
    pads = padding(c, images.tail[1 + framed:], kernel, stride, dilation)
    if framed:                                              # windows of one frame
        stride, dilation, pads = (1, *stride), (1, *dilation), [(0, 0), *pads]
        w = w.mapped(f"{w.name}/frame", lambda v: v[:, :, None])
    op = Conv(_or_default(stride, 1), _or_default(dilation, 1), no_zeros(pads), groups)
    y = c.put(op, images, c.param(w), *((c.param(bias),) if bias is not None else ()))
    return c.parted(y, x) if joined is not None else c.unframed(y, x) if framed else y


def _repeated(x: Known, times: int) -> Known:
    return x.mapped(f"{x.name}/repeated", lambda v: np.concatenate([v] * times))


def conv_transpose(c: Call) -> Results:
    """ConvTranspose of rank 1 to 3 with constant weights. The pads follow from output_shape or auto_pad where those are given."""
    x, w = c.images(c.live()), _weights(c)
    kernel, stride, dilation = window_settings(c, w.low.shape[2:])
    extra = list(c.attr("output_padding") or [0] * len(kernel))
    full = [(n - 1) * s + (k - 1) * d + 1 + e for n, k, s, d, e in zip(x.tail[1:], kernel, stride, dilation, extra)]
    auto, given = c.attr("auto_pad", "NOTSET"), c.attr("output_shape")
    if given or auto in ("SAME_UPPER", "SAME_LOWER"):
        wanted = list(given)[-len(kernel):] if given else [n * s for n, s in zip(x.tail[1:], stride)]
        pads = []
        for k, (have, want) in enumerate(zip(full, wanted)):
            total = have - want
            if total < 0:                                   # larger than the windows reach: the rest holds the bias alone
                extra[k], total = extra[k] - total, 0
            small, large = total // 2, total - total // 2
            pads.append((small, large) if auto == "SAME_UPPER" else (large, small))
    else:
        pads = padding(c, x.tail[1:], kernel, stride, dilation)
    op = ConvTranspose(
        _or_default(stride, 1), _or_default(dilation, 1), no_zeros(pads), tuple(extra) if any(extra) else (), c.attr("group", 1)
    )
    return c.put(op, x, c.param(w), *((c.param(c.known(2, "bias")),) if c.has(2) else ()))


def _weights(c: Call) -> Known:
    w = c.known(1, "kernel")
    if w.low.ndim < 3:
        raise ConversionError(f"the kernel of {c.who} has shape {w.low.shape}, but (O, C, *K) is expected; the file is inconsistent")
    return w


Sizes = tuple[int, ...]


def window_settings(c: Call, kernel: Sequence[int]) -> tuple[Sizes, Sizes, Sizes]:
    """Kernel, stride and dilation with their defaults filled in."""
    named = tuple(c.attr("kernel_shape") or kernel)
    if kernel and named != tuple(kernel):
        raise ConversionError(f"{c.who} says kernel_shape {named}, but its kernel has {tuple(kernel)}; the file is inconsistent")
    ones = (1,) * len(named)
    stride, dilation = tuple(c.attr("strides") or ones), tuple(c.attr("dilations") or ones)
    if not len(stride) == len(dilation) == len(named) or min((*stride, *dilation, *named), default=0) < 1:
        raise ConversionError(
            f"{c.who} has kernel {named}, strides {stride}, dilations {dilation}: one number of at least 1 per axis is "
            "expected"
        )
    return named, stride, dilation


def padding(c: Call, space: Sequence[int], kernel: Sizes, stride: Sizes, dilation: Sizes) -> list[tuple[int, int]]:
    """(before, after) for each spatial axis, from pads or auto_pad.

    SAME: ceil(n / s) windows, so that max((ceil(n / s) - 1) s + (k - 1) d + 1 - n, 0) entries are added; an odd one at the end
    (UPPER) or at the beginning (LOWER).
    """
    auto, rank = c.attr("auto_pad", "NOTSET"), len(kernel)
    if len(space) != rank:
        raise ConversionError(f"{c.who} has a kernel of {rank} axes for an input with {len(space)} spatial axes; the file is inconsistent")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        found = []
        for n, k, s, d in zip(space, kernel, stride, dilation):
            total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
            small, large = total // 2, total - total // 2
            found.append((small, large) if auto == "SAME_UPPER" else (large, small))
        return found
    if auto not in ("NOTSET", "VALID", ""):
        raise ConversionError(f"{c.who} has auto_pad {auto!r}; NOTSET, VALID, SAME_UPPER or SAME_LOWER is expected")
    pads = list(c.attr("pads") or [0] * 2 * rank) if auto != "VALID" else [0] * 2 * rank
    if len(pads) != 2 * rank:
        raise ConversionError(f"{c.who} has pads {pads}, but {2 * rank} numbers are expected; the file is inconsistent")
    return list(zip(pads[:rank], pads[rank:]))


def no_zeros(pads: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """() where nothing is padded, as one writes the operator by hand."""
    return tuple(pads) if any(a or b for a, b in pads) else ()


def _or_default(sizes: Sizes, default: int) -> Sizes:
    return sizes if any(n != default for n in sizes) else ()


def along_axis(c: Call, x: Live, axis: int, matrix: Array, part: str) -> Live:
    """A constant matrix (O, L) applied along the graph axis ``axis`` of x."""
    weight = c.derived(matrix, f"{c.name}/{part}")
    if axis == len(x.tail):
        return c.put(Dense(), x, weight)
    labels = "ABCDEFGHIJKLMNOPQRSTUVW"[: len(x.tail) + 1]
    target = labels.replace(labels[axis], "z")
    return c.put(Einsum(f"{labels},z{labels[axis]}->{target}"), x, weight, part=part)


LINEAR: dict[str, Lowering] = {"Gemm": gemm, "MatMul": matmul, "Einsum": einsum, "Conv": conv, "ConvTranspose": conv_transpose}
