"""captum LRP: a sum in the forward pass (a residual connection) makes relevance out of nothing, without a word.

Each of the two summands gets all of it, and at the input it is multiplied by x once more. captum has a module that shares it,
Addition_Module, but refuses nothing without it.
Definition: conservation (Bach et al. 2015, equation 2).
Derivation: f = x + 1 x at x = 3: f = 6, all of it x's.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:LRP", "violated axiom"
VERSION, UPSTREAM = "0.9.0", "not looked up"
OURS, SETTINGS = "lrp.epsilon", {}


X, BASELINE, TARGET = np.array([[3.0]]), None, 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.out = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        self.fc.weight.data[:], self.out.weight.data[:] = 1, 1

    def forward(self, x):
        return self.out(x + self.fc(x))


def model():
    return Net().double()


def given():
    from captum.attr import LRP

    return LRP(model()).attribute(torch.tensor(X), target=TARGET).detach().numpy()


def expected():
    return 2 * X                                                        # one input: all of f(x) = 2 x is its relevance


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
