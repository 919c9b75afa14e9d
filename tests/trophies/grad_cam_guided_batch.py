"""pytorch-grad-cam GuidedBackpropReLUModel: of a batch only the first sample is explained.

output[0, category] is differentiated and the first sample's gradient returned; the others are dropped without a word.
Definition: an explanation of N samples has N parts.
Derivation: f = w x: the guided gradient of each sample is w.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "grad_cam", "grad_cam:GuidedBackprop", "wrong number"
VERSION, UPSTREAM = "1.5.7", "not looked up"
OURS, SETTINGS = None, {"whole_batch": True}


X, BASELINE, TARGET = np.array([[[[1.0, 2.0]]], [[[3.0, 4.0]]]]), None, 0


def model():
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False)).double().eval()
    net[1].weight.data = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    return net


def given():
    from pytorch_grad_cam import GuidedBackpropReLUModel

    return np.asarray(GuidedBackpropReLUModel(model=model(), device="cpu")(torch.tensor(X), target_category=0))


def expected():
    return np.broadcast_to(np.array([1.0, 2.0]).reshape(1, 1, 2, 1), (2, 1, 2, 1))     # (N, H, W, C), its own layout


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
