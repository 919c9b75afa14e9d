"""Every operator as torch computes it: ``FUNCTIONS`` maps an operator's class to a function of the operator and its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 (its usual name)

from xaicore import ops
from xaicore_torch import recurrent

# ----- convolution and pools --------------------------------------------------------------------------------------


def same(pads: Sequence[tuple[int, int]]) -> tuple[int, ...] | None:
    """Padding as torch's layers take it, one number for each axis; None when an axis has two."""
    return tuple(a for a, _ in pads) if all(a == b for a, b in pads) else None


def flat(pads: Sequence[tuple[int, int]]) -> list[int]:
    """Padding as F.pad takes it, from the last axis forwards."""
    return [n for pair in reversed(pads) for n in pair]


def conv(op: ops.Conv, x: Any, w: Any, b: Any = None) -> Any:
    """Uneven padding is added before."""
    rank = w.ndim - 2
    run = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    even = same(op.pads)
    if even is None:
        x = F.pad(x, flat(op.pads))
    return run(x, w, b, op.stride or 1, even or 0, op.dilation or 1, op.groups)


def conv_transpose(op: ops.ConvTranspose, x: Any, w: Any, b: Any = None) -> Any:
    """Uneven padding is cut off behind."""
    rank = w.ndim - 2
    run = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
    even = same(op.pads)
    y = run(x, w, b, op.stride or 1, even or 0, op.output_padding or 0, op.groups, op.dilation or 1)
    return y if even is not None else F.pad(y, [-n for n in flat(op.pads)])


