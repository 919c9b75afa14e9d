"""The table of rules itself: what a rule was made with, how a graph is prepared, what a plan covers, pairs, and the books."""

from __future__ import annotations

import numpy as np
import pytest

from xaicore import Builder
from xaicore.errors import UncoveredNode
from xaicore.graph import passes, written
from xaicore.graph.run import shapes_of
from xaicore.ops import Add, BatchNorm, Dense, LayerNorm, Mod, Mul, ReduceProd, ReLU, Sub, Sum, TopK
from xaicore.rules import RULE_SETS, lrp, op, uniform, weighted
from xaicore.rules.deeplift import rescale, same_rest, single
from xaicore.rules.guided import deconvnet
from xaicore.rules.lrp import epsilon, identity, route
from xaicore.rules.ruleset import MEASURES, Pair, Rule, RuleSet, _Asked, total
from xaicore.rules.select import Selector, View, affine, anything, first, last, named, routes
from xaicore.rules.sources import SOURCES
from xaicore.trace import activity

# ----- what a rule was made with ------------------------------------------------------------------------------------


def test_settings_are_read_from_closures():
    assert epsilon(0.25, "ignore").settings == {"eps": 0.25, "bias": "ignore", "stabilizer": "sign"}
    found = lrp.alpha_beta(2, 0.5, "whole", "weights-only").settings    # one function inside another
    assert found == {"alpha": 2, "eps": 0.5, "bias": "whole", "variant": "weights-only"}
    lift = rescale(1e-4, "reference")
    assert single(lift).settings == same_rest(lift).settings == lift.settings == {"threshold": 1e-4, "fallback": "reference"}
    assert route.settings == {}


def test_every_source_is_cited():
    made = [f() for name, f in RULE_SETS.items() if name not in ("lrp.z_box", "lrp.epsilon_gamma_box", "patternnet", "pattern_attribution")]
    made += [RULE_SETS["lrp.z_box"](0, 1), RULE_SETS["lrp.epsilon_gamma_box"](0, 1)]
    assert {r.source for r in made} <= set(SOURCES) | {""}
    assert {rule.source for r in made for _, rule in r.rules} <= set(SOURCES) | {""}


def test_how_labels_read():
    assert [str(r) for r in (epsilon(0.5), epsilon(0.5, stabilizer="clip"), epsilon(0), epsilon(0.5, "ignore"))] == [
        "epsilon(0.5)", "epsilon(0.5), clip", "zero", "epsilon(0.5, bias=ignore)"]
    assert str(lrp.z_box(0, np.ones((2, 1, 1)))) == "z_box(0, array[2, 1, 1])"
    assert "stabilizer" not in uniform.lrp_epsilon().settings
    assert uniform.lrp_epsilon(stabilizer="plain").settings["stabilizer"] == "plain"


# ----- preparing a graph --------------------------------------------------------------------------------------------

NO_RUN = "the shapes were given, so nothing needs to run"


def given(graph, **rules):
    """The graph prepared, with the shapes of one run; running it again is an error."""
    shapes = shapes_of(graph)
    with pytest.MonkeyPatch.context() as patch:
        for module in (passes, written):
            patch.setattr(module, "shapes_of", lambda g: pytest.fail(NO_RUN))
        return RuleSet("r", "relevance", **{"rules": ((op(Dense), identity),), **rules}).prepare(graph, shapes)


def net(*tail, shape=(4,)):
    """x, a dense layer, a BatchNorm of rank 2, and operators behind."""
    b = Builder()
    stats = [b.param(k, np.full(3, v)) for k, v in zip("gbmv", (2.0, 1.0, 0.0, 4.0))]
    x = b.add(BatchNorm(eps=0.0), b.add(Dense(), b.input("x", (None, *shape)), b.param("w", np.ones((3, 4))), name="fc"), *stats, name="bn")
    for k, o in enumerate(tail):
        x = b.add(o, x, name=f"t{k}")
    return b.build(x)


def kinds(graph):
    return [type(n.op).__name__ for n in graph.nodes]


def test_batchnorm_is_folded_without_a_run():
    assert kinds(given(net(), fold=True)) == ["Dense", "Identity"]
    assert kinds(given(net(), fold="padding")) == kinds(given(net())) == ["Dense", "BatchNorm"]


def test_what_no_row_covers_is_taken_apart_without_a_run():
    graph = net(ReduceProd((1,)))
    assert "ReduceProd" not in kinds(given(graph))
    assert "ReduceProd" in kinds(given(graph, rules=((op(ReduceProd), identity),)))
    assert "ReduceProd" not in kinds(given(graph, rules=((op(Dense), identity), (op(TopK), identity))))
    with pytest.raises(UncoveredNode, match="Slice"):
        RuleSet("r", "relevance", ((op(Dense, BatchNorm), identity),)).plan(given(graph))


