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
    "MonotonicityCorrelation": ("monotonicity.correlation", {"background": np.zeros((1, 1, 6, 6))}, {"abs": True, "nr_samples": 1, "perturb_baseline": 0.0, "features_in_step": 1}, None, 1e-12),
    # drawn by both: the spread of their means at this number of draws
    "FaithfulnessCorrelation": ("faithfulness.correlation", {"samples": 2000, "subset": 7}, {"nr_runs": 2000, "subset_size": 7, "perturb_baseline": 0.0, "return_aggregate": False}, None, 0.03),
}


class Draws:
    """A perturbation for Quantus that is ours: the k-th call moves every sample by what default_rng([0, k]) draws."""

    def __init__(self, how, radius):
        self.how, self.radius, self.k = how, radius, 0

    def __call__(self, arr, **unused):
        rng = np.random.default_rng([0, self.k])
        self.k += 1
        return arr + (rng.uniform(-self.radius, self.radius, X[0].shape) if self.how == "uniform" else self.radius * rng.standard_normal(X[0].shape)).reshape(1, -1)


SAME_DRAWS = {
    "MaxSensitivity": ("sensitivity.max", {"samples": 10}, ("uniform", 0.02)),
    "AvgSensitivity": ("sensitivity.avg", {"samples": 10}, ("uniform", 0.02)),
    "LocalLipschitzEstimate": ("local_lipschitz", {"samples": 20, "noise": "gaussian"}, ("gaussian", 0.1)),
    "RelativeInputStability": ("stability.input", {"samples": 20}, ("gaussian", 0.05)),
    "RelativeOutputStability": ("stability.output", {"samples": 20}, ("gaussian", 0.05)),
    "RelativeRepresentationStability": ("stability.representation", {"samples": 20, "layer": "2"}, ("gaussian", 0.05)),
}


@pytest.mark.parametrize("name", SAME_DRAWS)
def test_quantus_agrees_on_equal_draws(name, ours):
    id, settings, draws = SAME_DRAWS[name]
    more = {"layer_names": ["net.2"]} if "Representation" in name else {}
    want = np.asarray(quantus_says(name, nr_samples=settings["samples"], perturb_func=Draws(*draws), **more), dtype=float)
    np.testing.assert_allclose(METRICS[id].run(ours, **settings).values, want, rtol=2e-5)  # x + noise is float32 there: 6e-8 of a change of 1e-2


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


