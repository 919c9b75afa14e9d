"""captum ShapleyValues: attributions of a float64 model are kept in float32.

Found by fuzzing. The sums over permutations are made in float32, whatever the model computes in.
Definition: Shapley's value of a sum is each summand.
Derivation: f = 16777217 x1 at 1 against 0: 16777217, which float32 has not.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:ShapleyValues", "wrong number"
VERSION, UPSTREAM = "0.9.0", "not looked up"
OURS, SETTINGS = None, {}


X, BASELINE, TARGET = np.array([[1.0, 1.0]]), np.array([[0.0, 0.0]]), 0
W = np.array([[16777217.0, 1.0]])


def model():
    net = nn.Linear(2, 1, bias=False).double()
    net.weight.data = torch.tensor(W)
    return net


def given():
    from captum.attr import ShapleyValues

    return ShapleyValues(model()).attribute(torch.tensor(X), torch.tensor(BASELINE), target=TARGET).detach().numpy() - X * W


def expected():
    return np.zeros_like(X)                                             # beside w x itself, so that the digit shows


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
