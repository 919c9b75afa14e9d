"""Rewrites: the same function under the same names (unless the name says otherwise), and the graph that was given is untouched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.cases import CASES
from tests.cases.case import Case
from tests.graph.graphs import assert_same, cnn, feed, graph_of
from xaicore.errors import GraphError, Inapplicable, UnknownName
from xaicore.graph import Builder, Graph, passes, written
from xaicore.graph.run import check_feeds, evaluate
from xaicore.ops import (
    Add,
    BatchNorm,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Identity,
    LayerNorm,
    LogSoftmax,
    Mean,
    Mul,
    Op,
    Pad,
    ReLU,
    Reshape,
    Rsqrt,
    Softmax,
    Sub,
    Variance,
)

ROUNDING = {"float64": 1e-12, "float32": 2e-4}
"""Relative: two ways of computing the same that differ in the order of some hundred roundings of 1e-16 and of 6e-8."""


def values(graph: Graph, feeds: Any, names: list[str] | None = None) -> dict[str, np.ndarray]:
    return evaluate(graph, check_feeds(graph, feeds), keep=[n.name for n in graph.nodes] if names is None else names)


def equal(graph: Graph, other: Graph, feeds: Any, names: list[str] | None = None) -> None:
    """Both graphs give the same values to all outputs and to all ``names``, as exactly as their arithmetic allows."""
    assert other.outputs == graph.outputs
    assert other.dtype == graph.dtype
    names = [*graph.outputs, *(names or ())]
    one, two = values(graph, feeds, names), values(other, feeds, names)
    for k in names:
        assert one[k].shape == two[k].shape, k
        assert one[k].dtype == two[k].dtype, k
        if graph.dtype == "exact" or one[k].dtype.kind != "f":
            assert one[k].tolist() == two[k].tolist(), k
        else:
            rtol = ROUNDING[graph.dtype]
            np.testing.assert_allclose(two[k], one[k], rtol=rtol, atol=rtol * max(1.0, abs(one[k]).max()), err_msg=k)


# ----- expand -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_an_expansion_has_the_values_and_the_name_of_its_operator(case: Case) -> None:
    """The operator's own forward is the second opinion on its expansion."""
    for dtype in ("float64", "float32", "exact") if case.op.rational else ("float64", "float32"):
        graph, feeds = graph_of(case, dtype)
        grown = passes.expand(graph, [type(case.op)])
        if grown is graph or grown.nodes == graph.nodes:
            continue                                                    # it has no simpler form
        equal(graph, grown, feeds)
        assert grown.outputs == ("node",)
        assert {n.name.split("/")[0] for n in grown.nodes} == {"node"}
        assert {(n.layer, n.origin) for n in grown.nodes} == {("layer", "origin")}
        assert type(case.op) not in {type(n.op) for n in grown.nodes}


def test_some_operators_expand() -> None:
    """So that the test above is not empty."""
    grown = {type(c.op) for c in CASES if len(passes.expand(graph_of(c)[0], [type(c.op)]).nodes) > 1}
    assert grown >= {Softmax, LogSoftmax, BatchNorm, LayerNorm, Variance}


