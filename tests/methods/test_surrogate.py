"""KernelSHAP, LIME and the regressions behind them: second implementations, conventions of libraries, bad input."""

import itertools
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import NET_A, X_A, close
from tests.oracle.planted import cnn, image
from xaicore.errors import ExactnessError, Inapplicable, InputError, UnknownName
from xaicore.methods import regression
from xaicore.methods.surrogate import coalitions_of, kernel
from xaicore.oracle.strategies import numbers
from xaicore.oracle.twins.games import worth

# ----- regressions --------------------------------------------------------------------------------------------------


def fitted(rng, rows=20, columns=5, noise=1.0):
    z = rng.normal(size=(rows, columns)) @ rng.normal(size=(columns, columns))
    return z, z @ rng.normal(size=columns) + noise * rng.normal(size=rows), rng.uniform(0.1, 2, rows)


@given(seed=st.integers(0, 2**32 - 1), ridge=st.sampled_from([0, 0.5]), intercept=st.booleans())
def test_least_squares_are_stationary(seed, ridge, intercept):
    """The gradient of the objective is 0 at the solution; rationals give the same."""
    z, y, w = fitted(np.random.default_rng(seed))
    beta, c = regression.least_squares(z, y, w, ridge, intercept)
    residual = w * (y - z @ beta - c)
    size = np.abs(w * y).sum() * np.abs(z).max()
    assert np.abs(z.T @ residual - ridge * beta).max() < 1e-9 * size    # condition numbers of up to 1e6
    assert abs(residual.sum()) < 1e-9 * size or not intercept

    def rational(x):
        return np.vectorize(lambda v: F(round(v * 64), 64), otypes=[object])(x)

    zr, yr, wr = (rational(v) for v in (z, y, w))
    beta, c = regression.least_squares(zr, yr, wr, F(1, 2) if ridge else 0, intercept)
    residual = wr * (yr - zr @ beta - c)
    assert all(v == 0 for v in zr.T @ residual - (beta / 2 if ridge else beta * 0))
    assert residual.sum() == 0 or not intercept


@given(seed=st.integers(0, 2**32 - 1))
def test_the_lasso_path_is_optimal(seed):
    """At every kink: |correlation| is λ where a weight is not 0, with its sign, and no more elsewhere. At the end: least squares."""
    rng = np.random.default_rng(seed)
    x, y = regression.centred(*fitted(rng))
    path = list(regression.lasso_path(x, y))
    top = path[0][0]
    assert top == pytest.approx(np.abs(x.T @ y).max())
    levels = [level for level, _ in path]
    assert levels == sorted(levels, reverse=True)
    for level, beta in path:
        c = x.T @ (y - x @ beta)
        assert np.abs(c).max() <= level + 1e-7 * top                    # systems of condition up to 1e6
        used = beta != 0
        assert np.abs(c[used] - level * np.sign(beta[used])).max(initial=0) <= 1e-7 * top
    assert close(path[-1][1], np.linalg.lstsq(x, y, rcond=None)[0], 1e-6)


def test_the_lasso_against_coordinate_descent():
    """Between two kinks β is linear in λ; there, the slow cyclic minimisation finds the same."""
    x, y = regression.centred(*fitted(np.random.default_rng(4)))
    path = list(regression.lasso_path(x, y))
    for (high, a), (low, b) in itertools.pairwise(path):
        level = (high + low) / 2
        beta = np.zeros(x.shape[1])
        for _ in range(20000):
            for j in range(len(beta)):
                rho = x[:, j] @ (y - x @ beta) + (x[:, j] @ x[:, j]) * beta[j]
                beta[j] = np.sign(rho) * max(abs(rho) - level, 0) / (x[:, j] @ x[:, j])
            if np.abs(beta - (a + b) / 2).max() < 1e-6:
                break
        assert np.abs(beta - (a + b) / 2).max() < 1e-5


@pytest.mark.parametrize("penalty", [0.01, 0.3, 2.0, 1e6])
def test_the_lasso_is_scikit_learns(penalty):
    from sklearn.linear_model import Lasso

    z, y, w = fitted(np.random.default_rng(6), rows=30)
    beta, c = regression.lasso(z, y, w, penalty)
    theirs = Lasso(alpha=penalty, tol=1e-14, max_iter=10**6).fit(z, y, sample_weight=w)
    assert close(beta, theirs.coef_, 1e-6, scale=1)                     # the coordinate descent stops at a duality gap of 1e-14 |y|²
    assert close([c], [theirs.intercept_], 1e-6, scale=1)


