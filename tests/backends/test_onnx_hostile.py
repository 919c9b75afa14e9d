"""Hostile ONNX files of every kind that coverage research found, made here: each ends in a typed error that names the place and what to do.

In one process, with the working directory and the memory watched; and all of them in a subprocess whose address space is limited.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xaicore_onnx import load, to_graph

from tests.backends.onnx_models import ELEMENTS, model, node, onnx
from xaicore.errors import FileRefused, XaicoreError

F4, I64 = np.float32, np.int64
W = np.arange(6, dtype=F4).reshape(2, 3)
X = {"x": [1, 3]}


def gemm() -> Any:
    return model([node("Gemm", "x w", "y", transB=1)], X, "y", {"w": W})


def save(folder: Path, proto: Any) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    return path


# ----- data in other files ------------------------------------------------------------------------------------------


def outside(**entries: str) -> Any:
    """The model whose weight is said to be in another file."""
    proto = gemm()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in entries.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key.strip("_") if key != "__class__" else key, value
    return proto


def _at(location: str, **more: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "w.bin").write_bytes(W.tobytes())
        (folder.parent / "secret.bin").write_bytes(W.tobytes())
        return save(folder, outside(location=location, **more))

    return make


def _link(kind: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        secret = folder.parent / "secret.bin"
        secret.write_bytes(W.tobytes())
        place = folder / "w.bin"
        if kind == "symlink":
            place.symlink_to(secret)
        elif kind == "folder":
            (folder / "inner").symlink_to(folder.parent)
        elif kind == "hard":
            os.link(secret, place)
        elif kind == "fifo":
            os.mkfifo(place)
        elif kind == "directory":
            place.mkdir()
        return save(folder, outside(location="inner/secret.bin" if kind == "folder" else "w.bin"))

    return make


EXTERNAL: dict[str, tuple[Callable[[Path], Path], str]] = {
    "parent": (_at("../secret.bin"), "without '..'"),
    "parent, hidden": (_at("a/../../secret.bin"), "without '..'"),
    "absolute": (_at("/etc/passwd"), "not absolute"),
    "backslash": (_at("..\\secret.bin"), "inside the model's folder"),
    "empty name": (_at(""), "inside the model's folder"),
    "symlink": (_link("symlink"), "reached through a link"),
    "symlinked folder": (_link("folder"), "reached through a link"),
    "hard link": (_link("hard"), "no regular file with one name"),
    "pipe": (_link("fifo"), "no regular file with one name"),
    "directory": (_link("directory"), "no regular file|cannot be read"),
    "device": (_at("/dev/zero"), "not absolute"),
    "nothing there": (_at("v.bin"), "cannot be read: No such file"),
    "length of 10^13": (_at("w.bin", length=str(10**13)), "24 bytes are expected, but it says 10,000,000,000,000"),
    "negative offset": (_at("w.bin", offset="-4"), "offset '-4'; a whole number from 0"),
    "offset behind the end": (_at("w.bin", offset="8"), r"bytes 8 to 32 of 'w.bin', which has 24"),
    "key basepath": (_at("w.bin", basepath="/etc"), "describes its file by location, basepath"),
    "key __class__": (_at("w.bin", __class__="os"), "describes its file by location, __class__"),
    "no location": (lambda folder: save(folder, outside(offset="0")), "describes its file by offset"),
    "wrong checksum": (_at("w.bin", checksum="0" * 40), "SHA-1 sum is not the one"),
}  # fmt: skip


@pytest.mark.parametrize("kind", EXTERNAL)
def test_data_in_other_files_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not read at all unless asked; and if asked, not from there. The working directory, where onnx itself looks, is never searched."""
    make, text = EXTERNAL[kind]
    folder = tmp_path / "model"
    folder.mkdir()
    path = make(folder)
    monkeypatch.chdir(folder)
    with pytest.raises(FileRefused, match=r"tensor 'w' keeps its data in another file .*external_data=True") as caught:
        load(path)
    assert caught.value.exit_code == 4
    with pytest.raises(FileRefused, match=f"tensor 'w' .*{text}"):
        load(path, external_data=True)


