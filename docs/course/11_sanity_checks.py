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
    hidden = b.add(Dense(), b.input("x", (None, 2)), b.param("W", [[1.0, -1.0], [1.0, 2.0], [-1.0, 1.0]]), name="hidden")
    return b.build(b.add(Dense(), b.add(ReLU(), hidden, name="relu"), b.param("v", [v]), name="f"))


x = [[3.0, 1.0]]
trained, other = small([3.0, -1.0, 2.0]), small([7.0, -2.0, -5.0])
assert np.asarray(xc.explain(trained, x, "guided_backprop")).tolist() == [[3, -3]]
assert np.asarray(xc.explain(other, x, "guided_backprop")).tolist() == [[7, -7]]
assert np.asarray(xc.explain(trained, x, "gradient")).tolist() == [[2, -5]]            # the gradient has another direction
assert np.asarray(xc.explain(other, x, "gradient")).tolist() == [[5, -11]]

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
    """The correlation of two maps: of the trained network's class 3, and of another network or class."""
    one, two = xc.explain(graph, three, method, target=3), xc.explain(changed, three, method, target=target)
    return np.corrcoef(np.asarray(one).ravel(), np.asarray(two).ravel())[0, 1]


print(f"{'':18}{'last layer random':>18}{'all random':>12}{'class 6':>9}")
found = {}
for method in ("gradient", "guided_backprop", "lrp.epsilon", "lrp.z_plus"):
    found[method] = alike(method, last), alike(method, blank), alike(method, graph, target=6)
    print(f"{method:18}{found[method][0]:18.2f}{found[method][1]:12.2f}{found[method][2]:9.2f}")

assert found["guided_backprop"][0] > 0.9                                # the same map, whatever the classes mean
assert found["guided_backprop"][2] > 0.9                                # the same map for a six
assert abs(found["lrp.z_plus"][2]) > 0.9                                # the same map, with the sign of the class's logit
assert abs(found["gradient"][1]) < 0.3
assert abs(found["lrp.epsilon"][1]) < 0.3

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

report = sanity(graph, three, list(found), target=3, checks=["randomisation", "last_layer", "outline"])
print(report)
assert "guided_backprop" in report.survivors
assert "gradient" not in report.survivors
assert report.of("control.sobel", "randomisation").status == "fails"    # a map without a model survives, as it must
assert report.of("lrp.epsilon", "outline").status == "fails"
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
