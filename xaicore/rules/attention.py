"""LRP through the pieces of a transformer: products of two activations, softmax, normalisation layers.

Two schools, chosen by name: "attnlrp" (Achtibat et al. 2024) sends relevance through the softmax by a Taylor expansion
and halves it at products; "cp" (Ali et al. 2022) takes attention weights and normalisation scales as constants.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from xaicore.errors import InputError
from xaicore.numerics import Array, divide, filled, scalar, stabilize
from xaicore.ops import (
    Einsum,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LocalResponseNorm,
    LogSoftmax,
    MatMul,
    RMSNorm,
    Softmax,
)
from xaicore.rules.ruleset import Parts, Row, Rule
from xaicore.rules.select import bilinear, op
from xaicore.trace import Step

NORMALISATIONS = op(LayerNorm, GroupNorm, InstanceNorm, RMSNorm, LocalResponseNorm)


def half(eps: float | int | Fraction) -> Rule:
    """R_a = ½ a ⊙ ∂y/∂aᵀ (R / (y + eps sign y)), and the same for b: each factor of a product gets half.

    For an entrywise product that is R/2 to each; for O = A V it is R_A = A ⊙ (R / 2O) Vᵀ, R_V = V ⊙ Aᵀ (R / 2O).
    Source: achtibat2024, uniform splitting at bilinear products. Same as: lxt matmul and mul2.
    """
    def apply(step: Step, r: Array) -> Parts:
        s = divide(r, scalar(2, r) * (stabilize(step.y, eps) if eps else step.y))
        return tuple(None if g is None else x * g for x, g in zip(step.xs, step.vjp(s)))

    return Rule(f"half({float(eps):g})", apply, "achtibat2024")


def first_is_constant(eps: float | int | Fraction) -> Rule:
    """O = A V with A taken as constant: R_V = V ⊙ Aᵀ (R / (O + eps sign O)), R_A = 0.

    Source: ali2022, attention heads; the attention weights A stand first. Same as: lxt's CP-LRP.
    """
    def apply(step: Step, r: Array) -> Parts:
        s = divide(r, stabilize(step.y, eps) if eps else step.y)
        parts = step.vjp(s)
        return tuple(None if g is None else x * g if k else x * scalar(0, x) for k, (x, g) in enumerate(zip(step.xs, parts)))

    return Rule(f"first_is_constant({float(eps):g})", apply, "ali2022")


def _taylor_softmax(step: Step, r: Array) -> Parts:
    assert isinstance(step.node.op, Softmax)
    x, s, axis = step.xs[0], step.y, step.node.op.axis
    finite = np.where(np.isfinite(x), x, 0).astype(x.dtype)             # a masked entry (-inf) has s = 0 and gets nothing
    return (finite * (r - s * r.sum(axis=axis, keepdims=True)),)


taylor_softmax = Rule("taylor_softmax", _taylor_softmax, "achtibat2024")
"""R_i = x_i (R_i - s_i Σ_k R_k), the first-order Taylor expansion at x; not conserving. Source: achtibat2024. Same as: lxt."""


def _stop(step: Step, r: Array) -> Parts:
    return tuple(filled(x.shape, 0, x) if on else None for x, on in zip(step.xs, step.active))


stop = Rule("stop", _stop, "ali2022")
"""R_i = 0: the node is taken as a constant, and the relevance that arrives is recorded as absorbed."""


def detached_normalisation(eps: float | int | Fraction, bias: str = "absorb") -> Rule:
    """R = x ⊙ Jᵀ(R / (z + eps sign z)), J the Jacobian with the scale 1/σ held constant, z = y; with bias="ignore" z = y - β.

    With any other bias policy β absorbs its share.
    Source: ali2022 (the LN-rule), achtibat2024. Same as: lxt LayerNorm up to its unsigned eps. For RMSNorm it is the identity.
    """
    def apply(step: Step, r: Array) -> Parts:
        o = step.node.op
        assert isinstance(o, (LayerNorm, GroupNorm, InstanceNorm, RMSNorm, LocalResponseNorm))
        z = o.forward(*step.xs[:2]) if bias == "ignore" else step.y
        s = divide(r, stabilize(z, eps) if eps else z)
        return (step.xs[0] * o.vjp_detached(s, step.y, *step.xs), *(None for _ in step.xs[1:]))

    return Rule(f"detached_normalisation({float(eps):g}{', bias=ignore' if bias == 'ignore' else ''})", apply, "ali2022")


def bilinear_rows(school: str, eps: float | int | Fraction, bias: str = "absorb") -> tuple[Row, ...]:
    """The rows of a rule set for transformer pieces, by the name of the school; ``bias`` is the policy for β of a normalisation."""
    if school not in ("attnlrp", "cp"):
        raise InputError(f"attention={school!r} does not exist; there are 'attnlrp' (Achtibat et al. 2024) and 'cp' (Ali et al. 2022)")
    normalise = (NORMALISATIONS, detached_normalisation(eps, bias))
    if school == "cp":
        return ((op(MatMul, Einsum) & bilinear, first_is_constant(eps)), (bilinear, half(eps)), (op(Softmax, LogSoftmax), stop), normalise)
    return ((bilinear, half(eps)), (op(Softmax), taylor_softmax), normalise)
