"""innvestigate DeepTaylor: a residual connection doubles the relevance.

Add layers are passed by their gradient, which hands all of the relevance to each summand.
Definition: conservation (Montavon et al. 2017, definition 1).
Derivation: f = relu(x) + relu(x) by two paths at x = 3, weight 1 to the output: f = 6, all of it x's.
"""

import numpy as np
import tensorflow as tf

tf.compat.v1.disable_eager_execution()

PEER, SUBJECT, KIND = "innvestigate", "innvestigate:DeepTaylor", "violated axiom"
VERSION, UPSTREAM = "2.1.2", "not looked up"
OURS, SETTINGS = None, {}


X, TARGET = np.array([[3.0]], dtype=np.float32), 0


def model():
    x = tf.keras.Input((1,))
    h = tf.keras.layers.Dense(1, use_bias=False, activation="relu")(x)
    g = tf.keras.layers.Dense(1, use_bias=False, activation="relu")(h)
    out = tf.keras.layers.Dense(1, use_bias=False)(tf.keras.layers.Add()([h, g]))
    net = tf.keras.Model(x, out)
    net.set_weights([np.ones((1, 1))] * 3)
    return net


def given():
    import innvestigate

    return innvestigate.create_analyzer("deep_taylor", model()).analyze(X)


def expected():
    return 2 * X


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
