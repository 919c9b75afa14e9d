"""Settings with which the methods that play games take few evaluations, where their number does not matter; for several test files.

And the networks of those that explain functions of one form only.
"""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from xaicore import Builder
from xaicore.ops import Conv, Dense, Flatten, LeakyReLU, MatMul, MaxPool, Mul, ReLU, Softmax
from xaicore.oracle.strategies import cnns, numbers

PATTERNED = np.random.default_rng(5).integers(-9, 10, (6, 2, 3, 3))
"""Samples to fit patterns to, for the networks on (N, 2, 3, 3)."""

GAMES = {
    "shapley.exact": {"mask": 2}, "shapley.interaction": {"mask": 2}, "shapley.owen": {"mask": 2},
    "shapley.sampling": {"mask": 2, "samples": 2}, "kernel_shap": {"mask": 2}, "lime": {"mask": 2, "samples": 40},
    "gradient_shap": {"samples": 3}, "rise": {"samples": 40, "grid": 3}, "ace": {"low": -1, "high": 1, "steps": 3},
    "meaningful_perturbation": {"steps": 4, "fill": 0}, "feature_ablation": {"mask": 2}, "feature_permutation": {"mask": 2, "samples": 2},
}
PATTERNS = {"patternnet": {"background": PATTERNED}, "pattern_attribution": {"background": PATTERNED}}
"""Settings for the one network that the samples fit, ``rectified``."""

RATIONAL = {**GAMES, **PATTERNS, "ace": {"quadrature": "midpoint", **GAMES["ace"]}, "lime": {"kernel": "uniform", **GAMES["lime"]}}
"""The same, such that the method has a value in exact mode."""

IRRATIONAL = {"lime": "exponential", "ace": "irrational", "meaningful_perturbation": "descent with square roots"}
"""What the message of a method says that has none without RATIONAL's settings."""

NEVER = {"meaningful_perturbation"}
"""Methods that have none with any."""

ALONE = {"feature_permutation"}
"""Methods that need two samples at least."""


def linear(rng, dtype="float64"):
    """Two affine layers on (N, 2, 3, 3), three outputs."""
    b = Builder("linear", dtype)
    h = b.add(Conv(), b.input("x", (None, 2, 3, 3)), b.param("k", fitting(numbers(rng, (2, 2, 2, 2)), dtype)),
              b.param("c", fitting(numbers(rng, (2,)), dtype)))
    return b.build(b.add(Dense(), b.add(Flatten(), h), b.param("w", fitting(numbers(rng, (3, 8)), dtype)), name="logits"))


def maxima(rng, dtype="float64"):
    """Entries scaled and rectified, a max-pool, an affine layer, on (N, 2, 3, 3), three outputs."""
    b = Builder("maxima", dtype)
    x = b.input("x", (None, 2, 3, 3))
    h = b.add(LeakyReLU(Fraction(1, 2) if dtype == "exact" else 0.5), b.add(Mul(), x, b.constant(fitting(numbers(rng, (1, 2, 3, 3)), dtype))))
    h = b.add(MaxPool((2, 2), stride=(1, 1)), h)
    return b.build(b.add(Dense(), b.add(Flatten(), h), b.param("w", fitting(numbers(rng, (3, 8)), dtype)), b.param("c", fitting(numbers(rng, (3,)), dtype))))


def fitting(values, dtype):
    return np.vectorize(Fraction, otypes=[object])(values) if dtype == "exact" else values


IMAGES = {"deep_shap.hypothetical", "rise", "meaningful_perturbation"}
"""Methods for inputs with channels."""

def attended(rng, dtype="float64"):
    """One attention map, a softmax of products, on (N, 2, 3, 3) read as two heads, three outputs; not rational."""
    b = Builder("attended", dtype)
    x = b.input("x", (None, 2, 3, 3))
    weights = b.add(Softmax(-1), b.add(MatMul(), x, b.param("a", fitting(numbers(rng, (3, 3)), dtype))))
    h = b.add(Flatten(), b.add(MatMul(), weights, x))
    return b.build(b.add(Dense(), h, b.param("w", fitting(numbers(rng, (3, 18)), dtype)), name="logits"))


def rectified(rng, dtype="float64"):
    """A convolution, a ReLU and positive weights without bias on (N, 2, 3, 3): every level between 0 and f can be flooded to."""
    b = Builder("rectified", dtype)
    h = b.add(Conv(), b.input("x", (None, 2, 3, 3)), b.param("k", fitting(numbers(rng, (2, 2, 2, 2)), dtype)), name="conv")
    h = b.add(Flatten(), b.add(ReLU(), h, name="relu"))
    return b.build(b.add(Dense(), h, b.param("w", fitting(abs(numbers(rng, (3, 8))), dtype)), name="logits"))


SPECIAL = {"linear_shap": linear, "max_shap": maxima, "attention_rollout": attended, "lrp.restructured": rectified, "patternnet": rectified,
           "pattern_attribution": rectified, "fullgrad": rectified, "salient_relevance": rectified}
"""Methods that explain functions of one form only, with networks of that form."""


def special(method):
    """A strategy of networks that the method can explain; None where it explains any."""
    if method in IMAGES:
        return cnns()
    if method not in SPECIAL:
        return None
    return st.integers(0, 2**32 - 1).map(lambda seed: SPECIAL[method](np.random.default_rng(seed)))
