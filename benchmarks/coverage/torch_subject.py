"""A torch model as a subject: parameters drawn anew, batch statistics calibrated, torch's own outputs and gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from benchmarks.coverage.measure import Array, Subject
from xaicore.graph import Graph

SAMPLES = 2
"""One more than the example that a model is converted with."""

KEPT = ("A_log", "dt_bias", "relative_position_index")
"""Parameters whose values are not free: state-space models take the logarithm of a decay from them."""


def torch_subject(
    model: nn.Module, inputs: Any, *, leaf: str = "", float32: bool = False, reduced: str = "", **facts: Any,
) -> Subject:
    """``inputs``: a tensor, a tuple of tensors or a mapping by argument name, with ``SAMPLES`` samples each."""
    from xaicore_torch import to_graph

    model = randomise(model).double().eval()
    inputs = pytree.tree_map(lambda t: t.double() if t.is_floating_point() else t, inputs)
    calibrate(model, inputs)
    known: dict[str, Any] = {}

    def convert() -> Graph:
        graph = to_graph(model, pytree.tree_map(lambda t: t[:1], inputs))
        known["fed"] = inputs if next(iter(graph.inputs.values())).shape[0] is None else pytree.tree_map(lambda t: t[:2], inputs)
        known["names"] = list(graph.inputs)
        return graph

    def exported() -> Any:
        if "program" not in known:
            known["program"] = program_of(model, inputs)
        return known["program"]

    def plain() -> Graph:
        graph = to_graph(exported(), inputs, verify=False)
        known["fed"], known["names"] = inputs, list(graph.inputs)
        return graph

    def feeds() -> Mapping[str, Array]:
        if isinstance(known["fed"], Mapping):
            return {k: v.numpy() for k, v in known["fed"].items()}
        return {k: v.numpy() for k, v in zip(known["names"], pytree.tree_leaves(known["fed"]), strict=True)}

    def outputs() -> Sequence[Array]:
        with torch.no_grad():
            return [y.numpy() for y in _tensors(call(model, known["fed"]))]

    def gradient(seeds: Sequence[Array]) -> Mapping[str, Array]:
        for p in model.parameters():
            p.requires_grad_(False)
        caught: list[Any] = []
        fed = pytree.tree_map(lambda t: t.clone().requires_grad_() if t.is_floating_point() else t, known["fed"])
        if leaf:
            def catch(module: Any, given: Any, found: Any) -> Any:
                if not caught:
                    caught.append(found.detach().requires_grad_())
                    return caught[0]
                return found

            handle = model.get_submodule(leaf).register_forward_hook(catch)
        found = _tensors(call(model, fed))
        if leaf:
            handle.remove()
        total = sum((y * torch.from_numpy(s)).sum() for y, s in zip(found, seeds, strict=True) if y.requires_grad)
        leaves = {leaf: caught[0]} if leaf else {
            k: t for k, t in zip(known["names"], _in_order(fed, known["names"]), strict=True) if t.requires_grad}
        grads = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
        return {k: np.zeros(tuple(t.shape)) if g is None else g.numpy() for (k, t), g in zip(leaves.items(), grads)}

    def rounding(seeds: Sequence[Array]) -> tuple[float, float]:
        plain, kept = (list(outputs()), gradient(seeds)), (known["fed"], {k: p.clone() for k, p in model.named_parameters()})
        worst = [0.0, 0.0]
        for seed in range(3):
            g = torch.Generator().manual_seed(seed)
            known["fed"] = pytree.tree_map(partial(_one_ulp, g=g), kept[0])
            with torch.no_grad():
                for k, p in model.named_parameters():
                    p.copy_(_one_ulp(kept[1][k], g))
            moved = (list(outputs()), gradient(seeds))
            worst = [max(worst[0], *map(_distance, moved[0], plain[0])), max(worst[1], *(_distance(moved[1][k], v) for k, v in plain[1].items()))]
        known["fed"] = kept[0]
        model.load_state_dict(kept[1], strict=False)
        return worst[0], worst[1]

    return Subject(
        convert, feeds, outputs, gradient, rounding=rounding, leaf=leaf, float32=float32, reduced=reduced, plain=plain,
        routes={"ONNX": lambda: through_onnx(exported(), inputs)}, facts={"parameters": sum(p.numel() for p in model.parameters()), **facts})


def program_of(model: nn.Module, inputs: Any) -> Any:
    """What torch exports of the model for the batch of these inputs: the first step of ``torch.onnx.export``, too."""
    from xaicore_torch.export import quiet

    args, named = by_position(inputs)
    with quiet():
        return torch.export.export(model, args, named, strict=False)


def by_position(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments by position and by name."""
    return ((), dict(inputs)) if isinstance(inputs, Mapping) else (inputs if isinstance(inputs, tuple) else (inputs,), {})


