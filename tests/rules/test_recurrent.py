"""LRP, DeepLIFT, gradients and integrated gradients through RNN, GRU and LSTM: the loops of the papers, exact sums, conservation."""

from fractions import Fraction as F

import numpy as np
import pytest

import xaicore as xc
from tests.cases.case import exact
from tests.nets import close
from xaicore import Builder
from xaicore.errors import ExactnessError, GraphError, Inapplicable, InputError
from xaicore.ops import (
    GRU,
    LSTM,
    RNN,
    Clip,
    Dense,
    HardSigmoid,
    Mul,
    Neg,
    ReLU,
    Sigmoid,
    Slice,
    Softmax,
    Squeeze,
    Sub,
    Tanh,
    recurrence,
)
from xaicore.oracle.twins import recurrent as twins
from xaicore.rules import RULE_SETS
from xaicore.rules.example import product
from xaicore.rules.gates import gate_rule

T, X, H = 4, 3, 2
HARD = {"gate": HardSigmoid(0.25, 0.5), "activation": Clip(-1, 1)}
KINDS = {"rnn": (RNN(), 1), "gru": (GRU(), 3), "gru-before": (GRU(reset="before"), 3), "lstm": (LSTM(), 4),
         "rnn-relu": (RNN(activation=ReLU()), 1), "lstm-reverse": (LSTM(reverse=True), 4)}
RATIONAL = {"gru": (GRU(**HARD), 3), "gru-before": (GRU(reset="before", **HARD), 3), "lstm": (LSTM(squash=Clip(-1, 1), **HARD), 4),
            "rnn": (RNN(activation=Clip(-1, 1)), 1)}


def weights(gates: int, inputs: int, rng: np.random.Generator) -> list[np.ndarray]:
    """w, u, b and c as multiples of 1/64."""
    return [np.round(64 * rng.normal(size=s)) / 64 for s in ((gates * H, inputs), (gates * H, H), (gates * H,), (gates * H,))]


def network(op, gates: int, layers: int = 1, seed: int = 0, states: bool = False, dtype: str = "float64"):
    """The last state of ``layers`` recurrent layers; and the parameters of the first."""
    rng = np.random.default_rng(seed)
    b = Builder("rnn", dtype)
    to = exact if dtype == "exact" else np.asarray
    x = b.input("x", (None, T, X))
    first = None
    for k in range(layers):
        params = weights(gates, H if k else X, rng)
        first = first or params
        names = [b.param(f"{name}{k}", to(v)) for name, v in zip("wubc", params)]
        names += [b.param(f"initial{i}", to(np.zeros((1, H)))) for i in range(len(op.STATES))] if states else []
        x = b.add(op, x, *names, name=f"rnn{k}", layer=f"rnn{k}")
    last = b.add(Slice(1, 0, 1) if op.reverse else Slice(1, T - 1, T), x)
    return b.build(b.add(Squeeze((1,)), last, name="last")), first


def sequence(seed: int, n: int = 2) -> np.ndarray:
    return np.round(64 * np.random.default_rng([seed, 1]).normal(size=(n, T, X))) / 64


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# ----- against the papers' loops ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", ["absorb", "ignore", "distribute"])
@pytest.mark.parametrize("eps", [0, 0.01])
def test_lstm_is_the_loop_of_arras(bias: str, eps: float) -> None:
    graph, params = network(LSTM(), 4, states=True)
    x = sequence(3)
    a = xc.explain(graph, x, "lrp.epsilon", target=1, eps=eps, bias=bias)
    for n in range(len(x)):
        cell = twins.LSTM(*(p.tolist() for p in params), sigmoid, np.tanh)
        h = cell.states(x[n].tolist())[-1][0]
        assert close(graph(x)[n], np.array(h))
        assert close(np.asarray(a)[n], np.array(cell.relevance(x[n].tolist(), [0, h[1]], eps, bias)))


@pytest.mark.parametrize("bias", ["absorb", "ignore"])
@pytest.mark.parametrize("reset", ["after", "before"])
def test_gru_is_its_loop(reset: str, bias: str) -> None:
    graph, params = network(GRU(reset=reset), 3, states=True)
    x = sequence(5)
    a = xc.explain(graph, x, "lrp.zero", target=0, bias=bias)
    for n in range(len(x)):
        cell = twins.GRU(*(p.tolist() for p in params), sigmoid, np.tanh, before=reset == "before")
        h = cell.states(x[n].tolist())[-1]
        assert close(graph(x)[n], np.array(h))
        assert close(np.asarray(a)[n], np.array(cell.relevance(x[n].tolist(), [h[0], 0], bias)))


