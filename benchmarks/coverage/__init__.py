"""Which real models convert, and whether what is computed on them is right: one row for each model and backend.

``python -m benchmarks.coverage --help`` says how to run it; docs/coverage.md is the table that it writes. A set of models is a
module with two names, or three:

    MODELS                     a mapping: name of a model -> whatever ``subject`` needs
    subject(name) -> Subject   the model with random parameters, inputs, and the framework's own outputs and gradient
    compared(name) -> Subject  if there is one: the same for ``--routes``, some made smaller

and a line in ``SETS``. Everything else (what is measured, limits, subprocesses, results, the table) is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

SETS: Mapping[str, tuple[str, str]] = {
    "torch.nn": ("torch", "torch_layers"),
    "torchvision": ("torch", "torchvision_zoo"),
    "timm": ("torch", "timm_zoo"),
    "transformers": ("torch", "transformers_zoo"),
    "onnx.files": ("onnx", "onnx_files"),
    "onnx.light": ("onnx", "onnx_light"),
    "keras.applications": ("keras", "keras_zoo"),
    "keras.layers": ("keras", "keras_layers"),
}
"""Name of the set -> (backend, module in this folder)."""
