"""CCA, SVCCA, PWCCA, CKA and meta-SNE: invariances, chance levels, independent libraries, errors. Invertible maps: W53, W54 in identities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from tests.nets import close
from xaicore.data import digits_images, digits_model
from xaicore.errors import Inapplicable, InputError, ShapeError, UnknownName
from xaicore.represent.cka import cka
from xaicore.represent.features import activations, matrix
from xaicore.represent.meta_sne import layer_representations, meta_sne, representation_distances
from xaicore.represent.svcca import cca, pwcca, reduced, svcca, svcca_fourier

SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS, kernel=st.sampled_from(["linear", "rbf"]), unbiased=st.booleans())
def test_cka_does_not_see_rotations_shifts_and_scale(seed, kernel, unbiased):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(10, 4)), rng.normal(size=(10, 3))
    moved = rng.uniform(0.1, 10) * x @ ortho_group.rvs(4, random_state=rng) + rng.normal(size=4)
    settings = {"kernel": kernel, "unbiased": unbiased}
    value = cka(x, y, **settings)
    assert abs(cka(moved, y, **settings) - value) < 1e-9
    assert abs(cka(y, x, **settings) - value) < 1e-12
    assert abs(cka(x, moved, **settings) - 1) < 1e-9
    assert -1 <= value <= 1 + 1e-12
    if not unbiased:
        assert value >= 0
    assert abs(cka(x[:, ::-1], y, **settings) - value) < 1e-9          # which unit is which does not matter


def test_the_median_of_the_authors_demonstration():
    """σ² = median of all squared distances: by hand for three points on a line, whose squared distances are 0 0 0 1 1 1 1 4 4."""
    x = [[0.0], [1], [2]]
    k = np.exp(-np.array([[0, 1, 4], [1, 0, 1], [4, 1, 0]]) / (2 * 0.5**2 * 1))
    h = np.eye(3) - 1 / 3
    y = np.array([[0.0], [1], [5]])
    m = np.exp(-((y - y.T) ** 2) / (2 * 0.5**2 * 1))                   # 0 0 0 1 1 16 16 25 25: the median is 1
    want = np.trace(k @ h @ m @ h) / np.sqrt(np.trace(k @ h @ k @ h) * np.trace(m @ h @ m @ h))
    assert abs(cka(x, y, "rbf", 0.5, median="all") - want) < 1e-12
    assert abs(cka(x, y, "rbf", 0.5) - want) > 1e-3


def test_cka_sees_what_cca_does_not():
    """An invertible map that stretches: CCA stays 1, CKA does not."""
    x = np.random.default_rng(0).normal(size=(60, 4))
    assert cca(x, x * [1, 1, 1, 30]).mean > 1 - 1e-9
    assert cka(x, x * [1, 1, 1, 30]) < 0.8


def test_the_unbiased_value_of_noise_is_about_zero_and_the_biased_one_is_not():
    rng = np.random.default_rng(1)
    values = np.array([[cka(x, y), cka(x, y, unbiased=True)] for x, y in (rng.normal(size=(2, 20, 60)) for _ in range(40))])
    assert values[:, 0].mean() > 0.7                                   # P / (N + P) = 3/4 for N samples of P units of noise
    assert abs(values[:, 1].mean()) < 5 * values[:, 1].std() / 40**0.5


def test_noise_has_correlations_of_its_own_size():
    """ρ² of k and m directions of noise over N samples has the mean max(k, m) / (N - 1) in the smaller representation's directions."""
    rng = np.random.default_rng(2)
    squares = [(cca(rng.normal(size=(100, 5)), rng.normal(size=(100, 8))).correlations ** 2).mean() for _ in range(200)]
    assert abs(np.mean(squares) - 8 / 99) < 5 * np.std(squares) / 200**0.5


@given(seed=SEEDS)
def test_similarities_are_symmetric_and_in_range(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(20, 4)), rng.normal(size=(20, 6))
    a, b = svcca(x, y, 0.8), svcca(y, x, 0.8)
    assert close(a.correlations, b.correlations)
    assert (a.correlations >= 0).all()
    assert (a.correlations <= 1).all()
    assert (np.diff(a.correlations) <= 1e-12).all()
    assert 0 <= pwcca(x, y) <= cca(x, y).correlations[0] + 1e-12       # a weighted mean
    both = cca(x, y)
    u, v = (x - x.mean(0)) @ both.x, (y - y.mean(0)) @ both.y          # the directions attain the correlations
    assert close(u.T @ v, np.diag(both.correlations), scale=1)
    assert close(u.T @ u, np.eye(4))


