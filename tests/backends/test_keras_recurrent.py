"""LSTM, GRU, SimpleRNN, RNN, Bidirectional and Masking from Keras: every setting, masks, files, relevance, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.backends.keras_compare import MARKS, agree, double, keras, redraw, run_keras
from tests.nets import close
from xaicore.errors import ConversionError, Inapplicable
from xaicore.ops import GRU, LSTM, RNN

import xaicore as xc  # isort: skip
from xaicore_keras import emit, load, to_graph  # isort: skip

__all__ = ["double"]
pytestmark = MARKS
layers = keras.layers

N, T, X, H = 3, 5, 3, 4
MADE: dict[str, Any] = {"lstm": layers.LSTM, "gru": layers.GRU, "rnn": layers.SimpleRNN}


def chain(*parts: Any, length: int | None = T) -> Any:
    return redraw(keras.Sequential([keras.Input((length, X)), *parts]))


def draw(seed: int = 0, zeros: tuple[tuple[int, int], ...] = ()) -> np.ndarray:
    """A batch in which some time steps (sample, step) are zeros, as padding is."""
    x = np.random.default_rng(seed).normal(size=(N, T, X))
    for at in zeros:
        x[at] = 0
    return x


def check(made: Any, *xs: Any) -> Any:
    """Values to 1e-9 and gradients to 1e-8 of Keras, in float64."""
    return agree(made, xs or (draw(),))


SETTINGS: dict[str, dict[str, Any]] = {
    "last": {}, "sequences": {"return_sequences": True}, "backwards": {"go_backwards": True},
    "backwards-sequences": {"go_backwards": True, "return_sequences": True}, "no-bias": {"use_bias": False}, "unroll": {"unroll": True},
    "relu": {"activation": "relu"}, "linear": {"activation": None}, "dropout": {"dropout": 0.5, "recurrent_dropout": 0.5},
}


@pytest.mark.parametrize(("kind", "setting"), [
    pytest.param(k, s, marks=() if k == "lstm" or s in ("backwards-sequences", "linear") else pytest.mark.thorough) for k in MADE for s in SETTINGS])
def test_every_setting(kind: str, setting: str) -> None:
    check(chain(MADE[kind](H, **SETTINGS[setting])))


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid"])
def test_gru_forms(gate: str, reset_after: bool) -> None:
    # torch's hardsigmoid multiplies its gradient by a 1/6 that was rounded to float32, 3e-8 off
    graph = agree(chain(layers.GRU(H, reset_after=reset_after, recurrent_activation=gate, return_sequences=True)), (draw(),), gradients=1e-7)
    (op,) = [n.op for n in graph.nodes if isinstance(n.op, GRU)]
    assert op.reset == ("after" if reset_after else "before")


@pytest.mark.parametrize("kind", MADE)
def test_states_go_in_and_out(kind: str) -> None:
    """An encoder's states start a decoder, as in translation; all states are outputs."""
    a, b = keras.Input((T, X)), keras.Input((2, X))
    one, *states = MADE[kind](H, return_state=True)(a)
    two, *more = MADE[kind](H, return_sequences=True, return_state=True)(b, initial_state=states)
    made = redraw(keras.Model([a, b], [one, two, *more]))
    check(made, draw(), draw(1)[:, :2])


@pytest.mark.parametrize("mode", ["concat", "sum", "ave", "mul", None])
@pytest.mark.parametrize("sequences", [True, False])
def test_bidirectional(mode: str | None, sequences: bool) -> None:
    inside = layers.GRU(H, return_sequences=sequences, return_state=sequences)
    i = keras.Input((T, X))
    found = layers.Bidirectional(inside, merge_mode=mode, name="both")(i)
    graph = check(redraw(keras.Model(i, found)))
    assert [n.op.reverse for n in graph.nodes if isinstance(n.op, GRU)] == [False, True]


def test_bidirectional_with_a_layer_of_its_own_for_the_way_back() -> None:
    both = layers.Bidirectional(layers.LSTM(H, return_sequences=True), backward_layer=layers.GRU(2, return_sequences=True, go_backwards=True))
    check(chain(both))
    check(chain(layers.Bidirectional(layers.SimpleRNN(2, go_backwards=True, return_sequences=True),
                                     backward_layer=layers.SimpleRNN(2, return_sequences=True))))


