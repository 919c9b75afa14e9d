"""docs/axioms.md, all methods against all axioms on the digits CNN: no promise is broken, nothing is left out without a reason."""

import re

import pytest

import xaicore as xc
from tests.real.shared import DOCS, example
from xaicore.oracle.axioms import AXIOMS
from xaicore.oracle.report import Report, Verdict
from xaicore.oracle.twins import TWINS


@pytest.mark.thorough
def test_the_matrix_of_all_methods():
    module = example("axioms")
    digits = module.on_the_digits()
    others = module.elsewhere(m for m in module.refused(digits) if m in TWINS)
    assert len(digits) == len(xc.METHODS) * len(AXIOMS)
    assert not digits.broken, str(digits)
    assert not others.broken, str(others)
    assert all(len(v.reason) > 20 for report in (digits, others) for v in report if v.status == "does not apply")
    measured = {(v.method, v.axiom) for report in (digits, others) for v in report if v.status == "holds" and v.promised}
    promised = {(m, axiom) for m, row in xc.METHODS.items() for axiom in row.promises}
    unmeasured = {(m, axiom) for m, axiom in promised - measured if m in TWINS or m not in module.refused(digits)}
    why = {(v.method, v.axiom): v.reason for report in (digits, others) for v in report if v.status == "does not apply"}
    assert unmeasured <= set(why)
    page = module.page(digits, others)
    stored = (DOCS / "axioms.md").read_text(encoding="utf-8")
    rows = [{line for line in text.splitlines() if line.startswith("| `")} for text in (page, stored)]
    assert rows[0] == rows[1], "docs/axioms.md is not what is measured; write it again: python docs/axioms.py"


def test_a_broken_promise_and_a_reason_are_seen():
    """The page says BROKEN where one is, counts it, and gives each reason once with all that it is about."""
    module = example("axioms")
    planted = Report(tuple(Verdict(m, a, "fails" if a == "dummy" else "does not apply", 1.0, 0.0, True, "" if a == "dummy" else "for a reason | of its own")
                           for m in ("gradient", "lime") for a in AXIOMS))
    page = module.page(planted, Report(()))
    assert page.count("**BROKEN**") == 2
    assert "0 promises were measured and kept, 2 broken." in page
    (line,) = re.findall(r".*for a reason \\\| of its own.*", page)
    assert "`gradient`, `lime`" in line
    assert module.refused(planted) == []
    assert module.refused(Report(planted.verdicts[:3])) == ["gradient"]


@pytest.mark.parametrize("method", ["gradient", "lrp.epsilon", "shapley.exact"])
def test_rows_of_the_page(method):
    """Three methods measured now have the rows that the page has."""
    module = example("axioms")
    row = module.grid(module.on_the_digits([method])).splitlines()[2]
    assert row in (DOCS / "axioms.md").read_text(encoding="utf-8").splitlines()
