"""Worked examples of rule sets that mix rules: composites, deep Taylor decomposition, relevance against a reference value."""

from __future__ import annotations

from fractions import Fraction as F

from xaicore.oracle.worked.example import Worked
from xaicore.oracle.worked.lrp import CONV, NET_A, A, B, C, one
from xaicore.oracle.worked.nets import net_a, net_b
from xaicore.oracle.worked.networks import convolution, flooded, two_convolutions
from xaicore.rules import RULE_SETS

TWO, X = two_convolutions, [[[3, 1, 1]]]
FORWARD = "h = (3 + 2, 1 + 2) = (5, 3), u = 15 - 3 = 12, f = 24 = R_u. "
ALPHA_1 = "α = 1 at u: all to h1, R_h = (24, 0). "
ALPHA_2 = "α = 2 at u: R_h = (48, -24). "
KOHLBRENNER, MONTAVON = "kohlbrenner2020 section 3", "montavon2017 section 4"
IGNORING = RULE_SETS["lrp.zero"](bias="ignore")

EXAMPLES = (
    one("lrp.epsilon_plus", "two-convolutions", TWO, X, [[[F(72, 5), F(48, 5), 0]]], FORWARD + ALPHA_1 + "At x: 24·(3, 2)/5.", KOHLBRENNER),
    one("lrp.epsilon_plus", "two-convolutions-stabilised", TWO, X, [[[F(54, 5), F(36, 5), 0]]],
        "h = (5, 3), u = 12, f = 24. With ε = 8 the dense layer hands down 24·24/32 = 18, and z+ all of it to h1: 18·(3, 2)/5.",
        KOHLBRENNER,
        eps=8),
    one("lrp.epsilon_plus", "convolution", convolution(1), C, [[[3, 0, F(16, 5)]]],
        CONV + "The dense layer by LRP-0, the convolution by its positive parts 3, 1 and 4, 1.", KOHLBRENNER),
    one("lrp.epsilon_plus", "dense-alone", net_a, A, [[6, -5]], NET_A + "No convolution, so LRP-ε with ε = 0 throughout.", KOHLBRENNER),
    one("lrp.epsilon_alpha2_beta1", "two-convolutions", TWO, X, [[[F(288, 5), F(112, 5), -32]]],
        FORWARD + ALPHA_2 + "At x all parts are positive, and α = 2 doubles: 96·(3, 2)/5, and -48·(1, 2)/3. x2: 192/5 - 16.", KOHLBRENNER),
    one("lrp.epsilon_alpha2_beta1", "convolution", convolution(1), C, [[[6, -8, F(32, 5)]]],
        CONV + "Unit 1, parts 3, 1 and -2: 2·4·3/4 to x1, -4 to x2. Unit 2, parts 4, 1 and -1: 2·4·4/5 to x3, -4 to x2.", KOHLBRENNER),
    one("lrp.epsilon_plus_flat", "two-convolutions", TWO, X, [[[12, 12, 0]]], FORWARD + ALPHA_1 + "At x in equal parts: 12, 12.",
        "lapuschkin2017 (flat), kohlbrenner2020"),
    one("lrp.epsilon_plus_flat", "dense-alone", net_a, A, [[F(1, 2), F(1, 2)]], NET_A + "R_h = (6, -5, 0), each halved.",
        "lapuschkin2017 (flat), kohlbrenner2020"),
    one("lrp.epsilon_alpha2_beta1_flat", "two-convolutions", TWO, X, [[[24, 12, -12]]],
        FORWARD + ALPHA_2 + "At x in equal parts: 24; 24 - 12; -12.", "lapuschkin2017 (flat), kohlbrenner2020"),
    one("lrp.best_practice", "two-convolutions", TWO, X, [[[12, 12, 0]]], FORWARD + ALPHA_1 + "The lowest convolution in equal parts.",
        KOHLBRENNER),
    one("lrp.best_practice", "alpha-2", TWO, X, [[[24, 12, -12]]], FORWARD + ALPHA_2 + "The lowest convolution in equal parts.",
    KOHLBRENNER,
        alpha=2),
    one("lrp.best_practice", "not-flat", TWO, X, [[[F(72, 5), F(48, 5), 0]]], FORWARD + ALPHA_1 + "The lowest by α = 1, too: 24·(3, 2)/5.",
        KOHLBRENNER, flat_input=False),
    one("lrp.epsilon_gamma_box", "two-convolutions", TWO, X, [[[16, F(88, 9), F(-16, 9)]]],
        FORWARD + "γ = 1 at u: 30 - 3 = 27, R_h = 24·(30, -3)/27 = (80/3, -8/3). Box [0, 4], weights positive, (x - 0) w: 80/3·(3, 2)/5 = "
        "(16, 32/3), -8/3·(1, 2)/3 = (-8/9, -16/9).", "montavon2019 section 10.3", low=0, high=4, gamma=1),
    one("deep_taylor", "net-a", net_a, A, [[F(1, 2), F(1, 2)]], NET_A + "z+ above: R_h = (1, 0, 0). w² = 1, 1 at the input.",
        MONTAVON),
    one("deep_taylor", "net-a-pixels", net_a, A, [[F(1, 2), F(1, 2)]],
        NET_A + "R_h = (1, 0, 0). Box [0, 4]: 3·1 and (1 - 4)·(-1) = 3.", MONTAVON, input="z_box", low=0, high=4),
    one("deep_taylor", "net-a-positive-inputs", net_a, A, [[1, 0]], NET_A + "R_h = (1, 0, 0); of 3 and -1 only 3 is positive.", MONTAVON,
        input="z_plus"),
    one("deep_taylor", "net-a-flat", net_a, A, [[F(1, 2), F(1, 2)]], NET_A + "R_h = (1, 0, 0), halved.", MONTAVON, input="flat"),
    one("deep_taylor", "net-b", net_b, B, [[2, 2]], "R_h = (2, 2), by w² halved each: the bias has no part in it.", MONTAVON),
    one("deep_taylor", "net-b-positive-inputs", net_b, B, [[F(10, 3), F(2, 3)]],
        "R_h = (2, 2). Unit 1: 2·(2, 1)/3. Unit 2: of 2 and -1 only 2 is positive.", MONTAVON, input="z_plus"),
    one("deep_taylor", "net-b-pixels", net_b, B, [[F(7, 3), F(5, 3)]],
        "R_h = (2, 2). Box [0, 3]. Unit 1: 2·(2, 1)/3. Unit 2: 2·1 and (1 - 3)·(-1) = 2: (1, 1).", MONTAVON, input="z_box", low=0, high=3),
    one("deep_taylor", "bias-of-a-hidden-layer", flooded, B, [[F(9, 2), F(9, 2)]],
        "h = (2, 1), f = 2 + 2 + 5 = 9. The bias 5 has no part: 2 and 2 of 4, half of 9 each; below a single weight each.", MONTAVON),
    one("deep_taylor", "convolution", convolution(1), C, [[[F(4, 5), 4, F(16, 5)]]], CONV + "w² = 1, 4 of 5: 4/5; 16/5 + 4/5; 16/5.",
        MONTAVON),
    Worked("lrp.restructured", "flooded", flooded, B, [[F(2, 3), F(4, 3)]],
           "f = 2 + 2·1 + 5 = 9, to be explained against 7: a drop of 2. At the level t <= 1 the drop is 3 t, so t = 2/3, a_ref = (4/3, "
           "1/3): R = (1·2/3, 2·2/3).", "letzgus2022 (reconstruction)", settings={"reference": 7, "base": IGNORING},
           extras={"t": [F(2, 3)], "reference_activations": [[F(4, 3), F(1, 3)]]}, exact=True),
    Worked("lrp.restructured", "second-unit-dry", flooded, B, [[F(3, 2), 2]],
           "Against 5.5 the drop is 3.5. Beyond t = 1 the second unit has no more to lose: 3 + (t - 1) = 3.5, t = 3/2, a_ref = (1/2, 0): R "
           "= (3/2, 2·1).", "letzgus2022 (reconstruction)", settings={"reference": F(11, 2), "base": IGNORING}, extras={"t": [F(3, 2)]},
           exact=True),
    Worked("lrp.restructured", "reference-above", flooded, B, [[-1, -2]],
           "Against 12 f is 3 too low: t = -1, a_ref = (3, 2), R = (1·(2 - 3), 2·(1 - 2)).", "letzgus2022 (reconstruction)",
           settings={"reference": 12, "base": IGNORING}, extras={"t": [-1]}, exact=True),
    Worked("lrp.restructured", "reference-is-the-value", flooded, B, [[0, 0]], "Against 9 itself there is nothing to explain: t = 0.",
           "letzgus2022 (reconstruction)", settings={"reference": 9, "base": IGNORING}, extras={"t": [0]}, exact=True),
)
