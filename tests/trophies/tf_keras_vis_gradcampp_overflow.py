"""tf-keras-vis GradcamPlusPlus: a logit above 88 makes the map NaN.

The gradients are multiplied by exp(score), which is infinite in float32 above 88.7; infinity divided by infinity is left in the
map.
Definition: Chattopadhyay et al. 2018: alpha holds ratios of derivatives of exp(S), in which the factor exp(S) cancels, and the
map is scaled to [0, 1].
Derivation: one channel A = x with a positive gradient: the map is a multiple of x; scaled: (x - min) / (max - min).
"""

import numpy as np
import tensorflow as tf

PEER, SUBJECT, KIND = "tf_keras_vis", "tf_keras_vis:GradcamPlusPlus", "wrong number"
VERSION, UPSTREAM = "0.8.7", "not looked up"
OURS, SETTINGS = None, {}


X, TARGET, SCALE = np.array([[[[1.0], [2.0]], [[3.0], [4.0]]]], dtype=np.float32), 0, 100.0

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
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus

    return np.asarray(GradcamPlusPlus(model())(lambda output: output[:, TARGET], X, penultimate_layer="conv", expand_cam=False))


def expected():
    return (X[..., 0] - 1) / 3


if __name__ == "__main__":
    got, wanted = given(), expected()
    print("given   ", got if isinstance(got, str) else np.round(np.asarray(got, dtype=float), 6).tolist())
    print("expected", np.round(np.asarray(wanted, dtype=float), 6).tolist())
    right = not isinstance(got, str) and np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-5, atol=1e-8)
    raise SystemExit(0 if right else 1)
