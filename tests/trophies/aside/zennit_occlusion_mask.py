"""zennit Occlusion: what should be occluded is kept, and all else is occluded.

The documentation of occlude_independent says that pixels "will be occluded in input where mask is non-zero"; it multiplies the
input by the mask, so those pixels stay and the others become 0.
Definition: the function's own documentation.
Derivation: mask (1, 0) on (5, 7) occludes the 5: (0, 7).
Aside: the function makes inputs, no attribution, so that there is no explanation to judge; a profile has its keeping (mode="keep").
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "zennit", "zennit:Occlusion", "wrong number"
VERSION, UPSTREAM = "0.5.1", "not looked up"
OURS, SETTINGS = None, {}


X, BASELINE, TARGET = np.array([[5.0, 7.0]]), None, 0
MASK = np.array([[True, False]])


def model():
    torch.manual_seed(0)
    return nn.Linear(2, 1, bias=False).double()


def given():
    from zennit.attribution import occlude_independent

    return occlude_independent(torch.tensor(X), torch.tensor(MASK)).numpy()


def expected():
    return np.where(MASK, 0, X)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
