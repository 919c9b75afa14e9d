"""Trains the embedded default: a small CNN on the handwritten digits of scikit-learn, with xaicore's own engine.

    python benchmarks/train_digits.py [--out xaicore/data] [--epochs 60]

``xaicore.metrics.train`` does it: the gradient of the loss is a backward pass of the gradient rule set with respect to the parameters, and
NumPy does the rest (Adam, cosine learning rate). No other framework takes part, so a network that learns is at the same
time a check of every weight vjp that it uses. Same seed and same NumPy build: same file (BLAS runs on one thread, as the order of its
sums depends on their number).

It writes digits.json (xaicore's own format), digits.onnx, digits_heldout.npz and digit_<d>.png, and prints the accuracy on the
held-out quarter. Data: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998, as
shipped by scikit-learn.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")    # read when NumPy loads

import numpy as np

from xaicore.graph import Builder, Graph
from xaicore.graph.files import save
from xaicore.metrics.train import Adam, accuracy
from xaicore.metrics.train import train as train_graph
from xaicore.numerics import Array
from xaicore.ops import Add, Conv, Dense, Flatten, MaxPool, ReLU, Softmax

SEED = 0
HELD_OUT = 0.25
BATCH = 64
RATE, DECAY = 4e-3, 0.1                               # of Adam, and of the weights towards zero; chosen by splitting the training
                                                      # images alone (mean accuracy 0.998 there), never by the held-out ones
ACCURACY = 0.97                                       # of the held-out quarter; below it nothing is written
PICTURES = (3, 5, 8)                                  # digits that become a PNG file each
SHOWN = 12                                            # held-out images that are shipped


# ----- the network --------------------------------------------------------------------------------------------------


def network(rng: np.random.Generator) -> Graph:
    """conv-relu-conv-relu-pool, a residual block, dense-relu-dense, softmax; weights after He, biases zero.

    It has on purpose what attribution methods differ about: biases, overlapping paths around a skip connection, a max-pool, and
    a softmax head. 14,426 parameters. Biases of hidden layers are kept <= 0 in training, and the layer that feeds the skip
    connection has none: that is what deep Taylor decomposition assumes, and it lets a neuron that sees only blank pixels stay
    silent, so that LRP without biases has no relevance at a neuron without input.
    """
    b = Builder("digits", "float32")

    def weighted(op: Conv | Dense, x: str, name: str, shape: tuple[int, ...], bias: bool = True) -> str:
        sigma = np.sqrt(2 / np.prod(shape[1:]))
        w = b.param(f"{name}.weight", rng.standard_normal(shape) * sigma)
        return b.add(op, x, w, *([b.param(f"{name}.bias", np.zeros(shape[0]))] if bias else []), name=name, layer=name)

    def conv(x: str, name: str, out: int, into: int, bias: bool = True) -> str:
        return weighted(Conv(pads=((1, 1), (1, 1))), x, name, (out, into, 3, 3), bias)

    def relu(x: str, name: str) -> str:
        return b.add(ReLU(), x, name=name, layer=name)

    x = b.input("image", (None, 1, 8, 8))
    x = relu(conv(x, "conv1", 8, 1), "relu1")
    x = relu(conv(x, "conv2", 16, 8), "relu2")
    x = b.add(MaxPool((2, 2)), x, name="pool", layer="pool")
    inner = conv(relu(conv(x, "conv3", 16, 16), "relu3"), "conv4", 16, 16, bias=False)
    x = relu(b.add(Add(), x, inner, name="skip", layer="skip"), "relu4")
    x = b.add(Flatten(), x, name="flatten", layer="flatten")
    x = relu(weighted(Dense(), x, "fc1", (32, 256)), "relu5")
    x = weighted(Dense(), x, "logits", (10, 32))
    return b.build(b.add(Softmax(), x, name="probabilities", layer="probabilities"))


# ----- the data -----------------------------------------------------------------------------------------------------


def digits() -> tuple[Array, Array]:
    """All 1797 images (N, 1, 8, 8) in [0, 1], and their labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images[:, None] / 16).astype("float32"), data.target