def test_k_lasso_is_the_authors():
    """Their rule on scikit-learn's path: from its end backwards to the first kink with no more than K columns. Some columns go out again."""
    from sklearn.linear_model import lars_path

    dropped = 0
    for seed in range(60):
        z, y, w = fitted(np.random.default_rng(seed), columns=6)
        kinks = [set(np.flatnonzero(beta).tolist()) for beta in lars_path(*regression.centred(z, y, w), method="lasso")[2].T]
        dropped += any(len(a) > len(b) for a, b in itertools.pairwise(kinks))
        for k in range(1, 6):
            last = next(used for used in reversed(kinks[1:]) if len(used) <= k or used is kinks[1])
            assert regression.by_lasso(z, y, w, k) == sorted(last), (seed, k)
    assert dropped > 0                                                  # some two or three in sixty, as rounding has it


def test_choices_of_columns():
    """Three columns of ten carry y, two of them strongly: each way finds them; forward selection against all pairs."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 10))
    y, w = z @ np.array([0, 5, 0, 0, -4, 0, 0, 1.5, 0, 0]) + 0.1 * rng.normal(size=60), rng.uniform(0.5, 1, 60)
    for choose in regression.SELECTIONS.values():
        assert choose(z, y, w, 3) == [1, 4, 7]
        assert choose(z, y, w, 2) == [1, 4]
        assert choose(z, y, w, 1) == [1]
    assert regression.by_forward(z, y, w, 10) == list(range(10))


def test_too_few_rows():
    with pytest.raises(InputError, match="2 samples do not determine 4 weights"):
        regression.least_squares(np.eye(3)[:2], np.ones(2), np.ones(2))
    with pytest.raises(InputError, match="2 samples do not determine 4 weights"):
        regression.least_squares(np.vectorize(F)(np.eye(3, dtype=int)[:2]), np.array([F(1)] * 2), np.array([F(1)] * 2))


# ----- KernelSHAP ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("players", [2, 5, 9, 30])
@pytest.mark.parametrize("samples", [20, 100, 2000])
def test_coalitions_and_their_weights(players, samples):
    """Never nobody or all, no more than asked for, and the mass of every size that is there in whole is the kernel's."""
    z, w = coalitions_of(players, samples, "paired", np.random.default_rng(0))
    sizes = z.sum(axis=1)
    assert len(z) == len(w) <= samples
    assert sizes.min() >= 1
    assert sizes.max() <= players - 1
    whole = [k for k in range(1, players) if (sizes == k).sum() == len(set(map(tuple, z[sizes == k]))) and all(
        w[i] == kernel(players, k) for i in np.flatnonzero(sizes == k))]
    total = sum(kernel(players, k) * len(z[sizes == k]) for k in whole)
    if samples == 2000 or (samples == 100 and players < 30):
        assert whole
    masses = [F(players - 1, k * (players - k)) for k in range(1, players)]
    if 2**players - 2 > samples:
        assert sum(w) == sum(masses) or samples == 20
        assert total <= sum(masses)
    else:
        assert len(z) == 2**players - 2
        assert sum(w) == sum(masses)


def test_sampled_values_approach_the_exact_ones():
    """12 players: the error falls with the samples, and pairs are better than single draws."""
    graph, x = cnn(), image(1)
    own = {"target": 1, "mask": np.arange(32).reshape(2, 4, 4) % 12}
    truth = xc.explain(graph, x, "shapley.exact", **own).extras["players"]

    def error(**more):
        runs = [xc.explain(graph, x, "kernel_shap", seed=s, **own, **more).extras["players"] for s in range(8)]
        return np.sqrt(np.mean([(r - truth) ** 2 for r in runs]))

    errors = [error(samples=n) for n in (60, 240, 960)]
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2] > 0
    assert error(samples=240, draw="drawn") > errors[1]
    assert error(samples=4094) < 1e-12


def test_endpoints():
    """captum's weight of a million misses the sum by about 1e-6 of it; xplique leaves the ends out and misses it."""
    graph, x = cnn(), image(1)
    gaps = {e: float(abs(xc.explain(graph, x, "kernel_shap", target=1, mask=3, endpoints=e).gap()[0])) for e in ("constraint", "weight", "none")}
    assert gaps["constraint"] < 1e-14
    assert 1e-9 < gaps["weight"] < 1e-5
    assert gaps["none"] > 1e-3


def test_players_that_are_as_in_the_background():
    """They get exactly 0, in each sample its own, and the others are nearer to the exact values for it."""
    graph, x = cnn(), image(2)
    x[0, :, :2] = 0
    x[1, :, 2:] = 0
    own = {"target": 1, "mask": "positions"}
    truth = xc.explain(graph, x, "shapley.exact", **own).extras["players"]
    a = xc.explain(graph, x, "kernel_shap", samples=400, **own).extras["players"]
    b = xc.explain(graph, x, "kernel_shap", samples=400, endpoints="weight", **own).extras["players"]
    assert not a[0, :8].any()
    assert not a[1, 8:].any()
    assert np.abs(a - truth).max() < np.abs(b - truth).max()
    same = xc.explain(graph, np.zeros((1, 2, 4, 4)), "kernel_shap", **own)
    assert not np.asarray(same).any()


