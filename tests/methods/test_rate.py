"""RATE against the divergence of Gaussians, by hand, and its last layer against grids and draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.nets import NET_A, close, mlp
from xaicore import Builder
from xaicore.errors import ExactnessError, Inapplicable, InputError, ShapeError, UnknownName
from xaicore.methods.rate import last_layer, network_rate, rate
from xaicore.ops import ReLU


def divergence(m0, s0, m1, s1):
    """KL(N(m0, s0) || N(m1, s1)), the textbook's formula."""
    k, d = len(m0), m1 - m0
    return (np.trace(np.linalg.solve(s1, s0)) - k + np.log(np.linalg.det(s1) / np.linalg.det(s0)) + d @ np.linalg.solve(s1, d)) / 2


def exact_divergence(mu, sigma, j):
    """KL(p(β_-j) || p(β_-j | β_j = 0)), conditioning by blocks of the covariance: no precision matrix."""
    rest = np.arange(len(mu)) != j
    column = sigma[rest, j] / sigma[j, j]
    s = sigma[np.ix_(rest, rest)]
    return divergence(mu[rest], s, mu[rest] - column * mu[j], s - np.outer(column, column) * sigma[j, j])


def drawn(seed, p):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(p, p + 2))
    return rng.normal(size=p), a @ a.T


def test_by_hand():
    """E42: μ = (2, 1), correlation 1/2: shares .8 and .2. E43: the whole divergence for μ_j = 1 is .189492."""
    found = rate([2, 1], [[1, 0.5], [0.5, 1]])
    assert close(found.rate, [0.8, 0.2], 1e-14)
    assert close(found.kld, [2 / 3, 1 / 6], 1e-14)                      # α = ρ² / (1 - ρ²) = 1/3
    assert round(exact_divergence(np.array([2.0, 1.0]), np.array([[1, 0.5], [0.5, 1]]), 1), 6) == 0.189492
    assert found.delta == pytest.approx(0.8 * np.log(1.6) + 0.2 * np.log(0.4))
    assert str(found) == "RATE of 2 variables (1/p = 0.5000): 0: 0.8000, 1: 0.2000; delta = 0.1927, ESS = 83.84 %"


@given(seed=st.integers(0, 2**32 - 1), p=st.integers(2, 5))
def test_w52_the_divergence_of_gaussians(seed, p):
    """W52 (I05): the exact divergence minus KLD does not depend on μ. I06: the shares sum to 1, whatever the scale of β."""
    mu, sigma = drawn(seed, p)
    found, other = rate(mu, sigma), rate(mu * 3 + 1, sigma)
    for j in range(p):
        rests = [exact_divergence(r.mean, sigma, j) - r.kld[j] for r in (found, other)]
        # conditioning: the condition number of a drawn covariance times rounding
        assert rests[0] == pytest.approx(rests[1], abs=1e-13 * np.linalg.cond(sigma) * (1 + other.kld[j]))
    assert found.rate.sum() == pytest.approx(1, abs=1e-14)
    assert close(rate(-2 * mu, 4 * sigma).rate, found.rate, 1e-13 * np.linalg.cond(sigma))


@pytest.mark.parametrize("p", [2, 3, 5])
def test_equal_roles(p):
    found = rate(np.ones(p), 0.25 + 0.75 * np.eye(p))
    assert close(found.rate, np.full(p, 1 / p), 1e-13)
    assert found.delta == pytest.approx(0, abs=1e-13)
    assert found.ess == pytest.approx(100, abs=1e-11)


def test_a_singular_covariance():
    """β_3 = β_1 + β_2: a generalised inverse stands for the precision, and variables that may change places have equal shares."""
    a = np.array([[1.0, 0], [0, 1], [1, 1]])
    found = rate([1, 1, 2], a @ a.T)
    assert found.rate[0] == pytest.approx(found.rate[1])
    assert np.isfinite(found.kld).all()


