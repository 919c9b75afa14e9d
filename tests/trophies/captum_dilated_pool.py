"""captum DeepLift: a max-pool with a dilation crashes.

max_unpool has no dilation, so the size of what it should undo does not fit.
Definition: the cross-maximum, as for other pools.
Derivation: windows {1, 3} and {2, 4} of (1, 4, 2, 3) against 0: the winners are units 3 and 2.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:DeepLift", "crash on a valid model"
VERSION, UPSTREAM = "0.9.0", "not looked up"
OURS, SETTINGS = "deeplift.rescale", {}


X, BASELINE, TARGET = np.array([[[1.0, 4.0, 2.0, 3.0]]]), np.zeros((1, 1, 4)), 0


def model():
    net = nn.Sequential(nn.MaxPool1d(2, stride=1, dilation=2), nn.Flatten(), nn.Linear(2, 1, bias=False)).double()
    net[2].weight.data[:] = 1
    return net


def given():
    from captum.attr import DeepLift

    try:
        return DeepLift(model()).attribute(torch.tensor(X), torch.tensor(BASELINE), target=TARGET).detach().numpy()
    except (ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"


def expected():
    contribution = np.zeros_like(X)
    for window in ([0, 2], [1, 3]):
        contribution[0, 0, window[int(X[0, 0, window].argmax())]] += X[0, 0, window].max()
    return contribution


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
