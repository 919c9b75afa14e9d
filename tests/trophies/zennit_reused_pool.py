"""zennit, LRP: a pool that is called twice crashes.

Found by fuzzing, and the cause is that of zennit_reused_layer: the module keeps what its last call saw, whose shape is another.
Definition: torch runs the model, and a reused layer equals a copy of it.
Derivation: two average pools of two over (1, 3, 5, 7), the sum kept in proportion: R_i = x_i / 4.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "zennit", "zennit:ZPlus", "crash on a valid model"
VERSION, UPSTREAM = "0.5.1", "not looked up"
OURS, SETTINGS = "lrp.z_plus", {}


X, BASELINE, TARGET = np.array([[[1.0, 3.0, 5.0, 7.0]]]), None, 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool, self.out = nn.AvgPool1d(2), nn.Linear(1, 1, bias=False)
        self.out.weight.data = torch.tensor([[1.0]])

    def forward(self, x):
        return self.out(self.pool(self.pool(x)).flatten(1))


def model():
    return Net().double()


def given():
    from zennit.attribution import Gradient
    from zennit.composites import LayerMapComposite
    from zennit.rules import Norm, ZPlus
    from zennit.types import AvgPool, Linear

    x = torch.tensor(X, requires_grad=True)
    try:
        with Gradient(model(), LayerMapComposite([(AvgPool, Norm()), (Linear, ZPlus())])) as attributor:
            return attributor(x, lambda out: out.detach())[1].detach().numpy()
    except RuntimeError as error:
        return f"RuntimeError: {error}"


def expected():
    return X / X.sum() * X.mean()


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
