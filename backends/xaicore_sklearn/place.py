"""What the lowering table works with: where an estimator stands in its pipeline, and what may stand in a graph's place of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from xaicore.errors import ConversionError
from xaicore.graph.build import Builder
from xaicore.numerics import Array
from xaicore.ops import Op


@dataclass(frozen=True)
class Place:
    """One estimator: its path ("scale", "" for the model itself), and what is needed to verify it.

    reach   the input of the whole model -> the input of this estimator, by the framework
    notes   collects (node, function): what the framework has there, given the input of the whole model
    """

    builder: Builder
    model: Any
    path: str = ""
    reach: Callable[[Array], Any] = lambda x: x
    notes: list[tuple[str, Callable[[Array], Any]]] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """ "sklearn.linear_model.Ridge"."""
        return said(self.model)

    def under(self, name: str) -> str:
        """A name of the estimator's own, with its path."""
        return f"{self.path}.{name}" if self.path else name

    def inner(self, name: str, model: Any, reach: Callable[[Array], Any] | None = None) -> Place:
        """An estimator inside this one, which is fed the same, or what ``reach`` says."""
        return replace(self, model=model, path=self.under(name), reach=reach or self.reach)

    def note(self, node: str, function: Callable[[Any], Any]) -> None:
        """The framework has at ``node`` what ``function`` makes of this estimator's input."""
        self.notes.append((node, lambda x, reach=self.reach: function(reach(x))))       # type: ignore[misc]

    def fitted(self, *names: str) -> Array:
        """A fitted attribute as an array; ``names`` is a path such as ("coefs_", "0")."""
        value = self.model
        for k in names:
            value = value[int(k)] if k.isdigit() else getattr(value, k)
        if hasattr(value, "toarray"):
            raise ConversionError(f"{self.where()}: {'.'.join(names)} is a sparse matrix; call densify() on the fitted model first")
        return np.asarray(value, dtype=float)

    def param(self, name: str, value: Array) -> str:
        """A parameter under its name in scikit-learn, ``coefs_.0`` for ``coefs_[0]``."""
        return self.builder.param(self.under(name), value)

    def add(self, op: Op, *inputs: str, part: str = "", layer: str = "") -> str:
        """A node. ``part`` says what it does, ``layer`` which layer of the estimator it belongs to."""
        owner = self.under(layer) if layer else self.path
        name = f"{owner}.{part}" if owner and part else owner or part or type(self.model).__name__.lower()
        return self.builder.add(op, *inputs, name=name, layer=owner or type(self.model).__name__.lower(), origin=self.kind)

    def where(self) -> str:
        """The estimator, for a message."""
        return f"{self.kind}{f' (step {self.path!r})' if self.path else ''}"

    def check(self) -> None:
        """ConversionError for an estimator that was not fitted, or whose class is not scikit-learn's own."""
        try:
            check_is_fitted(self.model)
        except NotFittedError:
            raise ConversionError(f"{self.where()} is not fitted, so it has no parameters yet; call fit(X, y) first") from None


def own_class(model: Any) -> type:
    """The class of scikit-learn that the model is of; ConversionError where a subclass of the user's changes what it computes."""
    theirs = next((c for c in type(model).__mro__ if c.__module__.split(".")[0] == "sklearn"), type(model))
    if theirs.__module__ == "sklearn.base":                             # an estimator of the user's own, which the tables do not have
        return type(model)
    for one in type(model).__mro__:
        if one is theirs:
            break
        changed = [k for k in ("transform", "predict", "predict_proba", "decision_function", "_decision_function", "_forward_pass",
                               "_forward_pass_fast") if k in vars(one)]
        if changed:
            raise ConversionError(f"{said(model)} overrides {changed[0]} of {theirs.__name__}, and what a method of yours does is not "
                                  f"known; convert a {theirs.__name__} with the same parameters, or write the step with xaicore.Builder")
    return theirs


def said(model: Any) -> str:
    """The public name of a class: "sklearn.linear_model.Ridge"."""
    parts = type(model).__module__.split(".")
    return ".".join([*(p for p in parts if not p.startswith("_")), type(model).__name__])
