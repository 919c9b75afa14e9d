"""ROAR where theory gives everything: the Bayes rate of cues, why no order beats the oracle's, and a training that attains it exactly."""

from fractions import Fraction as F
from itertools import combinations, permutations, product

import numpy as np
import pytest

from benchmarks.roar_graded import COUNTS, PIXELS, RELIABILITIES, area, bayes, by_chance, theory
from tests.nets import mlp
from xaicore.methods import explain
from xaicore.metrics.roar import Data, retrain
from xaicore.metrics.train import Sgd, train

CUES = (F(4, 5), F(3, 4), F(2, 3))
IDLE = 2
"""Pixels behind the cues that tell nothing."""


def rate_written_out(cues):
    """P(the likelier label is right), pattern by pattern, for a label that is 0 or 1 as often."""
    total = F(0)
    for pattern in product((0, 1), repeat=len(cues)):
        joint = [F(1, 2), F(1, 2)]
        for q, seen in zip(cues, pattern):
            joint = [p * (q if seen == y else 1 - q) for y, p in enumerate(joint)]
        total += max(joint)
    return total


def test_the_rate_of_independent_cues():
    """One cue: q. Two: the better one. Three of one reliability q: the majority, q³ + 3 q² (1 - q). In rationals against the sum written out."""
    assert bayes(()) == 0.5
    assert bayes((F(3, 4),)) == F(3, 4)
    assert bayes((F(3, 4), F(2, 3))) == F(3, 4)
    q = F(3, 4)
    assert bayes((q, q, q)) == q**3 + 3 * q**2 * (1 - q) == F(27, 32)
    for n in range(6):
        some = tuple(F(k + 6, 12) for k in range(n))
        assert bayes(some) == rate_written_out(some)
    assert bayes(CUES) == rate_written_out(CUES) == F(24 + 12 + 8 + 6, 60)   # odds 4, 3, 2: two that agree outvote the third


def test_more_cues_and_better_cues_never_tell_less():
    """The two steps of the proof, in rationals, for all subsets of five cues; and the coin that makes the worse cue of the better one."""
    cues = tuple(F(k, 20) for k in (18, 16, 15, 13, 11))
    for size in range(len(cues)):
        for kept in combinations(cues, size):
            for more in cues:
                if more not in kept:
                    assert bayes((*kept, more)) >= bayes(kept)
            for j, q in enumerate(kept):
                for worse in (c for c in cues if c < q):
                    coin = (q - worse) / (2 * q - 1)
                    assert 0 <= coin <= 1
                    assert q * (1 - coin) + (1 - q) * coin == worse
                    assert bayes((*kept[:j], worse, *kept[j + 1:])) <= bayes(kept)


def test_no_order_beats_the_oracle():
    """All 5040 orders of five cues and two idle pixels: the oracle's curve is the lowest at every count, its area the smallest, and every
    order with as small an area begins with the same cue and has the least reliable one behind it. Kept instead of removed: the largest."""
    cues = tuple(F(k, 20) for k in (18, 16, 15, 13, 11))
    rates = {kept: bayes(tuple(cues[j] for j in kept)) for size in range(6) for kept in combinations(range(5), size)}

    def curve(order):
        return [rates[tuple(j for j in range(5) if j in order[n:])] for n in range(8)]

    oracle, areas = curve(range(7)), []
    for order in permutations(range(7)):
        found = curve(order)
        assert all(a >= b for a, b in zip(found, oracle))
        areas.append((sum(found), order))
    best = min(areas)[0]
    assert best == sum(oracle)
    firsts = {order[:2] for total, order in areas if total == best}
    assert firsts == {(0, 1)}
    keeping = [sum(curve(order[::-1])) for _, order in areas]          # kept last is removed first, from behind
    assert max(keeping) == sum(curve(range(6, -1, -1)))


def test_orders_by_chance():
    """The expected curve is the mean over all orders: 5! of three cues and two idle pixels."""
    q = tuple(float(v) for v in CUES)
    every = [theory(order, range(3), q, range(6)) for order in permutations(range(5))]
    np.testing.assert_allclose(by_chance(q, 5, range(6)), np.mean(every, axis=0), rtol=1e-14)


