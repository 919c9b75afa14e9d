"""Average causal effects: worked numbers, sampling, second derivatives against differences, what ReLU networks lack."""

from fractions import Fraction as F
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

import xaicore as xc
from tests.nets import NET_B, close, mlp
from tests.oracle.planted import cnn, image, normed
from xaicore import Builder
from xaicore.data import digits_images, digits_model
from xaicore.errors import ExactnessError, Inapplicable, InputError, UnknownName
from xaicore.graph.run import evaluate
from xaicore.methods.causal import evidence, regressors
from xaicore.methods.curvature import hessian_product
from xaicore.methods.task import make_task
from xaicore.ops import Add, Dense, Mul, ReLU, Reshape, Sigmoid, Slice, Softmax, Sum, Tanh
from xaicore.oracle.strategies import SMOOTH, cnns, inputs_of, mlps, numbers


def exact(values):
    return np.vectorize(F, otypes=[object])(values)


def quadratic(a, b, dtype="float64"):
    """f = xᵀ A x + b x, as a product of x and A x."""
    g = Builder(dtype=dtype)
    x = g.input("x", (None, len(b)))
    ax = g.add(Dense(), x, g.param("a", a))
    both = g.add(Dense(), g.add(Mul(), x, ax), g.param("ones", [[1] * len(b)] if dtype == "exact" else np.ones((1, len(b)))))
    return g.build(g.add(Add(), both, g.add(Dense(), x, g.param("b", [list(b)]))))


def test_e44():
    """E44: f = x1 x2 + x1², the others without mean: ACE of x1 = 1 is 1 - 1/3, the mean of α² over [-1, 1] or [0, 1]."""
    graph = quadratic(np.array([[1.0, 0.5], [0.5, 0.0]]), np.zeros(2))
    sets = np.array([[-1.0, 1], [1, -1], [0, 2], [0, -2]])
    for low in (-1, 0):
        for order in (1, 2, "mc"):
            a = xc.explain(graph, [[1.0, 0.0]], "ace", background=sets, order=order, low=low, high=1)
            assert np.asarray(a)[0, 0] == pytest.approx(2 / 3, abs=1e-14)


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_w49_linear_functions(seed):
    """W49: ACE = LinearSHAP = IG from the mean, for an interval that is symmetric about the mean of each input; whatever the order."""
    rng = np.random.default_rng(seed)
    w = exact(numbers(rng, (2, 3)))
    b = Builder(dtype="exact")
    graph = b.build(b.add(Dense(), b.input("x", (None, 3)), b.param("w", w), b.param("c", exact(numbers(rng, (2,))))))
    x, sets = exact(numbers(rng, (2, 3))), exact(numbers(rng, (5, 3)))
    mean = sets.sum(axis=0) / 5
    expected = np.asarray(xc.explain(graph, x, "linear_shap", target=1, background=sets))
    assert (np.asarray(xc.explain(graph, x, "integrated_gradients.exact", target=1, baseline=mean)) == expected).all()
    for order in (1, 2, "mc"):
        a = xc.explain(graph, x, "ace", target=1, background=sets, order=order, low=mean - 2, high=mean + 2, quadrature="midpoint", steps=3)
        assert (np.asarray(a) == expected).all()


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_w50_second_order_is_exact_for_quadratic_functions(seed):
    """W50: Rationals: order 2 is the mean over the background with the input set, order 1 is not."""
    rng = np.random.default_rng(seed)
    graph = quadratic(exact(numbers(rng, (3, 3))), exact(numbers(rng, (3,))), "exact")
    x, sets = exact(numbers(rng, (2, 3))), exact(numbers(rng, (4, 3)))
    own = {"background": sets, "quadrature": "midpoint", "steps": 2}
    a = {order: xc.explain(graph, x, "ace", order=order, **own) for order in (1, 2, "mc")}
    assert (np.asarray(a[2]) == np.asarray(a["mc"])).all()
    assert (a[2].extras["curve"]["x"] == a["mc"].extras["curve"]["x"]).all()
    assert (a[1].extras["curve"]["x"] != a["mc"].extras["curve"]["x"]).any()
    for n in range(2):
        for i in range(3):
            moved = sets.copy()
            moved[:, i] = a["mc"].extras["points"]["x"][i, 1]
            assert a["mc"].extras["curve"]["x"][n, i, 1] == graph(moved).sum() / 4
    floats = quadratic(graph.params["a"].astype(float), graph.params["b"][0].astype(float))
    many = sets.astype(float)
    for order in (2, "mc"):
        again = xc.explain(floats, x.astype(float), "ace", order=order, **{**own, "background": many})
        assert close(np.asarray(again), np.asarray(a[2]).astype(float), 1e-9)
    unbiased = xc.explain(graph, x, "ace", order=2, ddof=1, **own).extras["curve"]["x"]
    first = a[1].extras["curve"]["x"]
    assert (unbiased - first == (a[2].extras["curve"]["x"] - first) * F(4, 3)).all()


