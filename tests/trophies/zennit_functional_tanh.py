"""zennit, LRP: a functional activation is explained by its gradient, without a word.

Its composites pass relevance through nn.Tanh unchanged; torch.tanh is no module, so plain autograd is used there.
Definition: relevance passes an activation (Bach et al. 2015).
Derivation: one input: all of f(x) = tanh(2) is x's.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "zennit", "zennit:Epsilon", "silent fall-back"
VERSION, UPSTREAM = "0.5.1", "not looked up"
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
    from zennit.attribution import Gradient
    from zennit.composites import EpsilonPlus

    x = torch.tensor(X, requires_grad=True)
    with Gradient(model(), EpsilonPlus(epsilon=1e-9)) as attributor:
        return attributor(x, lambda out: out.detach())[1].detach().numpy()


def expected():
    return np.tanh(X)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
