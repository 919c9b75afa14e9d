"""Which backend gets a model or a file, and what is said when there is none. No framework is imported here: the backends are fakes."""

from __future__ import annotations

from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import xaicore
from tests.graph.graphs import assert_same, cnn
from xaicore import plugins
from xaicore.errors import BackendError, FileRefused, InputError, NothingChecked
from xaicore.graph import Builder, Graph, files
from xaicore.ops import ReLU


def fake_graph() -> Graph:
    b = Builder("fake")
    return b.build(b.add(ReLU(), b.input("x", (None, 2))))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Installs two backends, "torch" and "onnx", that write down how they are called."""
    calls: list[tuple[Any, ...]] = []
    points = []
    for name in ("torch", "onnx"):
        module = ModuleType(f"fake_{name}")

        def to_graph(model: Any, example: Any = None, *, name: str = name, **options: Any) -> Graph:
            calls.append((name, "to_graph", model, example, options))
            return fake_graph()

        def load(path: Path, *, name: str = name, **options: Any) -> Graph:
            calls.append((name, "load", path, options))
            return fake_graph()

        module.to_graph, module.load = to_graph, load                   # type: ignore[attr-defined]
        monkeypatch.setitem(__import__("sys").modules, f"fake_{name}", module)
        points.append(EntryPoint(name, f"fake_{name}", plugins.GROUP))
    install(monkeypatch, points)
    return calls


def install(monkeypatch: pytest.MonkeyPatch, points: list[EntryPoint]) -> None:
    monkeypatch.setattr(metadata, "entry_points", lambda group: [p for p in points if p.group == group])


def model_of(module: str, bases: tuple[type, ...] = ()) -> type:
    return type("Net", bases, {"__module__": module})


# ----- live models ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [
    model_of("torch.nn.modules.container"), model_of("torch"), model_of("my.own.nets", (model_of("torch.nn.modules.module"),)),
    model_of("__main__", (model_of("lightning.core", (model_of("torch.nn.modules.module"),)),)),
], ids=["framework", "root", "user's subclass", "two libraries up"])
def test_a_model_goes_to_the_backend_of_its_class_or_of_a_base(kind: type, seen: list[tuple[Any, ...]]) -> None:
    model = kind()
    assert_same(plugins.from_model(model, (1, 2), dtype="float32", verify=False, strict=True), fake_graph())
    assert seen == [("torch", "to_graph", model, (1, 2), {"dtype": "float32", "verify": False, "strict": True})]


def test_the_first_base_decides(seen: list[tuple[Any, ...]]) -> None:
    plugins.from_model(model_of("app", (model_of("onnx.onnx_pb"), model_of("torch.nn")))())
    assert [call[0] for call in seen] == ["onnx"]


def test_defaults_are_float64_and_verified(seen: list[tuple[Any, ...]]) -> None:
    plugins.from_model(model_of("onnx.onnx_ml_pb2")())
    assert seen[0][3:] == (None, {"dtype": "float64", "verify": True})


@pytest.mark.parametrize(("model", "name"), [
    (3, "builtins.int"), ("model.onnx", "builtins.str"), (None, "builtins.NoneType"), (model_of("torch.nn"), "builtins.type"),
    (model_of("torchvision.models")(), "torchvision.models.Net"), (model_of("sklearn.svm")(), "sklearn.svm.Net"), ({}, "builtins.dict"),
])
def test_an_unknown_object_is_named_with_the_backends_there_are(model: Any, name: str, seen: list[tuple[Any, ...]]) -> None:
    with pytest.raises(BackendError, match=rf"no backend takes a {name}; installed backends: onnx, torch\. Files go through xaicore\.load"):
        plugins.from_model(model)
    assert seen == []


def test_a_graph_needs_no_backend(seen: list[tuple[Any, ...]]) -> None:
    with pytest.raises(BackendError, match="A graph needs no conversion"):
        plugins.from_model(fake_graph())


def test_without_any_backend_the_message_says_none(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, [])
    with pytest.raises(BackendError, match="installed backends: none"):
        plugins.from_model(model_of("torch.nn")())


# ----- backends that do not import --------------------------------------------------------------------------------------


def broken(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str, name: str = "torch") -> None:
    """A backend whose module has this source."""
    (folder / "broken_backend.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(__import__("sys").modules, "broken_backend", raising=False)
    install(monkeypatch, [EntryPoint(name, "broken_backend", plugins.GROUP)])


@pytest.mark.parametrize(("source", "lacking"), [
    ("import no_such_framework", "no_such_framework"), ("import no_such_framework.part", "no_such_framework"),
    ("from math import no_such_function", "math"), ("raise ImportError('libcuda.so: cannot open shared object file')", "torch"),
    ("raise ImportError('in the framework', name='torch.onnx')", "torch"),
])
def test_a_framework_that_does_not_import_is_named_with_the_remedy(
    source: str, lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken(monkeypatch, tmp_path, source)
    text = rf"'torch' needs the package '{lacking}', which did not import .*pip install 'xaicore\[torch\]'"
    with pytest.raises(BackendError, match=text) as caught:
        plugins.from_model(model_of("torch.nn")())
    assert isinstance(caught.value.__cause__, ImportError)
    assert __import__("sys").executable in str(caught.value)            # the environment that lacks it


@pytest.mark.parametrize("source", [None, "import broken_backend.part", "from broken_backend import lower"])
def test_a_fault_of_the_backend_itself_is_not_blamed_on_the_framework(
    source: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    if source is None:
        install(monkeypatch, [EntryPoint("torch", "no_such_backend", plugins.GROUP)])
    else:
        broken(monkeypatch, tmp_path, source)
    with pytest.raises(ImportError, match=r"no_such_backend|broken_backend"):
        plugins.from_model(model_of("torch.nn")())


def test_an_onnx_file_without_the_backend_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.onnx").write_bytes(b"")
    install(monkeypatch, [])
    with pytest.raises(BackendError, match=r"'onnx' is not installed; .*pip install 'xaicore\[onnx\]'"):
        plugins.load(tmp_path / "m.onnx")
    broken(monkeypatch, tmp_path, "import onnx_is_missing_here", "onnx")
    with pytest.raises(BackendError, match="'onnx' needs the package 'onnx_is_missing_here'"):
        plugins.load(tmp_path / "m.onnx")


# ----- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["m.json", "m.JSON", "model.v2.json"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_own_files_are_read_without_a_backend(name: str, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, [])
    files.save(cnn("float32"), tmp_path / name)
    graph = xaicore.load(str(tmp_path / name), dtype=dtype)
    assert_same(graph, cnn("float32").astype(dtype))


@pytest.mark.parametrize("name", ["m.onnx", "m.ONNX"])
def test_onnx_files_go_to_their_backend(name: str, tmp_path: Path, seen: list[tuple[Any, ...]]) -> None:
    (tmp_path / name).write_bytes(b"")
    assert_same(plugins.load(tmp_path / name, dtype="float32", verify=True), fake_graph())
    assert seen == [("onnx", "load", tmp_path / name, {"dtype": "float32", "verify": True})]


@pytest.mark.parametrize(("name", "text"), [
    *[(f"m{suffix}", r"is a pickle, .*weights_only=True.*xaicore\.from_model")
      for suffix in (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".joblib", ".PT")],
    ("m.pt2", r"exported torch program\. .*torch\.export\.load\(path\).*from_model"),
    *[(f"m{suffix}", r"format of Keras 2\. .*safe_mode=True.*save it as \.keras") for suffix in (".h5", ".hdf5")],
    *[(f"m{suffix}", "weights without a model.*from_model") for suffix in (".safetensors", ".npz")],
    *[(f"m{suffix}", r"Convert it to ONNX first, then xaicore\.load") for suffix in (".pb", ".tflite")],
    ("m.txt", r"files ending in \.txt are not read; give \.onnx, \.keras or xaicore's \.json"), ("model", r"ending in \(nothing\) are not read"),
])
def test_other_files_are_refused_with_the_recipe(name: str, text: str, tmp_path: Path, seen: list[tuple[Any, ...]]) -> None:
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(FileRefused, match=text) as caught:
        plugins.load(tmp_path / name)
    assert name in str(caught.value)
    assert seen == []


def test_every_recipe_is_tried_above() -> None:
    suffixes = {s for group in plugins.REFUSED for s in group}
    assert suffixes == {".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".joblib", ".pt2", ".h5", ".hdf5", ".safetensors",
                        ".npz", ".pb", ".tflite"}


@pytest.mark.parametrize(("path", "text"), [
    ("missing.onnx", "missing.onnx does not exist"), ("missing.pt", "missing.pt does not exist"),
    ("folder.onnx", "folder.onnx is a directory"), (".", "is a directory"), ("x" * 5000, "cannot be read"),
])
def test_a_path_that_is_no_file_is_refused(path: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(FileRefused, match=text):
        plugins.load(tmp_path / path)


@pytest.mark.parametrize("thing", [None, 3, b"\x08", fake_graph(), np.zeros(2)], ids=lambda t: type(t).__name__)
def test_load_takes_a_path(thing: Any) -> None:
    with pytest.raises(InputError, match=rf"load takes the path of a file, not a {type(thing).__name__}; .*xaicore\.from_model"):
        plugins.load(thing)


def test_an_unknown_arithmetic_is_refused(tmp_path: Path) -> None:
    files.save(fake_graph(), tmp_path / "m.json")
    with pytest.raises(InputError, match=r"astype\('float16'\)"):
        plugins.load(tmp_path / "m.json", dtype="float16")


def test_an_own_file_has_no_framework_to_be_verified_with(tmp_path: Path) -> None:
    files.save(fake_graph(), tmp_path / "m.json")
    with pytest.raises(NothingChecked, match=r"m\.json is xaicore's own file: there is no framework"):
        plugins.load(tmp_path / "m.json", verify=True)


def test_a_file_that_is_only_called_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_bytes(b"\x80\x04\x95")
    with pytest.raises(FileRefused, match=r"m\.json is not a JSON document"):
        plugins.load(tmp_path / "m.json")


def test_every_backend_of_the_repository_has_an_entry_point_and_an_extra() -> None:
    import tomllib

    root = Path(__file__).parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = project["entry-points"][plugins.GROUP]
    packages = {p.parent.name for p in (root / "backends").glob("*/__init__.py") if "def to_graph(" in p.read_text(encoding="utf-8")}
    assert packages == set(points.values())
    assert set(points) <= set(project["optional-dependencies"])