def test_few_features():
    """shap's num_features: the others get 0, and the sum is still f(x) - v(nobody)."""
    a = xc.explain(cnn(), image(2), "kernel_shap", target=1, mask=4, samples=300, features=3)
    assert ((a.extras["players"] != 0).sum(axis=1) <= 3).all()
    assert np.abs(a.gap()).max() < 1e-13
    with pytest.raises(ExactnessError, match="features has no value in exact mode"):
        xc.explain(NET_A.astype("exact"), [[3, 1]], "kernel_shap", features=1)


def test_one_player():
    for method in ("kernel_shap", "shapley.exact", "shapley.sampling", "shapley.owen", "lime"):
        a = xc.explain(cnn(), image(1), method, target=0, mask=1)
        assert close(a.extras["players"][0], [float(a.output[0] - cnn()(np.zeros((1, 2, 4, 4)))[0, 0])], 1e-9), method


# ----- LIME ---------------------------------------------------------------------------------------------------------


@settings(max_examples=6)
@given(seed=st.integers(0, 2**32 - 1), kernel=st.sampled_from(["paper", "library"]), distance=st.sampled_from(["cosine", "euclidean", "input_cosine", "input_euclidean"]),
       ridge=st.sampled_from([0, 1]))
def test_lime_against_loops(seed, kernel, distance, ridge):
    """The draws are replayed; distances, weights and normal equations are written out."""
    rng = np.random.default_rng(seed)
    graph, x = cnn(), numbers(rng, (1, 2, 4, 4))
    a = xc.explain(graph, x, "lime", target=1, mask=2, samples=50, seed=3, kernel=kernel, distance=distance, ridge=ridge, width=0.7, draw="bernoulli")
    labels = a.extras["labels"]["image"]
    v = worth(lambda one: graph(one[None])[0, 1], x[0], np.zeros((2, 4, 4)), labels)
    draws = np.random.default_rng(3)
    z = [np.ones(4)] + [(draws.random(4) < 0.5).astype(float) for _ in range(49)]
    rows, y, w = [], [], []
    for one in z:
        there = x[0] * one[labels]
        p, q = (one, z[0]) if not distance.startswith("input") else (there.reshape(-1), x.reshape(-1))
        if distance.endswith("cosine"):
            d = 1 - (p @ q / (np.linalg.norm(p) * np.linalg.norm(q)) if p.any() else 0)
        else:
            d = np.linalg.norm(p - q)
        w.append(np.exp(-d**2 / 0.7**2) if kernel == "paper" else np.sqrt(np.exp(-d**2 / 0.7**2)))
        rows.append([*one, 1.0])
        y.append(v(frozenset(np.flatnonzero(one).tolist())))
    rows, y, w = np.array(rows), np.array(y), np.array(w)
    normal = rows.T @ (w[:, None] * rows) + ridge * np.diag([1, 1, 1, 1, 0])
    beta = np.linalg.solve(normal, rows.T @ (w * y))
    assert close(a.extras["players"][0], beta[:4], 1e-9)
    assert close(a.extras["intercept"], beta[4:], 1e-9)
    left = w @ (y - rows @ beta) ** 2 / (w @ (y - (w @ y) / w.sum()) ** 2)
    assert close(a.extras["r2"], [1 - left], 1e-9)


