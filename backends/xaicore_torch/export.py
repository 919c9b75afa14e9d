"""From a live module to an exported program that can be lowered, or to an explanation why not; and the check of its derivative.

``torch.export`` with a free batch, else with a fixed one; then ``run_decompositions({})``, which removes what is only written
differently (in-place operations, dropout at inference) and keeps layers whole.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from xaicore.errors import BackendError, ConversionError, InputError, UnknownName, nearest

HALF = (torch.float16, torch.bfloat16)

BATCHES = (13, 17, 19, 23, 29)
"""Batches for tracing with a free batch: the first that is as long as no other axis of the inputs, since torch takes a batch that is
as long as another axis for bound to it."""


def export_program(model: Any, example: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """(program, args, kwargs): the decomposed ExportedProgram and the inputs on which it can be run.

    Raises InputError for examples that cannot be used, BackendError for objects that are no models, ConversionError for
    models that have no static graph or would not be the same function twice.
    """
    if isinstance(model, torch.export.ExportedProgram):
        args, kwargs = _bind(example, model.state_dict.values()) if example is not None else model.example_inputs or ((), {})
        program = model
    else:
        _check_module(model)
        if example is None:
            raise InputError("a torch module is converted by running it: give example inputs, from_model(model, x)")
        args, kwargs = _at_least_two(*_bind(example, model.parameters()))
        program = _export_module(model, args, kwargs)
    with quiet():
        try:
            program = program.run_decompositions({})
        except Exception as error:                                        # again without a common class
            raise ConversionError(_why_not(error)) from error
    _check_program(program)
    return program, args, kwargs


def unwrapped(model: Any) -> Any:
    """The module itself, out of DataParallel and torch.compile, which compute the same under other names."""
    while isinstance(model, (nn.DataParallel, torch._dynamo.OptimizedModule)):
        model = model.module if isinstance(model, nn.DataParallel) else model._orig_mod
    return model


def part_of(model: Any, path: str, example: Any) -> tuple[nn.Module, Any]:
    """(the submodule, the arguments of its first call when the whole model runs on the example)."""
    if not isinstance(model, nn.Module):
        raise BackendError(f"submodule={path!r} is the path of a part of a torch.nn.Module, not of a {type(model).__name__}")
    parts = dict(model.named_modules())
    if path not in parts:
        raise UnknownName(f"submodule={path!r} is no part of {type(model).__name__}: {nearest(path, parts)}")
    if example is None:
        raise InputError(f"submodule={path!r} gets its inputs by running the whole model: give the model's example inputs")
    args, kwargs = _bind(example, model.parameters())
    caught: list[Any] = []
    handle = parts[path].register_forward_pre_hook(lambda _, a, k: caught.append((a, k)), with_kwargs=True)
    try:
        with torch.no_grad(), quiet():
            model(*args, **kwargs)
    except Exception as error:                                          # the user's model on the user's example
        raise InputError(f"the model does not run on the example inputs: {type(error).__name__}: {str(error).strip()[:300]}") from error
    finally:
        handle.remove()
    if not caught:
        raise InputError(f"submodule={path!r} is not called when the model runs on the example inputs; name a module whose own forward is")
    given, named = caught[0]
    plain = (torch.Tensor, bool, int, float, str, type(None))
    others = [type(v).__name__ for v in pytree.tree_leaves((given, named)) if not isinstance(v, plain)]
    if others:
        raise ConversionError(f"submodule={path!r} is called with a {others[0]}, which is no tensor; choose a part that takes only tensors")
    if not given:
        return parts[path], named
    return parts[path], (*given, *_positional(parts[path], named, len(given)))


def _positional(part: nn.Module, named: Mapping[str, Any], taken: int) -> list[Any]:
    """Keyword arguments of a call in the order of forward's parameters, behind those that were given by position."""
    if not named:
        return []
    rest = list(inspect.signature(part.forward).parameters.values())[taken:]
    last = max(k for k, p in enumerate(rest) if p.name in named)
    return [named.get(p.name, p.default) for p in rest[: last + 1]]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps the framework's warnings, logs and prints about its own workings away from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


