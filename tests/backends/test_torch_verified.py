"""What verification of torch models catches and lets pass, and parts of models by themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, N812 (torch may be absent)
from torch import nn  # noqa: E402
from xaicore_torch import lower as lowering  # noqa: E402
from xaicore_torch import to_graph  # noqa: E402

from tests.backends.torch_cases import FORWARD, Apply, close, draw, shake  # noqa: E402
from xaicore.errors import BackendError, ConversionError, InputError, Mismatch, UnknownName  # noqa: E402
from xaicore.ops import Identity, ReLU  # noqa: E402

# ----- what verification catches --------------------------------------------------------------------------------------


def test_a_wrong_lowering_is_caught_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = shake(nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.3), nn.Linear(4, 2)))
    wrong = {**lowering.TABLE, "leaky_relu": lambda c, x, negative_slope: c.emit(ReLU(), x)}
    monkeypatch.setattr(lowering, "TABLE", wrong)
    with pytest.raises(Mismatch, match=r"node '1' \(ReLU\(\); layer 1; from aten.leaky_relu.default in LeakyReLU.*is the first that differs"):
        to_graph(model, draw(2, 3))
    assert to_graph(model, draw(2, 3), verify=False).node("1").op == ReLU()


def test_a_wrong_layout_is_caught_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(c: Any, x: Any, dims: Any) -> Any:
        return c.emit(Identity(), x, layout=x.layout.permute(dims)[0])

    monkeypatch.setattr(lowering, "TABLE", {**lowering.TABLE, "permute": careless})
    with pytest.raises(Mismatch, match=r"node 'permute'.*torch gives shape \(2, 4, 3\), the graph \(2, 3, 4\)"):
        to_graph(Apply(lambda x: x.permute(0, 2, 1)), draw(2, 3, 4))


class Rounding(torch.autograd.Function):
    """A straight-through estimator."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.round()

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g


class Swish(torch.autograd.Function):
    """A custom backward that is the derivative, to save memory."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return g * (s + x * s * (1 - s))


def half_hidden(x: Any) -> Any:
    with torch.no_grad():
        y = x * 2
    return x + y


def hooked(x: Any) -> Any:
    y = x * 2
    if y.requires_grad:
        y.register_hook(lambda g: g * 3)
    return y


@pytest.mark.parametrize("function", [lambda x: Rounding.apply(x * 3) + x, half_hidden, hooked], ids=["straight-through", "no_grad", "hook"])
def test_a_gradient_that_is_not_the_derivative_is_refused(function: Any) -> None:
    with pytest.raises(ConversionError, match=r"not the derivative.*torch\.autograd\.Function, a torch\.no_grad\(\).*or a backward hook"):
        to_graph(Apply(function), draw(2, 3))
    assert to_graph(Apply(function), draw(2, 3), verify=False)


def without_autocast(x: Any) -> Any:
    with torch.autocast("cpu", enabled=False):
        y = x.tanh() * 2
    return y + x


@pytest.mark.parametrize("function", [
    without_autocast, Swish.apply, torch.no_grad()(lambda x: x * 2), lambda x: x + (x.round() - x).detach(), lambda x: torch.utils.checkpoint.checkpoint(
        lambda y: y.tanh() * 2, x, use_reentrant=False),
], ids=["no-autocast", "custom-backward", "wholly-no_grad", "detach", "checkpoint"])
def test_gradients_that_are_the_derivative_pass(function: Any) -> None:
    graph = to_graph(Apply(function), draw(2, 3))
    x = draw(4, 3)
    close(graph(x.numpy()), function(x).numpy(), FORWARD, "forward")


class Tables(nn.Module):
    """Two tables, one of which is looked up under no_grad; with ``cut`` so is what lies behind the other."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        self.tokens, self.positions, self.head, self.cut = nn.Embedding(5, 4), nn.Embedding(3, 4), nn.Linear(4, 2), cut

    def forward(self, ids: Any) -> Any:
        with torch.no_grad():
            there = self.positions(torch.arange(3))
        x = self.tokens(ids) + there
        with torch.set_grad_enabled(not self.cut):
            y = x * 2
        return self.head(y + x)


def test_where_no_grad_matters_in_a_model_of_whole_numbers() -> None:
    ids = torch.tensor([[0, 1, 4], [3, 3, 2]])
    assert to_graph(shake(Tables(False)), ids)
    with pytest.raises(ConversionError, match="not the derivative"):
        to_graph(shake(Tables(True)), ids)