@pytest.mark.parametrize("kernel", ["paper", "uniform"])
@pytest.mark.parametrize("draw", ["sizes", "bernoulli"])
def test_additive_functions_are_met_exactly(kernel, draw):
    """Whatever the weights, a linear model fits what is linear in who is there: R² = 1."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=6)
    f = xc.from_function(lambda x: np.sin(x) @ w, (None, 6))
    x = rng.normal(size=(2, 6))
    a = xc.explain(f, x, "lime", kernel=kernel, draw=draw, samples=60)
    assert close(np.asarray(a), np.sin(x) * w, 1e-9)
    assert close(a.extras["r2"], [1, 1], 1e-9)
    assert close(a.extras["intercept"], [0, 0], 1e-9, scale=1)
    few = xc.explain(f, x, "lime", samples=400, features=2)
    for n in range(2):
        assert set(np.flatnonzero(np.asarray(few)[n])) == set(np.argsort(-abs(np.sin(x[n]) * w))[:2])


def test_tables():
    """Numbers: a linear function gets w times each column's deviation. Quarters: only that x's quarter differs from the rest counts."""
    rng = np.random.default_rng(1)
    data = rng.normal(size=(500, 3)) * [1, 5, 0.1] + [0, 10, -1]
    f = xc.from_function(lambda x: x @ np.array([2.0, -1.0, 3.0]), (None, 3))
    a = xc.explain(f, data[:2], "lime", representation="numbers", background=data, distance="euclidean", kernel="library")
    assert close(np.asarray(a), np.array([[2.0, -1.0, 3.0]] * 2) * data.std(axis=0), 1e-9)
    steps = xc.from_function(lambda x: (x[:, 0] > np.quantile(data[:, 0], 0.75)) * 4.0 + (x[:, 1] < 0) * 0, (None, 3))
    x = np.array([[data[:, 0].max(), 10.0, -1.0]])
    b = xc.explain(steps, x, "lime", representation="quartiles", background=data, distance="euclidean", kernel="library")
    assert close(np.asarray(b), [[4, 0, 0]], 1e-9)
    with pytest.raises(InputError, match="draws from the distribution of the data; give a set of samples"):
        xc.explain(f, data[:1], "lime", representation="numbers")
    with pytest.raises(Inapplicable, match="every entry is a player; leave mask out"):
        xc.explain(f, data[:1], "lime", representation="numbers", background=data, mask=2)


def test_penalties_and_mean_colours():
    """captum's lasso leaves few weights; an absent segment in its mean colour: only what differs inside the segment is lost."""
    graph, x = cnn(), image(1)
    own = {"target": 1, "mask": 4, "samples": 300}
    free, few = (np.asarray(xc.explain(graph, x, "lime", lasso=v, **own)) for v in (1e-9, 0.05))
    assert close(free, np.asarray(xc.explain(graph, x, "lime", **own)), 1e-5)
    assert (few == 0).sum() > (free == 0).sum()
    flat = np.repeat(np.repeat(image(1)[:, :, :2, :2], 2, axis=2), 2, axis=3)         # 2 x 2 blocks of one colour
    a = xc.explain(graph, flat, "shapley.exact", target=1, mask=2, baseline="mean")
    assert not np.asarray(a).any()
    b = xc.explain(graph, x, "shapley.exact", target=1, mask=2, baseline="mean")
    means = x.reshape(1, 2, 2, 2, 2, 2).mean(axis=(3, 5))
    assert close(b.baseline["image"], np.repeat(np.repeat(means, 2, axis=2), 2, axis=3), 1e-12)
    assert close(np.asarray(b), np.asarray(xc.explain(graph, x, "shapley.exact", target=1, mask=2, baseline=b.baseline["image"])), 1e-12)


def test_a_constant_function():
    f = xc.from_function(lambda x: np.full(len(x), 3.0), (None, 4))
    for own in ({}, {"features": 2}):
        a = xc.explain(f, np.ones((1, 4)), "lime", samples=50, **own)
        assert close(np.asarray(a), np.zeros((1, 4)), 1e-12, scale=3)
        assert a.extras["intercept"][0] == pytest.approx(3)
        b = xc.explain(f, np.ones((1, 4)), "kernel_shap", **own)
        assert close(np.asarray(b), np.zeros((1, 4)), 1e-12, scale=3)


def test_bad_input():
    for own, error, message in (
        ({"samples": 1}, InputError, "samples=1 must be a whole number of at least 2"),
        ({"samples": 3, "mask": 4}, InputError, "3 samples do not determine"),
        ({"kernel": "gauss"}, UnknownName, "kernel='gauss' does not exist"),
        ({"width": 0}, InputError, "width=0 gives every sample but x itself the weight 0"),
        ({"width": 1e-4, "samples": 20, "mask": 2}, InputError, "every sample but x itself has the weight 0"),
        ({"ridge": -1}, InputError, "ridge=-1 must be a finite number of at least 0"),
        ({"draw": "all", "mask": "entries"}, InputError, r"evaluates the 2\^32 = 4,294,967,296 coalitions"),
        ({"ridge": 1, "lasso": 1}, InputError, "are two penalties for one fit; give one of them"),
        ({"features": 0}, InputError, "features=0 must be a whole number of at least 1"),
    ):
        with pytest.raises(error, match=message):
            xc.explain(cnn(), image(1), "lime", target=0, **own)
    with pytest.raises(ExactnessError, match="use kernel='uniform' with features=None"):
        xc.explain(NET_A.astype("exact"), X_A.astype(int), "lime")
    with pytest.raises(InputError, match="samples=1 is too few for 16 players; take 32 at least"):
        xc.explain(cnn(), image(1), "kernel_shap", target=0, mask=4, samples=1)
