"""The .keras reader: a file gives the graph of the model that was saved, without Keras; a hostile one gives a typed error."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.backends.keras_compare import MARKS, close, double, keras, redraw, run_keras, small_cnn, torch
from xaicore.errors import ConversionError, FileRefused, Mismatch, ShapeError
from xaicore.graph.graph import Graph

from tests.backends.keras_cases import CASES, chain, transformer  # isort: skip
from tests.backends import keras_files as files  # isort: skip
from xaicore import plugins  # isort: skip
from xaicore_keras import load, to_graph  # isort: skip

__all__ = ["double"]
pytestmark = MARKS
layers = keras.layers


def saved(model: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


def child() -> dict[str, str]:
    """The environment of a process that imports what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def same(a: Graph, b: Graph) -> None:
    """Bit for bit."""
    assert [str(n) for n in a.nodes] == [str(n) for n in b.nodes]
    assert (a.nodes, a.inputs, a.outputs, a.meta, a.name, list(a.params)) == (b.nodes, b.inputs, b.outputs, b.meta, b.name, list(b.params))
    for k, x in a.params.items():
        assert x.dtype == b.params[k].dtype
        assert np.array_equal(x, b.params[k]), k


# ----- a file is the model that was saved ---------------------------------------------------------------------------

NOT_SAVED = {
    "activation-partial": "Keras does not write a bound function down",
    "activation-ops-gelu": "Keras writes keras.ops.gelu, an approximation, as 'gelu', which it reads as keras.activations.gelu, the exact one",
}


def torch_border(name: str) -> bool:
    """Keras on torch repeats the border under uneven "same" padding; a file is computed as every other backend does."""
    uneven = ("AveragePooling2D-3-1-same", "AveragePooling2D-2-1-same", "AveragePooling2D-2-2-same", "AveragePooling2D-4-3-same")
    return name.startswith(uneven) or name == "TimeDistributed-AveragePooling2D"


EVERY = [name for name in CASES if name not in NOT_SAVED]
SAMPLE = [name for k, name in enumerate(EVERY) if k % 12 == 0]


def check_case(name: str, path: Path) -> None:
    model = redraw(CASES[name]())
    graph = load(saved(model, path))
    if torch_border(name):
        live = to_graph(model, verify=False)
        assert any(n.name.endswith("/border") for n in live.nodes)
        assert not any(n.name.endswith("/border") for n in graph.nodes)
    else:
        same(graph, to_graph(model, verify=False))


@pytest.mark.parametrize("name", SAMPLE)
def test_a_file_and_the_live_model_give_one_graph(name: str, tmp_path: Path) -> None:
    check_case(name, tmp_path / "m.keras")


@pytest.mark.thorough
@pytest.mark.parametrize("name", EVERY)
def test_every_case_as_a_file(name: str, tmp_path: Path) -> None:
    check_case(name, tmp_path / "m.keras")


def shared_layers() -> Any:
    """A layer and a model that are called twice, a model in the model, operations between layers."""
    x, y, shared = keras.Input((6, 6, 3), name="photo"), keras.Input((6, 6, 3)), layers.Conv2D(3, 3, padding="same", name="shared")
    inner = keras.Model(y, layers.ReLU(name="inside")(layers.Conv2D(3, 1, name="conv")(y)) * 2.0, name="inner")
    tower = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(4, 3, name="conv"), layers.Flatten(name="flat")], name="tower")
    h = shared(inner(shared(x)))
    return keras.Model(x, [layers.Dense(2, name="one")(tower(h) + tower(x)), layers.Dense(3, name="two")(tower(inner(h)))], name="whole")


def shared_across(inside_first: bool = False) -> Any:
    """One layer in the model and in a model inside it: Keras saves such a model, and cannot load it."""
    x, y, shared = keras.Input((6, 6, 3)), keras.Input((6, 6, 3)), layers.Conv2D(3, 3, padding="same", name="shared")
    inner = keras.Model(y, shared(y) * 2.0, name="inner")
    return keras.Model(x, inner(shared(inner(x))) if inside_first else inner(shared(x)))


