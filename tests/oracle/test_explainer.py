"""A third party's explainer under our checks: right ones pass, each planted fault is seen, and nothing passes that was not checked."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import xaicore as xc
import xaicore.testing as xt
from xaicore.errors import FileRefused, InputError, NothingChecked, SubjectFault, UnknownName
from xaicore.oracle.command import main
from xaicore.oracle.explainer import CheckResult
from xaicore.oracle.results import junit, markdown
from xaicore.oracle.with_vectors import VectorCheck, vectors_of
from xaicore.oracle.zoo import KINDS, zoo

ROOT = Path(__file__).parents[2]


def ours(method, change=lambda a, x: a, **settings):
    """An explainer that is right, or is made wrong by ``change``."""
    def explain(model, x, target, baseline):
        own = {} if baseline is None else {"baseline": baseline}
        return change(np.array(xc.explain(model, x, method, target=target, **settings, **own)), x)

    return explain


def made(method="lrp.epsilon", change=lambda a, x: a, claims=None, **more):
    return xt.Function(ours(method, change), method if claims is None else claims, name="mine", **more)


def statuses(explainer, **options):
    return {r.check: r.status for r in xt.check_explainer(explainer, on_fail=None, budget="smoke", **options)}


# ----- what is right --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["gradient", "lrp.epsilon", "deeplift.rescale"])
def test_what_is_right_passes_everything_that_it_claims(method):
    found = xt.check_explainer(made(method), budget="smoke")
    assert {r.status for r in found} <= {"passed", "skipped"}
    assert {r.check for r in found} == {*xc.METHODS[method].promises, "model_unchanged", "reference"}
    assert found[-1].check == "reference"
    assert found[-1].status == "passed"


def test_settings_that_are_claimed_are_what_is_compared_with():
    explain = ours("lrp.alpha_beta", variant="weights-only")
    claims = {"variant": "weights-only"}
    assert statuses(xt.Function(explain, "lrp.alpha_beta", claims), checks=["reference"]) == {"reference": "passed"}
    assert statuses(xt.Function(explain, "lrp.alpha_beta"), checks=["reference"]) == {"reference": "failed"}
    with pytest.raises(xt.AttributionMismatch, match=r"theirs is lrp\.alpha_beta with variant='weights-only'"):
        xt.check_explainer(xt.Function(explain, "lrp.alpha_beta"), checks=["reference"], budget="smoke")


@pytest.mark.parametrize("framework", ["torch", "graph"])
def test_a_model_of_the_explainers_framework(framework):
    torch = pytest.importorskip("torch")

    def explain(model, x, target, baseline):
        if framework == "graph":
            return xc.explain(model, x, "gradient", target=target).values["x"]
        assert isinstance(model, torch.nn.Module)
        t = torch.tensor(x, requires_grad=True)
        out = model(t)
        return torch.autograd.grad(out.sum() if target is None else out[torch.arange(len(x)), target].sum(), t)[0]

    assert set(statuses(xt.Function(explain, "gradient", framework=framework)).values()) <= {"passed", "skipped"}


# ----- planted faults -------------------------------------------------------------------------------------------------

PLANTED = {
    "the eighth digit": (lambda a, x: a * (1 + 1e-8), {"reference"}),
    "a value that is wrong": (lambda a, x: a * 1.001, {"reference"}),
    "one entry that is lost": (lambda a, x: a * (np.arange(a.size).reshape(a.shape) > 0), {"reference", "batch_invariance"}),
    "the mean over the batch": (lambda a, x: a - a.mean(axis=0) + a, {"reference", "batch_invariance"}),
    "noise": (lambda a, x: a + np.random.default_rng().normal(size=a.shape), {"reference", "determinism", "batch_invariance", "linearity"}),
    "absolute values": (lambda a, x: abs(a), {"reference", "linearity"}),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_seen(fault):
    change, seen = PLANTED[fault]
    explainer = made("gradient", change, axioms=("batch_invariance", "determinism", "linearity"))
    failed = {k for k, v in statuses(explainer).items() if v == "failed"}
    assert seen <= failed
    assert failed - seen <= {"linearity", "batch_invariance"}


def test_an_input_that_is_changed_is_seen():
    def explain(model, x, target, baseline):
        a = np.array(xc.explain(model, x, "gradient", target=target))
        x *= 2
        return a

    assert statuses(xt.Function(explain, "gradient", axioms=("determinism",)))["determinism"] == "passed"      # it has a copy to spoil


def test_a_model_that_is_changed_is_seen():
    torch = pytest.importorskip("torch")

    def explain(model, x, target, baseline):
        with torch.no_grad():
            next(iter(model.parameters())).add_(1)
        return x

    found = xt.check_explainer(xt.Function(explain, framework="torch"), on_fail=None, budget="smoke")
    assert [(r.check, r.status) for r in found] == [("model_unchanged", "failed")]
    assert "the model is another one" in found[0].message


@pytest.mark.parametrize(("explain", "words"), [
    (lambda m, x, t, b: 1 / 0, "mine raised ZeroDivisionError"), (lambda m, x, t, b: x[:, :1], "has shape"), (lambda m, x, t, b: x * np.nan, "holds nan"),
    (lambda m, x, t, b: None, "no array of numbers"), (lambda m, x, t, b: [[1], [1, 2]], "different lengths"), (lambda m, x: x, "raised TypeError"),
])
def test_a_fault_is_a_fault_and_no_mismatch(explain, words):
    explainer = xt.Function(explain, "gradient", name="mine")
    with pytest.raises(SubjectFault, match=words):
        xt.check_explainer(explainer, budget="smoke")
    (result,) = xt.check_explainer(explainer, on_fail=None, checks=["reference"], budget="smoke")
    assert (result.status, result.kind) == ("failed", "fault")


def test_a_list_is_taken():
    assert statuses(made("gradient", lambda a, x: a.tolist()), checks=["reference"]) == {"reference": "passed"}


def test_what_is_printed_is_the_explainers_own_business(capsys):
    def explain(model, x, target, baseline):
        print("explaining")
        return np.array(xc.explain(model, x, "gradient", target=target))

    assert statuses(xt.Function(explain, "gradient"), checks=["reference"]) == {"reference": "passed"}


# ----- expected failures ----------------------------------------------------------------------------------------------


def test_expected_failures_with_reasons(tmp_path):
    wrong = made("gradient", lambda a, x: a * 2, axioms=())
    assert statuses(wrong, expected_failed={"reference": "mine#1"}) == {"model_unchanged": "passed", "reference": "xfail"}
    assert statuses(wrong, expected_failed=lambda e: {"reference": f"{e!r}#2"})["reference"] == "xfail"
    file = tmp_path / "expected.txt"
    file.write_text("# what is known\n\nreference  # mine#3\n")
    (result,) = xt.check_explainer(wrong, expected_failed=file, checks=["reference"], budget="smoke")
    assert (result.status, result.expected, result.ok) == ("xfail", "mine#3", True)


def test_an_expected_failure_that_does_not_come():
    right = made("gradient", axioms=())
    with pytest.raises(xt.AttributionMismatch, match=r"was expected to fail \(mine#1\), and holds; take it off"):
        xt.check_explainer(right, expected_failed={"reference": "mine#1"}, budget="smoke")
    assert {r.status for r in xt.check_explainer(right, expected_failed={"reference": "mine#1"}, strict=False, budget="smoke")} == {"passed", "xpass"}


@pytest.mark.parametrize(("given", "error", "words"), [
    ({"completness": "x"}, UnknownName, "did you mean 'completeness'"), ({"completeness": " "}, InputError, "without a reason"),
    ("no_such_file.txt", FileRefused, "cannot be read")])
def test_expected_failures_that_cannot_be(given, error, words):
    with pytest.raises(error, match=words):
        xt.check_explainer(made("gradient"), expected_failed=given, budget="smoke")


def test_a_file_that_names_a_check_twice(tmp_path):
    file = tmp_path / "expected.txt"
    file.write_text("reference # a\nreference # b\n")
    with pytest.raises(InputError, match="line 2: 'reference' stands there twice"):
        xt.check_explainer(made("gradient"), expected_failed=file)


@pytest.mark.parametrize(("explainer", "options", "words"), [
    (lambda: made("gradient", claims="gradiant"), {}, "did you mean 'gradient'"), (lambda: made("gradient", axioms=("dumy",)), {}, "did you mean 'dummy'"),
    (lambda: made("gradient"), {"checks": ["referense"]}, "did you mean 'reference'"), (lambda: made("gradient"), {"budget": "huge"}, "known: ci, deep")])
def test_unknown_names(explainer, options, words):
    with pytest.raises(UnknownName, match=words):
        xt.check_explainer(explainer(), **options)


def test_nothing_that_applies_is_no_pass():
    with pytest.raises(NothingChecked, match="no check applies"):
        xt.check_explainer(made("gradient"), checks=["conservation"], budget="smoke")
    with pytest.raises(NothingChecked, match="nothing to check"):
        xt.parametrize_with_axioms([])


# ----- pytest, reports, the command -------------------------------------------------------------------------------------

FILE = """
import numpy as np
import xaicore as xc
import xaicore.testing as xt