def test_data_in_another_file_is_read_if_asked(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(b"....." + W.tobytes() + b"...")
    sums = hashlib.sha1((tmp_path / "data" / "w.bin").read_bytes()).hexdigest()
    path = save(tmp_path, outside(location="data/w.bin", offset="5", length="24", checksum=sums))
    x = np.ones((2, 3))
    np.testing.assert_array_equal(load(path, external_data=True)(x), x @ W.T.astype(float))


def test_the_data_of_all_tensors_together_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    path = save(tmp_path, outside(location="w.bin"))
    monkeypatch.setattr("xaicore_onnx.safe.MAX_BYTES", path.stat().st_size + 23)
    with pytest.raises(FileRefused, match="the most that is read"):
        load(path, external_data=True)


def test_a_constant_in_a_model_of_bytes_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnx.reference itself reads it silently from the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    tensor = outside(location="w.bin").graph.initializer[0]
    proto = model([onnx.helper.make_node("Constant", [], ["w"], value=tensor), node("Gemm", "x w", "y", transB=1)], X, "y")
    with pytest.raises(FileRefused, match="'w' keeps its data in another file"):
        to_graph(proto.SerializeToString())


# ----- bytes, tensors, graphs, sizes --------------------------------------------------------------------------------


def _changed(change: Callable[[Any], Any]) -> Callable[[], Any]:
    def make() -> Any:
        proto = gemm()
        change(proto)
        return proto

    return make


def _nested(depth: int) -> bytes:
    """Subgraphs in subgraphs, written by hand: protobuf itself refuses to read them."""
    def field(number: int, body: bytes) -> bytes:
        size, out = len(body), b""
        while size > 127:
            out += bytes([size & 127 | 128])
            size >>= 7
        return bytes([number << 3 | 2]) + out + bytes([size]) + body

    graph = b""
    for _ in range(depth):
        graph = field(1, field(5, field(6, graph)))         # graph.node.attribute.g
    return b"\x08\x08" + field(7, graph)


def _recursive() -> Any:
    proto = model([node("Relu", "x", "y")], X, "y")
    imports = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("own", 1)]
    proto.functions.append(onnx.helper.make_function("own", "F", ["a"], ["b"], [onnx.helper.make_node("F", ["a"], ["b"], domain="own")], imports))
    proto.opset_import.append(imports[1])
    proto.graph.node.append(onnx.helper.make_node("F", ["x"], ["z"], domain="own"))
    return proto


def _loops() -> Any:
    """Three loops of 900 steps in each other."""
    info = onnx.helper.make_tensor_value_info

    def around(inner: list[Any], level: int) -> Any:
        names = [f"{k}{level}" for k in ("i", "g", "a", "h", "b")]
        body = onnx.helper.make_graph([node("Identity", names[1], names[3]), *inner], "body", [info(names[0], 7, []), info(names[1], 9, []), info(names[2], 1, [1, 3])],
                                      [info(names[3], 9, []), info(names[4], 1, [1, 3])])
        return onnx.helper.make_node("Loop", ["m", "c", f"a{level - 1}" if level else "x"], [f"b{level - 1}" if level else "y"], body=body)

    nested = around([around([around([node("Neg", "a2", "b2")], 2)], 1)], 0)
    return model([nested], X, "y", {"m": np.array(900), "c": np.bool_(True)})


def _bomb(nodes: list[Any], **weights: Any) -> Callable[[], Any]:
    return lambda: model(nodes, {"x": [1, 2, 4, 4]}, "y", weights)


BIG = np.array([10**6, 10**6], I64)