@pytest.mark.parametrize("cell", [layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell])
def test_rnn_around_a_cell(cell: Any) -> None:
    check(chain(layers.RNN(cell(H), return_sequences=True), layers.Bidirectional(layers.RNN(cell(3), return_sequences=True)),
                layers.RNN(cell(2), go_backwards=True)))


@pytest.mark.parametrize("settings", [{"return_sequences": True}, {"return_state": True, "go_backwards": True}], ids=str)
def test_a_list_of_cells(settings: dict[str, Any], tmp_path: Path) -> None:
    """Two of one class, which a file tells apart by their number; a mask; states in and out."""
    i, s = keras.Input((T, X)), [keras.Input((H,)), keras.Input((H,)), keras.Input((2,)), keras.Input((H,))]
    cells = [layers.LSTMCell(H), layers.GRUCell(2), layers.GRUCell(H)]
    made = redraw(keras.Model(i, layers.RNN(cells, **settings)(layers.Masking(0.0)(i))))
    x = draw(2, PADDED)
    graph = check(made, x)
    made.save(tmp_path / "m.keras")
    for a, b in zip(_several(load(tmp_path / "m.keras")(x)), _several(graph(x)), strict=True):
        assert close(a, b)
    given = redraw(keras.Model([i, *s], layers.RNN(cells, **settings)(i, initial_state=[s[:2], s[2], s[3]])))
    rng = np.random.default_rng(7)
    check(given, x, *(rng.normal(size=(N, v.shape[1])) for v in s))


def _several(y: Any) -> tuple[Any, ...]:
    return y if isinstance(y, tuple) else (y,)


def test_any_number_of_steps() -> None:
    graph = to_graph(chain(layers.GRU(H), layers.Dense(2), length=None), draw())
    assert graph(draw()[:, :2]).shape == (N, 2)


@pytest.mark.parametrize("settings", [
    {}, {"return_sequences": True, "go_backwards": True}, {"strides": 2, "padding": "same"}, {"dilation_rate": 2, "return_sequences": True},
    {"padding": "same", "data_format": "channels_first", "return_sequences": True}, {"data_format": "channels_first", "return_state": True},
    {"recurrent_activation": "hard_sigmoid", "use_bias": False, "activation": "relu"}], ids=str)
def test_convolutional_lstm(settings: dict[str, Any]) -> None:
    first = settings.get("data_format") == "channels_first"
    shape = (3, 2, 6, 7) if first else (3, 6, 7, 2)
    i = keras.Input(shape)
    made = redraw(keras.Model(i, layers.ConvLSTM2D(3, 2, **settings)(i)))
    agree(made, (np.random.default_rng(3).normal(size=(2, *shape)),), gradients=1e-7 if "recurrent_activation" in settings else 1e-8)


def test_convolutional_states_relevance_and_files(tmp_path: Path) -> None:
    a, b = keras.Input((2, 5, 4, 2)), keras.Input((3, 5, 4, 2))
    _, *states = layers.ConvLSTM2D(3, 3, padding="same", return_state=True)(a)
    made = redraw(keras.Model([a, b], layers.Flatten()(layers.ConvLSTM2D(3, 2, padding="same")(b, initial_state=states))))
    xs = tuple(np.random.default_rng(k).normal(size=(2, 2 + k, 5, 4, 2)) for k in (0, 1))
    graph = agree(made, xs)
    found = xc.explain(graph, xs, "lrp.zero", target=7, bias="ignore")
    # at the border a neuron that sees no x and h but zeros has nothing to give its relevance to, so not every target conserves
    assert np.abs(found.total() + found.ledger.absorbed - found.output).max() <= 1e-12 * max(np.abs(v).max() for v in found.values.values())
    made.save(tmp_path / "m.keras")
    assert close(load(tmp_path / "m.keras")(xs), graph(xs))


# ----- masks --------------------------------------------------------------------------------------------------------

PADDED = ((0, 4), (0, 3), (1, 0), (2, 2))
"""Padding behind, in front and between."""


