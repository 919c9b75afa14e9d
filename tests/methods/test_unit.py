"""One unit taken apart: its messages against loops over the weights, against the whole signal, and exactly on paper-sized networks."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from xaicore.data import digits_images, digits_model
from xaicore.errors import Inapplicable, InputError, UnknownName
from xaicore.graph import Builder, Graph
from xaicore.methods import explain
from xaicore.methods.unit import Unit, dependents, messages, passage_of, unit_of, values_of
from xaicore.ops import Add, AvgPool, BatchNorm, Conv, Dense, Flatten, LayerNorm, MatMul, Maximum, MaxPool, ReLU, Softmax, Tanh
from xaicore.oracle.worked.networks import neuron
from xaicore.rules import RULE_SETS

CLOSE = {"rtol": 1e-9, "atol": 1e-12}
"""Sums of at most some hundred float64 numbers in another order, amplified by denominators that are seldom below 1e-3."""


def network() -> Graph:
    """Convolutions with padding, normalisation, both pools, a skip connection, a maximum of two signals, a table at the end."""
    rng = np.random.default_rng(5)
    b = Builder("small")
    x = b.input("image", (None, 2, 6, 6))
    h = b.add(Conv(pads=((1, 1), (1, 1))), x, b.param("w1", rng.normal(size=(3, 2, 3, 3))), b.param("b1", rng.normal(size=3)), name="conv1")
    stats = [b.param(k, rng.normal(size=3)) for k in ("gamma", "beta", "mean")] + [b.param("var", np.ones(3))]
    h = b.add(ReLU(), b.add(BatchNorm(), h, *stats, name="norm"), name="relu1")
    p = b.add(MaxPool((2, 2)), h, name="pool")
    c = b.add(Conv(pads=((1, 1), (1, 1))), p, b.param("w2", rng.normal(size=(3, 3, 3, 3))), name="conv2")
    s = b.add(Add(), b.add(ReLU(), c, name="relu2"), p, name="skip")
    m = b.add(Maximum(), s, c, name="larger")
    f = b.add(Flatten(), b.add(AvgPool((2, 2), (1, 1)), m, name="average"), name="flat")
    return b.build(b.add(Dense(), f, b.param("w3", rng.normal(size=(4, 12))), b.param("b3", rng.normal(size=4)), name="fc"))


X = np.random.default_rng(6).normal(size=(2, 2, 6, 6))


def explained(method: str, graph: Graph | None = None, x: Any = X, **options: Any) -> Any:
    more = {"low": -5, "high": 5} if method in ("lrp.z_box", "deep_taylor", "lrp.epsilon_gamma_box") else {}
    return explain(network() if graph is None else graph, x, method, target=1, **more, **options)


def some_units(p: Any, name: str) -> list[tuple[int, ...]]:
    """The first, the last, and the three that the most signal reaches."""
    size = abs(np.asarray(p.read(name, p.signals.values[name]))[0])
    flat = {0, size.size - 1, *np.argsort(-size.reshape(-1))[:3]}
    return [tuple(int(i) for i in np.unravel_index(k, size.shape)) for k in sorted(flat)]


@pytest.mark.parametrize("method", [*RULE_SETS, "gradient_x_input", "guided_saliency"])
def test_what_a_unit_received_and_adds_up_is_what_the_engine_has(method: str) -> None:
    """Σ of messages = the signal, Σ x w + b = y, at every node, for every rule set, on the second sample of a batch."""
    p = passage_of(explained(method), 1)
    for name in values_of(p):
        for index in some_units(p, name):
            u = unit_of(p, name, index)
            assert u.y == p.trace[name][(0, *index)]
            start = u.seed if name == p.trace.graph.outputs[0] else 0
            np.testing.assert_allclose(sum((m.amount for m in u.received), start=start), u.signal, **CLOSE)
            if u.kind == "sum":
                np.testing.assert_allclose(sum((t.added for t in u.terms), start=u.bias), u.y, **CLOSE)
            if u.kind == "maximum":
                assert max(t.x for t in u.terms) == u.y


def test_the_whole_signal_is_the_sum_of_all_messages() -> None:
    a = explained("lrp.gamma")
    p = passage_of(a)
    node = next(n for n in p.trace.graph.nodes if n.name == "conv2")
    whole = sum(parts[0] for parts in messages(p, node, range(p.trace["conv2"].size)))
    skip = sum(parts[1] for parts in messages(p, next(n for n in p.trace.graph.nodes if n.name == "skip"), range(27)))
    np.testing.assert_allclose(whole + skip, a.layers["pool"][0], **CLOSE)


def test_messages_of_a_convolution_are_those_of_a_loop_over_its_weights() -> None:
    """R_i<-j = x_i w_ij R_j / (z_j + eps sign z_j), from the parameters and by indices alone."""
    a = explained("lrp.epsilon", eps=0.01)
    p = passage_of(a)
    w, pool, z = network().params["w2"], p.trace["pool"][0], p.trace["conv2"][0]
    for index in some_units(p, "conv2"):
        u = unit_of(p, "conv2", index)
        c, row, column = index
        expected = {}
        for d in range(3):
            for i in range(3):
                for j in range(3):
                    at = (d, row + i - 1, column + j - 1)
                    if 0 <= at[1] < 3 and 0 <= at[2] < 3:
                        expected[at] = pool[at] * w[c, d, i, j] * u.signal / (z[index] + (0.01 if z[index] >= 0 else -0.01))
        got = {t.index: t.passed for t in u.terms}
        assert {k for k, v in expected.items() if v} <= got.keys() <= expected.keys()
        for at, value in got.items():
            np.testing.assert_allclose(value, expected[at], **CLOSE)


def test_on_paper_the_numbers_are_exact() -> None:
    """The neuron 1·1 + (-2)(-1/2) + 3(-1/4) + 1/2 = 7/4, with rationals: 7/4 over 7/4 + 1/4 is 7/8."""
    a = explain(neuron()().astype("exact"), np.array([[Fraction(1), Fraction(-2), Fraction(3)]]), "lrp.epsilon", target=0, eps=Fraction(1, 4))
    p = passage_of(a)
    u = unit_of(p, values_of(p)[0], (0,))
    assert (u.y, u.signal, u.bias, u.kind) == (Fraction(7, 4), Fraction(7, 4), Fraction(1, 2), "sum")
    assert [t.passed for t in u.terms] == [Fraction(7, 8), Fraction(7, 8), Fraction(-21, 32)]
    assert u.absorbed == Fraction(7, 4) - Fraction(7, 8) * (2 - Fraction(3, 4))


def test_products_and_softmax_and_normalisation() -> None:
    rng = np.random.default_rng(9)
    b = Builder("attention")
    x = b.input("x", (None, 3, 4))
    h = b.add(LayerNorm(), x, b.param("g", rng.normal(size=4)), b.param("b", rng.normal(size=4)), name="norm")
    q = b.add(Tanh(), b.add(Dense(), h, b.param("w", rng.normal(size=(3, 4))), name="scores"), name="tanh")
    s = b.add(Softmax(), q, name="weights")
    graph = b.build(b.add(MatMul(), s, h, name="mixed"))
    a = explain(graph, rng.normal(size=(1, 3, 4)), "lrp.epsilon", target=(1, 2))
    p = passage_of(a)
    mixed = unit_of(p, "mixed", (1, 2))
    assert mixed.kind == "product"
    np.testing.assert_allclose(sum(t.added for t in mixed.terms if t.added is not None), mixed.y, **CLOSE)
    np.testing.assert_allclose(mixed.passed, mixed.signal, rtol=1e-5)                # the stabiliser keeps 1e-6 / y of it
    for name, index in (("weights", (1, 0)), ("norm", (2, 2)), ("tanh", (1, 1)), ("x", (0, 3))):
        u = unit_of(p, name, index)
        np.testing.assert_allclose(sum(m.amount for m in u.received), u.signal, **CLOSE)


def test_only_units_that_depend_on_an_entry_are_asked() -> None:
    """A 3 x 3 convolution of one corner entry: the four units whose window holds it, in each channel."""
    p = passage_of(explained("gradient"))
    node = next(n for n in p.trace.graph.nodes if n.name == "conv1")
    found = dependents(p, node, 0, 0)
    assert {np.unravel_index(j, (3, 6, 6))[1:] for j in found} <= {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_a_zero_weight_of_the_flat_rule_is_a_term() -> None:
    b = Builder()
    graph = b.build(b.add(Dense(), b.input("x", (None, 3)), b.param("w", np.array([[1.0, 0.0, 2.0]])), name="y"))
    p = passage_of(explain(graph, np.ones((1, 3)), "lrp.flat", target=0))
    assert [t.passed for t in unit_of(p, "y", (0,)).terms] == [1.0, 2.0 - 1.0, 1.0]
    assert [m.amount for m in unit_of(p, "x", (1,)).received] == [1.0]


def test_targets_of_a_batch_and_own_rule_sets() -> None:
    images, _ = digits_images()
    a = explain(digits_model(), images[:3], "lrp.epsilon", target=[3, 1, 4])
    for n, t in enumerate([3, 1, 4]):
        u: Unit = unit_of(passage_of(a, n), "logits", (t,))
        np.testing.assert_allclose(u.signal, a.output[n], **CLOSE)
    own = RULE_SETS["lrp.zero"]()
    b = explain(digits_model(), images[:1], own)
    assert unit_of(passage_of(b, rules=own), "image", (0, 3, 3)).signal == np.asarray(b)[0, 0, 3, 3]


def test_refusals_say_what_to_do() -> None:
    p = passage_of(explained("gradient"))
    with pytest.raises(InputError, match=r"conv2\[0,0,0\] to conv2\[2,2,2\]"):
        unit_of(p, "conv2", (3, 0, 0))
    with pytest.raises(UnknownName, match="did you mean|conv2"):
        unit_of(p, "conv3", (0, 0, 0))
    with pytest.raises(Inapplicable, match="not one backward pass of a rule set"):
        passage_of(explained("occlusion", window=2))
