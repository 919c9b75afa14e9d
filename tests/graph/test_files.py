"""xaicore's own file: what is saved comes back bit by bit, and whatever is not such a file is refused with FileRefused alone."""

from __future__ import annotations

import base64
import contextlib
import copy
import dataclasses
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.cases import CASES
from tests.cases.case import Case
from tests.graph.graphs import assert_same, cnn, feed, graph_of
from xaicore.errors import FileRefused, GraphError
from xaicore.graph import Builder, Graph, files
from xaicore.graph.untrusted import limited
from xaicore.ops import (
    OPS,
    BatchNorm,
    Clip,
    Conv,
    Dense,
    Dropout,
    GroupNorm,
    HardSigmoid,
    Identity,
    InstanceNorm,
    LayerNorm,
    LeakyReLU,
    MaxPool,
    Op,
    Pad,
    Resize,
    RMSNorm,
    ToFloat,
)

DTYPES = ("float64", "float32", "exact")


def around(graph: Graph, folder: Path) -> Graph:
    files.save(graph, folder / "g.json")
    return files.load(folder / "g.json")


# ----- what is saved comes back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_network_comes_back_bit_by_bit(dtype: str, tmp_path: Path) -> None:
    graph = cnn(dtype)
    back = around(graph, tmp_path)
    assert_same(graph, back)
    x = feed(graph)
    for a, b in zip(np.atleast_1d(graph(x)), np.atleast_1d(back(x)), strict=True):
        assert a.tolist() == b.tolist()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_every_operator_comes_back_with_its_fields(case: Case, tmp_path: Path) -> None:
    for dtype in DTYPES if case.op.rational else DTYPES[:2]:
        graph, _ = graph_of(case, dtype)
        assert_same(graph, around(graph, tmp_path))


EXTRA: tuple[Op, ...] = (
    BatchNorm(eps=0.25), InstanceNorm(eps=0.25), GroupNorm(1, eps=0.25), RMSNorm(eps=0.25), LayerNorm(eps=0.25), HardSigmoid(shift=0.25),
    Dropout(rate=0.25), ToFloat("float32"), Conv(fast=True),
)
"""Fields that no case sets."""


@pytest.mark.parametrize("op", EXTRA, ids=str)
def test_fields_that_no_case_sets_come_back(op: Op, tmp_path: Path) -> None:
    graph, _ = graph_of(next(c for c in CASES if type(c.op) is type(op)), "float32")
    graph = dataclasses.replace(graph, nodes=(dataclasses.replace(graph.nodes[0], op=op),))
    assert_same(graph, around(graph, tmp_path))


def test_every_field_of_every_operator_was_told() -> None:
    """A field that always has its default could be lost without a test above noticing."""
    ops = (*(c.op for c in CASES), *EXTRA)
    told = {(type(op), f.name) for op in ops for f in dataclasses.fields(op) if getattr(op, f.name) != f.default}
    assert told == {(kind, f.name) for kind in OPS.values() for f in dataclasses.fields(kind)}


@given(data=st.data(), dtype=st.sampled_from(files.STORED))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_stored_dtype_comes_back(data: st.DataObject, dtype: str, tmp_path: Path) -> None:
    number = np.dtype(dtype)
    elements = {"allow_nan": False, "allow_infinity": False} if number.kind == "f" else {}
    value = data.draw(hnp.arrays(number, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4), elements=elements or None))
    if number.kind == "f" and number.itemsize == 2:
        return
    b = Builder(dtype=dtype if dtype in ("float64", "float32") else "float64")
    x = b.input("x", (None,))
    b.param("p", value)
    graph = b.build(b.add(Identity(), x))
    back = around(graph, tmp_path)
    assert_same(graph, back)
    assert back.params["p"].tobytes() == value.tobytes()               # the sign of a zero, too


FIELDS: tuple[Op, ...] = (
    Pad(((1, 1),), value=float("-inf")), Clip(low=-float("inf"), high=6), Clip(low=0.1), LeakyReLU(slope=Fraction(1, 3)),  # type: ignore[arg-type]
    Pad(((0, 1), (1, 0)), value=Fraction(-10**30, 7)), MaxPool((np.int64(2),)), LeakyReLU(slope=np.float32(0.5)),  # type: ignore[arg-type]
    Resize((4,), scales=(2.0000000000000004,)), LeakyReLU(slope=5e-324),
)


