"""What every row of the tables of metrics, objectives, presets and representation tools has: source, formula, worked number, twin."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from xaicore.rules.formulas import Formula


def missing(row: Any, sources: Any, worked: Any, twins: Any) -> list[str]:
    """What a row lacks, in words; empty for a complete one."""
    found = []
    if row.source not in sources:
        found.append(f"source {row.source!r} is no citation key")
    if len(row.summary) <= 10:
        found.append("the docstring's first line says nothing")
    if hasattr(type(row), "formula"):
        try:
            formula = row.formula
        except KeyError:
            found.append("no formula: xaicore/rules/formulas.py")
        else:
            if not (isinstance(formula, Formula) and len(formula.where) > 3 and formula.checked != ("reconstruction" in str(formula))):
                found.append("the formula says neither what it was compared with nor that it is a reconstruction")
    if row.id not in worked or len(worked[row.id].by_hand) <= 4:
        found.append("no worked number: xaicore/oracle/worked")
    if row.id not in twins:
        found.append("no second implementation: xaicore/oracle/twins")
    return found


def as_worked(number: Any) -> None:
    """A worked number is what the code gives, to its tolerance of the largest entry."""
    got, want = np.asarray(number.run(), dtype=float), np.asarray(number.expected, dtype=float)
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= number.tolerance * max(1, np.abs(want).max()), got


def agree(twin: Any, id: str, seed: int) -> None:
    """Both implementations on a problem drawn from the id and the seed, whose arrays are read-only."""
    problem = twin.problem(np.random.default_rng([zlib.crc32(id.encode()), seed]))
    for given in problem:
        if isinstance(given, np.ndarray):
            given.flags.writeable = False                              # whatever changes its input is found
    got, want = np.asarray(twin.first(*problem), dtype=float), np.asarray(twin.second(*problem), dtype=float)
    assert got.shape == want.shape
    assert np.abs(want).max() > 0
    assert np.abs(got - want).max() <= twin.tolerance * max(1, np.abs(want).max()), id
