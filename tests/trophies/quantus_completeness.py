"""Quantus Completeness: with its defaults a complete explanation is not.

Attributions are divided by their largest before they are added up, by default, and the sum is then compared with f(x) -
f(baseline) by ==.
Definition: Sundararajan et al. 2017: sum of attributions = f(x) - f(baseline).
Derivation: f = x1 + ... at (1, 2, 3, 4) against 0, attributions x: 10 = 10, True.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "quantus", "quantus:Completeness", "wrong number"
VERSION, UPSTREAM = "0.6.0", "not looked up"
OURS, SETTINGS = None, {"perturb_baseline": 0.0}


X, BASELINE, TARGET = np.array([[[[1.0, 2.0], [3.0, 4.0]]]], dtype=np.float32), None, 0
MAPS, MASKS = X.astype(float), None


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

    metric = quantus.Completeness(**SETTINGS, disable_warnings=True)
    return np.array(metric(model=model(), x_batch=X, y_batch=np.array([0]), a_batch=MAPS), dtype=float)


def expected():
    return np.array([1.0])


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
