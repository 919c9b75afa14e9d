"""Every metric against a second implementation: the definition as loops (``xaicore/oracle/twins/metrics*.py``)."""

import numpy as np
import pytest

from tests.metrics.subjects import digit, features, linear, picture
from xaicore.metrics import METRICS
from xaicore.metrics.roar import Data
from xaicore.metrics.train import Sgd, train
from xaicore.oracle.twins.metrics_again import METRIC_TWINS

TRUTH = np.array([[0, 0, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]])
FIXED = np.stack([np.roll(TRUTH * np.arange(1, 7), k, axis=1) for k in range(3)])
HUMAN = np.random.default_rng(3).random((3, 5, 6))
ORTHOGONAL = np.arange(30).reshape(5, 6) // 4


def few(graph, x, y, seed):
    return train(graph, x, y, optimizer=Sgd(0.1), epochs=2, batch=8, seed=seed)


def data():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(40, 6))
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 1)
    return Data(x[:30], y[:30], x[30:], y[30:])


SETTINGS = {
    "faithfulness.correlation": {"samples": 12}, "monotonicity.correlation": {"samples": 2}, "sensitivity_n": {"sizes": [1, 3, 5], "samples": 8},
    "infidelity": {"samples": 6}, "pixel_flipping": {"steps": 7}, "deletion": {"steps": 100}, "insertion": {"steps": 7, "baseline": 0.0},
    "region_perturbation": {"window": 2, "regions": 3, "seed": 4}, "selectivity": {"window": 2}, "irof": {"segments": ORTHOGONAL}, "road": {"shares": (0.2, 0.6)},
    "non_sensitivity": {"samples": 2}, "sufficiency": {"threshold": 7.0}, "consistency": {"n": 2},
    "local_lipschitz": {"samples": 3}, "sensitivity.max": {"samples": 3, "radius": 0.3}, "sensitivity.avg": {"samples": 3, "radius": 0.3}, "continuity": {"shifts": 2},
    "stability.input": {"samples": 4}, "stability.output": {"samples": 4}, "mprt.smooth": {"samples": 2}, "csc": {"samples": 3},
    **{k: {"truth": TRUTH} for k, row in METRICS.items() if "truth" in row.needs}, **{k: {"fixations": FIXED} for k, row in METRICS.items() if "fixations" in row.needs},
    **{k: {"human": HUMAN} for k, row in METRICS.items() if "human" in row.needs},
    "fixation.auc_borji": {"fixations": FIXED, "splits": 5}, "fixation.auc_shuffled": {"fixations": FIXED, "splits": 5},
}
ONLY_FEATURES = {"input_invariance", "roar", "kar"}
FEATURES_TOO = ("faithfulness.correlation", "faithfulness.estimate", "monotonicity", "monotonicity.correlation", "sensitivity_n", "infidelity", "pixel_flipping",
                "selectivity", "effective_complexity", "completeness", "non_sensitivity", "sufficiency", "consistency", "local_lipschitz", "mprt", "csc",
                "sparseness", "entropy", "stability.output")


def compare(id, s, settings, more=None):
    twin = METRIC_TWINS[id](s, **settings)
    got = METRICS[id].run(s, **settings, **(more or {})).values
    assert got.shape == (s.size,)
    # sums of at most a few hundred terms in double precision, in another order; correlations of small spreads lose up to four digits
    np.testing.assert_allclose(got, twin, rtol=1e-9, atol=1e-10, equal_nan=True)
    return got


@pytest.mark.parametrize("id", sorted(set(METRICS) - ONLY_FEATURES - {"pic.sic", "pic.aic", "stability.representation"}))
def test_pictures(id):
    """Two channels, 5 x 6."""
    n = 3 if {"human", "fixations"} & set(METRICS[id].needs) else 2
    assert not np.isnan(compare(id, picture(n=12 if "batch" in METRICS[id].needs else n), SETTINGS.get(id, {}))).all()


@pytest.mark.parametrize("id", FEATURES_TOO)
def test_features(id):
    settings = {k: v for k, v in SETTINGS.get(id, {}).items() if k != "window"}
    assert not np.isnan(compare(id, features(n=12 if "batch" in METRICS[id].needs else 3), settings)).all()


def test_road_measured_by_f():
    """An accuracy does not see the weights of the imputation; f does."""
    compare("road", picture(n=2), {"shares": (0.2, 0.6, 1.0), "measure": "f"})


@pytest.mark.parametrize(("weights", "expected"), [((1, 2, 3), 1), ((-1, 2, 3), 1), ((1, 0, 3), 1), ((1, -1, 3), 0)])
def test_monotonicity_of_rising_curves(weights, expected):
    """f(x0) is not compared; a step without change is no fall."""
    assert compare("monotonicity", linear(weights, (1, 1, 1), a=(1, 2, 3)), {})[0] == expected


def test_representation():
    compare("stability.representation", features(n=3), {"layer": "relu1", "samples": 3})
    s = features(n=2)
    assert METRICS["stability.representation"].run(s, samples=2).values.tolist() == METRICS["stability.representation"].run(s, layer="relu1", samples=2).values.tolist()


def test_input_invariance():
    compare("input_invariance", features(n=3), {"shift": -1.0})


@pytest.mark.parametrize("id", ["roar", "kar"])
def test_retraining(id):
    s = features("gradient", n=2)
    assert 0 < compare(id, s, {"data": data(), "shares": (0.0, 0.34, 0.67), "trainer": few})[0] < 1


@pytest.mark.parametrize("id", ["pic.sic", "pic.aic"])
def test_information_curves(id):
    got = compare(id, digit(n=3), {"thresholds": (0.05, 0.2, 0.5), "keep": 0.05})
    assert not np.isnan(got).all()


def test_a_planted_bug_is_found(monkeypatch):
    """The comparison notices a curve whose start is left out."""
    from xaicore.metrics import curves

    original = curves.counts_of
    monkeypatch.setattr(curves, "counts_of", lambda total, steps: original(total, steps)[1:])
    with pytest.raises(AssertionError):
        compare("pixel_flipping", features(n=2), {"steps": 6})


@pytest.mark.thorough
@pytest.mark.parametrize("id", sorted(set(METRICS) - ONLY_FEATURES - {"pic.sic", "pic.aic", "stability.representation", "mprt.smooth"}))
@pytest.mark.parametrize("method", ["gradient", "lrp.epsilon", "integrated_gradients", "occlusion"])
def test_more_methods_and_networks(id, method):
    own = {"window": 2} if method == "occlusion" else {}
    for seed in range(2, 5):
        s = picture(method, n=8 if "batch" in METRICS[id].needs else 3, seed=seed, **own)
        compare(id, s, SETTINGS.get(id, {}))
