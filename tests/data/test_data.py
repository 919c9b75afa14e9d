"""The embedded default: what its files say of themselves is recomputed here, and the training that made it is checked."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import xaicore
from tests.graph.graphs import assert_same
from xaicore.data import digits_images, digits_model, digits_path
from xaicore.errors import InputError, UnknownName
from xaicore.graph import files
from xaicore.metrics.train import loss_and_gradients
from xaicore.ops import Add, Conv, Dense, MaxPool, ReLU, Softmax

NAMES = ("digits.json", "digits.onnx", "digits_heldout.npz")


@pytest.fixture(scope="module")
def training() -> ModuleType:
    """benchmarks/train_digits.py as a module."""
    path = Path(__file__).parents[2] / "benchmarks" / "train_digits.py"
    spec = importlib.util.spec_from_file_location("train_digits", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patched:                       # it sets the number of threads, for itself alone
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            patched.setenv(name, "1")
        spec.loader.exec_module(module)
    return module


# ----- what is shipped --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_files_are_small(name: str) -> None:
    assert 1000 < digits_path(name).stat().st_size < 200_000


def test_a_file_that_is_not_shipped_is_named() -> None:
    with pytest.raises(UnknownName, match=r"no file 'digit_4\.png' comes with xaicore: did you mean 'digit_"):
        digits_path("digit_4.png")
    with pytest.raises(UnknownName, match="no file"):
        digits_path("../__init__.py")


def test_the_network_has_what_methods_differ_about() -> None:
    graph = digits_model()
    kinds = [type(n.op) for n in graph.nodes]
    assert {Conv, ReLU, MaxPool, Add, Dense} <= set(kinds)
    assert kinds[-1] is Softmax
    assert graph.size < 20_000
    assert graph.inputs["image"].shape == (None, 1, 8, 8)
    assert graph.dtype == "float64"
    assert files.load(digits_path("digits.json")).dtype == "float32"
    skip = graph.node("skip")
    assert set(skip.inputs) == {"pool", "conv4"}


def test_hidden_biases_are_not_positive() -> None:
    """Deep Taylor decomposition assumes it; and with ``bias="ignore"`` no LRP relevance arrives at a neuron without input."""
    hidden = {k: v for k, v in digits_model().params.items() if k.endswith(".bias") and k != "logits.bias"}
    assert sorted(hidden) == ["conv1.bias", "conv2.bias", "conv3.bias", "fc1.bias"]
    assert max(v.max() for v in hidden.values()) <= 0
    assert min(v.min() for v in hidden.values()) < 0


def test_images_are_held_out_digits_that_the_network_knows() -> None:
    images, labels = digits_images()
    assert (images.shape, images.dtype) == ((12, 1, 8, 8), np.float32)
    assert 0 <= images.min() < images.max() == 1
    assert set(labels) == set(range(10))
    assert digits_model()(images).argmax(axis=1).tolist() == labels.tolist()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_call_gives_the_same_model_in_the_arithmetic_that_is_asked_for(dtype: str) -> None:
    assert_same(digits_model(dtype), digits_model(dtype))
    assert digits_model(dtype)(digits_images()[0]).dtype == dtype
    with pytest.raises(InputError, match="float8"):
        digits_model("float8")


def test_the_explained_value_is_the_logit() -> None:
    images, labels = digits_images()
    a = xaicore.explain(digits_model(), images, "gradient", target=labels)
    assert "before Softmax" in a.explained
    trace = xaicore.trace.forward(digits_model(), {"image": images.astype(float)})     # type: ignore[attr-defined]
    assert a.output.tolist() == trace["logits"][np.arange(12), labels].tolist()


@pytest.mark.parametrize("digit", [3, 5, 8])
def test_pictures_are_the_images(digit: int) -> None:
    pil = pytest.importorskip("PIL.Image")
    with pil.open(digits_path(f"digit_{digit}.png")) as picture:
        assert (picture.mode, picture.size) == ("L", (8, 8))
        pixels = np.asarray(picture) / 255
    images, labels = digits_images()
    # eight bits hold 0, 1/16, ..., 1 up to half a step of 1/255
    np.testing.assert_allclose(pixels, images[list(labels).index(digit), 0], rtol=0, atol=0.5 / 255 + 1e-7)
    assert digits_model()(pixels[None, None]).argmax() == digit


def test_json_and_onnx_are_the_same_function() -> None:
    pytest.importorskip("onnx")
    own, other = digits_model(), xaicore.load(digits_path("digits.onnx"))
    images, _ = digits_images()
    # both hold the same float32 weights, and the same engine computes with them in float64
    np.testing.assert_allclose(other(images), own(images), rtol=1e-12)
    assert {k: v.tolist() for k, v in other.params.items()} == {k: v.tolist() for k, v in own.params.items()}


@pytest.mark.thorough
def test_onnx_runtime_gives_the_same_probabilities() -> None:
    ort = pytest.importorskip("onnxruntime")
    images, _ = digits_images()
    theirs = ort.InferenceSession(str(digits_path("digits.onnx")), providers=["CPUExecutionProvider"]).run(None, {"image": images})[0]
    # float32 against float64: some ten layers of sums, 1e-6 of the largest logit (about 20) in the exponent
    np.testing.assert_allclose(theirs, digits_model()(images), rtol=0, atol=2e-5)


# ----- what it says of itself -------------------------------------------------------------------------------------------


def test_the_recorded_accuracy_is_the_accuracy(training: ModuleType) -> None:
    pytest.importorskip("sklearn")
    graph = digits_model("float32")
    images, labels = training.digits()
    trained, held = training.split(labels)
    accuracy = float((graph(images[held]).argmax(axis=1) == labels[held]).mean())
    assert accuracy >= 0.97
    said = re.fullmatch(r"(0\.\d{4}) on (\d+) held-out images", graph.meta["accuracy"])
    assert said is not None
    assert (said[1], int(said[2])) == (f"{accuracy:.4f}", len(held))
    assert f"{len(trained)} of the {len(labels)} handwritten digits" in graph.meta["trained_on"]
    assert graph.meta["range.image"] == "0,1"
    assert (float(images.min()), float(images.max())) == (0, 1)
    assert graph.meta["classes"].split(",") == [str(k) for k in range(10)]


def test_the_images_are_scikit_learns_and_were_not_trained_on(training: ModuleType) -> None:
    pytest.importorskip("sklearn")
    every, labels = training.digits()
    trained, held = training.split(labels)
    with np.load(digits_path("digits_heldout.npz"), allow_pickle=False) as stored:
        indices = stored["indices"]
    images, mine = digits_images()
    assert images.tolist() == every[indices].tolist()
    assert mine.tolist() == labels[indices].tolist()
    assert set(indices) <= set(held)
    assert not set(indices) & set(trained)
    seen = {every[k].tobytes() for k in trained}                        # nor a copy of them
    assert not [k for k in indices if every[k].tobytes() in seen]


def test_the_split_is_the_same_share_of_every_class(training: ModuleType) -> None:
    labels = np.repeat(np.arange(4), [4, 8, 40, 100])[::-1].copy()
    trained, held = training.split(labels)
    assert sorted([*trained, *held]) == list(range(len(labels)))
    assert np.bincount(labels[held]).tolist() == [1, 2, 10, 25]
    assert [a.tolist() for a in training.split(labels)] == [trained.tolist(), held.tolist()]
    assert training.split(labels, seed=1)[1].tolist() != held.tolist()


# ----- how it was trained -----------------------------------------------------------------------------------------------


def test_the_gradient_of_every_parameter_is_the_central_difference(training: ModuleType) -> None:
    rng = np.random.default_rng(0)
    graph = training.network(rng).astype("float64")
    images, labels = rng.random((3, 1, 8, 8)), np.array([1, 4, 4])
    loss, gradients = loss_and_gradients(graph, {"image": images}, labels)
    assert sorted(gradients) == sorted(graph.params)

    def loss_at(name: str, at: tuple[int, ...], move: float) -> float:
        changed = {k: v.copy() for k, v in graph.params.items()}
        changed[name][at] += move
        p = type(graph)(graph.inputs, changed, graph.nodes, graph.outputs)(images)
        return float(-np.log([p[n, t] for n, t in enumerate(labels)]).mean())

    assert loss == pytest.approx(loss_at("fc1.bias", (0,), 0.0), rel=1e-14)
    step = 1e-6                                                         # rounding 1e-16 / step against curvature step**2: 1e-10 each
    for name, value in graph.params.items():
        for at in {tuple(int(rng.integers(n)) for n in value.shape) for _ in range(3)}:
            slope = (loss_at(name, at, step) - loss_at(name, at, -step)) / (2 * step)
            assert gradients[name][at] == pytest.approx(slope, rel=1e-6, abs=1e-8), (name, at)


def test_shifted_images_move_by_one_pixel_at_most(training: ModuleType) -> None:
    rng = np.random.default_rng(0)
    images = rng.random((40, 1, 8, 8))
    moved = training.shifted(images, rng)
    ways = set()
    for one, other in zip(images[:, 0], moved[:, 0], strict=True):
        found = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (np.roll(one, (r, c), (0, 1))[1:-1, 1:-1] == other[1:-1, 1:-1]).all()]
        assert len(found) == 1
        ways.update(found)
    assert ways == {(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)}


def test_two_short_trainings_are_the_same_and_learn(training: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.random((64, 1, 8, 8)).astype("float32"), rng.integers(0, 10, 64)
    start = training.network(np.random.default_rng(0))
    runs = [training.train(start, images, labels, 3, np.random.default_rng(1)) for _ in range(2)]
    assert_same(*runs)
    losses = [loss_and_gradients(g, {"image": images}, labels)[0] for g in (start, runs[0])]
    assert losses[1] < losses[0]
    assert capsys.readouterr().out.count("epoch   3") == 2


@pytest.mark.thorough
def test_training_again_gives_a_network_as_good(training: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit-identical where NumPy and BLAS are the same; elsewhere rounding grows in training, and only the accuracy is promised."""
    pytest.importorskip("sklearn")
    pytest.importorskip("onnx")
    monkeypatch.setattr(sys, "argv", ["train_digits.py", "--out", str(tmp_path)])
    training.main()
    again = files.load(tmp_path / "digits.json")
    assert float(again.meta["accuracy"].split()[0]) >= 0.97
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*NAMES, "digit_3.png", "digit_5.png", "digit_8.png"])