def test_quantus_conventions(ours):
    """What the table calls a convention is all that differs: written out by that convention, in a few lines, their number comes out."""
    from scipy.spatial.distance import cdist
    from scipy.stats import spearmanr

    metrics = pytest.importorskip("skimage.metrics")
    pytest.importorskip("quantus")
    a, order = gradient_x_input(NET, X, Y), np.argsort(-gradient_x_input(NET, X, Y).reshape(4, -1), axis=1)

    def f(x):
        return NET.net(torch.tensor(x)).detach().numpy()[np.arange(4), Y]

    # SensitivityN: one growing set, the largest first; for each size a correlation over the batch; the last size has all features
    x, drops, sums = X.copy().reshape(4, -1), [], []
    for k in range(0, 36, 4):
        np.put_along_axis(x, order[:, k:k + 4], 0, axis=1)
        drops.append(f(X) - f(x.reshape(X.shape)))
        sums.append(np.take_along_axis(a.reshape(4, -1), order[:, k:k + 4], axis=1).sum(axis=1))
    want = np.mean([np.corrcoef(d, s)[0, 1] for d, s in zip(drops, sums)])
    assert quantus_says("SensitivityN", features_in_step=4, n_max_percentage=1.0, perturb_baseline=0.0)[0] == pytest.approx(want, rel=1e-6)
    # Infidelity: blocks are removed one after the other and stay removed
    x, errors = X.copy(), []
    for r, c in np.ndindex(2, 2):
        x = x.copy()
        x[:, :, 3 * r:3 * r + 3, 3 * c:3 * c + 3] = 0
        errors.append((f(X) - f(x) - (a * (X - x)).reshape(4, -1).sum(axis=1)) ** 2)
    assert quantus_says("Infidelity", perturb_baseline=0.0, perturb_patch_sizes=[3], n_perturb_samples=1) == pytest.approx(np.mean(errors, axis=0), rel=1e-5)
    # Sufficiency: distances over the largest one; 0 without neighbours
    d, label = cdist(a.reshape(4, -1), a.reshape(4, -1), "seuclidean", V=None), NET.net(torch.tensor(X)).argmax(1).numpy()
    near = (d / d.max() <= 0.6) & ~np.eye(4, dtype=bool)
    want = (near & (label[:, None] == label[None])).sum(axis=1) / np.maximum(near.sum(axis=1), 1)
    assert list(quantus_says("Sufficiency", abs=False)) == pytest.approx(want)
    # RandomLogit: another class for each sample, and the structural similarity of flat maps
    np.random.seed(42)                                                  # noqa: NPY002  theirs, too
    other = np.array([[c for c in range(3) if c != y][k] for y, k in zip(Y, np.random.randint(0, 2, 4))])  # noqa: NPY002
    pairs = list(zip(a.reshape(4, -1), gradient_x_input(NET, X, other).reshape(4, -1)))
    want = [metrics.structural_similarity(p, q, data_range=np.ptp(np.concatenate([p, q]))) for p, q in pairs]
    assert quantus_says("RandomLogit", num_classes=3) == pytest.approx(want)
    # MPRT: on the same random networks, which it makes by the layers' own initialisation
    from quantus.helpers.model.pytorch_model import PyTorchModel

    found = quantus_says("MPRT", abs=True, seed=42)
    for name, model in PyTorchModel(NET, softmax=False).get_random_layer_generator(order="top_down", seed=42):
        b = gradient_x_input(model, X, Y)
        assert found[name] == pytest.approx([spearmanr(np.abs(p).ravel(), np.abs(q).ravel())[0] for p, q in zip(a, b)])
    # EfficientMPRT of outputs that are probabilities: ours, of the same random network
    import quantus

    from xaicore.metrics.randomisation import histogram_entropy

    *_, (_, model) = PyTorchModel(NET, softmax=True).get_random_layer_generator(order="bottom_up", seed=1)
    with contextlib.redirect_stdout(io.StringIO()):
        found = quantus.EfficientMPRT(disable_warnings=True, normalise=False, abs=True, seed=1)(
            model=NET, x_batch=X, y_batch=Y, a_batch=a, explain_func=gradient_x_input, device="cpu", softmax=True)
    before, after = (histogram_entropy(np.abs(v).reshape(4, -1), 100) for v in (a, gradient_x_input(model, X, Y)))
    assert found == pytest.approx((after - before) / before)
    # IROF: the area of steps from the first removal on
    slic = pytest.importorskip("skimage.segmentation").slic
    labels = np.stack([slic(np.moveaxis(x, 0, -1), start_label=0) for x in X])
    curves = METRICS["irof"].run(ours, segments=labels, area_of="steps", baseline=0).extras["curves"]
    assert quantus_says("IROF", perturb_baseline=0.0, return_aggregate=False) == pytest.approx([len(c) - 1 - np.trapezoid(c[1:] / c[0]) for c in curves], rel=1e-5)
    # Continuity: all movements to both sides, filled with the sample's minimum
    best = np.zeros(4)
    for by in range(-5, 7):
        moved = np.broadcast_to(X.min(axis=(1, 2, 3), keepdims=True), X.shape).astype("float32").astype(float)
        moved[..., max(by, 0):6 + min(by, 0)] = X[..., max(-by, 0):6 - max(by, 0)].astype("float32")
        change = np.abs(a - gradient_x_input(NET, moved, Y)).reshape(4, -1).sum(axis=1)
        best = np.maximum(best, change / (np.linalg.norm((X - moved).reshape(4, -1), axis=1) + 1e-9))
    assert quantus_says("Continuity", nr_steps=12) == pytest.approx(best, rel=1e-5)


