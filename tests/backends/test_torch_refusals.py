"""What the torch backend refuses: models in another state, no static graph, operators, samples that mix, examples that do not fit."""

from __future__ import annotations

import re
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, N812 (torch may be absent)
from torch import nn  # noqa: E402
from xaicore_torch import to_graph  # noqa: E402

from tests.backends.torch_cases import Apply, draw  # noqa: E402
from xaicore.errors import BackendError, ConversionError, InputError  # noqa: E402

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
    "unknown": (Apply(lambda x: torch.special.bessel_j0(x)), r"aten\.special_bessel_j0\.default in Apply, torch_cases\.py:\d+ \(node 'special_bessel_j0', "
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
