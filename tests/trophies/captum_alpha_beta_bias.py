"""captum LRP, Alpha1_Beta0_Rule: a negative bias cancels the positive part, and -1 becomes -1 000 000 000.

The rule adds the whole bias to the positive contributions. Where both cancel, only the stabiliser of 1e-9 is left in the
denominator.
Definition: Bach et al. 2015, equation 60: z+ has the positive part of the bias, b+ = max(b, 0).
Derivation: W = (1, -1), b = -1, x = (1, 1): f = -1, z+ = 1 + 0, so x1 gets 1 * f / 1 = -1. Sum: -1 = f.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:LRP", "violated axiom"
VERSION, UPSTREAM = "0.9.0", "not looked up; innvestigate issue 273 and zennit issue 107 are the same"
OURS, SETTINGS = "lrp.z_plus", {"rule": "Alpha1_Beta0_Rule"}


X, BASELINE, TARGET = np.array([[1.0, 1.0]]), None, 0


def model():
    net = nn.Sequential(nn.Linear(2, 1)).double()
    net[0].weight.data, net[0].bias.data = torch.tensor([[1.0, -1.0]]).double(), torch.tensor([-1.0]).double()
    return net


def given():
    from captum.attr import LRP
    from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule

    net = model()
    net[0].rule = Alpha1_Beta0_Rule()
    return LRP(net).attribute(torch.tensor(X), target=TARGET).detach().numpy()


def expected():
    w, b = np.array([1.0, -1.0]), -1.0
    positive = np.maximum(X * w, 0)
    return positive / (positive.sum() + max(b, 0)) * (X @ w + b)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
