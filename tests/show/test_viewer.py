"""The page of xaicore view: its numbers read back and compared with the engine, its policy, its names, its size; drawings that sum."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import xaicore as xc
from tests.cli.files import cnn
from tests.methods.test_unit import X, explained, network
from tests.show.results import image_results, renamed, table_results, token_results
from tests.show.test_page import EVIL, Reader
from xaicore.errors import InputError
from xaicore.methods import explain
from xaicore.methods.unit import passage_of, unit_of
from xaicore.ops import ReLU
from xaicore.rules import RULE_SETS, Rule, op
from xaicore.show.arithmetic import calculated
from xaicore.show.drawing import books, curve, signal, steps, waterfall
from xaicore.show.page.flow import data, grid_of
from xaicore.show.page.viewer import viewer


def stored(page: str) -> dict[str, Any]:
    """The data of a page, as a browser reads them."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found.group(1)))


def numbers(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


METHODS = ("lrp.epsilon", "lrp.z_plus", "deeplift.rescale", "gradient", "integrated_gradients")


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return {m: explained(m) for m in METHODS}


@pytest.fixture(scope="module")
def page(results: dict[str, Any]) -> str:
    return viewer(results, "small", "xaicore view a b", sample=1, version="1.2.3")


def test_the_numbers_of_the_page_are_those_of_the_engine(page: str, results: dict[str, Any]) -> None:
    """Maps within float32, in which they are stored; everything else as float64 prints."""
    d = stored(page)
    assert d["output"] == float(results["lrp.epsilon"].output[1])
    for k, (label, a) in enumerate(results.items()):
        ledger = {} if a.ledger is None else {e.node.name: e for e in a.ledger}
        assert d["methods"][k]["label"] == label
        for row, cell in zip(d["rows"], d["cells"][k]):
            name = row["name"]
            own = a.values[name][1] if name in a.values else a.layers[name][1] if name in a.layers else None
            assert (cell is None) == (own is None), (label, name)
            if cell is None or own is None:
                continue
            g = grid_of(own.shape)
            assert (g.height, g.width) == (row["height"], row["width"])
            np.testing.assert_allclose(numbers(cell["map"])[:g.height * g.width], g.of(own), rtol=2e-7, atol=1e-7 * np.abs(own).max())
            np.testing.assert_allclose(cell["sum"], own.sum(), rtol=1e-9, atol=1e-12)
            if name in ledger:
                np.testing.assert_allclose([cell["arrived"], cell["absorbed"]], [ledger[name].arrived[1], ledger[name].absorbed[1]], rtol=1e-9,
                                           atol=1e-12)


def test_the_arithmetic_on_the_page_gives_the_stored_value(page: str, results: dict[str, Any]) -> None:
    """Every expression, every sum of a unit's lines and of what is left, and the unit beside the engine's own."""
    d = stored(page)
    count = 0
    for k, a in enumerate(results.values()):
        for row, cell in zip(d["rows"], d["cells"][k]):
            for u in (cell or {}).get("units", ()):
                own = unit_of(passage_of(a, 1), row["name"], tuple(int(i) for i in re.findall(r"\d+", u["unit"].rpartition("[")[2])))
                assert (u["y"], u["signal"]) == (float(own.y), pytest.approx(float(own.signal), rel=1e-12))
                for part in (u.get("forward"), u.get("out"), u["in"]):
                    for _, text, value in (part or {}).get("lines", ()):
                        assert calculated(text) == pytest.approx(value, rel=1e-6, abs=1e-7 * abs(u["signal"]))
                inside = u["in"]
                assert sum(v for *_, v in inside["lines"]) + inside["rest"] == pytest.approx(u["signal"], rel=1e-9, abs=1e-12)
                if u["kind"] == "sum":
                    assert sum(v for *_, v in u["forward"]["lines"]) + u["forward"]["rest"] == pytest.approx(u["y"], rel=1e-9, abs=1e-12)
                count += 1
            if count > 150:
                break
    assert count > 100


def test_the_policy_allows_this_script_and_style_and_nothing_else(page: str) -> None:
    read = Reader(page)
    policy = next(m["content"] for m in read.of("meta") if m.get("http-equiv") == "Content-Security-Policy")
    parts = dict(part.strip().split(" ", 1) for part in (policy or "").split(";"))
    for kind, text in (("style-src", re.search(r"<style>(.*?)</style>", page, re.DOTALL)),
                       ("script-src", re.search(r"<script>(.*?)</script>", page, re.DOTALL))):
        assert text is not None
        assert parts[kind] == f"'sha256-{base64.b64encode(hashlib.sha256(text.group(1).encode()).digest()).decode()}'"
    assert parts["default-src"] == parts["base-uri"] == parts["form-action"] == "'none'"
    assert not {tag for tag, _ in read.tags} & {"link", "iframe", "object", "embed", "form", "base", "a"}
    assert all((t.get("src") or "data:").startswith("data:") for _, t in read.tags)
    assert not [k for _, t in read.tags for k in t if k.startswith("on") or k in ("style", "href", "srcset")]
    assert read.of("noscript")


def test_the_cards_of_all_that_is_on_the_page(page: str, results: dict[str, Any]) -> None:
    """Methods, the rules that decided, the operators of the rows; as text, not among the data."""
    assert page.startswith("<!doctype html>")
    p = passage_of(results["lrp.epsilon"], 1)
    rules = {rule.label.split("(")[0] for _, _, rule in p.plan.rows.values()}
    operators = {row["op"] for row in stored(page)["rows"]} - {"input"}
    assert {"epsilon", "identity"} <= rules
    for name in (*METHODS, *rules, *operators):
        assert f"<summary>{name}: " in page, name
    assert stored(page)["cards"] == {}


def test_hostile_names_are_text() -> None:
    evil = EVIL + "\x1b[2J</script>"
    graph = replace(renamed(cnn("grey", 1, 8), "conv", evil), name=evil)
    nodes = tuple(replace(n, name=evil if n.name == "conv" else n.name, inputs=tuple(evil if i == "conv" else i for i in n.inputs))
                  for n in graph.nodes)
    a = explain(replace(graph, nodes=nodes), np.random.default_rng(0).normal(size=(1, 1, 8, 8)), "lrp.epsilon")
    text = viewer({evil: a}, evil, evil, version=evil)
    assert text.count("<script") == text.count("</script>") == 2
    assert "<img src=x" not in text
    assert "\x1b" not in text
    assert "{{ 7*7 }}" in text
    assert any(row["name"].startswith("<script>alert(1)") for row in stored(text)["rows"])
    Reader(text)


def test_a_rule_that_loses_something_gets_a_badge() -> None:
    """Planted: a ReLU that hands on nine tenths. The others keep what bias and stabiliser keep, which is no leak."""
    leaky = Rule("leaky", lambda step, r: (0.9 * r,))
    rules = RULE_SETS["lrp.epsilon"]().before((op(ReLU), leaky))
    a, right = explain(network(), X, rules, target=1), explained("lrp.epsilon")
    d = data({"leaky": a, "right": right}, rules={"leaky": rules})
    found = {row["name"]: cell["leak"] for row, cell in zip(d["rows"], d["cells"][0]) if cell.get("leak")}
    assert set(found) == {"relu1", "relu2"}
    assert found["relu2"] == pytest.approx(0.1 * float(a.layers["relu2"][0].sum()))
    assert not [c for c in d["cells"][1] if c.get("leak")]
    assert any(abs(c.get("absorbed", 0)) > 1e-3 for c in d["cells"][1])


@pytest.mark.parametrize("method", [m for m in RULE_SETS if m.startswith(("lrp", "deep"))])
def test_no_rule_of_ours_leaks(method: str) -> None:
    d = data({method: explained(method)})
    assert not [(r["name"], c) for r, c in zip(d["rows"], d["cells"][0]) if c.get("leak")]


def test_the_graph_has_its_skip_connection() -> None:
    d = data({"lrp.epsilon": explained("lrp.epsilon")})
    names = [row["name"] for row in d["rows"]]
    assert {names[j] for j in d["rows"][names.index("skip")]["from"]} == {"relu2", "pool"}
    assert names.index("pool") > names.index("relu2") + 1


def test_sums_survive_blocks() -> None:
    x = np.random.default_rng(0).normal(size=(3, 70, 50))
    g = grid_of(x.shape, side=32)
    assert max(g.height, g.width) <= 32
    assert g.of(x).sum() == pytest.approx(x.sum())
    assert g.of(x)[0] == pytest.approx(x[:, :3, :3].sum())


@pytest.mark.parametrize("given", [table_results(), token_results(), image_results(3, 12, methods=("gradient", "lrp.epsilon"))],
                         ids=["table", "tokens", "colour"])
def test_every_kind_of_input_has_a_page(given: dict[str, Any]) -> None:
    assert Reader(viewer(given)).of("details")


def test_words_and_names() -> None:
    results = token_results()
    text = viewer(results, tokens=["<b>", "good", "film", "\x00"])
    spans = re.findall(r'<span data-value="([^"]+)" title="[^"]*">([^<]*)</span>', text)
    a = results["gradient"]
    assert [float(v) for v, _ in spans[:4]] == [float(v) for v in a.values["x"][0].sum(axis=1)]
    assert [w for _, w in spans[:2]] == ["&lt;b&gt;", "good"]
    with pytest.raises(InputError, match="4 places"):
        viewer(results, tokens=["one"])
    assert "&lt;age&gt;" in viewer(table_results(), tokens=["<age>", "b", "c", "d", "e"])
    with pytest.raises(InputError, match="5 entries"):
        viewer(table_results(), tokens=["one"])


def test_sizes_stay_within_the_budget() -> None:
    assert len(viewer(image_results(1, 28)).encode()) < 2_000_000


@pytest.mark.thorough
def test_sizes_of_photographs_stay_within_the_budget() -> None:
    assert len(viewer(image_results(3, 224)).encode()) < 6_000_000


def test_nothing_to_show_is_an_error() -> None:
    with pytest.raises(InputError, match="at least one"):
        viewer({})
    with pytest.raises(InputError, match="0 to 1"):
        viewer({"a": explained("gradient")}, sample=2)


# ----- drawings -----------------------------------------------------------------------------------------------------------


def test_a_waterfall_sums() -> None:
    x = np.random.default_rng(1).normal(size=30)
    shown = steps(x, most=7)
    assert len(shown) == 8
    assert sum(v for _, v in shown) == pytest.approx(x.sum())
    text = waterfall(x, start=1.0, end=1.0 + x.sum() + 0.5)
    assert "not attributed: 0.5" in text
    assert "not attributed" not in waterfall(x, start=1.0, end=1.0 + x.sum())
    with pytest.raises(InputError, match="30 values"):
        waterfall(x, names=["a"])


def test_drawings_are_well_formed_and_escape() -> None:
    import xml.etree.ElementTree as ET

    a = explained("lrp.epsilon")
    assert a.ledger is not None
    row = np.sin(np.arange(40.0))[None]
    for text in (waterfall([1.0, -2.0], names=["<a>", "&"]), curve([(0, 1), (1, 3)], "<t>"), signal(row, row), books(a.ledger)):
        ET.fromstring(text)
        assert "style=" not in text
    assert text.count("<rect") == 2 * len(a.ledger)
    with pytest.raises(InputError, match="two points"):
        curve([(0, 1)])
    with pytest.raises(InputError, match="one shape"):
        signal(row, row[:, 1:])


def test_a_notebook_shows_it_without_a_script() -> None:
    for a in (explained("lrp.epsilon"), table_results()["deeplift.rescale"], replace(explained("gradient"), method=EVIL)):
        text = a._repr_html_()
        assert text is not None
        assert xc.Attribution.html is not None
        assert "<script" not in text
        assert Reader(text).of("div")
    assert "layer by layer" in str(explained("lrp.epsilon")._repr_html_())
