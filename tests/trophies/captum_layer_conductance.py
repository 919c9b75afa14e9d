"""captum LayerConductance: on a linear network the conductances do not add up, because the path is left before its ends.

Differences of the layer are taken between Gauss-Legendre nodes, of which the first is not 0 and the last not 1; what lies outside
is lost.
Definition: completeness (Dhamdhere et al. 2018): the sum over a layer is f(x) - f(x0).
Derivation: one hidden unit 3 x with outgoing weight 1: its conductance at x = 1 is 3.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:LayerConductance", "violated axiom"
VERSION, UPSTREAM = "0.9.0", "not looked up"
OURS, SETTINGS = None, {"layer": "0"}


X, BASELINE, TARGET = np.array([[1.0]]), np.zeros((1, 1)), 0


def model():
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    net[0].weight.data[:], net[1].weight.data[:] = 3, 1
    return net


def given():
    from captum.attr import LayerConductance

    net = model()
    return LayerConductance(net, net[0]).attribute(torch.tensor(X), target=TARGET).detach().numpy()


def expected():
    return 3 * X


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
