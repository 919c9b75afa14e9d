"""captum LRP: a functional tanh is explained by its gradient, without a word, while modules without a rule are refused.

Definition: relevance passes an activation unchanged (Bach et al. 2015); captum's rule for nn.Tanh does so.
Derivation: f = tanh(x) with one input: all of f(x) = tanh(2) = 0.964 is x's. What comes out is smaller by tanh's slope there,
0.07.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:LRP", "silent fall-back"
VERSION, UPSTREAM = "0.9.0", "not looked up"
OURS, SETTINGS = "lrp.epsilon", {}


X, BASELINE, TARGET = np.array([[2.0]]), None, 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.out = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        self.fc.weight.data[:], self.out.weight.data[:] = 1, 1

    def forward(self, x):
        return self.out(torch.tanh(self.fc(x)))


def model():
    return Net().double()


def given():
    from captum.attr import LRP

    return LRP(model()).attribute(torch.tensor(X), target=TARGET).detach().numpy()


def expected():
    return np.tanh(X)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
