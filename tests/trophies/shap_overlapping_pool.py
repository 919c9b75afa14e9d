"""shap DeepExplainer (torch): of a unit that wins in two overlapping windows of a max-pool only one contribution is kept.

Contributions are put back with max_unpool, which writes them where the winner is; where windows share a winner, one write stays.
Definition: local accuracy, sum = f(x) - E f.
Derivation: windows {1,2} and {2,3} of x = (1, 4, 2) both have the winner 4, f = 8, and 0 at the background: unit 2 brings about
all of it. (With the check of additivity, which is on by default, an error is raised instead.)
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "shap", "shap:DeepExplainer", "violated axiom"
VERSION, UPSTREAM = "0.51.0", "not looked up"
OURS, SETTINGS = "deeplift.rescale", {}


X, BASELINE, TARGET = np.array([[[1.0, 4.0, 2.0]]]), np.array([[[0.0, -1.0, 0.0]]]), 0


def model():
    net = nn.Sequential(nn.MaxPool1d(2, stride=1), nn.Flatten(), nn.Linear(2, 1, bias=False)).double()
    net[2].weight.data[:] = 1
    return net


def given():
    import shap

    return shap.DeepExplainer(model(), torch.tensor(BASELINE)).shap_values(torch.tensor(X), check_additivity=False).reshape(X.shape)


def expected():
    contribution = np.zeros_like(X)
    for start in (0, 1):
        window = slice(start, start + 2)
        contribution[0, 0, start + X[0, 0, window].argmax()] += X[0, 0, window].max() - BASELINE[0, 0, window].max()
    return contribution


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
