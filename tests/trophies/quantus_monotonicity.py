"""Quantus Monotonicity: every explanation of every model is monotonic.

Features should be added in the order of their attributions to a baseline; they are replaced by the baseline, in the baseline, so
that all predictions are the same and none falls.
Definition: Arya et al. 2019: monotonic if the score does not fall as features are added, the least important first.
Derivation: f = -(x1 + x2 + x3 + x4) at 1: every feature that is added lowers f, so the answer is False.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "quantus", "quantus:Monotonicity", "wrong number"
VERSION, UPSTREAM = "0.6.0", "not looked up"
OURS, SETTINGS = None, {"perturb_baseline": 0.0, "features_in_step": 1, "normalise": False, "abs": False}


X, BASELINE, TARGET = np.array([[[[1.0, 1.0], [1.0, 1.0]]]], dtype=np.float32), None, 0
MAPS, MASKS = np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), None


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2, bias=False)
        self.fc.weight.data = torch.tensor([[-1.0, -1.0, -1.0, -1.0], [0.0, 0.0, 0.0, 0.0]])

    def forward(self, x):
        return self.fc(x.flatten(1))


def model():
    return Net().eval()


def given():
    import quantus

    metric = quantus.Monotonicity(**SETTINGS, disable_warnings=True)
    return np.array(metric(model=model(), x_batch=X, y_batch=np.array([0]), a_batch=MAPS), dtype=float)


def expected():
    scores = [-float(k) for k in range(1, 5)]                           # 1, 2, 3, 4 features added to a baseline of 0
    return np.array([scores == sorted(scores)], dtype=float)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
