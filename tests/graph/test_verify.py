"""What verification compares, says, and records; that it finds differences is in tests/meta."""

from __future__ import annotations

import numpy as np
import pytest

from tests.graph.graphs import cnn, feed
from xaicore.errors import Mismatch, NothingChecked
from xaicore.graph.run import evaluate
from xaicore.graph.verify import recorded, verify


def values(dtype: str = "float64") -> dict[str, np.ndarray]:
    graph = cnn()
    return {k: v.astype(dtype) for k, v in evaluate(graph, feed(graph), keep=[n.name for n in graph.nodes]).items()}


def test_what_was_compared_is_said() -> None:
    graph, known = cnn(), values()
    del known["relu"]
    known["pool"] = known["pool"] * (1 + 3e-10)
    found = verify(graph, feed(graph), {**known, "no such node": np.zeros(1)}, "them")
    assert found.compared == tuple(n.name for n in graph.nodes if n.name != "relu")
    assert (found.nodes, found.at) == (len(graph.nodes), "pool")
    assert found.worst == pytest.approx(3e-10, rel=1e-3)
    assert str(found) == f"{len(graph.nodes) - 1} of {len(graph.nodes)} nodes compared with them: they agree, 3e-10 of the largest value at most (at 'pool')"


def test_what_is_known_of_the_nodes_before_the_first_difference() -> None:
    graph = cnn()
    for changed, lost, words in (("conv", (), "Nothing before it could be compared"), ("bn", (), "agrees, its input 'conv' too"),
                                 ("skip", (), "its inputs 'pool', 'inner' too"), ("pool", ("relu",), "agrees, last 'bn'")):
        known = {k: v for k, v in values().items() if k not in lost}
        with pytest.raises(Mismatch, match=words):
            verify(graph, feed(graph), {**known, changed: known[changed] + 1}, "them")


def test_the_tolerance_is_that_of_the_frameworks_dtype() -> None:
    graph = cnn()
    for dtype, allowed, refused in (("float32", 5e-5, 3e-4), ("float64", 5e-10, 3e-9)):
        known = values(dtype)
        verify(graph, feed(graph), {**known, "flat": known["flat"] * known["flat"].dtype.type(1 + allowed)}, "them")
        with pytest.raises(Mismatch, match="node 'flat'"):
            verify(graph, feed(graph), {**known, "flat": known["flat"] * known["flat"].dtype.type(1 + refused)}, "them")


def test_what_the_framework_itself_rounds_is_no_mismatch() -> None:
    """A network of drawn parameters may be chaotic: the framework's own values move by ``own``, and four times that is allowed."""
    graph, known = cnn(), values()
    known["flat"] = known["flat"] + 1e-6
    asked: list[int] = []

    def own(size: float) -> dict[str, float]:
        asked.append(1)
        return {"flat": size}

    found = verify(graph, feed(graph), known, "them", own=lambda: own(3e-7))
    assert (found.rounded, len(asked)) == (1, 1)
    assert str(found).endswith("; 1 of them as far as them's own rounding goes, which the model amplifies")
    for size in (2e-7, 0.0):
        with pytest.raises(Mismatch, match=r"node 'flat'.*in the last place of inputs and parameters moves them's own value by (2e-07|0)\)"):
            verify(graph, feed(graph), known, "them", own=lambda: own(size))  # noqa: B023 (called at once)
    verify(graph, feed(graph), values(), "them", own=lambda: pytest.fail("nothing differs, so nothing is asked"))


def test_an_output_that_the_framework_does_not_give_is_not_verified() -> None:
    known = values()
    del known["probabilities"]
    with pytest.raises(NothingChecked, match="them gave no value for the output 'probabilities'"):
        verify(cnn(), feed(cnn()), known, "them")


def test_records_are_those_made_inside() -> None:
    graph, known = cnn(), values()
    verify(graph, feed(graph), known, "before")
    with recorded() as outer:
        with recorded() as inner:
            verify(graph, feed(graph), known, "inner")
        verify(graph, feed(graph), known, "outer")
    verify(graph, feed(graph), known, "after")
    assert [v.source for v in outer] == ["outer"]
    assert [v.source for v in inner] == ["inner"]
