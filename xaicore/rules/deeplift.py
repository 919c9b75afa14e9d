"""DeepLIFT: multipliers m = contribution / difference, chained backwards through two traces, input and baseline.

Affine nodes are exact, products are exact at the midpoint, nonlinearities follow Rescale or RevealCancel, maxima split
through the cross-maximum; softmax and normalisations are decomposed. Every rule fulfils summation-to-delta, so the
attributions m (x - baseline) add up to f(x) - f(baseline).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.numerics import Array, at_least, difference, divide, either, filled, is_exact, negative, positive, scalar
from xaicore.ops import (
    GRU,
    LSTM,
    RNN,
    AdaptiveMaxPool,
    Conv,
    ConvTranspose,
    Div,
    GlobalMaxPool,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LocalResponseNorm,
    LogSoftmax,
    LpPool,
    Maximum,
    MaxPool,
    Minimum,
    ReduceMax,
    ReduceMin,
    RMSNorm,
    Softmax,
    Sub,
    Variance,
)
from xaicore.ops.pointwise import Pole
from xaicore.rules.linear import Affine, plus
from xaicore.rules.ruleset import Pair, Parts, Rule, RuleSet, sign_parts
from xaicore.rules.select import Selector, View, affine, anything, bilinear, elementwise, op, routes
from xaicore.trace import Step

Multiplier: TypeAlias = Array | Pair
MAXIMA = op(MaxPool, AdaptiveMaxPool, GlobalMaxPool, ReduceMax, ReduceMin, Maximum, Minimum)
DECOMPOSED = (Softmax, LogSoftmax, LayerNorm, GroupNorm, InstanceNorm, RMSNorm, LocalResponseNorm, Variance, Div, Sub, RNN, GRU, LSTM)
FALLBACKS = ("input", "reference", "midpoint")


def baseline_of(step: Step) -> Step:
    """The same node on the baseline."""
    if step.ref is None:
        raise InputError(f"node {step.node.name!r}: DeepLIFT compares with a baseline; give one (baseline=0 for zeros)")
    return step.ref


def merged(m: Multiplier, delta: Array) -> Array:
    """One multiplier of a pair for a difference whose positive and negative parts are its own sign parts."""
    if not isinstance(m, Pair):
        return m
    both = (m.plus + m.minus) / 2
    return either(delta > 0, m.plus, either(delta < 0, m.minus, both))


def slope(step: Step, dx: Array, dy: Array, threshold: float | Fraction, fallback: str) -> Array:
    """Δy / Δx, and the derivative where \\|Δx\\| <= threshold * max(1, \\|x\\|): at the input, the reference or the midpoint.

    Where that is infinite (a root at 0, such as the length of a row of zeros) it is Δy / Δx all the same, and 0 where nothing changes.
    """
    x, ref = step.xs[0], baseline_of(step)
    tiny = abs(dx) <= scalar(threshold, x) * np.maximum(abs(x), scalar(1, x))
    if not tiny.any():
        return divide(dy, dx)
    at = {"input": x, "reference": ref.xs[0], "midpoint": (x + ref.xs[0]) / 2}[fallback]
    o, xs = step.node.op, (at, *step.xs[1:])
    y = o.forward(*xs)
    if isinstance(o, Pole) and not is_exact(y):
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            tiny = tiny & np.isfinite(o.derivative(at, y))
    derivative = o.vjp(0, either(tiny, filled(x.shape, 1, x), scalar(0, x)), y, *xs)
    return either(tiny, derivative, divide(dy, either(tiny, scalar(1, x), dx)))


# ----- multipliers ------------------------------------------------------------------------------------------------


def _linear(step: Step, m: Array) -> Parts:
    return step.vjp(m)


linear = Rule("linear", _linear, "shrikumar2017")
"""m_i = Σ_j w_ij m_j: the linear rule; biases cancel in differences. Source: shrikumar2017 section 3.5.1."""


def same_rest(rule: Rule) -> Rule:
    """``rule`` where all that carries no signal is alike on the input and the baseline: conditions, indices, grids, computed weights.

    Where it is not, y - y0 has a part that no multiplier of the active inputs can say: Inapplicable, unless no signal meets it.
    """
    def apply(step: Step, m: Multiplier) -> Parts:
        o, ref = step.node.op, baseline_of(step)
        moved = [not on and x is not x0 and not np.array_equal(x, x0) for on, x, x0 in zip(step.active, step.xs, ref.xs)]
        if any(moved):
            alike = o.forward(*(x0 if on else x for on, x, x0 in zip(step.active, step.xs, ref.xs)))
            carried = (m.plus != 0) | (m.minus != 0) if isinstance(m, Pair) else m != 0
            if ((alike != ref.y) & carried).any():
                where = f"node {step.node.name!r} ({type(o).__name__}; layer {step.node.layer or '?'})"
                raise Inapplicable(f"{where} chooses otherwise on the baseline than on the input, or has other weights there, so DeepLIFT "
                                   f"cannot share the difference; choose a baseline that is masked where the input is, or lies on the same "
                                   f"side of the condition, or use another method, such as integrated_gradients")
        return rule(step, m)

    return Rule(rule.label, apply, rule.source)


def _midpoint(step: Step, m: Array) -> Parts:
    ref = baseline_of(step)
    return step.vjp(m, tuple((x + x0) / 2 if on else x for x, x0, on in zip(step.xs, ref.xs, step.active)))


midpoint = Rule("midpoint", _midpoint)
"""m_i = Σ_j m_j ∂y_j/∂x_i at (x + x0)/2: exact for a product of two activations, Δ(ab) = b̄ Δa + ā Δb. It equals the
Shapley value of the product's two factors. Source: derived here; shap does the same for products of two inputs."""


