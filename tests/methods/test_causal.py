"""Average causal effects: worked numbers, sampling, second derivatives against differences, what ReLU networks lack."""

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import NET_B, close, mlp
from tests.oracle.planted import cnn, image, normed
from xaicore import Builder
from xaicore.errors import ExactnessError, Inapplicable, InputError
from xaicore.methods.curvature import hessian_product
from xaicore.methods.task import make_task
from xaicore.ops import Add, Dense, Mul, ReLU, Sigmoid, Slice, Softmax, Tanh
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
