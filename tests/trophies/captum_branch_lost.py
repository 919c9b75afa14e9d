"""captum DeepLift: where a value is read by a nonlinear module and by something else, the something else is lost.

The hook on the module's input replaces the gradient of that tensor, which autograd has added up over all its readers, by the
module's part alone. So the other branch of a skip connection over an activation, or the convolutions beside the pool of an
Inception block, get nothing. GuidedBackprop and LRP use the same helper and lose it as well. Releases 0.6.0 to 0.9.0; 0.2.0 to
0.5.0 are right.
Definition: summation to delta.
Derivation: f = x + 0 relu(x) at 0.5 against 0: all of Δf = 0.5 is x's.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:DeepLift", "violated axiom"
VERSION, UPSTREAM = "0.9.0", "not found there by a search"
OURS, SETTINGS = "deeplift.rescale", {}


X, BASELINE, TARGET = np.array([[0.5]]), np.array([[0.0]]), 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu, self.out = nn.ReLU(), nn.Linear(2, 1, bias=False)
        self.out.weight.data = torch.tensor([[1.0, 0.0]])

    def forward(self, x):
        return self.out(torch.cat([x, self.relu(x)], 1))


def model():
    return Net().double()


def given():
    from captum.attr import DeepLift

    return DeepLift(model()).attribute(torch.tensor(X), torch.tensor(BASELINE), target=TARGET).detach().numpy()


def expected():
    return 1.0 * (X - BASELINE) + 0.0 * (np.maximum(X, 0) - np.maximum(BASELINE, 0))


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
