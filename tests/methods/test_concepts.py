"""TCAV against differences along the direction, closed forms of its classifiers, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import t as student

import xaicore as xc
from tests.nets import close, mlp
from xaicore.data import digits_images, digits_model
from xaicore.errors import ExactnessError, Inapplicable, InputError, UnknownName
from xaicore.methods.concepts import activations, direction, logistic, ridge_regression, tcav
from xaicore.ops import Dense, Tanh
from xaicore.oracle.strategies import inputs_of, mlps

PLANE = mlp([[[1.0, 0.0], [0.0, 1.0]], [[1.0, -2.0], [0.0, 1.0]]], [None, None])
"""f_0 = a_1 - 2 a_2 with a = relu(x)."""


def test_by_hand():
    """The concept lies at (2, 1) and (2, 3), the rest at (0, 1) and (0, 3): v = (1, 0), S = ∇f_0 · v = 1 everywhere, TCAV = 1."""
    concept, rest = np.array([[2.0, 1.0], [2.0, 3.0]]), np.array([[0.0, 1.0], [0.0, 3.0]])
    for classifier in ("logistic", "ridge"):
        found = tcav(PLANE, [[1.0, 1.0], [3.0, 1.0]], "relu1", concept, [rest], 0, classifier=classifier, test=0)
        assert close(found.directions[0].vector, [1, 0], 1e-9)
        assert close(found.sensitivities, [[1, 1]], 1e-9)
        assert (found.score, found.directions[0].accuracy, found.p) == (1.0, 1.0, None)
        assert close(found.shares, [1])
    down = tcav(PLANE, [[1.0, 1.0]], "relu1", concept[:, ::-1], [rest[:, ::-1]], 0, test=0)
    assert close(down.sensitivities, [[-2]], 1e-9)                      # the concept in the other unit: -2
    assert (down.score, down.shares[0]) == (0.0, 0.0)
    assert "TCAV of 0 of 'fc2' at 'relu1': 0.000 +- 0.000 over 1 samples and 1 random sets; no test" in str(down)


def test_zero_is_not_positive():
    """A dead layer has slope 0 along every direction."""
    concept, rest = np.array([[2.0, 1.0], [2.0, 3.0]]), np.array([[0.0, 1.0], [0.0, 3.0]])
    found = tcav(PLANE, [[1.0, 1.0]], "relu1", concept, [rest, rest], 1, test=0, classifier="ridge")
    assert (found.score, found.shares[0], found.p) == (0.0, 0.0, 0.0)


@settings(max_examples=10)
@given(data=st.data())
def test_slopes_against_differences_along_the_direction(data):
    graph = data.draw(mlps("any", activations=(Tanh(),)))
    x, concept, rest = (data.draw(inputs_of(graph, batch=(6, 6))) for _ in range(3))
    found = tcav(graph, x, "act0", concept, [rest], 1, classifier="ridge", ridge=0.1)
    v, h = found.directions[0].vector, 1e-6
    a = activations(graph, "act0", x)
    up, down = (_from_act0(graph, a + s * h * v)[:, 1] for s in (1, -1))
    assert close(found.sensitivities[0], (up - down) / (2 * h), 1e-7, scale=1)     # rounding 1e-16 / h, and h² times a third derivative


def _from_act0(graph, a):
    """The layers behind act0, as loops over the nodes."""
    for node in graph.nodes[2:]:
        if isinstance(node.op, Dense):
            a = a @ graph.params[node.inputs[1]].T + (graph.params[node.inputs[2]] if len(node.inputs) > 2 else 0)
        else:
            a = np.tanh(a)
    return a


@pytest.mark.parametrize("shape", [(12, 3), (6, 20)])
def test_classifiers_against_their_objective(shape):
    """More examples than features and fewer: a general minimiser of the written-out objective finds nothing better."""
    rng = np.random.default_rng(1)
    a, y = rng.normal(size=shape) + 3, np.repeat([1.0, -1.0], [shape[0] // 3, shape[0] - shape[0] // 3])
    losses = {ridge_regression: lambda m: ((1 - m) ** 2).mean(), logistic: lambda m: np.log1p(np.exp(-m)).mean()}
    for fit, loss in losses.items():
        half = 1 if fit is ridge_regression else 0.5

        def objective(t, loss=loss, half=half):
            return loss(y * (a @ t[:-1] + t[-1])) + half * 0.1 * t[:-1] @ t[:-1]

        w, b = fit(a, y, 0.1)
        best = minimize(objective, np.zeros(shape[1] + 1), options={"gtol": 1e-7})
        assert objective(np.append(w, b)) <= best.fun + 1e-14
        assert close(np.append(w, b), best.x, 1e-3, scale=1)            # a quasi-Newton step stops where the loss is flat to 1e-7


def test_settings():
    rng = np.random.default_rng(2)
    concept, rest = rng.normal(size=(9, 2)) + 2, rng.normal(size=(9, 2)) + 1
    x = abs(rng.normal(size=(5, 2)))
    found = {k: tcav(PLANE, x, "relu1", concept, [rest], 0, normalize=k) for k in ("l2", "l1", "none")}
    v = {k: f.directions[0].vector for k, f in found.items()}
    assert close(v["l2"], v["none"] / np.sqrt((v["none"] ** 2).sum()))
    assert close(v["l1"], v["none"] / abs(v["none"]).sum())
    assert len({f.score for f in found.values()}) == 1
    assert close(found["none"].magnitudes, [found["none"].sensitivities.mean()])
    assert (direction(PLANE, "relu1", concept, rest).vector == v["l2"]).all()
    assert (direction(PLANE, "relu1", concept, rest, seed=1).vector != v["l2"]).any()


def test_significance():
    """Student's t by its formula, in the paper's form and in that of the authors' code."""
    rng = np.random.default_rng(3)
    graph = mlp([rng.normal(size=s) for s in ((4, 3), (6, 4), (2, 6))], [rng.normal(size=4), rng.normal(size=6), None])
    x, concept = rng.normal(size=(30, 3)), rng.normal(size=(20, 3)) + [0.3, 0, 0]
    sets = [rng.normal(size=(20, 3)) for _ in range(6)]
    one = tcav(graph, x, "relu1", concept, sets, 0, classifier="ridge")
    s = one.scores
    t = (s.mean() - 0.5) / (s.std(ddof=1) / 6**0.5)
    assert one.p == pytest.approx(2 * student.sf(abs(t), 5), rel=1e-9)
    two = tcav(graph, x, "relu1", concept, sets, 0, classifier="ridge", null="random")
    r = two.null
    pooled = (s.var(ddof=1) + r.var(ddof=1)) / 2
    assert two.p == pytest.approx(2 * student.sf(abs(s.mean() - r.mean()) / np.sqrt(pooled / 3), 10), rel=1e-9)
    between = [direction(graph, "relu1", sets[k], sets[(k + 1) % 6], classifier="ridge") for k in range(6)]
    again = [tcav(graph, x, "relu1", sets[k], [sets[(k + 1) % 6]], 0, classifier="ridge") for k in range(6)]
    assert [a.score for a in again] == list(r)
    assert all((d.vector == a.directions[0].vector).all() for d, a in zip(between, again))


