"""What docs/cost.md is made of: operations counted one by one, exponents that are known, and the page as its results have it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.cost.__main__ import RESULTS
from benchmarks.cost.measure import inputs, operations
from benchmarks.cost.networks import FAMILIES
from benchmarks.cost.page import DOCS, fit, page, picture
from xaicore.graph.run import shapes_of


def counted(name: str, width: int, side: int) -> int:
    graph = next(f for f in FAMILIES if f.name == name).make(width, side)
    return operations(graph, shapes_of(graph, inputs(graph, 1)))


def test_operations_one_by_one() -> None:
    """Of an MLP and a CNN, written down by hand: each product and its addition, each entry of everything else."""
    assert counted("MLP", 5, 7) == 2 * (7 * 5 + 5 * 5 + 5 * 5 + 5 * 10) + 3 * 5
    total, side, into = 0, 8, 3
    for wide in (2, 4, 8):
        total += sum(2 * wide * side * side * 9 * c + wide * side * side for c in (into, wide))          # two convolutions, each with a ReLU
        side, into = side // 2, wide
        total += wide * side * side                                                                      # the maximum
    assert counted("CNN", 2, 8) == total + 8 + 8 + 2 * 8 * 10                                            # mean, flatten, dense
    assert counted("LSTM", 4, 6) == 2 * 6 * (16 * 32 + 16 * 4) + 4 + 4 + 2 * 4 * 10                      # slice, flatten, dense


def test_an_exponent_that_is_known() -> None:
    x = np.array([1.0, 2, 4, 8, 16])
    e, half, a = fit(x, 3 * x**1.5)
    assert (round(e, 9), round(a, 9)) == (1.5, 3)
    assert half < 1e-6
    rng, inside = np.random.default_rng(0), 0
    for _ in range(200):
        e, half, _ = fit(x, x**1.5 * np.exp(0.1 * rng.standard_normal(5)))
        inside += abs(e - 1.5) <= half
    assert 180 <= inside <= 199                                         # 95 %: 190 ± 3.1, three of which are 181 to 199


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_every_family_has_five_sizes_of_each_kind(family: object) -> None:
    found = [r for r in json.loads(RESULTS.read_text(encoding="utf-8"))["rows"] if r["family"] == family.name]
    assert [(r["grows"], r["width"], r["side"]) for r in found] == family.sizes()
    assert all(r["bytes"][m] <= r["needed"][m] for r in found for m in r["bytes"]), "the estimate is from above"


def test_the_page_is_made_of_its_results() -> None:
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    by = {f.name: [r for r in found["rows"] if r["family"] == f.name] for f in FAMILIES}
    assert page(found, by) == (DOCS / "cost.md").read_text(encoding="utf-8")
    assert picture(by).size == (760, 460)
    assert found["many"]["measured"]["items"] >= 1000
    assert 0.8 <= found["many"]["measured"]["cpu"] / found["many"]["predicted"] <= 1.25, "measured against predicted: the page says how near"