# ----- the example ------------------------------------------------------------------------------------------------


def _bind(example: Any, parameters: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments out of one tensor, a tuple of arguments, or a mapping by argument name."""
    floats = [p.dtype for p in parameters if p.is_floating_point()]
    dtype = floats[0] if floats else torch.get_default_dtype()

    def tensor(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(value.copy())
            return value.to(dtype) if value.is_floating_point() else value
        return value.detach() if isinstance(value, torch.Tensor) else value

    if isinstance(example, Mapping):
        return (), {str(k): pytree.tree_map(tensor, v) for k, v in example.items()}
    args = tuple(example) if isinstance(example, (tuple, list)) else (example,)
    return tuple(pytree.tree_map(tensor, one) for one in args), {}


def _repeated(value: Any, batch: int) -> Any:
    """The samples of a tensor over and over, up to ``batch``."""
    return value[torch.arange(batch) % len(value)] if isinstance(value, torch.Tensor) else value


def _at_least_two(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The example with its one sample doubled, or as it is; the batch of all tensors must agree.

    With one sample torch cannot tell the batch from any other axis of 1, and takes it for fixed.
    """
    shapes = [tuple(t.shape) for t in pytree.tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
    if not shapes:
        raise InputError("the example holds no tensor; give what model(...) takes, such as a float tensor (N, C, H, W)")
    if () in shapes:
        raise InputError("an example input is a tensor without axes; axis 0 of every input is the batch. Bind it inside a wrapper module")
    sizes = {shape[0] for shape in shapes}
    if len(sizes) > 1:
        raise InputError(
            f"the example inputs have shapes {', '.join(map(str, shapes))}, which differ on axis 0, but it is the batch of every "
            f"input. If one of them has no batch, or has it elsewhere, wrap the model in a module that binds or moves it"
        )
    if 0 in sizes:
        raise InputError("the example inputs are an empty batch; give one sample at least")
    if sizes != {1}:
        return args, kwargs
    return pytree.tree_map(lambda v: _repeated(v, 2), args), pytree.tree_map(lambda v: _repeated(v, 2), kwargs)


# ----- exporting --------------------------------------------------------------------------------------------------


def _export_module(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with quiet():
        try:
            return _trace(model, args, kwargs, free_batch=True)
        except Exception:                                         # a model that fixes its batch: torch has no common class of error for it
            pass
        try:
            return _trace(model, args, kwargs, free_batch=False)
        except Exception as error:
            reason = error
    raise ConversionError(_why_not(reason)) from reason


def _trace(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], free_batch: bool) -> Any:
    if not free_batch:
        return torch.export.export(model, args, kwargs, strict=False)
    others = {n for t in pytree.tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor) for n in t.shape[1:]}
    batch = next((n for n in BATCHES if n not in others), BATCHES[0])
    args, kwargs = (pytree.tree_map(lambda v: _repeated(v, batch), one) for one in (args, kwargs))
    shapes = torch.export.ShapesCollection()
    for value in pytree.tree_leaves((args, kwargs)):
        if isinstance(value, torch.Tensor):
            shapes[value] = {0: torch.export.Dim("batch", min=2)}
    return torch.export.export(model, args, kwargs, dynamic_shapes=shapes, strict=False)


def _why_not(error: Exception) -> str:
    text = str(error).strip().split("\n")[0][:300]
    kind = type(error).__name__
    if "DataDependent" in kind or "data-dependent" in text.lower():
        return (
            f"the model's forward decides by the values of tensors ({text}), so it has no static graph. Replace `if` by torch.where, "
            f"or convert the part without the decision: from_model(model.backbone, x)"
        )
    if ".numpy()" in text:
        return f"the model's forward leaves torch ({text}), so it cannot be traced. Write that step with torch functions"
    return (
        f"torch.export could not trace the model: {kind}: {text}. Check that model(*example) runs and that forward is a fixed sequence of "
        f"torch functions; otherwise convert a submodule"
    )


# ----- refusals ---------------------------------------------------------------------------------------------------


def _check_module(model: Any) -> None:
    """Refuses what is no module, is compiled to a script, is quantised, has half precision, or is in training mode."""
    if isinstance(model, torch.jit.ScriptModule):
        raise BackendError(
            "a ScriptModule (torch.jit) keeps no Python module to export; convert the module that it was made from, "
            "or save it as ONNX and load that file"
        )
    if not isinstance(model, nn.Module):
        raise BackendError(f"a torch.nn.Module or a torch.export.ExportedProgram is expected, not {type(model).__name__}")
    for name, part in model.named_modules():
        kind = type(part)
        if "quantized" in kind.__module__:
            raise ConversionError(
                f"module {name!r} is quantised ({kind.__module__}.{kind.__name__}); attribution needs the floating-point model: "
                f"convert the model as it was before quantisation"
            )
        if isinstance(part, nn.CrossMapLRN2d):
            raise ConversionError(
                f"{f'module {name!r}' if name else 'the model'} is a CrossMapLRN2d, which in torch is neither its formula (channel 0 never "
                f"leaves its windows) nor has its own derivative (its backward lets it leave); use LocalResponseNorm({part.size}, "
                f"{part.alpha}, {part.beta}, {part.k}), the same formula"
            )
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        if value.device.type != "cpu":
            raise ConversionError(
                f"parameter {name!r} is on the device {value.device}; a graph is made of values that NumPy can read: use model.cpu()"
                + (", after the weights were loaded (a parameter on 'meta' has none)" if value.device.type == "meta" else "")
            )
        if value.dtype in HALF:
            raise ConversionError(f"parameter {name!r} is {value.dtype}; half precision is not converted: use model.float()")
        if value.is_complex():
            raise ConversionError(f"parameter {name!r} is {value.dtype}; complex numbers are not supported")
    noisy = [(n, type(m).__name__) for n, m in model.named_modules() if m.training and _differs_in_training(m)]
    if noisy:
        shown = ", ".join(f"{n or 'the model'} ({kind})" for n, kind in noisy[:3])
        raise ConversionError(
            f"the model is in training mode, where {shown}{' and others' if len(noisy) > 3 else ''} would draw at random or look at the "
            f"whole batch; call model.eval() first (it is not done for you, since it changes your model)"
        )


def _differs_in_training(part: nn.Module) -> bool:
    if isinstance(part, (nn.modules.dropout._DropoutNd, nn.MultiheadAttention)):
        return bool(getattr(part, "p", 0) or getattr(part, "dropout", 0))
    if isinstance(part, nn.modules.instancenorm._InstanceNorm):
        return bool(part.track_running_stats)
    return isinstance(part, (nn.modules.batchnorm._NormBase, nn.RReLU))


def _check_program(program: Any) -> None:
    """Refuses programs that write buffers, draw at random, or compute in half or complex numbers."""
    written = program.graph_signature.buffers_to_mutate
    if written:
        raise ConversionError(
            f"the model's forward writes its buffer {next(iter(written.values()))!r}, so it is not the same function twice; call "
            f"model.eval(), or remove the counter or cache from forward"
        )
    for node in program.graph.nodes:
        tags = getattr(node.target, "tags", ())
        if torch.Tag.nondeterministic_seeded in tags and not _draws_nothing(node):
            raise ConversionError(
                f"{node.target} (node {node.name!r}) draws at random, so the model is not a function of its input; call model.eval(), or "
                f"make the random tensor an input or a buffer"
            )
        for value in pytree.tree_leaves(node.meta.get("val")):
            dtype = getattr(value, "dtype", None)
            if dtype in HALF:
                raise ConversionError(
                    f"{node.target} (node {node.name!r}) computes in {dtype}; half precision is not converted: use model.float(), and no "
                    f"torch.autocast inside forward"
                )
            if dtype is not None and dtype.is_complex:
                raise ConversionError(f"{node.target} (node {node.name!r}) computes in {dtype}; complex numbers are not supported")


def _draws_nothing(node: Any) -> bool:
    """Random by its tag, not by its arguments: rrelu and lstm at inference, attention without dropout."""
    values = {a.name: a.default_value for a in node.target._schema.arguments if a.has_default_value()}
    values.update(zip((a.name for a in node.target._schema.arguments), node.args))
    values.update(node.kwargs)
    return any(name in values and not values[name] for name in ("training", "train", "dropout", "dropout_p"))


# ----- the derivative ---------------------------------------------------------------------------------------------

GRADIENT_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-2}
"""Of the largest entry. Both sides run the same kernels, so they differ by rounding (in a deep float32 network some 1e-3 after the
backward pass); another backward differs by the size of the gradient itself."""


