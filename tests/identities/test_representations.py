"""Identities of representations and of made images (catalogue W53, W54, W55, W59, W63), as properties with their preconditions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from tests.nets import close, mlp
from xaicore import Builder
from xaicore.ops import Conv, Dense, Flatten, ReLU
from xaicore.represent.meta_sne import representation_distances, sample_distances
from xaicore.represent.nmf import nmf
from xaicore.represent.sequence import reduce_attribution, reduced_attributions
from xaicore.represent.svcca import cca, svcca
from xaicore.represent.tsne import affinities, divergence, gradient
from xaicore.visualize.image import Pixels
from xaicore.visualize.objectives import class_logit, l2
from xaicore.visualize.optimize import SGD
from xaicore.visualize.regularize import Decay
from xaicore.visualize.search import Recipe, render

SEEDS = st.integers(0, 2**32 - 1)


def turned(rng, n):
    """A random rotation or reflection."""
    return ortho_group.rvs(n, random_state=rng) if n > 1 else rng.choice([-1.0, 1.0], (1, 1))


def well_conditioned(rng, n):
    """An invertible matrix with singular values between 1/3 and 3: rounding grows by less than ten."""
    return turned(rng, n) @ np.diag(rng.uniform(1 / 3, 3, n)) @ turned(rng, n)


@given(seed=SEEDS, units=st.integers(1, 6), keep=st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_w53_svcca_does_not_see_rotations(seed, units, keep):
    """W53 (E46): SVCCA(X, s X Q + c) = (1, ..., 1) for orthogonal Q, at any share of the variance; another Y compares with both alike."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(20, units)) * rng.uniform(0.5, 2, units), rng.normal(size=(20, 3))
    moved = rng.uniform(0.1, 10) * x @ turned(rng, units) + rng.normal(size=units)
    assert np.abs(svcca(x, moved, keep).correlations - 1).max() < 1e-9
    assert close(svcca(moved, y, keep).correlations, svcca(x, y, keep).correlations, scale=1)


@given(seed=SEEDS, units=st.integers(1, 6))
def test_w53_cca_does_not_see_affine_maps(seed, units):
    """W53 (I08): with all of the variance kept, any invertible affine map."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(20, units)), rng.normal(size=(20, 4))
    moved = x @ well_conditioned(rng, units) + rng.normal(size=units)
    for compare in (cca, lambda a, b: svcca(a, b, keep=1)):
        assert close(compare(moved, y).correlations, compare(x, y).correlations, scale=1)
        assert np.abs(compare(x, moved).correlations - 1).max() < 1e-9


def test_w53_fails_for_affine_maps_where_variance_is_dropped():
    """I09: at 99 % a stretched unit pushes the others out, so that the precondition of W53 is needed."""
    x = np.random.default_rng(0).normal(size=(50, 4))
    assert svcca(x, x[:, :3]).mean > 1 - 1e-9
    assert svcca(x * [1, 1, 1, 1e3], x[:, :3]).mean < 0.5


@given(seed=SEEDS, units=st.integers(1, 6), normalize=st.booleans())
def test_w54_distances_between_samples_do_not_see_isometries(seed, units, normalize):
    """W54 (I10): D_X of a rotated, reflected, shifted, permuted or widened copy is D_X, so that in meta-SNE the copies are one point."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(9, units)), rng.normal(size=(9, 5))
    copy = np.hstack([x @ turned(rng, units) + rng.normal(size=units), np.full((9, 2), 0.5)])[:, rng.permutation(units + 2)]
    assert close(sample_distances(copy, normalize), sample_distances(x, normalize))
    d = representation_distances([x, copy, y, 3 * x], normalize)
    assert d[0, 1] < 1e-9 * d[0, 2]
    assert (d[0, 3] < 1e-9 * d[0, 2]) == normalize                    # a scaled copy coincides only where the scale is divided out


