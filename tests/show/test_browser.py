"""The page of xaicore view in a headless Chromium: slider, hover, click, toggles, keyboard, phone; no console message, no request.

Run with ``pytest -m browser`` where chromium is installed (Debian: apt-get install chromium).
$XAICORE_SCREENSHOTS names a folder for pictures to look at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.files import table_model
from tests.show.browser import PROGRAM, Browser
from xaicore.data import digits_images, digits_model
from xaicore.graph import Builder, Graph
from xaicore.methods import explain
from xaicore.ops import Conv, Dense, Flatten, GlobalMaxPool, ReLU, Transpose
from xaicore.show.arithmetic import calculated
from xaicore.show.page.viewer import viewer

pytestmark = [pytest.mark.browser, pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed: apt-get install chromium")]
METHODS = ("lrp.epsilon", "lrp.gamma", "deeplift.rescale", "integrated_gradients")
WORDS = "it is not a bad film <b>at</b> all".split()


def text_model() -> Graph:
    """Word vectors (L, 6) -> convolution over three words -> the largest -> two classes."""
    rng = np.random.default_rng(3)
    b = Builder("words")
    x = b.input("words", (None, len(WORDS), 6))
    h = b.add(Conv(pads=((1, 1),)), b.add(Transpose((0, 2, 1)), x, name="turned"), b.param("w", rng.normal(size=(5, 6, 3))), name="conv")
    h = b.add(GlobalMaxPool(), b.add(ReLU(), h, name="relu"), name="max")
    return b.build(b.add(Dense(), b.add(Flatten(), h, name="flat"), b.param("v", rng.normal(size=(2, 5))), name="class"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("pages")
    rng = np.random.default_rng(4)
    made = {}
    for name, graph, x, words in (("digits", digits_model(), digits_images()[0][3:4], ()), ("text", text_model(), rng.normal(size=(1, 8, 6)), WORDS),
                                  ("table", table_model(), rng.normal(size=(1, 5)), ("age", "height", "weight", "sugar", "salt"))):
        results = {m: explain(graph, x, m) for m in METHODS}
        (folder / f"{name}.html").write_text(viewer(results, name, tokens=words), encoding="utf-8")
        made[name] = folder / f"{name}.html", results
    return made


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    one = Browser(tmp_path_factory.mktemp("browser"))
    yield one
    one.close()


def picture(browser: Browser, name: str) -> None:
    if os.environ.get("XAICORE_SCREENSHOTS"):
        browser.picture(Path(os.environ["XAICORE_SCREENSHOTS"]) / f"{name}.png")


def place(browser: Browser, label: str, x: float, y: float) -> tuple[float, float]:
    """Where a part of the map with this label is on the screen; scrolled into the middle of it."""
    found = browser.js(f"""(() => {{
      const c = [...document.querySelectorAll('canvas')].find((e) => e.getAttribute('aria-label').startsWith({json.dumps(label)}));
      c.scrollIntoView({{block: 'center'}});
      const b = c.getBoundingClientRect();
      return [b.left + {x} * b.width, b.top + {y} * b.height]; }})()""")
    return found[0], found[1]


def change(browser: Browser, id: str, value: str, event: str) -> None:
    browser.js(f"(() => {{ const e = document.getElementById('{id}'); e.value = '{value}'; e.dispatchEvent(new Event('{event}')); }})()")


def colour(browser: Browser, label: str, x: int, y: int) -> list[int]:
    """The colour of one cell as it is drawn."""
    return list(browser.js(f"""(() => {{
      const c = [...document.querySelectorAll('canvas')].find((e) => e.getAttribute('aria-label').startsWith({json.dumps(label)}));
      const copy = Object.assign(document.createElement('canvas'), {{width: c.width, height: c.height}});
      const context = copy.getContext('2d', {{willReadFrequently: true}});
      context.drawImage(c, 0, 0);
      return [...context.getImageData({x}, {y}, 1, 1).data]; }})()"""))


def test_digits(browser: Browser, pages: dict[str, Any]) -> None:
    path, results = pages["digits"]
    seconds = browser.open(path)
    assert seconds < 5, "a second on an idle machine; this one may be busy"
    picture(browser, "digits")
    # what is drawn is the engine's number, coloured as heatmaps are
    from xaicore.show.heatmap import colours, symmetric_limit

    cells = np.asarray(results["lrp.epsilon"])[0, 0]
    expected = colours(cells, symmetric_limit(cells))
    for y, x in ((0, 0), (3, 4), (5, 5), (7, 3)):
        assert np.abs(np.array(colour(browser, "lrp.epsilon at image", x, y)[:3], float) - expected[y, x]).max() <= 1

    # the slider
    change(browser, "depth", "4", "input")
    assert browser.js("document.querySelectorAll('tr.beyond').length") == 11
    assert browser.js("document.getElementById('depth-name').textContent") == "flatten (4 of 15)"
    change(browser, "depth", "15", "input")

    # hover, then click
    at = place(browser, "lrp.epsilon at conv4", 0.3, 0.1)
    browser.mouse(*at)
    assert browser.js("!document.getElementById('unit').hidden")
    assert browser.js("document.querySelectorAll('#unit pre').length") == 2
    assert browser.js("document.querySelectorAll('#unit pre')[1].textContent.split('\\n').length") <= 6 + 1
    browser.mouse(*at, click=True)
    picture(browser, "digits_unit")
    text = browser.js("document.getElementById('unit').innerText")
    assert "R_i = x_i w_ij R_j / (z_j + eps sign z_j)" in text
    assert "forward, Conv" in text
    lines = [line.rpartition(":")[2] for line in text.splitlines() if "  =  " in line]
    assert len(lines) >= 8
    for line in lines:
        expression, _, value = line.partition("=")
        assert calculated(expression.strip()) == pytest.approx(float(value), rel=1e-4, abs=1e-6)
    browser.mouse(5, 5)
    assert browser.js("!document.getElementById('unit').hidden"), "a clicked unit stays"
    browser.key("Escape")
    assert browser.js("document.getElementById('unit').hidden")

    # the toggles
    before = colour(browser, "lrp.gamma at conv1", 2, 2)
    browser.js("document.getElementById('shared').click()")
    assert browser.js("document.getElementById('shared').checked")
    after = colour(browser, "lrp.gamma at conv1", 2, 2)
    browser.js("document.getElementById('shared').click()")
    assert before == colour(browser, "lrp.gamma at conv1", 2, 2)
    assert before != after
    change(browser, "second", "1", "change")
    assert browser.js("[...document.querySelectorAll('td.difference')].every((e) => !e.hidden)")
    a, b = (np.asarray(results[m])[0, 0] for m in METHODS[:2])
    gap = (a - b) / np.abs(a - b).max()
    assert np.abs(np.array(colour(browser, "difference at image", 4, 3)[:3], float) - colours(gap, 1.0)[3, 4]).max() <= 1
    change(browser, "opacity", "30", "input")
    assert colour(browser, "lrp.epsilon at image", 0, 0)[3] < 255
    change(browser, "theme", "dark", "change")
    assert browser.js("getComputedStyle(document.body).backgroundColor") == "rgb(23, 23, 26)"
    picture(browser, "digits_dark")
    change(browser, "theme", "light", "change")

    # the saturation curve
    browser.js("(() => { const e = document.querySelector('.alpha'); e.value = 0; e.dispatchEvent(new Event('input')); })()")
    assert browser.js("document.querySelector('.curve output').textContent").startswith("0: f = ")

    # the keyboard
    browser.js("[...document.querySelectorAll('canvas')].find((e) => e.getAttribute('aria-label').startsWith('deeplift.rescale at conv3')).focus()")
    for key in ("ArrowRight", "ArrowDown"):
        browser.key(key)
    assert "conv3, cell 1,1" in browser.js("document.getElementById('unit').innerText")
    browser.key("Enter")
    assert "C_i = (x_i - x0_i) w_ij m_j" in browser.js("document.getElementById('unit').innerText")
    browser.key("Escape")
    assert browser.problems == []


@pytest.mark.parametrize("name", ["text", "table"])
def test_words_and_tables(browser: Browser, pages: dict[str, Any], name: str) -> None:
    path, results = pages[name]
    browser.open(path)
    picture(browser, name)
    if name == "text":
        assert browser.js("[...document.querySelectorAll('.tokens')[0].children].map((e) => e.textContent)") == WORDS
        strongest = int(np.abs(np.asarray(results["lrp.epsilon"])[0].sum(axis=1)).argmax())
        shown = browser.js("[...document.querySelectorAll('.tokens')[0].children].map((e) => getComputedStyle(e).backgroundColor)")
        assert shown[strongest] in ("rgb(140, 14, 36)", "rgb(22, 67, 142)")
    else:
        assert browser.js("document.querySelectorAll('svg.drawing').length") >= len(METHODS)
        assert "height" in browser.js("document.querySelector('svg.drawing').textContent")
    first = "words" if name == "text" else "x"
    cells = np.abs(np.atleast_2d(np.asarray(results["lrp.epsilon"])[0]))
    y, x = np.unravel_index(cells.argmax(), cells.shape)
    browser.mouse(*place(browser, f"lrp.epsilon at {first}", (x + 0.5) / cells.shape[1], (y + 0.5) / cells.shape[0]), click=True)
    assert "received from" in browser.js("document.getElementById('unit').innerText")
    assert browser.problems == []


@pytest.mark.parametrize("name", ["digits", "text", "table"])
def test_on_a_phone(browser: Browser, pages: dict[str, Any], name: str) -> None:
    browser.open(pages[name][0], 390, 844, phone=True)
    assert browser.js("document.documentElement.scrollWidth") <= 390, "only tables scroll sideways"
    picture(browser, f"{name}_phone")
    browser.mouse(*place(browser, "lrp.epsilon at", 0.3, 0.5), click=True)
    picture(browser, f"{name}_phone_unit")
    assert browser.js("document.getElementById('unit').getBoundingClientRect().right") <= 390
    assert browser.problems == []
    browser.open(pages[name][0])


def test_a_request_or_an_error_would_be_seen(browser: Browser, tmp_path: Path) -> None:
    """Planted: a page that loads something and a script that fails; and our policy stops a script that was slipped in."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://127.0.0.1:9/x.png'><script>undefinedName()</script>", encoding="utf-8")
    browser.open(bad)
    assert any("127.0.0.1" in p for p in browser.problems)
    assert any("undefinedName" in p for p in browser.problems)
    browser.problems.clear()
    slipped = tmp_path / "slipped.html"
    page = viewer({"gradient": explain(table_model(), np.ones((1, 5)), "gradient")})
    slipped.write_text(page.replace("</body>", "<script>document.title = 'taken'</script></body>"), encoding="utf-8")
    browser.open(slipped)
    assert browser.js("document.title") == "relevance"
    assert any("Content Security Policy" in p for p in browser.problems)
    browser.problems.clear()