def named_inputs() -> Any:
    a, b = keras.Input((4,), name="right"), keras.Input((4,), name="left")
    inner = keras.Model({"right": a, "left": b}, {"sum": a + b, "difference": layers.Subtract()([b, a])}, name="inner")
    c, d = keras.Input((4,), name="c"), keras.Input((4,), name="d")
    out = inner({"left": c, "right": d})
    return keras.Model([c, d], [layers.Dense(2)(out["sum"]), layers.Dense(2)(out["difference"])])


@pytest.mark.parametrize("make", [shared_layers, named_inputs, small_cnn, lambda: transformer(0.1)], ids=["shared", "named", "cnn", "text"])
def test_shared_layers_and_models_in_models_come_through(make: Callable[[], Any], tmp_path: Path) -> None:
    model = redraw(make())
    same(load(saved(model, tmp_path / "m.keras"), verify=True), to_graph(model))


def test_a_layer_whose_weights_keras_lost_is_refused(tmp_path: Path) -> None:
    """Keras saves a layer once, but forgets to mark it as shared where the inner model comes first; Keras does not load that either."""
    model = redraw(shared_across())
    same(load(saved(model, tmp_path / "m.keras")), to_graph(model))
    path = saved(shared_across(inside_first=True), tmp_path / "m.keras")
    with pytest.raises(FileRefused, match=r"layer 'shared' .* has 0 arrays, but its settings call for 2"):
        load(path)
    with pytest.raises((ValueError, UserWarning), match="[sS]h|container"):
        keras.models.load_model(path)


@pytest.mark.parametrize("layer", [
    lambda: layers.Dense(3), lambda: layers.EinsumDense("ab,bc->ac", 3), lambda: layers.Embedding(7, 3)], ids=["Dense", "EinsumDense", "Embedding"])
def test_low_rank_updates_are_merged_as_keras_saves_them(layer: Callable[[], Any], tmp_path: Path) -> None:
    made = layer()
    model = chain((4,), made, dtype="int32" if isinstance(made, layers.Embedding) else None)
    made.enable_lora(2)
    plain = to_graph(model, verify=False)
    live = to_graph(redraw(model))              # compared with Keras
    same(load(saved(model, tmp_path / "m.keras")), live)
    assert list(plain.params) == list(live.params)


def test_the_file_computes_what_keras_computes(tmp_path: Path) -> None:
    model = redraw(small_cnn())
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    graph = plugins.load(saved(model, tmp_path / "m.keras"))
    close(graph(x), run_keras(model, (torch.tensor(x),))[0].detach().numpy(), 1e-9)     # float64, a few layers


def test_a_free_length_is_taken_from_the_example(tmp_path: Path) -> None:
    model = redraw(chain((None, None, 3), layers.Conv2D(4, 3, 2, padding="same"), layers.GlobalAveragePooling2D()))
    path = saved(model, tmp_path / "m.keras")
    x = np.random.default_rng(0).normal(size=(2, 6, 7, 3))
    with pytest.raises(ConversionError, match=r"needs the length of axis 1 .*load\(path, example="):
        load(path)
    same(load(path, example=x), to_graph(model, x))
    with pytest.raises(ShapeError):
        load(path, example=x[0])