def max_pool(op: ops.MaxPool, x: Any) -> Any:
    """Padding that torch's own pool refuses (uneven, or wider than half a window) is added before, as minus infinity."""
    even = same(op.pads)
    run = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(op.kernel) - 1]
    if even is not None and all(p <= k // 2 for p, k in zip(even, op.kernel)):
        return run(x, op.kernel, op.stride or None, even or 0, op.dilation or 1, op.ceil)
    stride, dilation, _ = op.settings()
    return run(F.pad(x, flat(_reach(op, x)), value=-torch.inf), op.kernel, stride, 0, dilation)


def avg_pool(op: ops.AvgPool, x: Any) -> Any:
    """Sums over windows, divided by how many entries count."""
    even = same(op.pads)
    run: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(op.kernel) - 1]
    plain = even is not None and all(p <= k // 2 for p, k in zip(even, op.kernel)) and set(op.dilation) <= {1}
    if plain and (op.divisor is None or len(op.kernel) > 1):
        divisor = () if op.divisor is None else (op.divisor,)
        return run(x, op.kernel, op.stride or None, even or 0, op.ceil, op.count_include_pad, *divisor)
    total = _window_sum(op, F.pad(x, flat(_reach(op, x))))
    if op.divisor is not None:
        return total / op.divisor
    ones = torch.ones(1, 1, *x.shape[2:], dtype=x.dtype)
    ones = F.pad(ones, flat(op.settings()[2]), value=float(op.count_include_pad))
    beyond = [(0, b - after) for (_, b), (_, after) in zip(_reach(op, x), op.settings()[2])]
    return total / _window_sum(op, F.pad(ones, flat(beyond)))


def lp_pool(op: ops.LpPool, x: Any) -> Any:
    """(sum |x|^p)^(1/p)."""
    return _window_sum(op, F.pad(x.abs() ** op.p, flat(_reach(op, x)))) ** (1 / op.p)


def _reach(op: Any, x: Any) -> list[tuple[int, int]]:
    """What must be added before and behind each axis so that the windows fit exactly; negative behind when they leave a rest."""
    found = []
    for n, k, s, d, (before, after) in zip(x.shape[2:], op.kernel, *op.settings(), strict=True):
        room = n + before + after - (k - 1) * d - 1
        count = (-(-room // s) if op.ceil else room // s) + 1
        count -= (count - 1) * s >= n + before
        found.append((before, (count - 1) * s + (k - 1) * d + 1 - n - before))
    return found


def _window_sum(op: Any, x: Any) -> Any:
    stride, dilation, _ = op.settings()
    channels = x.shape[1]
    ones = torch.ones(channels, 1, *op.kernel, dtype=x.dtype)
    return (F.conv1d, F.conv2d, F.conv3d)[len(op.kernel) - 1](x, ones, None, stride, 0, dilation, channels)


def max_pool_indices(op: ops.MaxPoolIndices, x: Any) -> Any:
    """The places that torch's own pool gives; where padding had to be added before, they are counted without it."""
    even = same(op.pads)
    run = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(op.kernel) - 1]
    if even is not None and all(p <= k // 2 for p, k in zip(even, op.kernel)):
        return run(x, op.kernel, op.stride or None, even or 0, op.dilation or 1, op.ceil, return_indices=True)[1]
    stride, dilation, _ = op.settings()
    padded = F.pad(x, flat(_reach(op, x)), value=-torch.inf)
    found = run(padded, op.kernel, stride, 0, dilation, return_indices=True)[1]
    place = torch.zeros_like(found)
    for axis in reversed(range(len(op.kernel))):
        at = found % padded.shape[2 + axis] - _reach(op, x)[axis][0]
        found = found // padded.shape[2 + axis]
        place = place + at * int(np.prod(x.shape[3 + axis :]))
    return place


def _taps(op: ops.Unfold | ops.Fold, dtype: Any) -> Any:
    """The kernel of a convolution whose every output is one entry of the window."""
    size = int(np.prod(op.kernel))
    return torch.eye(size, dtype=dtype).reshape(size, 1, *op.kernel)


def unfold(op: ops.Unfold, x: Any) -> Any:
    """torch's own on images; else a convolution that copies."""
    stride, dilation, pads = op.settings()
    even = same(pads)
    if len(op.kernel) == 2 and even is not None:
        return F.unfold(x, op.kernel, dilation, even, stride)
    taps, channels = _taps(op, x.dtype), x.shape[1]
    run = (F.conv1d, F.conv2d, F.conv3d)[len(op.kernel) - 1]
    return run(F.pad(x, flat(pads)), taps.repeat(channels, *(1,) * (taps.ndim - 1)), None, stride, 0, dilation, channels).flatten(2)


def fold(op: ops.Fold, x: Any) -> Any:
    """torch's own on images; else a transposed convolution that adds up."""
    stride, dilation, pads = op.settings()
    even = same(pads)
    if len(op.kernel) == 2 and even is not None:
        return F.fold(x, op.size, op.kernel, dilation, even, stride)
    taps, counts = _taps(op, x.dtype), op.counts(op.size)
    channels = x.shape[1] // len(taps)
    run = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(op.kernel) - 1]
    y = run(x.unflatten(2, counts), taps.repeat(channels, *(1,) * (taps.ndim - 1)), None, stride, 0, 0, channels, dilation)
    cut = [(-a, n + a - have) for n, (a, _), have in zip(op.size, pads, y.shape[2:])]
    return F.pad(y, flat(cut))


def adaptive(run: Sequence[Any], op: Any, x: Any) -> Any:
    """Adaptive pools, and global ones, whose output is 1."""
    rank = x.ndim - 2
    return run[rank - 1](x, getattr(op, "size", (1,) * rank))


# ----- shapes -----------------------------------------------------------------------------------------------------


def flatten(op: ops.Flatten, x: Any) -> Any:
    """At the rank of x an axis is appended."""
    return x.unsqueeze(-1) if x.ndim == op.start else x.flatten(op.start)


def slice_(op: ops.Slice, x: Any) -> Any:
    """torch knows no negative step."""
    if op.step > 0:
        return x[(slice(None),) * (op.axis % x.ndim) + (slice(op.start, op.stop, op.step),)]
    if (op.start, op.stop, op.step) == (None, None, -1):
        return x.flip(op.axis)
    return x.index_select(op.axis, torch.tensor(list(range(x.shape[op.axis])[op.start : op.stop : op.step])))


def pad(op: ops.Pad, x: Any) -> Any:
    """Mirrored and repeated edges are looked up axis by axis where torch cannot pad so: it does on images (N, C, *S) only."""
    if op.mode == "constant":
        return F.pad(x, flat(op.pads), value=float(op.value))
    if len(op.pads) == x.ndim - 2 <= 3:
        return F.pad(x, flat(op.pads), "reflect" if op.mode == "reflect" else "replicate")
    for k, (before, after) in enumerate(op.pads):
        axis = x.ndim - len(op.pads) + k
        places = np.pad(np.arange(x.shape[axis]), (before, after), "reflect" if op.mode == "reflect" else "edge")
        x = x.index_select(axis, torch.from_numpy(places))
    return x


def gather(op: ops.Gather, x: Any, indices: Any) -> Any:
    """Advanced indexing on one axis."""
    if indices.ndim == 0:
        return x.index_select(op.axis, indices[None]).squeeze(op.axis)
    return x[(slice(None),) * (op.axis % x.ndim) + (indices,)]


def expand(op: ops.Expand, x: Any, like: Any = None) -> Any:
    """The batch is that of x, or of ``like`` when x has one sample."""
    return x.expand(like.shape[0] if like is not None else -1, *op.shape)


def unsqueeze(op: ops.Unsqueeze, x: Any) -> Any:
    """Positions count in the result."""
    for axis in sorted(a % (x.ndim + len(op.axes)) for a in op.axes):
        x = x.unsqueeze(axis)
    return x


def resize(op: ops.Resize, x: Any) -> Any:
    """torch's interpolate for what it has, else a product with a matrix for each axis."""
    rank = len(op.size)
    mode = {"nearest": "nearest", "linear": ("linear", "bilinear", "trilinear")[min(rank, 3) - 1], "cubic": "bicubic"}[op.mode]
    place = ((op.coordinates, op.rounding) if op.mode == "nearest" else (op.coordinates,))
    corners = None if op.mode == "nearest" else op.coordinates == "align_corners"
    known = {"nearest": [("asymmetric", "floor"), ("half_pixel", "round_prefer_ceil")]}.get(op.mode, [("half_pixel",), ("align_corners",)])
    usual = place in known and not (op.antialias or op.exclude_outside) and (op.mode != "cubic" or (rank == 2 and op.cubic == -0.75))
    by_scale = op.scales and all(int(n * s) == m for n, s, m in zip(x.shape[2:], op.scales, op.size))
    if usual and x.ndim == rank + 2 <= 5 and (by_scale or not op.scales):
        mode = "nearest-exact" if place == ("half_pixel", "round_prefer_ceil") else mode
        where: dict[str, Any] = {"scale_factor": op.scales} if by_scale and not corners else {"size": op.size}
        return F.interpolate(x, mode=mode, align_corners=corners, **where)
    for k in range(rank):
        axis = x.ndim - rank + k
        matrix = torch.zeros(op.size[k], x.shape[axis], dtype=x.dtype)
        for s, weights in enumerate(op.matrix(k, x.shape[axis])):
            for p, weight in weights.items():
                matrix[s, p] = float(weight)
        x = torch.movedim(torch.movedim(x, axis, -1) @ matrix.T, -1, axis)
    return x


# ----- looking up and putting down --------------------------------------------------------------------------------


def together(*xs: Any) -> tuple[Any, ...]:
    """All with the whole batch: one sample stands for every one."""
    batch = max(x.shape[0] for x in xs)
    return tuple(x.expand(batch, *x.shape[1:]) for x in xs)


def elements(op: Any, x: Any, at: Any, *updates: Any) -> Any:
    """gather and scatter along one axis, without negative indices."""
    x, at, *put = together(x, _counted(at, x.shape[op.axis]), *updates)
    return _scattered(op, x, op.axis, at, *put) if put else torch.gather(x, op.axis, at)


def blocks(op: Any, x: Any, at: Any, *updates: Any) -> Any:
    """gather and scatter along the axis into which all axes of a sample are joined."""
    shared, depth = getattr(op, "batch_dims", 1), at.shape[-1]
    rest, step = x.shape[shared + depth :], x[0].numel()
    flat = torch.zeros_like(at[..., 0])
    for k in range(1, x.ndim):
        step //= x.shape[k]
        if k < shared:
            flat = flat + step * torch.arange(x.shape[k]).reshape(-1, *(1,) * (flat.ndim - 1 - k))
        elif k < shared + depth:
            flat = flat + step * _counted(at[..., k - shared], x.shape[k])
    flat = flat.reshape(*flat.shape, *(1,) * len(rest)) + torch.arange(int(np.prod(rest))).reshape(rest)
    y, places, *put = together(x.reshape(x.shape[0], -1), flat.reshape(flat.shape[0], -1), *(u.reshape(u.shape[0], -1) for u in updates))
    return _scattered(op, y, 1, places, *put).reshape(-1, *x.shape[1:]) if put else torch.gather(y, 1, places).reshape(-1, *flat.shape[1:])


def _counted(at: Any, size: int) -> Any:
    """Negative indices counted from the front."""
    return torch.where(at < 0, at + size, at)


def _scattered(op: Any, x: Any, axis: int, at: Any, updates: Any) -> Any:
    if op.reduction in ("none", "add"):
        return (torch.scatter if op.reduction == "none" else torch.scatter_add)(x, axis, at, updates)
    return torch.scatter_reduce(x, axis, at, updates, {"mul": "prod", "max": "amax", "min": "amin"}[op.reduction])


def reverse_sequence(op: ops.ReverseSequence, x: Any, lengths: Any) -> Any:
    """A gather along the axis."""
    axis = op.axis % x.ndim
    shape = [x.shape[axis] if k == axis else 1 for k in range(1, x.ndim)]
    at, ends = torch.arange(x.shape[axis]).reshape(1, *shape), lengths.reshape(-1, *(1,) * (x.ndim - 1))
    return torch.gather(x, axis, torch.where(at < ends, ends - 1 - at, at).expand(x.shape))


def scan(run: Callable[..., Any], start: int) -> Callable[..., Any]:
    """A running sum or product; exclusive and reversed ones are shifted and turned."""
    def turned(op: Any, x: Any) -> Any:
        y = run(x.flip(op.axis) if op.reverse else x, op.axis)
        if op.exclusive:
            y = torch.cat([torch.full_like(y.narrow(op.axis, 0, 1), start), y.narrow(op.axis, 0, y.shape[op.axis] - 1)], op.axis)
        return y.flip(op.axis) if op.reverse else y

    return turned


def arg(run: Callable[..., Any]) -> Callable[..., Any]:
    """The last position is the first of the reversed axis."""
    def found(op: Any, x: Any) -> Any:
        if not op.last:
            return run(x, op.axis, op.keepdims)
        return x.shape[op.axis] - 1 - run(x.flip(op.axis), op.axis, op.keepdims)

    return found


def one_hot(op: ops.OneHot, ids: Any) -> Any:
    """Zeros for ids outside, which torch refuses."""
    axis = op.axis % (ids.ndim + 1)
    places = torch.arange(op.depth).reshape(-1, *(1,) * (ids.ndim - axis))
    return (torch.where(ids < 0, ids + op.depth, ids).unsqueeze(axis) == places).to(torch.int64)


def hardmax(op: ops.Hardmax, x: Any) -> Any:
    """A one at the first maximum."""
    return torch.zeros_like(x).scatter(op.axis, x.argmax(op.axis, True), 1)


def grid_sample(op: ops.GridSample, x: Any, grid: Any) -> Any:
    """torch's own; on a line, an image of one row read in its middle."""
    x, grid = together(x, grid)
    if x.ndim == 3:
        wide = torch.cat([grid, torch.zeros_like(grid)], -1)[:, None]
        return grid_sample(op, x[:, :, None], wide)[:, :, 0]
    mode = {"linear": "bilinear", "nearest": "nearest", "cubic": "bicubic"}[op.mode]
    return F.grid_sample(x, grid, mode, op.padding, op.align_corners)


# ----- the rest ---------------------------------------------------------------------------------------------------


def reduce_with(run: Callable[..., Any]) -> Callable[..., Any]:
    """torch takes no axes for all axes."""
    return lambda op, x: run(x, dim=op.axes, keepdim=op.keepdims) if op.axes else x


def variance(op: ops.Variance, x: Any) -> Any:
    """With its degrees of freedom."""
    return torch.var(x, dim=op.axes, correction=op.ddof, keepdim=op.keepdims) if op.axes else torch.zeros_like(x)


def hard_sigmoid(op: ops.HardSigmoid, x: Any) -> Any:
    """With any slope; torch has one for slope 1/6 and shift 1/2."""
    usual = (op.slope, op.shift) == (1 / 6, 0.5)
    return F.hardsigmoid(x) if usual else torch.clamp(x * float(op.slope) + float(op.shift), 0, 1)


def prelu(op: ops.PReLU, x: Any, slope: Any) -> Any:
    """torch's own has one slope, or one for each channel."""
    if slope.numel() == 1 or (slope.ndim == x.ndim - 1 and slope.numel() == slope.shape[0] == x.shape[1]):
        return F.prelu(x, slope.reshape(-1))
    return torch.where(x > 0, x, slope * x)


def shrink(op: ops.Shrink, x: Any) -> Any:
    """Any bias; torch has the hard and the soft one."""
    return torch.where(x > op.lambd, x - float(op.bias), torch.where(x < -op.lambd, x + float(op.bias), 0 * x))


def fake_quantize(op: ops.FakeQuantize, x: Any, scale: Any, zero: Any) -> Any:
    """Straight through within the range; torch's own has scales of float32 alone."""
    level = torch.round(x / scale) + zero
    inside = x * ((level >= op.low) & (level <= op.high))
    return inside + ((torch.clamp(level, op.low, op.high) - zero) * scale - inside).detach()


def product(op: ops.ReduceProd, x: Any) -> Any:
    """torch takes one axis at a time."""
    for axis in sorted((k % x.ndim for k in op.axes), reverse=True):
        x = torch.prod(x, axis, op.keepdims)
    return x


def norm(op: ops.Norm, x: Any) -> Any:
    """torch takes no axes for all axes."""
    return torch.linalg.vector_norm(x, op.p, op.axes, op.keepdims) if op.axes else x.abs()


def is_inf(op: ops.IsInf, x: Any) -> Any:
    """Of the signs that count."""
    return torch.isinf(x) & torch.where(x > 0, op.positive, op.negative)


def to_float(op: ops.ToFloat, x: Any) -> Any:
    """A float stays."""
    return x if x.is_floating_point() else x.to({"float32": torch.float32}.get(op.dtype, torch.float64))


def one(run: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors alone."""
    return lambda op, *xs: run(*xs)


MAX_POOLS = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)
AVG_POOLS = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)

FUNCTIONS: Mapping[type[ops.Op], Callable[..., Any]] = {
    # linear, convolution, pooling
    ops.Dense: one(F.linear), ops.MatMul: one(torch.matmul), ops.Einsum: lambda op, *xs: torch.einsum(op.equation, *xs),
    ops.Unfold: unfold, ops.Fold: fold, ops.MaxPoolIndices: max_pool_indices,
    ops.Conv: conv, ops.ConvTranspose: conv_transpose, ops.MaxPool: max_pool, ops.AvgPool: avg_pool, ops.LpPool: lp_pool,
    ops.AdaptiveAvgPool: lambda op, x: adaptive(AVG_POOLS, op, x), ops.AdaptiveMaxPool: lambda op, x: adaptive(MAX_POOLS, op, x),
    ops.GlobalAvgPool: lambda op, x: adaptive(AVG_POOLS, op, x), ops.GlobalMaxPool: lambda op, x: adaptive(MAX_POOLS, op, x),
    # activations
    ops.ReLU: one(F.relu), ops.LeakyReLU: lambda op, x: F.leaky_relu(x, float(op.slope)), ops.ReLU6: one(F.relu6),
    ops.PReLU: prelu, ops.Clip: lambda op, x: torch.clamp(x, op.low, op.high),
    ops.ELU: lambda op, x: F.elu(x, float(op.alpha)), ops.SELU: one(F.selu), ops.CELU: lambda op, x: F.celu(x, float(op.alpha)),
    ops.Sigmoid: one(torch.sigmoid), ops.HardSigmoid: hard_sigmoid, ops.HardSwish: one(F.hardswish), ops.Tanh: one(torch.tanh),
    ops.SiLU: lambda op, x: F.silu(x) if op.beta == 1 else x * torch.sigmoid(op.beta * x), ops.Mish: one(F.mish),
    ops.GELU: lambda op, x: F.gelu(x, approximate=op.approximate),
    ops.Softplus: lambda op, x: F.softplus(x, float(op.beta)), ops.Softsign: one(F.softsign),
    # recurrent
    **dict.fromkeys((ops.RNN, ops.GRU, ops.LSTM), lambda op, *xs: recurrent.run(FUNCTIONS, op, *xs)),
    # functions of one number
    ops.Exp: one(torch.exp), ops.Expm1: one(torch.expm1), ops.Log: one(torch.log), ops.Log1p: one(torch.log1p), ops.Sqrt: one(torch.sqrt),
    ops.Rsqrt: one(torch.rsqrt), ops.Reciprocal: one(torch.reciprocal), ops.Abs: one(torch.abs), ops.Neg: one(torch.neg),
    ops.Pow: lambda op, x: torch.pow(x, float(op.exponent)), ops.Erf: one(torch.erf), ops.Sin: one(torch.sin), ops.Cos: one(torch.cos),
    ops.Tan: one(torch.tan), ops.Asin: one(torch.asin), ops.Acos: one(torch.acos), ops.Atan: one(torch.atan), ops.Sinh: one(torch.sinh),
    ops.Cosh: one(torch.cosh), ops.Asinh: one(torch.asinh), ops.Acosh: one(torch.acosh), ops.Atanh: one(torch.atanh),
    ops.Threshold: lambda op, x: F.threshold(x, float(op.threshold), float(op.below)), ops.Shrink: shrink, ops.FakeQuantize: fake_quantize,
    ops.Floor: one(torch.floor), ops.Ceil: one(torch.ceil), ops.Round: one(torch.round), ops.Sign: one(torch.sign),
    # functions of two numbers
    ops.Add: one(torch.add), ops.Sub: one(torch.sub), ops.Mul: one(torch.mul), ops.Div: one(torch.div), ops.Maximum: one(torch.maximum),
    ops.Mod: lambda op, a, b: (torch.remainder if op.kind == "floor" else torch.fmod)(a, b),
    ops.Minimum: one(torch.minimum), ops.Where: one(torch.where),
    # forward only
    ops.Compare: lambda op, a, b: getattr(torch, op.kind)(a, b), ops.Logical: lambda op, a, b: getattr(torch, f"logical_{op.kind}")(a, b),
    ops.IsNaN: one(torch.isnan), ops.IsInf: is_inf, ops.BitwiseNot: one(torch.bitwise_not),
    ops.Bitwise: lambda op, a, b: getattr(torch, f"bitwise_{op.kind}")(a, b),
    ops.BitShift: lambda op, a, b: getattr(torch, f"bitwise_{op.direction}_shift")(a, b),
    ops.Not: one(torch.logical_not), ops.ToFloat: to_float, ops.ToInt: one(lambda x: x.to(torch.int64)), ops.ToBool: one(lambda x: x != 0),
    ops.ArgMax: arg(torch.argmax), ops.ArgMin: arg(torch.argmin), ops.Hardmax: hardmax, ops.OneHot: one_hot,
    # looking up and putting down
    ops.GatherElements: elements, ops.GatherND: blocks, ops.ScatterElements: elements, ops.ScatterND: blocks,
    ops.TopK: lambda op, x: x.topk(op.k, op.axis, op.largest).values,
    ops.TopKIndices: lambda op, x: x.topk(op.k, op.axis, op.largest).indices,
    ops.Trilu: lambda op, x: x.triu(op.k) if op.upper else x.tril(op.k), ops.ReverseSequence: reverse_sequence,
    # reductions
    ops.CumSum: scan(torch.cumsum, 0), ops.CumProd: scan(torch.cumprod, 1),
    ops.Sum: reduce_with(torch.sum), ops.Mean: reduce_with(torch.mean), ops.ReduceMax: reduce_with(torch.amax),
    ops.ReduceProd: product, ops.Det: one(torch.linalg.det),
    ops.Norm: norm,
    ops.LogSumExp: lambda op, x: torch.logsumexp(x, op.axes, op.keepdims) if op.axes else x,
    ops.ReduceMin: reduce_with(torch.amin), ops.Variance: variance,
    # shape
    ops.Reshape: lambda op, x: x.reshape(x.shape[0], *op.shape), ops.Flatten: flatten, ops.Transpose: lambda op, x: x.permute(op.perm),
    ops.Concat: lambda op, *xs: torch.cat(xs, op.axis), ops.Split: lambda op, x: x.split(op.sizes, op.axis)[op.index], ops.Slice: slice_,
    ops.Pad: pad, ops.Gather: gather, ops.Embedding: one(lambda table, ids: F.embedding(ids, table)), ops.Expand: expand,
    ops.GridSample: grid_sample,
    ops.Squeeze: lambda op, x: x.squeeze(op.axes), ops.Unsqueeze: unsqueeze, ops.Resize: resize, ops.Identity: one(lambda x: x),
    ops.Dropout: one(lambda x: x), ops.Detach: one(lambda x: x.detach()),
    # normalisation
    ops.BatchNorm: lambda op, x, gamma, beta, mean, var: F.batch_norm(x, mean, var, gamma, beta, False, 0.0, op.eps),
    ops.LayerNorm: lambda op, x, gamma=None, beta=None: F.layer_norm(x, x.shape[-op.axes :], gamma, beta, op.eps),
    ops.GroupNorm: lambda op, x, gamma=None, beta=None: F.group_norm(x, op.groups, gamma, beta, op.eps),
    ops.InstanceNorm: lambda op, x, gamma=None, beta=None: F.instance_norm(x, weight=gamma, bias=beta, eps=op.eps),
    ops.RMSNorm: lambda op, x, gamma=None: F.rms_norm(x, x.shape[-op.axes :], gamma, op.eps),
    ops.LocalResponseNorm: lambda op, x: F.local_response_norm(x, op.size, op.alpha, op.beta, op.k),
    ops.Softmax: lambda op, x: torch.softmax(x, op.axis), ops.LogSoftmax: lambda op, x: torch.log_softmax(x, op.axis),
}
