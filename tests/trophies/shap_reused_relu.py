"""shap DeepExplainer (torch): one ReLU module that is called twice takes the values of its last call for both.

A module keeps its input in one place; nothing refuses a module that is called twice. (The check of additivity, on by default,
raises where the error is above 0.01.)
Definition: local accuracy.
Derivation: f = relu(relu(x) - 2) at 3 against 0: Δf = 1, all of it x's.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "shap", "shap:DeepExplainer", "wrong number"
VERSION, UPSTREAM = "0.51.0", "not looked up"
OURS, SETTINGS = "deeplift.rescale", {}


X, BASELINE, TARGET = np.array([[3.0]]), np.array([[0.0]]), 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.relu, self.out = nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1, bias=False)
        self.fc.weight.data[:], self.fc.bias.data[:], self.out.weight.data[:] = 1, -2, 1

    def forward(self, x):
        return self.out(self.relu(self.fc(self.relu(x))))


def model():
    return Net().double()


def given():
    import shap

    try:
        return shap.DeepExplainer(model(), torch.tensor(BASELINE)).shap_values(torch.tensor(X), check_additivity=False).reshape(X.shape)
    except (AttributeError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"


def expected():
    f = np.maximum(np.maximum(np.array([[3.0], [0.0]]), 0) - 2, 0)
    return f[:1] - f[1:]


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