def rescale(threshold: float | Fraction = 1e-10, fallback: str = "input") -> Rule:
    """m_x = m_y Δy / Δx for a function of one input.

    Where \\|Δx\\| <= threshold * max(1, \\|x\\|) it is the derivative, taken at ``fallback``: "input", "reference" or
    "midpoint". In exact arithmetic the threshold is 0.
    Source: shrikumar2017 section 3.5.2. Differs: deeplift takes the reference and 1e-7, captum the input and 1e-10, shap
    the baseline and 1e-6, DeepExplain the midpoint and 1e-5, all as absolute thresholds.
    """
    if fallback not in FALLBACKS:
        raise InputError(f"fallback={fallback!r} does not exist; there are " + ", ".join(map(repr, FALLBACKS)))
    at_least("threshold", threshold, 0)

    def apply(step: Step, m: Multiplier) -> Parts:
        ref = baseline_of(step)
        limit = 0 if step.y.dtype == object else max(threshold, 1e-6) if step.y.dtype == np.float32 else threshold
        ratio = slope(step, difference(step.xs[0], ref.xs[0]), difference(step.y, ref.y), limit, fallback)
        part = m.map(lambda one: one * ratio) if isinstance(m, Pair) else m * ratio
        return (part, *(None for _ in step.xs[1:]))

    return Rule(f"rescale({float(threshold):g})", apply, "shrikumar2017")


def _cross_max(step: Step, m: Array) -> Parts:
    ref = baseline_of(step)
    if step.node.op.candidates(*step.xs) is None:
        raise Inapplicable(f"node {step.node.name!r}: {step.node.op} is no maximum")
    extreme = np.minimum if isinstance(step.node.op, (ReduceMin, Minimum)) else np.maximum
    cross = extreme(step.y, ref.y)
    here = step.vjp(m * (cross - ref.y))                                # to the winner of the input's trace
    there = ref.vjp(m * (step.y - cross))
    parts: list[Array | None] = []
    for k, on in enumerate(step.active):
        if not on:
            parts.append(None)
            continue
        a, b = here[k], there[k]
        amount = a if b is None else b if a is None else a + b
        parts.append(None if amount is None else divide(amount, difference(step.xs[k], ref.xs[k])))
    return tuple(parts)


cross_max = Rule("cross_max", _cross_max)
"""A maximum's difference in two steps through M = max(y, y0): (M - y0) to the entry that wins on the input, (y - M) to the
one that wins on the baseline, each divided by its own difference. Same as: shap, captum. Differs: deeplift, DeepExplain
(all to the input's winner, not complete)."""


# ----- softmax, as one node ---------------------------------------------------------------------------------------


def _between(step: Step) -> tuple[Array, Array]:
    """Δx and the Δy of a softmax."""
    ref = baseline_of(step)
    return difference(step.xs[0], ref.xs[0]), step.y - ref.y


