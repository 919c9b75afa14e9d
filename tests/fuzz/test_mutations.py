"""Sound files, changed: bits flipped, pieces cut, doubled and moved, words of JSON exchanged. A model, an array or an XaicoreError comes out."""

from __future__ import annotations

import copy
import json
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx")
pytest.importorskip("h5py")

from tests.fuzz.__main__ import plain
from tests.fuzz.seeds import CORPUS, kept
from tests.fuzz.targets import TARGETS, Target, tried

EXAMPLES = 500 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 25
STRANGE: list[Any] = [None, True, -1, 0, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, 1e308, "", "x", "1e999999999", "1/0", "\x00", [], {}, [[]], [None], {"op": "ReLU"}, {"number": "inf"}]
EDGES = st.sampled_from([b"", b"\x00", b"\xff" * 4, b"\xff" * 8, b"\x7f\xff\xff\xff", b"[", b"{", b'"', b"-", b"9" * 30, b"e9", b"NaN", b"(1,"])


@st.composite
def changed(draw: st.DrawFn, sound: bytes) -> bytes:
    """One to four changes at any place."""
    data = sound
    for _ in range(draw(st.integers(1, 4))):
        at, until = sorted(draw(st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))))
        until = min(until, at + draw(st.sampled_from([1, 4, 64, 1 << 20])))
        kind = draw(st.sampled_from(["flip", "cut", "double", "put", "edge"]))
        piece = data[at:until]
        if kind == "flip" and piece:
            bit = draw(st.integers(0, 7))
            data = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:]
        elif kind == "cut":
            data = data[:at] + data[until:]
        elif kind == "double":
            data = data[:until] + piece + data[until:]
        elif kind == "put":
            data = data[:at] + draw(st.binary(max_size=8)) + data[until:]
        else:
            edge = draw(EDGES)
            data = data[:at] + edge + data[at + len(edge):]
    return data


@st.composite
def rearranged(draw: st.DrawFn, document: Any) -> Any:
    """A JSON document with one to three of its values exchanged, left out or doubled."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        places = [(document, None)] if not isinstance(document, (dict, list)) else []
        stack = [document]
        while stack:
            here = stack.pop()
            keys = here.keys() if isinstance(here, dict) else range(len(here))
            places += [(here, k) for k in keys]
            stack += [here[k] for k in keys if isinstance(here[k], (dict, list))]
        if not places or places[0][1] is None:
            return document
        here, key = places[draw(st.integers(0, len(places) - 1))]
        kind = draw(st.sampled_from(["strange", "strange", "drop", "other"]))
        if kind == "drop":
            del here[key]
        elif kind == "other":
            there, name = places[draw(st.integers(0, len(places) - 1))]
            if name in there if isinstance(there, dict) else name < len(there):
                here[key] = json.loads(json.dumps(there[name]))
        else:
            here[key] = copy.deepcopy(draw(st.sampled_from(STRANGE)))
    return document


@pytest.mark.parametrize("name", TARGETS)
def test_changed_bytes(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]

    @settings(max_examples=EXAMPLES)
    @given(st.sampled_from(target.seeds()).flatmap(changed))
    def check(data: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tried(target, data, tmp_path)

    for seed in target.seeds():
        tried(target, seed, tmp_path)
    check()


@pytest.mark.parametrize("name", ["m.json", "v.json", "a.json", "x.json"])
def test_changed_documents(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]

    @settings(max_examples=3 * EXAMPLES)
    @given(st.sampled_from([json.loads(s) for s in target.seeds()]).flatmap(rearranged))
    def check(document: Any) -> None:
        tried(target, json.dumps(document).encode(), tmp_path)

    check()


def test_sound_files_are_read(tmp_path: Path) -> None:
    """So that the changes above begin with something: at least the first of each."""
    said = {name: tried(t, t.seeds()[0], tmp_path) for name, t in TARGETS.items()}
    assert [name for name in ("m.json", "m.onnx", "m.keras", "x.npy", "x.npz", "x.png", "a.safetensors", "a.json", "v.json") if said[name]] == []


def test_what_was_found_once_stays_found(tmp_path: Path) -> None:
    """corpus/ keeps the files that the fuzzers found, each of which raised something else than an XaicoreError."""
    for path in sorted(CORPUS.glob("*/*")):
        tried(TARGETS[path.parent.name], path.read_bytes(), tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("name", TARGETS)
def test_what_the_long_run_reached(name: str, tmp_path: Path) -> None:
    """The corpus that it left, without coverage."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for data in kept(name):
            tried(TARGETS[name], data, tmp_path)


def test_the_search_finds_a_reader_that_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug behind a checksum: a changed number in a sound archive reaches it, and is kept once with its traceback."""
    def breaks(path: str) -> None:
        from xaicore.cli.inputs import _npz

        for x in _npz(Path(path)).values():
            _ = 1 // int(bool((x == 1).all()))

    monkeypatch.setitem(TARGETS, "x.npz", Target("x.npz", breaks, TARGETS["x.npz"].seeds))
    assert plain("x.npz", 60, tmp_path, most=300) == "300 executions without coverage, 1 findings"
    assert sorted(p.suffix for p in (tmp_path / "x.npz.found").iterdir()) == [".npz", ".txt"]
