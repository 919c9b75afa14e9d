"""LSTM, GRU and RNN from torch: every setting, what is read of the results, LRP and DeepLIFT on them, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from xaicore_torch import emit, to_graph  # noqa: E402

import xaicore as xc  # noqa: E402 (torch may be absent)
from tests.backends.common import input_gradients  # noqa: E402
from tests.nets import close  # noqa: E402
from xaicore.errors import ConversionError  # noqa: E402
from xaicore.ops import GRU, LSTM, RNN  # noqa: E402

N, T, X, H = 3, 5, 3, 4


class Around(nn.Module):
    """A recurrent layer whose results are put together by ``read``; time-first layers get their input turned."""

    def __init__(self, layer: nn.Module, read: Any = lambda found: found[0][:, -1], initial: Any = None):
        super().__init__()
        self.layer, self.read, self.initial = layer, read, initial

    def forward(self, x: Any) -> Any:
        x = x if self.layer.batch_first else x.transpose(0, 1)
        return self.read(self.layer(x, self.initial(x)) if self.initial else self.layer(x))


def model(layer: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
    """With random parameters, all of them, in float64."""
    torch.manual_seed(0)
    made = Around(layer, *args, **kwargs).double().eval()
    for p in made.parameters():
        nn.init.normal_(p, 0, 0.6)
    return made


def draw(*shape: int, seed: int = 0) -> Any:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def check(made: nn.Module, x: Any) -> Any:
    """Forward to 1e-12 and the gradient of a random projection to 1e-10, in float64 (rounding of a few hundred operations)."""
    graph = to_graph(made, x)
    x = x.clone().requires_grad_()
    theirs = made(x)
    ours = graph(x.detach().numpy())
    assert close(ours, theirs.detach().numpy())
    seed = np.random.default_rng(1).normal(size=ours.shape)
    theirs.backward(torch.from_numpy(seed))
    found = input_gradients(graph, x.detach().numpy(), [seed])["x"]
    assert np.abs(found - x.grad.numpy()).max() <= 1e-10 * max(1, float(x.grad.abs().max()))
    return graph


def states(found: Any) -> Any:
    """Output and all final states in one row per sample."""
    output, h = found
    parts = [output.flatten(1), *(v.transpose(0, 1).flatten(1) for v in (h if isinstance(h, tuple) else (h,)))]
    return torch.cat(parts, 1)


LAYERS = {
    "lstm": (nn.LSTM, {}), "gru": (nn.GRU, {}), "rnn": (nn.RNN, {}), "rnn-relu": (nn.RNN, {"nonlinearity": "relu"}),
}
SETTINGS = {
    "plain": {}, "no-bias": {"bias": False}, "both-ways": {"bidirectional": True}, "deep": {"num_layers": 3},
    "deep-both-ways": {"num_layers": 2, "bidirectional": True},
}


QUICK = {("lstm", "deep-both-ways"), ("gru", "no-bias")}


@pytest.mark.parametrize(("kind", "settings"), [
    pytest.param(k, s, marks=() if (k, s) in QUICK else pytest.mark.thorough) for k in LAYERS for s in SETTINGS])
def test_every_setting(kind: str, settings: str) -> None:
    make, own = LAYERS[kind]
    layer = make(X, H, batch_first=True, **own, **SETTINGS[settings])
    graph = check(model(layer, states), draw(N, T, X))
    count = layer.num_layers * (2 if layer.bidirectional else 1) * (2 if kind == "lstm" else 1)   # an LSTM once more for its cells
    recurrent = [n for n in graph.nodes if isinstance(n.op, (LSTM, GRU, RNN))]
    assert len(recurrent) == count
    assert {n.layer for n in recurrent} == {"layer"}
    assert sum(n.op.reverse for n in recurrent) * 2 == (count if layer.bidirectional else 0)
    assert {"layer.weight_ih_l0", "layer.weight_hh_l0"} <= set(graph.params)


def test_time_first_and_what_is_not_read() -> None:
    graph = check(model(nn.LSTM(X, H), lambda found: found[1][0][0]), draw(N, T, X))
    assert [type(n.op).__name__ for n in graph.nodes].count("LSTM") == 1     # no cells, since nothing reads them
    check(model(nn.GRU(X, H, 2), lambda found: found[0][-1] * found[1][1]), draw(N, T, X))


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_initial_states(kind: str) -> None:
    """One that depends on the input, and one that is a constant for all samples."""
    def depends(x: Any) -> Any:
        h = x.mean(1)[None, :, :1].expand(2, -1, H) * torch.arange(1, 3, dtype=x.dtype)[:, None, None]
        return (h, h * 2) if kind == "lstm" else h

    def fixed(x: Any) -> Any:
        h = torch.full((2, x.shape[0], H), 0.5, dtype=x.dtype)
        return (h, 2 * h) if kind == "lstm" else h

    for initial in (depends, fixed):
        check(model(LAYERS[kind][0](X, H, 2, batch_first=True), states, initial=initial), draw(N, T, X))


@pytest.mark.thorough
def test_projections_are_unrolled_by_torch() -> None:
    graph = check(model(nn.LSTM(X, H, batch_first=True, proj_size=2)), draw(N, T, X))
    assert not any(isinstance(n.op, LSTM) for n in graph.nodes)


class Cell(nn.Module):
    """A cell in a loop of the user's own."""

    def __init__(self, cell: nn.Module):
        super().__init__()
        self.cell = cell

    def forward(self, x: Any) -> Any:
        state = None
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
        return state[0] if isinstance(state, tuple) else state


