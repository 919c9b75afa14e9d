"""Control flow that constants decide: the branch of an If, the steps of a Loop or a Scan one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xaicore.errors import ConversionError
from xaicore.ops import Concat, Identity, Slice, Squeeze, Unsqueeze
from xaicore_onnx.call import Call, Lowering, Results, Value
from xaicore_onnx.values import Known, Live, Numbered, onnx_axis

MAX_STEPS, MAX_NODES = 1000, 10_000
"""Each step of a loop is converted by itself: so many steps of one loop, and so many nodes of all loops of a model, which may be nested."""


def choose(c: Call) -> Results:
    """If with a constant condition: the nodes of the branch that is taken."""
    condition = c.array(0, "condition")
    graph = c.attr("then_branch" if bool(condition.reshape(-1)[0]) else "else_branch")
    return _given(c, [_plain(v) for v in c.converter.branch(graph)])


def _given(c: Call, found: Sequence[Value]) -> list[Value]:
    """What a subgraph computed, under names of this node."""
    c.converter.fresh = []
    return [v if isinstance(v, Known) else c.put(Identity(), v) for v in found]


def _plain(value: Value | Numbered) -> Value:
    if isinstance(value, Numbered):
        raise ConversionError(f"a subgraph gives the numbers of the samples beside {value.rest.name!r}, which is not converted")
    return value


def loop(c: Call) -> Results:
    """Loop with a constant number of steps, or a condition that constants decide."""
    body = c.attr("body")
    count = int(c.array(0, "number of steps").reshape(-1)[0]) if c.has(0) else MAX_STEPS + 1
    going = bool(c.array(1, "condition").reshape(-1)[0]) if c.has(1) else True
    state = [c.x(k) for k in range(2, len(c.inputs))]
    collected: list[list[Value]] = [[] for _ in range(len(body.output) - 1 - len(state))]
    step = 0
    while going and step < count:
        _check(c, step)
        first = [Known(f"{c.name}/step", *(np.asarray(step),) * 2), Known(f"{c.name}/going", *(np.asarray(True),) * 2)]
        found = _step(c, [*first, *state])
        condition, *rest = found
        if isinstance(condition, Live) or not condition.fixed:
            raise ConversionError(
                f"{c.who} goes on or stops as its condition says, which is computed from the model's input; a static graph cannot hold "
                f"that. Export the model with a fixed number of steps"
            )
        going = bool(condition.low.reshape(-1)[0])
        state = rest[: len(state)]
        for held, one in zip(collected, rest[len(state):]):
            held.append(one)
        step += 1
    if any(not held for held in collected):
        raise ConversionError(f"{c.who} makes no step, so that its collected outputs are empty; a graph holds no empty values")
    c.converter.fresh = []
    return [*_given(c, state), *(_stacked(c, held, 0) for held in collected)]


def scan(c: Call) -> Results:
    """Scan: a state that goes along the entries of some inputs; what each step gives is stacked."""
    if c.opset < 9:
        raise ConversionError("Scan of opset 8, with a batch axis of its own, is not converted; export with opset 9 or later")
    body, many = c.attr("body"), c.attr("num_scan_inputs")
    held = len(c.inputs) - many
    state, sequences = [c.x(k) for k in range(held)], [c.x(k) for k in range(held, len(c.inputs))]
    axes = c.attr("scan_input_axes") or [0] * many
    backwards = c.attr("scan_input_directions") or [0] * many
    lengths = {_length(c, x, axis) for x, axis in zip(sequences, axes)}
    if len(lengths) != 1:
        raise ConversionError(f"{c.who} goes along inputs of lengths {sorted(lengths)}; the file is inconsistent")
    (length,) = lengths
    collected: list[list[Value]] = [[] for _ in range(len(body.output) - held)]
    for step in range(length):
        _check(c, step)
        c.converter.fresh = []
        entries = [_entry(c, x, axis, length - 1 - step if back else step) for x, axis, back in zip(sequences, axes, backwards)]
        found = _step(c, [*state, *entries])
        state = found[:held]
        for rows, one in zip(collected, found[held:]):
            rows.append(one)
    c.converter.fresh = []
    out_axes = c.attr("scan_output_axes") or [0] * len(collected)
    turned = c.attr("scan_output_directions") or [0] * len(collected)
    stacked = [_stacked(c, rows[::-1] if back else rows, axis) for rows, axis, back in zip(collected, out_axes, turned)]
    return [*_given(c, state), *stacked]


def _check(c: Call, step: int) -> None:
    if step >= MAX_STEPS:
        raise ConversionError(f"{c.who} makes more than {MAX_STEPS} steps, and each is converted by itself; export a model without a loop")


def _step(c: Call, values: Sequence[Value]) -> list[Value]:
    """One run of the body."""
    body = c.attr("body")
    c.converter.unrolled += len(body.node)
    if c.converter.unrolled > MAX_NODES:
        raise ConversionError(f"{c.who} makes more than {MAX_NODES:,} nodes of all steps of its loops; export a model without loops")
    for formal, value in zip(body.input, values):
        c.converter.values[formal.name] = value
    c.converter.count_readers(body.node)                    # once for each step, so that no step takes a value from the next
    return [_plain(v) for v in c.converter.branch(body)]


def _length(c: Call, x: Value, axis: int) -> int:
    if isinstance(x, Known):
        if not x.fixed:
            raise ConversionError(f"{c.who} goes along {x.name!r}, which depends on the batch size")
        return int(x.low.shape[axis])
    return x.tail[x.axis(axis, c.who) - 1]


def _entry(c: Call, x: Value, axis: int, step: int) -> Value:
    """Entry ``step`` along an axis, which is gone."""
    if isinstance(x, Known):
        return x.mapped(f"{x.name}/{step}", lambda v: v.take(step, axis))
    k, along = onnx_axis(axis, x.rank, c.who), x.axis(axis, c.who)
    one = c.put(Slice(along, step, step + 1), x, part="entry")
    return c.put(Squeeze((along,)), one, layout=(None if x.at is None else x.at - (k < x.at), x.outer, x.inner), part="squeezed")


def _stacked(c: Call, values: Sequence[Value], axis: int) -> Value:
    """Values one behind the other on a new axis."""
    lives = [v for v in values if isinstance(v, Live)]
    if not lives:
        known = [v for v in values if isinstance(v, Known)]
        low, high = (np.stack([getattr(v, end) for v in known], axis) for end in ("low", "high"))
        return Known(f"{c.name}/stacked", low, high)
    like = lives[0]
    rows = [v if isinstance(v, Live) else c.batched(v, like) for v in values]
    k = onnx_axis(axis, like.rank + 1, c.who)
    old = [j for j in range(like.rank + 1) if j != k]
    at = None if like.at is None else old[like.at]
    wide = Live("", (*like.tail, 1), like.kind, at, like.outer, like.inner)
    along = wide.groups[k][0]
    apart = [c.put(Unsqueeze((along,)), v, layout=wide.layout, part="apart") for v in rows]
    return apart[0] if len(apart) == 1 else c.put(Concat(along), *apart, like=apart[0], part="stacked")


LOOP: dict[str, Lowering] = {"If": choose, "Loop": loop, "Scan": scan}
