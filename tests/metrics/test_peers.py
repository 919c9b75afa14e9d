"""Our metrics beside captum's and Quantus': what agrees, and each disagreement with its class. Needs the peers; skipped without."""

import contextlib
import io
import warnings

import numpy as np
import pytest

import xaicore as xc
from xaicore.metrics import METRICS, subject

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.thorough, pytest.mark.filterwarnings("ignore")]
X = np.random.default_rng(0).random((4, 1, 6, 6))
Y = np.array([0, 1, 2, 0])
TRUTH = np.zeros((4, 1, 6, 6))
TRUTH[:, :, 1:4, 2:5] = 1


class Net(torch.nn.Module):
    """In double precision inside, whatever comes in: Quantus makes float32 of its inputs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3)).double().eval()

    def forward(self, x):
        return self.net(x.double())


NET = Net().eval()


def gradient_x_input(model, inputs, targets, **unused):
    with torch.enable_grad():
        x = torch.tensor(np.asarray(inputs), dtype=torch.float64, requires_grad=True)
        f = model(x)[torch.arange(len(x)), torch.tensor(np.asarray(targets))].sum()
        return (torch.autograd.grad(f, x)[0] * x).detach().numpy()


@pytest.fixture(scope="module")
def ours():
    return subject(xc.from_model(NET.net, (torch.tensor(X),)), X, "gradient_x_input", Y.tolist())


def quantus_says(name, **settings):
    quantus = pytest.importorskip("quantus")
    setattr(np, "trapz", np.trapezoid)                                  # noqa: B010  Quantus 0.6.0 calls it, NumPy 2.4 has no such name
    try:
        metric = getattr(quantus, name)(**{"disable_warnings": True, "normalise": False, "abs": False, **settings})
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return metric(model=NET, x_batch=X, y_batch=Y, a_batch=gradient_x_input(NET, X, Y), s_batch=TRUTH.astype(bool), device="cpu",
                          explain_func=gradient_x_input, softmax=False)
    finally:
        delattr(np, "trapz")


def from_start(curves, s, cells):
    """A Quantus curve begins after the first step: with f(x) in front, the area over [0, 1]."""
    return [np.trapezoid([f, *c]) / cells for f, c in zip(s.task.result, curves)]


SAME = {
    "Sparseness": ("sparseness", {}, {"abs": True}, None, 1e-5),        # 1e-7 is added to every entry
    "Complexity": ("entropy", {}, {"abs": True}, None, 1e-9),
    "EffectiveComplexity": ("effective_complexity", {"variant": "count"}, {"abs": True}, None, 0),
    "PointingGame": ("pointing_game", {"truth": TRUTH, "ties": "any"}, {}, None, 0),
    "AttributionLocalisation": ("attribution_localisation", {"truth": TRUTH}, {"positive_attributions": True}, None, 1e-7),
    "RelevanceMassAccuracy": ("relevance_mass", {"truth": TRUTH, "pool": "sum"}, {}, None, 1e-12),
    "RelevanceRankAccuracy": ("relevance_rank", {"truth": TRUTH, "pool": "sum"}, {}, None, 0),
    "TopKIntersection": ("top_k_intersection", {"truth": TRUTH, "k": 5, "influence": True}, {"k": 5, "concept_influence": True}, None, 0),
    "AUC": ("localisation_auc", {"truth": TRUTH}, {}, None, 1e-12),
    "FaithfulnessEstimate": ("faithfulness.estimate", {"step": 4}, {"features_in_step": 4, "perturb_baseline": 0.0}, None, 1e-6),
    "PixelFlipping": ("pixel_flipping", {"steps": None}, {"features_in_step": 1, "perturb_baseline": 0.0}, lambda v, s: from_start(v, s, 36), 1e-6),
    "Selectivity": ("selectivity", {"window": 2}, {"patch_size": 2, "perturb_baseline": 0.0}, lambda v, s: from_start(v, s, 9), 1e-6),
    "RegionPerturbation": ("region_perturbation", {"window": 2, "baseline": 0}, {"patch_size": 2, "regions_evaluation": 9, "perturb_baseline": 0.0},
                           lambda v, s: [np.sum(c) / 10 for c in v], 1e-6),
    # drawn by both: the spread of their means at these numbers of draws
    "FaithfulnessCorrelation": ("faithfulness.correlation", {"samples": 2000, "subset": 7}, {"nr_runs": 2000, "subset_size": 7, "perturb_baseline": 0.0, "return_aggregate": False}, None, 0.03),
    "AvgSensitivity": ("sensitivity.avg", {"samples": 300}, {"nr_samples": 300, "lower_bound": 0.02}, None, 0.03),
    "LocalLipschitzEstimate": ("local_lipschitz", {"samples": 300, "radius": 0.1, "noise": "gaussian"}, {"nr_samples": 300}, None, 0.05),
}


@pytest.mark.parametrize("name", SAME)
def test_quantus_agrees(name, ours):
    id, settings, theirs, read, limit = SAME[name]
    found = quantus_says(name, **theirs)
    got = METRICS[id].run(ours, **settings).values
    want = np.asarray(found if read is None else read(found, ours), dtype=float)
    assert np.abs(got - want).max() <= limit * max(1, np.abs(want).max()), (got, want)     # 1e-6: Quantus perturbs in float32


def test_quantus_road(ours):
    """Theirs is an accuracy over the batch for each share, ours the mean over shares for each sample."""
    found = quantus_says("ROAD", percentages=[20, 60], noise=0.0)
    curve = METRICS["road"].run(ours, shares=(0.2, 0.6), sigma=0.0).extras["curve"]
    assert curve.mean(axis=0).tolist() == pytest.approx(list(found.values()))


def test_quantus_differs():
    """Defects, each with the right answer by hand. A release that repairs one turns this red."""
    quantus = pytest.importorskip("quantus")
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False)).eval()
    with torch.no_grad():
        flat[1].weight[:] = torch.tensor([[-1.0, 2, -3, 4], [0, 0, 0, 0]])
    x = np.array([[[[1.0, 2], [3, 4]]]], dtype=np.float32)
    a, inside = x * x, np.zeros((1, 1, 2, 2), dtype=bool)
    inside[0, 0, 1, 1] = True

    def says(name, batch=1, s=inside, **settings):
        metric = getattr(quantus, name)(**{"disable_warnings": True, "normalise": False, "abs": False, **settings})
        many = [np.repeat(v, batch, axis=0) for v in (x, a, s)]
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return metric(model=flat, x_batch=many[0], y_batch=np.zeros(batch, int), a_batch=many[1], s_batch=many[2], device="cpu", softmax=False)

    assert says("Monotonicity", perturb_baseline=0.0, features_in_step=1) == [True]         # f falls by 1 and by 9 on the way
    assert says("AttributionLocalisation", weighted=True) == [np.inf]                       # 16/30 · 4 = 2.13
    assert says("AttributionLocalisation", batch=3, weighted=True)[0] != says("AttributionLocalisation", batch=4, weighted=True)[0]
    assert bool(says("PointingGame", s=np.zeros_like(inside))[0]) is True                   # documented: NaN for an empty mask
    with pytest.raises(TypeError):
        says("PointingGame", weighted=True)
    assert says("NonSensitivity", features_in_step=1) == [1]                                # every feature matters and is attributed: 0
    code = quantus.functions.discretise_func.top_n_sign
    assert code(np.array([0.1, 5.0, -7.0]), n=1) == code(np.array([0.1, -5.0, 7.0]), n=1)   # the first, not the largest


def test_captum_agrees(ours):
    metrics = pytest.importorskip("captum.metrics")
    k = 6
    noise = np.stack([0.2 * np.random.default_rng([0, n]).standard_normal((1, 6, 6)) for n in range(k)])
    gradient = gradient_x_input(NET, X, Y) / X
    s = subject(ours.graph, X, gradient, Y.tolist())

    def perturbed(inputs):
        i = torch.stack([torch.tensor(x - one) for x in X for one in noise])
        return i, inputs - i

    for normalize in (False, True):
        found = metrics.infidelity(NET.net, perturbed, torch.tensor(X), torch.tensor(gradient), target=torch.tensor(Y), n_perturb_samples=k, normalize=normalize)
        np.testing.assert_allclose(METRICS["infidelity"].run(s, samples=k, normalize=normalize).values, found.detach().numpy(), rtol=1e-9)
    drawn = np.stack([np.random.default_rng([0, n]).uniform(-0.02, 0.02, (1, 6, 6)) for n in range(10)])

    def moved(inputs, radius=0.02):
        return torch.stack([inputs[n] + torch.tensor(drawn[n % 10]) for n in range(len(inputs))])

    def explained(inputs, target=None):
        one = inputs[0] if isinstance(inputs, tuple) else inputs
        return (torch.tensor(gradient_x_input(NET.net, one.detach().numpy(), target.numpy())),)

    found = metrics.sensitivity_max(explained, torch.tensor(X), perturb_func=moved, n_perturb_samples=10, target=torch.tensor(Y))
    np.testing.assert_allclose(METRICS["sensitivity.max"].run(ours).values, found.detach().numpy(), rtol=1e-9)
