"""
4. Why gradient times input is LRP-0 here
=========================================

LRP-0 and gradient times input gave one map in lesson 3. It is not luck. In a network of weighted sums and ReLUs they
are one number, and the proof takes two lines. It also says when they are not.
"""

# %%
# The proof
# ---------
# Write g for the gradient of f at a value, and suppose that R = value * g at the output of a layer (at the very end
# that is true: R = f, g = 1).
#
# * Weighted sum ``z = W x + b``. LRP-0 hands on ``x * W^T (R / z)``. With ``R = z * g`` that is ``x * W^T g``: and
#   ``W^T g`` is the gradient at x.
# * ReLU ``h = relu(z)``. LRP hands R on as it is. With ``R = h * g``: where z > 0, h = z and the gradient at z is g, so
#   ``R = z * g``. Where z <= 0, R = 0 and the gradient is 0.
#
# So R = value * gradient at every layer, down to the input. Look at what happened to z: it was divided out. The bias
# was in it. (Only where a sum is exactly 0 is there nothing to divide by, and LRP-0 stops there, as in lesson 1.)
#
# In numbers, on the small network: the gradient at x = (3, 1) is (2, -5), and the relevance (6, -5).

import numpy as np

import xaicore as xc
from xaicore.ops import Dense, ReLU


def small(bias=None, head=None):
    """relu(W x + bias), then v, then what ``head`` is."""
    b = xc.Builder("small")
    x = b.input("x", (None, 2))
    W = b.param("W", [[1.0, -1.0], [1.0, 2.0], [-1.0, 1.0]])
    v = b.param("v", [[3.0, -1.0, 2.0]])
    own = () if bias is None else (b.param("bias", bias),)
    relu = b.add(ReLU(), b.add(Dense(), x, W, *own, name="hidden"), name="relu")
    f = b.add(Dense(), relu, v, name="f")
    return b.build(f if head is None else b.add(head, f, name="head"))


BOTH = ("lrp.zero", "gradient_x_input")
x = np.array([[3.0, 1.0]])
graph = small()
assert np.asarray(xc.explain(graph, x, "gradient")).tolist() == [[2, -5]]
assert np.asarray(xc.explain(graph, x, "gradient_x_input")).tolist() == [[6, -5]]
assert np.asarray(xc.explain(graph, x, "lrp.zero")).tolist() == [[6, -5]]

# %%
# Exactly, not roughly
# --------------------
# "Equal to twelve digits" can hide a small error. In exact mode the same code runs on fractions, and equal means equal.
# First the digits network in float64, with its convolutions, pooling, biases and skip connection; then the small one
# with biases, at (1/3, -2/7), in fractions.

from fractions import Fraction

from xaicore.data import digits_images, digits_model

digits = digits_model()
images, labels = digits_images()
three = images[labels == 3][:1].astype(float)
one, other = (np.asarray(xc.explain(digits, three, m, target=3)) for m in BOTH)
assert np.allclose(one, other, rtol=0, atol=1e-12)

exact = small(bias=[-0.25, 0.5, -2.0]).astype("exact")
point = np.array([[Fraction(1, 3), Fraction(-2, 7)]])
relevance, product = (xc.explain(exact, point, m)["x"] for m in BOTH)
print(relevance)
assert (relevance == product).all()  # no tolerance
assert relevance.tolist() == [[Fraction(2, 3), Fraction(10, 7)]]

# %%
# With a bias: still equal, and both miss f
# -----------------------------------------
# Let the first neuron have the bias -1. Then z = (1, 5, -2) and ``f = 3*1 - 1*5 = -2``. The gradient is still (2, -5),
# so both give (6, -5), which adds up to 1, not to -2. The missing -3 is the bias's own share, 3 * -1. The ledger has
# it.

biased = small(bias=[-1.0, 0.0, 0.0])
a = xc.explain(biased, x, "lrp.zero")
product = xc.explain(biased, x, "gradient_x_input")
assert np.asarray(a).tolist() == np.asarray(product).tolist() == [[6, -5]]
assert a.output.tolist() == [-2]
assert a.absorbed.tolist() == [-3]

# %%
from xaicore.show.neurons import neurons

neurons(a)

# %%
# With a curved activation: not equal
# -----------------------------------
# The second line of the proof needs h = z * slope, which holds for ReLU and for no curve. Behind f = 1 stands a tanh:
# its value is 0.76, its slope 0.42. LRP hands 0.76 on as it is, the gradient multiplies by 0.42. Both maps are (6, -5)
# times a number, and the numbers differ.

from xaicore.ops import Tanh

bent = small(head=Tanh())
relevance, product = (np.asarray(xc.explain(bent, x, m))[0] for m in BOTH)
assert np.allclose(relevance, np.tanh(1) * np.array([6, -5]))
assert np.allclose(product, (1 - np.tanh(1) ** 2) * np.array([6, -5]))

# %%
# With a softmax: LRP refuses
# ---------------------------
# A probability is no sum of contributions: it depends on what the other classes get. xaicore takes a softmax at the end
# off and explains the logit. Ask for the probability, and a gradient answers, LRP does not. The gradient's answer is
# not worth much: the network is so sure of the three that the softmax is flat, and the map has shrunk to about nothing.

sure = xc.explain(digits, three, "gradient_x_input", 3, output="probability")
largest = abs(np.asarray(sure)).max()
print(f"probability {sure.output[0]:.4f}")
print(f"largest entry of its map {largest:.4f}, of the logit's {abs(other).max():.4f}")
assert sure.output[0] > 0.99
assert largest < 0.01 * abs(other).max()

try:
    xc.explain(digits, three, "lrp.zero", target=3, output="probability")
    raise SystemExit("this must not work")
except xc.XaicoreError as error:
    print(error)

# %%
# What you know now
# -----------------
# * Sums and ReLUs: LRP-0 with the bias in the sum is gradient times input, to the last digit. Max-pooling changes
#   nothing about that.
# * So LRP-0 has all the gradient's weaknesses, such as noise in deep networks. The other rules (gamma, alpha-beta, z+)
#   are there because of that.
# * With curved activations they part.
#
# **Do not conclude** that LRP is gradient times input. LRP-0 is, in these networks. Nor that two libraries that agree
# here implement the rule alike: put a tanh in.
#
# **Next:** lesson 5, where the missing -3 goes, ``05_bias.py``.
