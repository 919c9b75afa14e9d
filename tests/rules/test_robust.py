"""Every rule set at every operator under numbers at the edge: a finite result or a typed error, without a warning; as tests/test_robust.py for operators.

The quick tier takes one rule set for every second operator, scale and dtype in turn; HYPOTHESIS_PROFILE=thorough all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import xaicore as xc
from tests.cases import CASES
from tests.cases.case import Case
from tests.ops.attributed import summed
from tests.test_robust import SCALES, scaled
from xaicore.errors import XaicoreError
from xaicore.graph import Builder, Graph
from xaicore.ops import Conv, Dense, Flatten, GlobalAvgPool, MaxPool, ReLU
from xaicore.rules import RULE_SETS

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
BOXED = ("lrp.z_box", "lrp.epsilon_gamma_box")


def settings(rules: str, size: float) -> dict[str, Any]:
    """What a rule set cannot do without: the range of the input."""
    return {"low": -size, "high": size} if rules in BOXED else {}


def wrong(graph: Graph, feeds: dict[str, Any], rules: str, size: float, said: str) -> Iterator[str]:
    """What came out that is no number, or came with a warning, instead of an error of ours."""
    try:
        a = xc.explain(graph, feeds, rules, target=0, **settings(rules, size))
        numbers = {**a.values, **dict(a.layers.items()), "f": a.output, "total": a.total(), "gap": a.gap()}
        for e in a.ledger:
            numbers[f"ledger of {e.node.name}"] = np.asarray([e.arrived, e.passed, e.absorbed])
    except XaicoreError:
        return
    except (Warning, ArithmeticError, ValueError) as error:
        yield f"{said}: {type(error).__name__}: {error}"
        return
    for name, x in numbers.items():
        if not np.isfinite(np.asarray(x, dtype=float)).all():
            yield f"{said}: {name} is not finite"


def asked(k: int, salt: int) -> list[str]:
    """The rule sets for the k-th case: one in turn, or all."""
    names = list(RULE_SETS)
    return names if THOROUGH else [names[(k + salt) % len(names)]]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scale", SCALES)
def test_a_signal_is_a_number_or_an_error(scale: str, dtype: str) -> None:
    size, found = float(SCALES[scale](np.finfo(dtype))), []
    salt = 7 * list(SCALES).index(scale) + (dtype == "float32")
    for k, case in enumerate(CASES):
        if (k + salt) % 2 and not THOROUGH:
            continue
        if not any(case.mask()) or not explained(case):
            continue
        try:
            graph, feeds = summed(case, dtype)
        except XaicoreError:
            continue
        floats = {n: scaled((x,), size)[0] for n, x in feeds.items()}
        for rules in asked(k, salt):
            found += wrong(graph, floats, rules, size, f"{case.id}, {rules}")
    assert found == []


def explained(case: Case) -> bool:
    """Is there a floating input with a batch?"""
    xs = case.draw(np.random.default_rng(0))
    return any(x.dtype.kind == "f" and batched for x, batched in zip(xs, case.sliced()))


def network(size: float = 1.0, dtype: str = "float64", side: int = 4, channels: int = 3, bias: bool = True) -> Graph:
    """conv - relu - max - conv - relu - mean - dense; the weights of the second convolution have ``size`` as their largest entry."""
    rng, b = np.random.default_rng(3), Builder("net", dtype)

    def weight(name: str, *shape: int, largest: float = 1.0) -> str:
        w = 2 * np.floor(32 * rng.standard_normal(shape)) + 1
        with np.errstate(under="ignore"):
            return b.param(name, (w / np.abs(w).max() * largest).astype(dtype))

    def shift(name: str, n: int) -> tuple[str, ...]:
        return (weight(name, n),) if bias else ()

    x = b.input("x", (None, 2, side, side))
    h = b.add(ReLU(), b.add(Conv(pads=((1, 1), (1, 1))), x, weight("w1", channels, 2, 3, 3), *shift("b1", channels)))
    h = b.add(MaxPool((2, 2) if side > 1 else (1, 1)), h)
    h = b.add(ReLU(), b.add(Conv(pads=((1, 1), (1, 1))), h, weight("w2", channels, channels, 3, 3, largest=size), *shift("b2", channels)))
    return b.build(b.add(Dense(), b.add(Flatten(), b.add(GlobalAvgPool(), h)), weight("w3", 2, channels), *shift("b3", 2)))


def image(side: int, dtype: str) -> np.ndarray:
    return (np.random.default_rng(4).integers(-64, 64, (2, 2, side, side)) / 64 + 1 / 128).astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scale", [*SCALES, "one"])
def test_weights_at_the_edge(scale: str, dtype: str) -> None:
    size = 1.0 if scale == "one" else float(SCALES[scale](np.finfo(dtype)))
    graph, x = network(size, dtype), image(4, dtype)
    assert [w for rules in RULE_SETS for w in wrong(graph, {"x": x}, rules, 1.0, rules)] == []
    if scale in ("one", "zero", "tiny"):                                # none of these is an error; 1 over a subnormal number is
        for rules in RULE_SETS:
            xc.explain(graph, x, rules, target=0, **settings(rules, 1.0))


@pytest.mark.parametrize("rules", RULE_SETS)
def test_axes_of_one_entry(rules: str) -> None:
    """One pixel, one channel, one sample: the same as that entry among others."""
    graph, x = network(side=1, channels=1), image(1, "float64")
    both = xc.explain(graph, x, rules, target=0, **settings(rules, 1.0))
    for k in range(2):
        one = xc.explain(graph, x[k:k + 1], rules, target=0, **settings(rules, 1.0))
        assert np.isfinite(one["x"]).all()
        assert np.abs(one["x"][0] - both["x"][k]).max() <= 1e-15 * max(np.abs(both["x"][k]).max(), 1e-300)     # a few roundings


POWERS = {"float64": (-300, -60, 60, 300), "float32": (-30, -10, 10, 30)}
"""Of two: far from what overflows or is subnormal in three layers, and far beyond any threshold in absolute numbers."""
HOMOGENEOUS = {"gradient": 0, "deconvnet": 0, "guided_backprop": 0, "lrp.zero": 1, "lrp.epsilon": 1, "lrp.gamma": 1, "lrp.alpha_beta": 1, "lrp.z_plus": 1,
               "lrp.w_square": 1, "lrp.flat": 1, "lrp.epsilon_plus": 1, "lrp.epsilon_plus_flat": 1, "lrp.epsilon_alpha2_beta1": 1,
               "lrp.epsilon_alpha2_beta1_flat": 1, "lrp.best_practice": 1, "lrp.z_box": 1, "lrp.epsilon_gamma_box": 1, "deep_taylor": 1, "excitation_backprop": 0,
               "deeplift.rescale": 1, "deeplift.reveal_cancel": 1, "deeplift.genomics": 1}
"""Degree in the input, for a network of convolutions and ReLUs without biases."""


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rules", RULE_SETS)
def test_the_size_of_numbers_does_not_matter(rules: str, dtype: str) -> None:
    """R(2^k x) = 2^(k d) R(x), bit for bit: nothing is lost to overflow, underflow or a hidden absolute threshold (those that are settings are 0)."""
    graph, x = network(dtype=dtype, bias=False), image(4, dtype)
    known = xc.METHODS[rules].settings
    free = {"eps": 0} if "eps" in known else {"threshold": 0} if "threshold" in known else {}

    def at(power: int) -> np.ndarray:
        size = float(np.ldexp(1.0, power))
        return np.asarray(xc.explain(graph, np.ldexp(x, power), rules, target=0, **settings(rules, size), **free))

    usual = at(0)
    for power in POWERS[dtype]:
        assert np.array_equal(at(power), np.ldexp(usual, power * HOMOGENEOUS[rules])), f"2^{power}"


def test_every_rule_set_has_a_degree() -> None:
    assert set(HOMOGENEOUS) == set(RULE_SETS)


def test_sums_beyond_the_range_are_errors_too() -> None:
    """Each signal is in range, and what a node absorbed, arrived - passed, is not: found by the thorough run of the first test."""
    case = next(c for c in CASES if c.id == "Sub-second")
    graph, feeds = summed(case, "float64")
    size = float(SCALES["huge"](np.finfo("float64")))
    a = xc.explain(graph, {n: scaled((x,), size)[0] for n, x in feeds.items()}, "lrp.alpha_beta", target=0)
    assert all(np.isfinite(v).all() for v in a.values.values())
    with pytest.raises(XaicoreError, match="f\\(x\\) minus the sum of the attributions leaves the range"):
        a.gap()
    with pytest.raises(XaicoreError, match="absorbed leaves the range"):
        _ = a.absorbed
