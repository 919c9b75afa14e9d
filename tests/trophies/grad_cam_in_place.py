"""pytorch-grad-cam: the activations of a layer before an in-place ReLU are read after it has overwritten them.

The hook keeps the tensor that the layer gave, without a copy. nn.ReLU(inplace=True), as in torchvision's networks, writes into
it, so maps are made of the wrong values.
Definition: an in-place activation is the same function.
Derivation: the same network with inplace=False, Grad-CAM by hand: channels x and -x, the means of their gradients 3/16 and 1/16.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "grad_cam", "grad_cam:GradCAM", "wrong number"
VERSION, UPSTREAM = "1.5.7", "not looked up"
OURS, SETTINGS = "grad_cam", {"layer": "conv"}


X, BASELINE, TARGET = np.array([[[[1.0, -2.0], [3.0, 1.0]]]]), None, 0

class Net(nn.Module):
    def __init__(self, inplace=True):
        super().__init__()
        self.conv, self.relu, self.out = nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(inplace=inplace), nn.Linear(2, 1, bias=False)
        self.conv.weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
        self.out.weight.data = torch.tensor([[1.0, 1.0]])

    def forward(self, x):
        return self.out(self.relu(self.conv(x)).mean((2, 3)))


def model():
    return Net().double().eval()


def given():
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    net = model()
    with GradCAM(model=net, target_layers=[net.conv]) as cam:
        return cam(input_tensor=torch.tensor(X), targets=[ClassifierOutputTarget(0)])[:, None].astype(float)


def expected():
    a = np.concatenate([X, -X], 1)
    g = (a > 0) / 4
    cam = np.maximum((g.mean((2, 3), keepdims=True) * a).sum(1, keepdims=True), 0)
    return (cam - cam.min()) / (1e-7 + (cam - cam.min()).max())


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
