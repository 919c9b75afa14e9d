"""
11. Sanity checks
=================

Does the map depend on the model at all? Replace what the network has learned by random numbers and explain again. If
the picture stays, it was a picture of the image (Adebayo and others, 2018).
"""

# %%
# By hand
# -------
# Guided backpropagation is the gradient with every negative signal cut off at each ReLU. In the small network the
# signals at the hidden neurons are the last layer's weights, v = (3, -1, 2). The second is negative, the third neuron
# is off: only 3 gets through, and the first neuron's weights (1, -1) make (3, -3) of it. Now put other weights there, v
# = (7, -2, -5): the map is (7, -7). The same picture, in another unit. It says which way the first neuron looks, not
# what the network does with it.

import numpy as np

import xaicore as xc
from xaicore.ops import Dense, ReLU


def small(v):
    b = xc.Builder("small")
    W = b.param("W", [[1.0, -1.0], [1.0, 2.0], [-1.0, 1.0]])
    hidden = b.add(Dense(), b.input("x", (None, 2)), W, name="hidden")
    relu = b.add(ReLU(), hidden, name="relu")
    return b.build(b.add(Dense(), relu, b.param("v", [v]), name="f"))


def explained(graph, method):
    return np.asarray(xc.explain(graph, [[3.0, 1.0]], method))[0].tolist()


trained, other = small([3.0, -1.0, 2.0]), small([7.0, -2.0, -5.0])
assert explained(trained, "guided_backprop") == [3, -3]
assert explained(other, "guided_backprop") == [7, -7]

# The gradient turns.
assert explained(trained, "gradient") == [2, -5]
assert explained(other, "gradient") == [5, -11]

# %%
# On the digits network
# ---------------------
# ``randomized`` draws parameters anew, with the size of the old ones. First the last layer, then everything.

from xaicore.data import digits_images, digits_model
from xaicore.metrics.randomisation import randomized, weighted_layers

graph = digits_model()
images, labels = digits_images()
three = images[labels == 3][:1].astype(float)
layers = weighted_layers(graph)
last = randomized(graph, layers[-1][1])
blank = randomized(graph, [name for _, names in layers for name in names])


def alike(method, changed, target=3):
    """The correlation of a three's map with that of another network or class."""
    one = np.asarray(xc.explain(graph, three, method, target=3)).ravel()
    two = np.asarray(xc.explain(changed, three, method, target=target)).ravel()
    return np.corrcoef(one, two)[0, 1]


print(f"{'':18}{'last layer random':>18}{'all random':>12}{'class 6':>9}")
top, every, six = {}, {}, {}
for m in ("gradient", "guided_backprop", "lrp.epsilon", "lrp.z_plus"):
    top[m], every[m], six[m] = alike(m, last), alike(m, blank), alike(m, graph, 6)
    print(f"{m:18}{top[m]:18.2f}{every[m]:12.2f}{six[m]:9.2f}")

# Guided backpropagation: the same map, whatever the classes mean, and for any class.
assert top["guided_backprop"] > 0.9
assert six["guided_backprop"] > 0.9

# z+: the same map, with the sign of the class's logit.
assert abs(six["lrp.z_plus"]) > 0.9

# The gradient and LRP-epsilon: nothing is left.
assert abs(every["gradient"]) < 0.3
assert abs(every["lrp.epsilon"]) < 0.3

# %%
# z+ is a case for itself. Its map for a six is that for a three with the sign turned: the logit of the six is negative,
# and z+ shares a negative number over the same pixels. In deep networks all z+ maps run together (Sixt and others,
# 2020).
#
# The whole list at once
# ----------------------
# ``xaicore sanity MODEL IMAGE`` runs all such checks and draws them. Here are three of them, with controls: maps made
# without any model. A control that "passes" would tell that the check is worth nothing.

from xaicore.oracle.sanity import sanity
from xaicore.show.sanity import sheet

checks = ["randomisation", "last_layer", "outline"]
report = sanity(graph, three, list(top), target=3, checks=checks)
print(report)
assert "guided_backprop" in report.survivors
assert "gradient" not in report.survivors
assert report.of("lrp.epsilon", "outline").status == "fails"

# A map without a model survives, as it must.
assert report.of("control.sobel", "randomisation").status == "fails"
sheet(report, "What is left?")

# %%
# LRP-epsilon has a footnote: its signs depend on the parameters, its outline does not. Black pixels get 0 from any
# network, because 0 times anything is 0 (lesson 8), so the digit's shape is always there.
#
# What you know now
# -----------------
# * Randomise, and compare numbers, not impressions.
# * Guided backpropagation shows the image. z+ hardly tells classes apart.
# * A correlation is high for trivial reasons, too: the input's outline. Look at the signs.
#
# **Do not conclude** that a method that passes is right. It depends on the model, and that is all that was asked.
#
# **Next:** lesson 12, your own explainer in CI, ``12_in_your_ci.py``.
