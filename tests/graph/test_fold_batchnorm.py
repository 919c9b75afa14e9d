"""fold_batchnorm: a norm goes into the layer before it where that keeps every value; for_outputs, which does that and more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.graph.graphs import ROUNDING, equal, values
from xaicore.errors import Inapplicable
from xaicore.graph import Builder, passes
from xaicore.ops import Add, BatchNorm, Conv, ConvTranspose, Dense, Dropout, Flatten, GlobalAvgPool, Identity, Op, ReLU


def statistics(b: Builder, channels: int, seed: int = 1, prefix: str = "bn") -> list[str]:
    rng = np.random.default_rng(seed)
    draws = {"gamma": rng.standard_normal(channels), "beta": rng.standard_normal(channels), "mean": rng.standard_normal(channels),
             "var": rng.uniform(0.1, 2, channels)}
    return [b.param(f"{prefix}.{k}", v) for k, v in draws.items()]


FOLDED: list[tuple[str, Op, tuple[int, ...], tuple[int, ...], int]] = [
    ("conv1d", Conv(), (3, 7), (4, 3, 2), 4),
    ("conv2d", Conv((2, 1), (1, 2), ((1, 0), (0, 2))), (3, 6, 7), (4, 3, 3, 2), 4),
    ("conv3d", Conv(), (2, 3, 4, 3), (5, 2, 2, 2, 2), 5),
    ("conv-groups", Conv(groups=2), (4, 5, 5), (6, 2, 3, 3), 6),
    ("conv-depthwise", Conv(groups=3), (3, 5, 5), (6, 1, 3, 3), 6),
    ("transposed1d", ConvTranspose(), (3, 5), (3, 4, 2), 4),
    ("transposed2d", ConvTranspose((2, 2), output_padding=(1, 0)), (3, 3, 4), (3, 5, 3, 2), 5),
    ("transposed-groups", ConvTranspose(groups=2), (4, 3, 3), (4, 3, 2, 2), 6),
    ("transposed-depthwise", ConvTranspose(groups=3), (3, 4, 4), (3, 2, 3, 3), 6),
    ("dense", Dense(), (5,), (3, 5), 3),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("biased", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize(("op", "inner", "weight", "channels"), [row[1:] for row in FOLDED], ids=[row[0] for row in FOLDED])
def test_folding_keeps_values_and_names(
    op: Op, inner: tuple[int, ...], weight: tuple[int, ...], channels: int, biased: bool, dtype: str,
) -> None:
    rng = np.random.default_rng(0)
    b = Builder(dtype=dtype)
    x = b.input("x", (None, *inner))
    w = [b.param("w", rng.standard_normal(weight)), *([b.param("b", rng.standard_normal(channels))] if biased else [])]
    h = b.add(BatchNorm(eps=0.01), b.add(op, x, *w, name="lin", layer="body.lin"), *statistics(b, channels), name="bn", layer="body.bn")
    graph = b.build(b.add(ReLU(), h, name="act"))
    before = {k: v.copy() for k, v in graph.params.items()}
    folded = passes.fold_batchnorm(graph)
    equal(graph, folded, {"x": rng.standard_normal((3, *inner))}, ["bn"])
    assert [(n.name, type(n.op).__name__, n.layer) for n in folded.nodes] == [
        ("lin", type(op).__name__, "body.lin"), ("bn", "Identity", "body.bn"), ("act", "ReLU", "")]
    assert sorted(folded.params) == ["lin/folded_bias", "lin/folded_weight"]
    assert {v.dtype for v in folded.params.values()} == {np.dtype(dtype)}
    assert {k: v.tolist() for k, v in graph.params.items()} == {k: v.tolist() for k, v in before.items()}
    assert passes.fold_batchnorm(folded) is folded


def test_folding_by_hand() -> None:
    """w = 3, b = 1, gamma = 2, beta = 5, mean = 4, var + eps = 4: w' = 3 * 2 / 2 = 3, b' = (1 - 4) * 2 / 2 + 5 = 2."""
    b = Builder()
    h = b.add(Dense(), b.input("x", (None, 1)), b.param("w", [[3.0]]), b.param("b", [1.0]), name="fc")
    stats = [b.param(k, [v]) for k, v in (("gamma", 2.0), ("beta", 5.0), ("mean", 4.0), ("var", 3.0))]
    folded = passes.fold_batchnorm(b.build(b.add(BatchNorm(eps=1.0), h, *stats)))
    assert folded.params["fc/folded_weight"].tolist() == [[3.0]]
    assert folded.params["fc/folded_bias"].tolist() == [2.0]


def conv(b: Builder, x: str, name: str = "conv", weight: str = "w") -> str:
    if not b.has(weight):
        b.param(weight, np.random.default_rng(0).standard_normal((2, 2, 3)))
    return b.add(Conv(), x, weight, name=name)


def shared_output(b: Builder, x: str) -> tuple[str, ...]:
    h = conv(b, x)
    return (b.add(Add(), b.add(BatchNorm(), h, *statistics(b, 2)), h),)


def two_norms(b: Builder, x: str) -> tuple[str, ...]:
    h = conv(b, x)
    return (b.add(Add(), *(b.add(BatchNorm(), h, *statistics(b, 2, k, f"bn{k}")) for k in (1, 2))),)


def is_output(b: Builder, x: str) -> tuple[str, ...]:
    h = conv(b, x)
    return b.add(BatchNorm(), h, *statistics(b, 2)), h


def after_relu(b: Builder, x: str) -> tuple[str, ...]:
    return (b.add(BatchNorm(), b.add(ReLU(), conv(b, x)), *statistics(b, 2)),)


def alone(b: Builder, x: str) -> tuple[str, ...]:
    return (b.add(BatchNorm(), x, *statistics(b, 2)),)


def computed_weight(b: Builder, x: str) -> tuple[str, ...]:
    w = b.add(ReLU(), b.param("v", np.random.default_rng(0).standard_normal((2, 2, 3))))
    return (b.add(BatchNorm(), b.add(Conv(), x, w), *statistics(b, 2)),)


def computed_scale(b: Builder, x: str) -> tuple[str, ...]:
    gamma, *rest = statistics(b, 2)
    return (b.add(BatchNorm(), conv(b, x), b.add(ReLU(), gamma), *rest),)


def dense_of_rank_three(b: Builder, x: str) -> tuple[str, ...]:
    """(N, 2, 4) -> Dense -> (N, 2, 2): as many features as rows, so that only the meaning of axis 1 tells them apart."""
    h = b.add(Dense(), x, b.param("w", np.random.default_rng(0).standard_normal((2, 4))))
    return (b.add(BatchNorm(), h, *statistics(b, 2)),)


@pytest.mark.parametrize("build", [
    shared_output, two_norms, is_output, after_relu, alone, computed_weight, computed_scale, dense_of_rank_three,
])
def test_what_cannot_be_folded_stays(build: Callable[[Builder, str], tuple[str, ...]]) -> None:
    b = Builder()
    graph = b.build(*build(b, b.input("x", (None, 2, 4))))
    assert passes.fold_batchnorm(graph) is graph


def test_calls_that_share_a_weight_are_folded_each_by_its_own_norm() -> None:
    b = Builder()
    x = b.input("x", (None, 2, 5))
    h = b.add(BatchNorm(), conv(b, x, "first"), *statistics(b, 2, 1, "bn1"), name="bn1")
    graph = b.build(b.add(BatchNorm(), conv(b, h, "second"), *statistics(b, 2, 2, "bn2"), name="bn2"))
    folded = passes.fold_batchnorm(graph)
    equal(graph, folded, {"x": np.random.default_rng(0).standard_normal((2, 2, 5))}, ["bn1"])
    assert [type(n.op) for n in folded.nodes] == [Conv, Identity, Conv, Identity]


def test_a_shared_weight_stays_for_its_other_reader() -> None:
    b = Builder()
    x = b.input("x", (None, 2, 5))
    graph = b.build(b.add(BatchNorm(), conv(b, x, "normed"), *statistics(b, 2), name="bn"), conv(b, x, "plain"))
    folded = passes.fold_batchnorm(graph)
    equal(graph, folded, {"x": np.random.default_rng(0).standard_normal((2, 2, 5))})
    assert "w" in folded.params


def test_a_dense_layer_asks_for_its_rank_and_takes_it_if_given() -> None:
    """A sample of 8 x 8 would be too small for this convolution."""
    rng = np.random.default_rng(0)
    b = Builder()
    x = b.input("x", (None, 1, None, None))
    h = b.add(Flatten(), b.add(GlobalAvgPool(), b.add(Conv(), x, b.param("k", rng.standard_normal((2, 1, 11, 11))))))
    h = b.add(Dense(), h, b.param("w", rng.standard_normal((3, 2))), name="fc")
    graph, feeds = b.build(b.add(BatchNorm(), h, *statistics(b, 3))), {"x": rng.standard_normal((2, 1, 12, 13))}
    folded = passes.fold_batchnorm(graph, {k: v.shape for k, v in values(graph, feeds).items()})
    assert type(folded.nodes[-1].op) is Identity
    equal(graph, folded, feeds)


@pytest.mark.parametrize("speed", ["exact", "fast"])
def test_for_the_outputs_alone(rng, speed: str) -> None:
    """A folded norm, a Dropout behind it, an Identity that is an output: the same numbers, by 576 sums of 128 eps."""
    b = Builder("net")
    h = b.add(Conv(pads=((1, 1), (1, 1))), b.input("x", (None, 64, 21, 20)), b.param("w", rng.normal(size=(64, 64, 3, 3)) / 24), name="conv")
    h = b.add(BatchNorm(), h, *(b.param(k, rng.uniform(0.5, 2, 64)) for k in ("gamma", "beta", "mean", "var")), name="norm")
    h = b.add(Dropout(), h)
    graph, x = b.build(b.add(ReLU(), h), b.add(Identity(), h)), rng.normal(size=(2, 64, 21, 20))
    alone = passes.for_outputs(graph, speed)
    assert [type(n.op) for n in alone.nodes] == [Conv, ReLU, Identity]
    assert alone.nodes[0].op.fast is (speed == "fast")                     # type: ignore[attr-defined]
    for y, expected in zip(alone(x), graph(x)):
        assert np.abs(y - expected).max() <= 1e-11 * np.abs(expected).max()
    b = Builder("plain")
    plain = b.build(b.add(ReLU(), b.input("x", (None, 3))))
    assert passes.for_outputs(plain) is plain


def test_folding_in_exact_mode_says_what_to_do() -> None:
    b = Builder()
    h = b.add(BatchNorm(), conv(b, b.input("x", (None, 2, 5))), *statistics(b, 2))
    graph = b.build(h)
    with pytest.raises(Inapplicable, match=r"fold_batchnorm\(graph\)\.astype\('exact'\)"):
        passes.fold_batchnorm(graph.astype("exact"))
    folded = passes.fold_batchnorm(graph).astype("exact")
    x = np.random.default_rng(0).integers(-3, 4, (2, 2, 5))
    np.testing.assert_allclose(folded(x).astype(float), graph(x), rtol=ROUNDING["float64"], atol=ROUNDING["float64"])
