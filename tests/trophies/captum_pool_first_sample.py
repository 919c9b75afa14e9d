"""captum DeepLift: where a pooled unit does not differ from the baseline, the gradient of the batch's first sample is used.

The fall-back of the max-pool rule indexes the gradient with [0], which is the first sample, and broadcasts it to all. Releases
0.6.0 to 0.9.0; 0.3.1 to 0.5.0 are right.
Definition: a sample's attribution does not depend on its batch.
Derivation: multipliers (multiply_by_inputs=False) of the second sample alone: its winner is unit 2, with no difference, so the
gradient of the pool, (0, 1), stands there.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:DeepLift", "wrong number"
VERSION, UPSTREAM = "0.9.0", "issue 1276 there; pull request 1847, after 0.9.0"
OURS, SETTINGS = None, {"multiply_by_inputs": False}


X, BASELINE, TARGET = np.array([[[3.0, 1.0]], [[1.0, 5.0]]]), np.array([[[3.0, 0.0]], [[0.0, 5.0]]]), 0


def model():
    net = nn.Sequential(nn.MaxPool1d(2), nn.Flatten(), nn.Linear(1, 1, bias=False)).double()
    net[2].weight.data[:] = 1
    return net


def given():
    from captum.attr import DeepLift

    return DeepLift(model(), multiply_by_inputs=False).attribute(torch.tensor(X), torch.tensor(BASELINE), target=TARGET).detach().numpy()


def expected():
    return (X.max(-1, keepdims=True) == X) * 1.0                        # y = y0 in both windows: the derivative of the maximum


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