@settings(max_examples=8)
@given(data=st.data())
def test_n18_relu_networks_have_no_second_order(data):
    """N18: Piecewise linear in the logits: order 2 is order 1, bit for bit. The probability is curved."""
    graph = data.draw(st.one_of(mlps("any"), cnns()))
    x, sets = data.draw(inputs_of(graph)), data.draw(inputs_of(graph, batch=(2, 4)))
    own = {"target": 1, "background": sets, "steps": 2}
    logit = [np.asarray(xc.explain(graph, x, "ace", order=k, **own)) for k in (1, 2)]
    assert (logit[0] == logit[1]).all()


def test_n18_the_curvature_of_a_softmax():
    """N18."""
    graph, x, sets = cnn(head=True), image(1), image(4, seed=3)
    own = {"target": 1, "background": sets, "steps": 2, "output": "probability"}
    first, second = (np.asarray(xc.explain(graph, x, "ace", order=k, **own)) for k in (1, 2))
    assert np.abs(first - second).max() > 1e-3 * np.abs(first).max()


def test_the_mean_over_the_interval_is_zero():
    """By construction: averaged over α, the effects of α vanish."""
    graph, sets = cnn(), image(4, seed=3)
    a = xc.explain(graph, image(1), "ace", target=1, background=sets, order=1, steps=6, quadrature="midpoint")
    curve, alphas = a.extras["curve"]["image"][0], a.extras["points"]["image"]
    effects = []
    for j in range(6):
        x = image(1)
        x[0] = alphas[:, j].reshape(2, 4, 4)
        effects.append(np.asarray(xc.explain(graph, x, "ace", target=1, background=sets, order=1, steps=6, quadrature="midpoint")).reshape(-1))
    assert np.abs(np.mean(effects, axis=0)).max() < 1e-13
    assert close(np.transpose(effects), curve - curve.mean(axis=1, keepdims=True), 1e-12)


def test_more_samples_than_entries():
    """The covariance in as many directions as there are entries is that of all samples."""
    rng = np.random.default_rng(0)
    graph = mlp([rng.normal(size=(4, 3)), rng.normal(size=(2, 4))], [None, None])
    b = Builder()
    x = b.input("x", (None, 3))
    h = b.add(Tanh(), b.add(Dense(), x, b.param("w", graph.params["w1"])))
    smooth = b.build(b.add(Dense(), h, b.param("v", graph.params["w2"])))
    sets = rng.normal(size=(50, 3)) * 0.3
    a = xc.explain(smooth, sets[:2], "ace", target=0, background=sets, steps=2)
    mean = sets.mean(axis=0)
    cov = np.cov(sets.T, ddof=0)
    for i in range(3):
        for k, alpha in enumerate(a.extras["points"]["x"][i]):
            p = mean.copy()
            p[i] = alpha
            c = cov.copy()
            c[i], c[:, i] = 0, 0
            hess = np.zeros((3, 3))
            for r in range(3):
                for s in range(3):
                    e, d = np.eye(3)[r] * 1e-4, np.eye(3)[s] * 1e-4
                    hess[r, s] = (smooth([p + e + d]) - smooth([p + e - d]) - smooth([p - e + d]) + smooth([p - e - d]))[0, 0] / 4e-8
            # central differences of the fourth kind: rounding 1e-16 / 1e-8 and h² times the next derivatives, both about 1e-8
            assert a.extras["curve"]["x"][0, i, k] == pytest.approx(smooth([p])[0, 0] + (hess * c).sum() / 2, abs=1e-6)