@pytest.mark.parametrize("op", FIELDS, ids=str)
def test_numbers_that_json_lacks_come_back(op: Op, tmp_path: Path) -> None:
    b = Builder()
    back = around(b.build(b.add(op, b.input("x", (None, 1, 4, 4)))), tmp_path)
    assert back.nodes[0].op == op


def test_a_mask_with_minus_infinity_comes_back(tmp_path: Path) -> None:
    b = Builder()
    x = b.input("x", (None, 2))
    b.param("mask", np.array([0.0, -np.inf]))
    graph = b.build(b.add(Identity(), x))
    assert_same(graph, around(graph, tmp_path))


def test_the_bytes_are_little_endian(tmp_path: Path) -> None:
    b = Builder(dtype="float32")
    x = b.input("x", (None, 1))
    files.save(b.build(b.add(Dense(), x, b.param("w", [[1.0]]))), tmp_path / "g.json")
    stored = json.loads((tmp_path / "g.json").read_text())["params"]["w"]
    assert base64.b64decode(stored["data"]) == b"\x00\x00\x80\x3f"     # IEEE 754: 1.0 is 0x3f800000
    assert (stored["dtype"], stored["shape"]) == ("float32", [1, 1])


# ----- what cannot be saved ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "text"), [
    (Fraction(1, 3), "1/3"), (Fraction(10**400), "largest float"), (Fraction(2**53 + 1), "no binary"),
])
def test_rationals_that_are_no_floats_are_not_rounded(value: Fraction, text: str, tmp_path: Path) -> None:
    b = Builder(dtype="exact")
    x = b.input("x", (None, 1))
    graph = b.build(b.add(Dense(), x, b.param("w", [[value]])))
    with pytest.raises(GraphError, match=text):
        files.save(graph, tmp_path / "g.json")
    assert list(tmp_path.iterdir()) == []


@dataclasses.dataclass(frozen=True)
class Foreign(Op):
    """An operator of a user."""

    def forward(self, *xs: np.ndarray) -> np.ndarray:
        return xs[0]


def test_a_foreign_operator_is_refused_at_once(tmp_path: Path) -> None:
    b = Builder()
    with pytest.raises(GraphError, match="Foreign is not one of xaicore's own"):
        files.save(b.build(b.add(Foreign(), b.input("x", (None,)))), tmp_path / "g.json")


def test_a_field_that_is_no_plain_value_is_refused(tmp_path: Path) -> None:
    b = Builder()
    odd = LeakyReLU(slope={1})                                          # type: ignore[arg-type]
    with pytest.raises(GraphError, match=r"slope is \{1\}, which a file cannot hold"):
        files.save(b.build(b.add(odd, b.input("x", (None,)))), tmp_path / "g.json")


