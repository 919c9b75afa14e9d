"""Deconvnet and guided backpropagation: the gradient, except at rectifiers.

What counts as a rectifier is a convention: here ReLU and ReLU6, called as modules or as functions alike. For another
activation put a row in front: ``guided_backprop().before((op(SiLU), positive_gradient))``.
"""

from __future__ import annotations

from xaicore.numerics import Array, positive
from xaicore.ops import GRU, LSTM, RNN, ReLU, ReLU6
from xaicore.rules.gradient import vjp
from xaicore.rules.ruleset import Parts, Rule, RuleSet
from xaicore.rules.select import anything, op
from xaicore.trace import Step

RECTIFIERS = op(ReLU, ReLU6)
RECURRENT = (RNN, GRU, LSTM)
"""Expanded first: their activations may be rectifiers."""


def _positive_gradient(step: Step, g: Array) -> Parts:
    return step.vjp(positive(g))


def _rectified_signal(step: Step, g: Array) -> Parts:
    return (positive(g),)


positive_gradient = Rule("positive_gradient", _positive_gradient, "springenberg2014")
"""g_i = g_j 1[g_j > 0] 1[z_j > 0]: masked by the forward and by the backward sign. Source: springenberg2014."""

rectified_signal = Rule("rectified_signal", _rectified_signal, "zeiler2014")
"""g_i = max(g_j, 0): masked by the backward sign alone. Source: zeiler2014."""


def guided_backprop() -> RuleSet:
    """Guided backpropagation: g_i = [z_i > 0] max(0, g_j) at a ReLU, everything else as in the gradient.

    A signal in the shape of the inputs, no share of f(x); what counts as a rectifier stands in the head of this file. Raises Unsupported
    where f does not depend on an input. Source: springenberg2014. Same as: captum, innvestigate, zennit, xplique, on the ReLUs that they
    see. Differs: captum and zennit see modules alone; xplique does not mask the upper end of a ReLU6.
    """
    return RuleSet("guided_backprop", "cotangent", ((RECTIFIERS, positive_gradient), (anything, vjp)), expand=RECURRENT,
                   source="springenberg2014")


def deconvnet() -> RuleSet:
    """Deconvnet: transposed filters, max-pool switches (each value to its recorded arg-max), rectified signals.

    g_i = max(0, g_j) at a ReLU or ReLU6, whatever its input was; everything else as in the gradient. A signal in the shape of the inputs,
    no share of f(x). Raises Unsupported where f does not depend on an input. Source: zeiler2014; its difference to the gradient:
    simonyan2013 section 4. Same as: captum, innvestigate, zennit, on the ReLUs that they see. Differs: captum and zennit see modules
    alone, so that a functional relu stays a gradient there.
    """
    return RuleSet("deconvnet", "cotangent", ((RECTIFIERS, rectified_signal), (anything, vjp)), expand=RECURRENT, source="zeiler2014")
