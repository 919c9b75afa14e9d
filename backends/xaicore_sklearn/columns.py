"""Which columns go where: the parts of a ColumnTransformer and of a FeatureUnion."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.errors import ConversionError
from xaicore.numerics import Array


def parts_of(model: Any, where: str) -> list[tuple[str, Any, Array | None]]:
    """(name, fitted transformer or "passthrough", its columns or None for all), in the order of the results, without what is dropped."""
    weights = getattr(model, "transformer_weights", None)
    if weights:
        raise ConversionError(f"{where} has transformer_weights; multiply by them in a scaler of each part, or leave them out")
    if type(model).__name__ == "FeatureUnion":
        return [(name, part, None) for name, part in model.transformer_list if not _is(part, "drop")]
    found: list[tuple[str, Any, Array | None]] = []
    for name, part, key in model.transformers_:
        columns = indices(key, model)
        if not _is(part, "drop") and len(columns):
            found.append((name, part, columns))
    return found


def by_name(key: Any) -> bool:
    """Is this a selection of columns by their names?"""
    if isinstance(key, slice):
        return isinstance(key.start, str) or isinstance(key.stop, str)
    first = np.asarray(key).reshape(-1)
    return bool(len(first)) and isinstance(first[0], str)


def indices(key: Any, model: Any) -> Array:
    """A selection (numbers, names, a slice of either, flags) as numbers. A slice of names includes its end, as in scikit-learn."""
    names = list(getattr(model, "feature_names_in_", ()))
    every: Array = np.arange(model.n_features_in_)
    if isinstance(key, slice):
        if by_name(key):
            stop = None if key.stop is None else names.index(key.stop) + 1
            return np.asarray(every[slice(None if key.start is None else names.index(key.start), stop, key.step)])
        return np.asarray(every[key])
    chosen = np.asarray(key).reshape(-1)
    if by_name(key):
        return np.array([names.index(k) for k in chosen])
    return np.asarray(every[chosen if chosen.dtype == bool else chosen.astype(int)])


def _is(part: Any, word: str) -> bool:
    return isinstance(part, str) and part == word
