"""
7. DeepLIFT: differences from a baseline
========================================

A gradient asks: what if x moved a little? DeepLIFT asks: why is f here and not there? *There* is the baseline. Every
neuron is compared with what it would say on the baseline, and the differences are shared out (Shrikumar and others,
2017).
"""

# %%
# Where the gradient is blind
# ---------------------------
# ``f(x) = 1 - relu(1 - x)`` rises from 0 at x = 0 to 1 at x = 1, and is flat behind. At x = 2 its gradient is 0. And
# yet it is because of x that f is 1 and not 0.
#
# DeepLIFT, baseline 0, writes both runs side by side:
#
# ===========  =========  ===========  ===============
# ..           x = 2      x = 0        difference
# ===========  =========  ===========  ===============
# z = 1 - x    -1         1            -2
# relu(z)      0          1            -1
# f            1          0            1
# ===========  =========  ===========  ===============
#
# The *multiplier* of a step is difference out by difference in. Of the ReLU it is -1 / -2 = 1/2, where the gradient is
# 0. Of a weight it is the weight. Multipliers chain like derivatives: -1 * 1/2 * -1 = 1/2. The contribution is
# multiplier times difference, 1/2 * 2 = 1. That is all of f(2) - f(0).

import numpy as np

import xaicore as xc
from xaicore.ops import Dense, ReLU

b = xc.Builder("saturated")
minus, one = b.param("minus", [[-1.0]]), b.param("one", [1.0])
z = b.add(Dense(), b.input("x", (None, 1)), minus, one, name="z")
relu = b.add(ReLU(), z, name="relu")
saturated = b.build(b.add(Dense(), relu, minus, one, name="f"))

assert np.asarray(xc.explain(saturated, [[2.0]], "gradient")).tolist() == [[0]]
a = xc.explain(saturated, [[2.0]], "deeplift.rescale", baseline=0)
assert np.asarray(a).tolist() == [[1]]
assert a.gap().tolist() == [0]  # f(x) - f(baseline) - sum: complete
print(a.ledger)

# %%
# This is the rule *Rescale*. The multiplier of a nonlinearity is ``(y - y0) / (z - z0)``. Where z and z0 nearly
# coincide the quotient is 0/0, and the derivative takes its place.
#
# Rescale has a favourite
# -----------------------
# The smaller of two numbers, for x1 >= 0, is ``min(x1, x2) = relu(x1) - relu(x1 - x2)``. At (3, 1), baseline 0: the
# second ReLU's input is 2, its output 2, so its multiplier is 1. x1 gets 3 by the first ReLU and -3 by the second,
# together 0. x2 gets 1. All of f = 1 is x2's, because it is the smaller one. But min(3, 1) would be 0 without either of
# them.
#
# *RevealCancel* looks at the positive and the negative part of a difference one by one. The second ReLU's input changed
# by +3 and by -1::
#
#     +3 first: relu(3) - relu(0)  = 3      +3 last: relu(2) - relu(-1) = 2      mean  5/2
#     -1 first: relu(-1) - relu(0) = 0      -1 last: relu(2) - relu(3) = -1      mean -1/2
#
# So x1 gets 3 - 5/2 = 1/2, and x2 gets 1/2. These are also the Shapley values, which try all orders.


b = xc.Builder("minimum")
W, v = b.param("W", [[1.0, 0.0], [1.0, -1.0]]), b.param("v", [[1.0, -1.0]])
both = b.add(Dense(), b.input("x", (None, 2)), W, name="x1, x1 - x2")
smaller = b.build(b.add(Dense(), b.add(ReLU(), both, name="relu"), v, name="f"))
x = [[3.0, 1.0]]
assert smaller(x).tolist() == [[1]]
rescale = xc.explain(smaller, x, "deeplift.rescale", baseline=0)
reveal = xc.explain(smaller, x, "deeplift.reveal_cancel", baseline=0)
assert np.asarray(rescale).tolist() == [[0, 1]]
assert np.allclose(np.asarray(reveal), [[0.5, 0.5]], rtol=1e-15)
shapley = xc.explain(smaller, x, "shapley.exact", baseline=0)
assert np.asarray(shapley).tolist() == [[0.5, 0.5]]

# %%
# Under each unit stands what it contributes to f(x) - f(0). First Rescale, then RevealCancel.

from xaicore.show.neurons import neurons

neurons(rescale)

# %%
neurons(reveal)

# %%
# DeepLIFT and LRP
# ----------------
# Both hand an amount from layer to layer. With baseline 0 and without biases Rescale is LRP-0: the difference from 0 is
# the value, as in min(3, 1). On the network of lesson 5, whose biases are such that all neurons are off at 0, Rescale
# is LRP-0 with the bias ignored: a bias is in both runs and leaves the difference.

assert np.asarray(xc.explain(smaller, x, "lrp.zero")).tolist() == [[0, 1]]

b = xc.Builder("biased")
W, bias = b.param("W", [[1.0, 1.0], [1.0, -1.0]]), b.param("bias", [-1.0, 0.0])
hidden = b.add(Dense(), b.input("x", (None, 2)), W, bias, name="hidden")
v = b.param("v", [[1.0, 2.0]])
biased = b.build(b.add(Dense(), b.add(ReLU(), hidden, name="relu"), v, name="f"))
point = [[2.0, 1.0]]
lifted = np.asarray(xc.explain(biased, point, "deeplift.rescale", baseline=0))
ignored = np.asarray(xc.explain(biased, point, "lrp.zero", bias="ignore"))
assert np.allclose(lifted, [[16 / 3, -4 / 3]], rtol=1e-15)
assert np.allclose(lifted, ignored, rtol=1e-15)

# %%
# What you know now
# -----------------
# * DeepLIFT compares every neuron with its value on a baseline. Multipliers are quotients of differences, and chain
#   like derivatives.
# * It is complete: contributions add up to f(x) - f(baseline), biases or not, saturated or not.
# * Rescale lets one input take it all where inputs cancel, RevealCancel splits.
#
# **Do not conclude** that a contribution of 0 means "does not matter": x1 mattered to min(3, 1). Nor that DeepLIFT has
# no settings: the baseline is one, and it decides more than the method does.
#
# **Next:** lesson 8, baselines, ``08_baselines.py``.