@given(seed=SEEDS, channels=st.integers(2, 5), groups=st.integers(1, 2))
def test_w55_reduced_channels_and_residual_are_the_raw_sum(seed, channels, groups):
    """W55 (I60): Σ_g t_g + residual = Σ_c A_c at every step and position, for one set of groups; and the groups never exceed ±their part."""
    rng = np.random.default_rng(seed)
    found = nmf(rng.uniform(0, 1, (12, channels)), groups, seed=1)
    raw = rng.normal(size=(4, channels, 2, 3))
    reduced, residual = reduce_attribution(raw, found)
    assert reduced.shape == (4, 2, 3, groups)
    assert close(reduced.sum(axis=-1) + residual, raw.sum(axis=1), scale=np.abs(raw).sum())
    span = rng.uniform(0, 1, (5, groups)) @ found.directions          # what the groups span leaves nothing
    reduced, residual = reduce_attribution(-span, found)
    assert np.abs(residual).max() < 1e-9 * np.abs(span).sum()


def test_w55_of_a_value_function():
    """The same through a network, whose attributions at the layer are those of V(h) - V(0): complete for a linear end, any steps."""
    rng = np.random.default_rng(3)
    b = Builder("value")
    h = b.add(ReLU(), b.add(Conv(pads=((1, 1), (1, 1))), b.input("frame", (None, 2, 4, 4)), b.param("w", rng.normal(size=(5, 2, 3, 3)))), name="seen")
    graph = b.build(b.add(Dense(), b.add(Flatten(), h), b.param("v", rng.normal(size=(1, 80))), b.param("c", [0.25]), name="value"))
    frames = rng.normal(size=(6, 2, 4, 4))
    hidden = np.maximum(rng.normal(size=(30, 5)), 0)
    found = reduced_attributions(graph, frames, "seen", nmf(hidden, 3))
    assert close(found.start, np.full(6, 0.25))
    assert np.abs(found.gap).max() < 1e-9
    whole = found.reduced.sum(axis=(1, 2, 3)) + found.residual.sum(axis=(1, 2))
    assert close(whole, graph(frames)[:, 0] - 0.25)


@given(seed=SEEDS, weight=st.floats(0.05, 2))
def test_w59_the_class_model_of_a_linear_score(seed, weight):
    """W59 (E54): argmax w·x - λ |x|² is w / (2 λ): gradient ascent with rate 1 / (4 λ) halves the distance at every step."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(2, 5))
    graph = mlp([w], [rng.normal(size=2)])
    recipe = Recipe(Pixels(noise=1.0), SGD(1 / (4 * weight)), 60, penalty=weight * l2())
    made = render(graph, class_logit(1), recipe, seed=seed % 1000)
    assert close(made.images[0], w[1] / (2 * weight), 1e-12)          # 2^-60 of the start, and rounding


@given(seed=SEEDS, decay=st.floats(0.05, 0.5), rate=st.floats(0.1, 10))
def test_w59_the_fixed_point_of_decay(seed, decay, rate):
    """W59 (E55): x <- (1 - θ)(x + η w) on a linear score ends at (1 - θ) η w / θ, from anywhere."""
    w = np.random.default_rng(seed).normal(size=(1, 4))
    steps = int(np.ceil(np.log(1e-13) / np.log(1 - decay)))           # the distance shrinks by 1 - θ each
    made = render(mlp([w], [None]), class_logit(0), Recipe(Pixels(noise=1.0), SGD(rate), steps, after=(Decay(decay),)))
    assert close(made.images[0], (1 - decay) * rate * w[0] / decay, 1e-9)


@given(seed=SEEDS, n=st.integers(3, 9), dims=st.integers(1, 3))
def test_w63_the_gradient_of_t_sne(seed, n, dims):
    """W63 (I50): 4 Σ_j (p - q)(y_i - y_j) / (1 + d²) is the derivative of KL(P | Q), by central differences."""
    rng = np.random.default_rng(seed)
    p = affinities(rng.normal(size=(n, 4)), rng.uniform(1.5, n - 1))
    y, h = rng.normal(size=(n, dims)), 1e-5
    numeric = np.zeros_like(y)
    for at in np.ndindex(*y.shape):
        e = np.zeros_like(y)
        e[at] = h
        numeric[at] = (divergence(p, y + e) - divergence(p, y - e)) / (2 * h)
    assert close(gradient(p, y), numeric, scale=1, tolerance=1e-8)    # h² times third derivatives of order 1, and 1e-16 / h