def test_quantus_differs():
    """Defects, each with the right answer by hand. A release that repairs one turns this red."""
    quantus = pytest.importorskip("quantus")
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False)).eval()
    with torch.no_grad():
        flat[1].weight[:] = torch.tensor([[-1.0, 2, -3, 4], [0, 0, 0, 0]])
    x = np.array([[[[1.0, 2], [3, 4]]]], dtype=np.float32)
    a, inside = x * x, np.zeros((1, 1, 2, 2), dtype=bool)
    inside[0, 0, 1, 1] = True

    def says(name, batch=1, s=inside, y=0, **settings):
        metric = getattr(quantus, name)(**{"disable_warnings": True, "normalise": False, "abs": False, **settings})
        many = [np.repeat(v, batch, axis=0) for v in (x, a, s)]
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return metric(model=flat, x_batch=many[0], y_batch=np.full(batch, y), a_batch=many[1], s_batch=many[2], device="cpu", softmax=False)

    assert says("Monotonicity", perturb_baseline=0.0, features_in_step=1) == [True]         # f falls by 1 and by 9 on the way
    assert says("AttributionLocalisation", weighted=True) == [np.inf]                       # 16/30 · 4 = 2.13
    assert says("AttributionLocalisation", batch=3, weighted=True)[0] != says("AttributionLocalisation", batch=4, weighted=True)[0]
    assert bool(says("PointingGame", s=np.zeros_like(inside))[0]) is True                   # documented: NaN for an empty mask
    with pytest.raises(TypeError):
        says("PointingGame", weighted=True)
    assert says("NonSensitivity", features_in_step=1) == [1]                                # every feature matters and is attributed: 0
    with pytest.raises(AssertionError, match="non-negative"):
        quantus_says("EfficientMPRT", abs=True)                                             # the entropy of outputs, which are logits with softmax=False
    with pytest.raises(AttributeError):
        says("MonotonicityCorrelation", perturb_baseline="black", nr_samples=1, abs=True, y=1)   # f is constant: no correlation, NaN
    with pytest.raises(AttributeError, match="NaN"):
        quantus_says("Continuity", return_nan_when_prediction_changes=True)                 # NumPy 2 has no np.NaN
    with pytest.raises(IndexError):
        quantus_says("Continuity", nr_steps=13)                                             # 2 · 6 + 1 positions, of which the last is one too far
    black = np.broadcast_to(X.min(axis=(1, 2, 3), keepdims=True), X.shape).astype("float32").astype(float)
    a0, a1 = gradient_x_input(NET, X, Y), gradient_x_input(NET, black, Y)
    only = np.abs(a0 - a1).reshape(4, -1).sum(axis=1) / np.linalg.norm((X - black).reshape(4, -1), axis=1)
    assert quantus_says("Continuity") == pytest.approx(only, rel=1e-5)                      # 13 positions in 28 steps of 13 // 28 = 0: one black picture
    code = quantus.functions.discretise_func.top_n_sign
    assert code(np.array([0.1, 5.0, -7.0]), n=1) == code(np.array([0.1, -5.0, 7.0]), n=1)   # the first, not the largest


def test_quantus_shifts_all_pixels_but_one():
    """InputInvariance: the picture is to move by -1 everywhere and the bias to undo it. 35 of 36 pixels move, so that the gradient, which
    does not mind a shift, is found not to be invariant; ours finds it so on the same network."""
    quantus = pytest.importorskip("quantus")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 3)).eval()
    seen = []

    def gradient(model, inputs, targets, **unused):
        with torch.enable_grad():
            x = torch.tensor(np.asarray(inputs, dtype="float32"), requires_grad=True)
            seen.append(x.detach().numpy())
            return torch.autograd.grad(model(x)[torch.arange(len(x)), torch.tensor(np.asarray(targets))].sum(), x)[0].numpy()

    x = X.astype("float32")
    found = quantus.InputInvariance(disable_warnings=True, normalise=False, abs=False)(
        model=net, x_batch=x, y_batch=Y, a_batch=gradient(net, x, Y), explain_func=gradient, device="cpu", softmax=False)
    moved = np.rint(seen[-1] - x)
    assert set(moved.ravel()) == {0.0, -1.0}
    assert (moved.reshape(4, -1) == 0).sum(axis=1).tolist() == [1, 1, 1, 1]
    assert not all(found)
    s = subject(xc.from_model(net, (torch.tensor(x),)), x, "gradient", Y.tolist())
    assert METRICS["input_invariance"].run(s).values.max() < 1e-5


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
