"""
10. Axioms that pass while maps differ
======================================

"It adds up to f" is a good check, and a weak one. Two explainers can pass every axiom that a method promises, and say
different things.
"""

# %%
# Two programs, one sum
# ---------------------
# The neuron of lesson 6: W = (1, -1), x = (1, -2), f = 3. The paper's z+ gives (1, 2), a program that splits weights
# gives (3, 0). Let every axiom be measured for both. ``yes`` is a promise of the method that holds here.

import numpy as np

import xaicore as xc
from xaicore.ops import Dense

b = xc.Builder("neuron")
W = b.param("W", [[1.0, -1.0]])
graph = b.build(b.add(Dense(), b.input("x", (None, 2)), W, name="fc"))
x = [[1.0, -2.0]]
VARIANTS = ("contributions", "weights-only")
maps = [xc.explain(graph, x, "lrp.z_plus", variant=v)["x"].tolist() for v in VARIANTS]
assert maps == [[[1, 2]], [[3, 0]]]

for variant in VARIANTS:
    settings = {"lrp.z_plus": {"variant": variant}}
    report = xc.check(graph, x, ["lrp.z_plus"], settings=settings)
    print(f"{variant}\n{report}")
    promised = {v.axiom: v.status for v in report if v.promised}
    assert list(promised)[:2] == ["conservation", "symmetry"]
    assert set(promised.values()) == {"holds"}  # both keep all that is promised

# %%
# Read the grids once more. Two columns differ, and nobody promised them. ``sensitivity a``: x2 alone changes f from 1
# to 3, and the second program gives it 0. ``dummy``: a feature that f does not use gets relevance, and here it is the
# paper's own rule that fails. So a failed axiom that was not promised is a finding, and no bug: here one points at each
# program.
#
# Would images have told?
# -----------------------
# Pixels and ReLU outputs are never negative. There x w has the sign of w, and the two programs are one. A test suite of
# images in [0, 1] can run for years and not see the difference.

from xaicore.data import digits_images, digits_model

digits = digits_model()
images, labels = digits_images()
three = images[labels == 3][:1].astype(float)


def both(image):
    found = [xc.explain(digits, image, "lrp.z_plus", 3, variant=v) for v in VARIANTS]
    return [np.asarray(a).ravel() for a in found]


one, other = both(three)
assert np.allclose(one, other, rtol=1e-9)

# Now shift the pixels, as every normalisation does: black is -1, white 1.
one, other = both(2 * three - 1)
print(f"correlation of the two maps {np.corrcoef(one, other)[0, 1]:.2f}")
assert not np.allclose(one, other, rtol=0.1)

# %%
# Three methods, all promises kept
# --------------------------------
# The same on a real network, with methods instead of programs. Nothing is broken, and the maps have little in common.

from xaicore.show.sheet import contact_sheet

methods = ["lrp.epsilon", "lrp.z_plus", "lrp.flat"]
report = xc.check(digits, three, methods, target=3)
assert not report.broken
assert all(report.of(m, "conservation").status == "holds" for m in methods)
results = {m: xc.explain(digits, three, m, target=3) for m in methods}
table = np.corrcoef([np.asarray(a).ravel() for a in results.values()])
print(table.round(2))
assert table[0, 1] < 0.5
contact_sheet(results, columns=4)

# %%
# What does tell them apart: a number that somebody worked out
# ------------------------------------------------------------
# A *certified vector* is a question with its answer: a small network, an input, a method, and the attribution that a
# right program gives, in fractions, known from two derivations that share no code. xaicore comes with hundreds. Here is
# one. x = (1, -2, 3), w = (1, -1/2, -1/4), bias 1/2::
#
#     products 1, 1, -3/4      f = 1 + 1 - 3/4 + 1/2 = 7/4
#     z+ = 1 + 1 + 1/2 = 5/2   R = 1/(5/2) * 7/4 = 7/10, 7/10, 0

from xaicore.oracle.vectors import vectors

assert len(vectors()) > 500
(vector,) = vectors(ids=["lrp.z_plus/neuron"])
inputs, target, settings = vector.question()
print("the answer", vector.expected["x"][0])
for name, values in vector.variants.items():
    print("another convention,", name, values["x"][0])


def answer(**own):
    a = xc.explain(vector.graph, inputs, vector.method, target, **settings, **own)
    return [str(v) for v in a["x"][0]]


assert answer() == vector.expected["x"][0] == ["7/10", "7/10", "0"]
program = answer(variant="weights-only")
assert program == vector.variants["variant=weights-only"]["x"][0] == ["7/6", "0", "0"]

# %%
# What you know now
# -----------------
# * Axioms are necessary and not sufficient. They find leaks, not wrong rules.
# * Test with negative inputs, biases and dead units. Comfortable data hide conventions.
# * A worked number decides. ``xaicore vectors show lrp.z_plus/neuron`` prints this one.
#
# **Do not conclude** from "completeness: passed" that a map is right. Nor, from two different maps, that one is wrong:
# they may be two methods.
#
# **Next:** lesson 11, whether a map depends on the model at all, ``11_sanity_checks.py``.
