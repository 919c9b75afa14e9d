"""Worked examples of the LRP rules, one for each convention: on one neuron, on two small networks, and where layers do more than add."""

from __future__ import annotations

from fractions import Fraction as F
from typing import Any

import numpy as np

from xaicore.oracle.worked.example import Worked
from xaicore.oracle.worked.nets import Net, net_a, net_b
from xaicore.oracle.worked.networks import convolution, mixed_colours, neuron, normalised, padded, pooled, residual, reused

X, A, B, C = [[1, -2, 3]], [[3, 1]], [[2, 1]], [[[3, -1, 2]]]
NEURON = "Contributions x w = 1, 1, -3/4 and the bias 1/2: z = f = 7/4. "
NET_A = "h = (2, 5, 0), contributions to f 3·2 = 6 and -5, f = 1. "
NET_B = "z = (2, 1), contributions to f 2 and 2·1, f = 4: R_h = (2, 2). "
CONV = "z = (3 - 2 + 1, -1 + 4 + 1) = (2, 4), f = 2·2 + 4 = 8: R_z = (4, 4). "


def one(method: str, name: str, net: Net, x: Any, expected: Any, by_hand: str, source: str, **settings: Any) -> Worked:
    """An exact example, without a stabiliser unless it says so."""
    own = settings if method == "lrp.zero" else {"eps": 0, **settings}
    return Worked(method, name, net, x, expected, by_hand, source, settings=own, exact=True)


def zero(name: str, net: Net, x: Any, expected: Any, by_hand: str, **settings: Any) -> Worked:
    """LRP-0."""
    return one("lrp.zero", name, net, x, expected, by_hand, "bach2015 eq. 56", **settings)


def epsilon(name: str, net: Net, x: Any, expected: Any, by_hand: str, **settings: Any) -> Worked:
    """LRP-ε with ε = 1/4."""
    return one("lrp.epsilon", name, net, x, expected, by_hand, "bach2015 eq. 58", **{"eps": F(1, 4), **settings})


def gamma(name: str, net: Net, x: Any, expected: Any, by_hand: str, **settings: Any) -> Worked:
    """LRP-γ."""
    source = "montavon2019 section 10.2.3" if settings.get("variant") == "original" else "andeol2021 (reconstruction)"
    return one("lrp.gamma", name, net, x, expected, by_hand, source, **settings)


def alpha_beta(name: str, net: Net, x: Any, expected: Any, by_hand: str, **settings: Any) -> Worked:
    """LRP-αβ."""
    return one("lrp.alpha_beta", name, net, x, expected, by_hand, "bach2015 eq. 60", **settings)


def z_plus(name: str, net: Net, x: Any, expected: Any, by_hand: str, **settings: Any) -> Worked:
    """z+."""
    return one("lrp.z_plus", name, net, x, expected, by_hand, "montavon2017 section 4.2", **settings)