def softmax_rescale(threshold: float | Fraction, fallback: str) -> Rule:
    """m_i = m_yi Δp_i / Δx_i, entry by entry, as if p_i depended on x_i alone: complete. Same as: shap's PyTorch explainer."""
    def apply(step: Step, m: Array) -> Parts:
        (dx, dy), x0 = _between(step), baseline_of(step).xs[0]
        at = {"input": step.xs[0], "reference": x0, "midpoint": (step.xs[0] + x0) / 2}[fallback]
        there = step.node.op.vjp(0, m, step.node.op.forward(at), at)
        tiny = abs(dx) <= scalar(threshold, dx)
        return (either(tiny, there, m * divide(dy, either(tiny, scalar(1, dx), dx))),)

    return Rule("softmax_rescale", apply)


def softmax_centred(threshold: float | Fraction, fallback: str) -> Rule:
    """softmax_rescale minus its mean over all scores of all samples of the batch: not complete. Same as: captum up to 0.9."""
    each = softmax_rescale(threshold, fallback)

    def apply(step: Step, m: Array) -> Parts:
        part = np.asarray(each(step, m)[0])
        return (part - part.mean(),)

    return Rule("softmax_centred", apply)


def _softmax_quotient(step: Step, m: Array) -> Parts:
    """p = e / Σ e, e = exp(x - max x): Shapley values of the quotient's two parts, then Rescale at exp; m Δx = m' Δ(x - max x)."""
    assert isinstance(step.node.op, Softmax)
    axis, x, x0, dx = step.node.op.axis, step.xs[0], baseline_of(step).xs[0], _between(step)[0]
    e, e0 = (np.exp(v - v.max(axis=axis, keepdims=True)) for v in (x, x0))
    s, s0 = e.sum(axis=axis, keepdims=True), e0.sum(axis=axis, keepdims=True)
    through_sum = (m * (e + e0)).sum(axis=axis, keepdims=True) / 2 * divide(1 / s - 1 / s0, s - s0)
    return (divide((m * (1 / s + 1 / s0) / 2 + through_sum) * (e - e0), dx),)


softmax_quotient = Rule("softmax_quotient", _softmax_quotient)
"""The softmax as exp, sum and quotient of scores shifted by their maximum; a score with Δx = 0 loses its share. Same as: shap's
TensorFlow explainer."""


# ----- RevealCancel -----------------------------------------------------------------------------------------------


def _note_affine(step: Step) -> Pair:
    """Δy+ = Σ_i (w_i Δx_i)+ and Δy- likewise, by the sign of each input's whole difference. Source: shrikumar2017 3.5.1."""
    a, ref = Affine(step), baseline_of(step)
    if step.node.op.weights(step.active) is None:
        return sign_parts(difference(step.y, ref.y))
    up = tuple(positive(difference(x, x0)) if on else None for x, x0, on in zip(step.xs, ref.xs, step.active))
    down = tuple(negative(difference(x, x0)) if on else None for x, x0, on in zip(step.xs, ref.xs, step.active))
    return Pair(a.apply(up, positive) + a.apply(down, negative), a.apply(up, negative) + a.apply(down, positive))


def _note_routes(step: Step) -> Pair:
    """Both parts follow the data; constants in between (a padding value) are no difference."""
    def moved(part: Callable[[Pair], Array]) -> Array:
        xs = tuple(part(n) if on else x for n, x, on in zip(step.notes, step.xs, step.active))
        return np.asarray(step.node.op.forward(*xs))

    base = moved(lambda n: n.plus * scalar(0, n.plus))
    return Pair(difference(moved(lambda n: n.plus), base), difference(moved(lambda n: n.minus), base))


def _note_reveal(step: Step) -> Pair:
    """Δy+ = ½ [f(x0 + Δ+) - f(x0)] + ½ [f(x0 + Δ- + Δ+) - f(x0 + Δ-)], and Δy- with + and - exchanged."""
    f, x0, d, rest = step.node.op.forward, baseline_of(step).xs[0], step.notes[0], step.xs[1:]
    none, up, down, both = f(x0, *rest), f(x0 + d.plus, *rest), f(x0 + d.minus, *rest), f(x0 + d.plus + d.minus, *rest)
    return Pair((up - none + both - down) / 2, (down - none + both - up) / 2)


def _note_signs(step: Step) -> Pair:
    return sign_parts(difference(step.y, baseline_of(step).y))