@pytest.mark.parametrize("settings", [
    {}, {"return_sequences": True}, {"go_backwards": True}, {"return_sequences": True, "zero_output_for_mask": True},
    {"return_sequences": True, "go_backwards": True, "return_state": True}], ids=str)
@pytest.mark.parametrize("kind", ["gru", *(pytest.param(k, marks=pytest.mark.thorough) for k in ("lstm", "rnn"))])
def test_masks(kind: str, settings: dict[str, Any]) -> None:
    i = keras.Input((T, X))
    found = MADE[kind](H, **settings)(layers.Masking(0.0)(i))
    check(redraw(keras.Model(i, found)), draw(2, PADDED))


def test_masks_go_on_to_the_next_layer() -> None:
    check(chain(layers.Masking(0.0), layers.LSTM(H, return_sequences=True), layers.Dense(3), layers.Bidirectional(layers.GRU(2, return_sequences=True)),
                layers.Bidirectional(layers.GRU(2))), draw(3, PADDED))


def test_an_embedding_with_padding() -> None:
    made = redraw(keras.Sequential([keras.Input((T,), dtype="int32"), layers.Embedding(7, X, mask_zero=True, name="tokens"), layers.LSTM(H), layers.Dense(2)]))
    ids = np.array([[1, 2, 0, 0, 0], [3, 0, 4, 5, 6], [0, 0, 0, 0, 1]])
    graph = to_graph(made, ids)
    assert close(graph(ids), run_keras(made, (ids,))[0].detach().numpy())
    a = xc.explain(graph, ids, "lrp.zero", target=0, layer="tokens", bias="ignore")
    assert np.abs(a.total() - a.output).max() <= 1e-9 * np.abs(np.asarray(a)).max()
    padded = np.asarray(a)[:2][ids[:2] == 0]
    assert not padded.any()                                              # a masked step is no input of what is explained


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("kind", ["lstm", *(pytest.param(k, marks=pytest.mark.thorough) for k in ("gru", "rnn"))])
def test_a_mask_and_an_initial_state(kind: str, given: bool) -> None:
    """A mask that is given counts: outputs are repeated at masked steps, and are zeros there before the first that is not, although
    the state starts from the one that is given. A mask that the sequence carries does not count beside an initial state, but goes on.
    """
    i, s = keras.Input((T, X)), keras.Input((H,))
    states = [s, s * 2] if kind == "lstm" else [s]
    mask = {"mask": keras.ops.any(keras.ops.not_equal(i, 0), axis=-1)} if given else {}
    for backwards in (False, True):
        layer = MADE[kind](H, return_sequences=True, return_state=True, go_backwards=backwards)
        every, *last = layer(layers.Masking(0.0)(i), initial_state=states, **mask)
        made = redraw(keras.Model([i, s], [every, *last, layers.GRU(2)(every)]))
        check(made, draw(2, PADDED), np.random.default_rng(5).normal(size=(N, H)))


# ----- attribution, files, refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [
    lambda: layers.LSTM(H), lambda: layers.GRU(H), lambda: layers.GRU(H, reset_after=False, recurrent_activation="hard_sigmoid"),
    lambda: layers.Bidirectional(layers.LSTM(H))], ids=["lstm", "gru", "gru-before", "both"])
def test_relevance_is_conserved_and_deeplift_complete(make: Any) -> None:
    """Issue 4: to 1e-9 of the explained value with bias="ignore"."""
    graph = to_graph(chain(make(), layers.Dense(2)), draw())
    x = draw(3).astype(float)
    a = xc.explain(graph, x, "lrp.zero", target=1, bias="ignore")
    assert np.abs(a.total() - a.output).max() <= 1e-9 * np.abs(a.output).max()
    d = xc.explain(graph, x, "deeplift.rescale", target=1, baseline=0)
    assert close(d.total(), d.output - d.baseline_output)
    g = xc.explain(graph, x, "integrated_gradients", target=1, baseline=0, steps=64)
    assert np.abs(g.total() - (g.output - g.baseline_output)).max() <= (1e-2 if "before" in str(graph) else 1e-9)