FILES: dict[str, tuple[Callable[[], Any], str]] = {
    "random bytes": (lambda: np.random.default_rng(1).bytes(4096), "not an ONNX model"),
    "empty": (lambda: b"", "is empty"),
    "cut off": (lambda: gemm().SerializeToString()[:-9], "cut off"),
    "nested 90 deep": (lambda: _nested(90), "not an ONNX model|nests|cut off"),
    "dims of -1": (_changed(lambda p: p.graph.initializer[0].dims.__setitem__(0, -1)), "sizes of at least 0"),
    "dims too large": (_changed(lambda p: p.graph.initializer[0].dims.__setitem__(0, 2**61)), "but it holds 24"),
    "dims that do not fit": (_changed(lambda p: p.graph.initializer[0].dims.__setitem__(0, 3)), "36 bytes are expected, but it holds 24"),
    "cycle": (_changed(lambda p: p.graph.node[0].input.__setitem__(0, "y")), "not a valid ONNX model"),
    "a name twice": (lambda: model([node("Relu", "x", "y"), node("Neg", "x", "y")], X, "y"), "not a valid ONNX model"),
    "recursive function": (_recursive, "not a valid ONNX model|cannot be inlined"),
    "no initialiser": (_changed(lambda p: p.graph.initializer.pop()), "not a valid ONNX model|which nothing before it computes"),
    "no operator set": (_changed(lambda p: p.opset_import.pop()), "imports no standard operator set|not a valid"),
    "operator set 6": (_changed(lambda p: setattr(p.opset_import[0], "version", 6)), r"operator set 6; the sets 7 to \d+ are understood"),
    "operator set of the future": (_changed(lambda p: setattr(p.opset_import[0], "version", 999)), "operator set 999"),
    "unknown operator": (_changed(lambda p: setattr(p.graph.node[0], "op_type", "Exec")), "not a valid ONNX model"),
    "unknown domain": (_changed(lambda p: (setattr(p.graph.node[0], "domain", "evil"), p.opset_import.append(onnx.helper.make_opsetid("evil", 1)))),
                       r"evil::Gemm is not one of the standard set"),
    "weights of strings": (_changed(lambda p: p.graph.initializer[0].CopyFrom(onnx.helper.make_tensor("w", 8, [2, 3], [b"a"] * 6))), "element type STRING"),
    "weights of 4 bits": (_changed(lambda p: p.graph.initializer[0].CopyFrom(onnx.helper.make_tensor("w", 22, [2, 3], [1] * 6))), "element type INT4"),
    "input of strings": (_changed(lambda p: setattr(p.graph.input[0].type.tensor_type, "elem_type", 8)), "input 'x' is not a tensor of floats"),
    "weights that do not fit": (_changed(lambda p: p.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.ones((2, 7), F4), "w"))), "node 'y"),
    "huge input": (_changed(lambda p: p.graph.input[0].type.tensor_type.shape.dim[1].__setattr__("dim_value", 10**12)), "inputs have"),
    "ConstantOfShape": (_bomb([node("ConstantOfShape", "s", "c"), node("Add", "x c", "y")], s=BIG), "would make 1,000,000,000,000 elements"),
    "Range": (_bomb([node("Range", "a b d", "c"), node("Cast", "c", "f", to=1), node("Add", "x f", "y")],
                    a=np.array(0), b=np.array(10**15), d=np.array(1)), "would make 1,000,000,000,000,000 elements"),
    "Expand": (_bomb([node("Expand", "k s", "c"), node("Add", "x c", "y")], k=np.ones(1, F4), s=BIG), "would make 1,000,000,000,000 elements"),
    "Tile": (_bomb([node("Tile", "x r", "y")], r=np.array([1, 10**6, 10**6, 1])), "would make"),
    "Pad": (_bomb([node("Pad", "x p", "y")], p=np.array([0, 0, 10**9, 10**9, 0, 0, 0, 0])), "would make"),
    "Resize": (_bomb([node("Resize", "x - s", "y")], s=F4([1, 1, 1e6, 1e6])), "would make"),
    "Gather": (_bomb([node("Gather", "x i", "g", axis=1), node("Gather", "g i", "h", axis=2), node("Gather", "h i", "y", axis=3)],
                     i=np.zeros(10**5, I64)), "would make"),
    "OneHot": (_bomb([node("OneHot", "i d v", "h"), node("Add", "x h", "y")], i=np.zeros(10**4, I64), d=np.array(10**9), v=F4([0, 1])), "would make"),
    "OneHot of the input": (_bomb([node("Cast", "x", "i", to=ELEMENTS["i8"]), node("OneHot", "i d v", "y")], d=np.array(10**9), v=F4([0, 1])), "would make"),
    "endless Loop": (lambda: model([onnx.helper.make_node("Loop", ["", "c", "x"], ["y"], body=onnx.helper.make_graph(
        [node("Identity", "g", "h"), node("Neg", "a", "b")], "body",
        [onnx.helper.make_tensor_value_info(k, t, []) for k, t in (("i", 7), ("g", 9))] + [onnx.helper.make_tensor_value_info("a", 1, [1, 3])],
        [onnx.helper.make_tensor_value_info("h", 9, []), onnx.helper.make_tensor_value_info("b", 1, [1, 3])]))], X, "y", {"c": np.bool_(True)}),
                     "more than 1000 steps"),
    "product of nothing": (lambda: model([node("ConstantOfShape", "s", "a"), node("MatMul", "a a", "b"), node("ReduceSum", "b", "c", keepdims=0), node("Add", "x c", "y")], X, "y",
                                         {"s": np.array([4700, 4700])}), "would take 103,823,000,000 steps"),
    "nested Loops": (_loops, "more than 10,000 nodes"),
    "wide window": (lambda: model([node("MelWeightMatrix", "a n r l u", "m"), node("MatMul", "x m", "y")], X, "y", {
        "a": np.array(10**6), "n": np.array(10**9), "r": np.array(8000), "l": F4(0), "u": F4(4000)}), "would make"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_hostile_files_are_refused(kind: str, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    make, text = FILES[kind]
    path = save(tmp_path, make())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(XaicoreError, match=text) as caught:
        load(path)
    assert caught.value.exit_code in (2, 3, 4)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kB that the file only asked for"


PROGRAM = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
import xaicore as xc
from xaicore.errors import XaicoreError
for path in sys.argv[1:]:
    start = time.process_time()
    try:
        xc.load(path, external_data=True)
        print("loaded", path)
    except XaicoreError as error:
        print("refused" if time.process_time() - start < 20 else "slow", path)
"""


@pytest.mark.thorough
def test_all_of_them_in_six_gigabytes_of_address_space(tmp_path: Path) -> None:
    paths = []
    for j, make in enumerate([make for make, _ in FILES.values()]):
        folder = tmp_path / str(j)
        folder.mkdir()
        paths.append(save(folder, make()))
    for j, (build, _) in enumerate(EXTERNAL.values()):
        folder = tmp_path / f"outer{j}" / "model"
        folder.mkdir(parents=True)
        paths.append(build(folder))
    assert len(paths) >= 29
    done = subprocess.run([sys.executable, "-c", PROGRAM, *map(str, paths)], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["refused"] * len(paths)


# ----- damaged real models ------------------------------------------------------------------------------------------


def light(name: str) -> bytes:
    return (Path(onnx.__file__).parent / "backend/test/data/light" / f"light_{name}.onnx").read_bytes()


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["squeezenet", "shufflenet", "bvlc_alexnet"])
def test_damaged_light_models_convert_or_are_refused(name: str) -> None:
    """Real graphs of opset 9, cut off at 25 places and with flipped bits at 100: our errors, or a model that is still sound."""
    data, rng = light(name), np.random.default_rng(0)
    broken = [data[:end] for end in rng.integers(0, len(data), 25)]
    for _ in range(100):
        copy = bytearray(data)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            copy[at] ^= 1 << int(rng.integers(8))
        broken.append(bytes(copy))
    refused = 0
    for one in broken:
        try:
            to_graph(one, verify=False)
        except XaicoreError:
            refused += 1
    assert refused >= 25                                    # all that are cut off