# ----- all or nothing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["write_text", "replace"])
def test_a_save_that_fails_leaves_the_old_file(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "g.json"
    files.save(cnn(), path)
    before = path.read_bytes()

    def full(self: Path, *args: Any, **more: Any) -> None:
        if step == "write_text":
            self.write_bytes(b'{"half')
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, step, full)
        with pytest.raises(OSError, match="No space"):
            files.save(cnn("float32"), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["g.json"]


# ----- hostile files ----------------------------------------------------------------------------------------------------


def document() -> dict[str, Any]:
    """A valid document: every kind of entry, two parameters, fields of every JSON type."""
    b = Builder("small")
    b.meta["k"] = "v"
    x = b.input("x", (None, 1, 4, 4))
    b.param("flag", np.array([True, False]))
    h = b.add(Pad(((0, 1), (1, 0)), value=0.5), x, name="pad", layer="l", origin="o")
    h = b.add(Clip(low=None, high=6.5), h, name="clip")
    h = b.add(MaxPool((2, 2), ceil=True), h, name="pool")
    graph = b.build(b.add(Dense(), h, b.param("w", np.ones((2, 3))), name="fc"))
    return {
        "format": files.FORMAT, "version": files.VERSION, "name": graph.name, "dtype": graph.dtype, "meta": dict(graph.meta),
        "inputs": {"x": {"shape": [None, 1, 4, 4], "kind": "float"}},
        "params": {k: files._pack(k, v) for k, v in graph.params.items()},
        "nodes": [{"name": n.name, "op": type(n.op).__name__, "fields": files._fields(n), "inputs": list(n.inputs), "layer": n.layer,
                   "origin": n.origin} for n in graph.nodes],
        "outputs": list(graph.outputs),
    }


def put(doc: Any, folder: Path) -> Path:
    path = folder / "hostile.json"
    path.write_text(doc if isinstance(doc, str) else json.dumps(doc))
    return path


def refused(doc: Any, folder: Path, match: str | None = None) -> None:
    with pytest.raises(FileRefused, match=match) as caught:
        files.load(put(doc, folder))
    assert "hostile.json" in str(caught.value)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every entry of a JSON document."""
    if at:
        yield at
    if isinstance(value, (dict, list)):
        for k in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[k], (*at, k))


def changed(doc: Any, at: tuple[Any, ...], new: Any) -> Any:
    """A copy of the document with another value at one place."""
    doc = copy.deepcopy(doc)
    inner = doc
    for k in at[:-1]:
        inner = inner[k]
    inner[at[-1]] = new
    return doc


STRANGE = (None, True, 7, -1, 0, 2**31, 10**30, 1.5, "strange", "", [], [[]], ["x"], [1, 2], {}, {"x": 1}, {"number": "1/2"},
           {"number": "1/0"}, {"number": "1e999999999"}, {"number": "nan"}, {"number": 3})


def test_the_document_of_these_tests_is_valid(tmp_path: Path) -> None:
    graph = files.load(put(document(), tmp_path))
    assert graph(np.zeros((1, 1, 4, 4))).shape == (1, 1, 3, 2)


@pytest.mark.parametrize("at", list(places(document())), ids=lambda at: ".".join(map(str, at)))
def test_a_strange_value_at_any_place_is_refused_or_means_something(at: tuple[Any, ...], tmp_path: Path) -> None:
    """Every entry replaced by values of every JSON type: what loads is a valid graph, the rest is FileRefused, nothing else."""
    for new in STRANGE:
        doc = changed(document(), at, new)
        try:
            graph = files.load(put(doc, tmp_path))
        except FileRefused:
            continue
        assert isinstance(graph, Graph)
        again = around(graph, tmp_path)
        assert_same(graph, again)


NO_STRING = [("name",), ("dtype",), ("meta", "k"), ("inputs", "x", "kind"), ("params", "w", "dtype"), ("params", "w", "data"),
             ("nodes", 0, "name"), ("nodes", 0, "op"), ("nodes", 0, "layer"), ("nodes", 0, "origin"), ("nodes", 0, "inputs", 0),
             ("outputs", 0), ("nodes", 0, "fields", "mode")]


@pytest.mark.parametrize("at", NO_STRING, ids=str)
@pytest.mark.parametrize("new", [None, True, 7, 1.5, [], ["x"], {}], ids=str)
def test_what_must_be_a_string_is_one(at: tuple[Any, ...], new: Any, tmp_path: Path) -> None:
    refused(changed(document(), at, new), tmp_path)


@pytest.mark.parametrize(("at", "new"), [
    (("nodes",), {}), (("nodes",), "pad"), (("nodes", 0), []), (("nodes", 0, "inputs"), "x"), (("outputs",), "fc"), (("params",), []),
    (("inputs",), []), (("meta",), []), (("inputs", "x", "shape"), "144"), (("inputs", "x", "shape"), []), (("params", "w", "shape"), 6),
    (("nodes", 0, "fields"), []), (("nodes", 2, "fields", "kernel"), 2), (("nodes", 2, "fields", "kernel"), [2.0, 2.0]),
    (("nodes", 2, "fields", "kernel"), [True, True]), (("nodes", 2, "fields", "ceil"), 1), (("nodes", 1, "fields", "low"), "0"),
    (("nodes", 0, "fields", "pads"), [[0], [1]]), (("nodes", 0, "fields", "pads"), [[0, 1, 2], [1, 0, 0]]),
    (("nodes", 0, "fields", "mode"), "x"), (("version",), "1"), (("version",), None), (("nodes", 1, "fields", "high"), True),
], ids=str)
def test_a_wrong_json_type_is_refused(at: tuple[Any, ...], new: Any, tmp_path: Path) -> None:
    refused(changed(document(), at, new), tmp_path)


@pytest.mark.parametrize("at", [at for at in places(document()) if isinstance(at[-1], str)], ids=lambda at: ".".join(map(str, at)))
def test_a_missing_entry_is_refused_unless_it_has_a_default(at: tuple[Any, ...], tmp_path: Path) -> None:
    doc = copy.deepcopy(document())
    inner = doc
    for k in at[:-1]:
        inner = inner[k]
    del inner[at[-1]]
    if at == ("params", "flag") or at == ("meta", "k") or (len(at) == 4 and at[2] == "fields" and at[3] not in ("kernel", "pads")) \
            or at == ("nodes", 2, "fields", "pads"):
        files.load(put(doc, tmp_path))                                  # unread parameter, free words, fields with defaults
    else:
        refused(doc, tmp_path)


@pytest.mark.parametrize("percent", range(0, 100, 5))
def test_a_truncated_file_is_refused(percent: int, tmp_path: Path) -> None:
    files.save(cnn(), tmp_path / "whole.json")
    whole = (tmp_path / "whole.json").read_bytes()
    (tmp_path / "cut.json").write_bytes(whole[: len(whole) * percent // 100])
    with pytest.raises(FileRefused, match=r"cut\.json .*truncated"):
        files.load(tmp_path / "cut.json")


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_are_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "noise.json").write_bytes(raw)
    with pytest.raises(FileRefused):
        files.load(tmp_path / "noise.json")


@given(st.integers(0, 10**6), st.integers(0, 255))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_changed_byte_gives_a_graph_or_a_refusal(tmp_path: Path, place: int, byte: int) -> None:
    raw = bytearray(json.dumps(document()).encode())
    raw[place % len(raw)] = byte
    (tmp_path / "flip.json").write_bytes(bytes(raw))
    with contextlib.suppress(FileRefused):
        assert isinstance(files.load(tmp_path / "flip.json"), Graph)


def packed(dtype: str, shape: Any, raw: bytes) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data": base64.b64encode(raw).decode()}


@pytest.mark.parametrize(("entry", "text"), [
    (packed("float64", [2, 3], bytes(40)), "takes 48 bytes, 40 are there"),
    (packed("float64", [2, 3], bytes(56)), "takes 48 bytes, 56 are there"),
    (packed("float64", [2**31 - 1] * 4, b""), "takes"),
    (packed("float64", [2**31 - 1] * 400, b""), "takes"),
    (packed("float64", [2**31, 0], b""), "2147483648 is not a size"),
    (packed("float64", [0] + [2**31 - 1] * 5, b""), "malformed"),
    (packed("float64", [1] * 100, bytes(8)), "malformed"),
    (packed("float64", [-2, -3], bytes(48)), "-2 is not a size"),
    (packed("float64", [2.0, 3.0], bytes(48)), "2.0 is not a size"),
    (packed("float64", [True, 6], bytes(48)), "True is not a size"),
    (packed("object", [2, 3], bytes(48)), "dtype 'object'"),
    (packed("float16", [2, 3], bytes(12)), "dtype 'float16'"),
    (packed("complex128", [1], bytes(16)), "dtype 'complex128'"),
    (packed("V8", [6], bytes(48)), "dtype 'V8'"),
    (packed("bool", [3], b"\0\1\2"), "bytes other than 0 and 1"),
    (packed("float32", [2, 3], bytes(24)), "dtype float32, but the graph is float64"),
    (packed("float64", [2, 3], np.full(6, np.nan).tobytes()), "holds nan"),
    (packed("float64", [2, 3], np.full(6, np.inf).tobytes()), "holds inf"),
    ({"dtype": "float64", "shape": [2, 3], "data": "not base64!"}, "malformed"),
    ({"dtype": "float64", "shape": [2, 3], "data": "AAA"}, "malformed"),
    ({"dtype": "float64", "shape": [2, 3], "data": "é" * 64}, "malformed"),
    ({"dtype": "float64", "shape": [2, 3]}, "'data' is missing"),
    ([1, 2, 3], "malformed"), (None, "malformed"), (0.5, "malformed"),
])
def test_a_parameter_that_is_not_what_it_says_is_refused(entry: Any, text: str, tmp_path: Path) -> None:
    refused(changed(document(), ("params", "w"), entry), tmp_path, text)


@pytest.mark.parametrize(("node", "text"), [
    ({"op": "System"}, "unknown operator 'System'"), ({"op": "Op"}, "unknown operator"), ({"op": "__class__"}, "unknown operator"),
    ({"fields": {"cmd": 1}}, "no field 'cmd'"), ({"op": "Conv", "fields": {"stride": [0]}}, "at least 1"),
    ({"op": "Conv", "fields": {"stride": [10**30]}}, "not a field value"), ({"op": "GELU", "fields": {"approximate": "x"}}, "approximate"),
    ({"op": "Einsum", "fields": {"equation": "->"}}, "Einsum"), ({"op": "MaxPool", "fields": {}}, "kernel"),
    ({"op": "RNN", "fields": {"activation": {"op": "System", "fields": {}}}}, "unknown operator 'System'"),
    ({"op": "RNN", "fields": {"activation": {"op": "Softmax", "fields": {}}}}, "no function of one number"),
    ({"op": "RNN", "fields": {"activation": {"op": "Tanh", "fields": {"x": 1}}}}, "no field 'x'"),
    ({"op": "RNN", "fields": {"activation": "Tanh"}}, "activation='Tanh', which is not"),
    ({"op": "RNN", "fields": {"activation": {"op": ["Tanh"], "fields": {}}}}, "malformed"),
    ({"inputs": []}, "takes 1 inputs"), ({"inputs": ["nowhere"]}, "'nowhere', which nothing before it defines"),
    ({"inputs": ["fc"]}, "nothing before it"), ({"name": "x"}, "defined twice"),
])
def test_a_node_that_cannot_be_is_refused(node: dict[str, Any], text: str, tmp_path: Path) -> None:
    doc = document()
    doc["nodes"][0] = {**doc["nodes"][0], "fields": {} if "op" in node else doc["nodes"][0]["fields"], **node}
    refused(doc, tmp_path, text)


@pytest.mark.parametrize("raw", [
    "", " ", "null", "3", '"graph"', "[]", "{}", "{", '{"format": "other"}', '{"format": "xaicore-graph"}',
    '{"format": "xaicore-graph", "version": 2}', '{"format": "xaicore-graph", "version": 1}',
    "NaN", "[" * 100_000, '{"a":' * 100_000, "1" * 5000, '{"format": ' + "1" * 5000 + "}",
    "\ufeff{}", "PK\x03\x04", "\x80\x04\x95",
], ids=lambda raw: raw[:40])
def test_what_is_no_document_is_refused(raw: str, tmp_path: Path) -> None:
    refused(raw, tmp_path)


@pytest.mark.parametrize("depth", [10, 300, 600, 900, 2000])
def test_deep_nesting_inside_a_field_is_refused(depth: int, tmp_path: Path) -> None:
    text = json.dumps(changed(document(), ("nodes", 2, "fields", "kernel"), "HERE")).replace('"HERE"', "[" * depth + "]" * depth)
    refused(text, tmp_path)


def test_operators_within_operators_end_somewhere(tmp_path: Path) -> None:
    start, end = '{"op": "RNN", "fields": {"activation": ', "}}"
    text = json.dumps(changed(document(), ("nodes", 0, "fields", "value"), "HERE")).replace('"HERE"', start * 2000 + "1" + end * 2000)
    refused(text, tmp_path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 400])
def test_numbers_that_are_none_are_refused(number: str, tmp_path: Path) -> None:
    refused(json.dumps(changed(document(), ("nodes", 0, "fields", "value"), "HERE")).replace('"HERE"', number), tmp_path, "field value")


def test_a_newer_version_says_so(tmp_path: Path) -> None:
    refused(changed(document(), ("version",), 2), tmp_path, r"format version 2; this release reads version 1")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with limited(25):
        refused(document(), tmp_path, "more than 100 are not read")


@pytest.mark.parametrize("path", ["missing.json", ".", "x" * 5000])
def test_a_path_without_a_file_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="cannot be read"):
        files.load(tmp_path / path)


def test_an_exact_file_with_an_infinite_parameter_is_refused(tmp_path: Path) -> None:
    doc = changed(document(), ("dtype",), "exact")
    doc["params"]["w"] = packed("float64", [1, 3], np.array([[0, -np.inf, 0]]).tobytes())
    refused(doc, tmp_path, "no rational value")


def test_loading_runs_and_writes_nothing(tmp_path: Path) -> None:
    path = put(document(), tmp_path)
    before = path.read_bytes()
    files.load(path)
    assert [p.name for p in tmp_path.iterdir()] == ["hostile.json"]
    assert path.read_bytes() == before