def test_the_experiment_of_the_page():
    """Its numbers: chance when all twelve cues are gone, the oracle's area below that by chance and below each swap of two neighbours."""
    cues = list(range(20, 32))
    rest = [p for p in range(PIXELS) if p not in cues]
    oracle = theory([*cues, *rest], cues, RELIABILITIES)
    assert oracle[COUNTS.index(12)] == oracle[-1] == 0.5
    assert np.all(np.diff(oracle) <= 0)
    assert area(oracle) < area(by_chance(RELIABILITIES)) - 0.2
    for j in range(12):
        order = [*cues[:j], rest[0], *cues[j:], *rest[1:]]             # an idle pixel too early
        assert area(theory(order, cues, RELIABILITIES)) > area(oracle)


def balanced():
    """All patterns as often as their probability says: 60 images of each label, and the idle pixels in all four states of each."""
    rows, labels = [], []
    for y in (0, 1):
        for pattern in product((0, 1), repeat=len(CUES)):
            times = 60 * np.prod([q if seen == y else 1 - q for q, seen in zip(CUES, pattern)])
            assert times.denominator == 1
            for idle in product((-1.0, 1.0), repeat=IDLE):
                rows += [[*(2.0 * seen - 1 for seen in pattern), *idle]] * int(times)
                labels += [y] * int(times)
    return np.array(rows), np.array(labels)


def test_training_attains_the_theory():
    """A balanced design: the log-odds of independent cues are linear, so a linear softmax finds the Bayes rule, and its accuracies are the
    rates as fractions, after every removal, for the oracle, the reverse, and what the gradient of the trained model says."""
    x, y = balanced()
    linear = mlp([np.zeros((2, len(CUES) + IDLE))], [np.zeros(2)])

    def fit(graph, a, b, seed, epochs=80):
        return train(graph, a, b, optimizer=Sgd(0.5, 0.9), epochs=epochs, batch=len(a), schedule="constant", seed=seed)

    model = fit(linear, x, y, 0, 300)                                   # from zeros: what both logits share cannot be learned, and shows in the gradient
    weights = (model.params["w1"][1] - model.params["w1"][0])[:3]
    np.testing.assert_allclose(weights, [np.log(q / (1 - q)) for q in map(float, CUES)], atol=1e-6)   # what 300 steps leave
    gradient = np.asarray(explain(model, x, "gradient", y))
    oracle = np.broadcast_to(np.arange(5.0, 0, -1), x.shape)
    maps = {"oracle": (oracle, oracle), "reverse": (6 - oracle, 6 - oracle), "gradient": (gradient, gradient)}
    shares = [k / 5 for k in range(6)]
    done = retrain(linear, Data(x, y, x, y), maps, shares, trainer=fit, per="set")
    orders = {"oracle": [0, 1, 2, 3, 4], "reverse": [4, 3, 2, 1, 0], "gradient": [0, 1, 2, 3, 4]}
    for label, order in orders.items():
        want = [bayes(tuple(q for j, q in enumerate(CUES) if j not in order[:n])) for n in range(6)]
        assert done.curves[label].tolist() == pytest.approx([float(v) for v in want], abs=1e-12), label
    assert done.areas["oracle"] == done.areas["gradient"] < done.areas["reverse"]


@pytest.mark.thorough
def test_the_digits():
    """Four repeats of the page's experiment: the oracle first, random last, every accuracy within five standard errors and 2 % of theory."""
    from benchmarks.roar_graded import study

    s = study(4, ("gradient_x_input", "occlusion"), seed=7)
    assert s.order[0] == "oracle"
    assert s.order[-1] == "random"
    for k in s.order:
        assert (s.expected[k] >= s.expected["oracle"] - 1e-12).all()
        gaps = s.curves[k] - s.theories[k]
        assert gaps.max() < 5 * 0.5 / s.tested**0.5
        assert gaps.min() > -5 * 0.5 / s.tested**0.5 - 0.02           # what 5388 training images do not teach
