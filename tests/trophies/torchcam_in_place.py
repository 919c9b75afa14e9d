"""torchcam: the activations of a layer before an in-place ReLU are read after it has overwritten them.

The hook keeps the tensor that the layer gave, without a copy.
Definition: an in-place activation is the same function.
Derivation: Grad-CAM by hand: channels x and -x, the means of their gradients 3/16 and 1/16.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "torchcam", "torchcam:GradCAM", "wrong number"
VERSION, UPSTREAM = "0.5.0", "not looked up"
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
    from torchcam.methods import GradCAM

    net = model()
    with GradCAM(net, "conv") as cam:
        return cam(0, net(torch.tensor(X, requires_grad=True)), normalized=False)[0].detach().numpy()[:, None]


def expected():
    a = np.concatenate([X, -X], 1)
    g = (a > 0) / 4
    return np.maximum((g.mean((2, 3), keepdims=True) * a).sum(1, keepdims=True), 0)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