def normalised() -> tuple[Graph, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    b = Builder("block")
    x = b.input("x", (None, 3, 4))
    h = b.add(LayerNorm(), x, b.param("gamma", rng.standard_normal(4)), name="norm", layer="block.norm")
    w = b.add(Softmax(), h, name="weights")
    return b.build(b.add(Mul(), w, h, name="mixed"), w), {"x": rng.standard_normal((2, 3, 4))}


def test_expansion_goes_on_until_nothing_is_left() -> None:
    graph, feeds = normalised()
    before = str(graph)
    grown = passes.expand(graph, [LayerNorm, Softmax, Variance, Rsqrt])
    equal(graph, grown, feeds, ["norm", "weights", "mixed"])
    assert not {LayerNorm, Softmax, Variance} & {type(n.op) for n in grown.nodes}
    assert {n.layer for n in grown.nodes if n.name.startswith("norm")} == {"block.norm"}
    assert {n.layer for n in grown.nodes if n.name.startswith("weights")} == {"weights"}
    assert str(graph) == before
    assert_same(passes.expand(grown, [LayerNorm, Softmax]), grown)


def test_a_known_shape_saves_a_run_on_sample_feeds() -> None:
    """The expansion of BatchNorm asks for the rank of x; a sample of 8 x 8 would be too small for this convolution."""
    rng = np.random.default_rng(0)
    b = Builder()
    x = b.input("x", (None, 1, None, None))
    h = b.add(Conv(), x, b.param("w", rng.standard_normal((2, 1, 11, 11))))
    y = b.add(BatchNorm(), b.add(ReLU(), h), *(b.param(k, [1.0, 2.0]) for k in ("gamma", "beta", "mean", "var")), name="bn")
    graph, feeds = b.build(y), {"x": rng.standard_normal((2, 1, 12, 13))}
    shapes = {k: v.shape for k, v in values(graph, feeds).items()}
    equal(graph, passes.expand(graph, [BatchNorm], {**shapes, "x": (2, 1, 12, 13)}), feeds)


# ----- fold_batchnorm ---------------------------------------------------------------------------------------------------


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


# ----- fold_constants and prune -----------------------------------------------------------------------------------------


def with_constants(dtype: str = "float64") -> Graph:
    """y = x * relu(p - q) + n, where only x is fed; z is a constant output."""
    b = Builder("c", dtype)
    x, p, q = b.input("x", (None, 2)), b.param("p", [[3, -1]]), b.param("q", [[1, 1]])
    inner = b.add(ReLU(), b.add(Sub(), p, q, name="difference"), name="scale")
    b.param("unread", [[9.0, 9.0]] if dtype != "exact" else [[9, 9]])
    y = b.add(Add(), b.add(Mul(), x, inner, name="scaled"), b.param("n", np.array([[1, 2]])), name="y")
    b.add(ReLU(), y, name="dead")
    return b.build(y, b.add(ReLU(), p, name="z"))


@pytest.mark.parametrize("dtype", ["float64", "exact"])
def test_constants_are_folded_and_keep_their_names(dtype: str) -> None:
    graph = with_constants(dtype)
    folded = passes.fold_constants(graph)
    equal(graph, folded, [[5, 7]], ["scaled"])
    assert [n.name for n in folded.nodes] == ["scaled", "y", "z"]       # z is an output, and an output is a node
    assert sorted(folded.params) == ["n", "p", "scale"]
    assert folded.params["scale"].tolist() == [[2, 0]]
    assert passes.fold_constants(folded) is folded


def test_pruning_drops_what_no_output_needs() -> None:
    graph = with_constants()
    pruned = passes.prune(graph)
    equal(graph, pruned, [[5.0, 7.0]])
    assert "dead" not in [n.name for n in pruned.nodes]
    assert "unread" not in pruned.params
    other = passes.prune(graph, ["z"])
    assert ([n.name for n in other.nodes], list(other.params), list(other.inputs), other.outputs) == (["z"], ["p"], ["x"], ("z",))
    assert passes.prune(graph, ["dead"])([[5.0, 7.0]]).tolist() == [[11.0, 2.0]]
    with pytest.raises(GraphError, match="the output 'nowhere' is not a value"):
        passes.prune(graph, ["nowhere"])


def test_renaming_reaches_readers_and_outputs() -> None:
    graph = cnn()
    named = passes.rename(graph, {"relu": "activation", "logits": "scores", "not there": "anywhere"})
    assert named.outputs == ("probabilities", "scores")
    for a, b in zip(graph(feed(graph)), named(feed(graph)), strict=True):
        assert a.tolist() == b.tolist()
    with pytest.raises(GraphError, match="defined twice"):
        passes.rename(graph, {"relu": "conv"})


# ----- cut --------------------------------------------------------------------------------------------------------------


def bypassed() -> Graph:
    """y = fc2(relu(fc1 x)) + x + mask: the value "h" has the input x and another input beside it."""
    b = Builder()
    x, other = b.input("x", (None, 2)), b.input("other", (None, 2))
    h = b.add(ReLU(), b.add(Dense(), x, b.param("w1", [[1.0, 2.0], [3.0, -1.0]]), name="fc1"), name="h")
    inner = b.add(Dense(), h, b.param("w2", [[1.0, 0.5], [-1.0, 2.0]]), name="fc2")
    return b.build(b.add(Add(), b.add(Add(), inner, x), other, name="y"))


def test_what_lies_behind_a_value_is_the_same_function_of_it() -> None:
    graph = bypassed()
    feeds = {"x": np.array([[1.0, -2.0], [0.5, 3.0]]), "other": np.array([[1.0, 2.0], [3.0, 4.0]])}
    h = values(graph, feeds, ["h"])["h"]
    behind = passes.cut(graph, "h", h.shape)
    assert {k: s.shape for k, s in behind.inputs.items()} == {"x": (None, 2), "other": (None, 2), "h": (None, 2)}
    assert "w1" not in behind.params
    assert behind({**feeds, "h": h}).tolist() == graph(feeds).tolist()
    moved = behind({**feeds, "h": h + 1}) - behind({**feeds, "h": h})
    assert moved.tolist() == [[1.5, 1.0]] * 2                           # the bypass is not moved with it: w2 times (1, 1)


def test_inputs_that_only_the_cut_part_read_go() -> None:
    graph = cnn()
    behind = passes.cut(graph, "flat", (5, 12))
    assert list(behind.inputs) == ["flat"]
    x = feed(graph)
    flat = values(graph, x, ["flat"])["flat"]
    for a, b in zip(graph(x), behind(flat), strict=True):
        assert a.tolist() == b.tolist()
    assert behind.meta == graph.meta


def test_a_cut_at_an_output_among_several_keeps_the_others() -> None:
    graph = cnn()
    behind = passes.cut(graph, "logits", (1, 4))
    y = np.array([[1.0, 2.0, 3.0, 4.0]])
    probabilities, same = behind(y)
    assert same.tolist() == y.tolist()
    np.testing.assert_allclose(probabilities, np.exp(y) / np.exp(y).sum(), rtol=1e-14)    # four terms and a division


def test_a_cut_where_nothing_can_be_cut() -> None:
    graph = bypassed()
    assert passes.cut(graph, "x", (1, 2)) is graph
    with pytest.raises(GraphError, match="'y' is the output itself"):
        passes.cut(graph, "y", (1, 2))
    with pytest.raises(UnknownName, match="no node is called 'nowhere'"):
        passes.cut(graph, "nowhere", (1, 2))


# ----- heads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("head", "kind"), [(Softmax(), "Softmax"), (LogSoftmax(), "LogSoftmax"), (Softmax(axis=1), "Softmax"),
                                            (ReLU(), None), (Identity(), None)])