@pytest.mark.parametrize("kind", ["gru", "gru-before", "lstm"])
def test_the_loops_agree_exactly_on_rationals(kind: str) -> None:
    op, gates = RATIONAL[kind]
    graph, params = network(op, gates, states=True, dtype="exact")
    x = exact(sequence(7, 1))
    sides = [(lambda v: min(max(v / 4 + F(1, 2), F(0)), F(1))), (lambda v: min(max(v, F(-1)), F(1)))]
    settings = {} if kind == "lstm" else {"before": kind == "gru-before"}
    cell = (twins.LSTM if kind == "lstm" else twins.GRU)(*(exact(p).tolist() for p in params), *sides, **settings)
    h = cell.states(x[0].tolist())[-1]
    h = h[0] if kind == "lstm" else h
    assert graph(x)[0].tolist() == h
    a = xc.explain(graph, x, "lrp.zero", target=1)
    assert np.asarray(a)[0].tolist() == cell.relevance(x[0].tolist(), [F(0), h[1]])


# ----- conservation, completeness -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RATIONAL)
def test_relevance_is_conserved_exactly(kind: str) -> None:
    """Two layers on Fractions: no tolerance. The first step of a GRU without a state is the case in which c has no other reader."""
    op, gates = RATIONAL[kind]
    graph, _ = network(op, gates, layers=2, dtype="exact")
    a = xc.explain(graph, exact(sequence(1)), "lrp.zero", target=0, bias="ignore")
    assert a.total().tolist() == a.output.tolist()
    assert not any(np.asarray(e.absorbed).any() for e in a.ledger)


@pytest.mark.parametrize("gates", ["signal", "half", "proportional", "absolute"])
@pytest.mark.parametrize("kind", KINDS)
def test_relevance_is_conserved(kind: str, gates: str) -> None:
    graph, _ = network(*KINDS[kind], layers=2, seed=2)
    a = xc.explain(graph, sequence(2), "lrp.zero", target=0, bias="ignore", gates=gates)
    scale = np.abs(np.asarray(a)).max()                                  # small denominators make large shares of both signs
    assert np.abs(a.total() - a.output).max() <= 1e-12 * scale


@pytest.mark.parametrize("id", [k for k in RULE_SETS if k.startswith("lrp")])
def test_every_relevance_rule_set_passes(id: str) -> None:
    graph, _ = network(LSTM(), 4)
    box = {"low": -4, "high": 4} if "box" in id else {}
    a = xc.explain(graph, sequence(4), id, target=0, **box)
    assert np.abs(a.total() + a.ledger.absorbed - a.output).max() <= 1e-12 * max(1, np.abs(np.asarray(a)).max())


@pytest.mark.parametrize("method", ["deeplift.rescale", "deeplift.reveal_cancel"])
@pytest.mark.parametrize("kind", KINDS)
def test_deeplift_is_complete(kind: str, method: str) -> None:
    graph, _ = network(*KINDS[kind], layers=2, seed=4)
    a = xc.explain(graph, sequence(5), method, target=1, baseline=sequence(6))
    assert close(a.total(), a.output - a.baseline_output)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_the_unrolled_graph(kind: str) -> None:
    graph, _ = network(*KINDS[kind], layers=2, seed=6)
    x = sequence(8)
    from xaicore.graph.passes import expand

    unrolled = expand(graph, [type(KINDS[kind][0])], {"x": x.shape, "rnn0": (2, T, H), "rnn1": (2, T, H)})
    assert not any(isinstance(n.op, (RNN, GRU, LSTM)) for n in unrolled.nodes)
    assert {n.layer for n in unrolled.nodes} >= {"rnn0", "rnn1"}
    assert close(unrolled(x), graph(x))
    assert close(np.asarray(xc.explain(unrolled, x, "gradient", target=1)), np.asarray(xc.explain(graph, x, "gradient", target=1)))


def test_integrated_gradients_are_complete() -> None:
    graph, _ = network(LSTM(), 4, layers=2)
    a = xc.explain(graph, sequence(9), "integrated_gradients", target=0, baseline=0, steps=64)
    assert np.abs(a.total() - (a.output - a.baseline_output)).max() < 1e-9     # Gauss-Legendre, 64 nodes, an analytic integrand


def test_the_exact_integral_through_a_relu_rnn() -> None:
    """On rationals the sum is f(x) - f(0), with no tolerance; an LSTM has no pieces, and the message names it."""
    graph, _ = network(RNN(activation=ReLU()), 1, layers=2, seed=4, dtype="exact")
    a = xc.explain(graph, exact(sequence(5)), "integrated_gradients.exact", target=0, baseline=0)
    assert a.total().tolist() == (a.output - a.baseline_output).tolist()
    assert a.extras["pieces"].max() > 3
    with pytest.raises(Inapplicable, match=r"node 'rnn0' \(LSTM\(\); layer rnn0\) is not piecewise linear"):
        xc.explain(network(LSTM(), 4)[0], sequence(1), "integrated_gradients.exact", target=0)


