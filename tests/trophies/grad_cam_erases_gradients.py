"""pytorch-grad-cam: the gradients that the user's parameters hold are erased and replaced.

A map calls model.zero_grad() and backward(), so that what an optimiser has accumulated is lost, and the next step is made with
the gradient of the explained score.
Definition: an explanation reads a model and does not change it.
Derivation: the gradient that was there before.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "grad_cam", "grad_cam:GradCAM", "mutated model"
VERSION, UPSTREAM = "1.5.7", "not looked up"
OURS, SETTINGS = None, {"layer": "conv"}


X, BASELINE, TARGET = np.array([[[[1.0, -2.0], [3.0, -1.0]]]]), None, 0

class Net(nn.Module):
    def __init__(self, inplace=True):
        super().__init__()
        self.conv, self.relu, self.out = nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(inplace=inplace), nn.Linear(2, 1, bias=False)
        self.conv.weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
        self.out.weight.data = torch.tensor([[1.0, -1.0]])

    def forward(self, x):
        return self.out(self.relu(self.conv(x)).mean((2, 3)))


def model():
    net = Net(inplace=False).double().eval()
    net.conv.weight.grad = torch.full_like(net.conv.weight, 7.0)
    return net


def given():
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    net = model()
    with GradCAM(model=net, target_layers=[net.conv]) as cam:
        cam(input_tensor=torch.tensor(X), targets=[ClassifierOutputTarget(0)])
    return net.conv.weight.grad.numpy()


def expected():
    return np.full((2, 1, 1, 1), 7.0)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
