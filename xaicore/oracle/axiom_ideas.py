"""What the card of an axiom says beyond its row: the idea, an example of a method that keeps it and one that does not, when it misleads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from xaicore.graph.graph import Graph
from xaicore.oracle.worked.nets import Net, mlp, net_a, net_b


@dataclass(frozen=True)
class Example:
    """A network, an input; a method for which the axiom holds there, one for which it fails ("": none of ours), and why."""

    net: Net
    x: Sequence[float]
    keeps: str
    breaks: str
    by_hand: str


@dataclass(frozen=True)
class AxiomIdea:
    """Two sentences and an example."""

    idea: str
    example: Example
    misleads: str


def saturated() -> Graph:
    """f = 1 - relu(1 - x): 1 from x = 1 on."""
    return mlp([[[-1]], [[-1]]], [[1], [1]], name="saturated")


def two_outputs() -> Graph:
    """The hidden layer of net_a with f1 = 3 h1 - h2 + 2 h3 and f2 = h1 + h2."""
    return mlp([[[1, -1], [1, 2], [-1, 1]], [[3, -1, 2], [1, 1, 0]]], name="two_outputs")


AXIOM_IDEAS: Mapping[str, AxiomIdea] = MappingProxyType({
    "completeness": AxiomIdea(
        "Nothing is left over: the attributions add up to what is to be explained.",
        Example(net_b, (2, 1), "integrated_gradients.exact", "gradient_x_input",
                "f(2, 1) = 4 and f(0, 0) = 0. Integrated gradients give (16/3, -4/3), sum 4. Gradient times input gives (2·3, 1·(-1)), "
                "sum 5: "
                "the bias of -1 is missing."),
        "A sum can be right and every part of it wrong: any map can be made complete by adding what is missing somewhere."),
    "conservation": AxiomIdea(
        "No layer makes relevance or loses it, but for what its bias and stabiliser are known to take.",
        Example(net_b, (2, 1), "lrp.zero", "",
                "4 arrives at the hidden units as (2, 2). The first, z = 2 + 1 - 1, passes on 2·(2, 1)/2 = (2, 1) and keeps 2·(-1)/2 = "
                "-1 for its "
                "bias; the second passes on 2·(2·2, -2·1)/2 = (4, -2). Inputs (6, -1), sum 5 = 4 - (-1): the ledger says where the 1 is."),
        "It speaks of sums, layer by layer: relevance sent to the wrong input is conserved as well as any."),
    "sensitivity_a": AxiomIdea(
        "A feature that alone makes the difference to the baseline gets something.",
        Example(saturated, (2,), "integrated_gradients.exact", "gradient",
                "f = 1 - relu(1 - x): f(2) = 1, f(0) = 0, and x alone made the difference. At 2 the slope is 0, so the gradient gives "
                "0; integrated "
                "gradients give the 1 that was gained on the way."),
        "It says that something must be there, not how much; and only for a feature that stands alone."),
    "dummy": AxiomIdea(
        "A feature on which the function does not depend gets nothing.",
        Example(net_a, (3, 1), "gradient", "guided_backprop",
                "A third feature is wired to two units that cancel: its gradient is v - v = 0. Guided backpropagation drops the "
                "negative one of the two "
                "signals, and v is left."),
        "In a trained network hardly any feature is a dummy; a method that fails here can look fine on it, and the other way round."),
    "symmetry": AxiomIdea(
        "Two features that the function treats alike, with equal values, get the same.",
        Example(net_a, (1, 1), "shapley.exact", "lime",
                "The network is made symmetric in two features by averaging it with its mirror image: exact Shapley values come out "
                "equal. LIME draws "
                "samples, in which one feature was kept oftener than the other."),
        "Features that do the same without being exchangeable (a word and its synonym) are not asked about."),
    "linearity": AxiomIdea(
        "Explaining a sum of two outputs is adding their explanations.",
        Example(two_outputs, (3, 1), "gradient", "lrp.z_plus",
                "f1 = 1 and f2 = 7 of one hidden layer. z+ keeps what is positive of each, and what was negative in f1 is not there to "
                "be taken "
                "off when f1 + f2 are explained."),
        "Methods that clip signs on purpose fail it, which is what they are for: it measures a choice, not a mistake."),
    "implementation_invariance": AxiomIdea(
        "Two networks that are the same function get the same explanation.",
        Example(net_a, (3, 1), "integrated_gradients.exact", "lrp.alpha_beta",
                "A layer is written with other weights and the same function (an added pair of units that cancel). Gradients along the "
                "way are "
                "those of the function; α-β counts the two new contributions by their signs."),
        "What it forbids may be what one wants to see: how this network computes, not only what."),
    "input_shift": AxiomIdea(
        "If data are shifted and the first bias takes the shift back, the explanation stays.",
        Example(net_b, (2, 1), "gradient", "gradient_x_input",
                "f2(x + m) = f(x). The gradient is (3, -1) for both. Times the input it is (6, -1) at (2, 1), and something else at (2, "
                "1) + m."),
        "A method with a baseline fails as long as its baseline is not shifted too: the failure is about the choice of zero."),
    "batch_invariance": AxiomIdea(
        "A sample's explanation does not depend on which others were explained with it.",
        Example(net_a, (3, 1), "lrp.epsilon", "", "The sample alone, and beside another: the same numbers."),
        "Methods about a data set are about the batch, and are not asked."),
    "determinism": AxiomIdea(
        "The same call gives the same bits, and changes nothing that it was given.",
        Example(net_a, (3, 1), "smoothgrad", "", "Twice with the same seed: equal to the last bit."),
        "The same bits twice can be the same wrong bits; and another seed gives others, of which this says nothing."),
})