def check_derivative(model: nn.Module, program: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuses a model whose autograd gradient is not the derivative of what it computes.

    A custom ``torch.autograd.Function`` and ``torch.no_grad()`` inside forward leave no trace in an exported program; a
    straight-through estimator would be converted to something with another gradient than the user's. A forward that is
    wholly under no_grad has no gradient to compare with, and passes; so does one whose exported program torch cannot
    differentiate (it assigns to slices, writes its input in place, or attention's kernel for gradients lays its result out otherwise).
    """
    with quiet():
        try:
            theirs = _gradients(model, args, kwargs)
            ours = _gradients(program.module(), args, kwargs)
        except RuntimeError as error:
            if not any(known in str(error) for known in ("derivative for", "inplace operation", "view size is not compatible")):
                raise
            return
    for one, two in zip(theirs or (), ours or ()):
        if one is None:                                                 # a table that is looked up under no_grad lies before nothing
            continue
        two = torch.zeros_like(one) if two is None else two
        allowed = GRADIENT_TOLERANCE.get(one.dtype, 1e-2) * max(float(one.abs().max()), float(two.abs().max()))
        rounding = 1e3 * torch.finfo(one.dtype).eps                     # where gradients cancel to nothing, this is what is left of them
        if float((one - two).abs().max()) > allowed + rounding:
            raise ConversionError(
                "the model's autograd gradient is not the derivative of what its forward computes: there is a custom "
                "torch.autograd.Function, a torch.no_grad() inside forward or a backward hook, which torch.export drops. Write it with "
                "tensor.detach() (a straight-through rounding is x + (x.round() - x).detach()), or convert with verify=False "
                "to explain the function as it is computed"
            )


def _gradients(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any] | None:
    """The gradient of a fixed weighted sum of the outputs, at the floating inputs, or at the parameters if there are none.

    None for a parameter that no gradient reaches: what stood between it and the output shows at the parameters before it.
    """
    leaves: list[Any] = []

    def leaf(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            leaves.append(value.detach().clone().requires_grad_())
            return leaves[-1].clone()                                    # forward may write its input in place
        return value

    with torch.enable_grad():
        inputs = pytree.tree_map(leaf, (args, kwargs))
        by_parameter = not leaves
        params = {k: leaf(v) if by_parameter else v.detach() for k, v in model.named_parameters()}
        outputs = torch.func.functional_call(model, params, *inputs)
        total = None
        for y in pytree.tree_leaves(outputs):
            if isinstance(y, torch.Tensor) and y.requires_grad:
                weights = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).reshape(y.shape)
                total = (y * weights).sum() + (0 if total is None else total)
        if total is None:
            return None
        total.backward()
    return [torch.zeros_like(one) if one.grad is None and not by_parameter else one.grad for one in leaves]
