"""The torch backend against torch: every operator forward and backward, the names that it gives, what it refuses and what it catches."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, N812 (torch may be absent)
from torch import nn  # noqa: E402
from xaicore_torch import lower as lowering  # noqa: E402
from xaicore_torch import recurrent, to_graph  # noqa: E402
from xaicore_torch.export import quiet  # noqa: E402

from tests.backends.common import GradientPlan  # noqa: E402
from tests.backends.torch_cases import FAMILIES, Family, shake  # noqa: E402
from xaicore.errors import BackendError, ConversionError, InputError, Mismatch, NothingChecked, UnknownName, XaicoreError  # noqa: E402
from xaicore.ops import Dense, Identity, LocalResponseNorm, ReLU, Shrink, Sigmoid, Softsign  # noqa: E402
from xaicore.trace import backward, forward  # noqa: E402

FORWARD, GRADIENT = 1e-9, 1e-8
"""Of the largest entry, in float64. One operator rounds by some 1e-15; what is left is room for sums over windows and rows."""

LESS_PRECISE = {"hardsigmoid": 1e-7}
"""torch's own derivative of hardsigmoid has 1/6 rounded to float32, which is 3e-8 off."""

SAMPLES = 5


def draw(*shape: int, seed: int = 0) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Apply(nn.Module):
    """A function as a model."""

    def __init__(self, function: Any):
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def close(ours: np.ndarray, theirs: np.ndarray, tolerance: float, what: str) -> None:
    assert ours.shape == theirs.shape, what
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max(), what


# ----- operators ------------------------------------------------------------------------------------------------------


@functools.cache
def converted(family: str) -> tuple[Any, Any, Any, Mapping[str, Any]]:
    """The family's graph, its trace at an input with another batch than it was converted with, that input, and torch's outputs."""
    shape, parts = FAMILIES[family]
    model = shake(Family(parts))
    graph = to_graph(model, draw(2, *shape, seed=1))
    x = draw(SAMPLES, *shape).requires_grad_()
    return graph, forward(graph, {"x": x.detach().numpy()}), x, model(x)


every = pytest.mark.parametrize(("family", "part"), [(f, p) for f, (_, parts) in FAMILIES.items() for p in parts])


@every
def test_operator(family: str, part: str) -> None:
    graph, trace, x, outputs = converted(family)
    k, theirs = list(outputs).index(part), outputs[part]
    ours = trace[graph.outputs[k]]
    close(ours, theirs.detach().numpy(), FORWARD, "forward")
    assert np.abs(ours[0] - ours[1]).max() > 1e-3 * np.abs(ours).max(), "the output hardly depends on the input, so nothing was tested"
    seed = draw(*theirs.shape, seed=2)
    expected = np.zeros(tuple(x.shape))
    if theirs.requires_grad:
        (gradient,) = torch.autograd.grad(theirs, x, seed, retain_graph=True)
        expected = gradient.numpy(force=True)
    found = np.zeros(tuple(x.shape))
    if trace.carries(graph.outputs[k]):
        found = backward(trace, GradientPlan(), {graph.outputs[k]: seed.numpy()}).values["x"]
    close(found, expected, LESS_PRECISE.get(part, GRADIENT), "gradient")


CORE = {
    "products": ("linear", "linear_plain", "matmul_both", "attention", "layer_norm", "group_norm", "batch_norm"), "reductions": ("var", "amax"),
    "windows": ("conv_settings", "conv_transpose", "max_pool_overlap", "adaptive_avg", "as_volume"), "activations": ("softmax", "log_softmax", "glu", "silu"),
    "pointwise": ("logical", "bitwise", "masked_fill"), "shapes": ("pad", "split", "bilinear", "upsample", "exact", "assigned", "t"),
}


@functools.cache
def core() -> tuple[Any, Any, Any]:
    """A model, its program decomposed to core operators (addmm, convolution, native_layer_norm ...), and the graph of that."""
    model = shake(Family({k: FAMILIES[family][1][k] for family, names in CORE.items() for k in names}))
    with quiet():
        program = torch.export.export(model, (draw(2, 4, 6, 7),), dynamic_shapes={"x": {0: torch.export.Dim("batch")}})
        program = program.run_decompositions()
    return model, program, to_graph(program)


