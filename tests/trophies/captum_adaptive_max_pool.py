"""captum DeepLift: an adaptive max-pool is explained by its gradient.

MaxPool2d has a rule, AdaptiveMaxPool2d, the usual pool before a classifier, has none; nothing is raised and no warning is given.
Definition: summation to delta.
Derivation: f = max(x) = 2 at (1, 2), 3 at the baseline (3, 0): Δf = -1. The gradient gives unit 2 the contribution 1 * (2 - 0) =
+2. By the cross-maximum the baseline's winner, unit 1, gets y - max(y, y0) = -1.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:DeepLift", "silent fall-back"
VERSION, UPSTREAM = "0.9.0", "not looked up"
OURS, SETTINGS = "deeplift.rescale", {}


X, BASELINE, TARGET = np.array([[[1.0, 2.0]]]), np.array([[[3.0, 0.0]]]), 0


def model():
    net = nn.Sequential(nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(1, 1, bias=False)).double()
    net[2].weight.data[:] = 1
    return net


def given():
    from captum.attr import DeepLift

    return DeepLift(model()).attribute(torch.tensor(X), torch.tensor(BASELINE), target=TARGET).detach().numpy()


def expected():
    y, y0 = X.max(), BASELINE.max()
    contribution = np.zeros_like(X)
    contribution[0, 0, X.argmax()] += max(y, y0) - y0
    contribution[0, 0, BASELINE.argmax()] += y - max(y, y0)
    return contribution


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