def through_onnx(program: Any, inputs: Any) -> Graph:
    """The graph of the ONNX file that torch writes of an exported program, with its defaults."""
    from xaicore_onnx import to_graph
    from xaicore_onnx.safe import read_file
    from xaicore_torch.export import quiet

    args, named = by_position(inputs)
    with quiet():
        _four_axes(program)
        try:
            written = torch.onnx.export(program, dynamo=True)
        except torch.onnx.OnnxExporterError:                            # attention's kernel is taken apart into steps of another layout
            _contiguous(program)
            written = torch.onnx.export(program, dynamo=True)
    with TemporaryDirectory() as folder:
        written.save(f"{folder}/model.onnx", external_data=True)
        for value in written.model.graph.initializers.values():         # onnxscript's rewriting rules keep the last graph that they saw
            value.const_value = None
        return to_graph(read_file(f"{folder}/model.onnx", external_data=True), pytree.tree_map(lambda t: t.numpy(), named or args), verify=False)


def _contiguous(program: Any) -> None:
    """Puts a copy before every reshape of the program: torch makes a view of it by the layout of the attention kernel that it traces."""
    for node in program.graph.nodes:
        if node.target in (torch.ops.aten.view.default, torch.ops.aten.reshape.default):
            with program.graph.inserting_before(node):
                copy = program.graph.call_function(torch.ops.aten.clone.default, (node.args[0],), {"memory_format": torch.contiguous_format})
            copy.meta.update(node.args[0].meta)
            node.replace_input_with(node.args[0], copy)
    program.graph_module.recompile()


def _four_axes(program: Any) -> None:
    """Puts reshapes around fused attention of 3 or 5 axes (heads joined with the batch, windows beside it): the exporter takes 4 alone."""
    reshape = torch.ops.aten.reshape.default
    for node in list(program.graph.nodes):
        if node.target is not torch.ops.aten.scaled_dot_product_attention.default or node.args[0].meta["val"].ndim == 4:
            continue

        def reshaped(arg: Any, shape: Sequence[int]) -> Any:
            made = program.graph.call_function(reshape, (arg, list(shape)))
            made.meta["val"] = arg.meta["val"].reshape(*shape)
            return made

        shape = node.meta["val"].shape
        with program.graph.inserting_before(node):
            four = [reshaped(a, (math.prod(s[: max(len(s) - 3, 1)]), *(s[-3:] if len(s) > 3 else (1, *s[-2:]))))
                    for a in node.args[:4] if a is not None for s in (a.meta["val"].shape,)]
        node.args = (*four, *node.args[len(four):])
        with program.graph.inserting_after(node):
            back = program.graph.call_function(reshape, (node, list(shape)))
        back.meta["val"] = node.meta["val"]
        node.replace_all_uses_with(back)
        back.args = (node, list(shape))
        node.meta["val"] = node.meta["val"].reshape(four[0].meta["val"].shape[0], *four[0].meta["val"].shape[1:-1], shape[-1])
    program.graph_module.recompile()


