"""Vectors for runners that have no graph of ours: ONNX models with their numbers in npz, or the JSON files as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.errors import ConversionError, GraphError
from xaicore.oracle.serve import emitted
from xaicore.oracle.vectors.make import formatted
from xaicore.oracle.vectors.model import graph_of
from xaicore.oracle.vectors.vector import Vector, array


def export(found: Sequence[Vector], folder: Path, form: str = "onnx") -> tuple[list[Path], dict[str, str]]:
    """Writes ``folder``: for "json" one file a method; for "onnx" a folder for each vector with model.onnx, numbers.npz, question.json.

    (paths written, {id: why it was left out}): a model whose operators ONNX does not have is left out, and so are questions to be rejected.
    numbers.npz holds x/NAME, expected/NAME, forward/NAME and layers/NAME in float64. BackendError where ONNX is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    if form == "json":
        for method in dict.fromkeys(v.method for v in found):
            path = folder / f"{method}.json"
            path.write_text(formatted([v for v in found if v.method == method]), encoding="utf-8")
            written.append(path)
        return written, {}
    left = {}
    for v in found:
        if v.verdict == "reject":
            left[v.id] = "a question without an answer"
            continue
        try:
            model = emitted(graph_of(v.model, "float64"), "onnx")
        except (ConversionError, GraphError) as error:
            left[v.id] = str(error)
            continue
        own = folder / v.id.replace("/", "__")
        own.mkdir(exist_ok=True)
        (own / "model.onnx").write_bytes(model.SerializeToString())
        numbers: dict[str, Any] = {}
        for part in ("x", "expected", "forward", "layers"):
            numbers.update({f"{part}/{k}": np.asarray(array(values, v.arithmetic), float) for k, values in getattr(v, part).items()})
        np.savez(own / "numbers.npz", **numbers)
        rest = {k: s for k, s in v.as_json().items() if k not in ("model", "x", "expected", "forward", "layers")}
        (own / "question.json").write_text(json.dumps(rest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        written += [own / "model.onnx", own / "numbers.npz", own / "question.json"]
    return written, left
