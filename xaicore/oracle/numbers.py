"""What a stranger calls an attribution, as arrays: lists, tensors with gradients, mappings. Anything else is refused for what it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from xaicore.errors import SubjectFault, UnknownName, nearest
from xaicore.graph.untrusted import rational
from xaicore.methods.attribution import Attribution, Layers
from xaicore.numerics import Array


@dataclass(frozen=True, eq=False)
class Numbers:
    """Attributions by name of input, and by name of node inside the network where they were given."""

    values: Mapping[str, Array]
    layers: Mapping[str, Array] = field(default_factory=dict)


def numbers(value: Any, who: str, ours: Attribution | None = None) -> Numbers:
    """``value`` as arrays in the shapes of ours (without ours: as they are).

    Taken are arrays, nested lists, tensors of any framework (detached, on any device), Attributions, and mappings of names to these:
    names of what ours attributes to, and of layers. Integers become float64, texts like "-13/49" Fractions. SubjectFault, with what was
    found, for all else: another shape, NaN, infinity, complex numbers, texts, None.
    """
    if isinstance(value, Attribution):
        layers = value.layers.kept if isinstance(value.layers, Layers) else dict(value.layers)
        given: Mapping[str, Any] = value.values
        inner: Mapping[str, Any] = layers
    elif isinstance(value, Mapping):
        given, inner = _sorted_out(value, who, ours)
    else:
        names = [""] if ours is None else list(ours.values)
        if len(names) != 1:
            raise SubjectFault(f"{who} gave one array, but the attribution has {len(names)} parts ({', '.join(names)}); a mapping with one "
                               f"for each is expected")
        given, inner = {names[0]: value}, {}
    arrays = {str(k): array(v, f"{who}{f', {k!r}' if k else ''}") for k, v in given.items()}
    if ours is None:
        return Numbers(arrays)
    for k, wanted in ours.values.items():
        if k not in arrays:
            raise SubjectFault(f"{who} gave nothing for {k!r}, only for {', '.join(arrays) or 'nothing'}")
        if arrays[k].shape != wanted.shape:
            raise SubjectFault(f"{who} has shape {arrays[k].shape} at {k!r}; {wanted.shape} is expected{_hint(arrays[k], wanted)}")
    layers = {ours.layers.graph.find(k) if isinstance(ours.layers, Layers) else k: array(v, f"{who}, layer {k!r}") for k, v in inner.items()
              if not isinstance(value, Attribution) or k in ours.layers}
    return Numbers({k: arrays[k] for k in ours.values}, layers)


def _sorted_out(value: Mapping[Any, Any], who: str, ours: Attribution | None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """A mapping as (values, layers)."""
    if ours is None:
        return value, {}
    inner = {}
    for k in value:
        if k in ours.values:
            continue
        if not isinstance(k, str) or k not in ours.layers:
            known = [*ours.values, *(n.layer or n.name for n in ours.graph.nodes)]
            raise UnknownName(f"{who} names {k!r}, which is neither an input that ours attributes to nor a layer of it: "
                              f"{nearest(str(k), known)}")
        inner[k] = value[k]
    return {k: v for k, v in value.items() if k in ours.values}, inner


def array(value: Any, who: str) -> Array:
    """One array of finite numbers; SubjectFault otherwise."""
    x = as_array(value, who)
    if x.dtype.kind in "SU" or (x.dtype == object and any(isinstance(v, str) for v in x.reshape(-1))):
        x = _fractions(x, who)
    if x.dtype == object:
        wrong = [v for v in x.reshape(-1) if not isinstance(v, (Fraction, int))]            # None among them
        if wrong:
            raise SubjectFault(f"{who} holds {type(wrong[0]).__name__} ({wrong[0]!r:.40}), which is no number")
        return np.vectorize(Fraction, otypes=[object])(x) if x.size else x
    if x.dtype.kind in "iub":
        return x.astype(np.float64)
    if x.dtype.kind != "f":
        raise SubjectFault(f"{who} has dtype {x.dtype}; real numbers are expected")
    if not np.isfinite(x).all():
        at = tuple(int(k) for k in np.argwhere(~np.isfinite(x))[0])
        many = int(np.count_nonzero(~np.isfinite(x)))
        raise SubjectFault(f"{who} holds {x[at]} at {list(at)} ({many} of {x.size} entries are not finite); that is no attribution")
    return x


def as_array(value: Any, who: str) -> Array:
    """A tensor, list or array as an array, whatever it holds; SubjectFault for what gives none."""
    for name in ("detach", "cpu", "numpy"):                             # a tensor: cut from its gradient, fetched from its device
        if not isinstance(value, np.ndarray) and callable(getattr(value, name, None)):
            try:
                value = getattr(value, name)()
            except Exception as error:
                raise SubjectFault(f"{who} is a {type(value).__name__} whose .{name}() failed: {type(error).__name__}: {error}") from None
    if value is None or isinstance(value, (bytes, str)) or callable(value):
        raise SubjectFault(f"{who} is {value!r:.60}, and no array of numbers")
    try:
        x = np.asarray(value)
    except ValueError as error:
        raise SubjectFault(f"{who} is a list whose rows have different lengths: {error}") from None
    except Exception as error:                                          # an object with an __array__ that raises
        raise SubjectFault(f"{who} is a {type(value).__name__} that gives no array: {type(error).__name__}: {error}") from None
    return x


def _fractions(x: Array, who: str) -> Array:
    out = np.empty(x.shape, dtype=object)
    for k, v in np.ndenumerate(x):
        try:
            out[k] = rational(str(v))
        except (ValueError, ZeroDivisionError):
            raise SubjectFault(f"{who} holds the text {str(v)!r:.40} at {list(k)}; numbers are expected, rational ones as "
                               f"\"-13/49\"") from None
    return out


def _hint(x: Array, wanted: Array) -> str:
    """What the other shape may come from."""
    if x.shape == wanted.shape[1:] and len(wanted) == 1:
        return ", with the batch axis"
    if sorted(x.shape) == sorted(wanted.shape):
        return "; the same axes in another order, for example channels last"
    if x.ndim == wanted.ndim and x.shape[0] == wanted.shape[0] and 1 in x.shape[1:]:
        return "; its channels may have been reduced to one"
    return ""


def arithmetic(values: Iterable[Array], beside: Iterable[Array] = ()) -> str:
    """The coarsest arithmetic among the arrays: "float16", "float32", "float64", or "exact" for rationals alone.

    float64 numbers that are float32 numbers, every one, were computed in float32, unless all numbers ``beside`` them are such, too:
    then they are what small fractions add up to.
    """
    beside = list(beside)
    names = {_arithmetic(x) for x in values}
    found = next((n for n in ("float16", "float32", "float64", "as float32") if n in names), "exact")
    if found == "as float32":
        return "float64" if beside and all(x.dtype != object and _arithmetic(x) != "float64" for x in beside) else "float32"
    return found


def _arithmetic(x: Array) -> str:
    if x.dtype == object:
        return "exact"
    if x.dtype.name in ("float16", "float32"):
        return str(x.dtype.name)
    flat = x[x != 0].reshape(-1)
    if len(flat) < 8 or (flat.astype(np.float32).astype(x.dtype) != flat).any():
        return "float64"
    mantissas = np.frexp(flat)[0] * 2**12
    return "as float32" if (mantissas != np.round(mantissas)).mean() > 0.5 else "float64"
