"""Worked examples of what f loses when a part is taken away: occlusion, ablation, permutation."""

from __future__ import annotations

from fractions import Fraction as F
from typing import Any

from xaicore.oracle.worked.example import Worked
from xaicore.oracle.worked.nets import both, either, linear, net_a, net_b

COUNTING = linear(1, 2, 3, 4)
ONES = [[1, 1, 1, 1]]


def _windows(name: str, expected: list[Any], by_hand: str, **settings: Any) -> Worked:
    """f = x1 + 2 x2 + 3 x3 + 4 x4 at (1, 1, 1, 1), f = 10, with windows of two."""
    return Worked("occlusion", name, COUNTING, ONES, [expected], by_hand, "zeiler2014 section 4.2", settings={"window": 2, **settings},
                  exact=True)


EXAMPLES = (
    Worked("occlusion", "net-a", net_a, [[3, 1]], [[1, -5]],
           "f(3, 1) = 1. Without x1: z = (-1, 2, 1), f = -2 + 2·1 = 0, so A_1 = 1 - 0. Without x2: z = (3, 3, -3), f = 3·3 - 3 = 6, so "
           "A_2 = 1 - 6 = -5.", "zeiler2014 section 4.2", exact=True),
    Worked("occlusion", "net-b", net_b, [[2, 1]], [[4, -1]],
           "f(2, 1) = 4. f(0, 1) = relu(0) + 2 relu(-1) = 0, A_1 = 4. f(2, 0) = relu(1) + 2 relu(2) = 5, A_2 = -1. The sum 3 is not f - "
           "f(0) = 4: occlusion is not complete.", "zeiler2014 section 4.2", exact=True),
    _windows("captum", [3, 4, 6, 7],
             "Windows {1,2}, {2,3}, {3,4} lose 3, 5, 7. Each entry gets the mean of the windows on it: 3; (3 + 5)/2 = 4; (5 + 7)/2 = 6; "
             "7.", convention="captum"),
    _windows("pair", [3, 8, 12, 7], "Windows {1,2}, {2,3}, {3,4} lose 3, 5, 7, and PAIR adds them: 3; 3 + 5; 5 + 7; 7.",
             convention="pair"),
    _windows("xplique", [3, 3, 7, 7], "Patches side by side: {1,2} loses 1 + 2 = 3, {3,4} loses 3 + 4 = 7.", convention="xplique",
             stride=2),
    _windows("deepexplain", [F(3, 2), 2, 3, F(7, 2)],
             "Windows lose 3, 5, 7; the sum on an entry is divided by the number of cells of these windows: 3/2; (3 + 5)/4; (5 + 7)/4; "
             "7/2.", convention="deepexplain"),
    _windows("zennit", [8, 8, 12, 12],
             "All but the window is 0, and f itself is kept: {1,2} 3, {2,3} 5, {3,4} 7, {4,1} 5 (windows go on at the start). Sums: 3 + "
             "5, 3 + 5, 5 + 7, 7 + 5.", convention="zennit", stride=1),
    _windows("tf-explain", [F(-777, 2), F(-777, 2), F(-1789, 2), F(-1789, 2)],
             "Grey patches of 127.5, and 1 - f: 1 - (3·127.5 + 7) = -388.5 and 1 - (3 + 7·127.5) = -894.5.", convention="tf_explain"),
    _windows("wrapped", [4, 4, 6, 6],
             "Windows {1,2}, {2,3}, {3,4}, {4,1} lose 3, 5, 7, 5; means: (3 + 5)/2, (3 + 5)/2, (5 + 7)/2, (7 + 5)/2.", border="wrap",
             stride=1),
    Worked("occlusion", "zeiler-grey", linear(1, 2, 3, 4, shape=(1, 4)), [[[1, 2, 3, 4]]], [[[F(65, 2), F(65, 2), F(45, 2), F(45, 2)]]],
           "The mean pixel is 5/2, and f itself is shown: with {1,2} grey f = 5/2·3 + 9 + 16 = 65/2, with {3,4} grey f = 1 + 4 + 5/2·7 = "
           "45/2.", "zeiler2014 section 4.2", settings={"convention": "zeiler", "window": 2, "stride": 2}, exact=True),
    Worked("occlusion", "cut-off-at-the-border", linear(1, 2, 3), [[1, 1, 1]], [[3, 3, 3]],
           "Window and stride 2 on three entries: {1,2} loses 3, the second window is cut to {3} and loses 3.", "zeiler2014 section 4.2",
           settings={"window": 2, "stride": 2}, exact=True),
    Worked("occlusion", "each-channel-by-itself", linear(1, 2, 3, 4, shape=(2, 2)), [[[1, 2], [3, 4]]], [[[5, 5], [25, 25]]],
           "f = 1·1 + 2·2 + 3·3 + 4·4 = 30. The window over channel 1 loses 1 + 4, that over channel 2 loses 9 + 16.",
           "zeiler2014 section 4.2", settings={"window": 2, "channels": "separate"}, exact=True),

    Worked("feature_ablation", "net-a", net_a, [[3, 1]], [[1, -5]], "f(3, 1) - f(0, 1) = 1 - 0 and f(3, 1) - f(3, 0) = 1 - 6.",
           "kokhlikyan2020", exact=True),
    Worked("feature_ablation", "in-place-of-each-other", either, [[1, 1]], [[0, 0]],
           "f = 1 - relu(1 - x1 - x2) is 1 when either is there: f(1, 1) = f(0, 1) = f(1, 0) = 1, so nothing is lost with either, though "
           "f - f(0) = 1.", "kokhlikyan2020", exact=True),
    Worked("feature_ablation", "only-together", both, [[1, 1]], [[1, 1]],
           "f = relu(x1 + x2 - 1) is 1 only with both: each loses all of it, and the sum is 2, not f = 1.", "kokhlikyan2020", exact=True),
    Worked("feature_ablation", "what-each-adds-to-nobody", either, [[1, 1]], [[1, 1]],
           "mode=keep of the first to come: f(1, 0) - f(0, 0) = 1 - 0, and f(0, 1) - f(0, 0) = 1.", "kokhlikyan2020",
           settings={"mode": "keep"}, exact=True),
    Worked("feature_ablation", "what-each-adds-to-a-bias", linear(1, 2, bias=5), [[1, 1]], [[1, 2]],
           "f = x1 + 2 x2 + 5, mode=keep: f(1, 0) - f(0, 0) = 6 - 5 and f(0, 1) - f(0, 0) = 7 - 5.", "kokhlikyan2020",
           settings={"mode": "keep"}, exact=True),
    Worked("feature_ablation", "groups", COUNTING, ONES, [[3, 3, 7, 7]],
           "The groups {1,2} and {3,4}: f loses 1 + 2 = 3, and 3 + 4 = 7; every entry shows what its group loses.", "kokhlikyan2020",
           settings={"mask": [0, 0, 1, 1]}, exact=True),
    Worked("feature_ablation", "shared-groups", COUNTING, ONES, [[F(3, 2), F(3, 2), F(7, 2), F(7, 2)]],
           "The same groups, each entry with its half: 3/2 and 7/2.", "kokhlikyan2020", settings={"mask": [0, 0, 1, 1], "spread": "share"},
           exact=True),
    Worked("feature_ablation", "background-of-two", net_a, [[3, 1]], [[F(5, 2), 0]],
           "In the place of a feature stands that of (0, 0), then that of (1, 2): A_1 = 1 - (f(0, 1) + f(1, 1))/2 = 1 - (0 - 3)/2, A_2 = "
           "1 - (f(3, 0) + f(3, 2))/2 = 1 - (6 - 4)/2.", "kokhlikyan2020", settings={"background": [[0, 0], [1, 2]]}, exact=True),

    Worked("feature_permutation", "two-samples", linear(1, 2), [[1, 2], [3, 5]], [[-2, -6], [2, 6]],
           "With two samples the only exchange is with the other one: sample 1 loses 1·(1 - 3) = -2 and 2·(2 - 5) = -6, sample 2 the "
           "opposite.", "breiman2001", settings={"samples": 1}, exact=True),
    Worked("feature_permutation", "all-partners", net_a, [[3, 1], [0, 1], [0, 4]], [[1, 5], [F(-1, 2), 0], [F(9, 2), 0]],
           "f = 1, 0, 0 of the samples (3, 1), (0, 1), (0, 4), and f(3, 4) = -11 + 2 = -9. Each feature is taken from both others. "
           "Sample 1: 1 - (0 + 0)/2, 1 - (1 - 9)/2. Sample 2: 0 - (1 + 0)/2, 0 - (1·0 + 0)/2. Sample 3: 0 - (-9 + 0)/2, 0.", "fisher2019",
           settings={"samples": 2}, exact=True),
)
