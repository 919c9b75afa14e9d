"""captum Occlusion: attributions of a float64 model are kept in float32.

Sums over windows and their counts are made in float32, whatever the model computes in.
Definition: f(x) - f(x without the feature).
Derivation: f = 16777217 x1, and x1 is taken away: 16777217, which float32 has not.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:Occlusion", "wrong number"
VERSION, UPSTREAM = "0.9.0", "not looked up"
OURS, SETTINGS = None, {"window": 1}


X, BASELINE, TARGET = np.array([[1.0, 1.0]]), np.zeros((1, 2)), 0


def model():
    net = nn.Linear(2, 1, bias=False).double()
    net.weight.data = torch.tensor([[16777217.0, 1.0]], dtype=torch.float64)
    return net


def given():
    from captum.attr import Occlusion

    net = model()
    found = Occlusion(net).attribute(torch.tensor(X), sliding_window_shapes=(1,), target=TARGET)
    return found.numpy().astype(float) - [[16777216.0, 0.0]]            # the last digit is the question


def expected():
    return X * [[16777217.0, 1.0]] - [[16777216.0, 0.0]]


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
