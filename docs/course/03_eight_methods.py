"""
3. One image, eight methods
===========================

"Explain this image" is not one question. Eight methods look at the same handwritten three, and each answers a
question of its own. The network and the images come with xaicore: 8 x 8 cells, ten classes, 14,426 parameters.
"""

# %%
# The question each method asks
# -----------------------------
# ========================  ==============================================================  ===================
# method                    question                                                        adds up to
# ========================  ==============================================================  ===================
# ``gradient``              how steep is f at this pixel?                                   nothing
# ``gradient_x_input``      the same, times how bright the pixel is                         f if no bias
# ``guided_backprop``       the same, with every negative signal cut off on the way         nothing
# ``integrated_gradients``  how much did f gain on the way from a black image?              f(x) - f(black)
# ``deeplift.rescale``      the same, layer by layer in one pass (lesson 7)                 f(x) - f(black)
# ``lrp.epsilon``           how did the sums come about? (lesson 2)                         f less biases, eps
# ``lrp.z_plus``            the same, of the positive products alone (lesson 6)             f less biases, eps
# ``occlusion``             how far does f fall when a window goes black?                   nothing
# ========================  ==============================================================  ===================
#
# ``explain_all`` runs one forward pass for all of them.

import numpy as np

import xaicore as xc
from xaicore.data import digits_images, digits_model
from xaicore.show.sheet import contact_sheet

graph = digits_model()
images, labels = digits_images()
three = images[labels == 3][:1].astype(float)

methods = ["gradient", "gradient_x_input", "guided_backprop", "integrated_gradients",
           "deeplift.rescale", "lrp.epsilon", "lrp.z_plus", "occlusion"]
found = xc.explain_all(graph, three, methods, targets=[3])
results = {name: one for name, (one,) in found.items()}
contact_sheet(results, "Why a three?", columns=3)

# %%
# Red speaks for the three, blue against it. Each map has its own scale, which stands above it, because the units
# differ: a gradient is "logit per brightness", the others are "logit". The sums differ, too, and the table promised
# some of them:

f = results["gradient"].output[0]  # the logit of class 3, 13.16
black = results["deeplift.rescale"].baseline_output[0]
total = {name: a.total()[0] for name, a in results.items()}
for name in methods:
    print(f"{name:22} sum {total[name]:9.4f}   f(x) - sum {f - total[name]:9.4f}")

# DeepLIFT is complete, to rounding; integrated gradients up to its 50 steps.
assert abs(total["deeplift.rescale"] - (f - black)) < 1e-12 * f
assert abs(total["integrated_gradients"] - (f - black)) < 0.01 * f

# What LRP's sum misses is in the books.
for name in ("lrp.epsilon", "lrp.z_plus"):
    assert abs(total[name] + results[name].absorbed[0] - f) < 1e-12 * f

# These add up to nothing in particular.
assert total["gradient"] < 0
assert total["occlusion"] > 10 * f

# %%
# Who agrees with whom?
# ---------------------
# The correlation of the maps, for each pair. Four of the eight are one picture. Lesson 4 says why that is no
# coincidence.

maps = {name: np.asarray(a).ravel() for name, a in results.items()}
table = np.corrcoef(list(maps.values()))
for name, row in zip(maps, table):
    print(f"{name:22}" + "".join(f"{r:6.2f}" for r in row))

alike = ["gradient_x_input", "integrated_gradients", "deeplift.rescale", "lrp.epsilon"]
rows = [methods.index(name) for name in alike]
assert table[np.ix_(rows, rows)].min() > 0.98

# %%
# The trap
# --------
# Which map is best? Guided backpropagation is loved for its sharp pictures of photographs. Ask it about another class:
# "why a six?"

alike = {}
for name in ("guided_backprop", "lrp.epsilon"):
    six = np.asarray(xc.explain(graph, three, name, target=6)).ravel()
    alike[name] = np.corrcoef(maps[name], six)[0, 1]
    print(f"{name:22} the maps for three and for six correlate by {alike[name]:.2f}")
assert alike["guided_backprop"] > 0.9
assert alike["lrp.epsilon"] < 0.1

# %%
# With guided backpropagation it is the same picture. It shows what is in the image, not why the network said three.
# Lesson 11 tests methods for that.
#
# What you know now
# -----------------
# * A method is a question. Compare maps only when they answer the same one.
# * Some maps add up to f, or to f(x) - f(baseline). The engine tells you by how much they miss (``a.gap()``).
# * A look at a map says little about whether it is right.
#
# **Do not conclude** that eight methods are eight witnesses. Four of them said one thing here because they compute
# nearly one thing.
#
# **Next:** lesson 4, ``04_gradient_times_input.py``.
