"""The printed arithmetic of a unit, worked out again from its text, is the stored number; rules are written out and not only as shares."""

from __future__ import annotations

import pytest

from tests.methods.test_unit import explained, some_units
from xaicore.methods.unit import passage_of, unit_of, values_of
from xaicore.rules import RULE_SETS
from xaicore.show.arithmetic import backward, calculated, forward, gathered, largest, symbols

WRITTEN = ("lrp.zero", "lrp.epsilon", "lrp.gamma", "lrp.alpha_beta", "lrp.z_plus", "lrp.w_square", "lrp.flat", "gradient",
           "guided_backprop", "deconvnet", "lrp.epsilon_plus", "lrp.epsilon_plus_flat", "lrp.epsilon_alpha2_beta1", "deeplift.rescale")
"""Rule sets whose rules at weighted layers are written with all their numbers."""
SETTINGS = [("lrp.epsilon", {"bias": "ignore"}), ("lrp.gamma", {"variant": "original"}), ("lrp.gamma", {"bias": "ignore", "gamma": 1}),
            ("lrp.gamma", {"bias": "whole"}), ("lrp.alpha_beta", {"bias": "ignore", "alpha": 1.5}), ("lrp.alpha_beta", {"bias": "whole"}),
            ("lrp.z_plus", {"layer_eps": 0.01}), ("lrp.epsilon", {"bias": "distribute"}), ("lrp.epsilon", {"stabilizer": "plain"})]


@pytest.mark.parametrize(("method", "settings"), [*((m, {}) for m in RULE_SETS), *SETTINGS])
def test_the_text_evaluates_to_the_number(method: str, settings: dict[str, object]) -> None:
    p = passage_of(explained(method, **settings))
    for name in values_of(p):
        for index in some_units(p, name):
            u = unit_of(p, name, index)
            scale = max([abs(t.passed) for t in u.terms] + [abs(u.signal)])
            for digits, error in ((17, 1e-9), (6, 2e-4)):              # 6 digits: 5e-7 each of ten numbers, and sums of large terms in z
                for line in backward(u, digits):
                    assert calculated(line.expression) == pytest.approx(line.value, rel=error, abs=error * scale)
                for line in (*forward(u, digits), *gathered(u, digits)):
                    assert calculated(line.expression) == pytest.approx(line.value, rel=1e-5)
            if method in WRITTEN and not settings and name in ("conv1", "conv2", "fc", "relu1", "relu2"):
                assert all(line.written for line in backward(u)), (name, index)
                assert symbols(u)


def test_a_wrong_formula_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a formula that is off by a thousandth gives way to the share, which is right."""
    from xaicore.show import arithmetic

    right = arithmetic._in_numbers
    monkeypatch.setattr(arithmetic, "_in_numbers", lambda u, t, *rest: f"{right(u, t, *rest)} * 1.001")
    p = passage_of(explained("lrp.epsilon"))
    u = unit_of(p, "fc", (1,))
    assert not any(line.written for line in backward(u) if line.value)
    for line in backward(u, 17):
        assert calculated(line.expression) == pytest.approx(line.value)


def test_the_largest_and_the_rest_add_up() -> None:
    u = unit_of(passage_of(explained("lrp.epsilon")), "fc", (1,))
    shown, left, rest = largest(backward(u), 5)
    assert (len(shown), left) == (5, len(u.terms) - 5)
    assert abs(shown[0].value) == max(abs(t.passed) for t in u.terms)
    assert sum(one.value for one in shown) + rest == pytest.approx(u.passed)
    assert largest(backward(u), None)[1] == 0


@pytest.mark.parametrize("text", ["__import__('os')", "a", "1 ** 9", "(1", ""])
def test_only_arithmetic_is_calculated(text: str) -> None:
    with pytest.raises(ValueError, match="arithmetic"):
        calculated(text)
