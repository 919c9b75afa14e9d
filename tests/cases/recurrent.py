"""RNN, GRU and LSTM: directions, initial states, masks, activations, both places of the GRU's reset gate."""

from __future__ import annotations

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.ops import GRU, LSTM, RNN, Clip, HardSigmoid, ReLU

from .case import BATCH, Case, Domain, binary, normal

T, X, H = 4, 2, 3


def small(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Half of a normal draw: through several steps of a ReLU its powers stay small."""
    return normal(rng, shape) / 2


def shapes(gates: int, states: int = 0, mask: bool = False) -> tuple[tuple[int, ...], ...]:
    return ((BATCH, T, X), (gates * H, X), (gates * H, H), (gates * H,), (gates * H,), *((BATCH, H),) * states, *((BATCH, T),) * mask)


def torch_layer(kind: str, reverse: bool = False, cell: bool = False, **settings: str):
    """torch's own functional layer; the other direction is the flipped sequence."""
    def run(x, w, u, b, c, *states):
        import torch

        h = states[0] if states else torch.zeros(len(x), u.shape[1], dtype=x.dtype)
        start = (h[None], (states[1] if len(states) > 1 else torch.zeros_like(h))[None]) if kind == "lstm" else h[None]
        x = x.flip(1) if reverse else x
        found = getattr(torch, kind)(x, start, [w, u, b, c], True, 1, 0.0, False, False, True)
        y = found[0]
        if cell:                                                  # all c_t: the last c of every beginning of the sequence
            every = [getattr(torch, kind)(x[:, : t + 1], start, [w, u, b, c], True, 1, 0.0, False, False, True)[2][0] for t in range(T)]
            y = torch.stack(every, 1)
        return y.flip(1) if reverse else y

    return run


def masked(states: int) -> tuple[Domain, ...]:
    return (*(small,) * (5 + states), binary)


BAD = (
    (((3, 4), (9, 2), (9, 3), (9,), (9,)), ShapeError, "(N, T, I)"),
    (((3, 4, 2), (9, 3), (9, 3), (9,), (9,)), ShapeError, "w has shape (9, 3), but x has 2 features and u 3 columns, so (9, 2)"),
    (((3, 4, 2), (9, 2), (9, 3), (9,), (9,), (2, 3)), ShapeError, "the initial state h has shape (2, 3), but (3 or 1, 3) is expected"),
    (((3, 0, 2), (9, 2), (9, 3), (9,), (9,)), ShapeError, "at least one time step"),
    (((3, 4, 2), (9, 2), (9, 3), (9,), (9,), (3, 3), (3, 4)), InputError, "booleans of shape (3 or 1, 4) are expected"),
)

CASES = (
    Case("RNN", RNN(), shapes(1), small, torch=torch_layer("rnn_tanh")),
    Case("RNN-relu-reverse", RNN(True, ReLU()), shapes(1, 1), small, (True, *(False,) * 4, True), torch_layer("rnn_relu", True)),
    Case("RNN-mask", RNN(), shapes(1, 1, True), masked(1), batched=(True, *(False,) * 4, True, True), active=(True, *(False,) * 6)),
    Case("GRU", GRU(), shapes(3), small, torch=torch_layer("gru"), errors=BAD),
    Case("GRU-states-reverse", GRU(True), shapes(3, 1), small, (True, *(False,) * 4, True), torch_layer("gru", True)),
    Case("GRU-before", GRU(reset="before"), shapes(3, 1), small, (True, *(False,) * 4, True)),
    Case("GRU-rational", GRU(gate=HardSigmoid(0.25, 0.5), activation=Clip(-1, 1)), shapes(3, 1), small, (True, *(False,) * 4, True)),
    Case("GRU-mask", GRU(True, "before"), shapes(3, 1, True), masked(1), batched=(True, *(False,) * 4, True, True),
         active=(True, *(False,) * 6)),
    Case("LSTM", LSTM(), shapes(4), small, torch=torch_layer("lstm"), errors=(
        (((3, 4, 2), (12, 2), (12, 3), (12,), (12,), (3, 3)), ShapeError, "of the initial states h and c only the first is given"),)),
    Case("LSTM-states-reverse", LSTM(True), shapes(4, 2), small, (True, *(False,) * 4, True, True), torch_layer("lstm", True)),
    Case("LSTM-cell", LSTM(output="cell"), shapes(4, 2), small, (True, *(False,) * 4, True, True), torch_layer("lstm", cell=True)),
    Case("LSTM-rational", LSTM(gate=HardSigmoid(0.25, 0.5), activation=Clip(-1, 1), squash=Clip(-1, 1)), shapes(4), small),
    Case("LSTM-mask", LSTM(output="cell"), shapes(4, 2, True), masked(2), batched=(True, *(False,) * 4, True, True, True),
         active=(True, *(False,) * 7)),
)