# ----- second derivatives -------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(data=st.data())
def test_hessian_products_against_differences_of_gradients(data):
    graph = data.draw(mlps("any", activations=SMOOTH))
    x, u = data.draw(inputs_of(graph, batch=(2, 2))), data.draw(inputs_of(graph, batch=(2, 2)))
    task = make_task(graph, x, [0, 2])
    rows = np.array([0, 1])
    found, along = hessian_product(task, {"x": x}, rows, {"x": u})
    h = 1e-5
    up, down = (task.gradients({"x": x + s * h * u}, rows)[0]["x"] for s in (1, -1))
    assert close(found["x"], (up - down) / (2 * h), 1e-6, scale=1)      # h² times a fourth derivative, and 1e-16 / h
    assert close(along, (found["x"] * u).sum(axis=1), 1e-12, scale=1)


@pytest.mark.parametrize("build", [lambda: (normed(), (2, 3, 4), 0), lambda: (cnn(head=True), (2, 2, 4, 4), 1)])
def test_hessian_products_through_norms_softmax_and_kinks(build):
    """Away from kinks the difference of gradients; where a difference would step over one, still the curvature on this side."""
    graph, shape, target = build()
    rng = np.random.default_rng(3)
    x, u = numbers(rng, shape), numbers(rng, shape) / 4
    task = make_task(graph, x, target, "probability" if target else "logit")
    name, rows = task.wrt[0], np.arange(2)
    found = hessian_product(task, {name: x}, rows, {name: u})[0][name]
    h = 1e-6
    up, down = (task.gradients({name: x + s * h * u}, rows)[0][name] for s in (1, -1))
    assert close(found, (up - down) / (2 * h), 1e-6, scale=1)


def test_the_curvature_beside_a_kink():
    """f = relu(x) + x³ through products at 1e-9: 6 x u, and not the jump of the slope."""
    b = Builder()
    x = b.input("x", (None, 1))
    graph = b.build(b.add(Add(), b.add(ReLU(), x), b.add(Mul(), x, b.add(Mul(), x, x))))
    task = make_task(graph, [[1e-9]])
    _, along = hessian_product(task, {"x": np.array([[1e-9]])}, np.array([0]), {"x": np.array([[2.0]])})
    assert along[0] == pytest.approx(6 * 1e-9 * 4, rel=1e-9)
    smooth = Builder()
    s = smooth.build(smooth.add(Sigmoid(), smooth.add(Slice(1, 0, 1), smooth.input("x", (None, 2)))))
    task = make_task(s, [[0.3, 1.0]])
    _, along = hessian_product(task, {"x": np.array([[0.3, 1.0]])}, np.array([0]), {"x": np.array([[1.0, 5.0]])})
    p = 1 / (1 + np.exp(-0.3))
    assert along[0] == pytest.approx(p * (1 - p) * (1 - 2 * p), rel=1e-8)
    soft = Builder()
    t = soft.build(soft.add(Softmax(), soft.input("x", (None, 3))))
    z = np.array([[0.2, -0.4, 1.0]])
    task = make_task(t, z, 0, "probability")
    u = np.array([[1.0, -2.0, 0.5]])
    _, along = hessian_product(task, {"x": z}, np.array([0]), {"x": u})
    q = np.exp(z[0]) / np.exp(z[0]).sum()
    mean = q @ u[0]
    assert along[0] == pytest.approx(q[0] * ((u[0, 0] - mean) ** 2 - (q @ u[0] ** 2 - mean**2)), rel=1e-8)


# ----- bad input ----------------------------------------------------------------------------------------------------


