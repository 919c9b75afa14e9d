"""What LRP, DeepLIFT and IG make of steps, products of many factors, norms; rounding at halves; infinite slopes."""

from __future__ import annotations

import math
from fractions import Fraction as F

import numpy as np
import pytest

import xaicore as xc
from tests.cases import CASES
from tests.cases.case import Case
from tests.ops.attributed import complete_gap, lrp_gap, summed
from xaicore.errors import GraphError, Inapplicable, InputError, UncoveredNode
from xaicore.graph import Builder, Graph
from xaicore.ops import Acos, Acosh, Asin, BitShift, Bitwise, Det, FakeQuantize, Mod, Norm, Op, ReduceProd, Shrink, Threshold

CURVES = [c for c in CASES if type(c.op).__name__ in (
    "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Threshold", "Shrink", "FakeQuantize", "ReduceProd", "Norm")]
CONTINUOUS = {"Threshold-continuous", "Shrink-soft"}


@pytest.mark.parametrize("case", CURVES, ids=lambda c: c.id)
def test_relevance_is_conserved_and_differences_complete(case: Case) -> None:
    """Activations pass relevance on; products and norms are taken apart. Exactly where rational."""
    graph, feeds = summed(case, "exact" if case.op.rational else "float64")
    a = xc.explain(graph, feeds, "lrp.zero", target=0)
    size = 1e-12 * float(abs(a.output).max())                           # some hundred roundings of 1e-16
    assert (abs(lrp_gap(graph, feeds)) <= (0 if case.op.rational else size)).all()
    assert (abs(complete_gap(graph, feeds)) <= (0 if case.op.rational else size)).all()


@pytest.mark.parametrize("case", [c for c in CURVES if c.op.rational and c.op.elementwise], ids=lambda c: c.id)
def test_an_exact_integral_wants_no_jumps(case: Case) -> None:
    graph, feeds = summed(case)
    if case.id in CONTINUOUS:
        assert complete_gap(graph, feeds, "integrated_gradients.exact").tolist() == [0, 0, 0]
    else:
        with pytest.raises(Inapplicable, match="use integrated_gradients, which samples the path"):
            complete_gap(graph, feeds, "integrated_gradients.exact")


def one(op: Op, shape: tuple[int, ...], *params: object) -> Graph:
    b = Builder(dtype="exact")
    x = b.input("x", (None, *shape))
    return b.build(b.add(op, x, *(b.param(f"p{k}", p) for k, p in enumerate(params))))


def test_relevance_of_a_product_is_shared_by_halves() -> None:
    a = xc.explain(one(ReduceProd((1,), True), (4,)), [[2, 3, 5, 7]], "lrp.zero", target=0)
    assert np.asarray(a).tolist() == [[F(210, 4)] * 4]
    a = xc.explain(one(ReduceProd((1,), True), (3,)), [[2, 3, 5]], "lrp.zero", target=0)
    assert np.asarray(a).tolist() == [[F(30, 4), F(30, 4), F(30, 2)]]


def test_relevance_and_differences_of_a_remainder() -> None:
    graph = one(Mod(), (2,), [F(2), F(5)])
    x = [[F(7, 2), F(9)]]
    assert graph(x).tolist() == [[F(3, 2), F(4)]]
    assert lrp_gap(graph, {"x": x}).tolist() == [0]
    assert xc.explain(graph, x, "deeplift.rescale", target=0, baseline=F(1, 2)).gap().tolist() == [0]


def test_remainders_of_whole_numbers() -> None:
    """Python's % has the sign of the divisor, C's (math.fmod) that of the dividend."""
    a, b = np.meshgrid(np.arange(-7, 8), [-3, -2, 1, 4])
    assert Mod().forward(a, b).tolist() == (a % b).tolist() == [[i % j for i, j in zip(*rows)] for rows in zip(a.tolist(), b.tolist())]
    assert Mod("trunc").forward(a, b).tolist() == [[math.fmod(i, j) for i, j in zip(*rows)] for rows in zip(a.tolist(), b.tolist())]
    assert Mod("trunc").forward(a, b).dtype == a.dtype


