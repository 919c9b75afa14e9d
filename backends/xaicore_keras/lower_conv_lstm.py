"""ConvLSTM1D to 3D, step by step: an LSTM whose products with matrices are convolutions, with the gates i, f, c, o in this order."""

from __future__ import annotations

from xaicore.ops import Add, Concat, Conv, Mul, Slice, Split, Squeeze, Transpose, Unsqueeze
from xaicore_keras.convert import Call, Value
from xaicore_keras.lower_recurrent import function_of, initial_of
from xaicore_keras.lower_spatial import channels_last, padding, same, to_oihw, tupled


def conv_lstm(c: Call) -> Value | tuple[Value, ...]:
    """c = f c + i activation(w * x + b + u * h), h = o activation(c), where * is a convolution and the gates are made like it."""
    if c.op.stateful:
        raise c.refuse("keeps its state from one call to the next, so it is not the same function twice", "rebuild it with stateful=False")
    if c.arg(2, "mask") is not None or c.x.mask is not None:
        raise c.refuse("reads a mask", "build the model without masking")
    gate, activation, size = function_of(c, c.op.recurrent_activation), function_of(c, c.op.activation), c.op.filters
    last = channels_last(c)
    images, step = _sequence(c, last), _Step(c, last)
    states = [(c.moved(one) if last else c.own(one)).name for one in initial_of(c)]
    steps = c.size(c.x, 1)
    hidden: dict[int, str] = {}
    for t in range(steps - 1, -1, -1) if c.op.go_backwards else range(steps):
        image = c.add(Squeeze((2,)), c.add(Slice(2, t, t + 1), images, tag=f"{t}/step"), tag=f"{t}/x")
        z = step.total(image, states[0] if states else None, f"{t}/")
        i, f, g, o = (c.add(Split(1, (size,) * 4, k), z, tag=f"{t}/{one}_sum") for k, one in enumerate("ifgo"))
        i, o = c.add(gate, i, tag=f"{t}/i"), c.add(gate, o, tag=f"{t}/o")
        cell = c.add(Mul(), i, c.add(activation, g, tag=f"{t}/g"), tag=f"{t}/new")
        if states:
            cell = c.add(Add(), c.add(Mul(), c.add(gate, f, tag=f"{t}/f"), states[1], tag=f"{t}/kept"), cell, tag=f"{t}/c")
        states = [c.add(Mul(), o, c.add(activation, cell, tag=f"{t}/squashed"), tag=f"{t}/h"), cell]
        hidden[t] = states[0]
    output = c.value(states[0], moved=last)
    if c.op.return_sequences:                                           # Keras has the step first that was made first
        order = sorted(hidden, reverse=bool(c.op.go_backwards))
        every = [c.add(Unsqueeze((2,)), hidden[t], tag=f"{t}/out") for t in order]
        whole = c.add(Concat(2), *every, tag="" if last else "steps")
        output = c.value(whole, moved=True) if last else c.value(c.add(Transpose(_time_and_channels(c.x.rank)), whole))
    return (output, *(c.value(one, moved=last) for one in states)) if c.op.return_state else output


def _time_and_channels(rank: int) -> tuple[int, ...]:
    """Axes 1 and 2 exchanged."""
    return (0, 2, 1, *range(3, rank))


def _sequence(c: Call, last: bool) -> str:
    """The input as (N, C, T, *space)."""
    return c.moved(c.x).name if last else c.add(Transpose(_time_and_channels(c.x.rank)), c.own(c.x), tag="channels_first")


class _Step:
    """The two convolutions of a time step: of an image, and of the state before it, which keeps its size."""

    def __init__(self, c: Call, last: bool):
        self.c, rank = c, c.x.rank - 3
        size, first = tupled(c.op.kernel_size, rank), 2 if last else 3
        stride, dilation = tupled(c.op.strides, rank), tupled(c.op.dilation_rate, rank)
        self.of_x = Conv(stride, dilation, padding(c, c.x, range(first, first + rank), size, stride, dilation))
        self.of_h = Conv(pads=tuple(same(lambda: 0, k, 1) for k in size))

    def total(self, x: str, h: str | None, at: str) -> str:
        """What goes into the four gates."""
        c = self.c
        z = c.add(self.of_x, x, c.param("kernel", to_oihw), *c.params("bias"), tag=f"{at}w")
        if h is None:
            return z
        return c.add(Add(), z, c.add(self.of_h, h, c.param("recurrent_kernel", to_oihw), tag=f"{at}u"), tag=f"{at}sum")
