"""RNN, GRU and LSTM as Keras layers, for the settings that those have."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from xaicore import ops
from xaicore_keras.emitter import Emitter
from xaicore_keras.lower_recurrent import FUNCTIONS, ORDER

NEXT_STEP = "emit to torch or ONNX, which have it"
NAMES = {op: name for name, op in FUNCTIONS.items()}


def recurrent(e: Emitter, op: Any, out: str, x: str, w: str, u: str, b: str, c: str, *rest: str) -> None:
    """One direction; what goes backwards comes out turned around, and is turned back."""
    kind = {ops.RNN: "SimpleRNN", ops.GRU: "GRU", ops.LSTM: "LSTM"}[type(op)]
    functions = {"activation": op.activation} if kind == "SimpleRNN" else {"activation": op.activation, "recurrent_activation": op.gate}
    unknown = [one for one in functions.values() if one not in NAMES]
    if unknown:
        raise e.refuse(f"has the activation {unknown[0]}", NEXT_STEP)
    if kind == "LSTM" and (op.output != "hidden" or op.squash != op.activation):
        raise e.refuse("gives its cell states, or has two activations besides the gates'", NEXT_STEP)
    states, masks = rest[: len(op.STATES)], rest[len(op.STATES) :]
    given = [] if all(one in e.graph.params and not np.any(e.param(one)) for one in states) else [e.own(one) for one in states]
    if masks and given:
        raise e.refuse("has a mask beside an initial state, where Keras gives other outputs at masked steps", NEXT_STEP)
    settings: dict[str, Any] = {k: NAMES[one] for k, one in functions.items()}
    if kind == "GRU":
        settings["reset_after"] = op.reset == "after"
    size = e.param(u).shape[1]
    weights = [_columns(kind, e.param(w)), _columns(kind, e.param(u))]
    one, two = _columns(kind, e.param(b)), _columns(kind, e.param(c))
    weights.append(np.stack((one, two)) if settings.get("reset_after") else one + two)
    made = e.layer(getattr(keras.layers, kind), size, return_sequences=True, go_backwards=bool(op.reverse), weights=weights, **settings)
    more = {"initial_state": given} if given else {"mask": e.own(masks[0])} if masks else {}
    y = made(e.own(x), **more)
    e.put(out, keras.ops.flip(y, axis=1) if op.reverse else y)


def _columns(kind: str, x: Any) -> Any:
    """The operator's blocks of rows as Keras's blocks of columns, in Keras's order."""
    blocks = np.split(np.asarray(x), len(ORDER[kind]))
    back = np.argsort(ORDER[kind])
    return np.concatenate([blocks[k] for k in back]).T


RECURRENT = dict.fromkeys((ops.RNN, ops.GRU, ops.LSTM), recurrent)
