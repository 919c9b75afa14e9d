"""The torch backend against torch: every operator forward and backward, the names that it gives, inputs and outputs.

What verification catches is in test_torch_verified.py, what is refused in test_torch_refusals.py, whole models in test_torch_models.py
and test_torch_transformers.py.
"""

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
from tests.backends.torch_cases import FAMILIES, FORWARD, GRADIENT, Apply, Family, close, draw, shake  # noqa: E402
from xaicore.errors import ConversionError, NothingChecked, XaicoreError  # noqa: E402
from xaicore.ops import Dense, LocalResponseNorm, Shrink, Sigmoid, Softsign  # noqa: E402
from xaicore.trace import backward, forward  # noqa: E402

LESS_PRECISE = {"hardsigmoid": 1e-7}
"""torch's own derivative of hardsigmoid has 1/6 rounded to float32, which is 3e-8 off."""

SAMPLES = 5


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


# ----- last, since it looks back on all of the above ------------------------------------------------------------------


ELSEWHERE = {"embedding", "_unsafe_view"} | set(recurrent.TABLE) | {"_native_batch_norm_legit", "max_pool1d_with_indices", "_embedding_bag_forward_only"}
"""Operators that need other inputs, which test_torch_models.py, test_torch_transformers.py and test_torch_recurrent.py have, and three whose only use here is to be refused."""


def test_every_row_of_the_table_is_tested() -> None:
    for family in FAMILIES:
        converted(family)
    core()
    rows = set(lowering.TABLE) - Watched.used - ELSEWHERE
    assert rows == set(), f"no test lowers {sorted(rows)}"
