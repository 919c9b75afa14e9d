"""A mistake planted for every checker, which must turn it red. A checker that passes everything is worse than none."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import xaicore as xc
from tests.frozen import freeze
from tests.nets import NET_A, NET_B, X_A, X_B, mlp
from tests.oracle.planted import cnn, exact, image, several, verdict, wrong
from tests.rules.test_lrp import agree, layer
from xaicore import Builder
from xaicore.errors import ExactnessError, GraphError, Mismatch, NothingChecked, ShapeError
from xaicore.graph.run import evaluate
from xaicore.graph.verify import verify
from xaicore.methods.table import METHODS, Method
from xaicore.ops import Dense, Op, ReLU
from xaicore.oracle import axioms
from xaicore.oracle.axioms import AXIOMS
from xaicore.oracle.twins import rules as twins
from xaicore.oracle.twins.deeplift import ReluNet
from xaicore.rules import RULE_SETS, deeplift, linear, lrp, op
from xaicore.rules.ruleset import Rule

# ----- axioms -------------------------------------------------------------------------------------------------------


class Unseeded:
    """Noise that comes from a state which every call moves on."""

    rng = np.random.default_rng(0)

    def __call__(self, values, a):
        return values + self.rng.normal(size=values.shape)


def mutates(graph, x, method, target=None, **settings):
    """Writes into the array that it was given."""
    a = xc.explain(graph, x, "gradient", target, **settings)
    next(iter(x.values()))[...] += 1
    return a


def mutates_only(graph, x, method, target=None, **settings):
    """Writes into the array that it was given, and returns what does not depend on it."""
    a = xc.explain(graph, x, "gradient", target, **settings)
    next(iter(x.values()))[...] += 1
    return dataclasses.replace(a, values={k: v * 0 for k, v in a.values.items()})


def drops_a_feature(values, a):
    """The largest attribution of each sample is set to zero."""
    flat = values.reshape(len(values), -1).copy()
    flat[np.arange(len(flat)), abs(flat).argmax(axis=1)] = 0
    return flat.reshape(values.shape)


def by_position(values, a):
    """Later features count more."""
    return values * np.arange(1, values[0].size + 1).reshape(values.shape[1:])


PLANTED = [
    ("completeness", "one percent too much", wrong(lambda v, a: v * 1.01, "deeplift.rescale")),
    ("completeness", "a constant is added", wrong(lambda v, a: v + 1e-6, "deeplift.rescale")),
    ("completeness", "a sign is lost", wrong(lambda v, a: abs(v), "integrated_gradients.exact")),
    ("sensitivity_a", "a feature is dropped", wrong(drops_a_feature, "integrated_gradients.exact")),
    ("dummy", "relevance is spread evenly", wrong(lambda v, a: np.ones_like(v) * a.output.mean() / v.size)),
    ("dummy", "a constant is added", wrong(lambda v, a: v + 1e-6)),
    ("symmetry", "later features count more", wrong(by_position)),
    ("symmetry", "the first feature is favoured", wrong(lambda v, a: v + (np.arange(v[0].size) == 0).reshape(v.shape[1:]))),
    ("linearity", "signs are dropped", wrong(lambda v, a: abs(v))),
    ("linearity", "a constant is added", wrong(lambda v, a: v + 1e-6)),
    ("implementation_invariance", "the number of nodes matters", wrong(lambda v, a: v * len(a.graph.nodes))),
    ("implementation_invariance", "rectified backwards", wrong(lambda v, a: v, "guided_backprop")),
    ("input_shift", "the input is added", wrong(lambda v, a: v + next(iter(a.feeds.values())))),
    ("batch_invariance", "centred over the batch", wrong(lambda v, a: v - v.mean(axis=0))),
    ("batch_invariance", "divided by the batch", wrong(lambda v, a: v / len(v))),
    ("batch_invariance", "scaled by the batch's largest", wrong(lambda v, a: v / abs(v).max())),
    ("determinism", "unseeded noise", wrong(Unseeded())),
    ("determinism", "the input is modified", mutates),
    ("determinism", "the input alone is modified", mutates_only),
]


@pytest.mark.parametrize(("axiom", "what", "run"), PLANTED, ids=[f"{a}-{w}" for a, w, _ in PLANTED])
@pytest.mark.parametrize("samples", [1, 3])
def test_every_axiom_finds_its_violation(axiom, what, run, samples):
    found = verdict(axiom, run, cnn(), image(samples))
    assert found.status == "fails", found
    assert found.residual > found.tolerance


def test_every_axiom_has_a_planted_violation():
    assert {a for a, _, _ in PLANTED} | {"conservation"} == set(AXIOMS)


@pytest.mark.parametrize("axiom", sorted(set(AXIOMS) - {"conservation", "sensitivity_a"}))
@pytest.mark.parametrize("value", [np.nan, np.inf], ids=str)
def test_what_is_not_a_number_fails_everything(axiom, value):
    """NaN compares as false with everything, and infinity minus itself is NaN: neither may slip through a maximum."""
    def one_is_lost(v, a):
        out = v.copy()
        out[0, -1, 0, 0] = value                                        # a feature that is masked in the check of dummies
        return out

    found = verdict(axiom, wrong(one_is_lost), cnn(), image(2))
    assert found.status == "fails", found
    assert "not finite" in found.reason


def test_a_base_without_mistake_passes():
    """The same wrapper without a change: it is the change that is found."""
    for axiom in ("dummy", "symmetry", "linearity", "implementation_invariance", "input_shift", "batch_invariance", "determinism"):
        assert verdict(axiom, wrong(lambda v, a: v), cnn(), image(3)).status == "holds"
    for axiom in ("completeness", "sensitivity_a"):
        assert verdict(axiom, wrong(lambda v, a: v, "integrated_gradients.exact"), cnn(), image(3)).status == "holds"


def test_a_broken_promise_is_reported(monkeypatch):
    """Through ``check``: a row of the table that promises what its function does not do."""
    row = Method("planted", lambda task: wrong(lambda v, a: v * 1.01, "deeplift.rescale")(task.graph, task.feeds, "planted", 0), "planted",
                 promises=("completeness", "determinism"))
    for module in (axioms, import_module("xaicore.methods.explain")):   # the package's own ``explain`` is the function
        monkeypatch.setattr(module, "METHODS", {**METHODS, "planted": row})
    report = xc.check(NET_B, X_B, ["planted", "deeplift.rescale"], axioms=["completeness", "determinism"])
    assert report.exit_code == 1
    assert not report.ok
    assert [(v.method, v.axiom) for v in report.broken] == [("planted", "completeness")]
    assert "BROKEN planted: completeness, residual 0.04" in str(report)
    assert xc.check(NET_B, X_B, ["deeplift.rescale"], axioms=["completeness"]).exit_code == 0


# ----- conservation and the ledger ----------------------------------------------------------------------------------


def leaky(fraction: float) -> Rule:
    """LRP-0 that keeps a fraction of the relevance."""
    zero = lrp.epsilon(0, "ignore")
    return Rule("leaky", lambda step, r: tuple(None if p is None else p * (1 - fraction) for p in zero(step, r)))


def with_leak(at: str, fraction: float):
    """Runs lrp.zero with a leaky rule at one node."""
    from xaicore.rules import named

    def run(graph, x, method, target=None, bias="ignore", keep="all", **settings):
        rules = RULE_SETS["lrp.zero"](bias="ignore").before((named(at), leaky(fraction)))
        return xc.explain(graph, x, rules, target, keep=keep)

    return run


@pytest.mark.parametrize("at", ["conv1", "conv2", "fc1", "logits"])
def test_a_leak_is_named_by_its_node(at):
    a = with_leak(at, 1e-3)(cnn(), image(), "lrp.zero", 0)
    assert [e.node.name for e in a.ledger.leaks()] == [at]
    assert np.allclose(a.ledger[at].absorbed, 1e-3 * a.ledger[at].arrived, rtol=1e-9)
    assert np.allclose(a.ledger.absorbed, a.gap())
    found = verdict("conservation", with_leak(at, 1e-3), cnn(), image(), method="lrp.zero")
    assert found.status == "fails"
    assert f"largest leak at node {at!r}" in found.reason
    assert verdict("conservation", with_leak(at, 0), cnn(), image(), method="lrp.zero").status == "holds"


def test_a_leak_beside_neurons_that_must_keep_theirs_is_still_found():
    """A window of zeros under a positive bias keeps its relevance by definition; what leaks on top of that is a leak."""
    graph, dark = cnn(seed=3), image()
    dark[:, :, :3, :3] = 0
    fair = verdict("conservation", xc.explain, graph, dark, method="lrp.zero")
    assert fair.status == "does not apply"
    assert "node 'conv1' keeps" in fair.reason
    assert verdict("conservation", with_leak("conv1", 1e-3), graph, dark, method="lrp.zero").status == "fails"


# ----- framework against graph --------------------------------------------------------------------------------------


def test_verify_names_the_first_wrong_node():
    graph, feeds = cnn(head=True), {"image": image()}
    right = evaluate(graph, feeds, keep=[n.name for n in graph.nodes])
    verify(graph, feeds, right, "theirs")
    for name in right:
        moved = {k: v + 1e-3 for k, v in right.items() if k == name}
        with pytest.raises(Mismatch, match=rf"node {name!r} \(.* is the first that differs"):
            verify(graph, feeds, {**right, **moved}, "theirs")
    with pytest.raises(Mismatch, match="node 'skip' .* is the first that differs"):
        verify(graph, feeds, {**right, "fc1": right["fc1"] * 2, "skip": right["skip"] + 1, "logits": right["logits"] * 3}, "theirs")


def test_verify_finds_every_kind_of_difference():
    graph, feeds = cnn(), {"image": image()}
    right = evaluate(graph, feeds, keep=["conv1", "logits"])
    with pytest.raises(NothingChecked, match="theirs gave no value for the output 'logits'"):
        verify(graph, feeds, {"conv1": right["conv1"]}, "theirs")
    with pytest.raises(Mismatch, match=r"node 'conv1' .*: theirs gives shape \(2, 2, 16\), the graph \(2, 2, 4, 4\)"):
        verify(graph, feeds, {**right, "conv1": right["conv1"].reshape(2, 2, 16)}, "theirs")
    with pytest.raises(Mismatch, match="node 'conv1' .* differ in where values are infinite"):
        verify(graph, feeds, {**right, "conv1": np.where(right["conv1"] > 0.5, np.inf, right["conv1"])}, "theirs")
    with pytest.raises(Mismatch, match="node 'conv1'"):
        verify(graph, feeds, {**right, "conv1": right["conv1"] > 0}, "theirs")


# ----- the engine's own checks of operators and rules ---------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Halves(Op):
    """Leaves the rationals: 0.5 * x instead of x / 2."""

    def affine(self, active: Any) -> bool:
        return True

    def forward(self, *xs: np.ndarray) -> np.ndarray:
        return xs[0] * 0.5

    def vjp(self, i: int, g: np.ndarray, y: np.ndarray, *xs: np.ndarray) -> np.ndarray:
        return g * 0.5


@dataclasses.dataclass(frozen=True)
class HalvesBackwards(Halves):
    """Is rational forwards and leaves the rationals backwards."""

    def forward(self, *xs: np.ndarray) -> np.ndarray:
        return xs[0] / 2 if xs[0].dtype == object else xs[0] * 0.5


def one_node(kind: Op, dtype: str = "exact"):
    b = Builder(dtype=dtype)
    return b.build(b.add(kind, b.input("x", (None, 2)), name="half"))


def test_an_operator_that_leaks_a_float_in_exact_mode():
    with pytest.raises(ExactnessError, match=r"node 'half' \(Halves\(\)\): 0.5 is a float"):
        one_node(Halves())([[1, 2]])
    with pytest.raises(ExactnessError, match="the rule for node 'half': 0.5 is a float"):
        xc.explain(one_node(HalvesBackwards()), [[1, 2]], target=0)
    assert np.asarray(xc.explain(one_node(HalvesBackwards(), "float64"), [[1, 2]], target=0)).tolist() == [[0.5, 0]]


@pytest.mark.parametrize(("rule", "error", "text"), [
    (lambda step, r: (r * 0.5,), ExactnessError, "the rule for node 'relu1': .* is a float"),
    (lambda step, r: (r[:, :1],), ShapeError, r"the rule for node 'relu1' gave a signal of shape \(1, 1\) for an input of shape \(1, 3\)"),
    (lambda step, r: r, GraphError, "the rule for node 'relu1' must return one signal for each of its 1 inputs"),
    (lambda step, r: (r, r), GraphError, "the rule for node 'relu1' must return one signal for each of its 1 inputs"),
], ids=["a float", "a shape", "no tuple", "too many"])
def test_a_rule_that_returns_something_else(rule, error, text):
    rules = RULE_SETS["lrp.zero"]().before((op(ReLU), Rule("planted", rule)))
    with pytest.raises(error, match=text):
        xc.explain(NET_A.astype("exact"), [[3, 1]], rules)


def test_a_rule_that_changes_the_dtype():
    rules = RULE_SETS["lrp.zero"]().before((op(ReLU), Rule("planted", lambda step, r: (r.astype("float32"),))))
    with pytest.raises(GraphError, match="the rule for node 'relu1' gave float32 in a float64 graph"):
        xc.explain(NET_A, X_A, rules)


# ----- the twins of LRP ---------------------------------------------------------------------------------------------


def compared(rule: str, bias: bool = True):
    """A rule and its twin on layers of every kind: AssertionError where the two disagree."""
    for kind in ("dense", "conv", "grouped"):
        for seed in range(3):
            step, r = layer(kind, seed, bias)
            x, w, b = twins.as_matrix(step)
            ours, twin = PAIRS[rule]
            agree(step, ours(), r, twin(x, w, b, r.reshape(-1)))


PAIRS = {
    "epsilon": (lambda: lrp.epsilon(0.25), lambda *at: twins.epsilon(*at, 0.25)),
    "epsilon ignore": (lambda: lrp.epsilon(0, "ignore"), lambda *at: twins.epsilon(*at, 0, "ignore")),
    "epsilon distribute": (lambda: lrp.epsilon(0, "distribute"), lambda *at: twins.epsilon(*at, 0, "distribute")),
    "gamma": (lambda: lrp.gamma(0.5), lambda *at: twins.gamma(*at, 0.5)),
    "alpha_beta": (lambda: lrp.alpha_beta(2), lambda *at: twins.alpha_beta(*at, 2)),
    "z_plus": (lambda: lrp.z_plus(), twins.z_plus),
    "w_square": (lambda: lrp.w_square(), twins.w_square),
    "flat": (lambda: lrp.flat(), twins.flat),
    "z_box": (lambda: lrp.z_box(-1, 2), lambda *at: twins.z_box(*at, -1, 2)),
}


@pytest.mark.parametrize("rule", PAIRS)
def test_the_twins_agree_before_anything_is_planted(rule):
    compared(rule)


apply, back = linear.Affine.apply, linear.Affine.back


def swap_signs(patch):
    patch.setattr(lrp, "positive", linear.negative)
    patch.setattr(lrp, "negative", linear.positive)


def padding_counts(patch):
    """Equal shares of the whole window, with the padding as if it were inputs."""
    def shares(a, amount, eps=0):
        count = a.apply(a.actives(linear.ones), linear.ones)
        return a.back(amount / count.max(), linear.ones)

    patch.setattr(lrp, "share_bias", shares)


MISTAKES = {
    "the stabiliser has no sign": ("epsilon", lambda p: p.setattr(linear, "ratio", lambda r, z, eps, how: linear.divide(r, z + eps))),
    "the stabiliser has the wrong sign": ("epsilon", lambda p: p.setattr(linear, "ratio", lambda r, z, eps, how: linear.divide(r, linear.stabilize(z, -eps)))),
    "the stabiliser is forgotten": ("epsilon", lambda p: p.setattr(linear, "ratio", lambda r, z, eps, how: linear.divide(r, z))),
    "the bias is not ignored": ("epsilon ignore", lambda p: p.setattr(linear.Affine, "apply", lambda a, xs=None, w=linear.same, b=None: apply(
        a, xs, w, linear.same))),
    "the bias is not shared out": ("epsilon distribute", lambda p: p.setattr(lrp, "share_bias", lambda a, amount: a.actives(linear.zeros))),
    "alpha and beta are exchanged": ("alpha_beta", swap_signs),
    "the negative part is added": ("alpha_beta", lambda p: p.setattr(lrp, "scaled", lambda f, parts: tuple(
        None if q is None else q * abs(f) for q in parts))),
    "the bias is forgotten in alpha-beta": ("alpha_beta", lambda p: p.setattr(linear.Affine, "apply", lambda a, xs=None, w=linear.same, b=None: apply(
        a, xs, w))),
    "the bias is forgotten in z-plus": ("z_plus", lambda p: p.setattr(linear.Affine, "apply", lambda a, xs=None, w=linear.same, b=None: apply(a, xs, w))),
    "negative parts in z-plus": ("z_plus", swap_signs),
    "gamma favours the other sign": ("gamma", swap_signs),
    "weights are not squared": ("w_square", lambda p: p.setattr(lrp, "square", abs)),
    "padding is counted": ("flat", padding_counts),
    "flat by weight": ("flat", lambda p: p.setattr(lrp, "ones", lambda x: abs(x))),
    "the ends of the box are exchanged": ("z_box", swap_signs),
    "relevance goes back through other weights": ("epsilon", lambda p: p.setattr(linear.Affine, "back", lambda a, s, w=linear.same: back(a, s, abs))),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_twin_sees_its_mistake(mistake, monkeypatch):
    rule, plant = MISTAKES[mistake]
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        compared(rule)


def test_every_twin_has_a_mistake():
    assert {rule for rule, _ in MISTAKES.values()} == set(PAIRS)


# ----- the twin of DeepLIFT -----------------------------------------------------------------------------------------

WEIGHTS = [[[1.0, -1.0], [1.0, 2.0], [-1.0, 1.0]], [[1.0, 0.5, -1.0], [2.0, -1.0, 1.0]], [[1.0, -2.0]]]
BIASES = [[-1.0, 0.5, 0.25], [0.5, -1.5], [0.0]]


def deeplift_compared(reveal: bool):
    graph = mlp(WEIGHTS, BIASES).astype("exact")
    net = ReluNet([exact(w).tolist() for w in WEIGHTS], [exact(b).tolist() for b in BIASES])
    for x, x0 in (([3, 1], [0, 0]), ([-1, 2], [1, 1]), ([2, 2], [-1, 0])):
        a = xc.explain(graph, exact([x]), "deeplift.reveal_cancel" if reveal else "deeplift.rescale", target=0, baseline=exact(x0))
        assert list(np.asarray(a)[0]) == net.deeplift(list(exact(x)), list(exact(x0)), 0, reveal)


@pytest.mark.parametrize("reveal", [False, True], ids=["rescale", "reveal_cancel"])
def test_the_twin_of_deeplift_agrees_before_anything_is_planted(reveal):
    deeplift_compared(reveal)


def half_only(step):
    """Δy+ before Δx- alone, without the average over both orders."""
    f, x0, d = step.node.op.forward, step.ref.xs[0], step.notes[0]
    up = f(x0 + d.plus) - f(x0)
    return deeplift.Pair(up, step.y - step.ref.y - up)


@pytest.mark.parametrize(("reveal", "name", "planted"), [
    (False, "slope", lambda step, dx, dy, threshold, fallback: step.node.op.vjp(0, dx * 0 + 1, step.y, *step.xs)),
    (False, "slope", lambda step, dx, dy, threshold, fallback: deeplift.divide(dy, dx) * 2),
    (True, "positive", deeplift.negative),
    (True, "divide", lambda r, z: deeplift.np.where(z == 0, 0 * r, 1 + 0 * r)),
], ids=["the gradient", "twice the slope", "signs exchanged", "no quotient"])
def test_the_twin_of_deeplift_sees_its_mistake(reveal, name, planted, monkeypatch):
    monkeypatch.setattr(deeplift, name, planted)
    with pytest.raises(AssertionError):
        deeplift_compared(reveal)


def test_reveal_cancel_without_the_average_is_seen():
    rules = RULE_SETS["deeplift.reveal_cancel"]()
    notes = tuple((sel, half_only if note is deeplift._note_reveal else note) for sel, note in rules.annotate)
    planted = dataclasses.replace(rules, annotate=notes)
    graph, x = mlp(WEIGHTS, BIASES).astype("exact"), exact([[3, 1]])
    right = np.asarray(xc.explain(graph, x, rules, target=0))
    assert (np.asarray(xc.explain(graph, x, planted, target=0)) != right).any()


# ----- purity -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class InPlace(Halves):
    """Writes its result into its input."""

    def forward(self, *xs: np.ndarray) -> np.ndarray:
        xs[0][...] /= 2
        return xs[0].copy()


@dataclasses.dataclass(frozen=True)
class InPlaceBackwards(Halves):
    """Writes its result into the signal that it is handed."""

    def vjp(self, i: int, g: np.ndarray, y: np.ndarray, *xs: np.ndarray) -> np.ndarray:
        g *= 0.5
        return g


def clips(step, r):
    """Writes into the signal."""
    r[r < 0] = 0
    return (r,)


def behind_a_layer(kind: Op):
    b = Builder()
    h = b.add(kind, b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[1.0, 1.0], [1.0, -1.0]]), name="fc"), name="planted")
    return b.build(b.add(Dense(), h, b.param("v", [[1.0, -1.0]]), name="out"))


def test_writing_into_a_value_or_a_signal_is_caught(monkeypatch):
    """Not by luck: everything that operators and rules are handed is read-only in the frozen world."""
    x = [[1.0, 2.0]]
    xc.explain(behind_a_layer(InPlace()), x)                            # goes through where arrays can be written
    freeze(monkeypatch)
    xc.explain(behind_a_layer(Halves()), x)
    with pytest.raises(ShapeError, match="node 'planted': .* read-only"):
        xc.explain(behind_a_layer(InPlace()), x)
    with pytest.raises(ValueError, match="read-only"):
        xc.explain(behind_a_layer(InPlaceBackwards()), x)
    with pytest.raises(ValueError, match="read-only"):
        xc.explain(behind_a_layer(ReLU()), x, RULE_SETS["lrp.zero"]().before((op(ReLU), Rule("clips", clips))))


def test_completeness_sums_over_all_inputs():
    graph, feeds = several()
    found = verdict("completeness", wrong(lambda v, a: v + 1e-6, "deeplift.rescale"), graph, feeds, ("one", 1))
    assert found.status == "fails"
    assert verdict("completeness", wrong(lambda v, a: v, "deeplift.rescale"), graph, feeds, ("one", 1)).status == "holds"