def test_a_value_that_is_new_after_folding_has_its_shape_found():
    """(x - μ) k + β along the last axis of three becomes a BatchNorm between Transposes, and their values are in no run before."""
    b = Builder()
    x = b.input("x", (None, 5, 3))
    moved = b.add(Add(), b.add(Mul(), b.add(Sub(), x, b.param("m", [1.0, 2, 3])), b.param("k", [2.0, 3, 4])), b.param("b", [1.0, 0, -1]))
    graph = b.build(b.add(LayerNorm(1), moved, b.param("one", np.ones(3)), name="last"))
    rules = RuleSet("r", "relevance", ((anything, identity),), expand=(BatchNorm, LayerNorm, Sub), fold=True)
    ready = rules.prepare(graph, shapes_of(graph))
    assert any(n.name.endswith("channels_first") for n in ready.nodes)
    assert not {"BatchNorm", "LayerNorm"} & set(kinds(ready))
    feed = np.random.default_rng(0).normal(size=(2, 5, 3))
    assert np.allclose(ready(feed), graph(feed))
    assert kinds(rules.prepare(graph)) == kinds(ready)


def test_who_wants_the_same_gets_the_same_object():
    graph, known = net(ReLU()), {}
    one = uniform.lrp_epsilon().prepare(graph, known=known)
    assert uniform.lrp_z_plus().prepare(graph, known=known) is one
    assert uniform.lrp_epsilon().prepare(graph) is not one
    assert deconvnet().prepare(graph, known=known) is graph
    assert len(known) == 2                                              # what each of the two wants: folded, or as it was


@pytest.mark.parametrize(("rules", "ready"), [
    ({}, True), ({"fold": True}, False), ({"fold": "padding"}, False), ({"expand": (BatchNorm,)}, False), ({"rules": ((op(Dense, BatchNorm), identity),)}, False),
], ids=("nothing", "fold", "fold with padding", "expand", "a rule for a composite"))
def test_a_graph_is_as_it_is_where_there_is_nothing_to_prepare(rules, ready):
    """Nothing to fold or to expand, and a row for each composite operator."""
    graph = net(ReduceProd((1,)))
    made = RuleSet("r", "relevance", **{"rules": ((anything, identity),), **rules})
    assert made.as_it_is(graph) is ready
    assert (made.prepare(graph) is graph) is (ready or rules == {"fold": "padding"})      # there is no padding here, but there might be


class Lazy(dict):
    """Shapes that say how often they were looked up: a run that was put off until then."""

    looked = 0

    def __getitem__(self, name):
        self.looked += 1
        return super().__getitem__(name)


def test_a_run_is_asked_for_only_where_a_shape_is_needed():
    """And then each time, also where the answer is known, so that its errors do not depend on what was asked before."""
    graph, without = net(ReLU()), mlp_without()
    for g, needed in ((graph, True), (without, False)):
        known = {}
        for _ in range(2):
            shapes = Lazy(shapes_of(g))
            uniform.lrp_epsilon().prepare(g, shapes, known)
            assert bool(shapes.looked) is needed


def mlp_without():
    b = Builder()
    return b.build(b.add(ReLU(), b.add(Dense(), b.input("x", (None, 4)), b.param("w", np.ones((3, 4)))), name="relu"))


def test_who_looks_at_shapes_is_noticed():
    for look, noticed in ((lambda s: s["x"], True), (list, True), (lambda s: "x" in s, False), (len, False)):
        shapes = _Asked({"x": (1, 2)})
        assert not shapes.asked
        look(shapes)
        assert shapes.asked is noticed
    assert "y" not in shapes
    assert len(_Asked(None)) == 0


def test_a_changed_copy_has_no_key():
    plain = uniform.lrp_epsilon()
    rules = plain.known_as("mine")
    assert (rules.key, rules.before((op(ReLU), identity)).key) == ("mine", None)
    assert rules == plain


def test_rule_sets_without_a_key_share_no_plan():
    graph = mlp_without()
    one, other = (RuleSet("r", "relevance", ((op(Dense, ReLU), rule),)) for rule in (identity, route))
    assert [r.plan(graph).rule(graph.nodes[0]) for r in (one, other)] == [identity, route]
    known = one.known_as("k")
    assert known.plan(graph).rows is known.plan(graph).rows
    with pytest.raises(UncoveredNode, match="not part of this plan"):
        one.plan(graph, target=graph.nodes[0].name).rule(graph.nodes[1])


def tops(constant: bool):
    """x plus the sorted entries of a parameter, or of itself."""
    b = Builder()
    x = b.input("x", (None, 3))
    return b.build(b.add(Add(), x, b.add(TopK(1, 3), b.param("p", [[3.0, 1.0, 2.0]]) if constant else x)))


@pytest.mark.parametrize(("constant", "taken_apart"), [(True, False), (False, True)])
def test_only_what_depends_on_an_input_is_taken_apart(constant, taken_apart):
    rules = RuleSet("r", "relevance", ((op(Add), identity),))
    assert ("TopK" not in kinds(rules.prepare(tops(constant)))) is taken_apart


def test_what_is_not_composite_stays_and_has_no_row():
    graph = net(Sum((1,)))
    assert kinds(RuleSet("r", "relevance", ()).prepare(graph)) == ["Dense", "BatchNorm", "Sum"]


