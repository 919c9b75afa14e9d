"""Where the tolerance of a comparison comes from, measured: float32 against float64 on drawn networks, and denominators that cancel."""

import numpy as np
import pytest

import xaicore as xc
from xaicore import Builder
from xaicore.ops import Conv, Dense, Flatten, GlobalAvgPool, ReLU
from xaicore.oracle.compare import compare
from xaicore.oracle.condition import UNITS, tolerance_of


def drawn(rng, depth, image):
    """Layers of drawn widths, with biases."""
    b = Builder()
    width = 3 if image else int(rng.integers(2, 200))
    h = b.input("x", (None, 3, 8, 8) if image else (None, width))
    for k in range(depth):
        wider = int(rng.integers(2, 17 if image else 200))
        w, c = rng.normal(size=(wider, width, *((3, 3) if image else ()))), rng.normal(size=wider) * 0.3
        h = b.add(Conv(pads=((1, 1), (1, 1))) if image else Dense(), h, b.param(f"w{k}", w / np.sqrt(w[0].size)), b.param(f"b{k}", c))
        h, width = b.add(ReLU(), h), wider
    h = b.add(Flatten(), b.add(GlobalAvgPool(), h)) if image else h
    return b.build(b.add(Dense(), h, b.param("w", rng.normal(size=(3, width)) / np.sqrt(width)), b.param("b", rng.normal(size=3))))


METHODS = (("lrp.epsilon", {}), ("lrp.epsilon", {"eps": 1e-9}), ("lrp.gamma", {}), ("lrp.alpha_beta", {}), ("lrp.z_plus", {"bias": "whole"}),
           ("gradient", {}), ("integrated_gradients", {"steps": 4}), ("deeplift.rescale", {}))


def losses(seeds):
    """For each method the losses in units, and the tolerances relative to the largest number."""
    units, sizes = {}, {}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        single = drawn(rng, int(rng.integers(1, 5)), seed % 3 == 0).astype("float32")
        double = single.astype("float64")
        x = rng.normal(size=(2, *double.inputs["x"].shape[1:])).astype("float32")
        for method, settings in METHODS:
            a, b = (xc.explain(g, x.astype(d), method, target=0, **settings) for g, d in ((double, "float64"), (single, "float32")))
            t, largest = tolerance_of(a, "float32"), float(np.abs(np.asarray(a)).max())
            if largest:
                units.setdefault(method, []).append(np.abs(np.asarray(a) - np.asarray(b)).max() / t.absolute * UNITS)
                sizes.setdefault(method, []).append(t.absolute / largest)
                assert compare(a, np.asarray(b)).agree
    return units, sizes


def check(units, sizes):
    for method, found in units.items():
        assert max(found) < UNITS, method
        assert np.median(found) < UNITS / 4, method
        assert np.median(sizes[method]) < 5e-4, method                  # no more than 4000 eps: a wrong third digit is always seen


def test_rounding_stays_below_the_tolerance():
    check(*losses(range(12)))


@pytest.mark.thorough
def test_rounding_stays_below_the_tolerance_on_many():
    check(*losses(range(300)))


@pytest.mark.parametrize("gap", [1e-1, 1e-3, 1e-5])
def test_a_denominator_that_nearly_cancels_is_told(gap):
    """z = 1 - (1 - gap): κ = (2 - gap) / gap by hand."""
    b = Builder()
    g = b.build(b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[1.0, -1.0]]), name="fc"))
    a = xc.explain(g, [[1.0, 1 - gap]], "lrp.zero")
    t = tolerance_of(a, "float64")
    assert t.worst == pytest.approx((2 - gap) / gap, rel=1e-9)
    assert t.node == "fc"
    assert f"{t.worst:.3g} at 'fc'" in t.words


def test_terms_of_one_sign_have_condition_one_and_a_whole_bias_has_not():
    b = Builder()
    g = b.build(b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[1.0, -1.0]]), b.param("b", [-0.75]), name="fc"))
    assert tolerance_of(xc.explain(g, [[1.0, 0.999]], "lrp.z_plus"), "float64").worst == 1
    assert tolerance_of(xc.explain(g, [[1.0, 0.999]], "lrp.z_plus", bias="whole"), "float64").worst == pytest.approx(1.75 / 0.25)


def test_exact_numbers_have_no_tolerance():
    b = Builder()
    g = b.build(b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[1.0, -3.0]]))).astype("exact")
    a = xc.explain(g, [[1, 2]], "lrp.zero")
    assert tolerance_of(a, "exact").absolute == 0
    assert compare(a, [["1", "-6"]]).agree
    assert not compare(a, [["1", "-599999999999999999999/100000000000000000000"]], search=False).agree
