"""captum DeepLift: a functional ReLU is explained by its gradient, without a word.

Hooks see modules alone. captum's documentation asks for modules, but nothing is raised and no warning is given: the same function
written with F.relu has other attributions, which do not add up.
Definition: summation to delta.
Derivation: f = relu(x1 - x2) at (2, 1) against (0, 1): Δf = 1, Δpre = 2, multiplier 1/2, so x1 gets 1/2 * 2 = 1.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:DeepLift", "silent fall-back"
VERSION, UPSTREAM = "0.9.0", "issue 1082 there"
OURS, SETTINGS = "deeplift.rescale", {}


X, BASELINE, TARGET = np.array([[2.0, 1.0]]), np.array([[0.0, 1.0]]), 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.out = nn.Linear(2, 1, bias=False), nn.Linear(1, 1, bias=False)
        self.fc.weight.data, self.out.weight.data = torch.tensor([[1.0, -1.0]]), torch.tensor([[1.0]])

    def forward(self, x):
        return self.out(torch.relu(self.fc(x)))


def model():
    return Net().double()


def given():
    from captum.attr import DeepLift

    return DeepLift(model()).attribute(torch.tensor(X), torch.tensor(BASELINE), target=TARGET).detach().numpy()


def expected():
    w = np.array([[1.0, -1.0]])
    z, z0 = X @ w.T, BASELINE @ w.T
    return (np.maximum(z, 0) - np.maximum(z0, 0)) / (z - z0) * w * (X - BASELINE)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
