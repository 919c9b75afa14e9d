"""Comparisons: what agrees, what does not and why; what is no number; subjects that misbehave; where two explanations part."""

import json
import re
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import xaicore as xc
from xaicore import Builder
from xaicore.errors import InputError, NothingChecked, SubjectFault, UnknownName
from xaicore.ops import Add, Dense, Mul, ReLU
from xaicore.oracle.compare import compare
from xaicore.oracle.numbers import arithmetic
from xaicore.oracle.profiles import Entry, profile
from xaicore.oracle.relations import relation
from xaicore.oracle.sides import Question, known_entry, of_command, of_function, of_peer, of_profile, reference
from xaicore.oracle.subject import Subject, answers

ROOT = Path(__file__).parents[2]
X = np.array([[1.0, -2.0, 3.0], [0.5, 1.5, -1.0]])


def net():
    b = Builder()
    h = b.add(ReLU(), b.add(Dense(), b.input("x", (None, 3)), b.param("w", [[1.0, -0.5, -0.25], [-0.5, 0.75, 1.25]]),
                            b.param("b", [0.5, -0.75]), name="one"))
    return b.build(b.add(Dense(), h, b.param("v", [[1.25, 0.5], [-0.5, 2.0]]), b.param("c", [0.25, -0.125]), name="two"))


GRAPH = net()


@pytest.fixture(scope="module")
def ours():
    return xc.explain(GRAPH, X, "lrp.epsilon", target=0)


# ----- the message ------------------------------------------------------------------------------------------------


def test_what_is_right_comes_out_clean(ours):
    c = compare(ours, np.asarray(ours) * (1 + 1e-15))
    assert c.agree
    assert c.exit_code == 0
    assert c.search is None
    assert c.closest_convention is None
    assert "6 numbers compared, none differs" in str(c)


@pytest.mark.parametrize("index", [(0, 0), (1, 2)])
@pytest.mark.parametrize("amount", [1e-10, 1e-3, 5.0])
def test_a_planted_error_is_red_at_its_place(ours, index, amount):
    theirs = np.array(ours)
    theirs[index] += amount
    c = compare(ours, theirs, search=False)
    assert not c.agree
    assert c.exit_code == 1
    assert c.mismatched == 1
    assert c.worst.index == index
    assert c.worst.largest == pytest.approx(amount, rel=1e-5)
    assert f"1 of 6 numbers differ by more than is allowed; the largest difference is {amount:.3g} at x{list(index)}" in str(c)


def test_nothing_known_is_said_to_reproduce_a_number_that_nothing_does(ours):
    theirs = np.asarray(ours) + np.array([[0.1, -0.2, 0.05], [0.3, 0.01, -0.4]])
    c = compare(ours, theirs, seconds=1)
    assert c.closest_convention is None
    assert c.nearest is not None
    assert c.search.tried > 5
    text = str(c)
    assert "nothing known reproduces theirs; the nearest is" in text
    assert re.search(r"searched: \d+ settings in \d+\.\d s", text)


def test_the_message_of_a_rule_difference():
    """One neuron, x=(1, -2), w=(1, -1): α1β0 by contributions (1, 2), by weights (3, 0). Both sum to f = 3: only values tell them apart."""
    b = Builder()
    g = b.build(b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[1.0, -1.0]]), name="fc"))
    c = compare(xc.explain(g, [[1.0, -2.0]], "lrp.alpha_beta", alpha=1), [[3.0, 0.0]], label="captum:LRP")
    assert str(c.closest_convention) == "lrp.alpha_beta with variant='weights-only'"
    assert re.sub(r"searched: .*", "searched", str(c)).splitlines() == [
        "captum:LRP does NOT agree with lrp.alpha_beta (alpha=1): 'fc'   [model, 1 node]",
        "  2 of 2 numbers differ by more than is allowed; the largest difference is 2 at x[0, 0]: theirs 3, ours 1",
        "  allowed: 1.78e-14 = 16 units of float64 (2.22e-16) x 5, the sizes at 1 node",
        "  sums: ours 3, theirs 3, f 3, absorbed by ours 0: both hand on the same total, so this is another rule, not a leak",
        "  first diverging node, from the output back: 'fc' (Dense), by 2; 1 node nearer to the output agrees; seen in the convention that "
        "reproduces theirs",
        "  theirs is lrp.alpha_beta with variant='weights-only': max difference 0",
        "    searched",
    ]
    assert json.loads(json.dumps(c.to_json()))["closest_convention"]["settings"] == {"variant": "weights-only"}


