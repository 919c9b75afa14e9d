"""captum DeepLift: a nonlinear module that follows another one directly loses its rule.

captum changes gradients with hooks on tensors. Where one module's output is the next one's input, both hooks are on the same
tensor; the first module's runs first and reads the gradient before the second has changed it. So in Conv - ReLU - MaxPool, or
ReLU - Sigmoid, the second rule is never used and the plain gradient stands there. Releases 0.6.0 to 0.9.0; 0.2.0 to 0.5.0 are
right.
Definition: summation to delta, sum C = f(x) - f(x0) (Shrikumar et al. 2017, section 3.1).
Derivation: the pool of two values hands on max(1, 0) - max(3, 5) = -4. By the cross-maximum, M = 5: the winner of x0, unit 2,
gets y - M = -4 and the winner of x, unit 1, gets M - y0 = 0; ReLU's multiplier of unit 2 is (0 - 5) / (-2 - 5), so its
contribution is -4 (Δ = -7, m = 4/7).
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:DeepLift", "violated axiom"
VERSION, UPSTREAM = "0.9.0", "issue 1104 there; pull request 1843, after 0.9.0"
OURS, SETTINGS = "deeplift.rescale", {}


X, BASELINE, TARGET = np.array([[[1.0, -2.0]]]), np.array([[[3.0, 5.0]]]), 0


def model():
    net = nn.Sequential(nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(1, 1, bias=False)).double()
    net[3].weight.data[:] = 1
    return net


def given():
    from captum.attr import DeepLift

    return DeepLift(model()).attribute(torch.tensor(X), torch.tensor(BASELINE), target=TARGET).detach().numpy()


def expected():
    x, x0 = np.maximum(X, 0), np.maximum(BASELINE, 0)
    y, y0 = x.max(-1), x0.max(-1)
    contribution = np.zeros_like(X)
    contribution[0, 0, x[0, 0].argmax()] += np.maximum(y, y0)[0, 0] - y0[0, 0]
    contribution[0, 0, x0[0, 0].argmax()] += y[0, 0] - np.maximum(y, y0)[0, 0]
    return contribution


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
