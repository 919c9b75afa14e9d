"""The drawing of a small network: every number on it is the engine's."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import xaicore as xc
from xaicore.data import digits_images, digits_model
from xaicore.errors import Inapplicable, InputError
from xaicore.graph import Graph
from xaicore.ops import Add, Dense, ReLU
from xaicore.rules import Rule, weighted
from xaicore.show.drawing import AGAINST, FAINT, FOR, Drawing
from xaicore.show.neurons import neurons


def small(skip: bool = False, name: str = "small") -> Graph:
    b = xc.Builder(name)
    x = b.input("x", (None, 2))
    h = b.add(Dense(), x, b.param("W", [[1.0, 1.0], [1.0, -1.0]]), b.param("b", [-1.0, 0.0]), name="hidden")
    h = b.add(ReLU(), h, name="relu")
    if skip:
        h = b.add(Add(), h, x, name="sum")
    return b.build(b.add(Dense(), h, b.param("v", [[1.0, 2.0]]), name="f"))


def words(drawing: str) -> list[tuple[str, str]]:
    """(text, ink) of everything written, in order."""
    return [(w, ink) for ink, w in re.findall(r'<text [^>]*fill="(#\w+)">([^<]*)</text>', drawing)]


def test_every_number_of_the_small_network() -> None:
    """x = (2, 1): z = (2, 1), f = 4, both hidden units have 2; the first keeps -1 for its bias and hands on 2, 1; the second 4, -2."""
    drawn = words(neurons(xc.explain(small(), [[2.0, 1.0]], "lrp.zero")))
    messages = [(w, ink) for w, ink in drawn[:8]]
    assert sorted(messages) == sorted([("2", FOR), ("1", FOR), ("4", FOR), ("-2", AGAINST), ("2", FOR), ("2", FOR), ("2", FOR), ("2", FOR)])
    values = [w for w, _ in drawn[8:-4]]
    assert values == ["2", "6", "1", "-1", "2", "2", "keeps -1", "1", "2", "2", "2", "1", "2", "4", "4"]
    assert [w for w, _ in drawn[-4:]] == ["x", "hidden", "relu", "f"]
    assert ("keeps -1", FAINT) in drawn


def test_a_gradient_keeps_nothing_and_a_contribution_does() -> None:
    assert "keeps" not in neurons(xc.explain(small(), [[2.0, 1.0]], "gradient"))
    assert "keeps" not in neurons(xc.explain(small(), [[2.0, 1.0]], "deeplift.rescale", baseline=0))
    assert "keeps" in neurons(xc.explain(small(), [[2.0, 1.0]], "lrp.alpha_beta"))


def test_a_skip_connection_is_an_arch() -> None:
    """Two lines of many points, over the layers between; all others are straight."""
    drawn = neurons(xc.explain(small(skip=True), [[2.0, 1.0]], "lrp.zero"))
    lines = [points.split() for points in re.findall(r'points="([^"]*)"', drawn)]
    arches = [p for p in lines if len(p) > 2]
    assert len(arches) == 2
    assert all(len(p) in (2, 25) for p in lines)
    for p in arches:
        ys = [float(one.split(",")[1]) for one in p]
        assert min(ys) < min(ys[0], ys[-1]) - 30


def test_rules_of_ones_own_and_one_sample_of_a_batch() -> None:
    flat = Rule("half", lambda step, r: tuple(0 * x + r.sum() / 2 if on else None for x, on in zip(step.xs, step.active)))
    rules = xc.RULE_SETS["lrp.zero"]().before((weighted, flat))
    a = xc.explain(small(), np.array([[9.0, 9.0], [2.0, 1.0]]), rules)
    drawn = [w for w, _ in words(neurons(a, sample=1, rules=rules))]
    assert drawn.count("2") >= 4                                        # half of f = 4 to each hidden unit
    assert "9" not in drawn


def test_it_is_html_that_a_notebook_shows() -> None:
    """Well-formed, on white, names escaped, wide as asked."""
    drawing = neurons(xc.explain(small(name="<script>alert(1)</script>"), [[2.0, 1.0]], "lrp.zero"), wide=100)
    assert isinstance(drawing, Drawing)
    page = drawing._repr_html_()
    assert page.startswith('<div style="background:#fff')
    assert "<script" not in page
    assert 'width="420"' in page
    HTMLParser().feed(page)
    assert page.count("<text") == page.count("</text>")


def test_what_cannot_be_drawn_is_said() -> None:
    images, _ = digits_images()
    with pytest.raises(InputError, match="units, and a drawing of more than 64 cannot be read; xaicore view"):
        neurons(xc.explain(digits_model(), images[:1], "lrp.zero"))
    with pytest.raises(Inapplicable, match="not one backward pass"):
        neurons(xc.explain(small(), [[2.0, 1.0]], "occlusion"))
