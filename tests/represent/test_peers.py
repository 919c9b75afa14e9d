"""CCA, SVCCA, PWCCA, CKA and meta-SNE beside independent libraries: repsim 0.1.5 (C++), cca-zoo 4.0.1, pytorch-cka 1.1.3, scikit-learn, SciPy.

Needs them; what is missing is skipped. What they do otherwise stands beside each comparison.
"""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from xaicore.represent.cka import cka
from xaicore.represent.meta_sne import representation_distances, sample_distances
from xaicore.represent.svcca import cca, pwcca, svcca

pytestmark = [pytest.mark.thorough, pytest.mark.filterwarnings("ignore")]
SEEDS = range(5)


def drawn(seed):
    """Two representations of 40 samples that share two of their directions, one of them away from 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 5)) @ rng.normal(size=(5, 5))
    return x, np.hstack([0.7 * x[:, :2] + rng.normal(size=(40, 2)), rng.normal(size=(40, 4))]) + 3


@pytest.mark.parametrize("seed", SEEDS)
def test_canonical_correlations(seed):
    """All five by cca-zoo, their mean by repsim ("pillai"), the mean of their squares by repsim ("yanai")."""
    x, y = drawn(seed)
    ours = cca(x, y)
    zoo = pytest.importorskip("cca_zoo.linear").CCA(n_components=5).fit([x, y])
    first, second = zoo.transform([x, y])
    assert np.abs([np.corrcoef(first[:, k], second[:, k])[0, 1] for k in range(5)] - ours.correlations).max() < 1e-9
    repsim = pytest.importorskip("repsim")
    assert abs(repsim.cca([x, y], "pillai")[0, 1] - ours.mean) < 1e-9
    assert abs(repsim.cca([x, y], "yanai")[0, 1] - (ours.correlations**2).mean()) < 1e-9


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("keep", [0.8, 0.99])
def test_svcca(seed, keep):
    """scikit-learn's PCA with the same share of the variance, then cca-zoo's correlations. (repsim's svcca keeps a share of Σ s, and
    gives other numbers when a representation is shifted, although it says that it centres: not compared.)"""
    x, y = drawn(seed)
    pca = pytest.importorskip("sklearn.decomposition").PCA
    reduced = [pca(keep, svd_solver="full").fit_transform(v) for v in (x, y)]
    count = min(v.shape[1] for v in reduced)
    first, second = pytest.importorskip("cca_zoo.linear").CCA(n_components=count).fit(reduced).transform(reduced)
    want = [np.corrcoef(first[:, k], second[:, k])[0, 1] for k in range(count)]
    found = svcca(x, y, keep).correlations
    assert found.shape == (count,)
    assert np.abs(found - want).max() < 1e-9


@pytest.mark.parametrize("seed", SEEDS)
def test_pwcca(seed):
    """repsim gives the mean of both weightings."""
    x, y = drawn(seed)
    theirs = pytest.importorskip("repsim").pwcca([x, y])[0, 1]
    assert abs((pwcca(x, y, "x") + pwcca(x, y, "y")) / 2 - theirs) < 1e-9


@pytest.mark.parametrize("seed", SEEDS)
def test_cka(seed):
    """Linear and Gaussian (σ the median of distances) by repsim, the unbiased one by pytorch-cka. repsim's "song" has the unbiased estimator
    above the line and the biased one below it."""
    x, y = drawn(seed)
    repsim = pytest.importorskip("repsim")
    assert abs(repsim.cka([x, y], "linear", "gretton")[0, 1] - cka(x, y)) < 1e-9
    assert abs(repsim.cka([x, y], "rbf", "gretton")[0, 1] - cka(x, y, "rbf", 1.0)) < 1e-9
    torch, hsic = pytest.importorskip("torch"), pytest.importorskip("cka.hsic").hsic
    cross, first, second = (float(v.reshape(-1)[0]) for v in hsic(*(torch.tensor((v @ v.T)[None]) for v in (x, y))))
    assert abs(cross / (first * second) ** 0.5 - cka(x, y, unbiased=True)) < 1e-9


@pytest.mark.parametrize("seed", SEEDS)
def test_meta_sne(seed):
    """SciPy's distances between samples, divided by their root mean square, and between those matrices."""
    several = [*drawn(seed), drawn(seed + 100)[0]]
    mats = [squareform(pdist(v)) for v in several]
    mats = [m / np.sqrt((m**2).mean()) for m in mats]
    for m, v in zip(mats, several):
        np.testing.assert_allclose(sample_distances(v), m, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(representation_distances(several), squareform(pdist([m.ravel() for m in mats])), rtol=1e-9, atol=1e-12)
