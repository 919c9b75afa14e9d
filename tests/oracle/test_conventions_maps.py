"""Conventions of class-activation maps (12 and 13 of fifteen): theirs is a loop of its own, and compare must name it, and no other."""

import math

import numpy as np
import pytest

from tests.oracle import by_hand as hand
from tests.oracle.theirs import A, G, map_net, named

HIGH = A + np.array([2.0, 0.0])[:, None, None]                          # so that the map is positive, and min-max is not division by max


def weighted(w, a=A):
    return sum(w[k] * a[k] for k in range(2))


def scaled(m):
    return (m - m.min()) / (m.max() - m.min())


RELU = np.vectorize(lambda v: max(v, 0.0))
MEAN_W = [G[k].sum() / 9 for k in range(2)]
KERAS = [G[k].sum() / 9 / (0.6 + 1e-7) for k in range(2)]
GUIDED = [sum(G[k].reshape(-1)[(A[k].reshape(-1) > 0) & (G[k].reshape(-1) > 0)]) / 9 for k in range(2)]
LARGE = hand.upsampled(weighted(MEAN_W, HIGH), 6)
GRAD_CAMS = {
    "xplique": (A, hand.upsampled(RELU(weighted(MEAN_W)), 6), None),
    "authors": (A, hand.upsampled(RELU(weighted([9 * v for v in MEAN_W])), 6), {"weights": "sum"}),
    "captum": (A, np.kron(weighted(MEAN_W), np.ones((2, 2))), {"relu": False, "upsample": "nearest"}),
    "pytorch-grad-cam": (HIGH, hand.upsampled(scaled(weighted(MEAN_W, HIGH)), 6), {"normalize": "min_max_first"}),
    "tf-keras-vis": (HIGH, scaled(LARGE), {"normalize": "min_max"}),
    "PAIR": (HIGH, LARGE / LARGE.max(), {"normalize": "max"}),
    "guided": (A, hand.upsampled(RELU(weighted(GUIDED)), 6), {"weights": "guided"}),
    "keras-vis, not scaled": (A, hand.upsampled(RELU(weighted(KERAS)), 6), {"weights": "normalized"}),
}


@pytest.mark.parametrize("library", GRAD_CAMS)
def test_12_grad_cam(library):
    a, theirs, settings = GRAD_CAMS[library]
    x = np.kron(a, np.ones((1, 2, 2)))
    named(map_net(), x[None], "grad_cam", theirs, settings, [], target=None)


def plus_plus(kind):
    s, out = (G * A).sum(), []
    for k in range(2):
        a, g = A[k].reshape(-1), G[k].reshape(-1)
        third = {"paper": a.sum() * g**3, "elementwise": np.full(9, (a * g**3).sum()), "mean": a.mean() * g**3, "square": 0 * g,
                 "normalized": a.sum() * g**3}[kind]
        alpha = np.array([0.0 if g[i] == 0 else g[i] ** 2 / (2 * g[i] ** 2 + third[i]) for i in range(9)])
        if kind == "square":
            alpha = g**2
        if kind == "normalized":
            alpha = alpha / alpha.sum()
        w = sum(alpha[i] * max(g[i], 0.0) for i in range(9))
        out.append(w / 9 if kind == "mean" else w * math.exp(s) if kind == "normalized" else w)
    return hand.upsampled(RELU(weighted(out)), 6)


@pytest.mark.parametrize(("kind", "settings"), [
    ("paper", {"score": "linear"}), ("elementwise", {"score": "linear", "weights": "elementwise"}),
    ("square", {"score": "linear", "weights": "square"}), ("mean", {"score": "linear", "weights": "mean"}), ("normalized", {"weights": "normalized"})],
    ids=["pytorch-grad-cam", "torchcam as meant", "torchcam", "xplique", "tf-keras-vis"])
def test_13_grad_cam_plus_plus(kind, settings):
    x = np.kron(A, np.ones((1, 2, 2)))
    named(map_net(), x[None], "grad_cam_plus_plus", plus_plus(kind), settings, target=None)
