"""explanation.html: self-contained, escaped, under a policy that forbids everything else; the numbers on it are right."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from tests.cli.files import cnn
from tests.show.results import image_results, renamed, table_results, token_results
from xaicore.errors import InputError
from xaicore.methods import explain
from xaicore.oracle.axioms import check
from xaicore.show.heatmap import colours, symmetric_limit, view_of
from xaicore.show.page import page

EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(2)>{{ 7*7 }}'
VOID = {"meta", "img", "input", "br", "wbr", "link", "hr"}


class Reader(HTMLParser):
    """Collects tags with their attributes, and checks that every element is closed."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for t, attrs in self.tags if t == tag]


@pytest.fixture(scope="module")
def whole() -> str:
    """A page with everything on it."""
    results = image_results(batch=2)
    report = check(cnn("grey", 1, 4), None, methods=["gradient"], axioms=["determinism", "completeness"])
    return page(results, "A title", "xaicore explain a b", report, "1.2.3")


def test_it_is_well_formed_and_says_what_it_is(whole: str) -> None:
    read = Reader(whole)
    assert whole.lstrip().startswith("<!doctype html>")
    assert read.of("html") == [{"lang": "en"}]
    for words in ("A title", "xaicore explain a b", "1.2.3", "integrated_<wbr>gradients", "Sample 1, target"):
        assert words in whole
    assert all(attrs.get("alt") for attrs in read.of("img"))


def test_nothing_is_loaded_from_anywhere(whole: str) -> None:
    read = Reader(whole)
    assert "http:" not in whole
    assert "https:" not in whole
    assert "url(" not in whole
    assert "@import" not in whole
    assert not {tag for tag, _ in read.tags} & {"script", "link", "iframe", "object", "embed", "form", "base", "svg", "a"}
    assert all((attrs.get("src") or "").startswith("data:image/png;base64,") for attrs in read.of("img"))
    for _, attrs in read.tags:
        assert not [k for k in attrs if k.startswith("on") or k in ("style", "href", "srcset", "action")]


def test_the_policy_allows_this_style_sheet_and_nothing_else(whole: str) -> None:
    policy = next(m["content"] for m in Reader(whole).of("meta") if m.get("http-equiv") == "Content-Security-Policy")
    parts = dict(part.strip().split(" ", 1) for part in (policy or "").split(";"))
    style = re.search(r"<style>(.*?)</style>", whole, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style.group(1).encode()).digest()).decode()
    assert parts == {"default-src": "'none'", "img-src": "data:", "style-src": f"'sha256-{digest}'", "base-uri": "'none'", "form-action": "'none'"}
    assert whole.index("Content-Security-Policy") < whole.index("<style>")


def test_the_pictures_are_the_maps() -> None:
    results = image_results(methods=("lrp.epsilon",))
    read = Reader(page(results))
    image = next(a for a in read.of("img") if a["class"] == "own small" and (a["alt"] or "").startswith("lrp.epsilon: map"))
    with Image.open(io.BytesIO(base64.b64decode((image["src"] or "").split(",")[1]))) as shown:
        pixels = np.asarray(shown)
    cells = view_of(results["lrp.epsilon"], "image", 0).cells
    assert (pixels == colours(cells, symmetric_limit(cells))).all()


def test_numbers_and_ledgers_stand_beside_the_pictures() -> None:
    results = image_results(methods=("lrp.epsilon",))
    a = results["lrp.epsilon"]
    text = html.unescape(page(results))
    assert f"<dd class=\"sum\">{float(a.total()[0]):.5g}</dd>" in text
    assert f"<dd class=\"scale\">±{np.abs(np.asarray(a)).max():.5g}</dd>" in text
    for v in np.asarray(a).reshape(-1)[:5]:
        assert f"<td>{v:.3g}</td>" in text
    for e in a.ledger:
        assert f"{float(e.arrived[0]):.6g}" in text
    assert "Bach" in text                                               # the source of the method


def test_hostile_names_are_text_everywhere() -> None:
    graph = replace(renamed(cnn("grey", 1, 8), "conv", EVIL), name=EVIL)
    x = np.random.default_rng(0).normal(size=(1, 1, 8, 8))
    results = {EVIL: explain(graph, x, "lrp.epsilon"), "gradient": explain(graph, x, "gradient", layer=EVIL)}
    text = page(results, EVIL, EVIL, version=EVIL)
    read = Reader(text)
    assert not read.of("script")
    assert all((attrs.get("src") or "").startswith("data:") for attrs in read.of("img"))
    assert "49" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text).split("7*7")[0][-3:]
    assert text.count("&lt;script&gt;") >= 5
    assert "{{ 7*7 }}" in text
    assert "<script" not in text


def test_control_characters_are_written_out() -> None:
    text = page(image_results(methods=("gradient",)), "a\x00b\u202e")
    assert "\x00" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("results", [table_results(), token_results(), image_results(3, 12), image_results(layer="features.1")],
                         ids=["table", "tokens", "colour", "layer"])
def test_every_kind_of_input_has_a_page(results: dict) -> None:  # type: ignore[type-arg]
    read = Reader(page(results))
    assert len(read.of("img")) > len(results)


def test_many_samples_are_cut_and_counted() -> None:
    text = page(table_results(20))
    assert "12 more samples" in text
    assert text.count("<section>") < 20


def test_broken_promises_stand_on_top_of_the_verdicts() -> None:
    from xaicore.oracle.report import Report, Verdict

    planted = Report((Verdict("gradient", "dummy", "fails", 0.25, 1e-9, True, "<b>why</b>"),))
    text = page(image_results(methods=("gradient",)), report=planted)
    assert "BROKEN gradient: dummy, residual 0.25, allowed 1e-09. &lt;b&gt;why&lt;/b&gt;" in text


def test_size_stays_within_the_budget() -> None:
    """2 MB for digits, 6 MB for four maps of a photograph, so that a page can be sent around."""
    assert len(page(image_results(1, 28)).encode()) < 2_000_000
    assert len(page(image_results(3, 224)).encode()) < 6_000_000


def test_nothing_to_show_or_not_a_number_is_an_error() -> None:
    with pytest.raises(InputError, match="at least one"):
        page({})
    a = image_results(methods=("gradient",))["gradient"]
    with pytest.raises(InputError, match="nan"):
        page({"gradient": replace(a, values={"image": np.full((1, 1, 8, 8), np.nan)})})


def test_the_template_and_the_style_are_inside_the_package() -> None:
    from importlib.resources import files

    folder = files("xaicore.show.page")
    assert folder.joinpath("explanation.html.j2").is_file()
    assert folder.joinpath("style.css").is_file()


def test_an_answer_in_words_is_on_the_page() -> None:
    """DAX's arguments, escaped and line by line."""
    results = image_results(methods=("dax", "gradient"))
    text = page(results)
    assert text.count("<h3>What") == 1
    said = text[text.index("<pre class=\"scroll\">"):]
    assert "supported by" in said
    assert "\n" in said[:said.index("</pre>")]
