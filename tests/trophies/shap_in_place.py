"""shap DeepExplainer (torch): a network with an in-place ReLU crashes.

Backward hooks on modules make the output of the layer before a view, which torch refuses to overwrite. nn.ReLU(inplace=True) is
how torchvision's networks are written.
Definition: local accuracy; an in-place activation is the same function.
Derivation: f = relu(2 x) at 3 against 0: 6.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "shap", "shap:DeepExplainer", "crash on a valid model"
VERSION, UPSTREAM = "0.51.0", "issues 3466 and 3565 there are about in-place operations"
OURS, SETTINGS = "deeplift.rescale", {}


X, BASELINE, TARGET = np.array([[3.0]]), np.array([[0.0]]), 0


def model():
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(inplace=True), nn.Linear(1, 1, bias=False)).double()
    net[0].weight.data[:], net[2].weight.data[:] = 2, 1
    return net


def given():
    import shap

    try:
        return shap.DeepExplainer(model(), torch.tensor(BASELINE)).shap_values(torch.tensor(X), check_additivity=False).reshape(X.shape)
    except RuntimeError as error:
        return f"RuntimeError: {error}"


def expected():
    return np.maximum(2 * X, 0) - np.maximum(2 * BASELINE, 0)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
