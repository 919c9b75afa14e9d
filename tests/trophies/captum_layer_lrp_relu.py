"""captum LayerLRP: the relevance of a ReLU layer raises AttributeError.

A ReLU has no rule object of its own (relevance passes it), and LayerLRP asks that object for the relevance.
Definition: LRP-0.
Derivation: the layer's outputs are (1, 0), the output reads them with weights (2, 5): relevance (2, 0).
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:LayerLRP", "crash on a valid model"
VERSION, UPSTREAM = "0.9.0", "not looked up"
OURS, SETTINGS = None, {"layer": "1"}


X, BASELINE, TARGET = np.array([[1.0, -1.0]]), None, 0


def model():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False)).double()
    net[0].weight.data, net[2].weight.data = torch.eye(2).double(), torch.tensor([[2.0, 5.0]]).double()
    return net


def given():
    from captum.attr import LayerLRP

    net = model()
    try:
        return LayerLRP(net, net[1]).attribute(torch.tensor(X), target=TARGET).detach().numpy()
    except AttributeError as error:
        return f"AttributeError: {error}"


def expected():
    return np.maximum(X, 0) * [[2.0, 5.0]]


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
