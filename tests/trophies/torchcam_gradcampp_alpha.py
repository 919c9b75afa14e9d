"""torchcam GradCAMpp: the division that makes alpha is made on a copy and lost.

alpha[idx][mask].div_(...) divides what indexing with a mask returned, which is a copy; alpha stays the squared gradient.
Definition: Chattopadhyay et al. 2018, equation 19: alpha = g^2 / (2 g^2 + g^3 sum A).
Derivation: one channel A = x = (1, 2), f = mean x: g = 1/2 each; alpha = g^2 / (2 g^2 + g^3 * 3), weight = sum of alpha g, map =
weight x. (The library writes the sum as one of A g^3, which is the same here, where g is constant.)
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "torchcam", "torchcam:GradCAMpp", "wrong number"
VERSION, UPSTREAM = "0.5.0", "not found there by a search"
OURS, SETTINGS = None, {"layer": "conv"}


X, BASELINE, TARGET = np.array([[[[1.0, 2.0]]]]), None, 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 1, 1, bias=False), nn.Linear(1, 1, bias=False)
        self.conv.weight.data[:], self.out.weight.data[:] = 1, 1

    def forward(self, x):
        return self.out(self.conv(x).mean((2, 3)))


def model():
    return Net().double().eval()


def given():
    from torchcam.methods import GradCAMpp

    net = model()
    with GradCAMpp(net, "conv") as cam:
        return cam(0, net(torch.tensor(X, requires_grad=True)), normalized=False)[0].detach().numpy()[:, None]


def expected():
    g = np.full_like(X, 0.5)
    alpha = g**2 / (2 * g**2 + g**3 * X.sum())
    return (alpha * g).sum() * X


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
