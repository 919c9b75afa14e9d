"""
6. Alpha, beta, and who implements which
========================================

LRP-0 divides by sums in which positive and negative products cancel. LRP-alpha-beta keeps them apart. It is one
equation in the paper, and three programs in the wild.
"""

# %%
# The rule
# --------
# Products x w above zero share alpha times R among themselves, those below zero share -beta times R, with alpha - beta
# = 1 (Bach and others, 2015, equation 60; the paper writes the second factor with the other sign)::
#
#     R_i = (alpha (x_i w_i)+ / z+  -  beta (x_i w_i)- / z-) * R
#
# z+ is the sum of the positive products and the positive part of the bias, z- that of the negative ones. The neuron of
# lesson 1 has the products 6, -2, 0 and gets R = 8:
#
# * alpha 1, beta 0 (also called z+): 6/6 of 8, so (8, 0, 0). Nothing is ever negative.
# * alpha 2, beta 1: 2 * 8 = 16 to the first, -1 * 8 to the second: (16, -8, 0).

from xaicore.rules import alpha_beta, epsilon
from xaicore.rules.example import neuron

x, w = [2, 1, 3], [3, -2, 0]
assert neuron(epsilon(0), x, w, r=8) == [12, -4, 0]
assert neuron(alpha_beta(1), x, w, r=8) == [8, 0, 0]
assert neuron(alpha_beta(2), x, w, r=8) == [16, -8, 0]

# %%
# When a neuron has one sign only
# -------------------------------
# With alpha 2, beta 1, a neuron whose products are all positive has nobody to give the negative part to. Take 6 and 2,
# R = 8: the positive part is 16, shared as 12 and 4. The -8 go nowhere, and the sum is 16, not 8. In the small network
# of lesson 2 that happens to the second hidden neuron, and the map adds up to 0 although f = 1. The ledger says so.

assert neuron(alpha_beta(2), [2, 1], [3, 2], r=8) == [12, 4]

import numpy as np

import xaicore as xc
from xaicore.ops import Dense, ReLU
from xaicore.show.neurons import neurons

b = xc.Builder("small")
x = b.input("x", (None, 2))
W = b.param("W", [[1.0, -1.0], [1.0, 2.0], [-1.0, 1.0]])
v = b.param("v", [[3.0, -1.0, 2.0]])
relu = b.add(ReLU(), b.add(Dense(), x, W, name="hidden"), name="relu")
small = b.build(b.add(Dense(), relu, v, name="f"))
a = xc.explain(small, [[3.0, 1.0]], "lrp.alpha_beta", alpha=2)
assert np.allclose(np.asarray(a), [[2.8, -2.8]])
assert np.allclose(a.absorbed, 1)
neurons(a)

# %%
# Three programs for one equation
# -------------------------------
# Where do implementations differ? In two places, and a single neuron shows both.
#
# **What is split: contributions or weights?** W = (1, -1), x = (1, -2), no bias: f = 3. Both products are positive, 1
# and 2, because two negative factors make a positive one. The equation splits products: alpha 1 gives (1, 2). A program
# that splits *weights* keeps only w = 1 and gives (3, 0).


def one_layer(weights, bias=None):
    b = xc.Builder("one layer")
    x, W = b.input("x", (None, 2)), b.param("W", weights)
    own = () if bias is None else (b.param("bias", bias),)
    return b.build(b.add(Dense(), x, W, *own, name="fc"))


plain = one_layer([[1.0, -1.0]])
point = [[1.0, -2.0]]
products = xc.explain(plain, point, "lrp.alpha_beta", alpha=1)
weights = xc.explain(plain, point, "lrp.alpha_beta", alpha=1, variant="weights-only")
assert np.asarray(products).tolist() == [[1, 2]]
assert np.asarray(weights).tolist() == [[3, 0]]

# Both add up to f, so that the sum does not tell them apart.
assert products.total() == weights.total() == 3

# %%
# **What happens to the bias?** W = (1, -1), b = -1, x = (1, 1): f = -1. The equation puts only the positive part of the
# bias, 0, into z+, so the first input gets 1/1 of -1. A program that adds the *whole* bias divides by 1 - 1 = 0. With a
# stabiliser of 1e-9 the answer is -1,000,000,000.

biased = one_layer([[1.0, -1.0]], [-1.0])
point, alpha_1 = [[1.0, 1.0]], {"method": "lrp.alpha_beta", "alpha": 1}
right = xc.explain(biased, point, **alpha_1)
whole = xc.explain(biased, point, **alpha_1, bias="whole", layer_eps=1e-9)
assert np.asarray(right).tolist() == [[-1, 0]]
assert np.allclose(np.asarray(whole), [[-1e9, 0]])

