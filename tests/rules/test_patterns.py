"""Patterns by loops over samples and places: every kind of layer, both estimators, exactly; and what the rules make of them."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pytest

from tests.nets import close
from xaicore import Builder
from xaicore.errors import InputError
from xaicore.ops import BatchNorm, Conv, ConvTranspose, Dense, Flatten, ReLU
from xaicore.rules.patterns import fit_patterns, pattern_attribution, patternnet, through_pattern
from xaicore.trace import backward, forward


def whole(rng, *shape):
    return np.vectorize(F, otypes=[object])(rng.integers(-3, 4, shape))


LAYERS = {
    "dense": (Dense(), (3,), (2, 3)),
    "conv": (Conv(), (2, 4), (3, 2, 2)),
    "grouped": (Conv(groups=2), (4, 3), (6, 2, 2)),
    "transposed": (ConvTranspose(stride=(2,)), (2, 3), (2, 3, 2)),       # stride and kernel 2: every place is written once
    "transposed, grouped": (ConvTranspose(stride=(2, 2), groups=2), (4, 2, 1), (4, 3, 2, 2)),
}


def wires(op, w, size):
    """output unit -> the weights that it reads x through, as (place in w, place in x): one list for each place where it stands."""
    if isinstance(op, Dense):
        return {o: [[((o, i), (i,)) for i in range(w.shape[1])]] for o in range(len(w))}
    spatial = list(np.ndindex(*size[1:]))
    taps = list(np.ndindex(*w.shape[2:]))
    found = {}
    if isinstance(op, Conv):
        per = len(w) // op.groups
        for o in range(len(w)):
            at = [p for p in spatial if all(a + k <= n for a, k, n in zip(p, w.shape[2:], size[1:]))]
            found[o] = [[((o, c, *k), (o // per * w.shape[1] + c, *(a + b for a, b in zip(p, k)))) for c in range(w.shape[1])
                         for k in taps] for p in at]
        return found
    rows, outputs = len(w) // op.groups, w.shape[1]
    for g in range(op.groups):                                          # no overlap: an output reads one place of x
        for o in range(outputs):
            found[g * outputs + o] = [[((g * rows + c, o, *k), (g * rows + c, *p)) for c in range(rows)] for p in spatial for k in taps]
    return found


def by_loops(op, w, x, estimator):
    """Means over all samples and places, one output unit after the other. A transposed layer's unit reads other weights at each tap."""
    found = np.full(w.shape, F(0), object)
    for places in wires(op, w, x.shape[1:]).values():
        ys, terms = [], []
        for n in range(len(x)):
            for one in places:
                y = sum(w[i] * x[(n, *at)] for i, at in one)
                ys.append(y)
                terms.append((y, {i: x[(n, *at)] for i, at in one}))
        kept = [(y, xs) for y, xs in terms if estimator == "linear" or y > 0]
        mean = sum(ys, F(0)) / len(ys)
        cov = {}
        for y, xs in kept:
            for i, v in xs.items():
                cov[i] = cov.get(i, F(0)) + v * y / len(kept) - v * mean / len(kept)
        scale = sum((w[i] * c for i, c in cov.items()), F(0))
        for i, c in cov.items():
            found[i] = c / scale if scale else F(0)
    return found


@pytest.mark.parametrize("estimator", ["linear", "relu"])
@pytest.mark.parametrize("kind", LAYERS)
def test_equals_the_loops(kind, estimator):
    op, size, shape = LAYERS[kind]
    rng = np.random.default_rng(3)
    w, x = whole(rng, *shape), whole(rng, 5, *size)
    b = Builder("net", "exact")
    outputs = shape[1] * op.groups if isinstance(op, ConvTranspose) else shape[0]
    graph = b.build(b.add(op, b.input("x", (None, *size)), b.param("w", w), b.param("b", whole(rng, outputs)), name="layer"))
    fitted = fit_patterns(graph, x, estimator)
    assert fitted["layer"].tolist() == by_loops(op, w, x, estimator).tolist()
    assert (fitted.estimator, fitted.samples) == (estimator, 5)
    assert (np.array(by_loops(op, w, x, estimator)) != 0).any()


def test_an_output_of_zero_is_not_positive():
    """w = (1, -1): y = 1, 1, 0; over y > 0 E[x y] = E[x] = (3/2, 1/2), E[y] = 2/3 over all: a ~ (1/2, 1/6), scaled to w a = 1."""
    b = Builder("net", "exact")
    graph = b.build(b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[1, -1]]), name="layer"))
    assert fit_patterns(graph, [[1, 0], [2, 1], [1, 1]])["layer"].tolist() == [[F(3, 2), F(1, 2)]]


def test_two_samples_have_a_covariance_and_one_has_none():
    b = Builder()
    graph = b.build(b.add(Dense(), b.input("x", (None, 1)), b.param("w", [[2.0]]), name="layer"))
    assert fit_patterns(graph, np.array([[1.0], [2.0]]))["layer"].tolist() == [[0.5]]
    with pytest.raises(InputError, match="one sample has none"):
        fit_patterns(graph, np.array([[1.0]]))


def test_the_rules_go_through_a_or_w_a_and_fold_batchnorm():
    """conv + BatchNorm, ReLU, dense: f carried down by hand through the patterns of the folded layers."""
    rng = np.random.default_rng(0)
    b = Builder()
    stats = [b.param(k, v) for k, v in zip("gbmv", ([-2.0, 3.0], [0.5, -0.5], [1.0, 0.0], [4.0, 0.25]))]
    h = b.add(Conv(), b.input("x", (None, 1, 3)), b.param("w", rng.normal(size=(2, 1, 2))), name="conv")
    h = b.add(Flatten(), b.add(ReLU(), b.add(BatchNorm(eps=0.0), h, *stats), name="relu"))
    graph = b.build(b.add(Dense(), h, b.param("top", rng.normal(size=(1, 4))), name="fc"))
    fitted = fit_patterns(graph, rng.normal(size=(9, 1, 3)))
    x = rng.normal(size=(1, 1, 3))
    folded = graph.params["w"] * (np.array([-2.0, 3.0]) / np.sqrt([4.0, 0.25]))[:, None, None]
    for rules, times in ((patternnet, False), (pattern_attribution, True)):
        ready = rules(fitted).prepare(graph)
        trace = forward(ready, {"x": x})
        found = backward(trace, rules(fitted).plan(ready), {ready.outputs[0]: trace[ready.outputs[0]]}).values["x"]
        s = (fitted["fc"] * (graph.params["top"] if times else 1))[0] * float(graph(x)[0, 0])
        s = s.reshape(2, 2) * (trace["relu"][0] > 0)
        a = fitted["conv"] * (folded if times else 1)
        expected = [sum(a[c, 0, k - p] * s[c, p] for c in range(2) for p in range(2) if 0 <= k - p < 2) for k in range(3)]
        assert close(found[0, 0], expected)


def test_labels():
    b = Builder()
    fitted = fit_patterns(b.build(b.add(Dense(), b.input("x", (None, 1)), b.param("w", [[1.0]]), name="fc")), np.array([[1.0], [2.0]]))
    assert [through_pattern(fitted, t).label for t in (True, False)] == ["w * pattern", "pattern"]