def test_a_program_that_was_decomposed_to_core_operators_is_the_same_function() -> None:
    """What a saved program may hold, and what this backend itself does not ask for."""
    model, _, graph = core()
    x = draw(SAMPLES, 4, 6, 7)
    for ours, (name, theirs) in zip(graph(x.numpy()), model(x).items(), strict=True):
        close(ours, theirs.detach().numpy(), FORWARD, name)


class Watched(dict[str, Any]):
    """A table that knows which of its rows were used."""

    used: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.used.add(key)
        return super().__getitem__(key)


@pytest.fixture(autouse=True, scope="module")
def _watched() -> Any:
    patch = pytest.MonkeyPatch()
    patch.setattr(lowering, "TABLE", Watched(lowering.TABLE))
    yield
    patch.undo()


def test_the_same_operators_in_float32() -> None:
    """The tolerance is that of ``verify``: some 1e3 roundings of 6e-8."""
    shape, parts = FAMILIES["windows"]
    model = shake(Family(parts)).float()
    x = draw(2, *shape).float()
    graph = to_graph(model, x, dtype="float32")
    assert {v.dtype for v in graph.params.values() if v.dtype.kind == "f"} == {np.dtype("float32")}
    for ours, theirs in zip(graph(x.numpy()), model(x).values(), strict=True):
        close(ours, theirs.detach().numpy(), 1e-4, "forward")


def test_an_exact_graph_has_the_rational_value_of_the_weights() -> None:
    model = shake(nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 2)))
    graph = to_graph(model, draw(1, 1, 3, 3), dtype="exact")
    assert graph.dtype == "exact"
    x = np.arange(9).reshape(1, 1, 3, 3)
    exact = np.array([[float(v) for v in row] for row in graph(x)])
    np.testing.assert_allclose(exact, model(torch.from_numpy(x).double()).detach().numpy(), rtol=1e-13)   # two roundings of float64


@pytest.mark.parametrize(("function", "op"), [
    (lambda x: x / (1 + x.abs()), Softsign), (nn.Softsign(), Softsign), (nn.LocalResponseNorm(3), LocalResponseNorm), (nn.Hardshrink(), Shrink), (nn.Softshrink(), Shrink), (F.sigmoid, Sigmoid),
])
def test_what_torch_takes_apart_is_put_together_again(function: Any, op: type) -> None:
    graph = to_graph(Apply(function), draw(2, 4, 3, 3))
    assert [type(n.op) for n in graph.nodes] == [op]


# ----- names ----------------------------------------------------------------------------------------------------------


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
        self.act = nn.ReLU()

    def forward(self, x: Any) -> Any:
        return self.act(x + self.body(self.act(x)))


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Block()
        self.scale = nn.Parameter(torch.ones(4))
        self.register_buffer("shift", torch.ones(4))

    def forward(self, pixels: Any) -> Any:
        return torch.tanh(self.block(pixels)) * self.scale + self.shift


def test_nodes_are_named_after_modules_and_know_where_they_come_from() -> None:
    graph = to_graph(shake(Named()), draw(2, 4))
    assert list(graph.inputs) == ["pixels"]
    assert [n.name for n in graph.nodes] == ["block.act", "block.body.0", "block.body.1", "block.body.2", "block/add", "block.act@2", "tanh", "mul", "add"]
    assert [n.layer for n in graph.nodes] == ["block.act", "block.body.0", "block.body.1", "block.body.2", "block", "block.act", "", "", ""]
    assert set(graph.params) == {"block.body.0.weight", "block.body.0.bias", "block.body.2.weight", "block.body.2.bias", "scale", "shift"}
    assert re.fullmatch(r"aten\.linear\.default in Linear, test_torch\.py:\d+", graph.node("block.body.0").origin)
    assert re.fullmatch(r"aten\.add\.Tensor in Block, test_torch\.py:\d+", graph.node("block/add").origin)