# %%
# Who implements which
# --------------------
# The table is data of xaicore (``oracle/profiles.py``): for each library the settings that give its numbers. What came
# out when the libraries themselves were run is in docs/conformance.md, and what they get wrong in docs/trophies.md.

from xaicore.oracle.profiles import ENTRIES

SHOWN = ("alpha", "variant", "bias", "layer_eps")
table = [e for e in ENTRIES if e.ours in ("lrp.alpha_beta", "lrp.z_plus")]
for e in table:
    settings = [f"{k}={e.settings[k]}" for k in SHOWN if k in e.settings]
    print(f"{e.name:38} {e.ours:14}", *settings)

captum = next(e for e in table if e.name == "captum LRP(Alpha1_Beta0_Rule)")
theirs = xc.explain(biased, point, captum.ours, **captum.settings)
assert np.allclose(np.asarray(theirs), [[-1e9, 0]])

# %%
# Between the two: LRP-gamma
# --------------------------
# LRP-0 lets signs cancel, z+ forgets the negative products. LRP-gamma favours the positive ones as much as you say:
# each positive product counts ``1 + gamma`` times. With gamma = 1 the neuron's 6, -2, 0 become 12, -2, 0, so that R = 8
# is shared as 12/10 and -2/10 of it. gamma = 0 is LRP-0, and a very large gamma is z+.

from xaicore.rules import gamma

x, w = [2, 1, 3], [3, -2, 0]
assert neuron(gamma(1), x, w, r=8) == [9.6, -1.6, 0]
assert neuron(gamma(0), x, w, r=8) == [12, -4, 0]
assert neuron(gamma(10**9), x, w, r=8) == [8, 0, 0]

# %%
# In practice: a rule for each kind of layer
# ------------------------------------------
# Few take one rule for all layers. Near the output, where a few neurons decide, LRP-epsilon tells classes apart. In the
# convolutions below, where there is much noise, one takes gamma or z+. Such a table of rules is called a composite, and
# a *plan* is what it decides for a network.

from xaicore.data import digits_images, digits_model

digits = digits_model()
plan = xc.RULE_SETS["lrp.epsilon_plus"]().plan(digits, target="logits")
for node in digits.nodes[:-1]:
    print(f"{node.name:8} {type(node.op).__name__:8} {plan.rule(node)}")
assert str(plan.rule(digits.nodes[0])) == "z_plus"  # conv1
assert str(plan.rule(digits.nodes[-2])).startswith("epsilon")  # logits

# %%
# On an image
# -----------
# alpha 1 shows only what speaks for the class, alpha 2 sharpens both sides. The sum of the alpha 2 map is 15.0, and f
# is 13.2: neurons of one sign kept what they had no taker for.

from xaicore.show.sheet import contact_sheet

images, labels = digits_images()
three = images[labels == 3][:1].astype(float)
asked = {
    "LRP-0": "lrp.zero",
    "alpha 1, beta 0": ("lrp.alpha_beta", {"alpha": 1}),
    "alpha 2, beta 1": ("lrp.alpha_beta", {"alpha": 2}),
    "LRP-gamma": "lrp.gamma",
    "epsilon above, z+ below": "lrp.epsilon_plus",
}
found = xc.explain_all(digits, three, asked, targets=range(10))
results = {name: of_each[3] for name, of_each in found.items()}
two = results["alpha 2, beta 1"]
assert round(float(two.output[0]), 1) == 13.2
assert round(float(two.total()[0]), 1) == 15.0
assert np.allclose(two.total() + two.absorbed, two.output)
contact_sheet(results, columns=3)

# %%
# Calm has a price. How much does the map for the three resemble the maps for the nine other classes? The more a rule
# favours one sign, the more all maps are one: alpha 1 gives ten classes the same picture, red or blue.

alike = {}
for name, of_each in found.items():
    table = np.corrcoef([np.asarray(a).ravel() for a in of_each])
    alike[name] = np.delete(abs(table[3]), 3).mean()
    print(f"{name:24} {alike[name]:.2f}")
assert alike["alpha 1, beta 0"] > 0.95
assert alike["LRP-0"] < alike["epsilon above, z+ below"] < alike["LRP-gamma"] < 0.8

# %%
# What you know now
# -----------------
# * alpha-beta never divides by a sum in which signs cancel, so its maps are calm. LRP-gamma goes as far as you say.
# * With beta > 0 it conserves only where every neuron has products of both signs.
# * "alpha 1, beta 0" in a paper's methods section does not say what was computed. Ask for the split, the bias and the
#   stabiliser.
#
# **Do not conclude** from equal sums that two programs compute the same rule: (1, 2) and (3, 0) both add up to 3.
# Lesson 10 is about that.
#
# **Next:** lesson 7, DeepLIFT, ``07_deeplift.py``.