def test_uncovered_is_what_no_row_takes():
    graph = net(ReduceProd((1,)), shape=(4,))
    rules = RuleSet("r", "relevance", ((op(Dense), identity), (op(ReduceProd), identity)))
    assert rules._uncovered(graph) == set()
    assert rules._uncovered(tops(False)) == {TopK}
    assert RuleSet("r", "relevance", ())._uncovered(graph) == {ReduceProd}
    assert rules._uncovered(tops(True)) == set()


def test_one_active_input_is_enough():
    b = Builder()
    graph = b.build(b.add(Mod(), b.input("x", (None, 1)), b.param("two", [2.0])))
    assert RuleSet("r", "relevance", ())._uncovered(graph) == {Mod}


# ----- plans --------------------------------------------------------------------------------------------------------


def two():
    """Two inputs, two outputs; a constant is summed on the way, and its sum has no rule and needs none."""
    b = Builder()
    x, y = b.input("x", (None, 2)), b.input("y", (None, 2))
    left = b.add(ReLU(), b.add(Dense(), x, b.param("w", np.eye(2)), name="fc"), name="relu")
    constant = b.add(Sum((1,), keepdims=True), b.param("c", [[1.0, 2.0]]), name="constant")
    return b.build(b.add(Add(), left, constant, name="left"), b.add(Sub(), y, left, name="right"))


RULES = RuleSet("r", "relevance", ((op(Dense), epsilon(0)), (op(ReLU), identity), (op(Add, Sub), route)))


@pytest.mark.parametrize(("wrt", "target", "planned"), [
    (None, None, {"fc", "relu", "left", "right"}),
    (None, "left", {"fc", "relu", "left"}),
    (None, "fc", {"fc"}),
    (["y"], None, {"right"}),
    (["y"], "left", set()),
    (["x"], "right", {"fc", "relu", "right"}),
])
def test_what_a_plan_covers(wrt, target, planned):
    plan = RULES.plan(two(), wrt, target)
    assert set(plan.rows) == planned
    assert all(plan.rule(n) is {"fc": RULES.rules[0][1], "relu": identity, "left": route, "right": route}[n.name]
               for n in two().nodes if n.name in planned)


# ----- selectors ----------------------------------------------------------------------------------------------------


def chosen(selector: Selector, graph) -> list[str]:
    view = View(graph, activity(graph, graph.float_inputs))
    return [n.name for n in graph.nodes if selector(n, view)]


def test_first_and_last_are_selected_nodes():
    graph = net(ReLU(), ReLU())
    assert chosen(first(weighted), graph) == chosen(last(weighted), graph) == ["fc"]
    assert chosen(first(op(ReLU)), graph) == ["t0"]
    assert chosen(last(op(ReLU)), graph) == ["t1"]
    assert chosen(first(affine), graph) == ["fc"]
    assert chosen(last(affine), graph) == ["bn"]
    assert chosen(first(routes), graph) == chosen(last(routes), graph) == []   # what only moves values is no layer


def test_named_is_by_layer_or_by_node():
    b = Builder()
    with b.scope("block", layer="features.0"):
        inner = b.add(ReLU(), b.input("x", (None, 2)), name="act")
    graph = b.build(b.add(ReLU(), inner, name="tail"))
    (first_name, _) = (n.name for n in graph.nodes)
    assert graph.nodes[0].layer == "features.0" != first_name
    assert chosen(named("features.*"), graph) == [first_name] == chosen(named(first_name), graph)
    assert chosen(named("tail"), graph) == ["tail"]


# ----- pairs and books ----------------------------------------------------------------------------------------------


def test_pairs_add():
    one, other = Pair(np.array([1.0]), np.array([-2.0])), Pair(np.array([10.0]), np.array([-20.0]))
    for found, plus, minus in ((one + other, 11, -22), (one + np.array([5.0]), 6, 3), (np.array([5.0]) + one, 6, 3)):
        assert (found.plus.tolist(), found.minus.tolist()) == ([plus], [minus])


def test_totals():
    assert total(np.zeros((3, 0))).tolist() == [0, 0, 0]
    x = np.arange(24.0).reshape(2, 3, 4)
    assert total(x).tolist() == total(np.asfortranarray(x)).tolist() == [66, 210]


def test_the_books_of_a_pair():
    """m+ Δ+ + m- Δ-: by what the pre-pass noted, or by the sign of the whole difference."""
    m = Pair(np.array([[2.0, 3.0]]), np.array([[5.0, 7.0]]))
    y, ref = np.array([[4.0, 1.0]]), np.array([[1.0, 2.0]])             # Δ = (3, -1)
    measure = MEASURES["multiplier"]
    assert measure(m, y, ref, None).tolist() == [2 * 3 + 7 * -1]
    assert measure(m, y, None, None).tolist() == [2 * 4 + 3 * 1]
    assert measure(m, y, ref, Pair(np.array([[4.0, 1.0]]), np.array([[-1.0, -2.0]]))).tolist() == [2 * 4 + 3 * 1 + 5 * -1 + 7 * -2]


def test_a_rule_says_itself():
    assert str(Rule("mine", lambda step, r: ())) == "mine"
