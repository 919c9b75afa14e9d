"""PAIR saliency BlurIG: with sqrt=True the result depends on the internal batch size.

The steps of a batch have steps of their own size, but all are multiplied by that of the batch's last one.
Definition: batch_size says how many steps are evaluated at once; the sum is the same.
Derivation: the same call with batch_size=1.
"""

import numpy as np
from torch import nn

PEER, SUBJECT, KIND = "saliency", "saliency:BlurIG", "wrong number"
VERSION, UPSTREAM = "0.2.1", "not looked up"
OURS, SETTINGS = None, {"max_sigma": 5, "steps": 10, "sqrt": True, "batch_size": 10}


X, BASELINE, TARGET = np.array([[[[1.0, 0.0, 2.0], [0.0, 3.0, 0.0], [1.0, 0.0, 1.0]]]]), None, 0


class Squares(nn.Module):
    def forward(self, x):
        return (x.flatten(1) ** 2).sum(1, keepdim=True)


def model():
    return Squares()


def given(batch_size=10):
    from saliency.core import INPUT_OUTPUT_GRADIENTS, BlurIG

    def gradients(x, call_model_args=None, expected_keys=None):
        return {INPUT_OUTPUT_GRADIENTS: 2 * np.asarray(x)}              # f = sum of squares

    return BlurIG().GetMask(np.moveaxis(X[0], 0, -1), gradients, max_sigma=5, steps=10, sqrt=True, batch_size=batch_size)[None]


def expected():
    return given(1)


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
