"""Settings that are arrays, samples or models: on the command line they are files, concept=stripes.npy, checkpoints=[a.json,b.json]."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaicore.cli.inputs import READ, Pixels, read_array, read_input
from xaicore.errors import InputError

if TYPE_CHECKING:
    from xaicore.graph import Graph

SAMPLES = ("concept", "random")
"""Settings that are samples of the model, read like INPUT."""

MODELS = ("checkpoints",)
"""Settings that are models."""

LISTS = ("random", "checkpoints")
"""Settings that are lists, also of one."""


def from_files(settings: Mapping[str, Any], graph: Graph, pixels: Pixels | None = None, dtype: str = "float64") -> dict[str, Any]:
    """The settings with what their files hold. InputError for samples or models that are no file."""
    return {k: _read(k, v, graph, pixels, dtype) for k, v in settings.items()}


def _read(name: str, value: Any, graph: Graph, pixels: Pixels | None, dtype: str) -> Any:
    if name in LISTS:
        several = value if isinstance(value, tuple) else (value,)
        return [_one(name, v, graph, pixels, dtype) for v in several]
    return _one(name, value, graph, pixels, dtype)


def _one(name: str, value: Any, graph: Graph, pixels: Pixels | None, dtype: str) -> Any:
    from xaicore.cli.shared import open_model

    if name in MODELS:
        if not isinstance(value, str):
            raise InputError(f"{name}={value!r} is no model; give model files, {name}=[first.onnx,second.onnx]")
        return open_model(value, dtype)
    file = isinstance(value, str) and Path(value).suffix.lower() in READ
    if name in SAMPLES:
        if not file:
            raise InputError(f"{name}={value!r} is no file of samples; give one ({' '.join(READ)}), {name}=samples.npy")
        return read_input(value, graph, pixels)
    return read_array(value) if file else value
