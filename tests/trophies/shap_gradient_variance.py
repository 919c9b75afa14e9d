"""shap GradientExplainer: the variance of the mean is divided by the square root of the number of samples.

The code says "estimate variance of means" and returns var / sqrt(n); the variance of a mean is var / n.
Definition: Var(mean of n) = Var / n.
Derivation: f = x^2 / 2 at 1 against 0: the samples are gradients t at points t of (0, 1) times 1, whose variance is 1/12, so at n
= 10000 the variance of the mean is 1 / 120000; between that and the given value lies a factor of 100.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "shap", "shap:GradientExplainer", "wrong number"
VERSION, UPSTREAM = "0.51.0", "not looked up"
OURS, SETTINGS = None, {"nsamples": 10000}


X, BASELINE, TARGET = np.array([[1.0]], dtype=np.float32), np.zeros((1, 1), dtype=np.float32), 0


class Net(nn.Module):
    def forward(self, x):
        return x**2 / 2


def model():
    return Net()


def given():
    import shap

    _, variance = shap.GradientExplainer(model(), torch.tensor(BASELINE)).shap_values(
        torch.tensor(X), nsamples=10000, rseed=0, return_variances=True)
    return np.round(np.asarray(variance, dtype=float).reshape(1, 1) * 12 * 10000, 0)         # in units of 1 / 120000, which a draw leaves near 1


def expected():
    return np.ones((1, 1))


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
