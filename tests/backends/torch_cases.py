"""What torch models are made of: layers and functions by the kind of input that they take. test_torch.py converts them all; and what its tests share.

How to add one: a line in the family whose input it takes. Each is compared with torch, forward and gradient, by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import nn

Part = nn.Module | Callable[[Any], Any]
FORWARD, GRADIENT = 1e-9, 1e-8
"""Of the largest entry, in float64. One operator rounds by some 1e-15; what is left is room for sums over windows and rows."""


def shake(model: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter and running statistic drawn anew, in float64: at initialisation a dropped BatchNorm or bias would not be noticed."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        if name.endswith("running_var"):
            value.data.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        elif isinstance(value, nn.Parameter) or name.endswith("running_mean"):
            fan_in = value[0].numel() if value.ndim > 1 else 1
            value.data.copy_(torch.randn(value.shape, generator=generator) / fan_in**0.5)
    return model.double().eval()


def draw(*shape: int, seed: int = 0) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Apply(nn.Module):
    """A function as a model."""

    def __init__(self, function: Any):
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def close(ours: np.ndarray, theirs: np.ndarray, tolerance: float, what: str) -> None:
    assert ours.shape == theirs.shape, what
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max(), what


class Family(nn.Module):
    """Parts that take the same input, each an output of its own."""

    def __init__(self, parts: Mapping[str, Part]):
        super().__init__()
        self.layers = nn.ModuleDict({k: part for k, part in parts.items() if isinstance(part, nn.Module)})
        self.functions = {k: part for k, part in parts.items() if not isinstance(part, nn.Module)}

    def forward(self, x: Any) -> dict[str, Any]:
        return {k: part(x) for k, part in {**self.layers, **self.functions}.items()}


POSITIONS = torch.tensor([[0, 2], [3, 1]])
MATRIX = torch.randn(6, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
STACK = torch.randn(4, 7, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def assigned(x: Any) -> Any:
    """In-place writing to slices, which torch turns into functions."""
    y = x * 1
    y[:, 0] = 0
    y[:, 1:, 2] += 1
    y[..., -1] = x[..., 0]
    return y


def attention(**settings: Any) -> Part:
    return lambda x: F.scaled_dot_product_attention(x, x.flip(2), x * 2, **settings)


ACTIVATIONS: Mapping[str, Part] = {
    "relu": nn.ReLU(), "relu6": nn.ReLU6(), "relu6_function": F.relu6, "leaky_relu": nn.LeakyReLU(0.2), "prelu": nn.PReLU(), "threshold": nn.Threshold(0.1, 2.0), "prelu_channels": nn.PReLU(4),
    "elu": nn.ELU(1.5), "selu": nn.SELU(), "celu": nn.CELU(0.5), "hardtanh": nn.Hardtanh(-0.5, 0.8), "sigmoid": nn.Sigmoid(),
    "hardsigmoid": nn.Hardsigmoid(), "hardswish": nn.Hardswish(), "tanh": nn.Tanh(), "gelu": nn.GELU(), "gelu_tanh": nn.GELU("tanh"),
    "silu": nn.SiLU(), "mish": nn.Mish(), "softplus": nn.Softplus(2.0), "softplus_low": nn.Softplus(1.0, 0.5), "softsign": nn.Softsign(),
    "logsigmoid": nn.LogSigmoid(), "hardshrink": nn.Hardshrink(), "softshrink": nn.Softshrink(), "tanhshrink": nn.Tanhshrink(),
    "rrelu": nn.RReLU(), "glu": nn.GLU(1), "dropout": nn.Sequential(nn.Dropout(), nn.Tanh()),
    "softmax": nn.Softmax(1), "softmin": nn.Softmin(-1), "softmax2d": nn.Softmax2d(), "log_softmax": nn.LogSoftmax(2),
    "in_place": lambda x: (x * 2).add_(0.5).mul_(3).relu_(),
    "clamp": lambda x: x.clamp(-0.5, 0.7), "clamp_min": lambda x: x.clamp(min=0.1), "clamp_max": lambda x: torch.clamp_max(x, 0.1),
    "clamp_constant": lambda x: torch.clamp(x, MATRIX.min() * 0.1, MATRIX.max() * 0.1), "clamp_arrays": lambda x: torch.clamp(x, MATRIX, MATRIX + 1),
}

POINTWISE: Mapping[str, Part] = {
    "exp": torch.exp, "expm1": torch.expm1, "abs": torch.abs, "neg": torch.neg, "erf": torch.erf, "sin": torch.sin, "cos": torch.cos,
    "floor": torch.floor, "ceil": torch.ceil, "round": torch.round, "tan": torch.tan, "asin": lambda x: x.tanh().asin(), "acos": lambda x: x.tanh().acos(), "atan": torch.atan, "sinh": torch.sinh,
    "cosh": torch.cosh, "asinh": torch.asinh, "acosh": lambda x: (x.abs() + 1.1).acosh(), "atanh": lambda x: (x.tanh() * 0.9).atanh(), "exp2": torch.exp2,
    "log2": lambda x: (x.abs() + 1).log2(), "log10": lambda x: (x.abs() + 1).log10(), "trunc": lambda x: x.trunc() * x, "finite": lambda x: torch.where(x.isnan() | x.isinf(), 0.0, x),
    "fmod": lambda x: x.fmod(0.7), "whole_remainder": lambda x: (x * 9).long() % 4 * x, "bits": lambda x: ((x * 9).long() & 5 | ~(x * 3).long()) * x, "sign": torch.sign, "square": torch.square, "sgn": torch.sgn,
    "sqrt": lambda x: (x.abs() + 1).sqrt(), "rsqrt": lambda x: (x.abs() + 1).rsqrt(), "log": lambda x: (x.abs() + 1).log(),
    "log1p": lambda x: x.abs().log1p(), "reciprocal": lambda x: (x.abs() + 1).reciprocal(), "cube": lambda x: x**3,
    "power": lambda x: (x.abs() + 1) ** 1.7, "base": lambda x: 2**x, "nan_to_num": torch.nan_to_num,
    "add_number": lambda x: x + 2, "add_alpha": lambda x: torch.add(x, x.relu(), alpha=2), "add_constant": lambda x: x + MATRIX,
    "sub_alpha": lambda x: torch.sub(x, MATRIX, alpha=0.5), "rsub": lambda x: 1 - x, "rsub_alpha": lambda x: torch.rsub(x, MATRIX, alpha=2),
    "mul": lambda x: x * x.tanh(), "mul_channel": lambda x: x * STACK[:, :1, :1], "div": lambda x: x / (x.abs() + 1.5),
    "softsign": lambda x: x / (x.abs() + 1), "softsign_turned": lambda x: x / (1 + x.abs()), "div_number": lambda x: 3 / (x.abs() + 1),
    "div_floor": lambda x: torch.div(x, 0.3, rounding_mode="floor") + x, "floor_divide": lambda x: (x.detach() // 0.3) * x,
    "remainder": lambda x: x % 0.7, "maximum": lambda x: torch.maximum(x, x.flip(1)), "minimum": lambda x: torch.minimum(x, MATRIX),
    "max_of_two": lambda x: torch.max(x, -x * 0.5), "min_of_two": lambda x: torch.min(x, MATRIX),
    "lerp": lambda x: torch.lerp(x, x.relu(), 0.3), "lerp_arrays": lambda x: torch.lerp(x, MATRIX, x.sigmoid()),
    "where": lambda x: torch.where(x > 0.2, x, x.tanh() * 2), "where_number": lambda x: torch.where(x > 0, x, 0.5),
    "where_mask": lambda x: torch.where(MATRIX > 0, x, x * 2), "masked_fill": lambda x: x.masked_fill(x > 0.5, -1.0),
    "compared": lambda x: x * ((x > 0.1) & (x < 1.5) | (x <= -1) | (x >= 2)).to(x.dtype), "equal": lambda x: x * (x.sign() == 1).double(),
    "unequal": lambda x: torch.where(x.floor() != 0, x, 2 * x), "not": lambda x: x * (~(x > 0)).type_as(x),
    "logical": lambda x: x * torch.logical_xor(torch.logical_not(x > 0), torch.logical_or(x > 1, torch.logical_and(x < 0, x > -1))),
    "bitwise": lambda x: x * torch.bitwise_xor(torch.bitwise_or(torch.bitwise_and(x > 0, x < 1), x < -1), x < 1), "xor": lambda x: x * ((x > 0) ^ (x < 1)), "to_int": lambda x: x * (x * 3).long(), "to_bool": lambda x: x * x.floor().bool(),


    "detach": lambda x: x.detach() * x, "softmax": lambda x: torch.softmax(x, 1, dtype=torch.float64),
}

REDUCTIONS: Mapping[str, Part] = {
    "sum": lambda x: x.sum((1, -1)), "sum_kept": lambda x: x.sum(2, keepdim=True), "sum_of_bools": lambda x: x.mean((1, 2, 3)) * (x > 0).sum((1, 2, 3)),
    "mean": lambda x: x.mean((2, 3)), "mean_kept": lambda x: x.mean(-1, keepdim=True), "mean_all": lambda x: x.flatten(1).mean(1),
    "amax": lambda x: x.amax((1, 3)), "amin": lambda x: x.amin(-1, keepdim=True), "max": lambda x: x.max(1)[0], "min": lambda x: x.min(2, keepdim=True).values,
    "var": lambda x: x.var(-1), "var_kept": lambda x: x.var((1, 2), unbiased=False, keepdim=True), "var_correction": lambda x: x.var(1, correction=2),
    "std": lambda x: x.std((1, 2)), "var_mean": lambda x: torch.stack(torch.var_mean(x, (2, 3)), 1),
    "any": lambda x: x.sum(1) * (x > 1).any(1), "all": lambda x: x.sum(1) * (x > -1).all(1),
    "norm": lambda x: x.norm(dim=1), "norm_1": lambda x: torch.linalg.vector_norm(x, 1, (2, 3)), "norm_inf": lambda x: torch.linalg.vector_norm(x, torch.inf, 1, keepdim=True),
    "norm_3": lambda x: torch.linalg.vector_norm(x, 3, (1, 2)), "prod": lambda x: x.prod(2), "prod_kept": lambda x: x[..., :3].prod(-1, keepdim=True), "normalize": lambda x: F.normalize(x, dim=1), "logsumexp": lambda x: x.logsumexp((1, 2)), "logsumexp_kept": lambda x: x.logsumexp(-1, keepdim=True),
}

SHAPES: Mapping[str, Part] = {
    "flatten": nn.Flatten(), "flatten_some": lambda x: x.flatten(2), "unflatten": nn.Unflatten(1, (2, 2)), "view": lambda x: x.view(x.shape[0], 2, -1, 7),
    "reshape": lambda x: x.reshape(-1, 24, 7), "permute": lambda x: x.permute(0, 2, 3, 1), "transpose": lambda x: x.transpose(1, -1),
    "mT": lambda x: x.mT, "movedim": lambda x: x.movedim(1, 3), "there_and_back": lambda x: x.permute(2, 0, 3, 1).permute(1, 3, 0, 2) * 2,
    "contiguous": lambda x: x.transpose(1, 2).contiguous().view(x.shape[0], -1), "t": lambda x: (x[:, 0, 0].t() * MATRIX[0, :, None]).t(),
    "squeeze": lambda x: x[:, :1].squeeze(1), "squeeze_all": lambda x: x[:, :1, :, :1].squeeze(), "unsqueeze": lambda x: x.unsqueeze(2),
    "none_index": lambda x: x[:, None, ..., None], "select": lambda x: x[:, -1, 2], "slice": lambda x: x[:, 1:-1, ::2, -3:],
    "split": lambda x: x.split([1, 3], 1)[1], "chunk": lambda x: torch.cat(x.chunk(2, 1)[::-1], 2), "tensor_split": lambda x: x.tensor_split(3, 2)[1],
    "unbind": lambda x: x.unbind(1)[2] * x.unbind(1)[0], "cat": lambda x: torch.cat([x, x.relu(), MATRIX.expand(x.shape[0], 2, 6, 7)], 1),
    "cat_nothing": lambda x: torch.cat([x[..., :0], x * 2], -1), "cat_zeros": lambda x: torch.cat([x.new_zeros(x.shape[0], 1, 6, 7), x], 1), "stack": lambda x: torch.stack([x, x * 2], 1),
    "stack_last": lambda x: torch.stack([x, torch.ones_like(x)], -1), "expand": lambda x: x[:, :1].expand(-1, 3, -1, -1) * STACK[:3, :1, :1],
    "repeat": lambda x: x.repeat(1, 2, 1, 3),
    "roll": lambda x: x.roll((1, -2), (2, 3)), "roll_round": lambda x: x.roll(6, 2).roll(1, 1), "flip": lambda x: x.flip(1, -1),
    "pad": lambda x: F.pad(x, (1, 2), value=3.0), "pad_crop": lambda x: F.pad(x, (-1, 2, 0, 1)), "pad_reflect": nn.ReflectionPad2d((1, 2, 0, 1)),
    "pad_replicate": nn.ReplicationPad2d((1, 0, 2, 1)), "pad_circular": nn.CircularPad2d((1, 2, 0, 3)), "pad_zero": nn.ZeroPad2d(1),
    "index_select": lambda x: x.index_select(2, POSITIONS[0]), "index": lambda x: x[:, :, POSITIONS], "index_unsafe": lambda x: torch.ops.aten._unsafe_index(x, [None, None, POSITIONS]), "index_bool": lambda x: x[:, torch.tensor([True, False, True, True])],
    "assigned": assigned, "index_two": lambda x: x[:, :, POSITIONS, 1 - POSITIONS],
    "arange": lambda x: x * torch.arange(x.shape[2], dtype=x.dtype)[:, None], "zeros_like": lambda x: x + torch.zeros_like(x) + torch.full_like(x, 2.0),
    "upsample": nn.Upsample(scale_factor=2), "upsample_size": nn.Upsample((9, 5)), "bilinear": nn.Upsample(scale_factor=1.5, mode="bilinear"),
    "bilinear_corners": nn.Upsample((9, 4), mode="bilinear", align_corners=True), "bilinear_size": nn.Upsample((4, 11), mode="bilinear"),
    "exact": nn.Upsample((9, 5), mode="nearest-exact"), "exact_scale": nn.Upsample(scale_factor=1.5, mode="nearest-exact"), "bicubic": nn.Upsample(scale_factor=1.5, mode="bicubic"),
    "bicubic_corners": nn.Upsample((9, 4), mode="bicubic", align_corners=True), "bilinear_filtered": lambda x: F.interpolate(x, (3, 4), mode="bilinear", antialias=True),
    "bicubic_filtered": lambda x: F.interpolate(x, (9, 3), mode="bicubic", antialias=True), "windows": lambda x: x.unfold(2, 3, 2), "windows_twice": lambda x: x.unfold(3, 4, 1).unfold(2, 2, 2),
    "grid": lambda x: F.grid_sample(x, STACK[None, :, :, :2].tanh().expand(x.shape[0], -1, -1, -1), align_corners=False),
    "grid_active": lambda x: F.grid_sample(x[:, :2], x[:, 2:].permute(0, 2, 3, 1).tanh(), mode="bicubic", padding_mode="border", align_corners=True),
}

PRODUCTS: Mapping[str, Part] = {
    "linear": nn.Linear(7, 5), "linear_plain": nn.Linear(7, 3, bias=False), "matmul_right": lambda x: x @ MATRIX.T, "matmul_stack": lambda x: x @ STACK,
    "matmul_left": lambda x: MATRIX[:, :6] @ x, "matmul_both": lambda x: x @ x.mT, "matmul_vector": lambda x: x @ MATRIX[0],
    "broadcast": lambda x: x.sum(1, keepdim=True) @ x.mT, "mm": lambda x: torch.mm(x[:, 0, 0], MATRIX.T),
    "bmm": lambda x: torch.bmm(x[:, 0], x[:, 1].mT), "addmm": lambda x: torch.addmm(MATRIX[0, :6], x[:, 0, 0], MATRIX.T, beta=0.5, alpha=2),
    "addmm_active": lambda x: torch.addmm(x[:, 1, :, 0], x[:, 0, 0], MATRIX.T, beta=0.5),
    "einsum": lambda x: torch.einsum("nchw,hw->nc", x, MATRIX), "einsum_both": lambda x: torch.einsum("nchw,nchv->nhwv", x, x.tanh()),
    "einsum_dots": lambda x: torch.einsum("...hw,kw->...hk", x, MATRIX), "einsum_implicit": lambda x: torch.einsum("achw,wk", x, MATRIX.T),
    "matmul_rows": lambda x: (x.transpose(0, 1).reshape(4, -1, 7) @ STACK).reshape(4, -1, 6, 5).transpose(0, 1),
    "matmul_columns": lambda x: (STACK.mT @ x.permute(1, 3, 0, 2).reshape(4, 7, -1)).reshape(4, 5, -1, 6).permute(2, 0, 1, 3),
    "einsum_moved": lambda x: torch.einsum("cnhw,ncvw->vnhc", x.transpose(0, 1), x).transpose(0, 1),
    "einsum_merged": lambda x: torch.einsum("nhw,hk,nhv->nkwv", x.flatten(0, 1), MATRIX[:, :5], x.reshape(-1, 6, 7).tanh()).view(-1, 4, 5, 7, 7),
    "attention_grouped": lambda x: F.scaled_dot_product_attention(x, x[:, ::2] + 1, x[:, 1::2] * 2, enable_gqa=True),
    "attention": attention(), "attention_causal": attention(is_causal=True, scale=0.3), "attention_bool": attention(attn_mask=torch.ones(6, 6).tril(1).bool()),
    "attention_masked_row": attention(attn_mask=torch.ones(6, 6).tril(-1).bool()), "attention_float": attention(attn_mask=MATRIX[:, :6]), "attention_active": lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=x[:, :1] @ x[:, :1].mT),
    "attention_active_bool": lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=(x[:, :1, :1, :6] > -1)),
    "attention_query": lambda x: F.scaled_dot_product_attention(MATRIX.expand(x.shape[0], 4, 6, 7), x, x),
    "layer_norm": nn.LayerNorm(7), "layer_norm_2": nn.LayerNorm((6, 7), eps=1e-3), "layer_norm_plain": nn.LayerNorm(7, elementwise_affine=False),
    "layer_norm_no_bias": nn.LayerNorm(7, bias=False), "rms_norm": nn.RMSNorm(7), "rms_norm_eps": nn.RMSNorm((6, 7), eps=1e-2),
    "batch_norm": nn.BatchNorm2d(4), "batch_norm_plain": nn.BatchNorm2d(4, affine=False, eps=1e-2), "group_norm": nn.GroupNorm(2, 4),
    "group_norm_plain": nn.GroupNorm(4, 4, affine=False), "instance_norm": nn.InstanceNorm2d(4, affine=True), "instance_norm_plain": nn.InstanceNorm2d(4),
    "instance_norm_stored": nn.InstanceNorm2d(4, affine=True, track_running_stats=True), "local_response_norm": nn.LocalResponseNorm(3, 0.1, 0.7, 2.0),
    "local_response_norm_function": lambda x: F.local_response_norm(x, 2, 0.1), "embedding_bag_of_one": lambda x: MATRIX[(x[:, 0] > 0).long().sum(-1).clamp(0, 5)] * x[:, 0],
}

WINDOWS: Mapping[str, Part] = {
    "conv": nn.Conv2d(4, 3, 3), "conv_settings": nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, bias=False),
    "conv_depthwise": nn.Conv2d(4, 8, 3, padding=1, groups=4), "conv_same": nn.Conv2d(4, 3, (2, 4), padding="same"), "conv_valid": nn.Conv2d(4, 3, 2, padding="valid"),
    "conv_circular": nn.Conv2d(4, 3, 3, padding=1, padding_mode="circular"), "conv_reflect": nn.Conv2d(4, 3, 3, padding=(1, 2), padding_mode="reflect"),
    "conv_transpose": nn.ConvTranspose2d(4, 3, 3), "conv_transpose_settings": nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2, bias=False, dilation=(1, 2)),
    "weight_norm": nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 3, 2)), "max_pool": nn.MaxPool2d(2), "max_pool_overlap": nn.MaxPool2d(3, 2, 1, ceil_mode=True),
    "max_pool_dilated": nn.MaxPool2d((2, 3), 1, (1, 0), (2, 1)), "avg_pool": nn.AvgPool2d(2), "avg_pool_overlap": nn.AvgPool2d(3, 2, 1, ceil_mode=True),
    "avg_pool_exclusive": nn.AvgPool2d(3, 2, 1, count_include_pad=False), "avg_pool_divisor": nn.AvgPool2d(2, divisor_override=3), "lp_pool": nn.LPPool2d(2, 2),
    "adaptive_avg": nn.AdaptiveAvgPool2d((4, 3)), "adaptive_max": nn.AdaptiveMaxPool2d((4, 3)), "global_avg": nn.AdaptiveAvgPool2d(1), "global_max": nn.AdaptiveMaxPool2d(1),
    "as_volume": lambda x: F.max_pool3d(F.adaptive_avg_pool3d(x[:, None], (3, 4, 5)), 2, 1, return_indices=True)[0],
}

SIGNALS: Mapping[str, Part] = {
    "conv": nn.Conv1d(4, 3, 3, 2, 1), "conv_transpose": nn.ConvTranspose1d(4, 3, 3, 2, 1, 1), "batch_norm": nn.BatchNorm1d(4), "max_pool": nn.MaxPool1d(3, 2, 1),
    "avg_pool": nn.AvgPool1d(3, 2, 1, count_include_pad=False), "adaptive_avg": nn.AdaptiveAvgPool1d(3), "adaptive_max": nn.AdaptiveMaxPool1d(3),
    "lp_pool": nn.LPPool1d(2, 2), "upsample": nn.Upsample(scale_factor=2), "linear": nn.Upsample(scale_factor=2, mode="linear"), "exact": nn.Upsample(5, mode="nearest-exact"), "pad_reflect": nn.ReflectionPad1d((2, 1)),
}

VOLUMES: Mapping[str, Part] = {
    "conv": nn.Conv3d(4, 3, (2, 3, 1), padding=(0, 1, 1)), "conv_transpose": nn.ConvTranspose3d(4, 2, 2, stride=2), "batch_norm": nn.BatchNorm3d(4),
    "max_pool": nn.MaxPool3d(2, 1), "avg_pool": nn.AvgPool3d((1, 2, 2)), "adaptive_avg": nn.AdaptiveAvgPool3d((2, 1, 3)), "adaptive_max": nn.AdaptiveMaxPool3d(1),
    "unpool": lambda x: F.max_unpool3d(*F.max_pool3d(x, (1, 2, 1), return_indices=True), (1, 2, 1)), "upsample": nn.Upsample(scale_factor=2), "exact": nn.Upsample((4, 3, 5), mode="nearest-exact"), "trilinear": nn.Upsample(scale_factor=2, mode="trilinear"), "pad_replicate": nn.ReplicationPad3d(1),
}



class Frames(nn.Module):
    """A layer on each frame, the frames merged with the batch."""

    def __init__(self, layer: Part):
        super().__init__()
        self.layer = layer

    def forward(self, x: Any) -> Any:
        frames = x.transpose(1, 2)
        return self.layer(frames.flatten(0, 1)).unflatten(0, (-1, frames.shape[1]))


VOLUME = shake(nn.Sequential(nn.Conv3d(4, 4, (1, 3, 2), padding=(0, 1, 0), groups=4, bias=False), nn.BatchNorm3d(4), nn.Conv3d(4, 3, 1)))

FRAMED: Mapping[str, Part] = {
    "conv": Frames(nn.Conv2d(4, 6, 3, 2, (1, 2), groups=2)), "conv_transpose": Frames(nn.ConvTranspose2d(4, 3, 3, 2, 1, 1)), "batch_norm": Frames(nn.BatchNorm2d(4)),
    "max_pool": Frames(nn.MaxPool2d(3, 2, 1)), "avg_pool": Frames(nn.AvgPool2d(2, 1)), "adaptive": Frames(nn.AdaptiveAvgPool2d((2, 3))),
    "global": Frames(nn.AdaptiveAvgPool2d(1)), "global_max": Frames(nn.AdaptiveMaxPool2d(1)), "signal": lambda x: Frames(nn.AvgPool1d(2))(x[..., 0]),
    "volume": lambda x: Frames(VOLUME)(x[:, :, :, None]), "volume_pool": lambda x: Frames(nn.MaxPool3d((1, 2, 2), 1))(x[:, :, :, None]),
    "network": Frames(nn.Sequential(nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2, 1), nn.Flatten(), nn.Linear(10, 3))),
}

ROWS: Mapping[str, Part] = {
    "linear": nn.Linear(6, 5), "batch_norm": nn.BatchNorm1d(6), "layer_norm": nn.LayerNorm(6), "softmax": nn.Softmax(-1), "bilinear_form": lambda x: torch.einsum("ni,ij,nj->n", x, MATRIX[:, :6], x),
    "outer": lambda x: x[:, :, None] * x[:, None], "per_sample": lambda x: x * x.sum(1)[:, None], "front": lambda x: (x[None] * MATRIX[:3, None, :6]).sum(0),
    "lifted": lambda x: (x + STACK[:4, :1, :1]).permute(1, 0, 2), "scalar": lambda x: x.square().sum(1),
}

APART: Mapping[str, Part] = {
    "addcmul": lambda x: torch.addcmul(x, x.tanh(), x, value=0.5),
    "addcdiv": lambda x: torch.addcdiv(x, x, x.abs() + 1, value=0.5),
    "clip": lambda x: torch.clip(x, 0.1, 2),
    "multiply": lambda x: torch.multiply(torch.subtract(x, 1), torch.negative(x)),
    "true_divide": lambda x: torch.true_divide(x, 3),
    "expit": torch.special.expit,
    "logit": lambda x: torch.logit(x.sigmoid()),
    "loss": lambda x: F.mse_loss(x, MATRIX.expand_as(x), reduction="none"),
    "cosine": lambda x: F.cosine_similarity(x, x.flip(1), dim=2),
    "tile": lambda x: x.tile((2, 1)),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 2),
    "diff": lambda x: x.diff(dim=2),
    "pixel_shuffle": nn.PixelShuffle(2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x[..., :6], 2),
    "channel_shuffle": nn.ChannelShuffle(2),
    "rot90": lambda x: torch.rot90(x, 1, (2, 3)),
    "hstack": lambda x: torch.hstack([x, x * 2]),
    "mv": lambda x: torch.mv(x[:, 0, 0], MATRIX[0]),
    "baddbmm": lambda x: torch.baddbmm(x[:, 0, :, :6], x[:, 1], x[:, 2].mT, beta=0.5, alpha=2),
    "tensordot": lambda x: torch.tensordot(x, MATRIX, dims=([3], [1])),
    "inner": lambda x: torch.inner(x, MATRIX),
}
"""What torch takes apart for this backend, since there is no row for it."""



class Bags(nn.Module):
    """Ids made of the input, looked up in bags of six."""

    def __init__(self, mode: str, weighted: bool = False):
        super().__init__()
        self.bag, self.weighted = nn.EmbeddingBag(5, 3, mode=mode), weighted

    def forward(self, x: Any) -> Any:
        ids = (x[:, 0, :, 0] > 0).long() + 2 * (x[:, 1, :, 0] > 0)
        return self.bag(ids, per_sample_weights=x[:, 2, :, 0] if self.weighted else None) * x[:, :1, 0, 0]


class Form(nn.Module):
    """A bilinear form of two parts of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.form = nn.Bilinear(7, 6, 3)

    def forward(self, x: Any) -> Any:
        return self.form(x[:, 0, 0], x[:, 1, :, 2])


