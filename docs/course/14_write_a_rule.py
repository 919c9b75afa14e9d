"""
14. Write a rule
================

You have an idea for a rule: share by size, whatever the sign. A product of -2 is as strong as one of 2, so it gets as
much. It takes eight lines, and it works for convolutions, skip connections and all models at once.
"""

# %%
# The rule on paper
# -----------------
# ``R_i = |x_i w_i| / sum |x w| * R``. The neuron of lesson 1 has the products 6, -2, 0 and R = 8: the sizes add up to
# 8, so that the shares are 6, 2 and 0. A bias takes no part.
#
# A rule gets a *step* (one node of the forward pass, with its inputs and output) and the relevance of its output, and
# returns one relevance for each input. ``Affine`` is a step's linear map: ``apply`` runs it with changed inputs and
# weights, ``back`` is its transpose. Because ``|x w| = |x| |w|``, the four steps of lesson 2 do it:

import numpy as np

import xaicore as xc
from xaicore.numerics import divide
from xaicore.rules import Rule
from xaicore.rules.linear import Affine, times


def by_size_of(step, r):
    a = Affine(step)
    sizes = a.actives(abs)     # |x|
    z = a.apply(sizes, abs)    # 1. sum of |x| |w|, no bias
    s = divide(r, z)           # 2. R / z, and 0 where z is 0
    c = a.back(s, abs)         # 3. back through |w|
    return times(sizes, c)     # 4. times |x|


by_size = Rule("by_size", by_size_of)

from xaicore.rules.example import neuron

assert neuron(by_size, x=[2, 1, 3], w=[3, -2, 0], r=8) == [6, 2, 0]

# %%
# A rule set is a table
# ---------------------
# Rows are (selector, rule), and the first that matches wins. We take LRP-0's table and put ours in front, for every
# layer with weights. A *plan* shows what the table decides for a graph, before anything runs.

from xaicore.data import digits_images, digits_model
from xaicore.rules.select import weighted

rules = xc.RULE_SETS["lrp.zero"]().before((weighted, by_size))
digits = digits_model()
print(rules.plan(digits, target="logits"))

# %%
# A second opinion
# ----------------
# Would you notice a mistake? Write the rule again, slow and dumb, without sharing a line of code: a double loop, in
# fractions. On the small network both must be equal, not close.

from fractions import Fraction as Q

from xaicore.ops import Dense, ReLU

W, v, x = [[1, -1], [1, 2], [-1, 1]], [[3, -1, 2]], [3, 1]


def loop(inputs, weights, R):
    out = [Q(0)] * len(inputs)
    for j, row in enumerate(weights):
        whole = sum(abs(xi * wi) for xi, wi in zip(inputs, row))
        for i, wi in enumerate(row):
            if whole:
                out[i] += Q(abs(inputs[i] * wi), whole) * R[j]
    return out


b = xc.Builder("small", dtype="exact")
hidden = b.add(Dense(), b.input("x", (None, 2)), b.param("W", W), name="hidden")
relu = b.add(ReLU(), hidden, name="relu")
small = b.build(b.add(Dense(), relu, b.param("v", v), name="f"))
a = xc.explain(small, [x], rules)

R_h = loop([2, 5, 0], v, [Q(1)])
R_x = loop(x, W, R_h)
assert a.layers["relu"][0].tolist() == R_h == [Q(6, 11), Q(5, 11), 0]
assert a["x"][0].tolist() == R_x
assert sum(R_x) == 1
print(R_x)

# %%
from xaicore.show.neurons import neurons

neurons(a, rules=rules)

# %%
# Plant a bug
# -----------
# A check that never failed is no check. Forget the size in the last step, ``times(step.xs, c)`` for
# ``times(sizes, c)``. With inputs above zero nothing changes: the small network and every image would be happy. A
# negative input tells, and so does the ledger.


def forgetful(step, r):
    a = Affine(step)
    z = a.apply(a.actives(abs), abs)
    return times(step.xs, a.back(divide(r, z), abs))


wrong = xc.RULE_SETS["lrp.zero"]().before((weighted, Rule("forgetful", forgetful)))
assert xc.explain(small, [x], wrong)["x"].tolist() == a["x"].tolist()  # not noticed
low = [3, -1]
good, bad = xc.explain(small, [low], rules), xc.explain(small, [low], wrong)
assert good.ledger["hidden"].absorbed.tolist() == [0]
assert bad.ledger["hidden"].absorbed.tolist() != [0]  # noticed
print(bad.ledger)

# %%
# On an image
# -----------
# Nothing was said about convolutions, and they work: ``Affine`` calls the operator itself. The new map conserves, too.

from xaicore.show.sheet import contact_sheet

images, labels = digits_images()
three = images[labels == 3][:1].astype(float)
asked = {"LRP-0": "lrp.zero", "z+": "lrp.z_plus", "by size": rules}
results = {name: xc.explain(digits, three, m, target=3) for name, m in asked.items()}
assert np.allclose(results["by size"].total(), results["by size"].output)
assert (np.asarray(results["by size"]) >= 0).all()
contact_sheet(results, "Why a three?", columns=4)

# %%
# What you know now
# -----------------
# * A rule is a function of a step and a relevance. Written with ``Affine``, it serves every linear layer there is.
# * ``rules.before(...)`` makes a method of it, which you can explain, check and compare like any other.
# * A second implementation, exact numbers and a planted bug: then believe it.
#
# To add it to xaicore: the rule with its source in ``xaicore/rules/``, the loop in ``xaicore/oracle/twins/``. The
# README's table "Adding things" has the rest.
#
# **Do not conclude** from the nice red three that the idea is good. It conserves, and so does everything that divides
# by its own sum. By size, what speaks against the three is red, too.
#
# **Next:** lesson 15, a framework of your own, ``15_write_a_backend.py``.