def test_bad_input():
    x = [[2.0, 1.0]]
    with pytest.raises(InputError, match="order=3 does not exist; there are 1, 2 and 'mc'"):
        xc.explain(NET_B, x, "ace", order=3)
    with pytest.raises(InputError, match="neither the graph nor a background says which; give low= and high="):
        xc.explain(NET_B, x, "ace")
    with pytest.raises(InputError, match="low is above high for input 'x'"):
        xc.explain(NET_B, x, "ace", low=1, high=0)
    with pytest.raises(InputError, match="the background has 1 samples, and ddof=1 needs more"):
        xc.explain(NET_B, x, "ace", background=np.ones((1, 2)), ddof=1)
    with pytest.raises(InputError, match="one distribution for all samples"):
        xc.explain(NET_B, np.ones((2, 2)), "ace", low=0, high=1, baseline=np.array([[0.0, 0], [1, 1]]))
    with pytest.raises(ExactnessError, match="use quadrature='midpoint'"):
        xc.explain(NET_B.astype("exact"), [[2, 1]], "ace", low=0, high=1)
    with pytest.raises(Inapplicable, match=r"32 entries at 11 values each take 14,080,000 evaluations of f"):
        xc.explain(cnn(), image(1), "ace", target=0, order="mc", background=np.zeros((40_000, 2, 4, 4)))
    black = xc.from_function(lambda v: v[:, 0] ** 2, (None, 2))
    with pytest.raises(Inapplicable, match="black box without a derivative"):
        xc.explain(black, x, "ace", background=np.eye(2))
    assert np.asarray(xc.explain(black, x, "ace", background=np.eye(2), order="mc", low=-1, high=1))[0] == pytest.approx([4 - 1 / 3, 0])


# ----- regressors, arrows of time, layers ---------------------------------------------------------------------------


def test_a_regressor_is_the_curve_where_that_is_a_polynomial():
    """E44, f = x1 x2 + x1²: E[f | do(x1 = α)] = α² for a symmetric x2, so degree 2 is exact, evidence finds it, and ACE(1) = 2/3."""
    graph = quadratic(np.array([[1.0, 0.5], [0.5, 0.0]]), np.zeros(2))
    background = np.array([[-1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]])
    plain = xc.explain(graph, [[1.0, 0.5]], "ace", background=background)
    assert np.asarray(plain)[0, 0] == pytest.approx(2 / 3)
    for degree in (2, 3, "evidence"):
        a = xc.explain(graph, [[1.0, 0.5]], "ace", background=background, degree=degree)
        assert close(a, np.asarray(plain), 1e-6)                        # evidence keeps a noise of 1e-6
        assert close(a.extras["regressor"]["x"][0, 0, :3], [1 / 3, 0, 2 / 3], 1e-6)   # α² = 1/3 P_0 + 2/3 P_2
    assert a.extras["degree"]["x"][0].tolist() == [2, 0]                # x2: E = mean of x1² + 0 α, a constant
    flat = xc.explain(graph, [[1.0, 0.5]], "ace", background=background, degree=0)
    assert close(flat, [[0, 0]], 1e-12)


def test_evidence_prefers_the_simplest_polynomial():
    """Noise around a line: degree 1 in most of 20 draws, and close to the line; against the marginal Gaussian itself."""
    rng, t = np.random.default_rng(0), np.linspace(-1, 1, 12)
    y = 1 + 2 * t + 0.3 * rng.normal(size=(20, 12))
    coefficients, degrees = regressors(np.tile(t, (1, 20, 1)), y[None], "evidence")
    assert (degrees == 1).sum() > 12
    assert abs(coefficients[0][degrees[0] == 1][:, 1] - 2).max() < 0.6   # some standard errors of 0.3 / sqrt(12 / 3)
    basis = np.polynomial.legendre.legvander(t, 2)
    mean, log = evidence(basis, y[0])
    best = -np.inf
    scale = abs(y[0]).max()
    for a, b in product(10.0 ** np.arange(-2, 3, 0.25), repeat=2):
        cov = basis @ basis.T / a + np.eye(12) / b
        best = max(best, multivariate_normal(np.zeros(12), cov).logpdf(y[0] / scale))
    assert best - 0.05 <= log <= best + 0.3                             # the grid's step; the re-estimation ends at a maximum
    assert mean.shape == (3,)


