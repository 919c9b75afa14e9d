"""captum DeepLift: activation modules that its table does not list (GELU, SiLU, ReLU6, PReLU, Hardtanh, Mish ...) are explained by their gradient.

Nothing is raised and no warning is given; the attributions do not add up.
Definition: Rescale's multiplier of a function of one input is Δy / Δx.
Derivation: x = 3 against 0, ReLU6(3 x) = 6 against 0, so x gets 6. The gradient there is 0.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:DeepLift", "silent fall-back"
VERSION, UPSTREAM = "0.9.0", "issues 1085, 1858 there are about functions; of modules not looked up"
OURS, SETTINGS = "deeplift.rescale", {}


X, BASELINE, TARGET = np.array([[3.0]]), np.array([[0.0]]), 0


def model():
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU6(), nn.Linear(1, 1, bias=False)).double()
    net[0].weight.data[:], net[2].weight.data[:] = 3, 1
    return net


def given():
    from captum.attr import DeepLift

    return DeepLift(model()).attribute(torch.tensor(X), torch.tensor(BASELINE), target=TARGET).detach().numpy()


def expected():
    f = np.clip(3 * X, 0, 6) - np.clip(3 * BASELINE, 0, 6)
    return f / (X - BASELINE) * (X - BASELINE)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
