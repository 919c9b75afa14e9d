"""A digest of an object that another library made: equal before and after when nothing in it changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

NUMBERS = (type(None), bool, int, float, complex, str, bytes, np.generic)


def digest(thing: Any) -> str:
    """A hash of the state of a model or of example inputs, without knowing their library.

    Arrays and tensors count by dtype, shape and bytes, containers by their entries, messages of protobuf by their serialisation, modules
    by ``state_dict``, ``get_weights`` and ``training``, anything else by its attributes, followed as deep as they go.
    """
    found = hashlib.sha256()
    _add(thing, found, set())
    return found.hexdigest()


def _add(thing: Any, out: Any, seen: set[int]) -> None:
    out.update(type(thing).__qualname__.encode())
    if isinstance(thing, NUMBERS):
        out.update(repr(thing).encode())
        return
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, np.ndarray) or hasattr(thing, "__array__"):
        x = np.asarray(thing.detach().cpu() if hasattr(thing, "detach") else thing)
        out.update(f"{x.dtype}{x.shape}".encode())
        out.update(repr(x.tolist()).encode() if x.dtype == object else x.tobytes())
    elif isinstance(thing, Mapping):
        for k, v in thing.items():
            out.update(repr(k).encode())
            _add(v, out, seen)
    elif isinstance(thing, (list, tuple)):
        for v in thing:
            _add(v, out, seen)
    elif hasattr(thing, "SerializeToString"):
        out.update(thing.SerializeToString(deterministic=True))
    elif hasattr(thing, "state_dict") or hasattr(thing, "get_weights"):
        stored = getattr(thing, "state_dict", None) or thing.get_weights
        _add(stored() if callable(stored) else stored, out, seen)
        modules = thing.named_modules() if hasattr(thing, "named_modules") else [("", thing)]
        out.update(repr([(k, getattr(m, "training", None)) for k, m in modules]).encode())
    elif not callable(thing) or hasattr(thing, "get_params"):
        _add(getattr(thing, "__dict__", {}), out, seen)
