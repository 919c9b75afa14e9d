"""captum LRP: the layers keep the activations of the last call.

Every layer with a rule has an attribute "activations" afterwards, which holds its input and output: memory that stays, and that
copies and pickles of the model carry.
Definition: an explanation reads a model and does not change it.
Derivation: the number of attributes that the model's layers have more than before: 0.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:LRP", "mutated model"
VERSION, UPSTREAM = "0.9.0", "not looked up"
OURS, SETTINGS = None, {}


X, BASELINE, TARGET = np.array([[1.0, 2.0]]), None, 0


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).double()


def attributes(net):
    return sum(len(vars(module)) for module in net.modules())


def given():
    from captum.attr import LRP

    net = model()
    before = attributes(net)
    LRP(net).attribute(torch.tensor(X), target=TARGET)
    return np.array([attributes(net) - before], dtype=float)


def expected():
    return np.zeros(1)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
