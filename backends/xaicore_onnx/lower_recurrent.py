"""LSTM, GRU and RNN, as one node for each direction; and the way back.

ONNX has time first (layout 0) or the batch (layout 1), the directions on an axis of their own, the gates in the orders i, o, f, c
and z, r, h, and settings that the operators do not have: peepholes, a clip, coupled gates. Layers with those are unrolled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xaicore.errors import ConversionError
from xaicore.graph import Graph, Node
from xaicore.graph.passes import expand
from xaicore.numerics import Array
from xaicore.ops import (
    ELU,
    GRU,
    LSTM,
    RNN,
    Compare,
    Concat,
    HardSigmoid,
    LeakyReLU,
    Op,
    Pad,
    ReLU,
    Reshape,
    Sigmoid,
    Slice,
    Softplus,
    Softsign,
    Squeeze,
    Tanh,
    Threshold,
    Unsqueeze,
    Where,
)
from xaicore.ops.unroll import unroll_gru, unroll_lstm, unroll_rnn
from xaicore_onnx.call import Call, Layout, Lowering, Results
from xaicore_onnx.emitter import Emitter, Rule
from xaicore_onnx.naming import layer_of
from xaicore_onnx.values import Known, Live, MixingError

ROWS: Mapping[str, tuple[int, ...]] = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 2, 3, 1)}
"""The blocks of ONNX (h; z r h; i o f c) in the order of the operators (h; r z n; i f g o)."""

ACTIVATIONS: Mapping[str, Callable[[float | None, float | None], Op]] = {
    "relu": lambda a, b: ReLU(), "tanh": lambda a, b: Tanh(), "sigmoid": lambda a, b: Sigmoid(), "softsign": lambda a, b: Softsign(),
    "softplus": lambda a, b: Softplus(), "leakyrelu": lambda a, b: LeakyReLU(0.01 if a is None else a),
    "hardsigmoid": lambda a, b: HardSigmoid(0.2 if a is None else a, 0.5 if b is None else b),
    "elu": lambda a, b: ELU(1.0 if a is None else a), "thresholdedrelu": lambda a, b: Threshold(1.0 if a is None else a, 0.0),
}
TAKES_ALPHA, TAKES_BETA = ("leakyrelu", "hardsigmoid", "elu", "thresholdedrelu"), ("hardsigmoid",)
DEFAULTS: Mapping[str, tuple[str, ...]] = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}

# ----- from ONNX --------------------------------------------------------------------------------------------------


def recurrent(c: Call) -> Results:
    """Y (T, D, N, H), Y_h (D, N, H) and, of an LSTM, Y_c; with layout 1 the batch comes first in all of them."""
    layer = _Layer(c)
    x = c.live()
    if x.at is not None or x.tail[1] == 1:
        return layer.lower(layer.sequence(x))
    return layer.every_row(x)


class _Layer:
    """One call in the making."""

    def __init__(self, c: Call):
        self.c, self.kind = c, c.node.op_type
        self.first = bool(c.attr("layout", 0))
        way = c.attr("direction", "forward")
        if way not in ("forward", "reverse", "bidirectional"):
            raise ConversionError(f"{c.who} has the direction {way!r}; forward, reverse or bidirectional is expected")
        self.reverse = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[way]
        for i, what in ((1, "weights"), (2, "recurrent weights")):
            shape = c.array(i, what).shape
            if len(shape) != 3 or shape[0] != len(self.reverse):
                raise ConversionError(f"the {what} of {c.who} have shape {shape}, but 3 axes, {len(self.reverse)} on the first, are "
                                      f"expected for direction {way!r}; the file is inconsistent")
        self.size = shape[2]
        self.functions = _activations(c)
        self.states = (5, 6) if self.kind == "LSTM" else (5,)

    # ----- the place of the batch -------------------------------------------------------------------------------

    def sequence(self, x: Live) -> Live:
        """x as (N, T, I) in the graph."""
        c, at = self.c, 0 if self.first else 1
        if x.at is None:
            tail = tuple(n for k, n in enumerate(x.tail) if k != at)
            return c.put(Reshape(tail), x, layout=(at, 1, 1), part="sequence")
        if x.layout != (at, 1, 1):
            raise MixingError(f"{c.who} has its batch on axis {at} (layout {int(self.first)}), but that of {x.name!r} lies on axis "
                              f"{x.at}, so its time steps would be samples")
        return x

    def every_row(self, x: Live) -> Results:
        """One sample that holds a batch of its own, which ONNX allows: a call for each row."""
        c, at = self.c, 0 if self.first else 1
        rows = []
        for k in range(x.tail[at]):
            one = c.put(Squeeze((at + 1,)), c.put(Slice(at + 1, k, k + 1), x, part=f"row{k}"), layout=(at, 1, 1), part=f"row{k}/sequence")
            rows.append(self.lower(one, k))
        found: list[Live | None] = []
        for parts in zip(*rows):
            lives = [p for p in parts if p is not None]
            if len(lives) < len(parts):
                found.append(None)
                continue
            axis = lives[0].at
            assert axis is not None
            high = [c.put(Unsqueeze((axis + 1,)), one, layout=(None, 1, 1), part="row") for one in lives]
            found.append(c.put(Concat(axis + 1), *high, layout=(None, 1, 1), part="rows"))
        return found

    # ----- one call ---------------------------------------------------------------------------------------------

    def lower(self, x: Live, row: int | None = None) -> list[Live | None]:
        """The results for a sequence (N, T, I); ``row`` of the batch is the one that constant states and lengths are for."""
        c, steps = self.c, x.tail[0]
        x, mask = self._lengths(x, row)
        hidden, cells = [], []
        for d, reverse in enumerate(self.reverse):
            states = [self._state(i, d, x, row) for i in self.states]
            given = [] if all(s is None for s in states) and mask is None else [s or self._zeros() for s in states]
            inputs = [x.name, *self._weights(d), *given, *([] if mask is None else [mask])]
            hidden.append(self._run(x, inputs, d, reverse, "hidden"))
            if c.reads(2):
                cells.append(self._run(x, inputs, d, reverse, "cell"))
        results: list[Live | None] = [self._sequences(hidden, mask, steps) if c.reads(0) else None]
        for j, found in ((1, hidden), (2, cells)):
            results.append(self._finals(found) if c.reads(j) else None)
        return results

    def _run(self, x: Live, inputs: list[str], d: int, reverse: bool, output: str) -> Live:
        """All states of one direction."""
        c, f = self.c, self.functions[d]
        clip = c.attr("clip")
        coupled = bool(c.attr("input_forget", 0))
        part = f"{'backward' if reverse else 'forward'}{'_cells' if output == 'cell' else ''}"
        if clip is None and not coupled and not c.has(7):
            made: Op = RNN(reverse, f[0])
            if self.kind != "RNN":
                made = GRU(reverse, self._reset(), f[0], f[1]) if self.kind == "GRU" else LSTM(reverse, output, *f)  # type: ignore[arg-type]
            return c.put(made, *inputs, like=x, part=part)
        wiring: Any = _Wiring(c, part)
        if self.kind == "RNN":
            name = unroll_rnn(wiring, f[0], reverse, *inputs, clip=clip)
        elif self.kind == "GRU":
            name = unroll_gru(wiring, f[0], f[1], self._reset(), reverse, *inputs, clip=clip)
        else:
            p = dict(zip("iof", np.split(c.array(7, "peepholes")[d], 3))) if c.has(7) else None
            name = unroll_lstm(wiring, f[0], f[1], f[2], output, reverse, *inputs, clip=clip, peepholes=p, coupled=coupled)
        return replace(x, name=name, tail=c.converter.shapes[name][1:])

    def _reset(self) -> str:
        return "after" if self.c.attr("linear_before_reset", 0) else "before"

    def _weights(self, d: int) -> list[str]:
        """w, u, b and c of a direction, their blocks in the operator's order."""
        c, order = self.c, ROWS[self.kind]
        w, u = (c.array(i, "weights")[d] for i in (1, 2))
        b = c.array(3, "bias")[d] if c.has(3) else np.zeros(2 * len(w))
        if len(w) != len(order) * self.size or b.shape != (2 * len(w),):
            raise ConversionError(f"{c.who} has weights {w.shape}, {u.shape} and a bias {b.shape} for a direction, which do not fit "
                                  f"{len(order)} gates of {self.size} units; the file is inconsistent")
        side = "" if len(self.reverse) == 1 else ("/forward", "/backward")[d]
        found = []
        for name, x in (("w", w), ("u", u), ("b", b[: len(w)]), ("c", b[len(w) :])):
            blocks = np.split(x, len(order))
            found.append(c.derived(np.concatenate([blocks[k] for k in order]), f"{c.name}{side}/{name}"))
        return found

    def _state(self, i: int, d: int, x: Live, row: int | None) -> str | None:
        """The initial state of a direction; None where it is zero."""
        c, layout = self.c, (0, 1, 1) if self.first else (1, 1, 1)
        if not c.has(i):
            return None
        value = c.x(i)
        if isinstance(value, Known):
            one = value.low.take([0 if row is None else row], layout[0]) if row is not None else None
            x0 = c.placed(value, layout, 3) if one is None else one.swapaxes(0, layout[0])
            return c.derived(x0[:, d], f"{c.name}/initial{i - 5}_{d}") if x0[:, d].any() else None
        if value.at is None:
            at = layout[0] + 1
            value = c.put(Slice(at, row or 0, (row or 0) + 1), value, layout=(None, 1, 1), part="initial_row")
            value = c.put(Squeeze((at,)), value, layout=layout, part="initial")
        if value.layout != layout:
            raise MixingError(f"the initial state of {c.who} has its batch on axis {value.at}, not {layout[0]}")
        return c.put(Squeeze((1,)), c.put(Slice(1, d, d + 1), value, part="initial_of"), layout=(0, 1, 1), part="initial").name

    def _zeros(self) -> str:
        return self.c.derived(np.zeros((1, self.size)), f"{self.c.name}/zeros")

    def _lengths(self, x: Live, row: int | None) -> tuple[Live, str | None]:
        """Where sequence_lens are given: the shorter sequence if all are equal, else a mask of the steps that count."""
        c, steps = self.c, x.tail[0]
        if not c.has(4):
            return x, None
        value, positions = c.x(4), c.derived(np.arange(steps)[None], f"{c.name}/steps")
        if isinstance(value, Known):
            lengths = value.low[row : row + 1] if row is not None else value.low
            if (value.high != value.high[:1]).any() and row is None:
                raise MixingError(f"{c.who} has a length of its own for each place in the batch (sequence_lens {value.low.tolist()})")
            n = int(lengths[0])
            return (x, None) if n == steps else (c.put(Slice(1, 0, n), x, part="shortened"), None)
        if value.at != 0 or value.tail:
            raise MixingError(f"the sequence_lens of {c.who} are not one number for each sample")
        column = c.put(Unsqueeze((1,)), value, part="lengths")
        return x, c.put(Compare("lt"), positions, column, like=column, part="mask").name

    def _sequences(self, hidden: Sequence[Live], mask: str | None, steps: int) -> Live:
        """Y: the directions on an axis of their own, zeros behind the end of a sequence."""
        c = self.c
        layout: Layout = (0, 1, 1) if self.first else (2, 1, 1)
        high = [c.put(Unsqueeze((2,)), h, layout=layout, part="direction") for h in hidden]
        y = high[0] if len(high) == 1 else c.put(Concat(2), *high, part="directions")
        if mask is not None:
            counts = c.put(Unsqueeze((2, 3)), mask, like=y, part="counts")
            y = c.put(Where(), counts, y, c.number(0, "zero"), like=y, part="masked")
        missing = steps - y.tail[0]
        return y if not missing else c.put(Pad(((0, missing), (0, 0), (0, 0))), y, part="padded")

    def _finals(self, found: Sequence[Live]) -> Live:
        """Y_h or Y_c: the state after the last step in the direction."""
        c = self.c
        layout: Layout = (0, 1, 1) if self.first else (1, 1, 1)
        first, last = Slice(1, 0, 1), Slice(1, -1)
        ends = [c.put(first if reverse else last, h, layout=layout, part="final") for h, reverse in zip(found, self.reverse)]
        return ends[0] if len(ends) == 1 else c.put(Concat(1), *ends, part="finals")