def test_no_framework_is_imported_for_a_file(tmp_path: Path) -> None:
    """Not even when it is there: the child would fail to import it."""
    path = saved(redraw(small_cnn()), tmp_path / "m.keras")
    code = (
        "import sys\n"
        "for name in ('keras', 'torch', 'tensorflow', 'jax'): sys.modules[name] = None\n"
        "import xaicore, numpy as np\n"
        f"graph = xaicore.load({str(path)!r})\n"
        "print(graph(np.zeros((1, 8, 8, 3))).shape)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=child(), check=False)
    assert ran.stdout == "(1, 3)\n", ran.stderr


def test_verify_catches_a_reader_that_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xaicore_keras.archive import Store

    honest = Store._numbers
    monkeypatch.setattr(Store, "_numbers", lambda self, data, path: honest(self, data, path) + ("conv2d/vars/1" in path))
    path = saved(redraw(small_cnn()), tmp_path / "m.keras")
    load(path)
    with pytest.raises(Mismatch, match="'first/bias' differs from the model that Keras loads"):
        load(path, verify=True)


# ----- hostile files ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    keras.config.set_dtype_policy("float32")
    return saved(redraw(small_cnn()), tmp_path_factory.mktemp("keras") / "sound.keras")


def refused(path: Path, message: str, kind: type[Exception] = FileRefused) -> None:
    with pytest.raises(kind, match=f"(?s){message}") as caught:
        plugins.load(path)
    assert caught.value.exit_code == (4 if kind is FileRefused else 3)


def config_member(data: bytes) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda members: {**members, "config.json": data}


ZIPS: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "a pickle beside": (lambda m: {**m, "weights.pkl": b"cos\nsystem\n."}, r"holds 'weights.pkl'; metadata.json, .* nothing else"),
    "a path out": (lambda m: {**m, "../../evil": b""}, r"holds '../../evil'"),
    "an absolute path": (lambda m: {**m, "/tmp/evil": b""}, r"holds '/tmp/evil'"),
    "a vocabulary": (lambda m: {**m, "assets/words.txt": b"a"}, r"vocabularies are not read"),
    "no weights": (lambda m: {k: v for k, v in m.items() if "h5" not in k}, r"has no model.weights.h5"),
    "no config": (lambda m: {k: v for k, v in m.items() if "config" not in k}, r"has no config.json"),
    "Keras 2": (lambda m: {**m, "metadata.json": b'{"keras_version": "2.15.0"}'}, r"of Keras '2.15.0'; files of Keras 3"),
    "no version": (lambda m: {**m, "metadata.json": b"{}"}, r"of Keras None"),
    "config of text": (config_member(b"hello"), r"config.json is not a JSON document"),
    "config in another code": (config_member(b"\xff\xfe\x00"), r"config.json is not a JSON document"),
    "config of a list": (config_member(b"[1]"), r"holds a list; an object is expected"),
    "deep config": (config_member(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), r"nested more than 100 levels deep"),
    "deep lists": (config_member(b'{"config": ' + b"[" * 5000 + b"]" * 5000 + b"}"), r"nested more than 100 levels deep"),
    "a key twice": (config_member(b'{"module": "keras", "module": "os"}'), r"the key 'module' stands twice"),
    "HDF5 of text": (lambda m: {**m, "model.weights.h5": b"hello"}, r"model.weights.h5: it is not a sound HDF5 file"),
    "HDF5 cut off": (lambda m: {**m, "model.weights.h5": m["model.weights.h5"][:-3000]}, r"model.weights.h5"),
}


@pytest.mark.parametrize("what", ZIPS)
def test_a_zip_that_is_no_model_is_refused(what: str, sound: Path, tmp_path: Path) -> None:
    change, message = ZIPS[what]
    refused(files.packed(tmp_path / "bad.keras", change(files.parts(sound))), message)


