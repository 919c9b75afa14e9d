"""lime LimeImageExplainer: segments that are not numbered 0, 1, ... n - 1 are explained wrongly.

Superpixel k is hidden where the segmentation is k, for k below the number of segments. With labels from 1 (the default of scikit-
image's slic, which lime's own SegmentationAlgorithm("slic") calls) the last segment is never hidden, a segment 0 that does not
exist gets a weight, and the last has none.
Definition: the weight of a segment is that of hiding it.
Derivation: f = 4 s1 + 1 s2 of two segments: the second one has the label 2, and hiding it lowers f, so its weight is positive.
"""

import numpy as np
import torch
from torch import nn

PEER, SUBJECT, KIND = "lime", "lime:LimeImage", "wrong number"
VERSION, UPSTREAM = "0.2.0.1", "not looked up"
SEGMENTS = np.array([[1, 1], [2, 2]])
OURS, SETTINGS = None, {"segments": SEGMENTS, "num_samples": 200}


X, BASELINE, TARGET = np.ones((1, 3, 2, 2)), None, 0


def model():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 1, bias=False)).double()
    net[1].weight.data = torch.tensor([[4.0, 0.0, 1.0, *[0.0] * 9]], dtype=torch.float64)      # the first pixel of each row
    return net


def given():
    from lime.lime_image import LimeImageExplainer

    def f(images):
        return np.array([[4 * i[0, 0, 0] + i[1, 0, 0]] for i in images])

    found = LimeImageExplainer(random_state=0).explain_instance(
        np.moveaxis(X[0], 0, -1), f, labels=(0,), top_labels=None, hide_color=0, num_samples=200, segmentation_fn=lambda image: SEGMENTS)
    weights = dict(found.local_exp[0])
    return np.array([0 in weights, weights.get(2, 0.0) > 0], dtype=float)


def expected():
    return np.array([0.0, 1.0])                                         # no segment is 0; segment 2 has a positive weight


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
