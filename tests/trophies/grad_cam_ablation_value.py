"""pytorch-grad-cam AblationCAM: an ablated channel is not set to 0 but to about -10 000 000 where it has negative values.

The library sets a channel to its minimum minus 1e7 unless its minimum is 0, so that weights are enormous and nearly alike.
Definition: Desai and Ramaswamy 2020, equation 3: the score is compared with the one when the channel is 0.
Derivation: channels A1 = x, A2 = 2 - x, f = mean(A1) + 2 mean(A2): weights (f - f_k) / f, map by hand, scaled as the library
scales.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "grad_cam", "grad_cam:AblationCAM", "wrong number"
VERSION, UPSTREAM = "1.5.7", "not looked up"
OURS, SETTINGS = None, {"layer": "conv"}


X, BASELINE, TARGET = np.array([[[[1.0, -2.0], [3.0, 2.0]]]]), None, 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 2, 1), nn.Linear(2, 1, bias=False)
        self.conv.weight.data, self.conv.bias.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1), torch.tensor([0.0, 2.0])
        self.out.weight.data = torch.tensor([[1.0, 2.0]])

    def forward(self, x):
        return self.out(self.conv(x).mean((2, 3)))


def model():
    return Net().double().eval()


def given():
    from pytorch_grad_cam import AblationCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    net = model()
    with AblationCAM(model=net, target_layers=[net.conv]) as cam:
        return cam(input_tensor=torch.tensor(X), targets=[ClassifierOutputTarget(0)])[:, None].astype(float)


def expected():
    a = np.concatenate([X, 2 - X], 1)
    means = a.mean((2, 3))[0]
    f = means @ [1.0, 2.0]
    weights = np.array([means[0], 2 * means[1]]) / f                    # f - f_k is what channel k brings
    cam = np.maximum((weights.reshape(1, 2, 1, 1) * a).sum(1, keepdims=True), 0)
    return (cam - cam.min()) / (1e-7 + (cam - cam.min()).max())


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