def _activations(c: Call) -> list[list[Op]]:
    """The activation functions of each direction; alpha and beta go to those that take one, in order."""
    names = c.attr("activations") or list(DEFAULTS[c.node.op_type]) * (2 if c.attr("direction") == "bidirectional" else 1)
    names = [n.decode() if isinstance(n, bytes) else str(n) for n in names]
    alphas, betas = list(c.attr("activation_alpha") or []), list(c.attr("activation_beta") or [])
    found: list[Op] = []
    for name in names:
        key = name.lower()
        if key not in ACTIVATIONS:
            raise ConversionError(f"{c.who} has the activation {name!r}; of a recurrent layer {', '.join(sorted(ACTIVATIONS))} are "
                                  f"converted")
        a = alphas.pop(0) if key in TAKES_ALPHA and alphas else None
        b = betas.pop(0) if key in TAKES_BETA and betas else None
        found.append(ACTIVATIONS[key](a, b))
    each = len(DEFAULTS[c.node.op_type])
    wanted = each * (2 if c.attr("direction") == "bidirectional" else 1)
    if len(found) != wanted:
        raise ConversionError(f"{c.who} has {len(found)} activations, but {wanted} are expected; the file is inconsistent")
    return [found[k : k + each] for k in range(0, len(found), each)]


