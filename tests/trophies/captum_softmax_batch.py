"""captum DeepLift: a softmax module shares over the whole batch, so that a sample's attribution depends on the others.

The gradient behind a softmax module is centred with the mean over all entries of the batch, samples and baselines together.
Definition: a model that treats samples independently has attributions that do.
Derivation: the attribution of the first sample explained alone by the same library. (Alone it is not complete either: 0.248 is
attributed where the probability rises by 0.372.)
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:DeepLift", "wrong number"
VERSION, UPSTREAM = "0.9.0", "fixed upstream after 0.9.0 (pull request 1849)"
OURS, SETTINGS = None, {}


X, BASELINE, TARGET = np.array([[1.0, 2.0, -1.0], [3.0, 0.0, 5.0]]), np.zeros((1, 3)), 1


def model():
    return nn.Sequential(nn.Linear(3, 3, bias=False), nn.Softmax(1)).double().requires_grad_(False).apply(identity)


def identity(layer):
    if isinstance(layer, nn.Linear):
        layer.weight.data = torch.eye(3, dtype=torch.float64)


def given(rows=slice(None)):
    from captum.attr import DeepLift

    return DeepLift(model()).attribute(torch.tensor(X[rows]), torch.tensor(BASELINE), target=TARGET).detach().numpy()


def expected():
    return np.concatenate([given(slice(n, n + 1)) for n in range(2)])


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
