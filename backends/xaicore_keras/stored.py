"""A .keras file as a record: config.json says which layers are called on which tensors, model.weights.h5 holds their arrays.

Classes are never looked up by the names in the file: a name is a key of the table of lowerings, or the layer is refused. Where
an array lies in the HDF5 file follows from the layers' classes and order, as Keras counts them when it saves.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from xaicore.errors import ConversionError, FileRefused
from xaicore_keras.archive import RECIPE, Store
from xaicore_keras.archive import opened as opened_archive
from xaicore_keras.lower import EXPORT, TABLE
from xaicore_keras.record import Function, Input, Key, Layer, Net, Ref, Step, Weight, arranged, chain, kind_in

FUNCTIONAL = ("keras.models.Functional", "keras.models.Model", "keras.Model")
SEQUENTIAL = ("keras.Sequential", "keras.models.Sequential")
INPUT = "keras.layers.InputLayer"
WRAPPED = {"layer": "layer", "cell": "cell", "forward_layer": "forward_layer", "backward_layer": "backward_layer"}
"""Settings that are layers themselves, and the path below the layer where Keras saves their arrays."""

DTYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "bool")
"""Element types of constants in config.json."""


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Layer]:
    """The record of a file's model. Arrays can be read as long as the file is open."""
    config, store = opened_archive(path)
    who = os.path.basename(os.fspath(path))
    try:
        reader = Reader(store)
        try:
            model = reader.layer(config, "", "the model")
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise FileRefused(f"{who}: config.json is malformed: {type(error).__name__}: {str(error)[:200]}. {RECIPE}") from error
        if model.net is None:
            raise ConversionError(
                f"{who} holds a {model.kind}, a class of your own, whose code is not in the file. "
                f"To do: build it as a Functional model (keras.Model(inputs, outputs)); or load it in Python, and {EXPORT}"
            )
        yield model
    finally:
        store.close()