class Mine(xt.Explainer):
    method, axioms = "gradient", ("determinism", "conservation")
    def __init__(self, factor=1):
        self.factor, self.name = factor, f"Mine{factor}"
    def explain(self, model, x, target, baseline):
        return np.asarray(xc.explain(model, x, "gradient", target=target)) * self.factor

@xt.parametrize_with_axioms([Mine(), Mine(2)], expected_failed=lambda e: {"reference": "mine#1"} if e.factor == 2 else {}, budget="smoke")
def test_axioms(explainer, axiom):
    axiom(explainer)

@xt.parametrize_with_axioms([Mine(3)], budget="smoke")
def test_wrong(explainer, axiom):
    axiom(explainer)
"""


@pytest.mark.thorough
def test_the_decorator_in_pytest(tmp_path):
    (tmp_path / "test_mine.py").write_text(FILE)
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "-q", "-c", os.devnull, "--rootdir", str(tmp_path), "test_mine.py"],
                          cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'backends'}"})
    assert "1 failed, 7 passed, 3 skipped, 1 xfailed" in done.stdout, done.stdout
    assert "test_wrong[Mine3-reference]" in done.stdout
    assert "theirs is ours times 3" in done.stdout
    assert "mine#1" in done.stdout


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "mine_explainers.py").write_text(FILE.split("@xt.")[0] + "Wrong = Mine(2)\nNoExplainer = 3\n")
    monkeypatch.chdir(tmp_path)
    yield "mine_explainers"
    sys.modules.pop("mine_explainers", None)


def test_the_command(module, capsys):
    assert main([f"{module}:Mine", "--budget", "smoke", "--junit", "out.xml", "--markdown", "out.md"]) == 0
    assert "4 checks: 3 passed, 1 skipped" in capsys.readouterr().out
    assert main([f"{module}:Wrong", "--budget", "smoke", "--junit", "bad.xml", "--markdown", "out.md"]) == 1
    assert "theirs is ours times 2" in capsys.readouterr().out
    suite = ElementTree.parse("bad.xml").getroot()
    assert {k: suite.get(k) for k in ("tests", "failures", "errors", "skipped")} == {"tests": "4", "failures": "1", "errors": "0", "skipped": "1"}
    assert "theirs is ours times 2" in suite.find(".//failure").text
    assert Path("out.md").read_text().count("| explainer | check | result |") == 2
    Path("expected.txt").write_text("reference # mine#1\n")
    assert main([f"{module}:Wrong", "--budget", "smoke", "--expected", "expected.txt"]) == 0
    assert main([f"{module}:Mine", "--budget", "smoke", "--expected", "expected.txt"]) == 1


@pytest.mark.parametrize(("name", "code", "words"), [
    ("mine_explainers:NoExplainer", 2, "no xaicore.testing.Explainer"), ("mine_explainers", 2, "names no explainer"),
    ("no_such_module:Mine", 5, "nothing was checked")])
def test_a_command_that_checks_nothing(module, capsys, name, code, words):
    assert main([name]) == code
    assert words in capsys.readouterr().err


def test_reports_of_names_from_elsewhere():
    results = [CheckResult("evil\x1b[31m|<b>", "reference", "failed", "```\x00 wrong", "fault"), CheckResult("e", "dummy", "xpass", expected="e#1"),
               CheckResult("e", "symmetry", "xfail", "m", "mismatch", "e#2"), CheckResult("e", "linearity", "skipped", "why")]
    suite = ElementTree.fromstring(junit(results))
    assert {k: suite.get(k) for k in ("tests", "failures", "errors", "skipped")} == {"tests": "4", "failures": "1", "errors": "1", "skipped": "2"}
    text = markdown(results)
    assert "\x1b" not in text + junit(results)
    assert "\\x1b[31m\\|&lt;b>" in text
    assert text.count("```") == 2


# ----- numbers ----------------------------------------------------------------------------------------------------------


def test_assert_attributions_close():
    x = np.random.default_rng(0).normal(size=(3, 4))
    xt.assert_attributions_close(x * (1 + 1e-16), x)
    xt.assert_attributions_close(x.astype(np.float32), x)
    xt.assert_attributions_close(x.tolist(), x + 1e-3, rtol=0, atol=2e-3)
    with pytest.raises(AssertionError, match=r"map 7: actual does NOT agree .*\n.*1 of 12 numbers differ"):
        xt.assert_attributions_close(x + np.eye(3, 4) * [1e-9, 0, 0, 0], x, err_msg="map 7")
    with pytest.raises(SubjectFault, match="holds nan"):
        xt.assert_attributions_close(x * np.nan, x)
    with pytest.raises(InputError, match="together"):
        xt.assert_attributions_close(x, x, rtol=1)


def test_assert_matches_reference_on_a_model_of_ones_own():
    sample = next(zoo(1))
    found = xt.assert_matches_reference(made("lrp.epsilon"), sample.graph, sample.feeds["x"], target=1)
    assert found.agree
    with pytest.raises(xt.AttributionMismatch, match="does NOT agree with lrp.epsilon"):
        xt.assert_matches_reference(made("lrp.epsilon", lambda a, x: a + 1e-6), sample.graph, sample.feeds["x"], target=1, seconds=0.5)
    with pytest.raises(InputError, match="names no method"):
        xt.assert_matches_reference(xt.Function(ours("gradient")), sample.graph, sample.feeds["x"])


def test_the_zoo_is_the_same_every_time_and_has_every_kind():
    first, again = list(zoo(7)), list(zoo(12))
    assert [a.feeds["x"].tolist() for a in first] == [b.feeds["x"].tolist() for b in again[:7]]
    assert len({s.graph.name for s in first}) == len(KINDS)
    for s in again:
        assert len(xc.explain(s.graph, s.feeds, "gradient", target=s.target).values["x"]) == 2


@pytest.mark.thorough
@pytest.mark.skipif(find_spec("captum") is None or find_spec("torch") is None, reason="captum is not installed here")
def test_the_third_partys_file_runs_against_captum():
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-c", os.devnull, str(ROOT / "docs/third_party_test.py")],
                          cwd=ROOT / "docs", capture_output=True, text=True, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'backends'}"})
    assert done.returncode == 0, done.stdout[-3000:]
    assert "12 xfailed" in done.stdout


def test_the_third_partys_file_is_short():
    lines = [line for line in (ROOT / "docs/third_party_test.py").read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) <= 22


# ----- certified vectors ------------------------------------------------------------------------------------------------


def asked(method, factor=1, **claims):
    """An explainer that takes every setting."""
    known = set(xc.METHODS[method].settings)

    def explain(model, x, target, baseline, **settings):
        own = {**claims, **settings, **({"baseline": baseline} if baseline is not None and "baseline" in known else {})}
        return np.array(xc.explain(model, x, method, target=target, **own)) * factor

    return xt.Function(explain, method, claims, accepts=tuple(known - {"baseline"}), name="mine")


@pytest.mark.parametrize("method", ["lrp.epsilon", "lrp.alpha_beta", "saliency", "deeplift.reveal_cancel"])
def test_vectors_of_a_right_explainer_and_of_a_wrong_one(method):
    right, wrong = asked(method), asked(method, 2)
    found = vectors_of(right)
    assert len(found) >= 3
    held = {VectorCheck(v)(right) for v in found}
    assert held <= {"agrees", "another convention", "refused"}
    assert "agrees" in held
    for v in found:
        if v.verdict != "reject" and any(np.any(np.asarray(e) != "0") for e in v.expected.values()):
            with pytest.raises(xt.AttributionMismatch, match=re.escape(f"on the vector {v.id}")):
                VectorCheck(v)(wrong)


def test_vectors_by_settings_and_expected_failures():
    every, own = vectors_of(asked("lrp.epsilon")), vectors_of(xt.Function(ours("lrp.epsilon"), "lrp.epsilon", {"eps": 0.25}))
    assert 0 < len(own) < len(every)
    assert all(v.question()[2]["eps"] == 0.25 for v in own)
    marked = xt.parametrize_with_vectors([asked("saliency")], expected_failed={vectors_of(asked("saliency"))[0].id: "mine#1"})
    assert [bool(row.marks) for row in marked.args[1]].count(True) == 1
    with pytest.raises(UnknownName, match="no check is called so"):
        xt.parametrize_with_vectors([asked("saliency")], expected_failed={"saliency/none": "mine#1"})
    with pytest.raises(NothingChecked, match="no vector matches 'zz"):
        xt.parametrize_with_vectors([asked("saliency")], select="zz*")
    with pytest.raises(SubjectFault, match="raised ZeroDivisionError"):
        VectorCheck(vectors_of(asked("saliency"))[0])(xt.Function(lambda *a: 1 / 0, "saliency"))
