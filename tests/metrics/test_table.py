"""The table of metrics is complete: source, worked number, twin, words, and numbers that are the worked ones."""

import numpy as np
import pytest

from tests.tables import missing
from xaicore.metrics import METRICS
from xaicore.metrics.sources import PAPERS
from xaicore.metrics.table import NEEDS
from xaicore.oracle.twins.metrics_again import METRIC_TWINS
from xaicore.oracle.worked.metrics import METRIC_WORKED
from xaicore.rules.formulas import METRIC_FORMULAS, Formula


@pytest.mark.parametrize("id", sorted(METRICS))
def test_every_row_is_complete(id):
    row = METRICS[id]
    assert missing(row, PAPERS, METRIC_WORKED, METRIC_TWINS) == []
    assert row.id == id
    assert row.source in (row.run.__doc__ or ""), "the docstring names the source of the row"
    assert set(row.needs) <= set(NEEDS)
    assert row.better in ("larger", "smaller", "neither")
    assert len(row.summary) > 15
    assert row.cost


def test_nothing_is_left_over():
    assert set(METRIC_WORKED) == set(METRIC_TWINS) == set(METRICS) == set(METRIC_FORMULAS)


def test_a_row_without_source_formula_number_or_twin_is_found():
    """Each lack by itself, on rows of the three tables; a formula must be compared with something or called a reconstruction."""
    from dataclasses import replace

    from xaicore.represent import REPRESENTATIONS
    from xaicore.visualize import OBJECTIVES

    row = METRICS["entropy"]
    everything = {"entropy": METRIC_WORKED["entropy"]}, {"entropy": METRIC_TWINS["entropy"]}
    assert missing(row, PAPERS, *everything) == []
    assert "citation" in missing(replace(row, source="nobody1900"), PAPERS, *everything)[0]
    assert "worked" in missing(row, PAPERS, {}, everything[1])[0]
    assert "second" in missing(row, PAPERS, everything[0], {})[0]
    for table in (METRICS, REPRESENTATIONS, OBJECTIVES):
        stranger = replace(next(iter(table.values())), id="stranger")
        assert any("formula" in line for line in missing(stranger, PAPERS, {}, {}))
    assert "reconstruction" in str(Formula("eq. 1"))
    assert "reconstruction" not in str(Formula("eq. 1", "somebody/code, file.py"))


@pytest.mark.parametrize("id", sorted(METRICS))
def test_worked(id):
    one = METRIC_WORKED[id]
    got = METRICS[id].run(one.subject(), **one.settings).values
    # a handful of operations on small numbers; EMD to the linear programme's 1e-7
    np.testing.assert_allclose(got, one.expected, rtol=1e-12, atol=1e-6 if id == "fixation.emd" else 1e-12)
    assert len(one.by_hand) > 15


def test_the_page_is_that_of_the_code():
    """docs/metrics.md is what docs/metrics.py writes."""
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    path = Path(__file__).parents[2] / "docs" / "metrics.py"
    spec = spec_from_file_location("docs_metrics", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert path.with_suffix(".md").read_text(encoding="utf-8") == module.page(), "run python docs/metrics.py"


def test_papers_are_cited():
    assert {row.source for row in METRICS.values()} <= set(PAPERS)
