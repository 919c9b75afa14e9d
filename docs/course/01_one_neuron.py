"""
1. One neuron by hand
=====================

Every method of this course is built of one step: a neuron has an amount, its *relevance*, and hands it on to its
inputs. This lesson does that step once, with three numbers and a pencil. You need Python and xaicore, nothing else.
"""

# %%
# The neuron
# ----------
# Three inputs, three weights, no bias:
#
# =============  =====  =====  =====  =======
# ..             1      2      3      sum z
# =============  =====  =====  =====  =======
# input x        2      1      3
# weight w       3      -2     0
# product x w    6      -2     0      4
# =============  =====  =====  =====  =======
#
# The neuron says 4. The first input argues for it with 6, the second against it with 2. The third has nothing to say:
# its weight is 0, so its size does not matter.

x, w = [2, 1, 3], [3, -2, 0]
products = [xi * wi for xi, wi in zip(x, w)]
z = sum(products)
assert products == [6, -2, 0]
assert z == 4

# %%
# The rule
# --------
# Now somebody behind the neuron (the next layer, or you) says: this neuron is worth R = 8. Who earned it? Each input
# gets the part of R that its product is of the sum::
#
#     R_i = x_i w_i / z * R
#
# 6/4 of 8 is 12, -2/4 of 8 is -4, 0/4 of 8 is 0. The three add up to 8: nothing was lost, nothing was made up. The rule
# is called LRP-0 (Bach and others, 2015, equation 56). That the parts add up to the whole is called *conservation*.

R = 8
shares = [p / z * R for p in products]
assert shares == [12, -4, 0]
assert sum(shares) == R

# %%
# The engine gives the same numbers
# ---------------------------------
# A graph is built line by line: an input, a parameter, an operator. Behind the neuron stands one more layer, which
# multiplies by 2. So f(x) = 8, and the neuron's relevance is 8 although its value is 4.

import numpy as np

import xaicore as xc
from xaicore.ops import Dense

b = xc.Builder("one neuron")
inputs = b.input("x", (None, 3))  # None: as many samples as you like
w = b.param("w", [[3.0, -2.0, 0.0]])
v = b.param("v", [[2.0]])
sums = b.add(Dense(), inputs, w, name="neuron")
graph = b.build(b.add(Dense(), sums, v, name="f"))
print(graph)

a = xc.explain(graph, [[2.0, 1.0, 3.0]], "lrp.zero")
assert a.output.tolist() == [8]                     # f(x)
assert a.layers["neuron"].tolist() == [[8]]         # what came to the neuron
assert np.asarray(a).tolist() == [[12, -4, 0]]      # what it handed on

# %%
# The picture
# -----------
# In a circle is the unit's value, under it the relevance that came to it. A line is what one unit hands to another: red
# for, blue against, the wider the more. Read it from right to left.

from xaicore.show.neurons import neurons

neurons(a)

# %%
# The trap: a neuron that is nearly silent
# ----------------------------------------
# Let the second input grow to 2.75. The products are 6, -5.5 and 0, and z = 0.5. For R = 8 the shares are 96 and -88.
# They still add up to 8, but there was never 96 of anything: the big numbers come from the small denominator. At x2 = 3
# the sum is 0, and there is nothing to divide by. Then LRP-0 hands on nothing, and the books (the *ledger*, lesson 5)
# say that the neuron kept all of it.

from xaicore.rules import epsilon
from xaicore.rules.example import neuron  # one neuron under one rule

lrp_0 = epsilon(0)
assert neuron(lrp_0, x=[2, 2.75, 3], w=[3, -2, 0], r=8) == [96, -88, 0]
assert neuron(lrp_0, x=[2, 3, 3], w=[3, -2, 0], r=8) == [0, 0, 0]

# %%
# LRP-epsilon (equation 58) adds a little to the denominator, with the sign of z:
# ``R_i = x_i w_i / (z + eps sign z) * R``. With eps = 0.5 the denominator is 1 instead of 0.5. The shares are halved,
# the neuron hands on 4, and keeps 4.

assert neuron(epsilon(0.5), x=[2, 2.75, 3], w=[3, -2, 0], r=8) == [48, -44, 0]

# %%
# What you know now
# -----------------
# * A neuron hands its relevance on in proportion to the products x w. That is LRP-0.
# * The parts add up to what came in, as long as there is no bias (lesson 5) and the sum is not 0.
# * eps makes small sums harmless, and costs a part of the total.
#
# **Do not conclude** that an input with R = 12 changes the output by 12, or that you may read 96 as "very important". A
# share says how a sum came about. It is no experiment.
#
# **Next:** lesson 2 does the step for a whole layer at once, ``02_four_steps.py``.
