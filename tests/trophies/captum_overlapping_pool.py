"""captum DeepLift: of a unit that wins in two overlapping windows of a max-pool only one contribution is kept.

The contributions of windows are put back with max_unpool, which writes them where the winner is; where windows overlap and share
a winner, the last write stays and the others are lost.
Definition: summation to delta.
Derivation: windows {1,2} and {2,3} of x = (1, 4, 2) both have the winner 4, f = 4 + 4; at the baseline 0 f = 0. Unit 2 brings
about both differences, so its contribution is 8.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:DeepLift", "violated axiom"
VERSION, UPSTREAM = "0.9.0", "not found there by a search; tangermeme's issue 49 is the same"
OURS, SETTINGS = "deeplift.rescale", {}


X, BASELINE, TARGET = np.array([[[1.0, 4.0, 2.0]]]), np.array([[[0.0, -1.0, 0.0]]]), 0


def model():
    net = nn.Sequential(nn.MaxPool1d(2, stride=1), nn.Flatten(), nn.Linear(2, 1, bias=False)).double()
    net[2].weight.data[:] = 1
    return net


def given():
    from captum.attr import DeepLift

    return DeepLift(model()).attribute(torch.tensor(X), torch.tensor(BASELINE), target=TARGET).detach().numpy()


def expected():
    contribution = np.zeros_like(X)
    for window in (slice(0, 2), slice(2 - 1, 3)):
        contribution[0, 0, window.start + X[0, 0, window].argmax()] += X[0, 0, window].max() - BASELINE[0, 0, window].max()
    return contribution


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
