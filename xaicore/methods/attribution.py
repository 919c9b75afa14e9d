"""The result of a method: the attribution, what was explained, and the books of how it came about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from xaicore.errors import InputError, UnknownName, nearest
from xaicore.graph.graph import Graph
from xaicore.numerics import Array
from xaicore.rules.ruleset import total
from xaicore.trace import Ledger, summing


@dataclass(frozen=True, eq=False)
class Layers(Mapping[str, Array]):
    """Attributions at the values inside the graph, by node name or by layer name."""

    graph: Graph
    kept: Mapping[str, Array] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Array:
        if name in self.kept:
            return self.kept[name]
        found = self.graph.find(name)
        if found not in self.kept:
            raise UnknownName(f"no attribution was kept at {name!r}: ask for it with keep='all' or keep=[{name!r}], or it lies behind "
                              f"the explained value")
        return self.kept[found]

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and self[name] is not None
        except UnknownName:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)


@dataclass(frozen=True, eq=False)
class Attribution:
    """What one method says about a batch.

    values           input name -> attribution, in the shape of that input (class-activation maps have one channel)
    output           f(x), the explained number of each sample, shape (N,)
    baseline_output  f(baseline), shape (N,), where the method has a baseline
    explained        what f is, in words: "logit 3 of 'fc2' (before Softmax)"
    layers           the same quantity at inner values, by node or layer name
    ledger           for propagation methods: what each node took in, passed on, absorbed
    extras           what else the method found out: a saturation curve, a standard error, the number of linear pieces

    ``np.asarray(a)`` is the attribution of a model with one input.
    """

    values: Mapping[str, Array]
    output: Array
    method: str
    graph: Graph
    feeds: Mapping[str, Array]
    target: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    explained: str = ""
    baseline: Mapping[str, Array] | None = None
    baseline_output: Array | None = None
    layers: Mapping[str, Array] = field(default_factory=dict)
    ledger: Ledger | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    html: ClassVar[Callable[[Attribution], str] | None] = None
    """How a notebook shows it; set by the package, because pictures lie above results."""

    def _repr_html_(self) -> str | None:
        return None if Attribution.html is None else Attribution.html(self)

    def changed(self, **fields: Any) -> Attribution:
        """``dataclasses.replace``, in a fifth of its time."""
        other = object.__new__(Attribution)
        other.__dict__.update(self.__dict__, **fields)
        return other

    def __getitem__(self, name: str) -> Array:
        if name not in self.values:
            raise UnknownName(f"{name!r} was not attributed to: {nearest(name, self.values)}")
        return self.values[name]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if len(self.values) != 1:
            raise InputError(f"this attribution has {len(self.values)} parts ({', '.join(self.values)}); "
                             f"choose one: a[{next(iter(self.values))!r}]")
        only = next(iter(self.values.values()))
        return np.array(only, dtype=dtype, copy=True) if copy else np.asarray(only, dtype=dtype)

    def total(self) -> Array:
        """The sum of all attributions of each sample, shape (N,)."""
        with summing("the sum of the attributions"):
            sums = [total(v) for v in self.values.values()]
            first = sums[0]
            for more in sums[1:]:
                first = first + more
            return first

    def gap(self) -> Array:
        """f(x) - f(baseline) - total, shape (N,): zero for a complete attribution (without a baseline: f(x) - total)."""
        with summing("f(x) minus the sum of the attributions"):
            reached = self.output if self.baseline_output is None else self.output - self.baseline_output
            return reached - self.total()

    @property
    def absorbed(self) -> Array | None:
        """What biases, stabilisers and empty denominators kept, per sample; None without a ledger."""
        return None if self.ledger is None else self.ledger.absorbed

    def __str__(self) -> str:
        def number(v: Any) -> str:
            return f"{float(v):.6g}"

        lines = [f"{self.method} of {self.explained}" + (f"  {_settings(self.settings)}" if self.settings else "")]
        for n in range(min(len(self.output), 3)):
            base = "" if self.baseline_output is None else f"  f(baseline) = {number(self.baseline_output[n])}"
            sums = f"sum = {number(self.total()[n])}  gap = {float(self.gap()[n]):.3g}"
            lines.append(f"  sample {n}: f(x) = {number(self.output[n])}{base}  {sums}")
        if len(self.output) > 3:
            lines.append(f"  ... {len(self.output)} samples")
        lines += [f"  {k}: {v.dtype} {v.shape}" for k, v in self.values.items()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Attribution {self.method} of {self.explained}: " + ", ".join(f"{k}{list(v.shape)}" for k, v in self.values.items()) + ">"


def _settings(settings: Mapping[str, Any]) -> str:
    """Those that fit on a line: no arrays, graphs or sets of samples."""
    words = {k: repr(v) for k, v in settings.items() if not isinstance(v, (np.ndarray, Graph))}
    return "(" + ", ".join(f"{k}={w}" for k, w in words.items() if len(w) <= 60 and "\n" not in w) + ")"
