"""The arithmetic of one unit in lines that can be typed into a calculator: forward as a sum, backward as the rule with its numbers.

Every backward line is checked before it is written: an expression that does not give the unit's message is replaced by R times its
share, which does. ``written`` says which it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from xaicore.methods.unit import Term, Unit

SYMBOLS = {
    "zero": "R_i = x_i w_ij R_j / z_j",
    "epsilon": "R_i = x_i w_ij R_j / (z_j + eps sign z_j)",
    "gamma": "R_i = c_i R_j / sum of c, where c = x w (1 + gamma) if x w has the sign of z_j, else x w",
    "alpha_beta": "R_i = alpha (x_i w_ij)+ R_j / z_j+ - beta (x_i w_ij)- R_j / z_j-",
    "z_plus": "R_i = (x_i w_ij)+ R_j / z_j+",
    "w_square": "R_i = w_ij^2 R_j / sum of w^2",
    "flat": "R_i = R_j / number of inputs",
    "identity": "R_i = R_j", "route": "R_i = R_j", "winner_takes_all": "R_i = R_j for the largest input, else 0",
    "vjp": "g_i = g_j dy_j/dx_i", "linear": "C_i = (x_i - x0_i) w_ij m_j,  m_j = C_j / (y_j - y0_j)",
    "rescale": "C_i = C_j", "copied": "R_i = R_j dy_j/dx_i",
    "positive_gradient": "g_i = g_j dy_j/dx_i if g_j > 0, else 0", "rectified_signal": "g_i = g_j if g_j > 0, else 0",
}


@dataclass(frozen=True)
class Line:
    """One line: ``expression`` = ``value``, which belongs to ``entry``. written: the rule in numbers, and not only R times a share."""

    entry: str
    expression: str
    value: Any
    written: bool = True


def named(value: str, index: Sequence[int]) -> str:
    """ "conv2[3,5,7]"."""
    return f"{value}[{','.join(map(str, index))}]"


def figure(v: Any, digits: int = 6) -> str:
    """A number as one types it: at most ``digits`` digits; Fractions as they are."""
    if isinstance(v, Fraction):
        return str(v) if v.denominator == 1 else f"({v})"
    return f"{float(v) + 0.0:.{digits}g}"


def factor(v: Any, digits: int = 6) -> str:
    """A number after a sign or an operator: negative ones in brackets."""
    text = figure(v, digits)
    return f"({text})" if text.startswith("-") else text


def symbols(u: Unit) -> str:
    """The rule's equation; "" where it has none here (the rule card has)."""
    return "" if u.rule is None else SYMBOLS.get(_rule(u), "")


def forward(u: Unit, digits: int = 6) -> list[Line]:
    """How the unit's value comes about, in the order of the terms; of a maximum its candidates, of a function its argument."""
    lines = []
    for t in u.terms:
        if u.kind in ("sum", "product") and t.added is not None:
            lines.append(Line(named(t.value, t.index), f"{figure(t.x, digits)} * {factor(t.weight, digits)}", t.added))
        elif u.kind not in ("sum", "product"):
            lines.append(Line(named(t.value, t.index), figure(t.x, digits), t.x))
    if u.kind == "sum" and u.bias != 0:
        lines.append(Line("bias", figure(u.bias, digits), u.bias))
    return lines


def backward(u: Unit, digits: int = 6, most: int | None = None) -> list[Line]:
    """What the unit hands to each entry, by the rule with its numbers; to the ``most`` entries that get most."""
    chosen = u.terms if most is None else sorted(u.terms, key=lambda t: -abs(t.passed))[:most]
    bottoms = _denominators(u)
    return [_message(u, t, digits, bottoms) for t in chosen]


def gathered(u: Unit, digits: int = 6) -> list[Line]:
    """What the unit received, from each unit behind it."""
    start = [Line("the explained value", figure(u.seed, digits), u.seed)] if u.seed != 0 and abs(u.seed) > 1e-12 * abs(u.signal) else []
    return [*start, *(Line(named(m.value, m.index), figure(m.amount, digits), m.amount) for m in u.received)]


def largest(lines: Sequence[Line], count: int | None) -> tuple[list[Line], int, Any]:
    """The ``count`` largest lines, how many are left, and the sum of those; None for all of them."""
    order = sorted(lines, key=lambda one: -abs(one.value))
    shown, rest = (order, []) if count is None or len(order) <= count + 1 else (order[:count], order[count:])
    return list(shown), len(rest), sum((one.value for one in rest), start=0)


# ----- the rules in numbers -------------------------------------------------------------------------------------------


def _rule(u: Unit) -> str:
    assert u.rule is not None
    return u.rule.label.split("(")[0]


def _message(u: Unit, t: Term, digits: int, bottoms: Mapping[str, Any]) -> Line:
    entry = named(t.value, t.index)
    text = _in_numbers(u, t, digits, bottoms)
    if text is not None and _gives(_in_numbers(u, t, 17, bottoms), t.passed, u):
        return Line(entry, text, t.passed)
    if u.signal == 0:
        return Line(entry, figure(t.passed, digits), t.passed, written=False)
    share = t.passed / u.signal
    return Line(entry, f"{figure(u.signal, digits)} * {factor(share, digits)}", t.passed, written=False)


