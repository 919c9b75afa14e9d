"""shap DeepExplainer (torch): with small outputs a functional ReLU is explained by its gradient, and the check of additivity passes.

The check allows an absolute error of 0.01, whatever the size of the outputs; hooks see modules alone.
Definition: local accuracy.
Derivation: f = 0.005 relu(x1 - x2) at (2, 1) against (0, 1): Δf = 0.005, all of it x1's (multiplier 1/2 on each side of the
kink).
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "shap", "shap:DeepExplainer", "silent fall-back"
VERSION, UPSTREAM = "0.51.0", "issues 2785, 3363 there ask for the tolerance"
OURS, SETTINGS = "deeplift.rescale", {}


X, BASELINE, TARGET = np.array([[2.0, 1.0]]), np.array([[0.0, 1.0]]), 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.out = nn.Linear(2, 1, bias=False), nn.Linear(1, 1, bias=False)
        self.fc.weight.data, self.out.weight.data = torch.tensor([[1.0, -1.0]]), torch.tensor([[0.005]])

    def forward(self, x):
        return self.out(torch.relu(self.fc(x)))


def model():
    return Net().double()


def given():
    import shap

    return shap.DeepExplainer(model(), torch.tensor(BASELINE)).shap_values(torch.tensor(X)).reshape(X.shape)     # the check is on


def expected():
    return 0.005 * np.array([[1.0, 0.0]])


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