def _one_ulp(t: Any, g: torch.Generator) -> Any:
    """Every entry of a floating tensor one unit in the last place up or down."""
    return t * (1 + torch.finfo(t.dtype).eps * (2 * torch.randint(0, 2, t.shape, generator=g).to(t.dtype) - 1)) if t.is_floating_point() else t


def _distance(one: Array, two: Array) -> float:
    """The largest difference over the largest entry."""
    finite = np.isfinite(two)
    return float(np.abs(np.where(finite, one - two, 0)).max() / max(np.abs(np.where(finite, two, 0)).max(), 1e-300))


def call(model: nn.Module, inputs: Any) -> Any:
    """The model on inputs by position or by name."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def _in_order(fed: Any, names: Sequence[str]) -> list[Any]:
    return [fed[k] for k in names] if isinstance(fed, Mapping) else pytree.tree_leaves(fed)


def _tensors(found: Any) -> list[Any]:
    return [y for y in pytree.tree_leaves(found) if isinstance(y, torch.Tensor)]


# ----- parameters at which an error would show --------------------------------------------------------------------


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter and running statistic drawn anew.

    At initialisation BatchNorm is the identity, biases are 0, and scales of 1e-6 or 0 switch whole blocks off, so that a converter
    that drops them would pass. Kernels N(0, 1/fan-in) (2/fan-in for convolutions), scales U(0.5, 1.5), shifts N(0, 0.1).
    """
    g = torch.Generator().manual_seed(seed)
    norms = {id(m.weight) for m in model.modules() if "Norm" in type(m).__name__ and isinstance(getattr(m, "weight", None), nn.Parameter)}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if any(k in name for k in KEPT):
                continue
            vector = p.numel() == max(p.shape, default=1)
            last = name.rpartition(".")[2]
            if id(p) in norms or (vector and bool((p == p.reshape(-1)[0]).all()) and float(p.reshape(-1)[0]) > 0):
                small = float(p.abs().max()) < 0.3                      # LayerScale
                p.copy_(torch.rand(p.shape, generator=g) * (0.6 if small else 1) + (0.2 if small else 0.5))
            elif vector:
                p.copy_(torch.randn(p.shape, generator=g) * (0.1 if "bias" in last else 0.5))
            elif "position" in last or "pos_embed" in last or "relative" in name or "bias_table" in name:
                p.copy_(torch.randn(p.shape, generator=g) * 0.3)
            else:
                p.copy_(torch.randn(p.shape, generator=g) * ((2 if p.ndim > 2 else 1) / p[0].numel()) ** 0.5)
    return model


def calibrate(model: nn.Module, inputs: Any, seed: int = 1) -> None:
    """BatchNorms take over the statistics of the samples and 14 more, jittered by 2 %.

    With drawn ones a deep network forgets its input, and with those of few other samples values grow from block to block, and rounding with
    them: 1e-13 at the input of EfficientNetV2-S was 3e-9 at its output.
    """
    g = torch.Generator().manual_seed(seed)
    inputs = pytree.tree_map(lambda t: torch.cat([t, torch.randn(14, *t.shape[1:], generator=g, dtype=t.dtype)]) if t.is_floating_point() else t,
                             inputs)
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.running_mean is not None]
    if not norms:
        return
    kept = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 1.0
        m.train()
    with torch.no_grad():
        call(model, inputs)
        for m, momentum in zip(norms, kept):
            m.momentum = momentum
            m.eval()
            m.running_mean += 0.02 * m.running_var.sqrt() * torch.randn(m.running_mean.shape, generator=g, dtype=m.running_mean.dtype)
            m.running_var *= 0.98 + 0.04 * torch.rand(m.running_var.shape, generator=g, dtype=m.running_var.dtype)


def draw(*shape: int, seed: int = 0) -> Any:
    """Samples of Gaussian noise, ``SAMPLES`` of this shape."""
    return torch.randn(SAMPLES, *shape, generator=torch.Generator().manual_seed(seed))


Build = Callable[[], nn.Module]