@given(seed=SEEDS)
def test_pwcca_sees_units_of_one_side_alone(seed):
    """Weighted by x: any invertible affine map of y changes nothing, nor do a permutation, signs, a common scale and a shift of x. A rotation
    of x does, as its units are what the weights count; compared with itself, moved in any of these ways, it is 1."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(20, 4)), rng.normal(size=(20, 5))
    value = pwcca(x, y, "x")
    mixing = ortho_group.rvs(5, random_state=rng) @ np.diag(rng.uniform(1 / 3, 3, 5)) @ ortho_group.rvs(5, random_state=rng)
    moved = rng.uniform(0.1, 10) * x[:, rng.permutation(4)] * rng.choice([-1, 1], 4) + rng.normal(size=4)
    turned = x @ ortho_group.rvs(4, random_state=rng)
    assert abs(pwcca(x, y @ mixing + rng.normal(size=5), "x") - value) < 1e-9
    assert abs(pwcca(moved, y, "x") - value) < 1e-9
    assert abs(pwcca(x, turned) - 1) < 1e-9
    assert abs(pwcca(y, x, "y") - value) < 1e-12
    assert abs(pwcca(turned, y, "x") - value) > 1e-9


@given(seed=SEEDS)
def test_the_map_of_representations_does_not_see_rotations(seed):
    """meta-SNE end to end: the same distances to 1e-9 when every representation is turned, shifted, permuted and scaled for itself."""
    rng = np.random.default_rng(seed)
    several = {str(k): rng.normal(size=(12, k + 1)) for k in range(4)}
    moved = {k: rng.uniform(0.1, 10) * x @ (ortho_group.rvs(x.shape[1], random_state=rng) if x.shape[1] > 1 else np.array([[-1.0]])) + rng.normal(size=x.shape[1])
             for k, x in several.items()}
    assert np.abs(representation_distances(list(moved.values())) - representation_distances(list(several.values()))).max() < 1e-9


def test_scikit_learn_finds_the_same_correlations():
    cross = pytest.importorskip("sklearn.cross_decomposition")
    rng = np.random.default_rng(3)
    z = rng.normal(size=(80, 2))
    x, y = np.hstack([z, rng.normal(size=(80, 2))]) @ rng.normal(size=(4, 4)), np.hstack([z * 0.7, rng.normal(size=(80, 1))])
    theirs = cross.CCA(3, max_iter=5000, tol=1e-12).fit(x, y)
    u, v = theirs.transform(x, y)
    assert close([abs(np.corrcoef(u[:, k], v[:, k])[0, 1]) for k in range(3)], cca(x, y).correlations, 1e-5)   # power iteration's stop


def test_frequencies_of_a_translation_invariant_set():
    """Over all shifts of a few images, the flattened comparison of two circular filters and the one by frequencies say the same: 1."""
    rng = np.random.default_rng(4)
    base = rng.normal(size=(6, 1, 3, 3))
    x = np.concatenate([np.roll(base, (i, j), (2, 3)) for i in range(3) for j in range(3)])
    y = x + 2 * np.roll(x, 1, 2)
    assert np.abs(svcca_fourier(x, y, 1.0) - 1).max() < 1e-9
    assert svcca_fourier(x, rng.normal(size=x.shape), 1.0).mean() < 0.4


def test_meta_sne_puts_copies_on_one_place_and_like_layers_near():
    images = digits_images()[0].astype(float)
    graph = digits_model()
    layers = layer_representations({"net": graph}, images, ["conv1", "relu2", "pool", "skip", "fc1", "logits"])
    rng = np.random.default_rng(0)
    layers["turned"] = matrix(layers["net: fc1"]) @ ortho_group.rvs(32, random_state=rng)
    found = meta_sne(layers, steps=500, seed=1)
    assert found.points.shape == (7, 2)
    k = found.names.index("net: fc1")
    assert found.distances[k, -1] < 1e-9
    d = np.linalg.norm(found.points - found.points[k], axis=1)
    assert d[-1] == min(d[[j for j in range(7) if j != k]])
    assert (found.points == meta_sne(layers, steps=500, seed=1).points).all()


def test_layers_of_the_digits_network():
    """Depth by depth: neighbours are more alike than ends."""
    images = digits_images()[0].astype(float)
    a = activations(digits_model(), images, ["image", "conv1", "skip", "logits"])
    values = [cka(a[k], a["image"]) for k in ("image", "conv1", "skip", "logits")]
    assert values[0] > 1 - 1e-12
    assert values[1] > values[2] > values[3]


def test_the_share_is_of_the_variance():
    """Columns of length 3 and 1: 9/10 and 1/10 of the variance, 3/4 and 1/4 of the singular values."""
    x = np.array([[3.0, 1], [3, -1], [-3, 1], [-3, -1], [0, 0]])
    assert [reduced(x, keep).shape[1] for keep in (0.5, 0.9, 0.91, 1.0)] == [1, 1, 2, 2]


def test_errors_say_what_to_do():
    x = np.random.default_rng(0).normal(size=(6, 8))
    with pytest.raises(Inapplicable, match="more samples than units"):
        cca(x, x)
    with pytest.raises(ShapeError, match="6 and 5 samples"):
        cka(x, x[:5])
    with pytest.raises(Inapplicable, match="the same for all 6 samples"):
        cka(x, np.ones((6, 2)))
    with pytest.raises(UnknownName, match="linear"):
        cka(x, x, kernel="linea")
    with pytest.raises(Inapplicable, match="at least 4"):
        cka(x[:3], x[:3], unbiased=True)
    with pytest.raises(InputError, match="above 0, at most 1"):
        svcca(x, x, keep=0)
    with pytest.raises(InputError, match="index"):
        cka(x, np.where(x > 1, np.nan, x))
    with pytest.raises(Inapplicable, match="would be 0"):
        cka([[0.0], [0], [0], [0], [1]], [[0.0], [1], [2], [3], [4]], kernel="rbf")
    with pytest.raises(UnknownName, match="conv1"):
        activations(digits_model(), digits_images()[0], "conv11")
    with pytest.raises(InputError, match="at least two"):
        representation_distances([x])
    with pytest.raises(InputError, match="feature maps"):
        svcca_fourier(x, x)
