"""The tables of conventions: every setting and every value that is searched exists, profiles name what exists, promises are kept.

The fifteen conventions on which honest libraries differ most are in test_conventions_lrp, _gradients, _maps and _perturb.
"""

import numpy as np
import pytest

import xaicore as xc
from tests.oracle.theirs import A, map_net
from xaicore import Builder
from xaicore.errors import XaicoreError
from xaicore.methods.table import METHODS
from xaicore.ops import Add, AvgPool, Conv, Dense, Flatten, ReLU
from xaicore.oracle.axes import choices
from xaicore.oracle.profiles import ENTRIES
from xaicore.oracle.vectors import vectors


def test_only_settings_that_methods_have_are_searched():
    for method, setting, value in choices():
        assert setting in METHODS[method].settings or setting in ("output", "layer"), (method, setting)
        default = METHODS[method].settings.get(setting, "logit")
        assert value is None or default is None or isinstance(value, (type(default), int, float, str)), (method, setting, value)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.peer} {e.method} {e.ours}")
def test_profiles_name_settings_that_exist(entry):
    row = METHODS[entry.ours]
    assert set(entry.settings) <= {*row.settings, "output"}
    assert not entry.versions or isinstance(entry.covers("0.9.0"), bool)
    assert not entry.vector or entry.vector in {v.id for v in vectors()}


def test_every_value_that_is_searched_is_taken():
    """A value that a method refuses for its name would be searched in vain."""
    g = map_net()
    x = np.kron(A, np.ones((1, 2, 2)))[None]
    for method, setting, value in choices():
        if setting in ("steps", "samples") or method == "lrp.z_box":
            continue
        settings = {"window": 2} if method == "occlusion" else {"mask": 2, **({"samples": 40} if "samples" in METHODS[method].settings else {})} \
            if "mask" in METHODS[method].settings else {}
        settings |= {"low": -1, "high": 4} if "low" in METHODS[method].settings else {}
        settings |= {"samples": 2} if method in ("smoothgrad", "smoothgrad_squared", "vargrad") else {}
        settings |= {"lasso": 0} if setting == "ridge" else {"ridge": 0} if setting == "lasso" else {}
        settings |= {"layer": "a", "neuron": 0} if (method, value) in [("conductance", v) for v in ("trapezoid_captum", "gauss_legendre")] else {}
        try:
            xc.explain(g, x, method, **settings, **{setting: value})
        except XaicoreError as error:
            refused = str(error)
            if "does not exist" in refused or "no setting" in refused:
                raise


GIVEN_UP = [("lrp.alpha_beta", {"bias": "whole"}), ("lrp.epsilon", {"sums": "repeat"}), ("lrp.w_square", {"variant": "with-bias"}),
            ("lrp.flat", {"layer_eps": 0.1}), ("lrp.epsilon", {"averages": "uniform"}), ("lrp.epsilon", {"start": "ones"}),
            ("lrp.epsilon", {"batchnorm": "pass"}), ("deeplift.rescale", {"pool": "winner"})]


@pytest.mark.parametrize(("method", "settings"), GIVEN_UP)
def test_a_convention_promises_no_axiom_that_it_gives_up(method, settings):
    """The skip network of the residual sum, with an average pool: nothing that is promised is broken."""
    b = Builder()
    x = b.input("x", (None, 1, 4))
    h = b.add(ReLU(), b.add(Conv((1,)), x, b.param("w", [[[1.5]]]), b.param("b", [0.25])))
    pooled = b.add(Flatten(), b.add(AvgPool((2,), (2,)), b.add(Add(), h, x)))
    g = b.build(b.add(Dense(), pooled, b.param("v", [[1.0, -0.5], [0.5, 2.0]]), b.param("c", [0.5, -0.25])))
    report = xc.check(g, np.array([[[1.0, 3.0, 2.0, 5.0]], [[-1.0, 2.0, 0.5, 1.0]]]), methods=[method], settings={method: settings})
    assert not report.broken, str(report)
