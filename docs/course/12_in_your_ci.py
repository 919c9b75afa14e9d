"""
12. In your CI
==============

You maintain an explainer, or use one that somebody else maintains. Three lines in a test suite hold it against
axioms, certified vectors and the reference's numbers, in every commit.
"""

# %%
# An explainer
# ------------
# It is a function of a model, an input, a target and a baseline. Ours is gradient times input; the gradient comes from
# elsewhere, as it would from torch. The second one has a habit that many have: it divides the map by its largest entry,
# "for the colours".

import numpy as np

import xaicore as xc
import xaicore.testing as xt


def honest(model, x, target, baseline):
    return x * np.asarray(xc.explain(model, x, "gradient", target=target))


def scaled(model, x, target, baseline):
    values = honest(model, x, target, baseline)
    return values / abs(values).max()


# %%
# What does it claim to be? Its ``method`` is one of ``xc.METHODS``; from that follow the axioms that it must keep.
# ``framework`` says what it wants as a model: here a graph, else "torch", "keras" or "onnx", and the networks are
# handed over in that form.

CLAIM = {"method": "gradient_x_input", "framework": "graph"}
explainers = [xt.Function(f, **CLAIM, name=f.__name__) for f in (honest, scaled)]
print(*xt.checks_of(explainers[0]), sep="\n")

# %%
# Check it
# --------
# "smoke" asks two networks, "ci" eight, "deep" two hundred. They are the same networks each time, so that a check never
# fails by chance.

results = {}
for explainer in explainers:
    axioms = [c for c in xt.checks_of(explainer) if c != "reference"]
    for r in xt.check_explainer(explainer, on_fail=None, budget="smoke", checks=axioms):
        results[r.explainer, r.check] = r.status
        print(f"{r.explainer:8} {r.check:26} {r.status:8} {r.message[:44]}")

assert "failed" not in {status for (who, _), status in results.items() if who == "honest"}
assert results["scaled", "batch_invariance"] == "failed"  # the batch's largest entry
assert results["scaled", "linearity"] == "failed"  # 2 f should have twice the map
assert results["scaled", "symmetry"] == "passed"  # this one does not notice

# %%
# Two axioms find the division. A *skipped* check says why it does not apply: an empty pass must be visible.
#
# Compare numbers on your own model
# ---------------------------------
# Axioms are not enough (lesson 10). ``assert_matches_reference`` holds the explainer to the reference's numbers, on any
# model, and its message says what to do. Unless told not to, it also looks for the setting that gives the other
# numbers, as ``compare`` did in lesson 5.

from xaicore.ops import Dense, ReLU

b = xc.Builder("small")
x = b.input("x", (None, 2))
W = b.param("W", [[1.0, -1.0], [1.0, 2.0], [-1.0, 1.0]])
v = b.param("v", [[3.0, -1.0, 2.0]])
relu = b.add(ReLU(), b.add(Dense(), x, W, name="hidden"), name="relu")
graph = b.build(b.add(Dense(), relu, v, name="f"))
x = np.array([[3.0, 1.0]])
print(xt.assert_matches_reference(explainers[0], graph, x, target=0))
try:
    xt.assert_matches_reference(explainers[1], graph, x, target=0, search=False)
    raise SystemExit("this must not pass")
except xt.AttributionMismatch as error:
    print(error)
    assert "theirs is ours times" in str(error)  # a factor: the most usual bug of all

# %%
# The file for your tests
# -----------------------
# With pytest each explainer and check is a test of its own. A failure that you know of gets a reason, and when it is
# gone, the test says so.

TESTS = '''
import xaicore.testing as xt
from mylib import honest, scaled

HONEST = xt.Function(honest, "gradient_x_input", name="honest")
SCALED = xt.Function(scaled, "gradient_x_input", name="scaled")
FAILING = ["batch_invariance", "linearity", "reference"]


def known(explainer):
    return dict.fromkeys(FAILING, "issue 12: colours") if explainer is SCALED else {}


@xt.parametrize_with_axioms([HONEST, SCALED], expected_failed=known, budget="smoke")
def test_axioms(explainer, axiom):
    axiom(explainer)


@xt.parametrize_with_vectors([HONEST])
def test_vectors(explainer, vector):
    vector(explainer)
'''
print(TESTS)

# %%
# ``docs/third_party_test.py`` is such a file for captum, with what is known to fail there. Without pytest,
# ``python -m xaicore.testing mylib:Mine --junit report.xml`` does the same, and on GitHub the action in
# ``.github/actions/check-explainer`` writes the table into the job's summary::
#
#     - uses: OWNER/xaicore/.github/actions/check-explainer@v1
#       with: {explainer: "mylib:Mine", budget: ci, expected: known.txt}
#
# What you know now
# -----------------
# * Claim a method, and the checks follow from the claim.
# * ``passed``, ``failed``, ``skipped`` with a reason, and ``xfail`` with yours: four words, no silent pass.
# * Two networks in two seconds find most mistakes. Two hundred are for the night.
#
# **Do not conclude** from a green run that your method is useful. It computes what it claims to compute.
#
# **Next:** lesson 13, many images, ``13_ten_thousand_images.py``.