def test_the_users_tolerance_is_given_whole(ours):
    theirs = np.asarray(ours) + 1e-3
    assert compare(ours, theirs, rtol=0, atol=2e-3).agree
    assert "0.002, as given" in str(compare(ours, theirs, rtol=0, atol=2e-3))
    with pytest.raises(InputError, match="together, or neither"):
        compare(ours, theirs, atol=1)


# ----- where they part --------------------------------------------------------------------------------------------


def deep():
    """Four layers with one skip."""
    rng = np.random.default_rng(0)
    b = Builder()
    h = b.input("x", (None, 4))
    for k in range(4):
        z = b.add(Dense(), h, b.param(f"w{k}", rng.normal(size=(4, 4))), b.param(f"b{k}", rng.normal(size=4)), name=f"fc{k}")
        h = b.add(ReLU(), b.add(Add(), z, h, name="skip") if k == 2 else z, name=f"relu{k}")
    return b.build(b.add(Dense(), h, b.param("w", rng.normal(size=(2, 4))), name="out"))


@pytest.mark.parametrize("node", ["out", "fc3", "fc2", "fc1", "fc0"])
def test_the_first_diverging_node_is_the_one_with_another_rule(node):
    from xaicore.rules import RULE_SETS, alpha_beta, named

    g, x = deep(), np.random.default_rng(1).normal(size=(2, 4))
    a = xc.explain(g, x, "lrp.epsilon", target=0)
    other = xc.explain(g, x, RULE_SETS["lrp.epsilon"]().before((named(node), alpha_beta(2))), target=0)
    c = compare(a, other, search=False)
    assert not c.agree
    assert c.first_divergence.node == node
    assert c.first_divergence.operator == "Dense"


def test_layers_by_the_names_of_layers_and_a_side_that_agrees_there(ours):
    layers = {k: ours.layers[k] for k in ("one", "two")}
    assert compare(ours, {"x": np.asarray(ours), **layers}).first_divergence is None
    wrong = {**layers, "one": layers["one"] + 1}
    c = compare(ours, {"x": np.asarray(ours) + 1, **wrong}, search=False)
    assert c.first_divergence.node == "relu"                            # what reads the value that differs
    with pytest.raises(UnknownName, match="did you mean 'one'"):
        compare(ours, {"x": np.asarray(ours), "onee": layers["one"]})


# ----- relations --------------------------------------------------------------------------------------------------

MAP = np.random.default_rng(3).normal(size=(2, 3, 4, 4))


@pytest.mark.parametrize(("made", "words"), [
    (2 * MAP, "ours times 2"), (-MAP, "ours times -1"), (abs(MAP), "the absolute values of ours"), (MAP * 0, "zero everywhere"),
    (MAP.swapaxes(-1, -2), "ours with the last two axes exchanged"), (MAP[::-1], "ours with the samples in the opposite order"),
    (MAP[:, ::-1], "ours, turned round along axis 1"), (MAP * np.array([2.0, 3]).reshape(2, 1, 1, 1), "ours, each sample times a factor of its own"),
    (np.stack([(v - v.min()) / (v.max() - v.min()) for v in MAP]), "ours, scaled from its minimum and maximum to 0 and 1 in each sample"),
    (MAP + 1, ""), (MAP**3, "")])
def test_relations(made, words):
    assert relation(MAP, made, 1e-12) == words


# ----- numbers ----------------------------------------------------------------------------------------------------


class Tensor:
    """Like a tensor that asks for a gradient: no array until it is detached."""

    def __init__(self, data, attached=True):
        self.data, self.attached = data, attached

    def detach(self):
        return Tensor(self.data, False)

    def cpu(self):
        return self

    def numpy(self):
        if self.attached:
            raise RuntimeError("call detach() first")
        return self.data

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("call detach() first")


@pytest.mark.parametrize("made", [lambda v: v.tolist(), Tensor, lambda v: {"x": v}, lambda v: tuple(map(tuple, v)), np.asfortranarray],
                         ids=["list", "tensor with gradient", "mapping", "tuple", "fortran"])
def test_what_is_a_number_is_taken(ours, made):
    assert compare(ours, made(np.array(ours))).agree


