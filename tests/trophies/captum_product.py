"""captum DeepLift: a product of two activations is explained by its gradient at the input.

Gates (squeeze-and-excitation, gated units, attention) are products. Nothing is raised and no warning is given.
Definition: summation to delta.
Derivation: f = x1 x2 at (2, 3) against (0, 0): f = 6, f(x0) = 0. The gradient at x gives 2 * 3 + 3 * 2 = 12. Two equal roles:
each factor's Shapley value is 3.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:DeepLift", "silent fall-back"
VERSION, UPSTREAM = "0.9.0", "issue 1085 there"
OURS, SETTINGS = "deeplift.rescale", {}


X, BASELINE, TARGET = np.array([[2.0, 3.0]]), np.zeros((1, 2)), 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(1, 1, bias=False)
        self.out.weight.data[:] = 1

    def forward(self, x):
        return self.out(x[:, :1] * x[:, 1:])


def model():
    return Net().double()


def given():
    from captum.attr import DeepLift

    return DeepLift(model()).attribute(torch.tensor(X), torch.tensor(BASELINE), target=TARGET).detach().numpy()


def expected():
    a, b = X[0]
    return np.array([[a * b / 2, a * b / 2]])                           # f(a, 0) = f(0, b) = 0: (f(a, b) - f(0, b) + f(a, 0)) / 2 each


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