def test_a_determinant_has_no_rule_and_says_so() -> None:
    graph = one(Det(), (2, 2))
    with pytest.raises(UncoveredNode, match=r"no row covers node 'det'.*Add one in front: rules.before\(\(op\(Det\), <rule>\)\)"):
        xc.explain(graph, [[[1, 2], [3, 4]]], "lrp.epsilon")
    assert np.asarray(xc.explain(graph, [[[1, 2], [2, 4]]], "gradient")).tolist() == [[[4, -2], [-2, 1]]]
    assert graph([[[0, 1], [1, 0]], [[0, 2], [0, 3]], [[0, 2], [5, 7]]]).tolist() == [-1, 0, -10]


def test_quantisation_passes_what_it_says() -> None:
    """Halves go to the even number; the slope is 1 in the range; LRP passes everything, DeepLIFT the true quotient."""
    graph = one(FakeQuantize(-2, 1), (6,), F(1, 2), 0)
    x = [[F(1, 4), F(3, 4), F(-1, 4), F(5, 4), -1, F(1, 2)]]
    assert graph(x).tolist() == [[0, F(1, 2), 0, F(1, 2), -1, F(1, 2)]]
    slopes = np.array([xc.explain(graph, x, "gradient", target=k)["x"][0].tolist() for k in range(6)], dtype=object)
    assert slopes.tolist() == np.diag([1, 0, 1, 0, 1, 1]).tolist()      # 3/4 is the level 2, beyond the range; -1 and 1/2 are its ends
    assert np.asarray(xc.explain(graph, x, "lrp.zero", target=3)).tolist() == [[0, 0, 0, F(1, 2), 0, 0]]
    a = xc.explain(graph, x, "deeplift.rescale", target=3, baseline=0)
    assert a.gap().tolist() == [0]
    assert np.asarray(a).tolist() == [[0, 0, 0, F(1, 2), 0, 0]]


def test_a_zero_vector_has_a_norm_without_slope() -> None:
    x = np.zeros((1, 3))
    for p in (1.0, 2.0, 3.5):
        op = Norm((1,), p=p)
        assert op.vjp(0, np.ones(1), op.forward(x), x).tolist() == [[0, 0, 0]]
    huge = np.array([[3e200, 4e200]])
    assert Norm((1,)).forward(huge)[0] == pytest.approx(5e200)
    assert Norm((1,)).forward(np.array([[1e200, 1e-200]])).tolist() == [1e200]


@pytest.mark.parametrize(("op", "at"), [(Asin(), 1.0), (Acos(), -1.0), (Acosh(), 1.0)], ids=str)
def test_an_infinite_slope_takes_no_signal(op: Op, at: float) -> None:
    x = np.array([[at]])
    y = op.forward(x)
    assert op.vjp(0, np.zeros((1, 1)), y, x).tolist() == [[0]]
    with pytest.raises(InputError, match="the derivative there exceeds the largest float64"):
        op.vjp(0, np.ones((1, 1)), y, x)


@pytest.mark.parametrize(("make", "text"), [
    (lambda: Shrink(-1.0), "lambd is -1.0"), (lambda: Mod("round"), "'floor' or 'trunc'"), (lambda: FakeQuantize(1, 0), "low must not be larger"),
    (lambda: Norm((1,), p=0.5), "a finite number of at least 1"), (lambda: Bitwise("nor"), "'nor' is unknown"),
    (lambda: BitShift("up"), "'up' is unknown"),
])
def test_settings_that_mean_nothing_are_refused(make, text: str) -> None:
    with pytest.raises(GraphError, match=text):
        make()


def test_thresholds_are_strict() -> None:
    x = np.array([[0.5, 0.5 + 2**-40]])
    assert Threshold(0.5, -1.0).forward(x).tolist() == [[-1, 0.5 + 2**-40]]
    assert Shrink(0.5).forward(-x).tolist() == [[0, -0.5 - 2**-40]]