def _gives(text: str | None, value: Any, u: Unit) -> bool:
    """Does the expression with all its digits give the value, but for rounding? Each of its at most ten operations rounds once, and a
    stabilised denominator can lose what its sum lost: 1e-9 of the signal is far from both and from any other formula."""
    try:
        found = calculated(text or "")
    except (ZeroDivisionError, ValueError):
        return False
    return math.isclose(found, float(value), rel_tol=1e-9, abs_tol=1e-9 * (abs(float(u.signal)) or 1.0))


def calculated(text: str) -> float:
    """The value of an expression of numbers with + - * / and brackets; ValueError for anything else."""
    import ast

    def walk(node: ast.AST) -> float:
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            return float(node.value)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -walk(node.operand)
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div)):
            a, b = walk(node.left), walk(node.right)
            return a + b if isinstance(node.op, ast.Add) else a - b if isinstance(node.op, ast.Sub) else \
                a * b if isinstance(node.op, ast.Mult) else a / b
        raise ValueError(f"{text!r} is no arithmetic")

    try:
        return walk(ast.parse(text, mode="eval").body)
    except SyntaxError:
        raise ValueError(f"{text!r} is no arithmetic") from None


def _in_numbers(u: Unit, t: Term, digits: int, bottoms: Mapping[str, Any]) -> str | None:
    """The rule's formula with the numbers of this term; None for a rule that is not written out here."""
    assert u.rule is not None
    name, s = _rule(u), u.rule.settings
    r, w, x = factor(u.signal, digits), factor(t.weight, digits), figure(t.x, digits)
    if name in ("identity", "route", "rescale", "winner_takes_all") and t.passed != 0:
        return figure(u.signal, digits)
    if t.passed == 0:
        return "0"
    if name in ("vjp", "copied", "positive_gradient"):
        return f"{figure(u.signal, digits)} * {w}"
    if name == "rectified_signal":
        return figure(u.signal, digits)
    if name == "linear" and u.multiplier is not None and t.difference is not None:
        return f"{figure(t.difference, digits)} * {w} * {factor(u.multiplier, digits)}"
    if name == "w_square":
        return f"{w} * {w} * {r} / {factor(bottoms['squares'], digits)}"
    if name == "flat":
        return f"{figure(u.signal, digits)} / {len(u.terms)}"
    if u.kind != "sum" or t.added is None:
        return None
    eps = s.get("eps", 0)
    if name in ("zero", "epsilon") and s.get("stabilizer", "sign") == "sign":
        z = u.y - u.bias if s.get("bias") == "ignore" else u.y
        return f"{x} * {w} * {r} / {_stabilised(z, eps, digits)}"
    if name in ("alpha_beta", "z_plus") and s.get("variant") == "contributions":
        alpha = s.get("alpha", 1)
        up = t.added > 0
        weight = figure(alpha, digits) if up else factor(-(alpha - 1), digits)
        return f"{weight} * {x} * {w} * {r} / {_stabilised(bottoms['positive' if up else 'negative'], eps, digits)}"
    if name == "gamma" and u.y != 0:
        return _gamma(u, t, s, digits, bottoms)
    return None


def _denominators(u: Unit) -> dict[str, Any]:
    """The sums over all terms that a rule divides by, once for all its lines."""
    if u.rule is None:
        return {}
    name, s = _rule(u), u.rule.settings
    if name == "w_square":
        return {"squares": sum(t.weight * t.weight for t in u.terms)}
    if u.kind != "sum" or name not in ("alpha_beta", "z_plus", "gamma"):
        return {}
    added = [(t.added, t.weight) for t in u.terms if t.added is not None]
    if name == "gamma":
        grown = 1 + s.get("gamma", 0)
        bias = {"ignore": 0, "whole": u.bias}.get(str(s.get("bias")), u.bias * (grown if _favoured(u, s, u.bias, u.bias) else 1))
        return {"gamma": sum(v * (grown if _favoured(u, s, v, w) else 1) for v, w in added) + bias}
    return {"positive": sum(v for v, _ in added if v > 0) + _kept(u, s, True),
            "negative": sum(v for v, _ in added if v < 0) + _kept(u, s, False)}


def _favoured(u: Unit, settings: Mapping[str, Any], contribution: Any, weight: Any) -> bool:
    """Does the gamma rule count this contribution more?"""
    z = u.y - u.bias if settings.get("bias") == "ignore" else u.y
    return bool(weight > 0) if settings.get("variant") == "original" else bool((contribution > 0) == (z > 0))


def _kept(u: Unit, settings: dict[str, Any], up: bool) -> Any:
    """The bias's part in a denominator that holds one sign."""
    policy = settings.get("bias")
    return 0 if policy == "ignore" else u.bias if policy == "whole" else u.bias if (u.bias > 0) == up else 0


def _gamma(u: Unit, t: Term, settings: Mapping[str, Any], digits: int, bottoms: Mapping[str, Any]) -> str:
    more = f" * {figure(1 + settings.get('gamma', 0), digits)}" if _favoured(u, settings, t.added, t.weight) else ""
    return f"{figure(t.x, digits)} * {factor(t.weight, digits)}{more} * {factor(u.signal, digits)} / " \
           f"{_stabilised(bottoms['gamma'], settings.get('eps', 0), digits)}"


def _stabilised(z: Any, eps: Any, digits: int) -> str:
    if not eps:
        return factor(z, digits)
    return f"({figure(z, digits)} {'-' if z < 0 else '+'} {figure(eps, digits)})"
