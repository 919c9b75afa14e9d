"""Parameters that are given as whole numbers are the numbers that they are: no rule takes a part of them that is rounded off."""

from fractions import Fraction as F

import numpy as np
import pytest

import xaicore as xc
from xaicore import Builder
from xaicore.ops import BatchNorm, Conv, Dense, Flatten, Mul, ReLU
from xaicore.rules import RULE_SETS

BOX = {"low": -3, "high": 3}
OTHERS = {"clrp": {}, "pattern_attribution": {"background": np.random.default_rng(3).normal(size=(9, 2, 3, 3))},
          "fullgrad": {}, "deep_shap": {}}
OWN = {"lrp.z_box": BOX, "lrp.epsilon_gamma_box": BOX}
IDS = [*(k for k in RULE_SETS if k in xc.METHODS), *OTHERS]


def network(kind, dtype="float64"):
    """Convolution, batch normalisation (not in exact mode), ReLU, a scale, two dense layers."""
    rng, b = np.random.default_rng(1), Builder(dtype=dtype)

    def of(name, values):
        return b.param(name, np.vectorize(F, otypes=[object])(values) if kind is F else np.asarray(values).astype(kind))

    h = b.add(Conv(), b.input("x", (None, 2, 3, 3)), of("k", rng.integers(-3, 4, (3, 2, 2, 2))), of("c", rng.integers(-3, 4, 3)))
    if dtype != "exact":
        h = b.add(BatchNorm(), h, *(of(k, v) for k, v in (("gamma", [1, 2, 3]), ("beta", [1, 0, -1]), ("mean", [2, 1, 0]), ("var", [3, 4, 5]))))
    h = b.add(Flatten(), b.add(Mul(), b.add(ReLU(), h), of("s", [[[[2]], [[1]], [[3]]]])))
    h = b.add(ReLU(), b.add(Dense(), h, of("w", rng.integers(-3, 4, (6, 12))), of("b", [1, 2, 0, 1, 0, 3])))
    return b.build(b.add(Dense(), h, of("v", rng.integers(1, 4, (3, 6)))))


@pytest.mark.parametrize("method", IDS)
def test_whole_numbers(method):
    x, own = np.random.default_rng(0).integers(-4, 5, (2, 2, 3, 3)), {**OWN.get(method, {}), **OTHERS.get(method, {})}
    for kind, dtype in ((float, "float64"), (F, "exact")):
        if dtype == "exact" and method == "pattern_attribution":
            own = {"background": np.random.default_rng(3).integers(-4, 5, (9, 2, 3, 3))}
        a, b = (np.asarray(xc.explain(network(k, dtype), x, method, target=1, **own)) for k in (kind, int))
        assert np.abs(a).max() > 0
        # the same sums in the same order; the products of whole numbers may be rounded otherwise
        assert np.abs(a - b).max() <= (0 if dtype == "exact" else 1e-12 * np.abs(a).max())