class Reader:
    """One file's records: an object that the file marks as shared has one."""

    def __init__(self, store: Store):
        self.store = store
        self._shared: dict[int, Layer] = {}

    def layer(self, entry: Any, path: str, what: str) -> Layer:
        """The record of a layer, operation or model, whose arrays are saved below ``path``."""
        kind, config = _class_of(entry, what)
        shared = entry.get("shared_object_id")
        if isinstance(shared, int) and shared in self._shared:
            return self._shared[shared]
        name = entry.get("name", config.get("name"))
        if name is None:
            name = kind.rpartition(".")[2].lower()
        if not isinstance(name, str) or not name or "/" in name or len(name) > 500:
            raise FileRefused(f"{self.store.who}: {what} ({kind}) has the name {name!r:.100}; a text without '/' is expected. {RECIPE}")
        made = Layer(kind, name, config)
        if kind in FUNCTIONAL:
            made = replace(made, net=self._functional(config, path))
        elif kind in SEQUENTIAL:
            made = replace(made, net=self._sequential(config, path))
        elif kind in TABLE:
            made = self._with_parts(made, path)
        if isinstance(shared, int):
            self._shared[shared] = made
        return made

    def _with_parts(self, made: Layer, path: str) -> Layer:
        config, parts = dict(made.config), {}
        for name, value in made.config.items():
            if name in WRAPPED and isinstance(value, Mapping):
                below = "forward_layer" if made.kind == "keras.layers.Bidirectional" and name == "layer" else WRAPPED[name]
                parts[below] = self.layer(value, f"{path}/{below}", f"what {made.name!r} wraps")
            elif name == "cells" and isinstance(value, (list, tuple)):
                parts.update(self._cells(value, f"{path}/cells"))
            elif name.endswith("activation"):
                config[name] = self._function(value, path, made.name)
            elif isinstance(value, Mapping):
                config[name] = _decoded(value) if value.get("class_name") in ("__numpy__", "__tensor__") else value
        made = replace(made, config=config, parts=parts)
        return replace(made, arrays=self._arrays(path, made.name)) if made.is_layer else made

    def _cells(self, entries: Sequence[Any], path: str) -> dict[str, Layer]:
        """The cells of a stack; each one's path is its class and how many of it came before."""
        found, used = {}, dict[str, int]()
        for k, entry in enumerate(entries):
            name = _snake_case(_class_of(entry, "a cell")[0].rpartition(".")[2])
            used[name] = used.get(name, -1) + 1
            found[f"cells/{k}"] = self.layer(entry, f"{path}/{name}{f'_{used[name]}' if used[name] else ''}", "a cell")
        return found

    def _arrays(self, path: str, name: str) -> Callable[[str], Sequence[Weight]]:
        known: dict[str, list[Weight]] = {}

        def arrays(group: str) -> list[Weight]:
            if group not in known:
                paths = [f"{path}/{one}" for one in group.split("|")] if group else [path]
                known[group] = self.store.arrays(next((p for p in paths if self.store.has(p)), paths[0]), "" if group else name)
            return known[group]

        return arrays

    def _function(self, value: Any, path: str, owner: str) -> Any:
        """An activation: a name, a function of Keras's under its name, or a layer."""
        if value is None or isinstance(value, str):
            return None if value is None else Function(value)
        if isinstance(value, Mapping) and value.get("class_name") == "function":
            name, module = value.get("config"), value.get("module")
            if module not in ("keras.activations", "keras.ops", "builtins") or not isinstance(name, str):
                return Function(f"{module}.{name}")
            if module == "keras.ops" and name == "gelu":
                return Function("gelu", {"approximate": True})          # keras.ops approximates by default, keras.activations does not
            return Function("exponential" if name == "exp" else name)
        if isinstance(value, Mapping) and "class_name" in value:
            return self.layer(value, f"{path}/activation", f"the activation of {owner!r}")
        return Function("<lambda>")

    # ----- models -------------------------------------------------------------------------------------------------

    def _layers(self, config: Mapping[str, Any], path: str, counted: Callable[[str], bool]) -> list[tuple[Layer, Mapping[str, Any]]]:
        """The records of a model's layers with their entries; each one's path is its class and how many of it came before."""
        found: list[tuple[Layer, Mapping[str, Any]]] = []
        used: dict[str, int] = {}
        for entry in config["layers"]:
            kind, _ = _class_of(entry, "a layer")
            below = ""
            if counted(kind):
                name = _snake_case(kind.rpartition(".")[2])
                used[name] = used.get(name, -1) + 1
                below = f"{path}/layers/{name}{f'_{used[name]}' if used[name] else ''}".removeprefix("/")
            found.append((self.layer(entry, below, "a layer"), entry))
        names = [one.name for one, _ in found]
        if len(set(names)) != len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise FileRefused(f"{self.store.who}: two layers of one model are called {twice!r}. {RECIPE}")
        return found

    def _sequential(self, config: Mapping[str, Any], path: str) -> Net:
        layers = [one for one, _ in self._layers(config, path, lambda kind: kind != INPUT)]
        name = str(config.get("name"))
        if not layers or layers[0].kind != INPUT:
            raise ConversionError(
                f"the Sequential model {name!r} has no input shape yet, so it has no graph; put a keras.Input first, or call "
                f"model.build((None, ...)), and save it again"
            )
        return chain(name, _input(layers[0]), layers[1:])

    def _functional(self, config: Mapping[str, Any], path: str) -> Net:
        layers = self._layers(config, path, lambda kind: not kind.startswith(("keras.ops.", "keras.activations.")))
        by_name = {one.name: one for one, _ in layers}
        steps: dict[Key, Step] = {}
        for one, entry in layers:
            for k, node in enumerate(entry["inbound_nodes"]):
                args = tuple(_decoded(x) for x in node["args"])
                steps[(one.name, k)] = Step(one, args, {str(a): _decoded(x) for a, x in node["kwargs"].items()}, (one.name, k))

        def maker(key: Any) -> Step:
            if key[0] not in steps:
                raise FileRefused(f"{self.store.who}: config.json names call {key[0][1]} of {key[0][0]!r:.90}, and has none. {RECIPE}")
            return steps[key[0]]

        inputs = []
        for name, index, position in _leaves(config["input_layers"]):
            if name not in by_name or by_name[name].kind != INPUT:
                raise FileRefused(f"{self.store.who}: the input {name!r:.100} is not an InputLayer of the model. {RECIPE}")
            inputs.append(replace(_input(by_name[name]), key=((name, index), position)))
        outputs = []
        for name, index, position in _leaves(config["output_layers"]):
            own = name in by_name and by_name[name].kind in FUNCTIONAL  # Keras counts one call more for models like these
            outputs.append(((name, index - own), position))
        return Net(str(config.get("name")), tuple(inputs), arranged(outputs, [one.key for one in inputs], maker), tuple(outputs))


