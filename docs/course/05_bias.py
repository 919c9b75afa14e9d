"""
5. The bias, and the books
==========================

A bias belongs to no input, and yet it is part of the sum. Who gets its relevance? There are three honest answers,
tools differ, and each answer costs something. The ledger shows which one you have.
"""

# %%
# A network with a bias
# ---------------------
# ``z = (x1 + x2 - 1, x1 - x2)``, ``f = relu(z1) + 2 relu(z2)``. At x = (2, 1): z = (2, 1) and f = 2 + 2 = 4. So each
# hidden neuron starts with R = 2. The first has three products to share among: 2, 1, and the bias's -1.
#
# ==================  ====================  ===================  ================  =========
# bias                first neuron, R = 2   second, R = 2        together          sum
# ==================  ====================  ===================  ================  =========
# absorb              2, 1; bias keeps -1   4, -2                6, -1             5
# ignore              4/3, 2/3              4, -2                16/3, -4/3        4
# distribute          2 - 1/2, 1 - 1/2      4, -2                5 1/2, -1 1/2     4
# ==================  ====================  ===================  ================  =========
#
# * *absorb* (the default here): the bias stays in the sum 2 and keeps its part. Shares are 2/2, 1/2 and -1/2 of R.
# * *ignore*: the sum is 3, without the bias. Shares are 2/3 and 1/3 of R.
# * *distribute*: like absorb, then the bias's -1 goes to the inputs in equal parts.

from fractions import Fraction as Q

import numpy as np

import xaicore as xc
from xaicore.ops import Dense, ReLU

b = xc.Builder("biased", dtype="exact")  # on fractions, so that 16/3 is 16/3
W, bias = b.param("W", [[1, 1], [1, -1]]), b.param("bias", [-1, 0])
hidden = b.add(Dense(), b.input("x", (None, 2)), W, bias, name="hidden")
relu = b.add(ReLU(), hidden, name="relu")
graph = b.build(b.add(Dense(), relu, b.param("v", [[1, 2]]), name="f"))

x = np.array([[Q(2), Q(1)]])
policies = ("absorb", "ignore", "distribute")
by_policy = {p: xc.explain(graph, x, "lrp.zero", bias=p) for p in policies}
assert by_policy["absorb"]["x"].tolist() == [[6, -1]]
assert by_policy["ignore"]["x"].tolist() == [[Q(16, 3), Q(-4, 3)]]
assert by_policy["distribute"]["x"].tolist() == [[Q(11, 2), Q(-3, 2)]]
assert [a.total()[0] for a in by_policy.values()] == [5, 4, 4]

# %%
# The ledger
# ----------
# Every backward pass keeps books: what arrived at a node, what it passed on, what it kept. So "5 is not 4" is no
# mystery, and no bug: node ``hidden`` kept -1, and 5 + -1 = 4.

books = by_policy["absorb"].ledger
print(books)
assert books["hidden"].absorbed.tolist() == [-1]
assert by_policy["absorb"].total() + books.absorbed == [4]

# %%
from xaicore.show.neurons import neurons

neurons(by_policy["absorb"])

# %%
# Why not always ignore it? It adds up!
# -------------------------------------
# Here is one linear function, x1 + x2 - 1, written in three ways: in one layer; with the bias in a layer before,
# ``u = (x1 - 1, x2)``; with the bias in a layer behind, ``u = x1 + x2, f = u - 1``. A function should have one
# explanation, however it is written (*implementation invariance*). At (2, 1):


def linear(*layers):
    b = xc.Builder("linear", dtype="exact")
    value = b.input("x", (None, 2))
    for k, (weights, bias) in enumerate(layers):
        value = b.add(Dense(), value, b.param(f"W{k}", weights), b.param(f"b{k}", bias))
    return b.build(value)


ways = [
    linear(([[1, 1]], [-1])),
    linear(([[1, 0], [0, 1]], [-1, 0]), ([[1, 1]], [0])),
    linear(([[1, 1]], [0]), ([[1]], [-1])),
]
assert [g(x).tolist() for g in ways] == [[[2]], [[2]], [[2]]]


def maps(policy):
    return [xc.explain(g, x, "lrp.zero", bias=policy)["x"][0].tolist() for g in ways]


assert maps("absorb") == [[2, 1], [2, 1], [2, 1]]  # one function, one map
assert maps("ignore") == [[Q(4, 3), Q(2, 3)], [1, 1], [Q(4, 3), Q(2, 3)]]
assert maps("distribute") == [[Q(3, 2), Q(1, 2)], [Q(3, 2), Q(1, 2)], [Q(4, 3), Q(2, 3)]]

# %%
# Which one does my tool use?
# ---------------------------
# Suppose a library says (16/3, -4/3) for the network above. ``compare`` looks for the setting that gives its numbers.

mine = xc.explain(graph.astype("float64"), x.astype(float), "lrp.zero")
verdict = xc.compare(mine, np.array([[16 / 3, -4 / 3]]))
print(verdict)
assert not verdict.agree
assert "bias='ignore'" in str(verdict.closest_convention)

# %%
# What you know now
# -----------------
# * absorb: one function, one map, and the sum misses f by what the biases kept. ignore and distribute: the sum is f,
#   and the map depends on how the network was written down.
# * None of the three has both. That is arithmetic, no programmer's fault.
# * ``a.ledger`` says where every part of f went. ``a.absorbed`` is its total.
#
# **Do not conclude** that a map that adds up to f is more right than one that does not. Nor that a difference of two
# tools is a bug before you know their bias policies.
#
# **Next:** lesson 6, rules that treat signs apart, ``06_alpha_beta.py``.