def test_forward_hooks_are_part_of_the_function() -> None:
    model = shake(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    model[1].register_forward_hook(lambda module, given, y: y * 2)
    x = draw(4, 3)
    graph = to_graph(model, x[:1])
    close(graph(x.numpy()), model(x).detach().numpy(), FORWARD, "forward")
    assert [type(n.op).__name__ for n in graph.nodes] == ["Dense", "ReLU", "Mul", "Dense"]


def test_float32_inside_a_float64_model_is_compared_as_float32() -> None:
    def function(x: Any) -> Any:
        return torch.softmax(x.float(), -1).to(x.dtype) * 3 + x

    x = draw(3, 4)
    ours, theirs = to_graph(Apply(function), x[:1])(x.numpy()), function(x).numpy()
    assert 0 < np.abs(ours - theirs).max() < 1e-6                           # the graph itself computes in float64


@pytest.mark.parametrize(("function", "kinds"), [
    (lambda x: x * 3 + torch.zeros(4, dtype=x.dtype), ["Mul", "Identity"]), (lambda x: x * 3 - 0, ["Mul", "Identity"]),
    (lambda x: x[:, :1] * 3 + torch.zeros(3, 4, dtype=x.dtype), ["Slice", "Mul", "Add"]), (lambda x: x * 3 + torch.tensor([0.0, 0, 0, 1]), ["Mul", "Add"]),
], ids=["zeros", "0", "zeros that repeat it", "not all zero"])
def test_nothing_is_added(function: Any, kinds: list[str]) -> None:
    """A sum with zeros is none: the ε-rule would stabilise it. Where zeros make it larger, it stays."""
    graph = to_graph(Apply(function), draw(2, 3, 4))
    assert [type(n.op).__name__ for n in graph.nodes] == kinds
    x = draw(3, 3, 4)
    close(graph(x.numpy()), function(x).numpy(), FORWARD, "forward")


def test_masks_of_the_lowest_number_are_masks_of_a_low_number() -> None:
    """So that differences of scores stay numbers: softmax gives the same."""
    lowest = torch.full((3, 3), torch.finfo(torch.float64).min, dtype=torch.float64).triu(1)
    graph = to_graph(Apply(lambda x: torch.softmax(x + lowest + lowest, -1)), draw(1, 3, 3))
    assert min(float(v.min()) for v in graph.params.values()) == -1e30
    x = draw(4, 3, 3)
    close(graph(x.numpy()), torch.softmax(x + lowest, -1).numpy(), FORWARD, "forward")


# ----- a part of a model ----------------------------------------------------------------------------------------------


class Detector(nn.Module):
    """A backbone with two maps, a head, and a choice of boxes that depends on the values."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head, self.unused = Pyramid(), Head(), nn.Linear(2, 2)

    def forward(self, images: Any) -> Any:
        maps = self.backbone(torch.stack(images) / 2)
        scores, boxes = self.head([maps["fine"], maps["coarse"]], scale=2.0)
        return boxes[scores > 0]


class Pyramid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, 2, 1)

    def forward(self, x: Any) -> Any:
        fine = F.relu(self.first(x))
        return {"fine": fine, "coarse": self.second(fine)}


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 5, 1)

    def forward(self, maps: Any, offset: float = 0.5, scale: float = 1.0) -> Any:
        found = torch.cat([self.conv(m).flatten(2) for m in maps], -1) * scale + offset
        return found[:, 0], found[:, 1:].mT


def test_a_detector_is_served_by_its_parts() -> None:
    model = shake(Detector())
    images = [draw(3, 8, 8), draw(3, 8, 8, seed=1)]
    with pytest.raises(ConversionError):
        to_graph(model, (images,))
    backbone = to_graph(model, (images,), submodule="backbone")
    assert backbone.outputs == ("fine", "coarse")
    x = draw(3, 3, 8, 8)
    for ours, theirs in zip(backbone(x.numpy()), model.backbone(x).values(), strict=True):
        close(ours, theirs.detach().numpy(), FORWARD, "backbone")
    head = to_graph(model, (images,), submodule="head")
    maps = model.backbone(x)
    for ours, theirs in zip(head(tuple(m.detach().numpy() for m in maps.values())), model.head(list(maps.values()), scale=2.0), strict=True):
        close(ours, theirs.detach().numpy(), FORWARD, "head")


@pytest.mark.parametrize(("path", "example", "error", "message"), [
    ("backbon", ([draw(3, 8, 8)],), UnknownName, "is no part of Detector: did you mean 'backbone'"),
    ("unused", ([draw(3, 8, 8)],), InputError, "is not called when the model runs"),
    ("backbone", None, InputError, "gets its inputs by running the whole model: give the model's example inputs"),
    ("backbone", ([draw(2, 8, 8)],), InputError, r"the model does not run on the example inputs: RuntimeError"),
])
def test_parts_that_cannot_be_converted(path: str, example: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        to_graph(shake(Detector()), example, submodule=path)


def test_a_part_that_is_called_with_no_tensor() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Apply(lambda pair: pair.x * 2)

        def forward(self, x: Any) -> Any:
            return self.inner(Pair(x))

    with pytest.raises(ConversionError, match="is called with a Pair, which is no tensor"):
        to_graph(Outer(), draw(1, 3), submodule="inner")
    with pytest.raises(BackendError, match="a part of a torch.nn.Module, not of a ExportedProgram"):
        to_graph(torch.export.export(Apply(torch.tanh), (draw(2, 3),)), submodule="inner")


class Pair:
    def __init__(self, x: Any):
        self.x = x
