"""xplique GradCAMPP: the mean of a feature map stands where its sum belongs.

Definition: Chattopadhyay et al. 2018, equation 19: alpha = g^2 / (2 g^2 + sum of A * g^3).
Derivation: one channel A = x, f = 4 mean x: g = 1 each, alpha = 1 / (2 + 10), the same everywhere; the library's weight is the
mean of alpha relu(g), its map the weight times x (without the final size, which is the layer's here).
"""

import numpy as np
import tensorflow as tf

PEER, SUBJECT, KIND = "xplique", "xplique:GradCAMPP", "wrong number"
VERSION, UPSTREAM = "2.0.2", "not looked up"
OURS, SETTINGS = None, {}


X, TARGET, SCALE = np.array([[[[1.0], [2.0]], [[3.0], [4.0]]]], dtype=np.float32), 0, 4.0

def model():
    """x -> a layer of one channel that is x itself -> its mean times SCALE."""
    image = tf.keras.Input((2, 2, 1))
    conv = tf.keras.layers.Conv2D(1, 1, use_bias=False, name="conv")(image)
    out = tf.keras.layers.Dense(1, use_bias=False, name="out")(tf.keras.layers.GlobalAveragePooling2D()(conv))
    net = tf.keras.Model(image, out)
    net.get_layer("conv").set_weights([np.ones((1, 1, 1, 1))])
    net.get_layer("out").set_weights([np.array([[SCALE]])])
    return net


def given():
    from xplique.attributions import GradCAMPP

    return np.asarray(GradCAMPP(model(), conv_layer="conv").explain(X, np.ones((1, 1), dtype=np.float32))).reshape(2, 2)


def expected():
    x = X.reshape(2, 2)
    return 1 / (2 + x.sum()) * x


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
