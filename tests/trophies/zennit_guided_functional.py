"""zennit GuidedBackprop: a functional ReLU is not guided, without a word.

The same function with nn.ReLU gives the guided map; with torch.relu it is the plain gradient.
Definition: Springenberg et al. 2014: negative signals are stopped at every ReLU.
Derivation: f = -relu(x): the signal -1 is negative, so nothing passes.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "zennit", "zennit:GuidedBackprop", "silent fall-back"
VERSION, UPSTREAM = "0.5.1", "not looked up"
OURS, SETTINGS = "guided_backprop", {}


X, BASELINE, TARGET = np.array([[2.0]]), None, 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(1, 1, bias=False)
        self.out.weight.data[:] = -1

    def forward(self, x):
        return self.out(torch.relu(x))


def model():
    return Net().double()


def given():
    from zennit.attribution import Gradient
    from zennit.composites import GuidedBackprop

    x = torch.tensor(X, requires_grad=True)
    with Gradient(model(), GuidedBackprop()) as attributor:
        return attributor(x, lambda out: torch.ones_like(out))[1].detach().numpy()


def expected():
    signal = np.full_like(X, -1.0)
    return signal * (X > 0) * (signal > 0)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
