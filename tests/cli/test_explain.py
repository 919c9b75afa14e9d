"""xaicore explain: what it prints, every output format, options, bad input, and that nothing is left half-written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load as load_safetensors

from tests.cli.files import Run
from xaicore.cli.inputs import read_input
from xaicore.cli.outputs import safetensors, write
from xaicore.cli.shared import parsed, requests, split, target
from xaicore.data import digits_images, digits_model
from xaicore.errors import InputError
from xaicore.graph.files import load, save
from xaicore.methods import METHODS, explain

PAIR = ("-m", "lrp.epsilon:eps=0.01", "-m", "deeplift.rescale")


def expected(folder: Path, method: str, **settings: object) -> np.ndarray:
    """The attribution by the library, without the command line."""
    return np.asarray(explain(load(folder / "grey.json"), np.load(folder / "grey.npy"), method, **settings))


def test_the_table_shows_the_sums_of_every_method_and_sample(run: Run, folder: Path) -> None:
    ran = run("explain", "grey.json", "grey.npy", *PAIR)
    assert ran.code == 0
    a = explain(load(folder / "grey.json"), np.load(folder / "grey.npy"), "deeplift.rescale")
    lines = [line.split() for line in ran.out.splitlines()]
    row = next(words for words in lines if words[:2] == ["deeplift.rescale", "1"])
    assert row[3:6] == [f"{float(v):.6g}" for v in (a.output[1], a.baseline_output[1], a.total()[1])]
    assert sum(words[:1] == ["lrp.epsilon:eps=0.01"] for words in lines) == 2
    assert "explained: " in ran.out
    assert "\x1b" not in ran.out


OTHERS = {
    "cam": "not affine", "linear_shap": "not affine", "max_shap": "shapley.exact", "attention_rollout": "no softmax over",
    "feature_permutation": "this batch has one", "tcav": "give layer=", "vog": "give checkpoints=", "independence": "give labels=",
    "attfind": "put the classifier behind its decoder", "xgnn": "searches among graphs", "len.relu": "a network on concepts",
    "len.mu": "a network on concepts", "len.psi": "a network on concepts", "rate": "this batch has one", "patternnet": "background=training samples", "pattern_attribution": "background=training samples"}
"""Methods that ask for another network or for more data, and what they say."""


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_draws_and_writes(run: Run, folder: Path, method: str) -> None:
    """Of every method id a picture, a page and numbers, for the network and an image that are shipped; or a reason why not."""
    if method in OTHERS:
        ran = run("explain", "digits", "digit_3.png", "-m", method)
        assert (ran.code, OTHERS[method] in ran.err) == (3, True), ran.err
        return
    fast = {"integrated_gradients.exact": ":baseline=0.25"}                # any setting shows that settings arrive
    ran = run("explain", "digits", "digit_3.png", "-m", method + fast.get(method, ""), "-o", "a.png", "-o", "a.npz", "-o", "a.html")
    assert ran.code == 0, ran.err
    with Image.open("a.png") as image:
        image.load()
        assert image.format == "PNG"
    with np.load("a.npz") as stored:
        assert np.isfinite(stored[method + fast.get(method, "")]).all()
    assert Path("a.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_settings_that_are_files(run: Run, folder: Path) -> None:
    """Examples of a concept, checkpoints, labels, a mask, noise: each arrives as it would in Python, and prints what it found."""
    images, labels = digits_images()
    np.save("threes.npy", images[labels == 3])
    np.save("others.npy", images[4:8])
    np.save("all.npy", images)
    np.savetxt("labels.csv", (labels == 3).astype(float))
    np.save("noise.npy", np.full((2, 1, 1, 8, 8), 0.25))
    Image.fromarray(np.repeat(np.arange(4, dtype=np.uint8), 16).reshape(8, 8)).save("parts.png")
    save(digits_model(), folder / "first.json")
    scaled = replace(digits_model(), params={k: v / 2 for k, v in digits_model().params.items()})
    save(scaled, folder / "second.json")
    asked = ["tcav:layer=relu5,concept=threes.npy,random=others.npy,test=0", "vog:checkpoints=[first.json,second.json]",
             "feature_ablation:mask=parts.png", "smoothgrad:noise=noise.npy", "independence:labels=labels.csv"]
    for text, x, name in zip(asked, ["digit_3.png"] * 4 + ["all.npy"], "abcde"):
        ran = run("explain", "digits", x, "--target", "3", "-m", text, "-o", f"{name}.npz", "-o", f"{name}.png")
        assert ran.code == 0, ran.err
    graph, three = digits_model(), read_input("digit_3.png", digits_model())["image"]
    same = {"a": explain(graph, three, "tcav", 3, layer="relu5", concept=images[labels == 3], random=[images[4:8]], test=0),
            "b": explain(graph, three, "vog", 3, checkpoints=[graph, scaled]),
            "c": explain(graph, three, "feature_ablation", 3, mask=np.repeat(np.arange(4), 16).reshape(1, 8, 8)),
            "d": explain(graph, three, "smoothgrad", 3, noise=np.full((2, 1, 1, 8, 8), 0.25)),
            "e": explain(graph, images, "independence", 3, labels=labels == 3)}
    for (name, a), text in zip(same.items(), asked):
        with np.load(f"{name}.npz") as stored:
            assert (stored[text] == np.asarray(a)).all()
            says = json.loads(str(stored["about"]))["results"][0].get("says")
        assert says == a.extras.get("says")
    assert "independence:labels=labels.csv: " + same["e"].extras["says"] in ran.out
    assert ran.err.startswith("independence:labels=labels.csv takes 1 forward, and 999 + 1 statistics of the batch for each entry\nwrote")
    for text, message in (("tcav:layer=relu5,concept=3", "concept=3 is no file of samples"), ("vog:checkpoints=3", "checkpoints=3 is no model"),
                          ("feature_ablation:mask=none.png", "none.png does not exist")):
        ran = run("explain", "digits", "digit_3.png", "-m", text)
        assert ran.code in (2, 4)
        assert message in ran.err


def test_what_is_slow_says_so_before_it_starts(run: Run, folder: Path) -> None:
    ran = run("explain", "grey.json", "grey.png", "-m", "smoothgrad:samples=7", "-m", "gradient", "-m", "kernel_shap:mask=2,samples=14")
    assert ran.err == ("smoothgrad:samples=7 takes 7 forward, 7 backward (for each sample)\n"
                       "kernel_shap:mask=2,samples=14 takes (14 + 2) · B forward (unless given, 2 M + 2050) (for each sample)\n")


def test_layers_of_maps_and_neurons(run: Run, folder: Path) -> None:
    """A layer in a setting, two of them, a neuron as target, a neuron of a layer."""
    ran = run("explain", "digits", "digit_3.png", "-m", "grad_cam:layer=relu2", "-m", "grad_cam", "-m", "smoe:layer=[relu1,relu3]", "-o", "a.npz")
    assert ran.code == 0, ran.err
    with np.load("a.npz") as stored:
        assert (stored["grad_cam:layer=relu2"] != stored["grad_cam"]).any()
        about = json.loads(str(stored["about"]))
    assert [r["settings"]["layer"] for r in about["results"]] == ["relu2", "relu4", ["relu1", "relu3"]]
    ran = run("explain", "digits", "digit_3.png", "--target", "relu3:5,1,2", "-m", "gradient", "-o", "b.png")
    assert (ran.code, "(5, 1, 2) of 'relu3'" in ran.out) == (0, True)
    assert run("explain", "digits", "digit_3.png", "--layer", "relu5", "-m", "conductance:neuron=3", "-m", "conductance").code == 0


def test_npz_and_safetensors_hold_the_same_exact_numbers(run: Run, folder: Path) -> None:
    ran = run("explain", "grey.json", "grey.npy", *PAIR, "-o", "a.npz", "-o", "a.safetensors", "--target", "2")
    assert (ran.code, ran.err) == (0, "wrote a.npz\nwrote a.safetensors\n")
    with np.load("a.npz", allow_pickle=False) as stored:
        by_npz = {k: stored[k] for k in stored.files}
    about = json.loads(str(by_npz.pop("about")))
    by_safetensors = load_safetensors(Path("a.safetensors").read_bytes())
    assert by_npz.keys() == by_safetensors.keys() == {"lrp.epsilon:eps=0.01", "deeplift.rescale", "x/image"}
    for k in by_npz:
        assert by_npz[k].dtype == by_safetensors[k].dtype == np.float64
        assert (by_npz[k] == by_safetensors[k]).all()
    assert (by_npz["lrp.epsilon:eps=0.01"] == expected(folder, "lrp.epsilon", eps=0.01, target=2)).all()
    assert [r["method"] for r in about["results"]] == ["lrp.epsilon", "deeplift.rescale"]
    assert about["results"][0]["settings"]["eps"] == 0.01
    assert about["results"][0]["target"] == ["2", "2"]


def test_safetensors_is_read_by_the_package_for_every_type() -> None:
    made = {"a": np.arange(6.0).reshape(2, 3), "b": np.float32([1.5]), "c": np.arange(4), "é": np.array([True, False]), "e": np.zeros((0, 3))}
    read = load_safetensors(safetensors(made, {"about": "x"}))
    assert read.keys() == made.keys()
    for k, v in made.items():
        assert read[k].dtype == v.dtype
        assert read[k].shape == v.shape
        assert (read[k] == v).all()


def test_json_file_and_document(run: Run, folder: Path) -> None:
    ran = run("explain", "grey.json", "grey.npy", *PAIR, "-o", "a.json", "--json")
    document = json.loads(ran.out)
    assert document["files"] == ["a.json"]
    assert document["model"]["name"] == "grey"
    assert "values" not in document["results"][0]
    assert "ledger" not in document["results"][0]
    stored = json.loads(Path("a.json").read_text(encoding="utf-8"))
    assert (np.array(stored["results"][1]["values"]["image"]) == expected(folder, "deeplift.rescale")).all()
    traced = json.loads(run("explain", "grey.json", "grey.npy", "--json", "--trace").out)
    assert [e["node"] for e in traced["results"][0]["ledger"]] == ["fc", "flat", "relu", "conv"]


def test_trace_prints_the_ledger_per_node(run: Run, folder: Path) -> None:
    ran = run("explain", "grey.json", "grey.png", "-m", "lrp.epsilon", "-m", "smoothgrad:samples=2", "--trace")
    assert "lrp.epsilon: relevance at each node" in ran.out
    nodes = [line.split()[0] for line in ran.out.splitlines() if line.split()[2:3] in (["Dense"], ["Flatten"], ["ReLU"], ["Conv"])]
    assert nodes == ["fc", "flat", "relu", "conv"]
    assert "smoothgrad:samples=2: no ledger" in ran.out


def test_exact_arithmetic_writes_rationals(run: Run, folder: Path) -> None:
    np.savetxt("x.csv", [[1, 2, 0, -1, 3]], delimiter=",", fmt="%d")
    assert run("explain", "table.json", "x.csv", "-m", "deeplift.rescale", "--dtype", "exact", "-o", "a.json", "-o", "a.npz").code == 0
    result = json.loads(Path("a.json").read_text(encoding="utf-8"))["results"][0]
    assert result["gap"] == [0]
    assert any(isinstance(v, str) and "/" in v for v in result["values"]["x"][0])


def test_a_background_arrives(run: Run, folder: Path) -> None:
    """The input as the only sample of the set: nothing differs. A method with a baseline alone keeps its own."""
    found = json.loads(run("explain", "grey.json", "grey.png", "-m", "deep_shap", "-m", "shapley.exact:mask=2", "-m", "deeplift.rescale",
                           "--background", "grey.png", "--json").out)["results"]
    assert [one["baseline_output"] == pytest.approx(one["output"], abs=1e-12) for one in found] == [True, True, False]  # a sum in another order


def test_layer_baseline_output_and_seed_arrive(run: Run, folder: Path) -> None:
    at_layer = json.loads(run("explain", "grey.json", "grey.png", "--layer", "features.0", "-m", "integrated_gradients", "--json").out)
    assert at_layer["results"][0]["shapes"] == {"conv": [1, 3, 8, 8]}
    there = json.loads(run("explain", "grey.json", "grey.png", "-m", "deeplift.rescale", "--baseline", "grey.png", "--json").out)["results"][0]
    assert there["baseline_output"] == there["output"]
    for word in ("zero", "mean", "0.5"):
        assert run("explain", "grey.json", "grey.png", "-m", "deeplift.rescale", "-m", "gradient", "--baseline", word).code == 0
    scale = json.loads(run("explain", "grey.json", "grey.png", "-m", "gradient", "--output", "probability", "--json").out)["results"][0]
    assert 0 < scale["output"][0] < 1
    drawn = [json.loads(run("explain", "grey.json", "grey.png", "-m", "smoothgrad", "--seed", s, "--json").out)["results"][0]["total"]
             for s in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_per_channel_settings(run: Run, folder: Path) -> None:
    assert run("explain", "rgb.json", "rgb.png", "-m", "lrp.z_box:low=[0,0,-1],high=[1,1,2]").code == 0
    ran = run("explain", "rgb.json", "rgb.png", "-m", "lrp.z_box:low=[0,0],high=1")
    assert ran.code == 2
    assert "3 channels" in ran.err


def test_several_inputs_come_from_npz(run: Run, folder: Path) -> None:
    ran = run("explain", "odd.json", "odd.npz", "-m", "gradient", "--target", "1", "--json")
    assert json.loads(ran.out)["results"][0]["shapes"] == {"x": [1, 4, 6]}
    ran = run("explain", "odd.json", "grey.npy")
    assert ran.code == 2
    assert "2 inputs (x, ids)" in ran.err


def test_the_same_run_writes_the_same_bytes(run: Run, folder: Path) -> None:
    for name in ("a.png", "b.png", "a.safetensors", "b.safetensors"):
        run("explain", "grey.json", "grey.png", "-m", "lrp.gamma", "-o", name)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    one, two = (load_safetensors(Path(f"{n}.safetensors").read_bytes()) for n in "ab")
    assert all((one[k] == two[k]).all() for k in one)


# ----- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "code", "said"), [
    (("nothing.json", "grey.png"), 4, "nothing.json does not exist"),
    ((".", "grey.png"), 4, "is a directory"),
    (("cut.json", "grey.png"), 4, "cut.json is not a JSON document"),
    (("other.json", "grey.png"), 4, "not a model of xaicore"),
    (("weights.pt", "grey.png"), 4, "weights_only=True"),
    (("model.keras", "grey.png"), 4, "model.keras is not a zip archive"),
    (("notes.txt", "grey.png"), 4, "files ending in .txt are not read"),
    (("grey.json", "nothing.npy"), 4, "nothing.npy does not exist"),
    (("grey.json", "wide.jpg"), 2, "30 x 20 pixels (width x height), but input 'image' takes 8 x 8; crop or scale it yourself, or add --resize"),
    (("grey.json", "rows.csv"), 2, "input 'image' has shape (2, 5)"),
    (("table.json", "grey.png"), 2, "is an image, but the model's inputs are x float(N, 5)"),
    (("grey.json", "nan.npy"), 2, "holds nan at index (0, 0, 0, 0)"),
    (("grey.json", "empty.npy"), 2, "an empty batch"),
    (("grey.json", "grey.png", "-m", "lrp.epsilom"), 2, "did you mean 'lrp.epsilon'"),
    (("grey.json", "grey.png", "-m", "lrp.epsilon:epz=1"), 2, "lrp.epsilon has no setting 'epz': did you mean 'eps'?"),
    (("grey.json", "grey.png", "-m", "gradient:eps=1"), 2, "it has none"),
    (("grey.json", "grey.png", "-m", "lrp.epsilon:eps"), 2, "write -m lrp.epsilon:name=value"),
    (("grey.json", "grey.png", "-m", "lrp.epsilon:bias=sink"), 2, "'absorb', 'ignore', 'distribute'"),
    (("grey.json", "grey.png", "--target", "4"), 2, "it has 4 entries, 0 to 3"),
    (("grey.json", "grey.png", "--target", "1,2"), 2, "needs 1 index"),
    (("grey.json", "grey.png", "--target", "cat"), 2, "--target 'cat' cannot be read"),
    (("grey.json", "grey.png", "--target", "[1,2]"), 2, "2 targets were given for a batch of 1"),
    (("grey.json", "grey.png", "--layer", "features.7"), 2, "no layer or node is called 'features.7'"),
    (("grey.json", "grey.png", "--baseline", "0"), 2, "none of the chosen methods compares with a baseline"),
    (("grey.json", "grey.png", "--background", "grey.png"), 2, "none of the chosen methods averages over a set of samples"),
    (("grey.json", "grey.png", "--batch-size", "0"), 2, "batch_size=0"),
    (("grey.json", "grey.png", "--scale", "1"), 2, "two numbers are expected"),
    (("grey.json", "grey.png", "--mean", "a,b"), 2, "--mean 'a,b' cannot be read"),
    (("grey.json", "grey.png", "--mean", "1,2"), 2, "--mean gives 2 numbers, but the image has 1 channels"),
    (("grey.json", "grey.npy", "--resize"), 2, "are for images"),
    (("grey.json", "grey.png", "-m", "lrp.epsilon", "--output", "probability"), 3, "use output='logit'"),
    (("odd.json", "odd.npz", "-m", "lrp.epsilon", "--target", "0"), 3, "no row covers node 'inner' (LogSoftmax"),
    (("odd.json", "odd.npz", "-m", "integrated_gradients.exact", "--target", "0"), 3, "inner"),
    (("grey.json", "grey.png", "-o", "a.gif"), 2, "the ending .gif is no format"),
    (("grey.json", "grey.png", "-o", "no/such/folder/a.png"), 2, "there is no folder no/such/folder"),
    (("grey.json", "grey.png", "-o", "folder.png"), 2, "is a directory"),
], ids=lambda v: " ".join(v) if isinstance(v, tuple) else "")
def test_bad_input_is_one_message_and_a_code_and_leaves_no_file(run: Run, folder: Path, words: tuple[str, ...], code: int, said: str) -> None:
    text = Path("grey.json").read_text(encoding="utf-8")
    Path("cut.json").write_text(text[: len(text) // 2], encoding="utf-8")
    Path("other.json").write_text('{"hello": "world"}', encoding="utf-8")
    Path("folder.png").mkdir()
    for name in ("weights.pt", "model.keras", "notes.txt"):
        Path(name).write_bytes(b"\x80\x04.")
    np.save("nan.npy", np.full((1, 1, 8, 8), np.nan))
    np.save("empty.npy", np.zeros((0, 1, 8, 8)))
    before = sorted(folder.rglob("*"))
    if "-o" not in words:
        words = (*words, "-o", "result.png", "-o", "result.npz")
    ran = run("explain", *words)
    assert ran.code == code, ran.err
    assert said in ran.err
    assert ran.out == ""
    assert sorted(folder.rglob("*")) == before


def test_a_truncated_onnx_file_is_refused(run: Run, folder: Path) -> None:
    onnx = pytest.importorskip("onnx")
    kind = onnx.TensorProto.FLOAT
    x, y = (onnx.helper.make_tensor_value_info(name, kind, ["N", 5]) for name in "xy")
    w = onnx.numpy_helper.from_array(np.ones((5, 5), np.float32), "w")
    graph = onnx.helper.make_graph([onnx.helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [w])
    data = onnx.helper.make_model(graph).SerializeToString()
    Path("whole.onnx").write_bytes(data)
    assert run("explain", "whole.onnx", "rows.csv").code == 0
    Path("cut.onnx").write_bytes(data[: len(data) // 2])
    Path("text.onnx").write_text("this is no model", encoding="utf-8")
    for name in ("cut.onnx", "text.onnx"):
        ran = run("explain", name, "grey.png", "-o", "a.png")
        assert ran.code == 4, ran.err
        assert name in ran.err
        assert not Path("a.png").exists()


def test_a_failing_disk_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("kept.npz")
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"kept\.npz cannot be written: No space left on device"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in folder.glob("*kept*")] + [p.name for p in folder.glob(".*")] == ["kept.npz"]


def test_when_one_file_cannot_be_made_none_is_written(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise InputError("the page cannot be made")

    monkeypatch.setattr("xaicore.show.page.page", fail)
    before = sorted(folder.iterdir())
    assert run("explain", "grey.json", "grey.png", "-o", "a.npz", "-o", "a.png", "-o", "a.html").code == 2
    assert sorted(folder.iterdir()) == before


# ----- reading options ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "value"), [
    ("3", 3), ("-3", -3), ("1e-6", 1e-6), ("0.5", 0.5), ("true", True), ("False", False), ("none", None), ("absorb", "absorb"), ("[2, 2]", (2, 2)),
    ("(1,[2,3])", (1, (2, 3))), ("gauss-legendre", "gauss-legendre"), ("", ""),
])
def test_values_of_settings(text: str, value: object) -> None:
    assert parsed(text) == value
    assert type(parsed(text)) is type(value)


def test_settings_are_split_outside_brackets() -> None:
    assert split("a=1,b=[1,2],c=(3,(4,5))") == ["a=1", "b=[1,2]", "c=(3,(4,5))"]
    assert split("") == []
    one, two = requests(["occlusion:window=[2,2],stride=1", "gradient", "gradient"])
    assert (one.method, dict(one.settings), one.label) == ("occlusion", {"window": (2, 2), "stride": 1}, "occlusion:window=[2,2],stride=1")
    assert two.label == "gradient"


@pytest.mark.parametrize(("text", "value"), [
    (None, None), ("3", 3), ("3,1,2", (3, 1, 2)), ("[3,5]", [3, 5]), ("boxes:3", ("boxes", 3)), ("boxes:1,2", ("boxes", (1, 2))), ("boxes:", ("boxes",)),
])
def test_targets(text: str | None, value: object) -> None:
    assert target(text) == value
