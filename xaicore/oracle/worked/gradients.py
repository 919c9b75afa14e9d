"""Worked examples of the gradient, of what is made of it, and of the backward passes that differ from it at rectifiers."""

from __future__ import annotations

from fractions import Fraction as F

from xaicore.oracle.worked.example import Worked
from xaicore.oracle.worked.nets import net_a, net_b
from xaicore.oracle.worked.networks import (
    at_zero,
    cancelling,
    colours,
    convolution,
    deep,
    greater,
    interaction,
    normalised,
    pooled,
    residual,
    reused,
    saturating,
    window,
)

A, B = [[3, 1]], [[2, 1]]
FORWARD_A = "z = (3 - 1, 3 + 2, -3 + 1) = (2, 5, -2), f = 3·2 - 5 = 1. "
FORWARD_B = "z = (2 + 1 - 1, 2 - 1) = (2, 1), f = 2 + 2·1 = 4. "
DEEP = "z1 = (3, -1), z2 = (3, 6), f = 2·3 - 6 = 0. "
DOWN = {"simonyan": "simonyan2013 section 3", "guided": "springenberg2014 section 3.4", "deconvnet": "zeiler2014 section 2.1"}

EXAMPLES = (
    Worked("gradient", "net-a", net_a, A, [[2, -5]],
           FORWARD_A + "At the hidden units ∂f = (3, -1, 2); the third is off, so (3, -1, 0) goes on: ∂f/∂x1 = 3·1 - 1·1 = 2, ∂f/∂x2 = "
           "3·(-1) - 1·2 = -5.", DOWN["simonyan"], exact=True),
    Worked("gradient", "net-b", net_b, B, [[3, -1]], FORWARD_B + "Both units are on: ∂f/∂x1 = 1·1 + 2·1 = 3, ∂f/∂x2 = 1·1 - 2·1 = -1.",
           DOWN["simonyan"], exact=True),
    Worked("gradient", "relu-at-zero", at_zero, [[1, 1]], [[1, 1]],
           "z = (0, 2). The derivative of ReLU at 0 is 0 here, so the unit with weight 2 passes nothing: ∂f = 1·(1, 1). With a derivative "
           "of 1 it would be (3, -1).", DOWN["simonyan"], exact=True),
    Worked("gradient", "dead", deep, [[1, 2]], [[0, 0]],
           DEEP + "∂f/∂z2 = (2, -1), ∂f/∂h1 = (2·1 - 1·2, 2·1 + 1·1) = (0, 3). The second unit of h1 is off, the first gets 0: nothing is "
           "left.", DOWN["simonyan"], exact=True),
    Worked("gradient", "saturated", saturating, [[2]], [[0]], "f = 1 - relu(1 - 2) = 1: the ReLU is off, f no longer moves with x. The "
           "difference f(2) - f(0) = 1 is not seen.", DOWN["simonyan"], exact=True),
    Worked("gradient", "max-pool-tie", pooled(), [[[1, 3, 2, 2]]], [[[0, 2, 1, 0]]],
           "The first window is won by x2 = 3 and gets 2; the second is a tie of 2 and 2, which goes to the first, x3.", DOWN["simonyan"],
           exact=True),
    Worked("gradient", "average-pool", pooled("avg"), [[[1, 3, 2, 2]]], [[[1, 1, F(1, 2), F(1, 2)]]],
           "Each entry is half of its window's mean: 2/2 for the first two, 1/2 for the others.", DOWN["simonyan"], exact=True),
    Worked("gradient", "convolution", convolution(), [[[3, -1, 2]]], [[[2, 5, 2]]],
           "z = (3 - 2, -1 + 4) = (1, 3), both on, ∂f/∂z = (2, 1). The kernel (1, 2) turned around: x1 gets 2·1, x2 gets 2·2 + 1·1, x3 "
           "gets 1·2.", DOWN["simonyan"], exact=True),
    Worked("gradient", "residual", residual, [[3, 1]], [[2, 1]],
           "z = (2, -5): the branch passes its first unit alone. Around it (1, 2); through it 1·(1, -1). Together (2, 1).",
           DOWN["simonyan"], exact=True),
    Worked("gradient", "one-layer-twice", reused, B, [[2, 0]],
           "z = (3, 1), both on. W is used twice: ∂f/∂h = (1, 1), its first row; ∂f/∂x = Wᵀ (1, 1) = (1 + 1, 1 - 1).", DOWN["simonyan"],
           exact=True),
    Worked("gradient", "greater-of-two", greater, [[3]], [[2]], "max(3, 6) is the second, 2 x, whose derivative is 2.",
           DOWN["simonyan"], exact=True),
    Worked("gradient", "greater-of-two-below-zero", greater, [[-3]], [[1]], "max(-3, -6) is the first, x, whose derivative is 1.",
           DOWN["simonyan"], exact=True),
    Worked("gradient", "batch-normalisation", normalised, [[3, 1]], [[1.5, 1.5]],
           "z = 3 + 1 + 1 = 5, f = 3 (5 - 2)/√4 + 1 = 5.5. ∂f/∂z = 3/2 for either input.", DOWN["simonyan"]),
    Worked("saliency", "net-a", net_a, A, [[2, 5]], "The gradient of this network is (2, -5), without signs (2, 5).", DOWN["simonyan"],
           exact=True),
    Worked("saliency", "net-b", net_b, B, [[3, 1]], "The gradient of this network is (3, -1), without signs (3, 1).", DOWN["simonyan"],
           exact=True),
    Worked("saliency", "every-channel", colours(), [[[[1, 1]], [[1, 1]]]], [[[[1, 1]], [[3, 2]]]],
           "The weights (1, -1) and (-3, 2) without signs, channel by channel.", DOWN["simonyan"], exact=True),
    Worked("saliency", "largest-channel", colours(), [[[[1, 1]], [[1, 1]]]], [[[[3, 2]]]],
           "First pixel: max(|1|, |-3|) = 3; second: max(|-1|, |2|) = 2. The paper's map of a colour image.", "simonyan2013 section 3.1",
           settings={"reduce": "max_abs"}, exact=True),
    Worked("saliency", "sum-of-channels", colours(), [[[[1, 1]], [[1, 1]]]], [[[[4, 3]]]],
           "|1| + |-3| = 4 and |-1| + |2| = 3, as PAIR does.", "simonyan2013 section 3.1", settings={"reduce": "sum_abs"}, exact=True),
    Worked("saliency", "length-over-channels", colours((0, 0)), [[[[1, 1]], [[1, 1]]]], [[[[1, 1]]]],
           "√(1² + 0²) = 1 and √((-1)² + 0²) = 1.", "simonyan2013 section 3.1", settings={"reduce": "l2"}),
    Worked("gradient_x_input", "net-a", net_a, A, [[6, -5]], "The gradient (2, -5) times (3, 1). Without biases the sum is f = 1.",
           "shrikumar2017 section 3", exact=True),
    Worked("gradient_x_input", "net-b", net_b, B, [[6, -1]], "The gradient (3, -1) times (2, 1). The sum 5 misses f = 4 by the bias -1, "
           "with its slope 1.", "shrikumar2017 section 3", exact=True),
    Worked("gradient_x_input", "residual", residual, [[3, 1]], [[6, 1]], "The gradient (2, 1) times (3, 1), sum 7 = f: no bias.",
           "shrikumar2017 section 3", exact=True),
    Worked("gradient_x_input", "product", interaction, [[2, 3]], [[8, 6]],
           "f = 2 + 6 = 8, ∂f = (1 + 3, 2), times x: (8, 6). The product is counted once for each factor, so the sum is 8 + 6 = 14.",
           "shrikumar2017 section 3", exact=True),
    Worked("deconvnet", "net-a", net_a, A, [[1, -1]],
           "At the hidden units (3, -1, 2). Deconvnet keeps what is positive, whether the unit was on or not: (3, 0, 2). x1: 3·1 + 2·(-1) "
           "= 1; x2: 3·(-1) + 2·1 = -1.", DOWN["deconvnet"], exact=True),
    Worked("deconvnet", "net-b", net_b, B, [[3, -1]], "Both signals, 1 and 2, are positive, so it is the gradient (3, -1).",
           DOWN["deconvnet"], exact=True),
    Worked("deconvnet", "relu-at-zero", at_zero, [[1, 1]], [[3, -1]],
           "The signals (2, 1) are positive and pass, the first through a unit that is off: 2·(1, -1) + 1·(1, 1).", DOWN["deconvnet"],
           exact=True),
    Worked("deconvnet", "two-layers", deep, [[1, 2]], [[4, 0]],
           "At z2: (2, -1) becomes (2, 0). At h1: 2·(1, 1), positive, passes. x: (2 + 2, 2 - 2).", DOWN["deconvnet"], exact=True),
    Worked("deconvnet", "switches", pooled(), [[[1, 3, 2, 2]]], [[[0, 2, 1, 0]]],
           "Unpooling puts each value where its maximum was found, the first of the tie; there is no ReLU.", DOWN["deconvnet"], exact=True),
    Worked("deconvnet", "unpooling", window, [[[3, 1]]], [[[1, 0]]], "The switch remembers the first of (3, 1); zeros elsewhere.",
           DOWN["deconvnet"], target=(0, 0), exact=True),
    Worked("deconvnet", "residual", residual, [[3, 1]], [[-2, 3]],
           "At y (1, 2). Into the branch (1, 2) is positive and passes, though its second unit was off: 1·(1, -1) + 2·(-2, 1) = (-3, 1). "
           "Around it (1, 2). Together (-2, 3).", DOWN["deconvnet"], exact=True),
    Worked("guided_backprop", "net-a", net_a, A, [[3, -3]],
           "At the hidden units (3, -1, 2). Only the first is on and has a positive signal: 3·(1, -1).", DOWN["guided"], exact=True),
    Worked("guided_backprop", "net-b", net_b, B, [[3, -1]], "All units are on and all signals positive, so it is the gradient (3, -1).",
           DOWN["guided"], exact=True),
    Worked("guided_backprop", "cancelling", cancelling, B, [[2, 0]],
           "z = (1, 3, 1), signals (1, 1, -1): the negative one is cut off, and with it what cancels the first: (1, -1) + (1, 1) = (2, 0). "
           "The gradient is (1, 1).", DOWN["guided"], exact=True),
    Worked("guided_backprop", "two-layers", deep, [[1, 2]], [[2, 2]],
           "At z2: (2, -1) becomes (2, 0). At h1: (2, 2), of which only the first unit is on: 2·(1, 1).", DOWN["guided"], exact=True),
    Worked("guided_backprop", "relu-at-zero", at_zero, [[1, 1]], [[1, 1]], "A unit at 0 is off: only 1·(1, 1) passes.", DOWN["guided"],
           exact=True),
    Worked("guided_saliency", "largest-channel", colours(), [[[[1, 1]], [[1, 1]]]], [[[[3, 2]]]],
           "Without a ReLU guided backpropagation is the gradient: max(|1|, |-3|) and max(|-1|, |2|).", DOWN["guided"], exact=True),
    Worked("guided_saliency", "net-a", net_a, A, [[3, 3]], "Guided backpropagation gives (3, -3), without signs (3, 3).", DOWN["guided"],
           exact=True),
    Worked("simple_taylor", "root-at-zero", net_b, B, [[0, 0]],
           "At (0, 0) z = (-1, 0): both units are off, the gradient is 0, and so is the decomposition, though f = 4. A root is a choice.",
           "montavon2017 section 3.1", exact=True),
    Worked("simple_taylor", "root-on-the-way", net_b, [[4, 2]], [[6, -1]],
           "At the root (2, 1) z = (2, 1): both units are on, the gradient is (3, -1). Times x - root = (2, 1): 6 and -1. The sum 5 is "
           "f(x) - f(root) = 9 - 4.", "montavon2017 section 3.1", settings={"root": [[2, 1]]}, exact=True),
    Worked("simple_taylor", "affine-part", convolution(), [[[3, -1, 2]]], [[[4, -5, 2]]],
           "At the root (1, 0, 1) z = (1, 2), as at x both on: the gradient (2, 5, 2) times (3 - 1, -1 - 0, 2 - 1). The sum 1 is f(x) "
           "- f(root) = 5 - 4: one linear piece.", "bach2015 section Taylor-type decomposition",
           settings={"root": [[[1, 0, 1]]]}, exact=True),
)
