"""Finding the backend of a model or a file: by the entry points of ``xaicore.backends``, without importing a framework."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from xaicore.errors import BackendError, FileRefused, GraphError, InputError, NothingChecked, ShapeError, Unrecorded, Unsupported
from xaicore.graph import Graph
from xaicore.graph.files import load as load_json

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "xaicore.backends"
READERS = {".onnx": "onnx", ".keras": "keras"}
REFUSED = {
    (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".joblib"):
        "a pickle, and loading one runs whatever code is in it. Build the model in Python, load its weights with "
        "torch.load(path, weights_only=True), and convert the live model: xaicore.from_model(model, example_inputs)",
    (".pt2",):
        "an exported torch program. Load it in Python with torch.export.load(path), then xaicore.from_model(program, example_inputs)",
    (".h5", ".hdf5"):
        "an HDF5 file, the format of Keras 2. Load it in Python, keras.models.load_model(path, compile=False, safe_mode=True), and "
        "save it as .keras: model.save('model.keras')",
    (".safetensors", ".npz"):
        "weights without a model. Build the model in its framework, load the weights, then xaicore.from_model(model, example_inputs)",
    (".pb", ".tflite"): "a TensorFlow graph. Convert it to ONNX first, then xaicore.load('model.onnx')",
}


def available() -> dict[str, EntryPoint]:
    """The installed backends: root module of the framework -> entry point."""
    from importlib.metadata import entry_points  # takes longer to import than most of xaicore

    return {one.name: one for one in entry_points(group=GROUP)}


def from_model(model: Any, example: Any = None, *, dtype: str = "float64", verify: bool = True, **options: Any) -> Graph:
    """The graph of a live torch.nn.Module or ExportedProgram, a Keras model, or an onnx.ModelProto.

    example   example inputs as the model takes them (an array or tensor, a tuple, a mapping); torch needs it, others
              use it to verify
    verify    run the framework and the graph on the example and refuse a mismatch, naming the first node that differs

    A model of two frameworks (a subclassed Keras model on torch is a torch module too) goes to the second where the first keeps no
    record of its calls.
    """
    found = available()
    roots = [kind.__module__.split(".")[0] for kind in type(model).__mro__]
    names = [r for r in dict.fromkeys(roots) if r in found]
    if not names:
        kind = f"{type(model).__module__}.{type(model).__name__}"
        hint = " A graph needs no conversion." if isinstance(model, Graph) else ""
        raise BackendError(f"no backend takes a {kind}; installed backends: {', '.join(sorted(found)) or 'none'}.{hint} "
                           f"Files go through xaicore.load(path)")
    for name in names:
        try:
            graph: Graph = _backend(name).to_graph(model, example, dtype=dtype, verify=verify, **options)
            break
        except Unrecorded:
            if name == names[-1]:
                raise
    return graph


def load(path: str | Path, *, dtype: str = "float64", verify: bool = False, **options: Any) -> Graph:
    """The graph of a file: .onnx, .keras, or xaicore's own .json. Nothing in the file is executed, and no framework reads .keras.

    verify    run the framework and the graph on sample inputs and refuse a mismatch (ONNX, Keras)
    options   the reader's own: ``example`` (inputs to verify with, and sizes for free axes), for ONNX ``unbatched``, ``constants``,
              ``batch_axes``, ``external_data``
    """
    try:
        path = Path(path)
        if path.is_dir():
            raise FileRefused(f"{path} is a directory; give a model file (.onnx, .keras or xaicore's .json)")
        if not path.exists():
            raise FileRefused(f"{path} does not exist")
    except TypeError:
        raise InputError(f"load takes the path of a file, not a {type(path).__name__}; a model in memory goes through "
                         f"xaicore.from_model(model, example_inputs)") from None
    except OSError as error:
        raise FileRefused(f"{path} cannot be read ({error.strerror}); check the path and its permissions") from None
    suffix = path.suffix.lower()
    if suffix == ".json":
        if options:
            raise InputError(f"xaicore's own files take no {', '.join(options)}; give the path and dtype alone")
        if verify:
            raise NothingChecked(f"{path.name} is xaicore's own file: there is no framework to compare it with; load it without verify")
        return load_json(path).astype(dtype)
    if suffix in READERS:
        backend = _backend(READERS[suffix])
        with _named(path, bool(options)):
            graph = backend.load(path, dtype=dtype, verify=verify, **options)
            assert isinstance(graph, Graph)
            return graph
    for suffixes, why in REFUSED.items():
        if suffix in suffixes:
            raise FileRefused(f"{path.name} is {why}")
    raise FileRefused(f"{path.name}: files ending in {suffix or '(nothing)'} are not read; give .onnx, .keras or xaicore's .json")


@contextmanager
def _named(path: Path, told: bool) -> Iterator[None]:
    """Errors name the file. What no example or option of the caller's can have caused (``told``: there are some) is the file's fault."""
    try:
        yield
    except (GraphError, ShapeError) as error:
        text = str(error) if path.name in str(error) else f"{path.name}: {error}"
        raise (type(error) if told else FileRefused)(text) from error
    except (FileRefused, Unsupported) as error:
        if path.name in str(error):
            raise
        raise type(error)(f"{path.name}: {error}") from error
    except MemoryError:
        raise FileRefused(f"{path.name} asks for more memory than there is") from None


def _backend(name: str) -> ModuleType:
    found = available()
    if name not in found:
        raise BackendError(f"the backend {name!r} is not installed; reinstall xaicore (its entry points are missing): "
                           f"pip install 'xaicore[{name}]'")
    module = found[name].value
    try:
        return import_module(module)
    except ImportError as error:
        lacking = (error.name or name).split(".")[0]
        if lacking == module:
            raise                                                       # a fault of ours, not a missing framework
        raise BackendError(f"the backend {name!r} needs the package {lacking!r}, which did not import ({error}) under {sys.executable}; "
                           f"try: pip install 'xaicore[{name}]'") from error


def peer(name: str, timeout: float = 120.0) -> Any:
    """The library of explainers called ``name`` or ``name@version``, from the plugin package xaicore_peers; BackendError without one."""
    try:
        return import_module("xaicore_peers").peer(name, timeout)
    except ModuleNotFoundError as error:
        if error.name != "xaicore_peers":
            raise
        raise BackendError("the package xaicore_peers is not installed, so that no other library can be run; it is part of xaicore's "
                           "distribution") from None