def test_the_past_acts_on_the_future():
    """x_2 = 2 x_1 + noise, f = 3 x_1 + 5 x_2: do(x_1 = α) moves f by 13 α, do(x_2 = α) by 5 α, and nothing acts backwards."""
    rng = np.random.default_rng(1)
    first = rng.normal(size=(40, 1))
    noise = rng.normal(size=(40, 1))
    noise -= first * (first - first.mean()).T @ noise / ((first - first.mean()) ** 2).sum()
    background = np.concatenate([first, 2 * first + noise - noise.mean()], axis=1)
    background -= background.mean(axis=0)
    graph = quadratic(np.zeros((2, 2)), [3, 5])
    for order in (1, 2, "mc"):
        a = xc.explain(graph, [[1.0, 1.0]], "ace", background=background, arrows="time", low=-1, high=1, order=order)
        assert close(a, [[13, 5]], 1e-9)
        assert close(xc.explain(graph, [[1.0, 1.0]], "ace", background=background, low=-1, high=1, order=order), [[3, 5]], 1e-9)


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_second_order_is_exact_with_arrows_too(seed):
    """Quadratic f of (N, 3, 2): the second order is the mean over the moved samples, which a loop makes with a regression by hand."""
    rng = np.random.default_rng(seed)
    m = numbers(rng, (6, 6))
    b = Builder()
    flat = b.add(Reshape((6,)), b.input("x", (None, 3, 2)), name="flat")
    graph = b.build(b.add(Sum((1,)), b.add(Mul(), flat, b.add(Dense(), flat, b.param("m", m + m.T))), name="f"))
    background, x = rng.normal(size=(15, 3, 2)), numbers(rng, (1, 3, 2))
    own = {"background": background, "arrows": "time", "low": -1, "high": 1, "steps": 4}
    two, mc = (xc.explain(graph, x, "ace", order=order, **own) for order in (2, "mc"))
    assert close(two, np.asarray(mc), 1e-9)
    rows = background.reshape(15, 6)
    i = int(rng.integers(6))
    now = (i // 2 + 1) * 2
    design = np.column_stack([np.ones(15), rows[:, :now]])
    alpha = mc.extras["points"]["x"][i, 1]
    moved = rows.copy()
    for j in range(now, 6):
        coefficient = np.linalg.solve(design.T @ design, design.T @ rows[:, j])[1 + i]
        moved[:, j] += coefficient * (alpha - rows[:, i])
    moved[:, i] = alpha
    assert mc.extras["curve"]["x"][0, i, 1] == pytest.approx(graph(moved.reshape(15, 3, 2)).mean(), rel=1e-9, abs=1e-9)


def test_at_a_layer():
    """ACE of the units of a layer is ACE on the rest of the network, with the background's own activations and their range."""
    rng = np.random.default_rng(2)
    graph = mlp([numbers(rng, (4, 3)), numbers(rng, (2, 4))], [numbers(rng, (4,)), None])
    background, x = rng.normal(size=(9, 3)), rng.normal(size=(2, 3))
    rest = mlp([graph.params["w2"]] if "w2" in graph.params else [graph.params[graph.nodes[-1].inputs[1]]], [None])
    hidden = graph.nodes[1].name
    values = [evaluate(graph, {"x": v}, keep=[hidden])[hidden] for v in (x, background)]
    a = xc.explain(graph, x, "ace", 1, layer=hidden, background=background)
    assert close(a, np.asarray(xc.explain(rest, values[0], "ace", 1, background=values[1])), 1e-12)
    with pytest.raises(InputError, match="ace averages over an interval"):
        xc.explain(digits_model(), digits_images()[0][:1], "ace", 1, layer="relu5")


def test_bad_settings_of_regressors_and_arrows():
    graph = quadratic(np.eye(2, dtype=int).tolist(), [0, 0], "exact").astype("float64")
    own = {"low": -1, "high": 1}
    for more, error, message in (({"degree": 10}, InputError, "degree=10 has 11 coefficients"), ({"degree": "best"}, InputError, "degree='best'"),
                                 ({"arrows": "tme"}, UnknownName, "did you mean 'time'"), ({"arrows": "time"}, InputError, "give background=")):
        with pytest.raises(error, match=message):
            xc.explain(graph, [[1.0, 1.0]], "ace", **own, **more)
    with pytest.raises(ExactnessError, match="least squares"):
        xc.explain(graph.astype("exact"), [[1, 1]], "ace", quadrature="midpoint", degree=1, **own)
