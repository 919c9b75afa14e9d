"""zennit, LRP: a layer that is called twice takes its last input for both calls.

A rule keeps a layer's input in one place of the layer, so that the backward pass of the first call reads the input of the second.
The sum over the input is right, so no axiom tells; the values are wrong.
Definition: LRP-0 is defined by calls; a reused layer equals a copy of it.
Derivation: R_i = x_i sum_j w_ij R_j / z_j, twice, by hand.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "zennit", "zennit:Epsilon", "wrong number"
VERSION, UPSTREAM = "0.5.1", "not looked up"
OURS, SETTINGS = "lrp.epsilon", {}


X, BASELINE, TARGET = np.array([[1.0, 2.0]]), None, 0
W = np.array([[1.0, 2.0], [3.0, 1.0]])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.out = nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)
        self.fc.weight.data, self.out.weight.data = torch.tensor(W), torch.tensor([[1.0, 1.0]])

    def forward(self, x):
        return self.out(self.fc(self.fc(x)))


def model():
    return Net().double()


def given():
    from zennit.attribution import Gradient
    from zennit.composites import LayerMapComposite
    from zennit.rules import Epsilon

    x = torch.tensor(X, requires_grad=True)
    with Gradient(model(), LayerMapComposite([(nn.Linear, Epsilon(1e-9))])) as attributor:
        return attributor(x, lambda out: out.detach())[1].detach().numpy()


def expected():
    first = X @ W.T
    second = first @ W.T
    relevance = second                                                  # the output is their sum: each is its own relevance
    for x, z in ((first, second), (X, first)):
        relevance = x * ((relevance / z) @ W)
    return relevance


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