@pytest.mark.parametrize("kind", ["lstm", pytest.param("gru", marks=pytest.mark.thorough)])
def test_a_cell_in_a_loop_has_the_relevance_of_the_layer(kind: str) -> None:
    """Gates are found by where they come from, so LRP does not depend on how the model is written."""
    layer = LAYERS[kind][0](X, H, batch_first=True).double()
    cell = {"lstm": nn.LSTMCell, "gru": nn.GRUCell}[kind](X, H).double()
    for p in layer.parameters():
        nn.init.normal_(p, 0, 0.6)
    for name, p in cell.named_parameters():
        p.data = getattr(layer, f"{name}_l0").data
    x = draw(N, 3, X)
    one, two = to_graph(Around(layer).eval(), x), to_graph(Cell(cell).eval(), x)
    assert close(one(x.numpy()), two(x.numpy()))
    settings = {"method": "lrp.zero", "target": 1}
    a, b = (np.asarray(xc.explain(g, x.numpy(), **settings)) for g in (one, two))
    assert np.abs(a - b).max() <= 1e-9 * np.abs(a).max()


@pytest.mark.parametrize("kind", ["lstm", "gru", *(pytest.param(k, marks=pytest.mark.thorough) for k in ("rnn", "rnn-relu"))])
def test_relevance_is_conserved_and_deeplift_complete(kind: str) -> None:
    """Issue 4: to 1e-9 with bias="ignore", here of the explained value, where no denominator comes near zero."""
    make, own = LAYERS[kind]
    made = model(make(X, H, 2, batch_first=True, bidirectional=True, **own), lambda found: found[0][:, 2])
    graph = to_graph(made, draw(N, T, X))
    x = draw(N, T, X, seed=3).numpy()
    a = xc.explain(graph, x, "lrp.zero", target=1, bias="ignore")
    assert np.abs(a.total() - a.output).max() <= 1e-9 * np.abs(a.output).max()
    d = xc.explain(graph, x, "deeplift.rescale", target=1, baseline=0)
    assert np.abs(d.total() - (d.output - d.baseline_output)).max() <= 1e-9
    if kind != "rnn-relu":                                               # its kinks on the path make a quadrature coarse
        g = xc.explain(graph, x, "integrated_gradients", target=1, baseline=0, steps=64)
        assert np.abs(g.total() - (g.output - g.baseline_output)).max() <= 1e-9


@pytest.mark.thorough
def test_there_and_back() -> None:
    graph = to_graph(model(nn.GRU(X, H, batch_first=True, bidirectional=True)), draw(N, T, X))
    again = to_graph(emit(graph), draw(N, T, X))
    x = draw(N, T, X, seed=5).numpy()
    assert close(graph(x), again(x))
    assert [type(n.op) for n in again.nodes if isinstance(n.op, GRU)] == [GRU] * 2


def test_refusals() -> None:
    with pytest.raises(ConversionError, match=r"it reads \(N, 5, 3\), but the batch N alone is expected on axis 1, since batch_first=False"):
        to_graph(nn.LSTM(X, H).eval(), draw(N, T, X).float())
    varying = model(nn.GRU(X, H, batch_first=True), initial=lambda x: torch.arange(x.shape[0] * H).reshape(1, -1, H).to(x.dtype))
    with pytest.raises(ConversionError, match="differs from sample to sample"):
        to_graph(varying, draw(N, T, X))


@pytest.mark.thorough
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_the_way_through_onnx_has_the_same_relevance(kind: str, first: bool) -> None:
    """Issue 3: to 1e-6, here of the largest entry; weights go through the file in double precision."""
    import io
    import warnings

    onnx = pytest.importorskip("onnx")
    from xaicore_onnx import to_graph as from_onnx

    made = model(LAYERS[kind][0](X, H, 2, batch_first=first, bidirectional=True), lambda found: found[0][:, -1] if first else found[0][-1])
    x, out = draw(N, T, X), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(made, (x,), out, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "N"}})
    one, two = to_graph(made, x), from_onnx(onnx.load_from_string(out.getvalue()), x.numpy())
    assert [type(n.op) for n in two.nodes if isinstance(n.op, (LSTM, GRU))] == [type(n.op) for n in one.nodes if isinstance(n.op, (LSTM, GRU))]
    for method, settings in (("lrp.zero", {"bias": "ignore"}), ("lrp.epsilon", {}), ("deeplift.rescale", {"baseline": 0}), ("gradient", {})):
        a, b = (np.asarray(xc.explain(g, x.numpy(), method, target=1, **settings)) for g in (one, two))
        assert np.abs(a - b).max() <= 1e-6 * np.abs(a).max()