def assigned_by_number(x: Any) -> Any:
    """Memory that is given as it is, then written over."""
    y = x.new_empty(x.shape[0], 4, 7)
    y[:, :3] = x[:, 0, :3]
    y[:, 3:] = x[:, 1, :1] * 2
    return y


TAKEN = torch.tensor([[3, 0, 1, 1, 2, 0, 3]])
ROWS_TAKEN = torch.tensor([[0, 2, 2, 1, 1, 0]]).mT

POSITIONED: Mapping[str, Part] = {
    "gather": lambda x: x.gather(1, TAKEN.expand(len(x), 1, 6, 7)), "gather_active": lambda x: x.gather(2, (x[:, :, :3] > 0).long() + 1),
    "gather_constant": lambda x: MATRIX.expand(x.shape[0], 4, 6, 7).gather(3, (x > 0).long()) * x,
    "scatter": lambda x: (x * 2).scatter(1, TAKEN.expand(x.shape[0], 1, 6, 7), x[:, :1]), "scatter_number": lambda x: x.scatter(2, ROWS_TAKEN.expand(x.shape[0], 4, 6, 1), 0.5),
    "scatter_active": lambda x: torch.zeros_like(x).scatter(3, x.argmax(3, keepdim=True), x[..., :1] + 1),
    "scatter_add": lambda x: x.scatter_add(1, TAKEN.expand(x.shape[0], 4, 6, 7), x * 2),
    "argmax": lambda x: x.argmax(1) * x[:, 0], "argmin_kept": lambda x: x.argmin(-1, keepdim=True) * x, "max_and_place": lambda x: x.max(2)[0] * x.max(2)[1],
    "min_and_place": lambda x: x.min(1, keepdim=True)[1] * x, "topk": lambda x: torch.cat(x.topk(2, 1)[:1], 1), "topk_places": lambda x: x.topk(3, 2, largest=False)[1] * x[:, :, :3],
    "sort": lambda x: x.sort(3, descending=True)[0], "sort_places": lambda x: x.sort(2)[1] * x, "argsort": lambda x: x.argsort(1) * x,
    "cumsum": lambda x: x.cumsum(2), "cumsum_of_bools": lambda x: (x > 0).cumsum(1) * x, "cumprod": lambda x: x.cumprod(-1),
    "tril": lambda x: x.tril(1), "triu": lambda x: x.triu(-1), "unfold": nn.Unfold((2, 3), padding=1, stride=2), "fold": lambda x: F.fold(x.flatten(2)[:, :, :4], (3, 3), (2, 2)),
    "pool_places": lambda x: F.max_pool2d(x, 2, return_indices=True)[1] * F.max_pool2d(x, 2), "unpool": lambda x: F.max_unpool2d(*F.max_pool2d(x[..., :6], 2, return_indices=True), 2),
    "bag_sum": Bags("sum"), "bag_weighted": Bags("sum", True), "bag_mean": Bags("mean"), "bag_max": Bags("max"), "bilinear_form": Form(), "unwritten": assigned_by_number,
}

FAMILIES: Mapping[str, tuple[tuple[int, ...], Mapping[str, Part]]] = {
    "activations": ((4, 6, 7), ACTIVATIONS), "pointwise": ((4, 6, 7), POINTWISE), "reductions": ((4, 6, 7), REDUCTIONS), "shapes": ((4, 6, 7), SHAPES),
    "products": ((4, 6, 7), PRODUCTS), "windows": ((4, 6, 7), WINDOWS), "signals": ((4, 8), SIGNALS), "volumes": ((4, 3, 4, 3), VOLUMES), "rows": ((6,), ROWS), "apart": ((4, 6, 7), APART), "positioned": ((4, 6, 7), POSITIONED),
    "framed": ((4, 3, 5, 4), FRAMED),
}
"""Name -> the shape of one sample, and the parts that take it."""
