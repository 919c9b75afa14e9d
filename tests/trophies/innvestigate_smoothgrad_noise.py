"""innvestigate SmoothGrad: noise_scale is not read; the noise always has a standard deviation of 1.

Definition: the argument's own documentation, "noise_scale: standard deviation of noise".
Derivation: with noise_scale=1e-6 the mean gradient is the gradient: f = relu(x) - relu(-x / 2) at 0.5: 1.
"""

import numpy as np
import tensorflow as tf

tf.compat.v1.disable_eager_execution()

PEER, SUBJECT, KIND = "innvestigate", "innvestigate:SmoothGrad", "wrong number"
VERSION, UPSTREAM = "2.1.2", "not looked up"
OURS, SETTINGS = None, {}


X, TARGET = np.array([[0.5]], dtype=np.float32), 0


def model():
    net = tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=(1,), use_bias=False), tf.keras.layers.ReLU(),
                               tf.keras.layers.Dense(1, use_bias=False)])
    net.layers[0].set_weights([np.array([[1.0, -0.5]])])
    net.layers[2].set_weights([np.array([[1.0], [-1.0]])])
    return net


def given():
    import innvestigate

    return innvestigate.create_analyzer("smoothgrad", model(), noise_scale=1e-6, augment_by_n=50).analyze(X)


def expected():
    return np.array([[1.0]])                                            # x > 0: the first unit alone, with weight 1


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
