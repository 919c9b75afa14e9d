"""t-SNE: affinities and gradient against scikit-learn, what the descent keeps, errors. The gradient itself: W63 in identities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.nets import close
from xaicore.errors import Inapplicable, InputError, UnknownName
from xaicore.represent.tsne import MOST, affinities, conditional, divergence, gradient, squared_distances, tsne


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(4, 12), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_affinities_have_the_perplexity_that_was_asked_for(seed, n, scale):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) * scale
    wanted = rng.uniform(1.2, n - 1.2)
    p = conditional(squared_distances(x), wanted)
    realised = np.exp([-(row[row > 0] * np.log(row[row > 0])).sum() for row in p])
    assert np.abs(realised - wanted).max() < 1e-5
    joint = affinities(x, wanted)
    assert (joint == joint.T).all()
    assert abs(joint.sum() - 1) < 1e-12
    assert (np.diag(joint) == 0).all()


def test_scikit_learn_has_the_same_gradient_and_nearly_the_same_affinities():
    theirs = pytest.importorskip("sklearn.manifold._t_sne")
    from scipy.spatial.distance import squareform

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 5)), rng.normal(size=(30, 2))
    p = affinities(x, 7.0)
    kl, g = theirs._kl_divergence(y.reshape(-1), squareform(p, checks=False), 1.0, 30, 2)
    assert abs(kl - divergence(p, y)) < 1e-9
    assert close(g.reshape(30, 2), gradient(p, y))
    other = squareform(theirs._joint_probabilities(squared_distances(x).astype("float32"), 7.0, 0))
    assert close(other, p, 1e-4)                                       # its bisection stops at 1e-5 of the entropy, in float32


def test_three_clouds_come_apart_and_equal_points_stay_together():
    rng = np.random.default_rng(1)
    centres = np.repeat(np.eye(3, 10) * 20, 12, axis=0)
    x = centres + rng.normal(size=centres.shape)
    x[1] = x[0]
    found = tsne(x, perplexity=5, steps=300, seed=2)
    label = np.repeat(np.arange(3), 12)
    d = np.sqrt(squared_distances(found.points))
    np.fill_diagonal(d, np.inf)
    assert (label[d.argmin(axis=1)] == label).all()
    assert d[0, 1] < 0.02 * d[np.isfinite(d)].max()
    assert found.history[-1] < found.history[0]
    assert found.kl == min(found.history)
    assert (found.points == tsne(x, perplexity=5, steps=300, seed=2).points).all()


def test_large_sets_go_to_scikit_learn():
    pytest.importorskip("sklearn")
    x = np.random.default_rng(0).normal(size=(60, 4))
    assert tsne(x, perplexity=5, engine="sklearn", steps=250).points.shape == (60, 2)
    with pytest.raises(Inapplicable, match="engine='sklearn'"):
        tsne(np.zeros((MOST + 1, 1)))


def test_errors():
    with pytest.raises(InputError, match="at most 3"):
        affinities(np.eye(4), 5.0)
    with pytest.raises(InputError, match="at least 3"):
        tsne(np.eye(2))
    with pytest.raises(UnknownName, match="exact"):
        tsne(np.eye(4), engine="exakt")
