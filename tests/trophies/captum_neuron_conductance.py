"""captum NeuronConductance: with its defaults a linear network gets 2 % too little.

Its default quadrature, riemann_trapezoid, has weights that add up to (n - 1) / n, 0.98 at the default of 50 steps;
IntegratedGradients takes it on request.
Definition: conductance is exact for a linear function under any quadrature whose weights add up to 1.
Derivation: the neuron is x1 + 2 x2, the output reads it with weight 1, so the conductances are 1 and 2.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:NeuronConductance", "wrong number"
VERSION, UPSTREAM = "0.9.0", "not looked up"
OURS, SETTINGS = None, {"layer": "0", "neuron": 0}


X, BASELINE, TARGET = np.array([[1.0, 1.0]]), np.zeros((1, 2)), 0


def model():
    net = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    net[0].weight.data, net[1].weight.data = torch.tensor([[1.0, 2.0]]).double(), torch.tensor([[1.0]]).double()
    return net


def given():
    from captum.attr import NeuronConductance

    net = model()
    return NeuronConductance(net, net[0]).attribute(torch.tensor(X), 0, target=TARGET).detach().numpy()


def expected():
    return np.array([[1.0, 2.0]]) * X


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
