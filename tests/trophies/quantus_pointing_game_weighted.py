"""Quantus PointingGame: weighted=True crashes on any hit.

A column of weights (n, 1) is written to n entries of a Boolean array.
Definition: 1 - size of the mask / size of the image for a hit.
Derivation: the mask holds 1 of 4 pixels, among them the largest: 0.75.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "quantus", "quantus:PointingGame", "crash on a valid model"
VERSION, UPSTREAM = "0.6.0", "not looked up"
OURS, SETTINGS = None, {"weighted": True, "normalise": False, "abs": False}


X, BASELINE, TARGET = np.ones((1, 1, 2, 2), dtype=np.float32), None, 0
MAPS, MASKS = np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), np.array([[[[0, 0], [0, 1]]]])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2, bias=False)
        self.fc.weight.data = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])

    def forward(self, x):
        return self.fc(x.flatten(1))


def model():
    return Net().eval()


def given():
    import quantus

    metric = quantus.PointingGame(**SETTINGS, disable_warnings=True)
    try:
        return np.array(metric(model=model(), x_batch=X, y_batch=np.array([0]), a_batch=MAPS, s_batch=MASKS), dtype=float)
    except (ValueError, IndexError, TypeError) as error:
        return f"{type(error).__name__}: {error}"


def expected():
    return np.array([1 - 1 / 4])


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
