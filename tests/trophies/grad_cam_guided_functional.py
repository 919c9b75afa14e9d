"""pytorch-grad-cam GuidedBackpropReLUModel: a functional ReLU is not guided, without a word.

Modules of the class nn.ReLU are replaced; torch.relu stays plain.
Definition: Springenberg et al. 2014: negative signals are stopped at every ReLU.
Derivation: f = -relu(x): the signal -1 is negative, so nothing passes.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "grad_cam", "grad_cam:GuidedBackprop", "silent fall-back"
VERSION, UPSTREAM = "1.5.7", "not looked up"
OURS, SETTINGS = "guided_backprop", {}


X, BASELINE, TARGET = np.array([[[[1.0, 2.0]]]]), None, 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(2, 1, bias=False)
        self.out.weight.data[:] = -1

    def forward(self, x):
        return self.out(torch.relu(x).flatten(1))


def model():
    return Net().double().eval()


def given():
    from pytorch_grad_cam import GuidedBackpropReLUModel

    found = GuidedBackpropReLUModel(model=model(), device="cpu")(torch.tensor(X), target_category=0)
    return np.moveaxis(np.asarray(found), -1, 0)[None]


def expected():
    signal = np.full_like(X, -1.0)
    return signal * (X > 0) * (signal > 0)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
