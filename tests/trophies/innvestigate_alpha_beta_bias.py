"""innvestigate LRPAlpha2Beta1: the bias is counted whole in the positive and in the negative part.

Both parts of the contributions are divided by sums that hold b+ + b- = b, so that a positive bias makes the negative denominator
small.
Definition: Bach et al. 2015, equation 60: z+ has b+ = max(b, 0), z- has b- = min(b, 0).
Derivation: x = (1, -2, 3), w = (1, -0.5, -0.25), b = 0.5: contributions (1, 1, -0.75), f = 1.75; z+ = 2.5, z- = -0.75: R = f (2
(1, 1, 0) / 2.5 - (0, 0, 0.75) / 0.75).
"""

import numpy as np
import tensorflow as tf

tf.compat.v1.disable_eager_execution()

PEER, SUBJECT, KIND = "innvestigate", "innvestigate:LRPAlpha2Beta1", "wrong number"
VERSION, UPSTREAM = "2.1.2", "issue 327 there"
OURS, SETTINGS = None, {}


X, TARGET = np.array([[1.0, -2.0, 3.0]], dtype=np.float32), 0
W, B = np.array([1.0, -0.5, -0.25]), 0.5


def model():
    net = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(3,))])
    net.layers[0].set_weights([W[:, None], np.array([B])])
    return net


def given():
    import innvestigate

    return innvestigate.create_analyzer("lrp.alpha_2_beta_1", model()).analyze(X)


def expected():
    z = X * W
    f = z.sum() + B
    plus, minus = np.maximum(z, 0), np.minimum(z, 0)
    return f * (2 * plus / (plus.sum() + max(B, 0)) - minus / (minus.sum() + min(B, 0)))


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