@pytest.mark.parametrize("between", [(), (Identity(),), (Dropout(), Identity())], ids=str)
def test_a_softmax_head_is_found(head: Op, kind: str | None, between: tuple[Op, ...]) -> None:
    b = Builder()
    y = b.add(head, b.add(Dense(), b.input("x", (None, 2)), b.param("w", np.eye(2)), name="logits"), name="head")
    for one in between:
        y = b.add(one, y)
    graph = b.build(y)
    assert passes.without_head(graph, y) == (("logits", kind) if kind else (y, None))


def test_a_softmax_inside_is_no_head() -> None:
    graph, _ = normalised()
    assert passes.without_head(graph, "mixed") == ("mixed", None)
    assert passes.without_head(graph, "x") == ("x", None)


# ----- extend -----------------------------------------------------------------------------------------------------------


def test_extending_adds_an_output_behind() -> None:
    graph = cnn()
    x = feed(graph)
    longer, name = passes.extend(graph, lambda b: b.add(Sub(), b.add(Mul(), "logits", b.constant(2)), "logits", name="logits"))
    assert (name, longer.outputs) == ("logits@2", ("probabilities", "logits", "logits@2"))
    _, logits, same = longer(x)
    np.testing.assert_allclose(same, logits, rtol=1e-15)
    assert longer.meta == graph.meta
    assert len(graph.nodes) == len(longer.nodes) - 2
    again, name = passes.extend(graph, lambda b: "relu")
    assert (name, again.outputs) == ("relu", ("probabilities", "logits", "relu"))