def test_a_torch_tensor_with_gradient_is_taken(ours):
    torch = pytest.importorskip("torch")
    assert compare(ours, torch.tensor(np.array(ours), requires_grad=True) * 1).agree


@pytest.mark.parametrize(("value", "words"), [
    (None, "and no array of numbers"), ("0.5", "and no array of numbers"), (lambda: 1, "and no array of numbers"),
    ([[1, 2], [3]], "different lengths"), (np.ones(3), r"has shape \(3,\) at 'x'; \(2, 3\) is expected"),
    (np.ones((3, 2)), "the same axes in another order"), (np.ones((2, 1)), "channels may have been reduced"),
    (np.full((2, 3), np.nan), r"holds nan at \[0, 0\] \(6 of 6"), (np.array([[1, 2, np.inf], [0, 0, 0]]), r"holds inf at \[0, 2\]"),
    (np.ones((2, 3)) * 1j, "real numbers are expected"), ([["1/2", "x", "0"], ["1"] * 3], r"the text 'x' at \[0, 1\]"),
    ({"y": np.ones((2, 3))}, "nor a layer"), ({}, "gave nothing for 'x'"), (np.array([[object()] * 3] * 2), "which is no number"),
])
def test_what_is_no_number_is_refused_for_what_it_is(ours, value, words):
    with pytest.raises((SubjectFault, UnknownName), match=words):
        compare(ours, value, label="theirs")


def test_a_batch_of_one_without_its_axis_is_told():
    a = xc.explain(GRAPH, X[:1], "gradient", target=0)
    with pytest.raises(SubjectFault, match="with the batch axis"):
        compare(a, np.array(a)[0])


def test_float32_is_recognised_in_float64(ours):
    wide = np.random.default_rng(0).normal(size=(4, 5))
    assert arithmetic([wide]) == "float64"
    assert arithmetic([wide.astype(np.float32).astype(float)]) == "float32"
    assert arithmetic([np.arange(20.0)]) == "float64"
    dyadic = np.arange(1.0, 20) * 4097 / 2**16
    assert arithmetic([dyadic]) == "float32"
    assert arithmetic([dyadic], [dyadic + 1]) == "float64"
    assert arithmetic([dyadic], [wide]) == "float32"
    assert arithmetic([np.array([Fraction(1, 3)], dtype=object)]) == "exact"
    b = Builder()
    x = b.input("x", (None, 20))
    g = b.build(b.add(Dense(), b.add(Mul(), x, x), b.param("w", [wide.reshape(-1)])))
    a = xc.explain(g, wide.reshape(1, 20), "gradient")
    c = compare(a, np.array(a).astype(np.float32).astype(float))
    assert c.agree
    assert "judged as float32" in str(c)


def test_draws_of_ones_own_are_compared_as_draws():
    g, x = deep(), np.random.default_rng(1).normal(size=(2, 4))
    a = xc.explain(g, x, "smoothgrad", target=0, seed=1, samples=200)
    b = xc.explain(g, x, "smoothgrad", target=0, seed=2, samples=200)
    c = compare(a, np.asarray(b), seconds=1)
    assert c.within_noise
    assert c.agree
    assert "as two draws differ" in str(c)
    shifted = compare(a, np.asarray(b) + 8 * a.extras["standard_error"]["x"], seconds=0.5)
    assert not shifted.agree
    assert "more than two draws do" in str(shifted)


def test_two_bare_arrays():
    assert compare(np.ones((2, 3)), np.ones((2, 3)) * (1 + 1e-16)).agree
    c = compare(np.ones((2, 3)), 2 * np.ones((2, 3)))
    assert not c.agree
    assert "theirs is ours times 2" in str(c)
    with pytest.raises(InputError, match="cannot be compared"):
        compare(np.ones((2, 3)), np.ones((3, 2)))


# ----- profiles ---------------------------------------------------------------------------------------------------


