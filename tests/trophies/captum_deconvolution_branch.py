"""captum Deconvolution: where a value is read by a ReLU module and by something else, the something else is lost.

Found by fuzzing, and the cause is that of captum_branch_lost: the hook on the module's input replaces what autograd added up over all
readers by the module's part. GuidedBackprop loses it as well.
Definition: Zeiler and Fergus 2014: the signal of a path without a ReLU is not touched by one.
Derivation: f = x + 0 relu(x): the path beside the ReLU carries 1, the path through it 0.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:Deconvolution", "wrong number"
VERSION, UPSTREAM = "0.9.0", "not looked up"
OURS, SETTINGS = "deconvnet", {}


X, BASELINE, TARGET = np.array([[0.5]]), None, 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu, self.out = nn.ReLU(), nn.Linear(2, 1, bias=False)
        self.out.weight.data = torch.tensor([[1.0, 0.0]])

    def forward(self, x):
        return self.out(torch.cat([x, self.relu(x)], 1))


def model():
    return Net().double()


def given():
    from captum.attr import Deconvolution

    return Deconvolution(model()).attribute(torch.tensor(X), target=TARGET).detach().numpy()


def expected():
    return np.full_like(X, 1.0 + max(0.0, 0.0))


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
