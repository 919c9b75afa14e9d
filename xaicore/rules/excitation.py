"""Excitation backpropagation: top-down attention as a random walk whose steps go along excitatory connections only."""

from __future__ import annotations

import numpy as np

from xaicore.numerics import Array, divide, negative, positive, scalar
from xaicore.ops import Einsum, LogSoftmax, MatMul, Neg, Softmax
from xaicore.rules.attention import NORMALISATIONS, stop
from xaicore.rules.gates import gate_rows
from xaicore.rules.linear import Affine, Change, times
from xaicore.rules.lrp import MAXIMA, identity, route, winner_takes_all
from xaicore.rules.ruleset import Parts, Rule, RuleSet
from xaicore.rules.select import affine, bilinear, elementwise, op, routes
from xaicore.rules.uniform import EXPANDED
from xaicore.trace import Step


def winning_probability(sign: Change = positive) -> Rule:
    """P_i = Σ_j x_i w_ij+ / (Σ_i x_i w_ij+) P_j: the marginal winning probability of neuron i; the bias takes no part.

    p (N, *J) -> (N, *I). A neuron without excitatory input keeps its probability (recorded as absorbed). Meant for x >= 0, where
    it is the z+ rule without bias (W13); for signed x the formula is taken as it stands.
    Source: zhang2016 eq. 4. Same as: innvestigate and zennit up to the bias, which zennit keeps in the denominator.

    >>> from xaicore.rules.example import neuron
    >>> neuron(winning_probability(), x=[1, 2, 3], w=[1, -0.5, 0.25], b=0.5)
    [0.571429, 0.0, 0.428571]
    """
    def apply(step: Step, p: Array) -> Parts:
        a = Affine(step)
        return times(step.xs, a.back(divide(p, a.apply(None, sign)), sign))

    return Rule("winning_probability", apply, "zhang2016")


def winning_product(shares: tuple[int, int]) -> Rule:
    """y = Σ_k a_k b_k: the walk takes the term k with (a_k b_k)⁺ / Σ (a_k b_k)⁺, and then a_k or b_k in the proportion of ``shares``.

    p (N, *J) -> the shapes of a and b. (0, 1): the first factor is a weight, as the attention weights of A V; (1, 1): either. Where no
    term is positive p is absorbed. Source: zhang2016 eq. 4, with the first factor's values for weights; no library has it (the paper's
    networks have no products: reconstruction).

    >>> from xaicore.rules.example import product
    >>> product(winning_product((1, 1)), -2, -3)
    [0.5, 0.5]
    >>> product(winning_product((0, 1)), 2, 3)
    [0.0, 1.0]
    """
    def apply(step: Step, p: Array) -> Parts:
        product = step.node.op
        pairs = [tuple(part(x) for x in step.xs) for part in (positive, negative)]
        terms = [product.forward(*xs) for xs in pairs]
        s = divide(p, np.asarray(terms[0] + terms[1]))
        taken = [np.asarray(sum(xs[i] * product.vjp(i, s, y, *xs) for xs, y in zip(pairs, terms))) for i in range(2)]
        whole = sum(shares)
        return tuple(np.asarray(t * scalar(share, t) / scalar(whole, t)) for t, share in zip(taken, shares))

    return Rule(f"winning_product{shares}", apply, "zhang2016")


def excitation_backprop() -> RuleSet:
    """Winning probabilities from 1 at the explained value down to the input. Source: zhang2016.

    Max-pools pass to the winner, activations, normalisations and reshapes pass on, sums and averages share as layers with weights of one
    sign do. Of a product of matrices (attention) the first factor is a weight, of a gate and a signal the signal is taken, of other
    products either factor; so nothing arrives at a softmax of attention weights. A negation excites nothing and keeps what arrives.
    """
    walk = winning_probability()
    return RuleSet("excitation_backprop", "probability", (
        (MAXIMA, winner_takes_all),
        (routes, route),
        (op(Neg), stop),
        (affine, walk),
        (elementwise, identity),
        *gate_rows("signal"),
        (op(MatMul, Einsum) & bilinear, winning_product((0, 1))),
        (bilinear, winning_product((1, 1))),
        (op(Softmax, LogSoftmax), stop),
        (NORMALISATIONS, identity),
    ), expand=EXPANDED, fold=True, source="zhang2016")