def _class_of(entry: Any, what: str) -> tuple[str, dict[str, Any]]:
    """The kind and the settings of an entry. A class that is registered under a name of its own is somebody's own class."""
    if not isinstance(entry, Mapping):
        raise FileRefused(f"config.json: {what} is a {type(entry).__name__}; module, class_name and config are expected. {RECIPE}")
    module, name, config = entry.get("module"), entry.get("class_name"), entry.get("config")
    if not isinstance(module, str) or not isinstance(name, str) or not isinstance(config, Mapping):
        raise FileRefused(f"config.json: {what} has no module, class_name or config (class_name {name!r:.60}). {RECIPE}")
    registered = entry.get("registered_name")
    if registered not in (None, name) and module.startswith("keras"):
        return f"{registered}"[:200], dict(config)
    return kind_in(module, name)[:200], dict(config)


def _input(layer: Layer) -> Input:
    shape, dtype = layer.config.get("batch_shape"), layer.policy
    if not isinstance(shape, (list, tuple)) or not all(n is None or (type(n) is int and 0 <= n < 1 << 31) for n in shape) or not shape:
        raise FileRefused(f"config.json: the input {layer.name!r} has the shape {shape!r:.100}; a list of lengths is expected. {RECIPE}")
    if layer.config.get("sparse") or layer.config.get("ragged"):
        raise ConversionError(f"input {layer.name!r} is sparse or ragged; dense arrays are expected: rebuild the model without")
    return Input(((layer.name, 0), 0), layer.name, tuple(shape), dtype)


def _leaves(structure: Any) -> list[tuple[str, int, int]]:
    """The [name, call, output] triples of a nested structure."""
    if isinstance(structure, list) and len(structure) == 3 and isinstance(structure[0], str):
        name, call, output = structure
        if type(call) is int and type(output) is int:
            return [(name, call, output)]
    if isinstance(structure, Mapping):
        structure = [structure[k] for k in sorted(structure)]
    if not isinstance(structure, list) or not structure:
        raise FileRefused(f"config.json: {structure!r:.100} names no tensor; [layer, call, output] is expected. {RECIPE}")
    return [leaf for one in structure for leaf in _leaves(one)]


def _decoded(x: Any) -> Any:
    """An argument of a call as it was before it was saved; FileRefused for what is no tensor, number, text or index."""
    if isinstance(x, list):
        return [_decoded(one) for one in x]
    if not isinstance(x, Mapping):
        return x
    name, config = x.get("class_name"), x.get("config")
    if name is None:
        return {k: _decoded(one) for k, one in x.items()}
    if name == "__keras_tensor__" and isinstance(config, Mapping):
        ((layer, call, output),) = _leaves([config["keras_history"]])
        return Ref(((layer, call), output))
    if name in ("__numpy__", "__tensor__") and isinstance(config, Mapping):
        if config.get("dtype") not in DTYPES:
            raise FileRefused(f"config.json holds a constant of dtype {config.get('dtype')!r:.40}; one of {', '.join(DTYPES)} is expected")
        return np.array(config["value"], dtype=config["dtype"])
    if name == "__slice__" and isinstance(config, Mapping):
        ends = [config.get(k) for k in ("start", "stop", "step")]
        if all(n is None or type(n) is int for n in ends):
            return slice(*ends)
    if name == "__ellipsis__":
        return Ellipsis
    raise FileRefused(f"config.json: a call is given a {str(name)[:60]!r}; tensors, numbers, texts and slices are expected. {RECIPE}")


def _snake_case(name: str) -> str:
    """A class name as Keras writes it in paths: MaxPooling2D is max_pooling2d."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
