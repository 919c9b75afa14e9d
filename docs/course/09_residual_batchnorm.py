"""
9. Skip connections and batch normalisation
===========================================

Two layers of every modern network fit no rule of lesson 1 at first sight: the sum of a skip connection, and batch
normalisation. Both are easy by hand, and both are where tools go wrong without an error.
"""

# %%
# A skip connection
# -----------------
# ``f = x + relu(3 x)``. At x = 2 the skip brings 2, the branch 6, and f = 8. A sum is a neuron with weights 1: it
# shares its R = 8 in proportion to what came, 2 and 6. The branch's 6 come down to x again, and x has 2 + 6 = 8.

import numpy as np

import xaicore as xc
from xaicore.ops import Add, BatchNorm, Dense, ReLU

b = xc.Builder("skip", dtype="exact")
x = b.input("x", (None, 1))
branch = b.add(ReLU(), b.add(Dense(), x, b.param("w", [[3]]), name="branch"), name="relu")
skip = b.build(b.add(Add(), x, branch, name="sum"))
a = xc.explain(skip, [[2]], "lrp.zero")
assert a.layers["relu"].tolist() == [[6]]
assert a["x"].tolist() == [[8]]

from xaicore.show.neurons import neurons

neurons(a)

# %%
# The usual mistake
# -----------------
# A tool that works with hooks on modules does not see a ``+`` in the code. Automatic differentiation then hands *all*
# of R to each summand, because the derivative of a sum is 1: 8 to the skip and 8 to the branch. x gets 16 where f = 8.
# Each skip connection doubles the relevance, and a network of ten has a thousand times too much at the input. xaicore
# can do it on purpose, to reproduce such numbers:

doubled = xc.explain(skip, [[2]], "lrp.zero", sums="repeat")
assert doubled["x"].tolist() == [[16]]
assert doubled.absorbed.tolist() == [-8]  # the ledger: 8 came from nowhere
print(doubled.ledger)


def tower(blocks):
    """``blocks`` skip connections, one behind the other."""
    b = xc.Builder("tower", dtype="exact")
    value = b.input("x", (None, 1))
    for k in range(blocks):
        branch = b.add(ReLU(), b.add(Dense(), value, b.param(f"w{k}", [[3]])))
        value = b.add(Add(), value, branch)
    return b.build(value)


high = xc.explain(tower(10), [[1]], "lrp.zero", sums="repeat")
assert high.total()[0] / high.output[0] == 2**10

# %%
# Batch normalisation
# -------------------
# At inference it is a scale and a shift: ``y = gamma (u - mean) / sqrt(var) + beta``. With gamma = 2, mean = 2, var =
# 1, beta = 3 that is ``y = 2 u - 1``. Before it stands ``u = 3 x1 - x2``. At x = (2, 1): u = 5, y = 9.
#
# You may see one layer in it or two:
#
# * **folded**: ``y = 6 x1 - 2 x2 - 1``, one layer. LRP-0: 12, -2, and the bias keeps -1.
# * **left alone**: y shares 9 as 10 to u and -1 to its own shift. Then u's 10 go to the inputs as 12 and -2. The same.
# * **passed**: R = 9 goes through as if nothing were there, and u shares 9: 6/5 of it is 10.8, -1/5 is -1.8.

b = xc.Builder("normalised")
u = b.add(Dense(), b.input("x", (None, 2)), b.param("W", [[3.0, -1.0]]), name="u")
numbers = {"gamma": 2.0, "beta": 3.0, "mean": 2.0, "var": 1.0}
own = [b.param(name, [value]) for name, value in numbers.items()]
graph = b.build(b.add(BatchNorm(eps=0.0), u, *own, name="norm"))
point = [[2.0, 1.0]]
assert graph(point).tolist() == [[9]]


def relevance(method, way):
    return np.asarray(xc.explain(graph, point, method, batchnorm=way))[0]


assert np.allclose(relevance("lrp.zero", "fold"), [12, -2])
assert np.allclose(relevance("lrp.zero", "affine"), [12, -2])
assert np.allclose(relevance("lrp.zero", "pass"), [10.8, -1.8])

# %%
# With LRP-0 folding changes nothing, because LRP-0 is the gradient times the input (lesson 4), and the function is the
# same. With z+ it does. Folded, the only positive product is 6 x1: it takes all 9. Left alone, u gets 10 (the shift
# kept -1), and x1 takes all 10.

assert np.allclose(relevance("lrp.z_plus", "fold"), [9, 0])
# The normalisation's own eps is 1e-6.
assert np.allclose(relevance("lrp.z_plus", "affine"), [10, 0], atol=1e-5)

# %%
# So "LRP on a ResNet" says too little. Say what was done at sums and at normalisations. Here the default is: a sum
# shares, and normalisation is folded into the layer before it. The folded graph is the same function, and you can look
# at it:

from xaicore.graph.passes import fold_batchnorm

folded = fold_batchnorm(graph)
print(folded)
assert folded.params["u/folded_weight"].tolist() == [[6, -2]]
assert folded.params["u/folded_bias"].tolist() == [-1]

# %%
# The digits network has a skip connection
# ----------------------------------------
# Node ``skip`` adds ``pool`` and ``conv4``. With sums that repeat, the map adds up to twice f.

from xaicore.data import digits_images, digits_model
from xaicore.show.sheet import contact_sheet

images, labels = digits_images()
three = images[labels == 3][:1].astype(float)
digits, results, kept = digits_model(), {}, {}
for how in ("share", "repeat"):
    one = xc.explain(digits, three, "lrp.epsilon", target=3, sums=how)
    results[how], kept[how] = one, one.ledger["skip"].absorbed[0]
    print(f"{how:7} f {one.output[0]:.3f}   sum {one.total()[0]:.3f}", end="   ")
    print(f"kept at the skip connection {kept[how]:.3f}")
assert abs(kept["share"]) < 1e-4
assert kept["repeat"] < -13
contact_sheet(results, columns=3)

# %%
# What you know now
# -----------------
# * A sum is a neuron with weights 1. It shares.
# * A normalisation is a scale and a shift, folded or not. For rules other than LRP-0 that is a choice.
# * The ledger finds the layer that makes relevance out of nothing.
#
# **Do not conclude** that a map with twice the sum is twice as sure. Half of it comes from nowhere.
#
# **Next:** lesson 10, when all checks pass and the maps still differ, ``10_axioms_are_not_enough.py``.
