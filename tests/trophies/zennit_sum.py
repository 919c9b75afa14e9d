"""zennit, LRP: a sum in the forward pass (a residual connection) doubles relevance, without a word.

Each summand gets all of the relevance, unless a canonizer written for this very class of networks replaces the sum.
Definition: conservation (Bach et al. 2015, equation 2).
Derivation: f = h + relu(h) with h = x = 3: f = 6, all of it x's.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "zennit", "zennit:Epsilon", "violated axiom"
VERSION, UPSTREAM = "0.5.1", "issue 236 there is a case of it"
OURS, SETTINGS = "lrp.epsilon", {}


X, BASELINE, TARGET = np.array([[3.0]]), None, 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.relu, self.out = nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False)
        self.fc.weight.data[:], self.out.weight.data[:] = 1, 1

    def forward(self, x):
        h = self.fc(x)
        return self.out(h + self.relu(h))


def model():
    return Net().double()


def given():
    from zennit.attribution import Gradient
    from zennit.composites import EpsilonPlus

    x = torch.tensor(X, requires_grad=True)
    with Gradient(model(), EpsilonPlus(epsilon=1e-9)) as attributor:
        return attributor(x, lambda out: out.detach())[1].detach().numpy()


def expected():
    return X + np.maximum(X, 0)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