def test_versions():
    assert profile("captum", "DeepLift", "0.9.0").settings == {"softmax": "centred"}
    with pytest.raises(UnknownName, match=r"'captum' of version 0\.10\.0 has no method 'DeepLift'"):
        profile("captum", "DeepLift", "0.10.0")
    assert profile("torchcam", "GradCAMpp", "0.5.3").defect
    with pytest.raises(UnknownName, match=r"did you mean 'LRP'|has no method"):
        profile("captum", "LPR")
    e = Entry("p", "m", "gradient", versions=">=0.2,<0.10")
    assert [v for v in ("0.1.9", "0.2", "0.9.1", "0.10", "1.0") if e.covers(v)] == ["0.2", "0.9.1"]
    assert (e.verdict, profile("captum", "DeepLift").verdict, profile("torchcam", "GradCAMpp").verdict) == \
        ("reproduces", "differs by design", "defect")
    with pytest.raises(InputError, match="no range of versions"):
        Entry("p", "m", "gradient", versions="~1").covers("1")


def test_variants_of_a_peers_method_have_entries_of_their_own():
    assert known_entry("captum@0.9.0", "LRP", {"rule": "GammaRule"}).ours == "lrp.gamma"
    assert known_entry("captum", "LRP", {}).ours == "lrp.epsilon"
    assert known_entry("nobody", "LRP", {}) is None


# ----- sides ------------------------------------------------------------------------------------------------------

SCRIPT = """
import json, sys, time
how = sys.argv[1]
for line in sys.stdin:
    q = json.loads(line)
    if q["cmd"] == "start":
        print(json.dumps({"protocol": 9 if how == "protocol" else 1, "name": "s"} if how != "away" else {"unavailable": "no licence"}), flush=True)
    elif q["cmd"] == "run":
        x = q["x"]["x"]
        if how == "hang":
            time.sleep(60)
        if how == "print":
            print("Starting up", flush=True)
        if how == "die":
            print("out of memory", file=sys.stderr, flush=True)
            sys.exit(3)
        more = {"error": {"error": "no such layer", "type": "KeyError"}, "skip": {"skipped": "LSTM"}, "empty": {}, "list": {"attributions": x},
                "nan": {"attributions": {"x": [[float("nan")] * 3] * 2}}, "shape": {"attributions": {"x": x[0]}}}
        answer = {"seq": 2 if how == "seq" else q["seq"], **more.get(how, {"attributions": {"x": x}, "layers": {}})}
        print(json.dumps(answer), flush=True)
"""


@pytest.fixture(scope="module")
def question():
    return Question(GRAPH, {"x": X}, 0)


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("subject") / "subject.py"
    path.write_text(SCRIPT)
    return f"{sys.executable} {path}"


@pytest.mark.parametrize(("how", "error", "words"), [
    ("error", SubjectFault, "raised KeyError: no such layer"), ("skip", NothingChecked, "skipped the question: LSTM"),
    ("away", NothingChecked, "not available: no licence"), ("print", SubjectFault, "printed 'Starting up' on stdout"), ("die", SubjectFault, "exit code 3 without an answer; .* out of memory"),
    ("empty", SubjectFault, "answered without attributions"), ("list", SubjectFault, "answered without attributions"),
    ("protocol", SubjectFault, "speaks protocol 9"), ("seq", SubjectFault, "answered seq 2"),
])
def test_a_command_that_misbehaves_is_told_for_what_it_is(script, question, how, error, words):
    with pytest.raises(error, match=words):
        of_command(f"{script} {how}").answer(question)


def test_a_command_that_hangs_is_ended(script):
    with pytest.raises(SubjectFault, match=r"gave no answer in 0\.5 s, and was ended"):
        of_command(f"{script} hang").answer(Question(GRAPH, {"x": X}, 0, timeout=0.5))


@pytest.mark.parametrize(("how", "words"), [("nan", "holds nan"), ("shape", "has shape")])
def test_a_command_that_answers_no_attribution(script, question, ours, how, words):
    with pytest.raises(SubjectFault, match=words):
        compare(ours, of_command(f"{script} {how}").answer(question), label="cmd")


def test_a_command_that_answers(script, question, ours):
    found = of_command(f"{script} right").answer(question)
    assert found == {"x": X.tolist()}
    assert not compare(ours, found, search=False).agree
    with pytest.raises(NothingChecked, match="cannot be run"):
        of_command("no-such-program").answer(question)
    with pytest.raises(InputError, match="names no command"):
        of_command("").answer(question)


def test_the_program_of_the_docs_runs(question, tmp_path):
    text = (ROOT / "docs/subject_protocol.md").read_text(encoding="utf-8")
    path = tmp_path / "zeros.py"
    path.write_text(re.search(r"```python\n(.*?)```", text, re.S).group(1))
    assert of_command(f"{sys.executable} {path}").answer(question) == {"x": np.zeros((2, 3)).tolist()}