class _Wiring:
    """What the unrolling of a layer needs of a Builder, spoken by the converter."""

    def __init__(self, c: Call, part: str):
        self.c, self.prefix = c, f"{c.name}/{part}"

    def add(self, op: Op, *inputs: str, name: str | None = None) -> str:
        c, wish = self.c, f"{self.prefix}/{name or type(op).__name__.lower()}"
        return c.converter.append(wish, op, inputs, layer_of(c.node), f"{c.who} (opset {c.opset})")

    def constant(self, value: Any, name: str | None = None) -> str:
        return self.c.converter.param(f"{self.prefix}/{name or 'constant'}", np.asarray(value, float))

    def shape(self, name: str) -> tuple[int | None, ...]:
        known = self.c.converter.params
        return known[name].shape if name in known else (None, *self.c.converter.shapes[name][1:])

    def rank(self, name: str) -> int:
        return len(self.shape(name))

    def value(self, name: str) -> Array:
        return self.c.converter.params[name]


RECURRENT: dict[str, Lowering] = {"RNN": recurrent, "GRU": recurrent, "LSTM": recurrent}

# ----- to ONNX ----------------------------------------------------------------------------------------------------


def unrolled(graph: Graph) -> Graph:
    """The graph with those recurrent nodes unrolled that no ONNX operator is for.

    Those have a mask, computed weights, activations other than ONNX's defaults (which the reference evaluator ignores), or give the
    cell states of every time step. ConversionError where the number of time steps is free.
    """
    odd = [n for n in graph.nodes if isinstance(n.op, (RNN, GRU, LSTM)) and not _is_whole(n, graph)]
    if odd and any(n is None for spec in graph.inputs.values() for n in spec.shape[1:]):
        raise ConversionError(f"node {odd[0].name!r}: ONNX has no operator for {odd[0].op}, and it cannot be unrolled, since an input "
                              f"has a free size; convert the model for one length of the sequence")
    return expand(graph, (RNN, GRU, LSTM), where=lambda n: not _is_whole(n, graph))


