"""What ``check`` says: the report in words and as data, exit codes, errors, defaults."""

from __future__ import annotations

import json

import pytest

import xaicore as xc
from tests.nets import NET_A, NET_B, X_A, X_B
from tests.oracle.planted import cnn, image, several, verdict
from xaicore.errors import InputError, NothingChecked, ShapeError, UnknownName
from xaicore.oracle.axioms import AXIOMS, Case
from xaicore.oracle.report import Report, Verdict

# ----- the report ---------------------------------------------------------------------------------------------------


def made_up(*statuses, promised=True):
    return Report(tuple(Verdict("m", f"a{k}", s, 1.0, 0.5, promised, "why") for k, s in enumerate(statuses)))


@pytest.mark.parametrize(("report", "code"), [
    (made_up("holds", "does not apply"), 0),
    (made_up("fails", promised=False), 0),
    (made_up("holds", "fails"), 1),
    (made_up("does not apply", "does not apply"), 5),
    (Report(()), 5),
])
def test_exit_codes(report, code):
    assert report.exit_code == code
    assert report.ok == (code == 0)
    assert len(report) == len(list(report)) == len(report.as_json())


def test_a_report_in_words():
    report = xc.check(NET_B, X_B, ["gradient", "lrp.zero"], axioms=["completeness", "conservation", "determinism"])
    lines = str(report).splitlines()
    assert lines[0].split() == ["completeness", "conservation", "determinism"]
    assert lines[1].split() == ["gradient", "no", "-", "yes"]
    assert lines[2].split() == ["lrp.zero", "no", "yes", "yes"]
    assert lines[3].startswith("yes: promised and measured")
    assert len(lines) == 4
    assert report.grid() == (["completeness", "conservation", "determinism"], [["gradient", "no", "-", "yes"], ["lrp.zero", "no", "yes", "yes"]])
    unpromised = xc.check(NET_A, X_A, "lrp.zero", axioms="completeness")
    assert "(yes)" in str(unpromised)


def test_a_broken_promise_has_a_line():
    report = made_up("fails")
    assert report.broken == report.verdicts
    assert "BROKEN m: a0, residual 1, allowed 0.5. why" in str(report)
    assert report.as_json()[0]["broken"] is True


def test_a_report_as_data():
    rows = xc.check(NET_B, X_B, ["gradient"], axioms=["completeness", "conservation"]).as_json()
    assert [r["status"] for r in rows] == ["fails", "does not apply"]
    assert set(rows[0]) == {"method", "axiom", "status", "residual", "tolerance", "promised", "reason", "broken"}
    assert json.loads(json.dumps(rows)) == rows


def test_a_verdict_that_was_not_measured():
    report = xc.check(NET_B, X_B, "gradient", axioms="dummy")
    with pytest.raises(UnknownName, match="no verdict on 'gradient' and 'dumy': did you mean 'gradient dummy'"):
        report.of("gradient", "dumy")


# ----- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "error", "text"), [
    ({"graph": "model.onnx"}, InputError, "check takes a Graph, not str; convert the model with xaicore.from_model first"),
    ({"methods": ["lrp.epsilom"]}, UnknownName, "no method is called 'lrp.epsilom': did you mean 'lrp.epsilon'"),
    ({"methods": [3]}, UnknownName, "no method is called 3: known: "),
    ({"axioms": ["complete"]}, UnknownName, "no axiom is called 'complete': did you mean 'completeness'"),
    ({"axioms": "dumy"}, UnknownName, "no axiom is called 'dumy': did you mean 'dummy'"),
    ({"methods": []}, NothingChecked, "no method was chosen, so nothing was checked; leave methods out to take all"),
    ({"axioms": []}, NothingChecked, "no axiom was chosen"),
    ({"settings": {"gradent": {}}}, UnknownName, "no method is called 'gradent': did you mean 'gradient'"),
    ({"settings": {"saliency": {"reduce": "abs"}}}, InputError, "settings are given for 'saliency', which is not among the methods to check"),
    ({"settings": {"gradient": {"eps": 1}}}, UnknownName, "gradient has no setting 'eps'"),
    ({"x": [[1.0, 2.0, 3.0]]}, ShapeError, r"input 'x' has shape \(1, 3\)"),
    ({"target": 7}, InputError, "target 7 is out of range on axis 1 of output 'fc2'"),
])
def test_errors(arguments, error, text):
    with pytest.raises(error, match=text):
        xc.check(**{"graph": NET_B, "x": X_B, "methods": ["gradient"], "axioms": ["dummy"], **arguments})


def test_exit_codes_of_errors():
    with pytest.raises(NothingChecked) as caught:
        xc.check(NET_B, X_B, [])
    assert caught.value.exit_code == 5


def test_without_input_numbers_are_drawn():
    graph, _ = several()
    assert xc.check(graph, methods="gradient", target=("one", 0), axioms=["determinism", "dummy"]).exit_code == 0
    assert xc.check(NET_B, methods="gradient", seed=3, axioms="batch_invariance").of("gradient", "batch_invariance").status == "holds"


def test_all_methods_are_the_default_and_those_that_need_more_say_so():
    report = xc.check(NET_B, X_B, axioms=["determinism"])
    assert {v.method for v in report} == set(xc.METHODS)
    assert report.of("lrp.z_box", "determinism").status == "does not apply"
    assert "low=..., high=..." in report.of("lrp.z_box", "determinism").reason
    assert "needs a value with spatial axes" in report.of("grad_cam", "determinism").reason
    assert report.exit_code == 0


def test_a_chosen_method_that_lacks_a_setting_is_an_error():
    with pytest.raises(InputError, match="lrp.z_box needs the range of the input"):
        xc.check(NET_B, X_B, "lrp.z_box", axioms="dummy")


def test_cases_can_be_made_by_hand():
    """What a third party's explainer needs: a function with the arguments of ``explain``."""
    case = Case.of(NET_B, X_B, "theirs", 0, run=xc.explain if False else lambda graph, x, method, target, **s: xc.explain(graph, x, "gradient", target))
    assert AXIOMS["dummy"].check(case).status == "holds"
    assert AXIOMS["completeness"].check(case, promised=True).broken
    assert verdict("dummy", lambda graph, x, method, target, **s: xc.explain(graph, x, "lrp.flat", target), cnn(), image()).status == "fails"