def test_zips_that_lie_are_refused(sound: Path, tmp_path: Path) -> None:
    members = files.parts(sound)
    path = tmp_path / "bad.keras"
    with zipfile.ZipFile(files.packed(path, members), "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.json", b"{}")
    refused(path, "holds 'config.json' twice")
    data = bytearray(files.packed(path, members, zipfile.ZIP_DEFLATED).read_bytes())
    data[data.index(b"config.json") + 40] ^= 255                        # in the compressed stream
    path.write_bytes(data)
    refused(path, "damaged zip archive")
    files.packed(path, {**members, "model.weights.h5": bytes(200 << 20)}, zipfile.ZIP_DEFLATED)
    refused(path, r"model.weights.h5 unpacks [\d,]+ to 209,715,200 bytes: a bomb")
    data = bytearray(files.packed(path, members).read_bytes())
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)       # the second entry of the directory: config.json
    data[at + 24 : at + 28] = (1 << 27).to_bytes(4, "little")           # the size that it declares
    path.write_bytes(data)
    refused(path, r"config.json declares 134,217,728 bytes; at most 67,108,864")
    data[at + 24 : at + 28] = (100).to_bytes(4, "little")
    path.write_bytes(data)
    refused(path, r"damaged zip archive|declares 100 bytes and holds another number")
    data[at + 8] |= 1
    path.write_bytes(data)
    refused(path, r"config.json is encrypted")
    path.write_bytes(b"")
    refused(path, r"is not a zip archive")
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    refused(path, r"is an HDF5 file, Keras 2's format")
    path.write_bytes(files.packed(path, members).read_bytes()[: len(data) // 2])
    refused(path, r"damaged zip archive")


Change = Callable[[Any], Any]


def edit(name: str, **changes: Any) -> Change:
    """Settings of one layer of the small network."""
    return lambda config: files.layer(config, name)["config"].update(changes)


def entry(at: str, **changes: Any) -> Change:
    return lambda config: files.layer(config, at).update(changes)


def history(*where: Any) -> Change:
    def change(config: Any) -> None:
        files.layer(config, "norm")["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = list(where)

    return change


CONFIGS: dict[str, tuple[Change, str, type[Exception]]] = {
    "Lambda": (entry("first", class_name="Lambda"), r"'first' \(keras.layers.Lambda\) is a Python function.*keras.ops", ConversionError),
    "own class": (entry("first", module="evil", class_name="Run"), r"'first' \(evil.Run\) is a class of your own", ConversionError),
    "own module below Keras's name": (entry("first", module="kerasevil.layers"), r"kerasevil.layers.Conv2D\) is a class of your", ConversionError),
    "os.system": (entry("first", module="os", class_name="system"), r"'first' \(os.system\) is a class of your own", ConversionError),
    "registered": (entry("first", registered_name="pack>Conv2D"), r"'first' \(pack>Conv2D\) is a class of your own", ConversionError),
    "the whole model is somebody's": (lambda c: c.update(module="mine", class_name="Net"), r"holds a mine.Net, a class of your own", ConversionError),
    "own activation": (edit("first", activation={"class_name": "function", "module": "mine", "config": "f", "registered_name": "f"}),
                       r"has the activation 'mine.f', a Python function", ConversionError),
    "own activation under a known name": (
        edit("first", activation={"class_name": "function", "module": "mine", "config": "relu", "registered_name": "relu"}),
        r"has the activation 'mine.relu', a Python function", ConversionError),
    "lambda": (edit("first", activation={"class_name": "__lambda__", "config": {"value": ["4wEAAA"]}}), r"no module", FileRefused),
    "half precision": (edit("first", dtype={"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}),
                       r"'first' .* computes in float16", ConversionError),
    "quantised": (edit("first", dtype={"class_name": "QuantizedDTypePolicy", "config": {"name": "int8_from_float32"}}),
                  r"'first' .* computes in int8_from_float32", ConversionError),
    "huge kernel": (edit("first", filters=1 << 40), r"'first' .*kernel has the shape \(3, 3, 3, 4\), but its settings", FileRefused),
    "another kernel": (edit("first", kernel_size=[1, 27]), r"kernel has the shape \(3, 3, 3, 4\), but .* call for \(1, 27, 3, 4\)", FileRefused),
    "one array less": (edit("first", use_bias=False), r"'first' .* has 2 arrays, but its settings call for 1: kernel", FileRefused),
    "text for a number": (edit("first", strides="two"), r"'first' .* cannot be what its settings say", FileRefused),
    "negative stride": (edit("first", strides=[-2, -2]), r"'first'", FileRefused),
    "stride of nothing": (edit("first", strides=[0, 0]), r"'first'", FileRefused),
    "unknown padding": (edit("first", padding="most"), r"has padding='most'", ConversionError),
    "axis out of range": (edit("norm", axis=9), r"'norm' .* cannot be what its settings say", FileRefused),
    "list for a name": (entry("first", name=["x"]), r"has the name \['x'\]", FileRefused),
    "a name twice": (lambda c: files.layer(c, "norm").update(name="first"), r"two layers of one model are called 'first'", FileRefused),
    "no config": (lambda c: files.layer(c, "first").pop("config"), r"has no module, class_name or config", FileRefused),
    "no layers": (lambda c: c["config"].pop("layers"), r"config.json is malformed: KeyError", FileRefused),
    "layers of numbers": (lambda c: c["config"].update(layers=[1]), r"a layer is a int", FileRefused),
    "no such tensor": (history("nowhere", 0, 0), r"names call 0 of 'nowhere', and has none", FileRefused),
    "no such call": (history("first", 7, 0), r"names call 7 of 'first', and has none", FileRefused),
    "no such output": (history("first", 0, 7), r"names output 7 of a call of 'first', which has fewer", FileRefused),
    "a history of text": (history("first", "0", "0"), r"names no tensor", FileRefused),
    "a cycle": (history("norm", 0, 0), r"reads, by way of other calls, what it makes", FileRefused),
    "an output of nothing": (lambda c: c["config"].update(output_layers=[]), r"names no tensor", FileRefused),
    "an input that is none": (lambda c: c["config"].update(input_layers=["first", 0, 0]), r"the input 'first' is not an InputLayer", FileRefused),
    "an input of any rank": (edit("photo", batch_shape="many"), r"the input 'photo' has the shape 'many'", FileRefused),
    "a negative input": (edit("photo", batch_shape=[None, -1, 8, 3]), r"the input 'photo' has the shape", FileRefused),
    "an input of petabytes": (edit("photo", batch_shape=[None, 1 << 30, 1 << 30, 3]), r"at most 2,147,483,648", FileRefused),
    "a call with an object": (
        lambda c: files.layer(c, "norm")["inbound_nodes"][0].update(kwargs={"mask": {"module": "os", "class_name": "system", "config": {}}}),
        r"a call is given a 'system'", FileRefused),
    "a slice of text": (
        lambda c: files.layer(c, "norm")["inbound_nodes"][0].update(kwargs={"x": {"class_name": "__slice__", "config": {"start": "a"}}}),
        r"a call is given a '__slice__'", FileRefused),
    "a constant of objects": (
        lambda c: files.layer(c, "norm")["inbound_nodes"][0].update(
            kwargs={"x": {"class_name": "__numpy__", "config": {"value": [1], "dtype": "object"}}}),
        r"a constant of dtype 'object'", FileRefused),
}


@pytest.mark.parametrize("what", CONFIGS)
def test_a_configuration_that_is_no_model_is_refused(what: str, sound: Path, tmp_path: Path) -> None:
    change, message, kind = CONFIGS[what]
    refused(files.with_config(sound, tmp_path / "bad.keras", change), message, kind)


WEIGHTS: dict[str, tuple[Change, str]] = {
    "a shape bomb": (files.replaced(files.KERNEL, files.bomb), r"declares the shape .* bytes, and stores 0"),
    "chunks": (files.replaced(files.KERNEL, files.chunked), r"in chunks; plain arrays are expected"),
    "a virtual dataset": (files.replaced(files.KERNEL, files.virtual), r"takes its numbers from other files"),
    "an external dataset": (files.replaced(files.KERNEL, files.external), r"takes its numbers from other files"),
    "an external link": (files.replaced(files.KERNEL, lambda f: files.h5py.ExternalLink("/etc/hostname", "x")), r"ExternalLink, which is never followed"),
    "a soft link": (files.replaced(files.KERNEL, lambda f: files.h5py.SoftLink("/layers/dense/vars/0")), r"SoftLink, which is never followed"),
    "a group for an array": (files.replaced(files.KERNEL, lambda f: f.create_group(files.KERNEL) and None), r"is no array but a Group"),
    "a linked group": (files.replaced("layers/conv2d", lambda f: files.h5py.SoftLink("/layers/conv2d_1")), r"goes through a SoftLink"),
    "an array for a group": (files.replaced("layers/conv2d", lambda f: np.zeros(3)), r"is no group but a Dataset"),
    "texts": (files.replaced(files.KERNEL, lambda f: np.array([b"abc"])), r"numbers of at most 64 bits are expected"),
    "texts of any length": (files.replaced(files.KERNEL, lambda f: f.create_dataset(files.KERNEL, data=["a"]) and None), r"numbers of at most 64"),
    "complex numbers": (files.replaced(files.KERNEL, lambda f: np.zeros((3, 3, 3, 4), complex)), r"numbers of at most 64 bits"),
    "NaN": (files.replaced(files.KERNEL, lambda f: np.full((3, 3, 3, 4), np.nan, "float32")), r"a number that is not finite"),
    "another shape": (files.replaced(files.KERNEL, lambda f: np.zeros((3, 3, 4, 3), "float32")), r"kernel has the shape \(3, 3, 4, 3\)"),
    "no array": (files.replaced(files.KERNEL, lambda f: None), r"arrays called 0, 1, 2, ... are expected"),
    "one array more": (lambda f: f.create_dataset("layers/conv2d/vars/2", data=np.zeros(3)), r"has 3 arrays, but its settings call for 2"),
    "another name": (lambda f: f.move("layers/conv2d/vars/0", "layers/conv2d/vars/kernel"), r"arrays called 0, 1, 2"),
    "another layer's": (lambda f: f["layers/conv2d/vars"].attrs.modify("name", "side"), r"holds the weights of layer 'side', and config.json has 'first'"),
    "no layer": (lambda f: f.pop("layers"), r"has 0 arrays, but its settings call for 2: kernel, bias"),
}


@pytest.mark.parametrize("what", WEIGHTS)
def test_weights_that_are_no_arrays_of_the_model_are_refused(what: str, sound: Path, tmp_path: Path) -> None:
    change, message = WEIGHTS[what]
    refused(files.with_weights(sound, tmp_path / "bad.keras", change), message)


def test_one_array_under_many_names_is_a_bomb(sound: Path, tmp_path: Path) -> None:
    """A hard link costs nothing in the file, and an array in memory."""
    model = redraw(chain((40,), *(layers.Dense(40, use_bias=False) for _ in range(3))))
    path = saved(model, tmp_path / "deep.keras")

    def link(file: Any) -> None:
        for name in ("dense_1", "dense_2"):
            del file[f"layers/{name}/vars/0"]
            file[f"layers/{name}/vars/0"] = file["layers/dense/vars/0"]

    def repacked(file: Any) -> None:
        link(file)

    members = files.parts(files.with_weights(path, tmp_path / "linked.keras", repacked))
    fresh = files.io.BytesIO()
    with files.h5py.File(files.io.BytesIO(members["model.weights.h5"]), "r") as old, files.h5py.File(fresh, "w") as new:
        old.copy("layers", new)                                         # copies an array once, so that the file is smaller than its sum
    refused(files.packed(tmp_path / "bomb.keras", {**members, "model.weights.h5": fresh.getvalue()}), r"more bytes than the whole file has")


def test_sizes_that_no_machine_has_are_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    for k, part in enumerate((layers.UpSampling2D(3), layers.ZeroPadding2D(1), layers.RepeatVector(2), layers.Resizing(4, 4))):
        path = saved(chain((4,) if k == 2 else (4, 4, 1), part), tmp_path / "m.keras")
        change = {0: {"size": [1 << 20, 1 << 20]}, 1: {"padding": [[1 << 30, 0], [1 << 30, 0]]}, 2: {"n": 1 << 40}, 3: {"height": 1 << 40}}[k]
        name = part.name
        refused(files.with_config(path, tmp_path / "bad.keras", edit(name, **change)), r"at most 2,147,483,648|cannot be what its settings")


@pytest.mark.thorough
def test_damaged_files_end_in_an_error_of_ours_or_in_a_model(sound: Path, tmp_path: Path) -> None:
    """Ends cut off, and bits flipped: in the zip, and in each part of it with the checksum made right. No traceback, no crash, no hang."""
    code = f"""
import sys, zipfile, numpy as np, xaicore
from xaicore.errors import XaicoreError
good, path = open({str(sound)!r}, "rb").read(), {str(tmp_path / "x.keras")!r}
with zipfile.ZipFile({str(sound)!r}) as archive:
    parts = dict((name, archive.read(name)) for name in archive.namelist())
rng = np.random.default_rng(0)
kinds = dict()

def flipped(data, most):
    data = bytearray(data)
    for at in rng.integers(0, len(data), rng.integers(1, most)):
        data[at] ^= 1 << rng.integers(0, 8)
    return bytes(data)

for k in range(2000):
    if k % 4 == 0:
        open(path, "wb").write(good[: rng.integers(1, len(good))])
    elif k % 4 == 1:
        open(path, "wb").write(flipped(good, 6))
    else:
        name = "config.json" if k % 4 == 2 else "model.weights.h5"
        with zipfile.ZipFile(path, "w") as archive:
            for one, data in parts.items():
                archive.writestr(one, flipped(data, 40 if one.endswith("h5") else 4) if one == name else data)
    try:
        xaicore.load(path)
        kind = "model"
    except XaicoreError as error:
        kind = type(error).__name__
    kinds[kind, k % 4] = kinds.get((kind, k % 4), 0) + 1
print(kinds)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=child(), check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert all(f"('FileRefused', {k})" in ran.stdout for k in range(4)), ran.stdout
    assert "('ConversionError', 2)" in ran.stdout                       # a class or a setting that is none