def _is_whole(node: Node, graph: Graph) -> bool:
    op: Any = node.op
    return (replace(op, reverse=False) in (RNN(), GRU(), GRU(reset="before"), LSTM()) and len(node.inputs) <= 5 + len(op.STATES)
            and all(i in graph.params for i in node.inputs[1:5]))


def emit_recurrent(e: Emitter, op: Any, x: str, w: str, u: str, b: str, c: str, *states: str) -> None:
    """One direction: time first, the blocks in ONNX's order."""
    kind = type(op).__name__
    order = np.argsort(ROWS[kind])
    rows = [np.concatenate([np.split(np.asarray(e.graph.params[i]), len(order))[k] for k in order]) for i in (w, u, b, c)]
    given = [e.put("Transpose", x, part="time_first", perm=[1, 0, 2]), e.floats(rows[0][None], "W"), e.floats(rows[1][None], "R"),
             e.floats(np.concatenate(rows[2:])[None], "B")]
    if states:
        given.append("")
    for k, name in enumerate(states):
        high = e.put("Unsqueeze", name, e.ints([0], f"front{k}"), part=f"initial{k}")
        if e.shape(name)[0] == 1 and name in e.graph.params:            # one state for all samples: ONNX wants one for each
            size = e.put("Shape", x, part=f"batch{k}", start=0, end=1)
            ones = e.ints([1], f"one{k}")
            high = e.put("Expand", high, e.put("Concat", ones, size, ones, part=f"sizes{k}", axis=0), part=f"initials{k}")
        given.append(high)
    settings: dict[str, Any] = {"hidden_size": e.graph.params[u].shape[1], "direction": "reverse" if op.reverse else "forward"}
    if kind == "GRU":
        settings["linear_before_reset"] = int(op.reset == "after")
    y = e.put(kind, *given, part="steps", **settings)
    e.put("Transpose", e.put("Squeeze", y, e.ints([1], "direction"), part="one_way"), perm=[1, 0, 2])


EMIT_RECURRENT: dict[str, Rule] = dict.fromkeys(("RNN", "GRU", "LSTM"), emit_recurrent)
