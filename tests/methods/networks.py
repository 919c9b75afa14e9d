"""A network that the tests of several methods share."""

from xaicore import Builder
from xaicore.ops import Add, Conv, Dense, Flatten, MaxPool, ReLU


def cnn(rng, size, channels):
    """A residual convolutional network with a max-pool on (N, 1, size, size): 2 channels size² + 32 ReLUs."""
    b = Builder()
    x = b.input("x", (None, 1, size, size))

    def conv(value, name, into, out):
        w = b.param(f"{name}.w", rng.normal(size=(out, into, 3, 3)) / (3 * into**0.5))
        return b.add(Conv(pads=((1, 1), (1, 1))), value, w, b.param(f"{name}.b", rng.normal(size=out) / 3), name=name)

    h = b.add(ReLU(), conv(x, "conv1", 1, channels), name="relu1")
    h = b.add(ReLU(), b.add(Add(), conv(h, "conv2", channels, channels), h), name="relu2")
    h = b.add(Flatten(), b.add(MaxPool((2, 2)), h, name="pool"))
    n = channels * (size // 2) ** 2
    h = b.add(ReLU(), b.add(Dense(), h, b.param("w3", rng.normal(size=(32, n)) / n**0.5), b.param("b3", rng.normal(size=32)), name="fc1"))
    return b.build(b.add(Dense(), h, b.param("w4", rng.normal(size=(5, 32)) / 6), b.param("b4", rng.normal(size=5)), name="fc2"))