def test_a_picture():
    """The digits network: a bright left half as concept, at a convolution."""
    images, _ = digits_images()
    graph, rng = digits_model(), np.random.default_rng(0)
    noise = [rng.uniform(size=(10, 1, 8, 8)) for _ in range(3)]
    concept = rng.uniform(size=(10, 1, 8, 8))
    concept[..., :4] = 1
    layer = next(n.name for n in graph.nodes if type(n.op).__name__ == "ReLU")
    found = tcav(graph, images, layer, concept, noise, target=3)
    assert found.directions[0].vector.shape == activations(graph, layer, images).shape[1:]
    assert all(d.accuracy == 1 for d in found.directions)
    assert 0 <= found.score <= 1
    assert found.p is not None


TWO = np.array([[2.0, 1.0], [2.0, 3.0]])
BAD = {
    "layer": (lambda: tcav(PLANE, TWO, "relu2", TWO, [TWO], 0), UnknownName, "did you mean 'relu1'"),
    "the output": (lambda: tcav(PLANE, TWO, "fc2", TWO, [TWO], 0), xc.XaicoreError, "nothing behind it to explain"),
    "classifier": (lambda: tcav(PLANE, TWO, "relu1", TWO, [TWO], 0, classifier="svm"), UnknownName, "there are 'logistic', 'ridge'"),
    "norm": (lambda: tcav(PLANE, TWO, "relu1", TWO, [TWO], 0, normalize="max"), UnknownName, "normalize='max' does not exist"),
    "null": (lambda: tcav(PLANE, TWO, "relu1", TWO, [TWO], 0, null="zero"), UnknownName, "there are 'half', 'random'"),
    "one array": (lambda: tcav(PLANE, TWO, "relu1", TWO, TWO, 0), InputError, r"a single set is \[set\]"),
    "two sets": (lambda: tcav(PLANE, TWO, "relu1", TWO, [TWO, TWO], 0, null="random"), InputError, "2 are too few; give 3"),
    "one example": (lambda: tcav(PLANE, TWO, "relu1", TWO[:1], [TWO], 0), InputError, "1 examples are too few to hold out"),
    "no ridge": (lambda: tcav(PLANE, TWO, "relu1", TWO, [TWO], 0, ridge=0), InputError, "have no best one then"),
    "all held out": (lambda: tcav(PLANE, TWO, "relu1", TWO, [TWO], 0, test=1), InputError, "from 0 to below 1"),
    "the same": (lambda: tcav(PLANE, TWO, "relu1", TWO, [TWO], 0, test=0, classifier="ridge"), InputError, "have the same mean activations"),
    "huge": (lambda: tcav(PLANE, TWO, "relu1", 1e16 * TWO, [1e16 * TWO[:, ::-1] + 1e15], 0, test=0), InputError, "found no minimum: activations reach 3"),
    "rationals": (lambda: tcav(PLANE.astype("exact"), [[1, 2]], "relu1", [[1, 2]], [[[1, 2]]], 0), ExactnessError, "not rational"),
    "shape": (lambda: tcav(PLANE, TWO, "relu1", TWO[:, :1], [TWO], 0), xc.XaicoreError, "1 instead of 2 on axis 1"),
}


def _beside():
    b = xc.Builder()
    x = b.input("x", (None, 2))
    side = b.add(Tanh(), x, name="side")
    return b.build(b.add(Tanh(), x, name="main"), side)


BAD["beside"] = (lambda: tcav(_beside(), TWO, "side", TWO, [TWO], ("main", 0)), Inapplicable, "lies behind the explained value")


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
