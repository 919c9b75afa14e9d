"""xaicore inspect: the operator table agrees with what the methods then do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.files import Run
from xaicore.cli.inspect import EXACT, FAMILIES, joined, survey
from xaicore.errors import Inapplicable, Unsupported
from xaicore.graph import Builder, Graph
from xaicore.graph.files import save
from xaicore.methods import explain
from xaicore.ops import (
    GELU,
    BatchNorm,
    Clip,
    Conv,
    Dense,
    Embedding,
    Flatten,
    GlobalAvgPool,
    LayerNorm,
    LogSoftmax,
    MaxPool,
    Mean,
    Op,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)

METHOD = {"gradient": "gradient", "guided": "guided_backprop", "lrp": "lrp.epsilon", "deeplift": "deeplift.rescale", EXACT: "integrated_gradients.exact"}


def test_what_is_printed(run: Run, folder: Path) -> None:
    ran = run("inspect", "grey.json")
    assert ran.code == 0
    assert ran.err == ""
    for text in ("grey: 5 nodes,", "input   image  float(N, 1, 8, 8)", "a Softmax, so by default 'fc' before it", "features.0", "N x 3 x 8 x 8",
                 "Every operator is supported by every family."):
        assert text in ran.out


def test_json_has_the_table(run: Run, folder: Path) -> None:
    document = json.loads(run("inspect", "odd.json", "--json").out)
    support = {o["operator"]: {f: s["supported"] for f, s in o["support"].items()} for o in document["operators"]}
    assert support["LogSoftmax"] == {"gradient": True, "guided": True, "lrp": False, "deeplift": True, EXACT: False}
    assert support["Mul"][EXACT] is False
    assert support["Mul"]["lrp"] is True
    assert [line.split(":")[0] for line in document["to_do"]] == ["lrp", EXACT]
    assert "before((op(LogSoftmax)" in document["to_do"][0]
    assert {layer["layer"] for layer in document["layers"]} == {"fc1", "inner", "gate", "mean", "fc2"}


def single(op: Op, *params: object, shape: tuple[int, ...] = (4,)) -> Graph:
    """One operator between two dense layers (or behind the input, for images)."""
    b = Builder()
    h = x = b.input("x", (None, *shape))
    if len(shape) == 1:
        h = b.add(Dense(), x, b.param("w", np.arange(16.0).reshape(4, 4) / 8 - 1))
    h = b.add(op, h, *(b.param(f"p{k}", p) for k, p in enumerate(params)), name="middle")
    if len(shape) == 1:
        return b.build(b.add(Dense(), h, "w"))
    return b.build(b.add(Flatten(), b.add(GlobalAvgPool(), h)))


ONES = np.ones(4)


@pytest.mark.parametrize("graph", [
    single(ReLU()), single(Tanh()), single(Sigmoid()), single(GELU()), single(Clip(0.0, 1.0)), single(LogSoftmax()), single(Softmax()),
    single(LayerNorm(), ONES, ONES), single(BatchNorm(), ONES, ONES, ONES, ONES), single(MaxPool((2, 2)), shape=(2, 4, 4)),
    single(Conv(), np.ones((2, 2, 2, 2)), shape=(2, 4, 4)),
], ids=lambda g: str(g.node("middle").op))
def test_supported_means_that_the_method_runs(graph: Graph) -> None:
    x = np.linspace(-1, 1, 2 * int(np.prod(graph.inputs["x"].shape[1:]))).reshape(2, *graph.inputs["x"].shape[1:])
    kinds = survey(graph).kinds
    for family, method in METHOD.items():
        promised = all(k.support[family] is not None for k in kinds)
        try:
            explain(graph, x, method, target=0)
            ran = True
        except (Unsupported, Inapplicable):
            ran = False
        assert promised == ran, f"{family}: inspect says {promised}, {method} says {ran}"


def test_nodes_of_one_kind_are_joined() -> None:
    assert joined(["vjp", "vjp"]) == "vjp"
    assert joined(["vjp", "head"]) == "vjp"
    assert joined(["head"]) == "head"
    assert joined(["vjp", None]) is None
    assert joined(["epsilon", "z_plus"]) == "epsilon, z_plus"


def test_without_a_floating_input_a_layer_is_recommended() -> None:
    b = Builder()
    h = b.add(Embedding(), b.param("table", np.ones((5, 3))), b.input("ids", (None, 4), "int"), name="embedding")
    found = survey(b.build(b.add(Mean((1,)), h)))
    assert "--layer" in found.notes[0]
    assert {s for k in found.kinds for s in k.support.values()} == {"constant"}


def test_expansions_and_folds_are_said() -> None:
    b = Builder()
    x = b.input("x", (None, 3, None, None))
    h = b.add(Conv(), x, b.param("w", np.ones((4, 3, 3, 3))), name="conv")
    h = b.add(BatchNorm(), h, *(b.param(f"p{k}", np.ones(4)) for k in range(4)), name="bn")
    found = survey(b.build(b.add(GlobalAvgPool(), h)))
    assert {k.operator: k.support["lrp"] for k in found.kinds}["BatchNorm"] == "folded"
    assert "every free size was 8" in str(found.layers)


def test_a_plan_is_shown_or_refused(run: Run, folder: Path) -> None:
    ran = run("inspect", "grey.json", "--plan", "lrp.z_plus")
    assert "lrp.z_plus: the rule of each node" in ran.out
    assert run("inspect", "odd.json", "--plan", "lrp.epsilon").code == 3
    assert run("inspect", "grey.json", "--plan", "lrp.zplus").code == 2
    rows = json.loads(run("inspect", "grey.json", "--plan", "lrp.z_plus", "--json").out)["plan"]
    assert [r["node"] for r in rows] == ["conv", "relu", "flat", "fc"]


def test_hostile_names_are_written_out(run: Run, folder: Path) -> None:
    b = Builder("evil\x1b]0;title\x07")
    save(b.build(b.add(ReLU(), b.input("x\x1b[31m", (None, 2)), name="relu\u202e", layer="a\rb")), folder / "evil.json")
    ran = run("inspect", "evil.json")
    assert ran.code == 0
    assert not {"\x1b", "\x07", "\u202e", "\r"} & set(ran.out)
    assert "relu\\x202e" in ran.out


def flattened(*sizes: int | None) -> Graph:
    b = Builder("free")
    return b.build(b.add(Dense(), b.input("x", sizes), b.param("w", np.ones((1, 3)))))


def test_no_samples_and_sizes_that_multiply() -> None:
    """A file may fix its batch at 0, or leave so many sizes free that drawing them would fill the memory."""
    assert survey(flattened(0, 3)).memory["gradient"].of(1) < 10_000
    assert not survey(flattened(0, 3)).notes
    (note,) = survey(flattened(None, *[None] * 7)).notes                 # 16 MiB at size 8, 256 GiB at size 32
    assert "x has shape (1, 8, 8, 8, 8, 8, 8, 8), but (N, ..., 3) is expected" in note
    (note,) = survey(flattened(None, *[None] * 10, 4)).notes             # 8 GiB at size 8
    assert "input 'x' of 1 x 8 x 8 x 8 x 8 x 8 x 8 x 8 x 8 x 8 x 8 x 4 would take 34,359,738,368 bytes" in note


def test_families_exist() -> None:
    from xaicore.rules import RULE_SETS

    assert set(FAMILIES.values()) <= set(RULE_SETS)


# ----- --verify -----------------------------------------------------------------------------------------------------


@pytest.fixture
def onnx_file(folder: Path) -> Path:
    """A small network as an ONNX file."""
    pytest.importorskip("onnx")
    from tests.backends.onnx_models import model, node

    rng = np.random.default_rng(3)
    weights = {k: rng.normal(size=s).astype("float32") for k, s in (("w", (3, 4)), ("v", (2, 3)))}
    nodes = [node("Gemm", "x w", "h", transB=1), node("Relu", "h", "r"), node("Gemm", "r v", "y", transB=1)]
    path = folder / "small.onnx"
    path.write_bytes(model(nodes, {"x": np.zeros((1, 4), "float32")}, "y", weights).SerializeToString())
    np.save(folder / "fed.npy", rng.normal(size=(3, 4)).astype("float32"))
    np.save(folder / "wide.npy", rng.normal(size=(3, 5)).astype("float32"))
    return path


@pytest.mark.parametrize("words", [(), ("fed.npy",)], ids=["drawn", "given"])
def test_verify_says_what_was_compared(run: Run, onnx_file: Path, words: tuple[str, ...]) -> None:
    ran = run("inspect", onnx_file, "--verify", *words)
    assert ran.code == 0
    assert "  verified: 3 of 3 nodes compared with onnx.reference: they agree, " in ran.out
    document = json.loads(run("inspect", onnx_file, "--json", "--verify", *words).out)
    assert document["verified"]["compared"] == ["h", "r", "y"]
    assert document["verified"]["worst"] < 1e-6
    assert json.loads(run("inspect", onnx_file, "--json").out)["verified"] is None


def test_verify_names_the_first_node_that_differs(run: Run, onnx_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import xaicore_onnx.lower as lower

    from xaicore.ops import LeakyReLU

    monkeypatch.setitem(lower.TABLE, "Relu", lambda c: (c.put(LeakyReLU(0.5), c.live())))
    ran = run("inspect", onnx_file, "--verify", "fed.npy")
    assert ran.code == 1
    assert "node 'r' (LeakyReLU(slope=0.5)" in ran.err
    assert "is the first that differs" in ran.err
    assert "Everything compared before it agrees, its input 'h' too" in ran.err


@pytest.mark.parametrize("name", ["digits", "grey.json"])
def test_verify_without_a_framework_checks_nothing(run: Run, folder: Path, name: str) -> None:
    ran = run("inspect", name, "--verify")
    assert ran.code == 5
    assert "no framework to compare" in ran.err


def test_verify_on_an_input_that_does_not_fit(run: Run, onnx_file: Path) -> None:
    ran = run("inspect", onnx_file, "--verify", "wide.npy")
    assert ran.code == 2
    assert "has shape (3, 5), but the file says 4 for axis 1" in ran.err
