"""Quantus PointingGame: a sample whose mask is empty counts as a hit.

NaN is written for it, as documented, into an array of Booleans, where NaN is True.
Definition: "Return NaN if segmentation is empty" (its own comment).
Derivation: NaN, written here as -1.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "quantus", "quantus:PointingGame", "wrong number"
VERSION, UPSTREAM = "0.6.0", "not looked up"
OURS, SETTINGS = None, {"normalise": False, "abs": False}


X, BASELINE, TARGET = np.ones((1, 1, 2, 2), dtype=np.float32), None, 0
MAPS, MASKS = np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), np.zeros((1, 1, 2, 2))


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
        found = metric(model=model(), x_batch=X, y_batch=np.array([0]), a_batch=MAPS, s_batch=MASKS)
    except (ValueError, AssertionError) as error:
        return f"{type(error).__name__}: {error}"
    return np.nan_to_num(np.array(found, dtype=float), nan=-1.0)


def expected():
    return np.array([-1.0])


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
