"""A peer's model from what stands for it: a graph, a graph's file, or a Python file that makes it."""

from __future__ import annotations

import runpy
from importlib import import_module
from pathlib import Path
from typing import Any

from xaicore.graph import Graph
from xaicore.graph.files import load


def opened(model: Any, framework: str, dtype: str) -> Any:
    """A Graph, or the path of a .json file, emitted in the peer's framework; what ``model()`` of a .py file gives; else the model."""
    if isinstance(model, (str, Path)):
        if str(model).endswith(".py"):
            return runpy.run_path(str(model))["model"]()
        model = load(model)
    if not isinstance(model, Graph):
        return model
    if framework == "keras":
        from xaicore_peers.kerases import channels_last

        return import_module("xaicore_keras").emit(channels_last(model).astype(dtype))
    return import_module("xaicore_torch").emit(model.astype(dtype))


def state(model: Any) -> dict[str, Any]:
    """What an explainer may not change of a torch module: weights, gradients, flags, hooks, attributes, by name. Empty for others."""
    if not hasattr(model, "named_modules"):
        return {}
    found: dict[str, Any] = {}
    for name, module in model.named_modules():
        found[f"{name}: training"] = module.training
        found[f"{name}: class"] = type(module).__name__
        found[f"{name}: hooks"] = sum(len(getattr(module, k, ()) or ()) for k in (
            "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"))
        found[f"{name}: attributes"] = tuple(sorted(k for k in vars(module) if not k.startswith("_")))
    for name, p in model.named_parameters():
        found[f"{name}: values"] = p.detach().cpu().numpy().tobytes()
        found[f"{name}: gradient"] = None if p.grad is None else p.grad.detach().cpu().numpy().tobytes()
        found[f"{name}: requires_grad"] = p.requires_grad
    for name, b in model.named_buffers():
        found[f"{name}: values"] = b.detach().cpu().numpy().tobytes()
    return found
