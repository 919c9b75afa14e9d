"""captum LRP: where a value is read by an activation module and by something else, the something else is lost.

Found by fuzzing, and the cause is that of captum_branch_lost, whose helper LRP shares.
Definition: conservation (Bach et al. 2015, equation 2): without biases the relevance of the input adds up to f.
Derivation: f = x + 0 relu(x) at 0.5: all of f = 0.5 is x's.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:LRP", "violated axiom"
VERSION, UPSTREAM = "0.9.0", "not looked up"
OURS, SETTINGS = "lrp.epsilon", {}


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
    from captum.attr import LRP

    return LRP(model()).attribute(torch.tensor(X), target=TARGET).detach().numpy()


def expected():
    return 1.0 * X + 0.0 * np.maximum(X, 0)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