def _note_rescale(step: Step) -> Pair:
    """Δy± = Δx± Δy/Δx: what Rescale makes of a pair."""
    ref, d = baseline_of(step), step.notes[0]
    ratio = divide(difference(step.y, ref.y), difference(step.xs[0], ref.xs[0]))
    return Pair(d.plus * ratio, d.minus * ratio)


def _linear_pair(step: Step, m: Multiplier) -> Parts:
    """Δx > 0: m+ W+ + m- W-;  Δx < 0: m+ W- + m- W+;  Δx = 0: W (m+ + m-)/2."""
    if not isinstance(m, Pair):
        return step.vjp(m)
    a, ref = Affine(step), baseline_of(step)
    if step.node.op.weights(step.active) is None:
        return a.back(merged(m, difference(step.y, ref.y)))
    same_sign = plus(a.back(m.plus, positive), a.back(m.minus, negative))
    other_sign = plus(a.back(m.plus, negative), a.back(m.minus, positive))
    half = a.back((m.plus + m.minus) / 2)
    parts: list[Array | None] = []
    for x, x0, up, down, both in zip(step.xs, ref.xs, same_sign, other_sign, half):
        parts.append(None if up is None or down is None or both is None
                     else either(x > x0, up, either(x < x0, down, both)))
    return tuple(parts)


def _routes_pair(step: Step, m: Multiplier) -> Parts:
    if not isinstance(m, Pair):
        return step.vjp(m)
    return tuple(None if a is None or b is None else Pair(a, b) for a, b in zip(step.vjp(m.plus), step.vjp(m.minus)))


def _reveal_cancel(step: Step, m: Multiplier) -> Parts:
    pair = m if isinstance(m, Pair) else Pair(m, m)
    d, out, op_, rest = step.notes[0], step.note, step.node.op, step.xs[1:]
    x0 = baseline_of(step).xs[0]

    def derivative(at: Array) -> Array:
        one = np.broadcast_to(scalar(1, at), at.shape).astype(at.dtype)
        return op_.vjp(0, one, op_.forward(at, *rest), at, *rest)

    def multiplier(dx: Array, dy: Array, other: Array) -> Array:
        limit = derivative(x0) / 2 + derivative(x0 + other) / 2         # Δx± -> 0: the two slopes that the average meets
        return either(dx == 0, limit, divide(dy, dx))

    return (Pair(pair.plus * multiplier(d.plus, out.plus, d.minus), pair.minus * multiplier(d.minus, out.minus, d.plus)),
            *(None for _ in rest))


linear_pair = Rule("linear_pair", _linear_pair, "shrikumar2017")
routes_pair = Rule("routes_pair", _routes_pair, "shrikumar2017")
reveal_cancel = Rule("reveal_cancel", _reveal_cancel, "shrikumar2017")
"""m± = m_y± Δy± / Δx±, with Δy± the average effect of Δx± before and after Δx∓. Source: shrikumar2017 section 3.5.3.
Where Δx± = 0 the limit of the quotient; deeplift replaces such a Δx± by ±1e-7."""


def single(rule: Rule) -> Rule:
    """``rule`` for one multiplier, fed with the one that a pair amounts to."""
    return Rule(rule.label, lambda step, m: rule(step, merged(m, difference(step.y, baseline_of(step).y))), rule.source)


# ----- the rule sets ----------------------------------------------------------------------------------------------


