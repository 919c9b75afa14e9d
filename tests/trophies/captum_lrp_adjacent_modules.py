"""captum LRP: of two activation modules in a row the first is explained by its gradient.

Found by fuzzing. Both hooks sit on the tensor between the two; the first module's reads the gradient before the second has put the
relevance in its place, as in captum_adjacent_modules. tanh(tanh(x)) loses a fifth of the relevance.
Definition: captum's own rule for Tanh hands the relevance on unchanged; conservation (Bach et al. 2015, equation 2).
Derivation: f = tanh(tanh(0.5)), and nothing else is there to take relevance: 0.431808.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:LRP", "violated axiom"
VERSION, UPSTREAM = "0.9.0", "not looked up"
OURS, SETTINGS = "lrp.epsilon", {}


X, BASELINE, TARGET = np.array([[0.5]]), None, 0


def model():
    net = nn.Sequential(nn.Tanh(), nn.Tanh(), nn.Linear(1, 1, bias=False)).double()
    net[2].weight.data = torch.tensor([[1.0]], dtype=torch.float64)
    return net


def given():
    from captum.attr import LRP

    return LRP(model()).attribute(torch.tensor(X), target=TARGET).detach().numpy()


def expected():
    return np.tanh(np.tanh(X))


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
