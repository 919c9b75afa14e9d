"""Quantus InputInvariance: the gradient, which is invariant, is found not to be.

The picture should be shifted by -1 everywhere while the first bias undoes a shift of -1 everywhere; one pixel of the picture is left
where it was, so that the network is asked about another input.
Definition: Kindermans et al. 2019: f2(x + m) = f1(x), and an invariant explanation is the same for both.
Derivation: f = relu(4.5 - x1 - x2 - x3 - x4) + relu(1 + 2 x1 + 3 x2 + 4 x3 + 5 x4) at 1: both are active. Shifted, at 0: relu(0.5
- y1 - y2 - y3 - y4) + relu(15 + ...): both are active, the gradient is the same. With one y left at 1 the first is not.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "quantus", "quantus:InputInvariance", "wrong number"
VERSION, UPSTREAM = "0.6.0", "issue 303 there, open, on the same metric"
OURS, SETTINGS = None, {"normalise": False, "abs": False}


X, BASELINE, TARGET = np.ones((1, 1, 2, 2), dtype=np.float32), None, 0


def model():
    net = nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Flatten())
    net[0].weight.data = torch.tensor([[[[-1.0, -1.0], [-1.0, -1.0]]], [[[2.0, 3.0], [4.0, 5.0]]]])
    net[0].bias.data = torch.tensor([4.5, 1.0])
    return net.eval()


def gradient(model, inputs, targets, **unused):
    with torch.enable_grad():
        x = torch.tensor(np.asarray(inputs, dtype=np.float32), requires_grad=True)
        return torch.autograd.grad(model(x).sum(), x)[0].numpy()


MAPS, MASKS, ASKED = gradient(model(), X, None), None, gradient


def given():
    import quantus

    metric = quantus.InputInvariance(**SETTINGS, disable_warnings=True)
    return np.array(metric(model=model(), x_batch=X, y_batch=np.array([0]), a_batch=gradient(model(), X, 0), explain_func=gradient,
                           softmax=False), dtype=float)


def expected():
    return np.array([1.0])


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
