"""
8. Baselines: compared with what?
=================================

Integrated gradients, DeepLIFT and Shapley values explain a difference, f(x) - f(baseline). The baseline is not a
detail of the method. It is half of the question.
"""

# %%
# One input, three baselines
# --------------------------
# ``f(x) = 1 - relu(1 - x)`` again, which is flat from 1 on. Integrated gradients (Sundararajan and others, 2017) walks
# straight from the baseline to x = 2, takes the mean gradient on the way, and multiplies by the distance:
#
# ==========  =======================================  ==============  ===================
# baseline    gradient on the way                      contribution    f(2) - f(baseline)
# ==========  =======================================  ==============  ===================
# 0           1 on half of the way, then 0: mean 1/2   1/2 * 2 = 1     1 - 0 = 1
# 1           0                                        0               1 - 1 = 0
# -2          1 on 3/4 of the way: mean 3/4            3/4 * 4 = 3     1 - (-2) = 3
# ==========  =======================================  ==============  ===================
#
# One function, one x, three answers, all of them right.

import numpy as np

import xaicore as xc
from xaicore.ops import Dense, ReLU

b = xc.Builder("saturated", dtype="exact")
minus, one = b.param("minus", [[-1]]), b.param("one", [1])
z = b.add(Dense(), b.input("x", (None, 1)), minus, one, name="z")
graph = b.build(b.add(Dense(), b.add(ReLU(), z, name="relu"), minus, one, name="f"))
for baseline, expected in ((0, 1), (1, 0), (-2, 3)):
    a = xc.explain(graph, [[2]], "integrated_gradients.exact", baseline=baseline)
    assert a["x"].tolist() == [[expected]]
    assert a.gap().tolist() == [0]

# %%
# The way from -2 to 2, as a picture: f rises for three quarters of it and is flat for the last. The gradient at the end
# sees the last only.

from xaicore.show.drawing import curve

alphas = np.linspace(0, 1, 33)
on_the_way = graph.astype("float64")((-2 + 4 * alphas)[:, None])[:, 0]
curve(list(zip(alphas, on_the_way)), title="f on the way from -2 to 2")

# %%
# ``integrated_gradients.exact`` finds the kink by itself. The usual method samples the way at some points. With five
# points the mean gradient from -2 is off, and the *gap* tells how much f is missed by. More steps make it small.

floats = graph.astype("float64")
for steps in (5, 50, 500):
    a = xc.explain(floats, [[2.0]], "integrated_gradients", baseline=-2, steps=steps)
    gap = a.gap()[0]
    print(f"{steps:4} steps: contribution {a.total()[0]:.4f}, gap {gap:.4f}")
    assert abs(gap) < 4 / steps  # less than f changes in one step

# %%
# On an image: black is a choice
# ------------------------------
# In the digits, 0 is black. A contribution is (x - baseline) times something. So with the black baseline a black pixel
# gets 0, always, whatever the network does with it. It cannot say "there is a gap here, and that is why it is no
# eight". Other baselines can:

from xaicore.data import digits_images, digits_model
from xaicore.show.sheet import contact_sheet

digits = digits_model()
images, labels = digits_images()
images = images.astype(float)
three = images[labels == 3][:1]


def compared_with(baseline):
    return xc.explain(digits, three, "deeplift.rescale", target=3, baseline=baseline)


results = {
    "black": compared_with(0),
    "white": compared_with(1),
    "mean of twelve digits": compared_with(images.mean(axis=0)),
    "an eight": compared_with(images[labels == 8][0]),
}
contact_sheet(results, "Why a three, and not this?", columns=3)

# %%
dark = three == 0
print(f"{dark.sum()} of 64 pixels are black")
for name, a in results.items():
    there = abs(np.asarray(a)[dark]).sum()
    print(f"{name:22} f(baseline) {a.baseline_output[0]:7.3f}   on black {there:7.3f}")
    assert (there == 0) == (name == "black")
    assert abs(a.gap()[0]) < 1e-12  # complete, each of them

# %%
# "An eight" is the most telling one: in red are the strokes on the left, which an eight has and this digit has not. All
# four maps are complete, to the last digit. Completeness does not choose a baseline for you.
#
# What about the mean over many baselines?
# ----------------------------------------
# Several baselines are as good as one: ``expected_gradients`` and ``deep_shap`` average over a set of samples. What
# they explain is f(x) minus the mean of f over the set.

over_all = xc.explain(digits, three, "deep_shap", target=3, background=images)
of_each = [compared_with(one) for one in images]
mean_map = np.mean([np.asarray(a) for a in of_each], axis=0)
mean_f = np.mean([a.baseline_output for a in of_each])
assert np.allclose(np.asarray(over_all), mean_map)
assert np.isclose(over_all.total()[0], over_all.output[0] - mean_f)

# %%
# What you know now
# -----------------
# * The baseline is part of the question: "why this, and not that?"
# * With baseline 0, what is 0 gets 0.
# * A gap tells of the quadrature's error, never of a bad baseline.
#
# **Do not conclude** from a white spot of a map that the network does not look there, before you know the baseline. Nor
# compare two maps with different ones.
#
# **Next:** lesson 9, sums and normalisations, ``09_residual_batchnorm.py``.
