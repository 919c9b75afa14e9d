"""Quantus Continuity: a small picture is not moved at all.

A picture of W columns is moved in steps of (2 W + 1) // nr_steps columns, from -W on; for W of 13 and less and the default of 28 steps
that is 0, and 28 times the same black picture is compared with the picture.
Definition: Montavon et al. 2018: the largest |R(x) - R(x')|_1 / |x - x'|_2 over movements x' of x.
Derivation: R(x) = x + c, x = ((1, 0), (0, 0)). By 1 to the right: |(1, -1)|_1 / |(1, -1)|_2 = 2 / sqrt(2) = 1.414214; to the left
and black: 1.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "quantus", "quantus:Continuity", "wrong number"
VERSION, UPSTREAM = "0.6.0", "looked for, not found"
OURS, SETTINGS = None, {"normalise": False, "abs": False}


X, BASELINE, TARGET = np.array([[[[1.0, 0.0], [0.0, 0.0]]]], dtype=np.float32), None, 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2, bias=False)
        self.fc.weight.data = torch.ones((2, 4))

    def forward(self, x):
        return self.fc(x.flatten(1))


def model():
    return Net().eval()


def explained(model, inputs, targets, **unused):
    return np.asarray(inputs) + np.array([[1.0, 2.0], [3.0, 4.0]])     # it refuses maps of zeros


MAPS, MASKS, ASKED = explained(model(), X, None), None, explained


def given():
    import quantus

    metric = quantus.Continuity(**SETTINGS, disable_warnings=True)
    return np.array(metric(model=model(), x_batch=X, y_batch=np.array([0]), a_batch=explained(None, X, None),
                           explain_func=explained), dtype=float)


def expected():
    return np.array([2 / 2**0.5])


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