# ----- shift_first_bias -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "exact"])
@pytest.mark.parametrize("kind", ["integers", "numbers", "one number"])
def test_a_shifted_input_gives_the_same_output(dtype: str, kind: str) -> None:
    graph = cnn(dtype)
    x = feed(graph)["x"]
    shift: Any = np.arange(32).reshape(2, 4, 4) - 10
    if kind != "integers":
        shift = shift / 4 if dtype != "exact" else np.vectorize(Fraction, otypes=[object])(shift, 4)
    if kind == "one number":
        shift = shift.reshape(-1)[0]
    moved = passes.shift_first_bias(graph, {"x": shift})
    assert list(moved.inputs) == ["x"]
    for a, b in zip(np.atleast_1d(graph(x)), np.atleast_1d(moved(x + shift)), strict=True):
        if dtype == "exact":
            assert a.tolist() == b.tolist()
        else:                                                           # x + m - m rounds once more, at the size of m
            np.testing.assert_allclose(a, b, rtol=0, atol=ROUNDING[dtype] * abs(a).max())


def test_a_shift_of_the_first_layer_is_a_change_of_its_bias() -> None:
    """g(x) = W (x - m) + b = W x + (b - W m), as in Kindermans et al. 2019."""
    w, bias, m = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.5, -0.5]), np.array([10.0, -1.0])
    b = Builder()
    graph = b.build(b.add(Dense(), b.input("x", (None, 2)), b.param("w", w), b.param("b", bias)))
    x = np.array([[1.0, 1.0], [2.0, -3.0]])
    assert passes.shift_first_bias(graph, {"x": m})(x).tolist() == (x @ w.T + (bias - w @ m)).tolist()


def test_every_reader_of_a_shifted_input_is_shifted_and_others_are_not() -> None:
    graph = bypassed()
    x, other = np.array([[1.0, -2.0]]), np.array([[1.0, 2.0]])
    moved = passes.shift_first_bias(graph, {"x": [4.0, 8.0]})
    assert moved(x + [[4.0, 8.0]], other).tolist() == graph(x, other).tolist()
    with pytest.raises(GraphError, match="'z' is not an input of the graph; the inputs are x, other"):
        passes.shift_first_bias(graph, {"z": [1.0]})


# ----- fold_padding -----------------------------------------------------------------------------------------------------


def padded(*pads: Op, conv: Conv, weight: tuple[int, ...], inner: tuple[int, ...], dtype: str = "float64") -> Graph:
    """x -> pads -> conv "lin", and a second reader of the last of the pads."""
    b = Builder(dtype=dtype)
    h = b.input("x", (None, *inner))
    for k, one in enumerate(pads):
        h = b.add(one, h, name=f"pad{k}")
    w = np.random.default_rng(0).integers(-4, 5, weight)
    y = b.add(conv, h, b.param("w", w), name="lin", layer="body.lin")
    return b.build(y, b.add(ReLU(), h, name="other"))


@pytest.mark.parametrize(("pads", "conv", "weight", "inner", "expected"), [
    ((Pad(((1, 2),)),), Conv(), (2, 3, 3), (3, 4), ((1, 2),)),
    ((Pad(((0, 1), (2, 0))),), Conv((2, 1), (1, 2), ((1, 0), (0, 1)), 3), (3, 1, 3, 2), (3, 4, 5), ((1, 1), (2, 1))),
    ((Pad(((1, 1),)), Identity(), Pad(((0, 0), (0, 2), (1, 0))), Dropout()), Conv(), (2, 3, 2, 2), (3, 4, 5), ((0, 2), (2, 1))),
    ((Pad(((0, 0), (1, 1), (1, 1), (0, 3))),), Conv(), (2, 2, 2, 2, 2), (2, 3, 3, 3), ((1, 1), (1, 1), (0, 3))),
], ids=["1d", "strided, dilated, grouped", "several", "3d"])
def test_zeros_before_a_convolution_become_its_padding(
    pads: tuple[Op, ...], conv: Conv, weight: tuple[int, ...], inner: tuple[int, ...], expected: tuple[tuple[int, int], ...],
) -> None:
    for dtype in ("float64", "exact"):
        graph = padded(*pads, conv=conv, weight=weight, inner=inner, dtype=dtype)
        folded = passes.fold_padding(graph)
        equal(graph, folded, feed(graph), [n.name for n in graph.nodes])
        assert folded.node("lin").op == replace(conv, pads=expected)
        crop = folded.node(folded.node("lin").inputs[0])
        assert (crop.name, crop.layer, crop.inputs) == ("lin/unpadded", "body.lin", graph.node("lin").inputs[:1])
        assert passes.fold_padding(folded) is folded