def test_guided_backprop_sees_the_rectifiers_inside() -> None:
    """Two steps of a ReLU RNN by hand: h1 = 2, h2 = relu(3 - h1) = 1; the gradient to x1 is -1, and guided keeps no negative."""
    b = Builder("guided")
    params = [b.param(k, np.array(v, float)) for k, v in (("w", [[1]]), ("u", [[-1]]), ("b", [0]), ("c", [0]))]
    h = b.add(RNN(activation=ReLU()), b.input("x", (None, 2, 1)), *params)
    graph = b.build(b.add(Squeeze((1,)), b.add(Slice(1, 1, 2), h)))
    x = np.array([[[2.0], [3.0]]])
    assert np.asarray(xc.explain(graph, x, "gradient", target=0)).ravel().tolist() == [-1, 1]
    assert np.asarray(xc.explain(graph, x, "guided_backprop", target=0)).ravel().tolist() == [0, 1]
    assert np.asarray(xc.explain(graph, x, "deconvnet", target=0)).ravel().tolist() == [0, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_way_back_in_parts_is_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    op, gates = KINDS[kind]
    xs = [sequence(1, 5), *weights(gates, X, np.random.default_rng(0)), np.full((1, H), 0.5), *([np.full((5, H), 0.25)] * (len(op.STATES) - 1))]
    y = op.forward(*xs)
    whole = [op.vjp(i, y, y, *xs) for i in range(len(xs))]
    monkeypatch.setattr(recurrence, "REMEMBERED", 10 * y.nbytes // 5 * 2)   # two samples at a time
    parts = [op.vjp(i, y, y, *xs) for i in range(len(xs))]
    assert all(a.shape == b.shape and close(a, b) for a, b in zip(whole, parts))


# ----- gates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gates", "left"), [("signal", 0), ("half", 3.5), ("proportional", 1), ("absolute", 1)])
def test_shares_of_a_product(gates: str, left: float) -> None:
    assert product(gate_rule(gates, 0), 0.5, 3, relevance=7) == [left, 7 - left]
    assert product(gate_rule(gates, 1), 3, 0.5, relevance=7) == [7 - left, left]
    assert product(gate_rule("absolute", 0), 0.5, -3, relevance=7) == [1, 6]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("gate", ["sigmoid", "one minus sigmoid", "slice of sigmoid"])
def test_a_gate_written_by_hand_is_found(gate: str, turned: bool) -> None:
    b = Builder("gated")
    x = b.input("x", (None, 2))
    z = b.add(Sigmoid(), b.add(Dense(), x, b.param("w", np.ones((2, 2)))))
    z = {"sigmoid": lambda: z, "one minus sigmoid": lambda: b.add(Sub(), b.constant(1), b.add(Neg(), b.add(Neg(), z))),
         "slice of sigmoid": lambda: b.add(Slice(1, 0, 1), z)}[gate]()
    s = b.add(Dense(), x, b.param("v", np.diag([2.0, -1.0])))
    graph = b.build(b.add(Mul(), *((s, z) if turned else (z, s)), name="y"))
    data = np.array([[0.5, 1.5]])
    a = xc.explain(graph, data, "lrp.zero", target=0)
    assert close(np.asarray(a), np.array([[graph(data)[0, 0], 0]]))      # all of it through the signal, which reads x_0 alone
    half = np.asarray(xc.explain(graph, data, "lrp.zero", target=0, gates="half"))
    assert half[0, 1] != 0


def test_two_gates_are_no_gate() -> None:
    b = Builder("two")
    x = b.input("x", (None, 2))
    graph = b.build(b.add(Mul(), b.add(Sigmoid(), x), b.add(Sigmoid(), b.add(Neg(), x))))
    plan = str(RULE_SETS["lrp.epsilon"]().plan(graph))
    assert "gated" not in plan
    assert "half" in plan


# ----- refusals -----------------------------------------------------------------------------------------------------


def test_messages() -> None:
    graph, _ = network(LSTM(), 4)
    with pytest.raises(InputError, match=r"gates='all' does not exist; there are 'signal', 'half', 'proportional', 'absolute'"):
        xc.explain(graph, sequence(1), "lrp.epsilon", target=0, gates="all")
    with pytest.raises(ExactnessError, match=r"node 'rnn0': LSTM\(\) is not rational"):
        graph.astype("exact")(exact(sequence(1)))
    with pytest.raises(GraphError, match="no function of one number"):
        LSTM(gate=Softmax())
    with pytest.raises(GraphError, match="'after' or 'before'"):
        GRU(reset="never")
    with pytest.raises(GraphError, match="'hidden' or 'cell'"):
        LSTM(output="both")
    b = Builder("weights as input")
    x = b.input("x", (None, T, X))
    w = b.add(Tanh(), b.param("w", np.ones((H, X))))
    rest = [b.param(k, np.ones(s)) for k, s in (("u", (H, H)), ("b", (H,)), ("c", (H,)))]
    computed = b.build(b.add(RNN(), x, w, *rest))
    with pytest.raises(GraphError, match=r"'tanh' is no parameter.*fold_constants"):
        xc.explain(computed, sequence(1), "lrp.zero", target=(0, 0))
