"""The embedded default: a small trained network and real images, so that a bare install has something to explain.

``digits.json`` and ``digits.onnx`` hold the same CNN (conv-relu-conv-relu-pool, a residual block, dense-relu-dense,
softmax; 14,426 parameters, float32), trained on handwritten digits by benchmarks/train_digits.py. Its ``meta`` says how well and
on what. The images are 12 that it classifies correctly and was not trained on. Each ``digit_*.png`` is one of them, 8 x 8 grey.

Source of the images: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998, in the
copy that scikit-learn ships.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from xaicore.errors import UnknownName, nearest
from xaicore.graph import Graph
from xaicore.graph.files import load
from xaicore.numerics import Array


def digits_path(name: str = "digits.json") -> Path:
    """Where the file ``name`` lies: digits.json, digits.onnx, digits_heldout.npz or a digit_*.png.

    Raises UnknownName, with the files that there are.
    """
    folder = Path(str(files(__name__)))
    known = sorted(p.name for p in folder.glob("digit*"))
    if name not in known:
        raise UnknownName(f"no file {name!r} comes with xaicore: {nearest(name, known)}")
    return folder / name


def digits_model(dtype: str = "float64") -> Graph:
    """The network: input "image" (N, 1, 8, 8) in [0, 1], output "probabilities" (N, 10) behind the value "logits".

    >>> images, labels = digits_images()
    >>> bool((digits_model()(images).argmax(axis=1) == labels).all())
    True
    """
    return load(digits_path("digits.json")).astype(dtype)


def digits_images() -> tuple[Array, Array]:
    """Held-out images (12, 1, 8, 8), float32 in [0, 1], and their labels (12,): 0 to 9 first, then the two least sure ones."""
    with np.load(digits_path("digits_heldout.npz"), allow_pickle=False) as stored:
        return stored["images"], stored["labels"]


__all__ = ["digits_images", "digits_model", "digits_path"]
