"""What the oracle asks: every vector in its own arithmetic and in float64, every worked example, every twin on two problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.oracle.subjects import reference
from tests.oracle.test_twins import agree
from tests.oracle.test_worked import met
from xaicore.oracle.twins import TWINS
from xaicore.oracle.vectors import vectors
from xaicore.oracle.vectors.lint import lint
from xaicore.oracle.vectors.run import run
from xaicore.oracle.worked import WORKED


def questions() -> dict[str, Callable[[], None]]:
    """Name -> a call that raises where the engine is wrong."""
    found: dict[str, Callable[[], None]] = {f"vector {v.id}": lambda v=v: _vector(v) for v in vectors()}
    found |= {f"worked {w.method}:{w.name}": lambda w=w: _worked(w) for several in WORKED.values() for w in several}
    found |= {f"twin {id}:{k}": lambda id=id, twin=twin: _twin(id, twin)
              for id, several in TWINS.items() for k, twin in enumerate(several)}
    return found


def _vector(v: Any) -> None:
    problems = lint([v])
    assert not problems, problems
    done = run(reference, [v])
    assert done.exit_code == 0, str(done)


def _worked(example: Any) -> None:
    met(example, exact=False)
    if example.exact:
        met(example, exact=True)


def _twin(id: str, twin: Any) -> None:
    for seed in range(2):
        agree(id, twin, seed)
