"""shap GradientExplainer (torch): a model in float64 crashes.

Samples are made in float32, whatever the background's dtype is.
Definition: expected gradients of a linear function are w (x - b), whatever is drawn.
Derivation: f = 2 x1 + 3 x2 at (1, 1) against 0.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "shap", "shap:GradientExplainer", "crash on a valid model"
VERSION, UPSTREAM = "0.51.0", "not looked up"
OURS, SETTINGS = "expected_gradients", {}


X, BASELINE, TARGET = np.array([[1.0, 1.0]]), np.zeros((1, 2)), 0


def model():
    net = nn.Linear(2, 1, bias=False).double()
    net.weight.data = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
    return net


def given():
    import shap

    try:
        return np.asarray(shap.GradientExplainer(model(), torch.tensor(BASELINE)).shap_values(torch.tensor(X), nsamples=5)).reshape(X.shape)
    except RuntimeError as error:
        return f"RuntimeError: {error}"


def expected():
    return X * [[2.0, 3.0]]


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
