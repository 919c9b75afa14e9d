"""Tables: aligned text, Rich, JSON, all from one description."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from rich.console import Console

from tests.cli.files import cnn
from tests.show.results import image_results, table_results
from xaicore.methods import explain
from xaicore.ops import ReLU
from xaicore.oracle.axioms import check
from xaicore.oracle.report import Report, Verdict
from xaicore.rules import RULE_SETS, identity, op
from xaicore.show import table
from xaicore.show.table import Column, Table, figure, plain_data

SMALL = Table([Column("name"), figure("v", "a\nvalue")], [["x", 1.5], ["longer", None]], "title", ["a note"])


def test_plain_text_is_aligned() -> None:
    assert str(SMALL).splitlines() == ["title", "            a", "name    value", "------  -----", "x         1.5", "longer      -", "a note"]


def test_records_have_raw_values() -> None:
    assert SMALL.records() == [{"name": "x", "v": 1.5}, {"name": "longer", "v": None}]


def test_rich_shows_the_same_cells() -> None:
    out = io.StringIO()
    Console(file=out, width=60, color_system=None).print(SMALL.rich())
    text = out.getvalue()
    for word in ("title", "name", "value", "x", "1.5", "longer", "-"):
        assert word in text


def test_wide_tables_are_split_beside_their_first_column() -> None:
    wide = Table([Column("method"), *(Column(f"column_{k}") for k in range(9))], [["m", *"abcdefghi"]], "title", ["note"])
    parts = wide.split(40)
    assert len(parts) > 2
    assert all(p.columns[0].key == "method" for p in parts)
    assert [c.key for p in parts for c in p.columns[1:]] == [f"column_{k}" for k in range(9)]
    assert (parts[0].title, parts[1].title, parts[0].notes, parts[-1].notes) == ("title", "", (), ["note"])
    out = io.StringIO()
    console = Console(file=out, width=40, color_system=None)
    for part in parts:
        console.print(part.rich())
    assert "…" not in out.getvalue()
    assert len(wide.split(400)) == 1


def test_markup_and_control_characters_are_text() -> None:
    hostile = Table([Column("name")], [["[bold red]x[/]\x1b[2J\n\u202e"]])
    assert str(hostile).splitlines()[-1] == "[bold red]x[/]\\x1b[2J\\x0a\\x202e"
    out = io.StringIO()
    Console(file=out, width=80, color_system=None).print(hostile.rich())
    assert "[bold red]x[/]\\x1b" in out.getvalue()


@pytest.mark.parametrize(("value", "data"), [
    (np.float64(1.5), 1.5), (np.int64(3), 3), (np.bool_(True), True), (Fraction(1, 3), "1/3"), (Fraction(4, 2), 2), (float("nan"), "nan"),
    (float("-inf"), "-inf"), (np.array([[1.0, np.inf]]), [[1.0, "inf"]]), ((1, (2,)), [1, [2]]), ({1: None}, {"1": None}), (None, None), (abs, str(abs)),
])
def test_plain_data_is_json(value: object, data: object) -> None:
    assert plain_data(value) == data
    json.dumps(plain_data(value), allow_nan=False)


def test_large_settings_are_given_by_their_shape() -> None:
    shown = table.settings({"eps": 1e-6, "baseline": {"x": np.zeros((3, 8, 8))}, "low": np.zeros(3)})
    assert shown == {"eps": 1e-6, "baseline": {"x": "array of shape (3, 8, 8)"}, "low": [0.0, 0.0, 0.0]}


def test_the_sums_of_every_result() -> None:
    results = image_results()
    rows = {r["method"]: r for r in table.attributions(results).records()}
    for label, a in results.items():
        assert rows[label]["sum"] == float(a.total()[0])
        assert rows[label]["gap"] == float(a.gap()[0])
    assert rows["gradient"]["absorbed"] is None
    assert rows["lrp.epsilon"]["absorbed"] == float(results["lrp.epsilon"].absorbed[0])
    assert rows["gradient"]["f_baseline"] is None
    lines = {line.split()[0]: line for line in str(table.attributions(results)).splitlines()}
    assert "(" in lines["gradient"]                                     # no sum is promised
    assert "(" not in lines["deeplift.rescale"]


def test_a_rule_set_of_ones_own_has_its_books() -> None:
    graph, x = cnn("grey", 1, 8), np.random.default_rng(0).normal(size=(1, 1, 8, 8))
    mine = RULE_SETS["lrp.epsilon"]().before((op(ReLU), identity))
    a = explain(graph, x, replace(mine, name="mine"))
    row = table.attributions({"mine": a}).records()[0]
    assert row["absorbed"] == float(a.absorbed[0])
    assert "(" not in str(table.attributions({"mine": a})).splitlines()[2]


def test_targets_in_short() -> None:
    graph, x = cnn("grey", 1, 8), np.random.default_rng(0).normal(size=(2, 1, 8, 8))
    largest = [str(k) for k in graph(x).argmax(axis=1)]
    for target, words in ((None, largest), (2, ["2", "2"]), ([1, 3], ["1", "3"]), (np.eye(4)[:2] * 2, ["weights"] * 2), ((1,), ["(1,)"] * 2),
                          (lambda b, name: name, ["own function"] * 2)):
        a = explain(graph, x, "gradient", target) if not callable(target) else _with_target(graph, x, target)
        assert table.targets(a) == words


def _with_target(graph: object, x: np.ndarray, target: object) -> object:
    from xaicore.ops import Sum

    return explain(graph, x, "gradient", lambda b, name: b.add(Sum((1,)), name))


def test_samples_beyond_the_limit_are_counted() -> None:
    made = table.attributions(table_results(20), limit=3)
    assert len(made.rows) == 4 * 3
    assert made.notes[0] == "... and 17 more samples"


def test_the_ledger_is_the_ledger() -> None:
    a = image_results()["lrp.epsilon"]
    rows = table.ledger(a).records()
    assert [r["node"] for r in rows] == ["fc", "flat", "relu", "conv"]
    assert rows[0]["arrived"] == float(a.output[0])
    assert sum(r["absorbed"] for r in rows) == pytest.approx(float(a.absorbed[0]), rel=1e-12)      # the same sum in another order
    assert "no leak" in str(table.ledger(image_results()["gradient"]))


def test_at_a_layer_the_absorbed_of_the_whole_pass_is_not_shown() -> None:
    a = image_results(layer="features.0")["lrp.epsilon"]
    assert table.absorbed(a, 0) is None


def test_a_plan_has_a_row_for_each_node() -> None:
    graph = cnn("grey", 1, 8)
    rows = table.plan(RULE_SETS["lrp.z_plus"]().plan(graph, target="fc")).records()
    assert [r["rule"] for r in rows] == ["z_plus", "identity", "route", "z_plus"]


def test_verdicts_and_broken_promises() -> None:
    report = check(cnn("grey", 1, 4), None, methods=["gradient", "deeplift.rescale"], axioms=["completeness", "determinism"])
    rows = {r["method"]: r for r in table.verdicts(report).records()}
    assert rows["deeplift.rescale"] == {"method": "deeplift.rescale", "completeness": "yes", "determinism": "yes"}
    assert rows["gradient"]["completeness"] == "no"
    assert table.broken(report) == []
    planted = Report((Verdict("m\x1b", "dummy", "fails", 0.25, 1e-9, True, "why"), Verdict("m\x1b", "symmetry", "does not apply", reason="because")))
    assert table.broken(planted) == ["BROKEN m\\x1b: dummy, residual 0.25, allowed 1e-09. why"]
    assert [r["reason"] for r in table.reasons(planted).records()] == ["why", "because"]
