"""zennit Occlusion: the last window goes on at the other end of the input.

Windows are made by rolling one mask, so that a window that sticks out at the right covers the left end too, and its score is
added there.
Definition: an attribution of the window {2} does not belong to unit 0.
Derivation: windows {0, 1} and {2} of (1, 1, 1) with weights (1, 2, 4), each kept alone, as the library does it: scores 3 and 4;
unit 0 lies in the first only.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "zennit", "zennit:Occlusion", "wrong number"
VERSION, UPSTREAM = "0.5.1", "not looked up"
OURS, SETTINGS = None, {"window": [2], "stride": [2]}


X, BASELINE, TARGET = np.array([[1.0, 1.0, 1.0]]), None, 0


def model():
    net = nn.Linear(3, 1, bias=False).double()
    net.weight.data = torch.tensor([[1.0, 2.0, 4.0]], dtype=torch.float64)
    return net


def given():
    from zennit.attribution import Occlusion

    with Occlusion(model(), window=(2,), stride=(2,)) as attributor:
        return attributor(torch.tensor(X), lambda out: out)[1].numpy()


def expected():
    w, scores = np.array([1.0, 2.0, 4.0]), np.zeros((1, 3))
    for window in ([0, 1], [2]):
        scores[0, window] += w[window].sum()
    return scores


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
