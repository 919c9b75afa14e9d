"""captum KernelShap: a model of one feature crashes.

The distribution of the size of a subset has no support where there is no size between 0 and 1, and torch refuses it. Releases
0.4.1 to 0.9.0; 0.3.1 is right.
Definition: the Shapley value of the only player is f(x) - f(x0).
Derivation: f = 2 x at 3: 6.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "captum", "captum:KernelShap", "crash on a valid model"
VERSION, UPSTREAM = "0.9.0", "not looked up"
OURS, SETTINGS = "kernel_shap", {}


X, BASELINE, TARGET = np.array([[3.0]]), np.zeros((1, 1)), 0


def model():
    net = nn.Linear(1, 1, bias=False).double()
    net.weight.data[:] = 2
    return net


def given():
    from captum.attr import KernelShap

    try:
        return KernelShap(model()).attribute(torch.tensor(X), torch.tensor(BASELINE), target=TARGET).detach().numpy()
    except ValueError as error:
        return f"ValueError: {str(error).splitlines()[0]}"


def expected():
    return 2 * X


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