def test_a_module_of_several_steps_gives_its_name_to_the_last() -> None:
    graph = to_graph(shake(nn.Sequential(nn.Linear(3, 3), nn.Tanhshrink())), draw(2, 3))
    assert [n.name for n in graph.nodes] == ["0", "1/tanh", "1"]
    assert {n.layer for n in graph.nodes[1:]} == {"1"}


def test_attention_is_named_after_the_modules_whose_weights_it_uses() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2)

        def forward(self, x: Any) -> Any:
            x = x.transpose(0, 1)
            return self.attention(x, x, x, need_weights=False)[0].transpose(0, 1)

    graph = to_graph(shake(Model()), draw(2, 3, 4))
    assert [(n.name, n.layer) for n in graph.nodes if isinstance(n.op, Dense)] == [
        ("attention/linear", "attention"), ("attention.out_proj", "attention.out_proj")]
    assert {n.layer for n in graph.nodes} == {"attention", "attention.out_proj"}


def test_a_parameter_and_an_input_of_the_same_name() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = nn.Parameter(torch.ones(3))

        def forward(self, x: Any) -> Any:
            return x * self.x

    graph = to_graph(shake(Model()), draw(2, 3))
    assert (list(graph.inputs), list(graph.params)) == (["x"], ["self.x"])


def test_tied_weights_are_there_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = nn.Linear(3, 3), nn.Linear(3, 3)
            self.decoder.weight = self.encoder.weight

        def forward(self, x: Any) -> Any:
            return self.decoder(self.encoder(x).relu())

    graph = to_graph(shake(Tied()), draw(2, 3))
    assert set(graph.params) == {"encoder.weight", "encoder.bias", "decoder.bias"}
    assert graph.node("decoder").inputs[1] == graph.node("encoder").inputs[1] == "encoder.weight"


# ----- inputs and outputs ---------------------------------------------------------------------------------------------


