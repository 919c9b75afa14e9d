"""What the card of a rule says: the idea, the equation, an example on one operator, what it conserves, when it misleads.

A rule is named by its label in the tables of rule sets, without settings: "epsilon", "winner_takes_all". The example is one operator
alone, explained by a rule set in which this rule decides there; its attribution is written as sums, which
``tests/oracle/test_rule_cards.py`` evaluates and compares with what the engine says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from xaicore import ops as o
from xaicore.ops import Op


@dataclass(frozen=True)
class RuleIdea:
    """``by``: the rule set; ``chain``: the operators from input to output, of which a Dense takes ``weights`` and a Sigmoid the last of the
    ``signals``, the inputs that are explained; ``gives``: the attribution of their entries, by ";"."""

    idea: str
    equation: str
    by: str
    chain: tuple[Op, ...]
    signals: Mapping[str, Any]
    gives: str
    conserves: str
    misleads: str
    weights: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


_ALL = "all that arrives, where no denominator is 0"
_LESS = "all that arrives, but for what bias and stabiliser take, which the ledger shows"
_NOT = "nothing: a gradient is no amount"
_DELTA = "the change: contributions add up to the output's difference from the baseline"
_ONE: Mapping[str, Any] = {"x": [[1, 2]]}
_MIXED: Mapping[str, Any] = {"w": [[3, -1]]}

RULE_IDEAS: Mapping[str, RuleIdea] = MappingProxyType({
    # gradients and their kin
    "vjp": RuleIdea("What a small change of each input would do.", "g_i = Σ_j g_j ∂y_j/∂x_i", "gradient", (o.Dense(),), _ONE, "3; 4", _NOT,
                    "It knows the slope at one point: a saturated unit has none.", {"w": [[3, 4]]}),
    "rectified_signal": RuleIdea("Keeps what is positive of the signal, whatever the unit did forwards.", "g_i = max(g_j, 0)", "deconvnet",
                                 (o.ReLU(),), {"x": [[-1, 2]]}, "max(1, 0); 0", _NOT,
                                 "A unit that was off passes a signal: the map can show what is not in the input."),
    "positive_gradient": RuleIdea("Keeps what is positive in both directions.", "g_i = max(g_j, 0) where x_i > 0, else 0",
        "guided_backprop",
                                  (o.ReLU(),), {"x": [[2, -1]]}, "1; 0", _NOT,
                                  "What speaks against is dropped at every step: the picture is sharp and hardly depends on the class."),
    # relevance at layers
    "zero": RuleIdea("Shares relevance in proportion to what each input added to the sum.", "R_i = Σ_j x_i w_ij R_j / z_j", "lrp.zero",
                     (o.Dense(),), _ONE, "3/10*10; 8/10*10", _LESS, "A sum near 0 makes shares explode.", {"w": [[3, 4]], "b": [-1]}),
    "epsilon": RuleIdea("The same, with a little added to the sum so that weak neurons say little.",
                        "R_i = Σ_j x_i w_ij R_j / (z_j + ε sign z_j), sign 0 = 1", "lrp.epsilon", (o.Dense(),), _ONE, "3/12*11; 8/12*11",
        _LESS,
                        "A large ε swallows most of the relevance: see the ledger.", {"w": [[3, 4]]}, {"eps": 1}),
    "gamma": RuleIdea("Contributions that agree with the neuron count more.",
                      "R_i = Σ_j (x_i w_ij + γ (x_i w_ij)+) R_j / Σ_i (...), for z_j > 0; else the other sign", "lrp.gamma", (o.Dense(),),
        _ONE,
                      "6/4*1; -2/4*1", _LESS, "What speaks against fades with γ, by choice and not by evidence.", _MIXED,
                      {"gamma": 1, "eps": 0}),
    "alpha_beta": RuleIdea("Positive and negative contributions are shared apart, α of one and β = α - 1 of the other.",
                           "R_i = Σ_j (α (x_i w_ij)+ / z_j+ - β (x_i w_ij)- / z_j-) R_j", "lrp.alpha_beta", (o.Dense(),), _ONE,
                           "2*3/3*1; -1*2/2*1", "all that arrives, where every neuron has both parts",
                           "Every neuron is made to look torn: β takes even where hardly anything speaks against.", _MIXED,
                           {"alpha": 2, "eps": 0}),
    "z_plus": RuleIdea("Only positive contributions get a share.", "R_i = Σ_j (x_i w_ij)+ R_j / Σ_i (x_i w_ij)+", "lrp.z_plus",
        (o.Dense(),), _ONE,
                       "3/3*1; 0", _ALL, "Nothing can speak against; maps of all classes come to look alike.", _MIXED, {"eps": 0}),
    "z_box": RuleIdea("At pixels: each contribution counts from the darkest or brightest value that it could have.",
                      "R_i = Σ_j (x_i w_ij - l w_ij+ - h w_ij-) R_j / Σ_i (...)", "lrp.z_box", (o.Dense(),), _ONE,
                      "(3 - 0)/5; (-2 + 4)/5", _ALL, "The range is a choice; pixels get relevance for weights that they did not meet.",
        _MIXED,
                      {"low": 0, "high": 4, "eps": 0}),
    "w_square": RuleIdea("By the squared weights, whatever the input is.", "R_i = Σ_j w_ij² R_j / Σ_i w_ij²", "lrp.w_square",
        (o.Dense(),), _ONE,
                         "9/10; 1/10", _ALL, "It looks at no input: a black pixel gets as much as a bright one.", _MIXED, {"eps": 0}),
    "flat": RuleIdea("Equally, among all that a neuron reads.", "R_i = Σ_j R_j / (number of inputs of j)", "lrp.flat", (o.Dense(),),
        _ONE, "1/2; 1/2",
                     _ALL, "It looks at neither weights nor input: it only says where a neuron reads.", _MIXED, {"eps": 0}),
    # relevance elsewhere
    "winner_takes_all": RuleIdea("All goes to the entry that was the maximum.", "R_i = R_j where x_i is the first maximum of window j",
                                 "lrp.epsilon", (o.MaxPool((2,)), o.Flatten()), {"x": [[[1, 3]]]}, "0; 3", "all that arrives",
                                 "A runner-up gets nothing, however close it was."),
    "route": RuleIdea("Relevance goes where the value came from.", "R_i = Σ R_j over the copies j of i", "lrp.epsilon", (o.Flatten(),),
                      {"x": [[[5, 1]]]}, "5; 0", "all that arrives, exactly", "None: it only moves numbers."),
    "identity": RuleIdea("A function of one entry hands on what it got.", "R_i = R_j", "lrp.epsilon", (o.ReLU(),), {"x": [[2, -1]]}, "2; 0",
                         "all that arrives", "How far the unit was from its kink or its saturation is not seen."),
    "euler": RuleIdea("A function that grows in proportion to its input is shared by x times slope.", "R_i = x_i ∂y/∂x_i R / y",
        "lrp.epsilon",
                      (o.LpPool(2, (2,)), o.Flatten()), {"x": [[[3, 4]]]}, "3*3/5/5*5; 4*4/5/5*5",
        "all that arrives, where y is homogeneous of degree 1",
                      "Only right for such functions; others are taken apart instead."),
    "gates": RuleIdea("A gate lets a signal through, and the signal gets all.", "R_signal = R, R_gate = 0", "lrp.epsilon", (o.Sigmoid(),
        o.Mul()),
                      {"a": [[2]], "b": [[0]]}, "1; 0", "all that arrives", "What opened the gate decided as well, and gets nothing."),
    "half": RuleIdea("Two factors share alike.", "R_a = R_b = ½ ab R / (y + ε sign y)", "lrp.epsilon", (o.Mul(),),
        {"a": [[2]], "b": [[3]]}, "6/2; 6/2",
                     _LESS, "None of the two made the product alone: half each is a convention.", {}, {"eps": 1e-12}),
    "taylor_softmax": RuleIdea("The softmax's tangent: relevance times the score, less what the competition takes.",
                               "R_i = x_i (R_i - s_i Σ_j R_j)", "lrp.epsilon", (o.Softmax(1), o.Dense()), {"x": [[1, 0]]},
                               "1*(exp(1)/(1 + exp(1)) - exp(1)/(1 + exp(1))*exp(1)/(1 + exp(1))); 0",
                               "nothing in general: what the tangent leaves is its constant term",
                               "Scores that are all shifted give other relevances, though the softmax is the same.", {"w": [[1, 0]]}),
    "detached_normalisation": RuleIdea("Mean and variance count as constants, and the rest is a weighted sum.",
                                       "R_i = x_i Σ_j w_ij R_j / (z_j + ε sign z_j) with the statistics held fixed", "lrp.epsilon",
        (o.RMSNorm(1, 0),),
                                       {"x": [[5, 35]]}, "1/5; 0", _LESS, "That an entry also changes the statistics is not seen.", {},
        {"eps": 1e-12}),
    "stop": RuleIdea("What only distributes attention gets no share.", "R_i = 0", "excitation_backprop", (o.Softmax(1),), {"x": [[1, 0]]},
        "0; 0",
                     "nothing: it all stays here", "What the attention was drawn by is invisible.", {}, {"output": "probability"}),
    "winning_probability": RuleIdea("A winner is drawn among the excitatory inputs.", "P_i = Σ_j (x_i w_ij)+ P_j / Σ_i (x_i w_ij)+",
                                    "excitation_backprop", (o.Dense(),), _ONE, "3/3; 0", _ALL, "Inhibition is never followed.", _MIXED),
    "winning_product": RuleIdea("A product of two signals: the probability is shared between them.", "P_a = P_b = P / 2",
        "excitation_backprop",
                                (o.Mul(),), {"a": [[2]], "b": [[3]]}, "1/2; 1/2", _ALL, "Which of the two decided is not asked."),
    # contributions to a difference
    "linear": RuleIdea("A weighted sum: each input's change times its weight.", "C_i = Σ_j Δx_i w_ij m_j", "deeplift.rescale",
        (o.Dense(),), _ONE, "3; 8",
                       _DELTA, "Changes that cancel show as two large contributions.", {"w": [[3, 4]]}),
    "rescale": RuleIdea("A bent function: its change over the input's change stands in for the slope.",
        "m = Δy / Δx, the slope where Δx is tiny",
                        "deeplift.rescale", (o.ReLU(),), {"x": [[2, -1]]}, "2 - 0; 0", _DELTA,
                        "Two changes that cancel before the bend are not seen at all."),
    "midpoint": RuleIdea("A product: each factor's change times the middle of the other.", "C_a = Δa (b + b0)/2, C_b = Δb (a + a0)/2",
                         "deeplift.rescale", (o.Mul(),), {"a": [[2]], "b": [[3]]}, "2*3/2; 3*2/2", _DELTA,
                         "What both did together is halved, as by Shapley."),
    "cross_max": RuleIdea("A maximum: the change is shared between the old winner and the new.",
                          "Δy = (max - y0) + (y - max), max of the winner's values: each part to whose it is", "deeplift.rescale",
        (o.MaxPool((2,)), o.Flatten()),
                          {"x": [[[1, 3]]]}, "0; 3 - 0", _DELTA, "Entries that never won get nothing, even if they set the price."),
    "routes_pair": RuleIdea("As route, for the positive and the negative change apart.", "(C+_i, C-_i) go where the value came from",
                            "deeplift.reveal_cancel", (o.Flatten(),), {"x": [[[5, 1]]]}, "5; 0", _DELTA, "None: it only moves numbers."),
    "linear_pair": RuleIdea("As linear, for the positive and the negative change apart.", "C±_i = Σ_j (Δx_i w_ij)± m±_j",
        "deeplift.reveal_cancel",
                            (o.Dense(),), _ONE, "3; -2", _DELTA, "Changes that cancel show as two large contributions.", _MIXED),
    "reveal_cancel": RuleIdea("A bent function: the mean over which change came first, the positive or the negative.",
                              "Δy+ = ½ (f(x0 + Δ+) - f(x0) + f(x0 + Δ+ + Δ-) - f(x0 + Δ-)), Δy- likewise", "deeplift.reveal_cancel",
                              (o.Dense(), o.ReLU()), {"x": [[3, 1]]}, "(3 + 2)/2; (0 - 1)/2", _DELTA,
                              "The order is averaged, not known; with more than two changes it is no longer Shapley's value.",
        {"w": [[1, -1]]}),
})