@pytest.mark.parametrize("pad", [
    Pad(((1, 1),), value=1.0), Pad(((1, 1),), mode="reflect"), Pad(((1, 1),), mode="edge"), Pad(((-1, 2),)), Pad(((1, 0), (1, 1))), ReLU(), Pad(((0, 0),)),
], ids=str)
def test_what_is_no_padding_of_a_convolution_stays(pad: Op) -> None:
    channels = 4 if pad == Pad(((1, 0), (1, 1))) else 3
    graph = padded(pad, conv=Conv(), weight=(2, channels, 2), inner=(3, 4))
    assert passes.fold_padding(graph) is graph


def test_padding_before_computed_weights_needs_their_shape() -> None:
    b = Builder()
    w = b.add(Identity(), b.param("w", np.ones((2, 3, 2))), name="computed")
    graph = b.build(b.add(Conv(), b.add(Pad(((1, 1),)), b.input("x", (None, 3, 4))), w, name="lin"))
    assert passes.fold_padding(graph) is graph
    folded = passes.fold_padding(graph, {"computed": (2, 3, 2)})
    assert folded.node("lin").op == Conv(pads=((1, 1),))
    equal(graph, folded, feed(graph))


# ----- all together -----------------------------------------------------------------------------------------------------


PASSES: dict[str, Callable[[Graph], Graph]] = {
    "prune": passes.prune, "expand": lambda g: passes.expand(g, [BatchNorm, Softmax]), "fold_constants": passes.fold_constants,
    "fold_batchnorm": passes.fold_batchnorm, "fold_padding": passes.fold_padding, "rename nothing": lambda g: passes.rename(g, {}),
    "recognise_batchnorm": written.recognise_batchnorm, "fold_bias": written.fold_bias, "recognise_silu": written.recognise_silu,
    "recognise_rmsnorm": written.recognise_rmsnorm,
}


@pytest.mark.parametrize("one", PASSES)
@pytest.mark.parametrize("two", PASSES)
def test_passes_in_any_order_keep_function_meta_and_inputs(one: str, two: str) -> None:
    graph = cnn()
    text = str(graph)
    out = PASSES[two](PASSES[one](graph))
    equal(graph, out, feed(graph), ["bn", "relu", "skip"])
    assert dict(out.meta) == dict(graph.meta)
    assert dict(out.inputs) == dict(graph.inputs)
    assert out.name == graph.name
    assert str(graph) == text


def test_a_pass_never_shares_a_writeable_array() -> None:
    for one in PASSES.values():
        assert not any(v.flags.writeable for v in one(cnn()).params.values())


def test_reshaped_and_joined_values_survive_expansion() -> None:
    """An expansion between two readers of the same value, whose last node takes over the name of the node it replaces."""
    b = Builder()
    x = b.input("x", (None, 4))
    p = b.add(Softmax(), x, name="p")
    joined = b.add(Concat(1), b.add(Reshape((2, 2)), p), b.add(Reshape((2, 2)), b.add(ReLU(), p)))
    graph = b.build(b.add(Mean((1, 2)), joined), p)
    feeds = {"x": np.random.default_rng(0).standard_normal((3, 4))}
    grown = passes.expand(replace(graph, name="n"), [Softmax])
    equal(graph, grown, feeds, ["p"])
    assert grown.name == "n"
