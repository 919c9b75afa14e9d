"""Excitation backpropagation: top-down attention as a random walk whose steps go along excitatory connections only."""

from __future__ import annotations

from xaicore.numerics import Array, divide, positive
from xaicore.rules.linear import Affine, Change, times
from xaicore.rules.lrp import EXPANDED, MAXIMA, identity, route, winner_takes_all
from xaicore.rules.ruleset import Parts, Rule, RuleSet
from xaicore.rules.select import affine, elementwise, routes
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


def excitation_backprop() -> RuleSet:
    """Winning probabilities from 1 at the explained value down to the input. Source: zhang2016.

    Max-pools pass to the winner, activations and reshapes pass on, sums and averages share as layers with weights of one sign do.
    """
    walk = winning_probability()
    return RuleSet("excitation_backprop", "probability", (
        (MAXIMA, winner_takes_all),
        (routes, route),
        (affine, walk),
        (elementwise, identity),
    ), expand=EXPANDED, fold=True, source="zhang2016")
