"""Any Python function as a graph of one node, for the methods that only evaluate f."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xaicore.errors import Inapplicable, InputError, ShapeError, XaicoreError
from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.numerics import Array
from xaicore.ops.op import Op


@dataclass(frozen=True)
class BlackBox(Op):
    """y = function(x_0, x_1, ...): nothing is known of it, so it has a value and no derivative."""

    function: Callable[..., Any] = field(repr=False)

    arity = (1, None)

    def forward(self, *xs: Array) -> Array:
        import numpy as np

        name = _name(self.function)
        try:
            y = np.asarray(self.function(*(x.copy() for x in xs)))
        except XaicoreError:
            raise
        except Exception as error:                                      # whatever a stranger's function raises
            raise InputError(f"the function {name} failed on inputs of shape {', '.join(str(x.shape) for x in xs)}: "
                             f"{type(error).__name__}: {error}") from error
        if y.ndim == 0 or len(y) != len(xs[0]):
            raise ShapeError(f"the function {name} returned shape {y.shape} for a batch of {len(xs[0])}; axis 0 of what it returns is the "
                             f"batch, too: one row, or one number, for each sample")
        floats = next((x.dtype for x in xs if x.dtype.kind in "fO"), np.dtype("float64"))
        return y.astype(floats) if y.dtype.kind in "fiub" and floats.kind == "f" else y

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        raise Inapplicable(f"the function {_name(self.function)} is a black box without a derivative; use a method that only evaluates it "
                           f"(occlusion, feature_ablation, lime, kernel_shap, shapley.*: those marked free in xc.METHODS)")

    def __str__(self) -> str:
        return f"BlackBox({_name(self.function)})"


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))


def from_function(function: Callable[..., Any], inputs: Mapping[str, Sequence[int | None]] | Sequence[int | None], dtype: str = "float64",
                  kinds: Mapping[str, str] | None = None) -> Graph:
    """A Python function of arrays as a graph, so that every method that only evaluates f explains it.

    function   gets one array (N, ...) for each input, returns (N,) or (N, K); a sample's result does not depend on its batch
    inputs     the shape of the input, None for the batch and other free sizes: (None, 4); or shapes by input name
    dtype      of the graph: what the function gets and, unless it is "exact", what its numbers are turned into
    kinds      input name -> "int" for whole numbers (token ids); floats otherwise

    InputError names the function when it fails, ShapeError when what it returns has no batch. The graph has one node; it cannot
    be saved, has no layers, and a method that needs a derivative raises Inapplicable.

    >>> graph = from_function(lambda x: x[:, 0] * x[:, 1], (None, 2))
    >>> graph([[3.0, 2.0]])
    array([6.])
    """
    if not callable(function):
        raise InputError(f"from_function takes a Python function, not {type(function).__name__}; a model is converted with from_model")
    shapes = inputs if isinstance(inputs, Mapping) else {"x": inputs}
    b = Builder(_name(function), dtype)
    names = [b.input(k, tuple(v), (kinds or {}).get(k, "float")) for k, v in shapes.items()]   # type: ignore[arg-type]
    return b.build(b.add(BlackBox(function), *names, name="function"))


__all__ = ["BlackBox", "from_function"]