def split(labels: Array, seed: int = SEED, held_out: float = HELD_OUT) -> tuple[Array, Array]:
    """Indices (training, held out): the same share of every class is held out, drawn by ``seed``; both sorted."""
    rng = np.random.default_rng(seed)
    classes = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    held = np.concatenate([rng.permutation(of)[: round(held_out * len(of))] for of in classes])
    return np.setdiff1d(np.arange(len(labels)), held), np.sort(held)


def shifted(images: Array, rng: np.random.Generator) -> Array:
    """Each image moved by at most one pixel up, down, left or right; what comes in is blank."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    moves = np.array([(1, 1), (1, 1), (0, 1), (2, 1), (1, 0), (1, 2)])[rng.integers(0, 6, len(images))]
    return np.stack([p[:, r : r + 8, c : c + 8] for p, (r, c) in zip(padded, moves)])


# ----- training -----------------------------------------------------------------------------------------------------


def train(graph: Graph, images: Array, labels: Array, epochs: int, rng: np.random.Generator) -> Graph:
    """Adam with decoupled weight decay and a cosine from RATE to 0, on shifted images; biases of hidden layers stay <= 0."""
    def constrain(name: str, w: Array) -> Array:
        return np.minimum(w, 0) if name.endswith(".bias") and name != "logits.bias" else w

    def report(epoch: int, loss: float) -> None:
        if epoch % 10 == 0 or epoch == epochs:
            print(f"epoch {epoch:3}  loss {loss:.4f}", flush=True)

    return train_graph(graph, images, labels, optimizer=Adam(RATE, DECAY), epochs=epochs, batch=BATCH, seed=rng, augment=shifted,
                       constrain=constrain, progress=report)


# ----- what is shipped ------------------------------------------------------------------------------------------------


def chosen(graph: Graph, images: Array, labels: Array, held: Array) -> Array:
    """Indices of SHOWN correctly classified held-out images: the first of each class, then the least sure ones."""
    p = graph(images[held])
    right = held[p.argmax(axis=1) == labels[held]]
    first = [right[labels[right] == c][0] for c in range(10)]
    sure = dict(zip(held.tolist(), p.max(axis=1).tolist()))
    rest = sorted((k for k in right.tolist() if k not in first), key=sure.__getitem__)
    return np.array([*first, *rest[: SHOWN - 10]])


def write(graph: Graph, images: Array, labels: Array, held: Array, folder: Path) -> None:
    """digits.json, digits.onnx, digits_heldout.npz and the pictures."""
    from PIL import Image
    from xaicore_onnx import emit

    folder.mkdir(parents=True, exist_ok=True)
    save(graph, folder / "digits.json")
    (folder / "digits.onnx").write_bytes(emit(graph).SerializeToString())
    take = chosen(graph, images, labels, held)
    np.savez(folder / "digits_heldout.npz", images=images[take], labels=labels[take], indices=take)
    for digit in PICTURES:
        one = take[labels[take] == digit][0]
        Image.fromarray(np.rint(images[one, 0] * 255).astype("uint8")).save(folder / f"digit_{digit}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "xaicore" / "data")
    parser.add_argument("--epochs", type=int, default=60)
    args = parser.parse_args()
    started = time.perf_counter()
    images, labels = digits()
    training, held = split(labels)
    rng = np.random.default_rng(SEED)
    graph = train(network(rng), images[training], labels[training], args.epochs, rng)
    seen, fresh = accuracy(graph, images[training], labels[training]), accuracy(graph, images[held], labels[held])
    print(f"{graph.size:,} parameters, {time.perf_counter() - started:.0f} s; accuracy {seen:.4f} on {len(training)} training images, "
          f"{fresh:.4f} on {len(held)} held-out images")
    if fresh < ACCURACY:
        raise SystemExit(f"below {ACCURACY}: nothing is written")
    graph = replace(graph, meta={
        "accuracy": f"{fresh:.4f} on {len(held)} held-out images", "classes": ",".join(map(str, range(10))), "range.image": "0,1",
        "trained_on": f"{len(training)} of the 1797 handwritten digits of scikit-learn (UCI, Alpaydin and Kaynak 1998), "
                      f"benchmarks/train_digits.py, seed {SEED}",
    })
    write(graph, images, labels, held, args.out)
    for path in sorted(args.out.glob("digit*")):
        print(f"{path.stat().st_size:8,} bytes  {path.name}")


if __name__ == "__main__":
    main()
