"""xplique GuidedBackprop: the upper bound of a bounded ReLU is not a kink.

Every ReLU layer is replaced by one whose gradient is that of max(x, 0), also ReLU(max_value=6), as MobileNet has it.
Definition: guided backpropagation multiplies the derivative of the activation with what is positive of the signal.
Derivation: f = min(max(x, 0), 6) at 9: derivative 0.
"""

import numpy as np
import tensorflow as tf

PEER, SUBJECT, KIND = "xplique", "xplique:GuidedBackprop", "wrong number"
VERSION, UPSTREAM = "2.0.2", "not looked up"
OURS, SETTINGS = None, {}


X, TARGET = np.array([[9.0, 3.0]], dtype=np.float32), 0


def model():
    x = tf.keras.Input((2,))
    out = tf.keras.layers.Dense(1, use_bias=False, name="out")(tf.keras.layers.ReLU(max_value=6.0)(x))
    net = tf.keras.Model(x, out)
    net.get_layer("out").set_weights([np.ones((2, 1))])
    return net


def given():
    from xplique.attributions import GuidedBackprop

    return np.asarray(GuidedBackprop(model()).explain(X, np.ones((1, 1), dtype=np.float32)))


def expected():
    signal = np.ones_like(X)
    return signal * (signal > 0) * ((X > 0) & (X < 6))


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
