"""pytorch-grad-cam EigenCAM: the map turns round when the channels of the layer are stored in another order.

The first singular vector is determined up to its sign, and the library takes the sign that the routine happens to give, then
rectifies and scales the map.
Definition: the order of channels, with the next layer's weights in the same order, does not change the function, nor the singular
vectors' lines.
Derivation: the same library's map with the channels exchanged.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "grad_cam", "grad_cam:EigenCAM", "wrong number"
VERSION, UPSTREAM = "1.5.7", "not looked up"
OURS, SETTINGS = None, {"layer": "conv"}


X, BASELINE, TARGET = np.array([[[[1.0, -2.0], [3.0, 2.0]]]]), None, 0
WEIGHTS = (1.0, -2.0)


class Net(nn.Module):
    def __init__(self, order):
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 2, 1, bias=False), nn.Linear(2, 1, bias=False)
        self.conv.weight.data = torch.tensor([WEIGHTS[k] for k in order]).reshape(2, 1, 1, 1)
        self.out.weight.data = torch.tensor([[(1.0, 1.0)[k] for k in order]])

    def forward(self, x):
        return self.out(self.conv(x).mean((2, 3)))


def model(order=(1, 0)):
    return Net(order).double().eval()


def given(order=(1, 0)):
    from pytorch_grad_cam import EigenCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    net = model(order)
    with EigenCAM(model=net, target_layers=[net.conv]) as cam:
        return cam(input_tensor=torch.tensor(X), targets=[ClassifierOutputTarget(0)])[:, None].astype(float)


def expected():
    return given((0, 1))


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