class Many(nn.Module):
    """Inputs positional, variadic, by keyword and nested; outputs a dict with a list, a number and None."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 3)

    def forward(self, x: Any, *more: Any, mask: Any = None, options: Any = None, double: bool = False) -> Any:
        h = self.a(x) * mask
        for one in more:
            h = h + one
        h = h * 2 if double else h
        return {"h": h, "parts": [h.sum(1), options["z"]], "x": x * 2, "size": x.shape[1], "none": None}


def test_several_inputs_and_outputs() -> None:
    model = shake(Many())
    x, y, z = draw(2, 3), draw(2, 3, seed=1), draw(2, 2, seed=2)
    call = {"x": x, "mask": x > 0, "options": {"z": z}, "double": True}
    graph = to_graph(model, call)
    assert {k: (v.shape, v.kind) for k, v in graph.inputs.items()} == {
        "x": ((None, 3), "float"), "mask": ((None, 3), "bool"), "options_z": ((None, 2), "float")}
    assert graph.outputs == ("h", "parts.0", "parts.1", "output.x")    # an input is called x
    theirs = model(**call)
    ours = graph(x=x.numpy(), mask=(x > 0).numpy(), options_z=z.numpy())
    for one, two in zip(ours, (theirs["h"], *theirs["parts"], theirs["x"]), strict=True):
        close(one, two.detach().numpy(), FORWARD, "output")
    assert list(to_graph(Apply(lambda v: v[0] + v[1]), ([x, y],)).inputs) == ["x_0", "x_1"]
    assert list(to_graph(Variadic(), (x, y)).inputs) == ["xs_0", "xs_1"]


class Variadic(nn.Module):
    def forward(self, *xs: Any) -> Any:
        return xs[0] * xs[1], xs[0]


def test_an_output_that_is_an_input_and_one_that_is_constant() -> None:
    graph = to_graph(Apply(lambda x: (x, x * 2, torch.arange(3.0))), draw(2, 3))
    assert graph.outputs[0] == "x"
    one, two, three = graph(np.ones((4, 3)))
    assert (one * 2 == two).all()
    assert three.tolist() == [0, 1, 2]


def test_the_batch_is_free_or_fixed() -> None:
    free = to_graph(nn.Linear(3, 2).double(), draw(1, 3))                # one sample is enough
    assert free.inputs["input"].shape == (None, 3)
    assert free(draw(7, 3).numpy()).shape == (7, 2)
    fixed = to_graph(Apply(lambda x: torch.cat([x, torch.zeros(len(x), 1)], 1)), draw(3, 2))   # len() fixes it
    assert fixed.inputs["x"].shape == (3, 2)
    assert fixed(draw(3, 2).numpy()).shape == (3, 3)
    with pytest.raises(XaicoreError, match="converted with a fixed batch"):
        fixed(draw(4, 2).numpy())


def test_a_number_read_from_a_parameter_is_a_constant() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.temperature = nn.Parameter(torch.tensor(2.5))

        def forward(self, x: Any) -> Any:
            return x / self.temperature.item()

    np.testing.assert_allclose(to_graph(Scaled().eval(), draw(2, 3))(np.ones((1, 3))), [[0.4] * 3], rtol=1e-15)


def test_each_sample_takes_an_entry_of_its_own() -> None:
    """As language models take their last token."""
    def function(x: Any) -> Any:
        return x[torch.arange(x.shape[0]), x[:, :, 0].argmax(1)]

    x = draw(5, 4, 3).requires_grad_()
    graph = to_graph(Apply(function), draw(1, 4, 3))
    seed = draw(5, 3, seed=2)
    expected = torch.autograd.grad(function(x), x, seed)[0].numpy()
    trace = forward(graph, {"x": x.detach().numpy()})
    close(trace[graph.outputs[0]], function(x).detach().numpy(), FORWARD, "forward")
    close(backward(trace, GradientPlan(), {graph.outputs[0]: seed.numpy()}).values["x"], expected, GRADIENT, "gradient")
    with pytest.raises(ConversionError, match="several arrays of positions"):
        to_graph(Apply(lambda x: x[torch.arange(x.shape[0]).flip(0), x[:, :, 0].argmax(1)]), draw(1, 4, 3))


def test_bounds_that_bound_nothing() -> None:
    class Bounded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("low", torch.tensor(-torch.inf))
            self.register_buffer("high", torch.tensor(torch.inf))

        def forward(self, x: Any) -> Any:
            return (x * 2).clamp(self.low, self.high).clamp(self.low, 0.5)

    graph = to_graph(Bounded().double(), draw(2, 3))
    assert [str(n.op) for n in graph.nodes] == ["Mul()", "Clip(high=0.5)"]
    assert not graph.params.keys() & {"low", "high"}


def test_whole_numbers_and_booleans_stay_what_they_are() -> None:
    """Position ids counted from a mask, as language models do, then looked up; sums of booleans as floats."""
    table = draw(9, 2)

    def function(ids: Any) -> Any:
        here = ids != 0
        places = (here.sum(1, keepdim=True) - torch.abs(ids - 4)).clamp(min=0) * here
        return F.embedding(places, table), here.sum(1, dtype=torch.float64) * 0.5, here.float().mean(1), -ids

    ids = torch.tensor([[1, 5, 0, 0], [3, 3, 7, 2], [8, 0, 1, 4]])
    graph = to_graph(Apply(function), ids[:2])
    for dtype in ("float64", "float32"):
        for ours, theirs in zip(graph.astype(dtype)(ids.numpy()), function(ids), strict=True):
            assert (ours.dtype.kind == "f") == theirs.is_floating_point()
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6)     # float32


def test_numpy_examples_take_the_dtype_of_the_model() -> None:
    graph = to_graph(nn.Linear(3, 2).eval(), np.ones((1, 3)))
    assert graph.dtype == "float64"


def test_wrappers_are_looked_through() -> None:
    model = shake(nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
    plain = to_graph(model, draw(2, 3))
    for wrapped in (nn.DataParallel(model), torch.compile(model, backend="eager")):
        assert to_graph(wrapped, draw(2, 3)).nodes == plain.nodes


def test_outputs_have_their_batch_first_wherever_the_model_has_it() -> None:
    model = Apply(lambda x: (x.transpose(0, 1) * 2, x.flatten(0, 1) + 1))
    x = draw(3, 4, 5).numpy()
    turned, merged = to_graph(model, draw(2, 4, 5))(x)
    np.testing.assert_array_equal(turned, x * 2)
    np.testing.assert_array_equal(merged, x + 1)


def test_conversion_leaves_model_and_random_state_alone() -> None:
    model = shake(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True)))
    model[0].weight.requires_grad_(False)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.random.get_rng_state()
    x = draw(2, 1, 5, 5)
    kept = x.clone()
    to_graph(model, x)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(x, kept)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True]


def test_an_exported_program_from_a_file(tmp_path: Any) -> None:
    model = shake(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    x = draw(2, 3)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, tmp_path / "model.pt2")
    loaded = torch.export.load(tmp_path / "model.pt2")
    graph = to_graph(loaded, draw(4, 3))
    close(graph(x.numpy()), model(x).detach().numpy(), FORWARD, "loaded")
    assert [n.name for n in graph.nodes] == ["0", "1", "2"]
    program._example_inputs = None
    with pytest.raises(NothingChecked, match="holds no example inputs"):
        to_graph(program)
    assert to_graph(program, verify=False).nodes == graph.nodes


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


# ----- refusals -------------------------------------------------------------------------------------------------------


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return x * self.calls


def hidden_autocast(x: Any) -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):                   # which leaves float64 alone
        return x.float() @ torch.ones(3, 3)


def branching(x: Any) -> Any:
    return x * 2 if x.sum() > 0 else x


REFUSED = {
    # models of another kind, or in another state
    "dropout": (nn.Sequential(nn.Linear(3, 3), nn.Dropout()).train(), r"training mode, where 1 \(Dropout\).*call model\.eval\(\) first"),
    "batch_norm": (nn.BatchNorm1d(3).train(), r"training mode, where the model \(BatchNorm1d\)"),
    "attention": (nn.TransformerEncoderLayer(3, 1).train(), r"self_attn \(MultiheadAttention\).* and others"),
    "device": (nn.Linear(3, 3, device="meta"), r"parameter 'weight' is on the device meta.*use model\.cpu\(\).*a parameter on 'meta' has none"),
    "half": (nn.Linear(3, 3).half(), r"parameter 'weight' is torch\.float16.*model\.float\(\)"),
    "autocast": (Apply(hidden_autocast), r"computes in torch\.bfloat16.*no torch\.autocast inside forward"),
    "complex": (Apply(lambda x: torch.fft.fft(x).real), r"computes in torch\.complex"),
    "counter": (Counter(), "writes its buffer 'calls', so it is not the same function twice"),
    "unseen_dropout": (Apply(lambda x: F.dropout(x, 0.5, True)), r"draws at random.*call model\.eval\(\)"),
    "noise": (Apply(lambda x: x + torch.rand_like(x)), r"aten\.rand_like.*draws at random"),
    # no static graph
    "branch": (Apply(branching), r"decides by the values of tensors.*Replace `if` by torch\.where"),
    "item": (Apply(lambda x: x * x[0, 0].item()), "works along axis 0"),
    "mask": (Apply(lambda x: x[x > 0]), "several axes gives a result of no fixed shape|depend on the model's input"),
    "nonzero": (Apply(lambda x: x * x.nonzero().shape[0]), "depends on the values of tensors|not supported"),
    "numpy": (Apply(lambda x: x * float(x.detach().numpy().sum())), r"leaves torch \(\.numpy\(\).*Write that step with torch functions"),
    "crash": (Apply(lambda x: x @ x), r"torch\.export could not trace the model: .*Check that model\(\*example\) runs"),
    # operators
    "unknown": (Apply(lambda x: torch.special.bessel_j0(x)), r"aten\.special_bessel_j0\.default in Apply, test_torch\.py:\d+ \(node 'special_bessel_j0', "
                                                             r"the model's own forward\): this operator is not supported.*convert a submodule"),
    "unknown_inside": (nn.Sequential(nn.Linear(3, 3), Apply(torch.special.bessel_j1)), r"aten\.special_bessel_j1\.default .*\(node 'special_bessel_j1', module '1'\)"),
    "positions": (Apply(lambda x: x * x.argmax()), r"counts the samples of the batch in; give the axis"),
    "pool_positions": (Apply(lambda x: F.adaptive_max_pool1d(x[:, None], 2, return_indices=True)[1]), "the positions of the maxima of an adaptive pool"),
    "scatter_reduce": (Apply(lambda x: x.scatter(1, torch.zeros(len(x), 1).long(), 2.0, reduce="multiply")), "scatter with reduce='multiply' is not supported"),
    "uneven_bags": (Apply(lambda x: F.embedding_bag((x > 0).long().flatten(), torch.ones(2, 4), torch.tensor([0, 1]))), "bags of different sizes"),
    "power": (Apply(lambda x: x.abs() ** x), "base and exponent both depend on the input"),
    "base": (Apply(lambda x: (-2.0) ** x), "a power of -2.0"),
    "kernel": (Apply(lambda x: F.conv1d(torch.ones(2, 1, 5, dtype=torch.float64), x[:, None])), "the first argument does not depend|the kernel"),
    "table": (Apply(lambda x: F.embedding((x > 0).long(), x)), "the table depends on the model's input"),
    "index": (Apply(lambda x: F.embedding(torch.tensor([0, 1]), x)), "the index does not depend on the model's input"),
    "grouped_queries": (Apply(lambda x: F.scaled_dot_product_attention(*[x[:, None, None, :, None]] * 3, enable_gqa=True)), "enable_gqa"),
    "norm_order": (Apply(lambda x: torch.linalg.vector_norm(x, 0.5, 1)), r"the 0\.5-norm is not supported; orders from 1"),
    "whole_division": (Apply(lambda x: x * (x.long() // 2)), "rounding_mode 'floor' of torch.int64"),
    # samples that mix
    "batch_statistics": (nn.BatchNorm1d(3, track_running_stats=False).eval(), "not by stored ones, so samples may mix"),
    "batch_mean": (Apply(lambda x: x - x.mean(0)), r"aten\.mean\.dim.*along axis 0 of a value of shape \(N, 3\), where the batch is"),
    "batch_sum": (Apply(lambda x: x / x.sum()), "along axis 0"),
    "batch_softmax": (Apply(lambda x: x.softmax(0)), r"aten\.softmax\.int.*mixes samples"),
    "batch_pairs": (Apply(lambda x: x @ x.T), r"is a row or column of a matrix \(N, 3\)"),
    "batch_pairs_added": (Apply(lambda x: x[:, :1] + x[:, :1].T), "where the batch N of one meets another axis"),
    "batch_einsum": (Apply(lambda x: torch.einsum("ni,mi->nm", x, x)), "pairs samples with each other"),
    "batch_roll": (Apply(lambda x: x.roll(1, 0)), "along axis 0"),
    "flat_roll": (Apply(lambda x: x.roll(1)), "roll without dims|tears the batch"),
    "batch_reshape": (Apply(lambda x: x.reshape(-1).reshape(6, -1) * 2), r"reshapes \(N \* 6,\) to \(6, N\), which tears the batch N apart"),
    "one_sample": (Apply(lambda x: x[0] * 2), "along axis 0"),
    "batch_size": (Apply(lambda x: x / x.shape[0]), "the size of the batch enters the computation"),
    "batch_size_root": (Apply(lambda x: x / x.shape[0] ** 0.5), "the size of the batch enters the computation"),
    "batch_size_filled": (Apply(lambda x: x * torch.full((3,), x.shape[0], dtype=x.dtype)), "depends on the size of the batch"),
    "batch_positions": (Apply(lambda x: x + torch.arange(x.shape[0], dtype=x.dtype)[:, None]), "differs from sample to sample of the batch"),
    "batch_as_axis": (Apply(lambda x: torch.zeros(2, x.shape[0], dtype=x.dtype).sum(1).sum() + x.unsqueeze(1).expand(-1, x.shape[0], -1)),
                      "size of the batch on another axis|depends on the size of the batch"),
    "unbatched": (nn.Conv2d(2, 3, 1).double(), "4 axes are expected, the batch first, not 3"),
    "frames": (nn.Sequential(nn.Flatten(0, 1), nn.GroupNorm(1, 1)).double(), r"the input is \(N \* 3, 1, 4\).*merges the batch N with frames"),
    "constant": (Apply(lambda x: torch.ones(3)), "no output of the model depends on its input"),
    "constant_of_the_batch": (Apply(lambda x: (x * 2, torch.zeros_like(x))), "is as long as the batch, but does not depend on the input"),
}
SHAPES = {"batch_reshape": (2, 6), "unbatched": (2, 3, 4), "frames": (2, 3, 1, 4), "batch_pairs": (2, 3)}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_where_and_what_to_do(name: str) -> None:
    model, message = REFUSED[name]
    model = model.double() if isinstance(model, Apply) else model
    parameters = list(model.parameters()) if isinstance(model, nn.Module) else []
    x = draw(*SHAPES.get(name, (2, 3))).to(parameters[0].dtype if parameters else torch.float64)
    training = model.training and name in ("dropout", "batch_norm", "attention")
    with pytest.raises(ConversionError, match=re.compile(message, re.DOTALL)):
        to_graph(model if training else model.eval(), x)


@pytest.mark.filterwarnings("ignore::UserWarning")                      # torch announces the end of its quantised tensors
def test_quantised_modules_are_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 3), torch.ao.nn.quantized.dynamic.Linear(3, 3)).eval()
    with pytest.raises(ConversionError, match=r"module '1' is quantised \(torch.ao.nn.quantized.*as it was before quantisation"):
        to_graph(model, draw(2, 3))


def test_objects_that_are_no_models() -> None:
    with pytest.raises(BackendError, match="a torch.nn.Module or a torch.export.ExportedProgram is expected, not function"):
        to_graph(draw, draw(2, 3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripts_are_refused_with_the_way_out() -> None:
    with pytest.raises(BackendError, match=r"ScriptModule .*convert the module that it was made from"):
        to_graph(torch.jit.script(nn.Linear(3, 3)), draw(2, 3))


@pytest.mark.parametrize(("example", "message"), [
    (None, r"give example inputs, from_model\(model, x\)"),
    ((), "the example holds no tensor"),
    (torch.tensor(1.0), "a tensor without axes"),
    (torch.zeros(0, 3), "an empty batch"),
    ((torch.zeros(2, 3), torch.zeros(3, 3)), r"shapes \(2, 3\), \(3, 3\), which differ on axis 0.*wrap the model"),
])
def test_examples_that_cannot_be_used(example: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_graph(nn.Linear(3, 2), example)


@pytest.mark.parametrize(("shapes", "example", "message"), [
    (None, draw(1, 3), "exported for a batch of 1"),
    ({"x": {1: torch.export.Dim("width", min=2)}}, draw(2, 3), "only axis 0 dynamic"),
])
def test_programs_whose_batch_cannot_be_told(shapes: Any, example: Any, message: str) -> None:
    program = torch.export.export(Apply(torch.tanh), (example,), dynamic_shapes=shapes)
    with pytest.raises(ConversionError, match=message):
        to_graph(program)


# ----- last, since it looks back on all of the above ------------------------------------------------------------------


ELSEWHERE = {"embedding", "_unsafe_view"} | set(recurrent.TABLE) | {"_native_batch_norm_legit", "max_pool1d_with_indices"}
"""Operators that need other inputs, which test_torch_models.py and test_torch_recurrent.py have, and two whose only use here is to be refused."""


def test_every_row_of_the_table_is_tested() -> None:
    for family in FAMILIES:
        converted(family)
    core()
    rows = set(lowering.TABLE) - Watched.used - ELSEWHERE
    assert rows == set(), f"no test lowers {sorted(rows)}"