def test_deeplift_needs_a_baseline_with_the_same_mask() -> None:
    graph = to_graph(chain(layers.Masking(0.0), layers.LSTM(H)), draw())
    x = draw(2, PADDED)
    a = xc.explain(graph, x, "deeplift.rescale", target=0, baseline=x / 2)
    assert close(a.total(), a.output - a.baseline_output)
    for method in ("deeplift.rescale", "deeplift.reveal_cancel"):
        with pytest.raises(Inapplicable, match=r"\(Where; layer lstm.*\) chooses otherwise on the baseline than on the input"):
            xc.explain(graph, x, method, target=0, baseline=0)


def test_the_relevance_is_that_of_the_same_layer_in_torch() -> None:
    torch = pytest.importorskip("torch")
    from xaicore_torch import to_graph as from_torch

    made = chain(layers.LSTM(H, return_sequences=True))
    kernel, recurrent, bias = (w.astype(float) for w in made.get_weights())
    layer = torch.nn.LSTM(X, H, batch_first=True).double()
    for p, v in zip(layer.parameters(), (kernel.T, recurrent.T, bias, np.zeros(4 * H))):
        p.data = torch.from_numpy(np.ascontiguousarray(v))

    class First(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Any) -> Any:
            return self.layer(x)[0]

    x = draw(3).astype(float)
    a = xc.explain(to_graph(made, draw()), x, "lrp.epsilon", target=(T - 1, 2))
    b = xc.explain(from_torch(First().eval(), torch.from_numpy(x)), x, "lrp.epsilon", target=(T - 1, 2))
    assert close(np.asarray(a), np.asarray(b))


def test_files(tmp_path: Path) -> None:
    """Read without Keras: layers, a wrapper with both of its layers, a cell, masks."""
    made = chain(layers.Masking(0.0), layers.Bidirectional(layers.LSTM(H, return_sequences=True)), layers.RNN(layers.GRUCell(3), return_sequences=True),
                 layers.GRU(2, recurrent_activation="hard_sigmoid"))
    made.save(tmp_path / "m.keras")
    x = draw(4, PADDED)
    graph = load(tmp_path / "m.keras")
    assert close(graph(x), to_graph(made, x)(x))
    assert {type(n.op) for n in graph.nodes} >= {LSTM, GRU}


def test_refusals() -> None:
    cases: dict[str, Any] = {
        r"layer 'own' \(keras.layers.GRU\) has the activation 'twice'": lambda: chain(layers.GRU(2, activation=twice, name="own")),
        "keeps its state from one call": lambda: redraw(keras.Sequential([keras.Input(batch_shape=(N, T, X)), layers.LSTM(2, stateful=True)])),
        "runs a cell of the kind .*Own": lambda: chain(layers.RNN([layers.GRUCell(2), Own(2)])),
        "is one step of a recurrent layer": lambda: _lone(),
    }
    for text, make in cases.items():
        with pytest.raises(ConversionError, match=text):
            to_graph(make(), verify=False)


class Own(layers.SimpleRNNCell):  # type: ignore[misc, name-defined]
    """Somebody's cell."""


def twice(x: Any) -> Any:
    return x * 2


def _lone() -> Any:
    i = keras.Input((X,))
    return keras.Model(i, layers.SimpleRNNCell(2)(i, [keras.ops.zeros((1, 2))])[0])


def test_kinds() -> None:
    graph = to_graph(chain(layers.SimpleRNN(H, name="simple")), draw())
    assert [n.layer for n in graph.nodes if isinstance(n.op, RNN)] == ["simple"]
    assert {"simple/kernel", "simple/recurrent_kernel", "simple/bias"} <= set(graph.params)


def test_there_and_back() -> None:
    """Masks, both directions, the forms of a GRU: emitted layers are the ones that the graph came from."""
    made = chain(layers.Masking(0.0), layers.LSTM(H, return_sequences=True), layers.Bidirectional(layers.GRU(2, return_sequences=True)),
                 layers.GRU(2, reset_after=False, recurrent_activation="hard_sigmoid"))
    graph, x = to_graph(made, draw()), draw(2, PADDED)
    back = emit(graph)
    assert close(run_keras(back, (x,))[0].detach().numpy(), graph(x))
    assert [type(one).__name__ for one in back.layers if type(one).__name__ in ("LSTM", "GRU")] == ["LSTM", "GRU", "GRU", "GRU"]
