"""Quantus AttributionLocalisation: the weighted score depends on how many other samples are in the batch.

The size of an image is taken as x_batch[2:].size: two samples are dropped where two axes were meant.
Definition: weighted: (inside / total) / (size of the mask / size of the image).
Derivation: mask of 1 of 4 pixels, of its attributions 4 of 10: 0.4 * 4 = 1.6, for each of three samples.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "quantus", "quantus:AttributionLocalisation", "wrong number"
VERSION, UPSTREAM = "0.6.0", "not looked up"
OURS, SETTINGS = None, {"weighted": True, "normalise": False, "abs": False}


X, BASELINE, TARGET = np.ones((4, 1, 2, 2), dtype=np.float32), None, 0
MAPS, MASKS = np.array([[[[1.0, 2.0], [3.0, 4.0]]]] * 4), np.array([[[[0, 0], [0, 1]]]] * 4)


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

    metric = quantus.AttributionLocalisation(**SETTINGS, disable_warnings=True)
    return np.array(metric(model=model(), x_batch=X, y_batch=np.array([0] * 4), a_batch=MAPS, s_batch=MASKS), dtype=float)


def expected():
    return np.full(4, 4 / 10 / (1 / 4))


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
