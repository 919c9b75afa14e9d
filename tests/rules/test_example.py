"""The helper of the worked examples shows what a rule gives: six decimals, no -0.0, relevance 1 and no bias unless said."""

from __future__ import annotations

from xaicore.rules.example import neuron, product
from xaicore.rules.ruleset import Rule

WHOLE = Rule("whole", lambda step, r: (r * step.y + step.xs[0] * 0, None, None))
THIRDS = Rule("thirds", lambda step, r: tuple(r * x / 3 for x in step.xs))


def test_a_neuron():
    assert neuron(WHOLE, [2, 3], [5, 7]) == [31, 31]                    # 2 * 5 + 3 * 7, no bias, relevance 1
    assert neuron(WHOLE, [2, 3], [5, 7], 4, r=2) == [70, 70]
    assert neuron(Rule("none", lambda step, r: (None, None, None)), [1], [1]) == []


def test_rounded_to_six_decimals():
    assert repr(neuron(Rule("third", lambda step, r: (r / 3 * step.xs[0],)), [1, -1e-9], [1, 1])) == "[0.333333, 0.0]"
    assert repr(product(THIRDS, 2, -1e-9)) == "[0.666667, 0.0]"


def test_a_product():
    assert product(THIRDS, 3, 6) == [1, 2]
    assert product(THIRDS, 3, 6, relevance=2) == [2, 4]
    assert product(Rule("second", lambda step, r: (None, step.y * r)), 3, 6) == [18]
