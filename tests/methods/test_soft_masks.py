"""RISE against masks made one by one, its estimate, and meaningful perturbation: its objective, its gradient, what it finds."""

from fractions import Fraction as F

import numpy as np
import pytest

import xaicore as xc
from tests.methods.test_perturb import linear
from tests.nets import NET_B, close
from tests.oracle.planted import cnn, image
from xaicore.data import digits_images, digits_model
from xaicore.errors import ExactnessError, Inapplicable, InputError
from xaicore.methods.masks import up


def interpolated(cells, size, space, shift):
    """Every place by itself: where it lies among the cells, which are its neighbours, how near are they."""
    out = np.zeros(space)
    for place in np.ndindex(*space):
        total = 0.0
        near = []
        for k, p in enumerate(place):
            n = cells.shape[k]
            at = (p + shift[k] + 0.5) * n / ((n + 1) * size[k]) - 0.5
            at = min(max(at, 0), n - 1)
            low = int(at)
            near.append([(low, 1 - (at - low)), (min(low + 1, n - 1), at - low)])
        for r, a in near[0]:
            for c, b in near[1]:
                total += a * b * cells[r, c]
        out[place] = total
    return out


@pytest.mark.parametrize(("grid", "normalize"), [(2, "expectation"), (3, "mask"), (7, "expectation")])
def test_rise_against_loops(grid, normalize):
    graph, x, x0 = cnn(), image(2), image(1, seed=3)[0]
    a = xc.explain(graph, x, "rise", target=[1, 2], samples=30, grid=grid, probability=0.4, normalize=normalize, baseline=x0, seed=5, batch_size=7)
    rng = np.random.default_rng(5)
    n = min(grid, 4)
    size = (-(-4 // n),) * 2
    cells = (rng.random((30, n, n)) < 0.4).astype(float)
    shifts = np.stack([rng.integers(0, size[0], 30) for _ in range(2)], axis=1)
    masks = [interpolated(c, size, (4, 4), s) for c, s in zip(cells, shifts)]
    for k, target in enumerate([1, 2]):
        scores = [graph((m * x[k] + (1 - m) * x0)[None])[0, target] for m in masks]
        terms = np.array([s * m for s, m in zip(scores, masks)])
        found = terms.sum(axis=0) / (30 * 0.4 if normalize == "expectation" else np.sum(masks, axis=0))
        assert close(np.asarray(a)[k], np.stack([found, found]), 1e-12)
        assert close(a.extras["standard_error"]["image"][k], terms.std(axis=0, ddof=1) / 30**0.5 / 0.4, 1e-9)


def test_interpolation():
    """Rows sum to 1; a ramp of cell middles becomes a ramp; rationals are the same."""
    for n, size in ((1, 3), (2, 4), (7, 40), (5, 6)):
        m = up(n, size, np.zeros(1))
        assert close(m.sum(axis=1), np.ones(size), 1e-15)
        ramp = m @ ((np.arange(n) + 0.5) / n)
        inner = (np.arange(size) + 0.5) / size
        assert close(ramp, np.clip(inner, 0.5 / n, 1 - 0.5 / n), 1e-12)
        exact = up(n, size, np.array([F(0)], dtype=object))
        assert close(exact.astype(float), m, 1e-15)
        assert all(sum(row) == 1 for row in exact)


@pytest.mark.parametrize(("n", "size"), [(2, 4), (2, 6), (3, 12), (7, 40), (1, 5)])
def test_mirrored_interpolation_is_that_of_scikit_image(n, size):
    """The authors of RISE enlarge their cells by its resize(order=1, mode="reflect")."""
    transform = pytest.importorskip("skimage.transform")
    cells = np.random.default_rng(0).normal(size=(n, n))
    theirs = transform.resize(cells, (size, size), order=1, mode="reflect", anti_aliasing=False)
    matrix = up(n, size, cells, mirror=True)
    assert close(matrix @ cells @ matrix.T, theirs, 1e-12)


def test_rise_finds_what_counts():
    """f reads one quarter of the image: there the map is highest. Of a constant function it is that constant, with mask normalisation."""
    w = np.zeros((1, 8, 8))
    w[0, :4, 4:] = 1
    a = np.asarray(xc.explain(linear(w), np.ones((1, 1, 8, 8)), "rise", samples=500, grid=4))[0, 0]
    assert a[:4, 4:].min() > a[:4, :3].max()
    assert a[:4, 4:].min() > a[5:].max()
    flat = xc.from_function(lambda x: np.full(len(x), 3.0), (None, 1, 8, 8))
    assert close(np.asarray(xc.explain(flat, np.ones((1, 1, 8, 8)), "rise", samples=50, normalize="mask")), np.full((1, 1, 8, 8), 3.0), 1e-12)


@pytest.mark.parametrize(("method", "own", "count", "batches"), [
    ("rise", {"samples": 10, "batch_size": 4}, 20, 5), ("meaningful_perturbation", {"steps": 6, "fill": 0}, 6, 6), ("ace", {"low": -1, "high": 1, "steps": 2}, 32, 32)])
def test_progress(method, own, count, batches):
    """Evaluations, steps and entries: from 0 to all of them."""
    calls = []
    xc.explain(cnn(), image(2), method, target=1, progress=lambda *c: calls.append(c), **own)
    assert [c for _, c in calls] == [count] * (batches + 1)
    assert calls[0][0] == 0
    assert calls[-1][0] == count
    assert calls == sorted(set(calls))


@pytest.mark.parametrize("method", ["rise", "meaningful_perturbation"])
def test_at_a_layer(method):
    """Masks over the pooled maps of a network are masks over the input of what follows."""
    graph, x = cnn(), image(2)
    own = {"rise": {"samples": 20}, "meaningful_perturbation": {"steps": 5, "fill": 0}}[method]
    a = xc.explain(graph, x, method, target=1, layer="pool", **own)
    assert a["pool"].shape == (2, 2, 2, 2)
    with pytest.raises(Inapplicable, match="has no axes of space"):
        xc.explain(graph, x, method, target=1, layer="fc1", **own)


def test_one_dimension_and_refusals():
    a = xc.explain(linear(np.ones((2, 9))), np.ones((1, 2, 9)), "rise", samples=20)
    assert np.asarray(a).shape == (1, 2, 9)
    with pytest.raises(Inapplicable, match="rise masks regions of an image, and input 'x' of shape"):
        xc.explain(NET_B, [[2, 1]], "rise")
    with pytest.raises(InputError, match="probability=1 must lie between 0 and 1"):
        xc.explain(cnn(), image(1), "rise", target=0, probability=1)
    with pytest.raises(InputError, match="samples=0"):
        xc.explain(cnn(), image(1), "rise", target=0, samples=0)


# ----- meaningful perturbation --------------------------------------------------------------------------------------


def objective(graph, x, fill, m, target, sign, sparsity, smoothness, power):
    """Of one sample, by loops; m (4, 4) at full resolution."""
    loss = sign * graph((m * x + (1 - m) * fill)[None])[0, target]
    loss += sparsity * ((1 - m) if sign > 0 else m).sum()
    for r in range(4):
        for c in range(4):
            loss += smoothness * sum(abs(m[r + dr, c + dc] - m[r, c]) ** power for dr, dc in ((1, 0), (0, 1)) if r + dr < 4 and c + dc < 4)
    return loss


@pytest.mark.parametrize(("variant", "sign"), [("deletion", 1), ("preservation", -1)])
def test_descent_against_numerical_gradients(variant, sign):
    """Adam by the book on central differences of the objective: the same masks and losses for ten steps."""
    graph, x = cnn(), image(1)
    own = {"sparsity": 0.3, "smoothness": 0.5, "power": 2, "rate": 0.05}
    a = xc.explain(graph, x, "meaningful_perturbation", target=1, variant=variant, steps=10, fill=0.1, **own)
    m = np.full((4, 4), 0.5)
    mean, square, losses = np.zeros((4, 4)), np.zeros((4, 4)), []

    def loss(m):
        return objective(graph, x[0], 0.1, m, 1, sign, own["sparsity"], own["smoothness"], own["power"])

    for t in range(1, 11):
        g = np.zeros((4, 4))
        for place in np.ndindex(4, 4):
            step = np.zeros((4, 4))
            step[place] = 1e-6
            g[place] = (loss(m + step) - loss(m - step)) / 2e-6
        losses.append(loss(m))
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
        m = np.clip(m - own["rate"] * (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8), 0, 1)
    assert close(a.extras["loss"][0], losses, 1e-5)                     # central differences with 1e-6 are good to about 1e-9, Adam divides by them
    assert close(np.asarray(a)[0, 0], 1 - m if sign > 0 else m, 1e-4, scale=1)


def test_it_deletes_what_counts():
    """On a real digit: the loss falls, the region is small, and taking it away lowers the probability more than a region as large elsewhere."""
    images, names = digits_images()
    graph, x = digits_model(), images[8:9].astype(float)
    own = {"target": int(names[8]), "output": "probability"}
    a = xc.explain(graph, x, "meaningful_perturbation", fill=0, sparsity=1e-2, **own)
    m = np.asarray(a)
    assert a.extras["loss"][0, -1] < a.extras["loss"][0, 0] - 0.1
    assert m.mean() < 0.5
    p = graph(x * (1 - m))[0, own["target"]]
    other = graph(x * (1 - np.flip(m, axis=3)))[0, own["target"]]
    assert p < 0.2
    assert p < other
    kept = np.asarray(xc.explain(graph, x, "meaningful_perturbation", fill=0, variant="preservation", sparsity=1e-2, **own))
    assert graph(x * kept)[0, own["target"]] > 0.7
    assert kept.mean() < 0.6


def test_blur_and_refusals():
    from scipy.ndimage import gaussian_filter

    graph, x = cnn(), image(2)
    a = xc.explain(graph, x, "meaningful_perturbation", target=1, steps=3, sigma=1.5)
    soft = np.stack([[gaussian_filter(c, 1.5, mode="reflect") for c in one] for one in x])
    b = xc.explain(graph, x, "meaningful_perturbation", target=1, steps=3, fill=soft)
    assert close(np.asarray(a), np.asarray(b), 1e-9, scale=1)
    with pytest.raises(ExactnessError, match="descent with square roots"):
        xc.explain(graph.astype("exact"), np.ones((1, 2, 4, 4), dtype=int), "meaningful_perturbation", target=0)
    with pytest.raises(Inapplicable, match="masks regions of an image, and input 'x'"):
        xc.explain(NET_B, [[2, 1]], "meaningful_perturbation", fill=0)
    with pytest.raises(InputError, match="power=0.5 must be a finite number of at least 1"):
        xc.explain(graph, x, "meaningful_perturbation", target=0, power=0.5)
