"""Settings with which the methods that play games take few evaluations, where their number does not matter; for several test files.

And the networks of those that explain functions of one form only.
"""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from xaicore import Builder
from xaicore.methods.model_search import gcn
from xaicore.ops import Conv, Dense, Flatten, LeakyReLU, MatMul, MaxPool, Mul, ReLU, Sigmoid, Softmax
from xaicore.oracle.strategies import cnns, inputs_of, numbers

PATTERNED = np.random.default_rng(5).integers(-9, 10, (6, 2, 3, 3))
"""Samples to fit patterns to, for the networks on (N, 2, 3, 3)."""

GAMES = {
    "shapley.exact": {"mask": 2}, "shapley.interaction": {"mask": 2}, "shapley.owen": {"mask": 2},
    "shapley.sampling": {"mask": 2, "samples": 2}, "kernel_shap": {"mask": 2}, "lime": {"mask": 2, "samples": 40},
    "gradient_shap": {"samples": 3}, "rise": {"samples": 40, "grid": 3}, "ace": {"low": -1, "high": 1, "steps": 3},
    "meaningful_perturbation": {"steps": 4, "fill": 0}, "feature_ablation": {"mask": 2}, "feature_permutation": {"mask": 2, "samples": 2},
    "lime.submodular_pick": {"mask": 2, "samples": 40, "top": 1}, "independence": {"labels": 0, "test": "permutation", "permutations": 9},
    "attfind": {"low": -1, "high": 1}, "xgnn": {"nodes": 3, "types": np.eye(2)},
}
PATTERNS = {"patternnet": {"background": PATTERNED}, "pattern_attribution": {"background": PATTERNED},
            "tcav": {"layer": "conv", "concept": PATTERNED[:3], "random": [PATTERNED[3:]], "test": 0}, "vog": {}}
"""Settings for the one network that the samples fit, ``rectified``; the checkpoints of vog are added at the end of this file."""

RATIONAL = {**GAMES, **PATTERNS, "ace": {"quadrature": "midpoint", **GAMES["ace"]}, "lime": {"kernel": "uniform", **GAMES["lime"]},
            "lime.submodular_pick": {"kernel": "uniform", **GAMES["lime.submodular_pick"]}}
"""The same, such that the method has a value in exact mode."""

DATA = {"tcav", "vog", "rate", "independence", "len.relu", "len.mu", "len.psi", "segmentation", "xgnn"}
"""Methods whose value comes from a fit, a test, or a search."""

IRRATIONAL = {"lime": "exponential", "lime.submodular_pick": "exponential", "ace": "irrational", "meaningful_perturbation": "descent with square roots",
              **dict.fromkeys(DATA, "not rational")}
"""What the message of a method says that has none without RATIONAL's settings."""

NEVER = {"meaningful_perturbation", *DATA}
"""Methods that have none with any."""

ALONE = {"feature_permutation", "rate"}
"""Methods that need two samples at least."""

ONE_CLASS = {"len.relu", "len.mu", "len.psi", "xgnn"}
"""Methods about one class for all samples."""

MAY_REFUSE = {"rate": "tells anything", "segmentation": "the same everywhere"}
"""Methods that have no answer on some inputs, and what they say then."""


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


IMAGES = {"deep_shap.hypothetical", "rise", "meaningful_perturbation", "segmentation", "global_contrast"}
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


def sigmoids(rng, dtype="float64"):
    """Two layers of sigmoids on concepts (N, 4), two values for each neuron, three outputs."""
    b = Builder("sigmoids", dtype)
    h = b.input("x", (None, 4))
    for k, (rows, width) in enumerate(((4, 4), (3, 4))):
        w = numbers(rng, (rows, width)) * 4
        w[np.arange(rows)[:, None], [[(j + 1) % 4, (j + 2) % 4] for j in range(rows)]] = 0
        h = b.add(Sigmoid(), b.add(Dense(), h, b.param(f"w{k}", w), b.param(f"c{k}", numbers(rng, (rows,)))), name=f"neurons{k}")
    return b.build(h)


def decoded(rng, dtype="float64"):
    """A decoder and a classifier in one, on styles (N, 4), three outputs."""
    b = Builder("decoded", dtype)
    h = b.add(ReLU(), b.add(Dense(), b.input("x", (None, 4)), b.param("d", fitting(numbers(rng, (5, 4)), dtype)), b.param("c", fitting(numbers(rng, (5,)), dtype))))
    return b.build(b.add(Dense(), h, b.param("w", fitting(numbers(rng, (3, 5)), dtype)), name="logits"))


def convolved(rng, dtype="float64"):
    """A graph convolution network on nodes of two types, three outputs."""
    return gcn([numbers(rng, (3, 2)) * 4], numbers(rng, (3, 3)) * 4, dtype=dtype)


def _graphs(rng, n):
    """n graphs of three nodes, the first connected to the others."""
    a = np.zeros((n, 3, 3))
    a[:, 0, 1:] = a[:, 1:, 0] = 1
    return {"adjacency": a, "features": np.eye(2)[rng.integers(0, 2, (n, 3))]}


INPUTS = {"attfind": lambda rng, n: numbers(rng, (n, 4)), "xgnn": _graphs,
          **dict.fromkeys(("len.relu", "len.mu", "len.psi"), lambda rng, n: rng.integers(0, 257, (n, 4)) / 256)}
"""Methods for other inputs than images: (generator, how many) -> inputs of their networks."""


SPECIAL = {"tcav": rectified, "vog": rectified, "attfind": decoded, "xgnn": convolved,
           **dict.fromkeys(("len.relu", "len.mu", "len.psi"), sigmoids), "linear_shap": linear, "max_shap": maxima, "attention_rollout": attended, "lrp.restructured": rectified, "patternnet": rectified,
           "pattern_attribution": rectified, "fullgrad": rectified, "salient_relevance": rectified}
"""Methods that explain functions of one form only, with networks of that form."""


def special(method):
    """A strategy of networks that the method can explain; None where it explains any."""
    if method in IMAGES:
        return cnns()
    if method not in SPECIAL:
        return None
    return st.integers(0, 2**32 - 1).map(lambda seed: SPECIAL[method](np.random.default_rng(seed)))


def inputs_for(method, graph, most):
    """A strategy of inputs of a network of ``networks``, up to ``most`` samples."""
    fewest = 2 if method in ALONE else 1
    if method not in INPUTS:
        return inputs_of(graph, batch=(fewest, most))
    return st.tuples(st.integers(0, 2**32 - 1), st.integers(fewest, most)).map(lambda v: INPUTS[method](np.random.default_rng(v[0]), v[1]))


def special_input(method, x, dtype="float64"):
    """Two inputs of the method's own network, in place of x."""
    if method not in INPUTS:
        return x
    made = INPUTS[method](np.random.default_rng(0), 2)
    return made if isinstance(made, dict) else fitting(made, dtype)


PATTERNS["vog"]["checkpoints"] = [rectified(np.random.default_rng(seed)) for seed in (1, 2)]
