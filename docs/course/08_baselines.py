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
z = b.add(Dense(), b.input("x", (None, 1)), b.param("w", [[-1]]), b.param("one", [1]), name="z")
graph = b.build(b.add(Dense(), b.add(ReLU(), z, name="relu"), b.param("v", [[-1]]), b.param("top", [1]), name="f"))
for baseline, expected in ((0, 1), (1, 0), (-2, 3)):
    a = xc.explain(graph, [[2]], "integrated_gradients.exact", baseline=baseline)
    assert a["x"].tolist() == [[expected]]
    assert a.gap().tolist() == [0]

# %%
# The way from -2 to 2, as a picture: f rises for three quarters of it and is flat for the last. The gradient at the end
# sees the last only.

from xaicore.show.drawing import curve

alphas = np.linspace(0, 1, 33)
curve([(float(t), 1 - max(0.0, 1 - (-2 + 4 * float(t)))) for t in alphas], title="f on the way from -2 to 2")

# %%
# ``integrated_gradients.exact`` finds the kink by itself. The usual method samples the way at some points. With five
# points the mean gradient from -2 is off, and the *gap* tells how much f is missed by. More steps make it small.

for steps in (5, 50, 500):
    a = xc.explain(graph.astype("float64"), [[2.0]], "integrated_gradients", baseline=-2, steps=steps)
    print(f"{steps:4} steps: contribution {np.asarray(a)[0, 0]:.4f}, gap {a.gap()[0]:.4f}")
    assert abs(a.gap()[0]) < 4 / steps                                  # less than f changes in one step

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
baselines = {"black": 0, "white": 1, "mean of twelve digits": images.mean(axis=0), "an eight": images[labels == 8][0]}
results = {name: xc.explain(digits, three, "deeplift.rescale", target=3, baseline=start) for name, start in baselines.items()}
contact_sheet(results, "Why a three, and not this?", columns=3)

# %%
dark = three == 0
print(f"{dark.sum()} of 64 pixels are black")
for name, a in results.items():
    on_black = abs(np.asarray(a)[dark]).sum()
    print(f"{name:22} f(baseline) {a.baseline_output[0]:8.4f}   on black pixels {on_black:8.4f}   gap {a.gap()[0]:.1e}")
    assert abs(a.gap()[0]) < 1e-12

assert abs(np.asarray(results["black"])[dark]).sum() == 0
assert abs(np.asarray(results["white"])[dark]).sum() > 10
assert abs(np.asarray(results["an eight"])[dark]).sum() > 5

# %%
# "An eight" is the most telling one: in red are the strokes on the left, which an eight has and this digit has not. All
# four maps are complete, to the last digit. Completeness does not choose a baseline for you.
#
# What about the mean over many baselines?
# ----------------------------------------
# Several baselines are as good as one: ``expected_gradients`` and ``deep_shap`` average over a set of samples. What
# they explain is f(x) minus the mean of f over the set.

over_all = xc.explain(digits, three, "deep_shap", target=3, background=images)
of_each = [xc.explain(digits, three, "deeplift.rescale", target=3, baseline=one) for one in images]
assert np.allclose(np.asarray(over_all), np.mean([np.asarray(a) for a in of_each], axis=0))
assert np.isclose(over_all.total()[0], over_all.output[0] - np.mean([a.baseline_output for a in of_each]))

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