def test_a_function_is_called_elsewhere_and_may_print(question, ours, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("import numpy as np\nprint('loading')\ndef f(model, x, target, baseline):\n    print('called')\n"
                                      "    assert model.nodes and target == [0, 0]\n    return x * 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert np.array_equal(of_function("mine:f").answer(Question(GRAPH, {"x": X}, 0))["x"], 2 * X)
    assert "mine" not in sys.modules


@pytest.mark.parametrize(("name", "error", "words"), [
    ("nomodule:f", NothingChecked, "nothing was checked"), ("json:nothing", SubjectFault, "has no 'nothing'")])
def test_a_function_that_is_not_there(name, error, words):
    with pytest.raises(error, match=words):
        of_function(name).answer(Question(GRAPH, {"x": X}, 0))


def test_the_other_half_of_the_protocol():
    def explain(model, x, target, baseline, settings):
        return {"x": np.array([[Fraction(1, 3), Fraction(2)]], dtype=object)} if model == "good" else 1 / 0

    lines = [json.dumps(q) for q in ({"cmd": "start", "protocol": 1}, *({"cmd": "run", "seq": k, "model": m, "x": {}, "target": None,
             "baseline": None, "settings": {}} for k, m in ((1, "good"), (2, "bad"))), {"cmd": "stop"}, {"cmd": "run"})]
    said = [json.loads(line) for line in answers(explain, iter(lines), "name", "1")]
    assert said == [{"protocol": 1, "name": "name", "version": "1"}, {"seq": 1, "attributions": {"x": [["1/3", "2"]]}},
                    {"seq": 2, "error": "division by zero", "type": "ZeroDivisionError"}]


def test_reference_and_profiles(question):
    a = of_profile("captum", "LRP(GammaRule)").answer(question)
    assert (a.method, a.settings["bias"], a.settings["layer_eps"]) == ("lrp.gamma", "whole", 1e-9)
    assert reference().answer(Question(GRAPH, {"x": X}, 0, method="gradient")).method == "gradient"
    with pytest.raises(InputError, match="which method"):
        reference().answer(question)
    with pytest.raises(UnknownName, match=r"did you mean 'lrp\.epsilon'"):
        reference("lrp.epsilom")


def test_a_peer_that_is_not_installed_is_nothing_checked(question, monkeypatch, tmp_path):
    monkeypatch.setenv("XAICORE_PEERS", str(tmp_path))
    with pytest.raises(NothingChecked, match=r"captum==0\.1\.0 is neither installed .* nothing was checked"):
        of_peer("captum@0.1.0", "LRP").answer(question)
    with pytest.raises(UnknownName, match="no peer is called 'captom'"):
        of_peer("captom", "LRP").answer(question)


class Peer:
    """A library in this process that answers what it is told to."""

    framework, dtype = "graph", "float32"

    def __init__(self, answer):
        self.answer = answer

    def explain(self, method, model, x, target, baseline, **settings):
        assert (model.outputs, x.dtype, target) == (("two",), np.float32, [0, 0])
        return self.answer(x)


def test_a_peer_that_answers_and_one_that_raises(question, monkeypatch, ours):
    import xaicore_peers

    monkeypatch.setattr(xaicore_peers, "peer", lambda name, timeout=0: Peer(lambda x: np.array(ours, dtype=np.float32)))
    c = compare(ours, of_peer("captum", "LRP").answer(question))
    assert c.agree
    assert c.tolerance.dtype == "float32"

    def fail(x):
        raise xaicore_peers.PeerFailed("captum:LRP raised TypeError: Module of type Flatten has no rule")

    monkeypatch.setattr(xaicore_peers, "peer", lambda name, timeout=0: Peer(fail))
    with pytest.raises(SubjectFault, match="Module of type Flatten has no rule"):
        of_peer("captum", "LRP").answer(question)


def test_a_target_that_other_libraries_do_not_take():
    with pytest.raises(InputError, match="is no class index"):
        Question(GRAPH, {"x": X}, np.array([0.5, 0.5])).asked()


def test_a_subject_that_does_not_read_is_ended():
    with pytest.raises(SubjectFault, match="no answer|ended"), Subject(f"{sys.executable} -c pass", timeout=5):
        pass
