"""Coloured text and signals with their attributions: the colours are those of the numbers, nothing of a text is executed or lost."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from xaicore.errors import InputError, ShapeError
from xaicore.show.heatmap import colours
from xaicore.show.sequence import Coloured, signal_image, text_html, text_image


class Spans(HTMLParser):
    """The texts and backgrounds of all spans."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        if tag == "span":
            self.found.append([dict(attrs)["style"] or "", dict(attrs)["title"] or "", ""])
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "span"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found[-1][2] += data


NASTY = ["<script>", "alert('1')", "</span>", "&amp;", "\n", "ü", "🙂", "\"'"]


def test_html_has_every_token_with_its_colour_and_number() -> None:
    values = np.array([1.0, -2.0, 0.0, 0.5, -0.25, 2.0, -1.0, 0.125])
    spans = Spans()
    spans.feed(text_html([Coloured("<b>m</b>", NASTY, values)], title="<i>t</i>"))
    assert [s[2] for s in spans.found] == [t.replace("\n", "↵") for t in NASTY]
    for (style, title, _), value, rgb in zip(spans.found, values, colours(values, 2.0)):
        assert "background:#{:02x}{:02x}{:02x}".format(*rgb) in style
        assert float(title) == value


def test_html_needs_nothing_from_elsewhere() -> None:
    page = text_html([Coloured("m", ["a"], np.ones(1))])
    assert "default-src 'none'" in page
    assert "http:" not in page.replace("http-equiv", "")
    assert "src=" not in page.replace("-src", "")


def test_a_picture_wraps_and_colours() -> None:
    row = Coloured("m", list("x" * 300), np.concatenate([np.full(150, 1.0), np.full(150, -1.0)]))
    image = np.asarray(text_image([row], width=400))
    assert image.shape[1] == 400
    assert image.shape[0] > text_image([Coloured("m", list("x"), np.ones(1))], width=400).size[1] + 80
    red, blue = ((image == c).all(axis=-1).any() for c in colours(np.array([1.0, -1.0]), 1.0))
    assert red
    assert blue


@pytest.mark.parametrize("tokens", [NASTY, [""], ["word " * 400]], ids=["signs", "empty", "wider than the picture"])
def test_any_text_can_be_drawn(tokens: list[str]) -> None:
    assert text_image([Coloured("tïtle 🙂", tokens, np.ones(len(tokens)))], title="🙂", gap=4).size[0] == 920


def test_wrong_rows_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"'m' has 2 tokens and values of shape \(2, 3\); one number for each"):
        Coloured("m", ["a", "b"], np.ones((2, 3)))
    with pytest.raises(InputError, match="no tokens"):
        Coloured("m", [], np.ones(0))
    with pytest.raises(InputError, match="not finite|no colour"):
        Coloured("m", ["a"], np.array([np.nan]))
    for draw in (text_html, text_image):
        with pytest.raises(InputError, match="at least one Coloured"):
            draw([])


def bar_columns(image: np.ndarray, sign: float) -> np.ndarray:
    rgb = colours(np.array(0.75 * sign), 1.0)
    return np.flatnonzero((image == rgb).all(axis=-1).any(axis=0))


def test_bars_stand_under_the_samples_that_they_are_about() -> None:
    x, trace = np.sin(np.arange(892) / 20), np.zeros(892)
    trace[100], trace[700] = 3.0, -3.0
    image = np.asarray(signal_image(x, {"m": trace}))
    assert bar_columns(image, 1).tolist() == [114]                       # one pixel for each sample behind a margin of 14
    assert bar_columns(image, -1).tolist() == [714]


def test_a_bar_of_many_samples_is_their_sum() -> None:
    trace = np.zeros(8920)
    trace[1000:1010] = np.arange(10) - 4.5                               # these ten are one bar, and cancel
    trace[5000:5010] = 1.0
    image = np.asarray(signal_image(np.ones(8920), {"m": trace}))
    assert bar_columns(image, 1).tolist() == [514]
    assert bar_columns(image, -1).tolist() == []


@pytest.mark.parametrize(("signal", "traces", "message"), [
    (np.ones((2, 3)), {}, r"the signal has shape \(2, 3\); one axis"), (np.ones(1), {}, "at least two samples"),
    (np.ones(4), {"m": np.ones(3)}, r"'m' has shape \(3,\), the signal \(4,\)"), (np.ones(4), {"m": np.full(4, np.inf)}, "no colour"),
])
def test_wrong_signals_are_refused(signal: np.ndarray, traces: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises((InputError, ShapeError), match=message):
        signal_image(signal, traces)


def test_a_signal_and_attributions_of_zeros_can_be_drawn() -> None:
    assert signal_image(np.zeros(5), {"m": np.zeros(5)}, title="t", duration="1 s").size[0] == 920