def deeplift_rescale(threshold: float | Fraction = 1e-10, fallback: str = "input", pool: str = "cross_max", softmax: str = "decomposed"
                     ) -> RuleSet:
    """DeepLIFT with Rescale: m = Δy / Δx at every nonlinearity, m of products at the midpoint, C_i = m_i (x_i - x0_i).

    pool     at a maximum: "cross_max" (shap, captum), or "winner", all to the input's winner (deeplift, DeepExplain; not complete)
    softmax  "decomposed" into exp, log and sums; or one node: "rescale" entry by entry (shap for PyTorch), "centred" (captum up to 0.9,
             which couples the samples of a batch), "quotient" (shap for TensorFlow), "gradient" (DeepExplain)
    threshold, fallback  below which |Δx| the derivative stands for the quotient, and of which trace

    Contributions in the shape of the inputs, whose sum is f(x) - f(baseline). Raises ShapeError or InputError for a baseline that does
    not fit, UncoveredNode for an operator without a row. Source: shrikumar2017. Same as: captum DeepLift, shap DeepExplainer for one
    reference, deeplift, up to the settings above; their thresholds are 1e-10, 1e-6 and 1e-7.
    """
    pools = {"cross_max": cross_max, "winner": linear}
    if pool not in pools:
        raise InputError(f"pool={pool!r} does not exist in DeepLIFT; there are " + ", ".join(map(repr, pools)))
    heads = {"decomposed": linear, "rescale": softmax_rescale(threshold, fallback), "centred": softmax_centred(threshold, fallback),
             "quotient": softmax_quotient, "gradient": linear}
    if softmax not in heads:
        raise InputError(f"softmax={softmax!r} does not exist in DeepLIFT; there are " + ", ".join(map(repr, heads)))
    return RuleSet("deeplift.rescale", "multiplier", (
        (MAXIMA, same_rest(pools[pool])),
        (routes | affine, same_rest(linear)),
        (elementwise, same_rest(rescale(threshold, fallback))),
        (bilinear, same_rest(midpoint)),
        *(() if softmax == "decomposed" else ((op(Softmax), heads[softmax]),)),
    ), expand=tuple(k for k in (*DECOMPOSED, LpPool) if softmax == "decomposed" or k is not Softmax), source="shrikumar2017",
        settings={"threshold": threshold, "fallback": fallback, "pool": pool, "softmax": softmax})


def _with_pairs(name: str, reveals: Selector, threshold: float | Fraction, fallback: str) -> RuleSet:
    return RuleSet(name, "multiplier", (
        (MAXIMA, same_rest(single(cross_max))),
        (routes, same_rest(routes_pair)),
        (affine, same_rest(linear_pair)),
        (elementwise & reveals, same_rest(reveal_cancel)),
        (elementwise, same_rest(rescale(threshold, fallback))),
        (bilinear, same_rest(single(midpoint))),
    ), annotate=(
        (MAXIMA, _note_signs),
        (routes, _note_routes),
        (affine, _note_affine),
        (elementwise & reveals, _note_reveal),
        (elementwise, _note_rescale),
        (anything, _note_signs),
    ), expand=(*DECOMPOSED, LpPool), fold=True,                         # as a layer of its own, BatchNorm would merge each pair
        source="shrikumar2017", settings={"threshold": threshold, "fallback": fallback})


def deeplift_reveal_cancel(threshold: float | Fraction = 1e-10, fallback: str = "input") -> RuleSet:
    """DeepLIFT with RevealCancel: m⁺ = ½ [y(x0 + Δ⁺) - y(x0) + y(x0 + Δ⁺ + Δ⁻) - y(x0 + Δ⁻)] / Δ⁺ at every nonlinearity, m⁻ alike.

    Contributions in the shape of the inputs, whose sum is f(x) - f(baseline); settings and errors as for deeplift.rescale. Raises
    Inapplicable for what does not act on single entries. Source: shrikumar2017 section 3.5.3. Same as: deeplift, the only library that
    has it.
    """
    return _with_pairs("deeplift.reveal_cancel", anything, threshold, fallback)


def deeplift_genomics(threshold: float | Fraction = 1e-10, fallback: str = "input") -> RuleSet:
    """Rescale after convolutions, RevealCancel after dense layers: the deeplift library's "genomics default".

    Contributions in the shape of the inputs; settings and errors as for deeplift.rescale, which it is on a network of convolutions alone.
    Raises what the two do. A nonlinearity belongs to the last convolution or dense product that the signal passed before it. Source:
    shrikumar2017, as in the authors' library. Same as: deeplift's NonlinearMxtsMode.DeepLIFT_GenomicsDefault.
    """
    return _with_pairs("deeplift.genomics", ~Selector("after a convolution", _after_convolution), threshold, fallback)


def _after_convolution(node: object, view: View) -> bool:
    from xaicore.graph.graph import Node
    from xaicore.ops import Dense, Einsum, MatMul

    assert isinstance(node, Node)
    nodes = view.nodes
    stack: list[str] = list(node.inputs)
    while stack:
        name = stack.pop()
        if name not in nodes:
            continue
        if isinstance(nodes[name].op, (Conv, ConvTranspose)):
            return True
        if isinstance(nodes[name].op, (Dense, MatMul, Einsum)):
            continue
        stack.extend(i for i, on in zip(nodes[name].inputs, view.active[name]) if on)
    return False

