"""PAIR saliency GuidedIG: with NumPy 2.4 every call crashes.

np.quantile is called with interpolation=, which NumPy renamed to method= in 1.22 and removed in 2.4; the package does not limit
NumPy.
Definition: for a linear function every path gives w (x - x0).
Derivation: f = 2 x1 + 3 x2.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "saliency", "saliency:GuidedIG", "crash on a valid model"
VERSION, UPSTREAM = "0.2.1", "not looked up"
OURS, SETTINGS = "guided_ig", {}


X, BASELINE, TARGET = np.array([[1.0, 1.0]]), np.zeros((1, 2)), 0
W = np.array([2.0, 3.0])


def model():
    net = nn.Linear(2, 1, bias=False).double()
    net.weight.data = torch.tensor(W[None])
    return net


def given():
    from saliency.core import INPUT_OUTPUT_GRADIENTS, GuidedIG

    def gradients(x, call_model_args=None, expected_keys=None):
        return {INPUT_OUTPUT_GRADIENTS: np.broadcast_to(W, np.shape(x))}

    try:
        return GuidedIG().GetMask(X[0], gradients, x_baseline=BASELINE[0])[None]
    except TypeError as error:
        return f"TypeError: {error}"


def expected():
    return X * W


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
