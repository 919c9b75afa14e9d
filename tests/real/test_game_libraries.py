"""The libraries themselves as second opinions: shap, captum and lime as black boxes on the same torch networks.

``pip install shap captum lime`` brings them; each test asks for those that it needs.
"""

from __future__ import annotations

import numpy as np
import pytest

import xaicore as xc

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch")

MASK = np.arange(36).reshape(1, 6, 6) // 6


@pytest.fixture
def picture():
    """A small convolutional network in double precision, two inputs, and the graph."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
                              torch.nn.Linear(36, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3)).double().eval()
    x = torch.randn(2, 1, 6, 6, dtype=torch.double)
    return net, x, xc.from_model(net, (x,))


@pytest.fixture
def table():
    """Five features, a background of four rows: (network, samples, background, graph, f of class 1)."""
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)).double().eval()
    x, sets = torch.randn(3, 5, dtype=torch.double), torch.randn(4, 5, dtype=torch.double)
    return net, x, sets, xc.from_model(net, (x,)), lambda v: net(torch.tensor(v)).detach().numpy()[:, 1]


def close(a, b, tolerance):
    a, b = np.asarray(a), np.asarray(b)
    return np.abs(a - b).max() <= tolerance * np.abs(b).max()


EXACT = 1e-12                                                           # double precision on both sides
SINGLE = 1e-5                                                           # captum adds up in float32


def test_captum_ablation_occlusion_and_shapley_values(picture):
    attr = pytest.importorskip("captum.attr")
    net, x, graph = picture
    features = torch.tensor(MASK)[None]
    own = {"target": 1, "mask": MASK, "baseline": 0.1}
    theirs = attr.FeatureAblation(net).attribute(x, target=1, feature_mask=features, baselines=0.1)
    assert close(xc.explain(graph, x, "feature_ablation", **own), theirs, EXACT)
    theirs = attr.Occlusion(net).attribute(x, target=1, sliding_window_shapes=(1, 2, 3), strides=(1, 1, 2))
    assert close(xc.explain(graph, x, "occlusion", target=1, convention="captum", window=(2, 3), stride=(1, 2)), theirs, SINGLE)
    theirs = attr.ShapleyValues(net).attribute(x, target=1, feature_mask=features, baselines=0.1)
    assert close(xc.explain(graph, x, "shapley.exact", spread="repeat", **own), theirs, SINGLE)


def test_captum_lime(picture):
    """4000 draws of its own: as near as two of its seeds are to each other, times three."""
    attr = pytest.importorskip("captum.attr")
    net, x, graph = picture
    theirs = []
    for seed in range(3):
        torch.manual_seed(seed)
        theirs.append(attr.Lime(net).attribute(x[:1], target=1, feature_mask=torch.tensor(MASK)[None], baselines=0.1, n_samples=4000).numpy())
    ours = xc.explain(graph, x[:1], "lime", target=1, mask=MASK, baseline=0.1, draw="bernoulli", distance="input_cosine", kernel="library",
                      width=1.0, lasso=0.01, samples=4000)
    assert np.abs(np.asarray(ours) - np.mean(theirs, axis=0)).max() < 3 * np.ptp(theirs, axis=0).max()


def test_shap_kernel_exact_partition_and_linear(table):
    shap = pytest.importorskip("shap")
    _net, x, sets, graph, f = table
    x, sets = x.numpy(), sets.numpy()
    own = {"target": 1, "background": sets}
    theirs = shap.KernelExplainer(f, sets).shap_values(x, silent=True, l1_reg=0)
    assert close(xc.explain(graph, x, "kernel_shap", **own), theirs, EXACT)
    theirs = shap.explainers.Exact(f, shap.maskers.Independent(sets, max_samples=100))(x).values
    assert close(xc.explain(graph, x, "shapley.exact", **own), theirs, EXACT)
    clustering = np.array([[0, 1, 0.1, 2], [2, 3, 0.2, 2], [5, 6, 0.3, 4], [4, 7, 0.4, 5]])
    theirs = shap.explainers.Partition(f, shap.maskers.Partition(sets, clustering=clustering))(x, max_evals=10_000).values
    assert close(xc.explain(graph, x, "shapley.owen", hierarchy=(4, ((0, 1), (2, 3))), **own), theirs, EXACT)
    theirs = shap.LinearExplainer((np.arange(1.0, 6), 0.5), sets).shap_values(x)
    linear = xc.from_model(_linear(), (torch.tensor(x),))
    assert close(xc.explain(linear, x, "linear_shap", background=sets), theirs, EXACT)


def _linear():
    net = torch.nn.Linear(5, 1).double()
    with torch.no_grad():
        net.weight.copy_(torch.arange(1.0, 6)[None])
        net.bias.fill_(0.5)
    return net


def test_shap_and_captum_deep(table):
    net, x, sets, graph, _ = table
    ours = xc.explain(graph, x, "deep_shap", target=1, background=sets.numpy())
    shap, attr = pytest.importorskip("shap"), pytest.importorskip("captum.attr")
    theirs = np.asarray(shap.DeepExplainer(net, sets).shap_values(x, check_additivity=False))
    assert close(ours, theirs[..., 1], EXACT)
    theirs = attr.DeepLiftShap(net).attribute(x, sets, target=1).detach()
    assert close(ours, theirs, EXACT)


def test_lime_images_and_tables():
    """4000 and 5000 draws of its own: as near as three times the distance of two of its seeds."""
    images, tables = pytest.importorskip("lime.lime_image"), pytest.importorskip("lime.lime_tabular")
    rng = np.random.default_rng(1)
    image, w = rng.random((6, 6, 3)), rng.normal(size=(6, 6, 3))

    def f(v):
        return np.tanh((v * w).sum(axis=(1, 2, 3)))

    theirs = []
    for seed in range(3):
        found = images.LimeImageExplainer(random_state=seed).explain_instance(
            image, lambda v: np.stack([0 * f(v), f(v)], axis=1), labels=(1,), top_labels=None, segmentation_fn=lambda v: MASK[0], num_samples=4000)
        theirs.append([v for _, v in sorted(found.local_exp[1])])
    box = xc.from_function(lambda v: f(np.moveaxis(v, 1, -1)), (None, 3, 6, 6))
    ours = xc.explain(box, np.moveaxis(image, -1, 0)[None], "lime", mask=MASK, baseline="mean", draw="bernoulli", kernel="library", ridge=1, samples=4000)
    assert np.abs(ours.extras["players"][0] - np.mean(theirs, axis=0)).max() < 3 * np.ptp(theirs, axis=0).max()
    data = rng.normal(size=(500, 4)) * [1, 2, 3, 0.5]

    def g(v):
        return np.tanh(v @ np.array([1, 0.5, -0.2, 2]))

    theirs = []
    for seed in range(3):
        found = tables.LimeTabularExplainer(data, discretize_continuous=False, random_state=seed).explain_instance(
            data[3], lambda v: np.stack([0 * g(v), g(v)], axis=1), num_samples=5000, labels=(1,), num_features=4)
        theirs.append([v for _, v in sorted(found.local_exp[1])])
    ours = xc.explain(xc.from_function(g, (None, 4)), data[3:4], "lime", representation="numbers", background=data, distance="euclidean",
                      kernel="library", ridge=1, samples=5000)
    assert np.abs(np.asarray(ours)[0] - np.mean(theirs, axis=0)).max() < 3 * np.ptp(theirs, axis=0).max()