EXAMPLES = (
    zero("net-a", net_a, A, [[6, -5]],
         NET_A + "R_h = (6, -5, 0). Unit 1, z = 2 = 3 - 1: 6/2·(3, -1) = (9, -3). Unit 2, z = 5 = 3 + 2: -5/5·(3, 2) = (-3, -2)."),
    zero("net-b", net_b, B, [[6, -1]],
         NET_B + "Unit 1, z = 2 = 2 + 1 - 1: 2/2·(2, 1). Unit 2, z = 1 = 2 - 1: 2/1·(2, -1). Sum 5: the bias -1 took -1."),
    zero("net-b-bias-ignored", net_b, B, [[F(16, 3), F(-4, 3)]],
         NET_B + "Unit 1 without its bias is 3: 2/3·(2, 1) = (4/3, 2/3). Unit 2: 2·(2, -1) = (4, -2). Sum 4 = f.", bias="ignore"),
    zero("net-b-bias-distributed", net_b, B, [[F(11, 2), F(-3, 2)]],
         NET_B + "Unit 1: 2/2·(2, 1), and the bias's share 2/2·(-1) halved, -1/2 to either. Unit 2: 2·(2, -1). Sum 4 = f.",
         bias="distribute"),
    zero("neuron", neuron(), X, [[1, 1, F(-3, 4)]], NEURON + "R/z = 1: the contributions themselves; the bias keeps 1/2."),
    zero("neuron-bias-ignored", neuron(), X, [[F(7, 5), F(7, 5), F(-21, 20)]],
         NEURON + "Without the bias z is 5/4: 7/4 over 5/4 is 7/5, times 1, 1, -3/4.", bias="ignore"),
    zero("neuron-bias-distributed", neuron(), X, [[F(7, 6), F(7, 6), F(-7, 12)]],
         NEURON + "R/z = 1; the bias's 1/2 goes in thirds: 1 + 1/6, 1 + 1/6, -3/4 + 1/6.", bias="distribute"),
    zero("residual", residual, A, [[6, 1]],
         "z = (2, -5), y = (3 + 2, 1 + 0), f = 5 + 2·1 = 7: R_y = (5, 2). y1 is shared as 3 (around) and 2 (branch), y2 goes around. The "
         "branch: 2/2·(3, -1). x1: 3 + 3 = 6, x2: 2 - 1 = 1."),
    zero("one-layer-twice", reused, B, [[4, 0]],
         "z = (3, 1), f = 3 + 1: R_h = (3, 1). Back through the same W: 3/3·(2, 1) + 1/1·(2, -1) = (4, 0)."),
    zero("convolution", convolution(1), C, [[[6, -5, 4]]], CONV + "4/2·(3, -2) and 4/4·(-1, 4): x1 6, x2 -4 - 1, x3 4. Sum 5."),
    zero("convolution-bias-ignored", convolution(1), C, [[[12, F(-28, 3), F(16, 3)]]],
         CONV + "Without bias z = (1, 3): 4/1·(3, -2) and 4/3·(-1, 4): x2 is -8 - 4/3.", bias="ignore"),
    zero("convolution-bias-distributed", convolution(1), C, [[[7, F(-7, 2), F(9, 2)]]],
         CONV + "As with the bias kept, (6, -5, 4), and the biases' 4/2 and 4/4 halved: x1 + 1, x2 + 1 + 1/2, x3 + 1/2.",
         bias="distribute"),
    zero("max-pool-winner", pooled(), [[[1, 3, 2, 2]]], [[[0, 6, 2, 0]]],
         "p = (3, 2), f = 8: R_p = (6, 2). The winner takes all, of a tie the first."),
    zero("max-pool-proportional", pooled(), [[[1, 3, 2, 2]]], [[[F(3, 2), F(9, 2), 1, 1]]],
         "R_p = (6, 2). By value: 6·(1/4, 3/4) and 2·(1/2, 1/2).", pool="proportional"),
    zero("average-pool", pooled("avg"), [[[1, 3, 2, 2]]], [[[1, 3, 1, 1]]],
         "p = (2, 2), f = 6: R_p = (4, 2), shared by value: 4·(1, 3)/4 and 2·(2, 2)/4."),
    Worked("lrp.zero", "batch-normalisation", normalised, A, [[4.5, 1.5]],
           "Folded into the layer before it: f = 3/2 x1 + 3/2 x2 - 1/2 = 5.5 = z, so R/z = 1: 9/2, 3/2; the bias keeps -1/2.",
           "bach2015 eq. 56"),
    epsilon("net-a", net_a, A, [[F(144, 35), F(-128, 35)]],
            NET_A + "R/(z + 1/4) = 4/5: R_h = (24/5, -4, 0). Unit 1: 24/5 over 9/4 is 32/15, times (3, -1). Unit 2: -4 over 21/4 is "
            "-16/21, times (3, 2). x1: 32/5 - 16/7, x2: -32/15 - 32/21."),
    epsilon("neuron", neuron(), X, [[F(7, 8), F(7, 8), F(-21, 32)]], NEURON + "7/4 over 7/4 + 1/4 is 7/8, times 1, 1, -3/4."),
    epsilon("neuron-below-zero", neuron(-1.75), X, [[F(2, 3), F(2, 3), F(-1, 2)]],
            "Contributions 1, 1, -3/4 and the bias -7/4: z = f = -1/2. The stabiliser has the sign of z: -1/2 over -1/2 - 1/4 is 2/3, "
            "times 1, 1, -3/4."),
    epsilon("neuron-bias-ignored", neuron(), X, [[F(7, 6), F(7, 6), F(-7, 8)]], NEURON + "Without the bias 7/4 over 5/4 + 1/4 is 7/6.",
            bias="ignore"),
    epsilon("neuron-bias-distributed", neuron(), X, [[F(49, 48), F(49, 48), F(-49, 96)]],
            NEURON + "R/(z + 1/4) = 7/8, times 1 + 1/6, 1 + 1/6, -3/4 + 1/6 = -7/12.", bias="distribute"),
    epsilon("whole-bias", neuron(), X, [[F(7, 8), F(7, 8), F(-21, 32)]],
    NEURON + "The ε-rule has no parts, so the whole bias is in z anyhow: "
            "7/4 over 2.", bias="whole"),
    epsilon("stabiliser-without-sign", neuron(-1.75), X, [[2, 2, F(-3, 2)]],
            "z = f = -1/2, and eps is added as it is (lxt): -1/2 over -1/2 + 1/4 is 2, times 1, 1, -3/4.", stabilizer="plain"),
    epsilon("stabiliser-at-zero-alone", neuron(), X, [[1, 1, F(-3, 4)]], NEURON + "z is not 0, so nothing is added: R/z = 1.",
            stabilizer="zero"),
    epsilon("stabiliser-clipped", neuron(-1.375), X, [[F(1, 2), F(1, 2), F(-3, 8)]],
            "Contributions 1, 1, -3/4 and the bias -11/8: z = f = -1/8, nearer to 0 than 1/4: -1/8 over -1/4 is 1/2, times 1, 1, -3/4.",
            stabilizer="clip"),
    epsilon("max-pool-stabilised", pooled(), [[[1, 3, 2, 2]]], [[[0, F(768, 143), F(512, 297), 0]]],
            "f = 8 over 33/4 is 32/33, times 6 and 2: R_p = (64/11, 64/33). The winners 3 and 2 get 3/(3 + 1/4) and 2/(2 + 1/4) of it, as "
            "captum has it.", pool="epsilon"),
    epsilon("nothing-to-stabilise", net_a, A, [[6, -5]], "With ε = 0 it is LRP-0: 6/2·(3, -1) - 5/5·(3, 2).", eps=0),
    gamma("net-a", net_a, A, [[F(57, 35), F(-22, 35)]],
          NET_A + "γ = 1 doubles what is positive: 12 and -5, sum 7: R_h = (12/7, -5/7). Unit 1: 6, -1, sum 5: 12/7·(6/5, -1/5). Unit 2: "
          "6, 4, sum 10: -5/7·(3/5, 2/5). x1: 72/35 - 3/7, x2: -12/35 - 2/7.", gamma=1),
    gamma("net-a-original", net_a, A, [[F(57, 35), F(-22, 35)]],
          NET_A + "All inputs of all layers are >= 0, so w + γ w+ says the same: 12 - 5 = 7, 6 - 1 = 5, 6 + 4 = 10.", gamma=1,
          variant="original"),
    gamma("neuron", neuron(), X, [[F(35, 38), F(35, 38), F(-21, 38)]],
          NEURON + "z > 0, so positive contributions and bias times 5/4: 5/4, 5/4, -3/4, 5/8, sum 19/8. 7/4 over 19/8 is 14/19."),
    gamma("neuron-original", neuron(), X, [[F(35, 34), F(14, 17), F(-21, 34)]],
          NEURON + "w + γ w+ favours positive weights, so x2 w2 = 1, from two negative numbers, stays: 5/4, 1, -3/4, 5/8, sum 17/8. 7/4 "
          "over 17/8 is 14/17.", variant="original"),
    gamma("neuron-below-zero", neuron(-2.25), X, [[F(1, 4), F(1, 4), F(-3, 8)]],
          "Contributions 1, 1, -3/4 and the bias -9/4: z = f = -1 < 0, so the negative ones are doubled: 1, 1, -3/2, -9/2, sum -4. -1 over "
          "-4 is 1/4.", gamma=1),
    gamma("neuron-whole-bias", neuron(), X, [[F(14, 15), F(14, 15), F(-7, 20)]],
          NEURON + "2, 2, -3/4 and the bias as it is, 1/2, sum 15/4: 7/4 over 15/4 is 7/15.", gamma=1, bias="whole"),
    gamma("captum", neuron(), X, [[F(14, 11), F(7, 11), F(-21, 44)]],
          NEURON + "Weights alone: 2, 1, -3/4, the bias 1/2 as it is, sum 11/4: 7/4 over 11/4 is 7/11.", gamma=1, variant="original",
          bias="whole"),
    gamma("neuron-bias-ignored", neuron(), X, [[F(14, 13), F(14, 13), F(-21, 52)]],
          NEURON + "2, 2, -3/4, sum 13/4, without the bias: 7/4 over 13/4 is 7/13.", gamma=1, bias="ignore"),
    gamma("neuron-bias-distributed", neuron(), X, [[F(49, 51), F(49, 51), F(-35, 204)]],
          NEURON + "2, 2, -3/4 and the bias 1, sum 17/4: 7/4 over 17/4 is 7/17, times 2 + 1/3, 2 + 1/3, -3/4 + 1/3.", gamma=1,
          bias="distribute"),
    alpha_beta("net-a", net_a, A, [[F(14, 5), F(-14, 5)]],
               NET_A + "R_h = (2·1, -1·1, 0). Unit 1: 2·2 to x1, -1·2 to x2. Unit 2, R = -1, has no negative part: 2·(-1)·(3/5, 2/5); what "
               "the missing part would hand back is absorbed. The sum is 0, not f.", alpha=2),
    alpha_beta("net-a-alpha-1", net_a, A, [[1, 0]], NET_A + "R_h = (1, 0, 0), of unit 1 all to x1, its only positive part.", alpha=1),
    alpha_beta("neuron", neuron(), X, [[F(7, 5), F(7, 5), F(-7, 4)]],
               NEURON + "Positive: 1, 1 and 1/2 of 5/2, twice: 4/5, 4/5. Negative: -3/4 of -3/4, once: -1. Times R = 7/4."),
    alpha_beta("neuron-negative-bias", neuron(-0.5), X, [[F(3, 4), F(3, 4), F(-9, 20)]],
               "z = f = 3/4. Positive: 1 and 1 of 2, twice: 1, 1. Negative: -3/4 of -3/4 - 1/2 is 3/5, once: -3/5. Times R = 3/4."),
    alpha_beta("neuron-bias-ignored", neuron(), X, [[F(7, 4), F(7, 4), F(-7, 4)]],
               NEURON + "Positive: 1 and 1 of 2, twice: 1, 1; negative: -1. Times R = 7/4.", bias="ignore"),
    alpha_beta("neuron-bias-distributed", neuron(), X, [[F(49, 30), F(49, 30), F(-91, 60)]],
               NEURON + "Positive: 7/6, 7/6 and 1/6, each with a third of the bias, of 5/2, twice: 14/15, 14/15, 2/15. Negative: -1 for "
               "x3. Times R = 7/4.", bias="distribute"),
    alpha_beta("neuron-weights-only", neuron(), X, [[F(7, 3), -7, F(21, 4)]],
               NEURON + "Split by the sign of w: x w+ = 1 and the bias, of 3/2, twice: 4/3. x w- = 1 and -3/4, of 1/4, once: -4, 3. Times "
               "R = 7/4.", variant="weights-only"),
    alpha_beta("neuron-alpha-3-halves", neuron(), X, [[F(21, 20), F(21, 20), F(-7, 8)]],
               NEURON + "3/2·(2/5, 2/5) and -1/2 for x3, times R = 7/4.", alpha=F(3, 2)),
    alpha_beta("neuron-whole-bias", neuron(-0.5), X, [[1, 1, F(-9, 20)]],
               "z = f = 3/4. Positive: 1 and 1 of 2 - 1/2, twice: 4/3, 4/3. Negative: -3/4 of -3/4 - 1/2, once: -3/5. Times R = 3/4. "
               "innvestigate.", bias="whole"),
    alpha_beta("neuron-stabilised", neuron(), X, [[F(14, 11), F(14, 11), F(-21, 16)]],
               NEURON + "Positive: 1 and 1 of 5/2 + 1/4, twice: 8/11. Negative: -3/4 of -3/4 - 1/4, once: -3/4. Times R = 7/4.",
               layer_eps=F(1, 4)),
    alpha_beta("convolution", convolution(1), C, [[[12, -16, F(64, 5)]]],
               "z = (2, 4), f = 4 + 4; both contributions are positive, α = 2 doubles them: R_z = (8, 8). Unit 1, parts 3, 1 and -2: "
               "2·8·3/4 to x1, -8 to x2. Unit 2, parts 4, 1 and -1: 2·8·4/5 to x3, -8 to x2."),
    z_plus("net-a", net_a, A, [[1, 0]], NET_A + "Only 6 is positive: R_h = (1, 0, 0). Unit 1: only 3 is positive, all to x1."),
    z_plus("net-b", net_b, B, [[F(10, 3), F(2, 3)]],
           NET_B + "Unit 1: 2·(2, 1)/3, its bias is negative. Unit 2: only x1 is positive and gets 2."),
    z_plus("neuron", neuron(), X, [[F(7, 10), F(7, 10), 0]], NEURON + "1 and 1 of 5/2, the bias with them: 2/5 of 7/4."),
    z_plus("neuron-bias-ignored", neuron(), X, [[F(7, 8), F(7, 8), 0]], NEURON + "1 and 1 of 2: half of 7/4.", bias="ignore"),
    z_plus("neuron-bias-distributed", neuron(), X, [[F(49, 60), F(49, 60), F(7, 60)]],
           NEURON + "7/6, 7/6 and 1/6, each with a third of the bias, of 5/2, times 7/4.", bias="distribute"),
    z_plus("neuron-whole-bias", neuron(-0.5), X, [[F(1, 2), F(1, 2), 0]], "1 and 1 of 2 - 1/2: 2/3 of f = 3/4. innvestigate's Alpha1Beta0.",
           bias="whole"),
    z_plus("neuron-weights-only", neuron(), X, [[F(7, 6), 0, 0]], NEURON + "x w+ = 1, 0, 0 and the bias: 2/3 of 7/4, though x2 w2 > 0.",
           variant="weights-only"),
    z_plus("residual", residual, A, [[5, 2]],
           "R_y = (5, 2); y1 is shared as 3 (around) and 2 (branch), y2 goes around. In the branch only 3 of 3 - 1 is positive: 2 to x1."),
    z_plus("convolution", convolution(1), C, [[[3, 0, F(16, 5)]]], CONV + "Of 3, 1 and -2: 3/4·4 to x1. Of 4, 1 and -1: 4/5·4 to x3."),
    one("lrp.w_square", "net-a", net_a, A, [[2, -1]],
        "LRP-0 above: R_h = (6, -5, 0). Unit 1, w² = 1, 1: (3, 3). Unit 2, w² = 1, 4: -5·(1/5, 4/5) = (-1, -4).", "montavon2017 eq. 12",
        hidden="zero"),
    one("lrp.w_square", "net-a-z-plus-above", net_a, A, [[F(1, 2), F(1, 2)]], "z+ above: R_h = (1, 0, 0), shared by w² = 1, 1.",
        "montavon2017 eq. 12", hidden="z_plus"),
    one("lrp.w_square", "net-a-gamma-above", net_a, A, [[F(11, 10), F(-1, 10)]],
        "γ = 1/4 above: 6·5/4 - 5 = 5/2, R_h = (3, -2, 0). Unit 1: (3/2, 3/2). Unit 2: -2·(1/5, 4/5).", "montavon2017 eq. 12",
        hidden="gamma"),
    one("lrp.w_square", "neuron", neuron(), X, [[F(4, 3), F(1, 3), F(1, 12)]],
        "w² = 1, 1/4, 1/16, sum 21/16: shares 16/21, 4/21, 1/21 of f = 7/4, whatever x is. The bias has none.", "montavon2017 eq. 12"),
    one("lrp.w_square", "with-bias", neuron(), X, [[F(28, 25), F(7, 25), F(7, 100)]],
        "w² = 1, 1/4, 1/16 and b² = 1/4, sum 25/16: shares 16/25, 4/25, 1/25 of f = 7/4; the bias keeps the rest. zennit.",
        "montavon2017 eq. 12", variant="with-bias"),
    one("lrp.w_square", "convolution", convolution(1), C, [[[F(4, 5), 4, F(16, 5)]]],
        CONV + "w² = 1, 4 of 5 in both: 4/5; 16/5 + 4/5; 16/5.", "montavon2017 eq. 12"),
    one("lrp.flat", "net-a", net_a, A, [[F(1, 2), F(1, 2)]], "LRP-0 above: R_h = (6, -5, 0), each halved: 3 - 5/2.", "lapuschkin2017",
        hidden="zero"),
    one("lrp.flat", "neuron", neuron(), X, [[F(7, 12)] * 3], "f = 7/4 in three equal parts.", "lapuschkin2017"),
    one("lrp.flat", "stabilised", neuron(), X, [[F(7, 13)] * 3], "f = 7/4 over the number of inputs and ε: 3 + 1/4.", "lapuschkin2017",
        layer_eps=F(1, 4)),
    one("lrp.flat", "convolution", convolution(1), C, [[[2, 4, 2]]], CONV + "Each halved: 2, 2 + 2, 2.", "lapuschkin2017"),
    one("lrp.flat", "padding-is-no-input", padded, [[[1, 2, 3]]], [[[F(7, 2), 6, F(9, 2)]]],
        "z = (3, 6, 5) with zeros at the ends, f = 14 = ΣR_z. The outer units have two inputs: 3/2, 3/2 and 5/2, 5/2; the middle one "
        "three: 2, 2, 2.", "lapuschkin2017"),
    one("lrp.z_box", "net-a", net_a, A, [[0, 1]],
        "LRP-0 above: R_h = (6, -5, 0). Box [0, 4]. Unit 1: 3·1 and (1 - 4)·(-1) = 3: (3, 3). Unit 2: 3 and 2: -5·(3/5, 2/5).",
        "montavon2017 section 4.1", hidden="zero", low=0, high=4),
    one("lrp.z_box", "neuron", neuron(), X, [[F(14, 13), F(35, 52), 0]],
        "Box [-3, 3]: (1 + 3)·1 = 4, (-2 - 3)·(-1/2) = 5/2, (3 - 3)·(-1/4) = 0, sum 13/2: 8/13 and 5/13 of f = 7/4.",
        "montavon2017 section 4.1", low=-3, high=3),
    one("lrp.z_box", "empty-box", neuron(), X, [[F(7, 5), F(7, 5), F(-21, 20)]],
        "Box [0, 0] leaves x w alone: 1, 1, -3/4 of 5/4, times f = 7/4; LRP-0 without the bias.", "montavon2017 section 4.1", low=0,
        high=0),
    one("lrp.z_box", "own-box-for-each-channel", mixed_colours, [[[[1, 1]], [[0, 1]]]], [[[[F(2, 9), F(2, 9)]], [[F(2, 3), F(8, 9)]]]],
        "Boxes [0, 2] and [-1, 1], weights 1, -1 and -3, 2: (1 - 0)·1, (1 - 2)·(-1), (0 - 1)·(-3), (1 + 1)·2, sum 9, of f = 2.",
        "montavon2017 section 4.1", low=np.array([[[0]], [[-1]]]), high=np.array([[[2]], [[1]]])),
    one("lrp.z_box", "convolution", convolution(1), C, [[[4, 0, 4]]],
        CONV + "Box [-1, 3], all weights positive, (x + 1) w: 4 and 0, then 0 and 6.", "montavon2017 section 4.1", low=-1, high=3),
)