def test_the_posterior_on_a_grid():
    """p(w | y) ∝ exp(-|y - h w - b|² / 2 noise - (w² + b²) / 2 prior), summed over a grid of (w, b)."""
    graph = mlp([[[1.0]], [[1.5]]], [None, None])
    x, y = np.array([[1.0], [2.0], [0.5]]), np.array([0.5, 2.5, 1.0])
    found = last_layer(graph, x, y, prior=2.0, noise=0.5)
    w, b = np.meshgrid(np.linspace(-8, 8, 801), np.linspace(-8, 8, 801), indexing="ij")
    log = -sum((t - s * w - b) ** 2 for t, s in zip(y, x[:, 0])) / (2 * 0.5) - (w**2 + b**2) / (2 * 2.0)
    q = np.exp(log - log.max())
    q /= q.sum()
    mean = np.array([(q * w).sum(), (q * b).sum()])
    cov = [[(q * (u - m) * (v - k)).sum() for v, k in zip((w, b), mean)] for u, m in zip((w, b), mean)]
    assert close(found.mean, mean, 1e-9)                                # sums over a fine grid of a Gaussian are exact to far below rounding
    assert close(found.covariance, cov, 1e-9)
    own = last_layer(graph, x, prior=1e9, noise=1e-9)
    assert close(own.mean, [1.5, 0], 1e-6, scale=1)                     # of its own answers it finds its own weights; noise/prior = 1e-18, cond 1e9


@pytest.mark.parametrize("projection", ["covariance", "linear"])
def test_the_network_against_draws(projection):
    """Weights drawn from the posterior, effects of each draw by sums or least squares: their mean and covariance are those of β."""
    rng = np.random.default_rng(0)
    graph = mlp([rng.normal(size=(6, 3)), rng.normal(size=(1, 6))], [rng.normal(size=6), None])
    x = rng.normal(size=(15, 3))
    y = 2 * x[:, 0] + rng.normal(size=15) / 4
    found, posterior = network_rate(graph, x, y, projection=projection), last_layer(graph, x, y)
    w = rng.multivariate_normal(posterior.mean, posterior.covariance, size=20_000)
    f = w @ posterior.features.T
    if projection == "covariance":
        beta = np.stack([((x[:, j] - x[:, j].mean()) * (f - f.mean(axis=1)[:, None])).sum(axis=1) / 14 for j in range(3)], axis=1)
    else:
        beta = np.linalg.lstsq(x, f.T, rcond=None)[0].T
    error = beta.std(axis=0) / 20_000**0.5
    assert (abs(beta.mean(axis=0) - found.mean) < 5 * error).all()      # five standard errors
    assert close(np.cov(beta.T), found.covariance, 0.1)                 # relative error of a variance: sqrt(2 / 20000) = 1 %
    assert found.rate.argmax() == 0


BAD = {
    "diagonal": (lambda: rate([1, 2], np.eye(2)), Inapplicable, "is not defined"),
    "no spread": (lambda: rate([1, 2], np.zeros((2, 2))), Inapplicable, "one of 0"),
    "no mean": (lambda: rate([0, 0], [[1, 0.5], [0.5, 1]]), Inapplicable, "a mean of 0"),
    "shapes": (lambda: rate([1, 2], np.eye(3)), ShapeError, r"\(p,\) and \(p, p\)"),
    "asymmetric": (lambda: rate([1, 2], [[1, 0.5], [0, 1]]), InputError, "symmetric"),
    "indefinite": (lambda: rate([1, 2], [[1, 2], [2, 1]]), InputError, "negative eigenvalues"),
    "nan": (lambda: rate([1, np.nan], np.eye(2)), InputError, "not finite"),
    "projection": (lambda: network_rate(NET_A, [[1.0, 2.0]], projection="max"), UnknownName, "there are 'covariance', 'linear'"),
    "one sample": (lambda: network_rate(NET_A, [[1.0, 2.0]]), InputError, "two samples"),
    "response": (lambda: network_rate(NET_A, [[1.0, 2.0]] * 3, [1, 2]), ShapeError, "each of 3 samples"),
    "prior": (lambda: last_layer(NET_A, [[1.0, 2.0]] * 3, prior=0), InputError, "prior=0 must be a positive"),
    "exact": (lambda: last_layer(NET_A.astype("exact"), [[1, 2]]), ExactnessError, "not rational"),
    "no last layer": (lambda: last_layer(_rectified(), [[1.0, 2.0]], target=0), Inapplicable, "is made by ReLU"),
}


def _rectified():
    b = Builder()
    return b.build(b.add(ReLU(), b.input("x", (None, 2))))


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
