"""The table of speed: what is kept, what is written, and that its quick tier needs no peer."""

import json
from argparse import Namespace
from itertools import product

import numpy as np
import pytest

import xaicore as xc
from benchmarks.speed import bare, page, plain, report
from benchmarks.speed.measure import apart, far, together

ROW = {"row": "gradient", "peer": "torch", "network": "MLP", "batch": 1, "dtype": "float32", "speed": "exact", "ratio": 0.5, "low": 0.4, "high": 0.6,
       "ours": 0.1, "peer_seconds": 0.2, "first": 0.1, "at_size": 0.0, "float64": 1e-15, "float32": 1e-7, "their_float32": 1e-7, "agrees": True,
       "goal": 0.4, "floor_products": 0.01, "floor_bytes": 0.02, "note": ""}
MACHINE = {"processor": "P", "kernel": "K"}


def test_rows_are_kept_for_one_state_of_the_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "KEPT", tmp_path / "results.json")
    args = Namespace(write=True, batch=1, dtype="float32")
    kept = report.Kept(args, MACHINE, (1e9, 1e9))
    kept.add(ROW)
    kept.add({**ROW, "ratio": 0.3})                                      # the same row again takes its place
    again = report.Kept(args, MACHINE, (1e9, 1e9))
    assert [r["ratio"] for r in again.document["rows"]] == [0.3]
    assert again.has("gradient", "torch", "MLP", ("exact",))
    assert not again.has("gradient", "torch", "MLP", ("exact", "fast"))
    monkeypatch.setattr(report, "state", lambda: "other")
    assert report.Kept(args, MACHINE, (1e9, 1e9)).document["rows"] == []


def test_the_page_says_what_is_missed_and_why(tmp_path, monkeypatch):
    held = tmp_path / "held_back.txt"
    held.write_text("# comment\ngradient | M* | exact | calls of Python\n", encoding="utf-8")
    monkeypatch.setattr(page, "HELD_BACK", held)
    alone = {**ROW, "row": "saliency", "peer": "-", "ratio": None, "low": None, "high": None, "peer_seconds": None, "float64": None, "float32": None, "goal": None}
    document = {"machine": MACHINE, "peaks": {"float32": [1e9, 1e9]}, "versions": {"numpy": "2"}, "rows": [ROW, alone], "scaling": [],
                "memory": [{"network": "VGG16", "speed": "exact", "ours": 2**20, "zennit": 2**21, "ratio": 0.5, "goal": 1.0}]}
    page.write(document, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "Of 2 goals 1 are met." in text
    assert "| 0.40 | 0.50 missed | 0.1 | 0.01 | 0.02 | calls of Python |" in text
    assert "| MLP | saliency | exact | - | - | 0.1 | - |" in text
    assert json.loads(json.dumps(document)) == document


def test_bare_calls_give_the_numbers_and_are_said_on_the_page():
    methods = {"gradient": bare.gradient, "lrp.epsilon_plus": bare.epsilon_plus, "lrp.epsilon_alpha2_beta1": bare.epsilon_alpha2_beta1}
    for name, (method, calls) in product(("MLP", "LeNet"), methods.items()):
        graph, x = plain.graph(name), plain.inputs(name, 1)
        run = calls(graph, x, 5)
        assert apart(run(), np.asarray(xc.explain(graph, x, method, 5))) < 1e-5           # float32, a few hundred roundings
        assert (run() == run()).all()
    assert page._bare({**ROW, "bare": 0.45}).endswith("take 0.45, more than the goal")
    assert page._bare({**ROW, "bare": 0.35}).endswith("take 0.35")
    assert page._bare(ROW) == ""


def test_distances_and_turns():
    a, b = np.array([1.0, 2.0]), np.array([1.0, 4.0])
    assert apart(a, b) == 0.5
    assert far(a, b) == pytest.approx(2 / 17**0.5)
    assert apart(a, b[:1]) == far(a, b[:1]) == float("inf")
    calls = []
    taken, theirs = together({"exact": lambda: calls.append("o") or a}, lambda: calls.append("p") or b, 1)
    assert calls[:4] == ["o", "p", "o", "p"]
    assert taken["exact"].ratio == taken["exact"].spread[0]
    assert theirs is b


@pytest.mark.parametrize("name", plain.SHAPES)
def test_the_networks_without_a_framework(name):
    graph = plain.graph(name)
    assert graph(plain.inputs(name, 2)).shape == (2, 10)
    assert graph.size == {"MLP": 535_818, "LeNet": 61_706}[name]
