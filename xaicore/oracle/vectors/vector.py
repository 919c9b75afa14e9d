"""What a vector is, and its form as JSON: numbers are "p/q" where they are rational and floats where they are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.errors import FileRefused, UnknownName, XaicoreError, nearest
from xaicore.graph.graph import Graph
from xaicore.graph.untrusted import parse_json, rational, read_bytes
from xaicore.numerics import Array
from xaicore.oracle.vectors.model import graph_of

SCHEMA_VERSION = 1
FOLDER = Path(__file__).parent / "cases"
LARGEST = 2**24
"""Bytes of one file of vectors; more is refused."""

KINDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("id", "method", "arithmetic", "verdict", "reason"), str),
    **dict.fromkeys(("model", "x", "source", "expected", "settings", "forward", "layers", "variants"), dict),
    **dict.fromkeys(("flags", "derivations"), list),
}
"""What the fields are in JSON."""

VERDICTS = {
    "required": "an explainer of this method with these settings must give ``expected``",
    "variants": "``expected`` is the paper's convention; the named ``variants`` are other conventions for the same question, no mistakes",
    "reject": "the question has no answer: an explainer must refuse it rather than give numbers",
}

FLAGS = {
    "zero-input": "an entry of the input is 0", "negative-input": "an entry of the input is negative",
    "tie": "two entries of a maximum are equal", "kink": "a rectifier stands exactly at 0", "dead-unit": "a rectifier that gives 0",
    "bias": "a layer has a bias that is not 0", "residual": "two paths join in a sum", "reuse": "one parameter is read by several nodes",
    "pooling": "windows are pooled", "convolution": "weights are shared over space", "product": "two activations are multiplied",
    "normalisation": "activations are normalised", "attention": "a softmax weighs activations", "padding": "zeros are added at an edge",
    "saturation": "a bounded activation", "baseline": "the answer compares with a reference that is not 0", "several-samples": "a batch",
    "several-inputs": "more than one input", "convention": "a setting chooses a convention that is not the paper's",
    "absorbed": "part of the explained value reaches no input", "rational": "every number is exact",
}
"""What a flag says about a vector; a runner may select by it."""


@dataclass(frozen=True)
class Vector:
    """One question and its certified answer.

    id           "method/name", never changed and never given another meaning
    model        inputs, parameters, nodes (operator, fields, inputs), outputs: a graph of xaicore, numbers in nested lists
    x            input name -> nested lists
    arithmetic   "exact": all numbers are rational and equality is ==; "float64": to rounding
    forward      value name -> nested lists, for every node
    expected     input name -> attribution; for "reject" {}
    layers       value name -> attribution there, for methods that propagate
    absorbed     per sample, what of the explained value reaches no input; None for methods that keep no books
    variants     name of a convention ("bias=ignore") -> what it gives in the place of ``expected``
    derivations  how the answer is known, at least two ways that share no code
    """

    id: str
    method: str
    model: Mapping[str, Any]
    x: Mapping[str, Any]
    arithmetic: str
    verdict: str
    source: Mapping[str, str]
    expected: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    target: Any = 0
    forward: Mapping[str, Any] = field(default_factory=dict)
    layers: Mapping[str, Any] = field(default_factory=dict)
    absorbed: Sequence[Any] | None = None
    variants: Mapping[str, Any] = field(default_factory=dict)
    flags: Sequence[str] = ()
    derivations: Sequence[str] = ()
    reason: str = ""

    @property
    def graph(self) -> Graph:
        """The model, in the vector's arithmetic."""
        return graph_of(self.model, "exact" if self.arithmetic == "exact" else "float64")

    def question(self) -> tuple[dict[str, Array], Any, dict[str, Any]]:
        """(inputs, target, settings) as ``explain`` takes them."""
        x = {k: array(v, self.arithmetic) for k, v in self.x.items()}
        return x, thawed(self.target), {k: thawed(v) for k, v in self.settings.items()}

    def as_json(self) -> dict[str, Any]:
        """The document, its keys in the order of the fields, what is empty left out."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v for k, v in found.items() if v not in ((), [], {}, None, "") or k in ("id", "method", "target", "expected")}


# ----- numbers ----------------------------------------------------------------------------------------------------


def number(value: Any) -> Any:
    """A number as JSON: an integer and a fraction as text ("3", "-13/49"), a float as itself."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, Fraction):
        return str(value)
    return float(value)


def nested(values: Any) -> Any:
    """An array, or nested lists, as nested lists of ``number``."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    return [nested(v) for v in values] if isinstance(values, (list, tuple)) else number(values)


def array(values: Any, arithmetic: str) -> Array:
    """Nested lists of numbers as an array: of Fractions, or of floats, integers or truth values."""
    def one(v: Any) -> Any:
        return [one(u) for u in v] if isinstance(v, list) else rational(v) if isinstance(v, str) else v

    read = one(values)
    if arithmetic == "exact":
        out = np.array(read, dtype=object)
        return out if out.dtype == object and out.ndim else out.reshape(out.shape)
    made = np.array(read, dtype=object)
    kinds = {type(v) for v in made.reshape(-1)}
    return made.astype(bool if kinds == {bool} else float)


def frozen(value: Any) -> Any:
    """A setting as JSON: a fraction is {"rational": "1/4"}, an array {"array": [...]}, a tuple {"tuple": [...]}."""
    if isinstance(value, Fraction):
        return {"rational": str(value)}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist() if value.dtype.kind in "iub" else nested(value)}
    if isinstance(value, tuple):
        return {"tuple": [frozen(v) for v in value]}
    if isinstance(value, list):
        return [frozen(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): frozen(v) for k, v in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} is no plain value")


def thawed(value: Any) -> Any:
    """The way back from ``frozen``."""
    if isinstance(value, list):
        return [thawed(v) for v in value]
    if isinstance(value, Mapping):
        if set(value) == {"rational"}:
            return rational(value["rational"])
        if set(value) == {"tuple"}:
            return tuple(thawed(v) for v in value["tuple"])
        if set(value) == {"array"}:
            made = np.array(value["array"], dtype=object)
            texts = any(isinstance(v, str) for v in made.reshape(-1))
            return array(value["array"], "exact") if texts else np.array(value["array"])
        return {k: thawed(v) for k, v in value.items()}
    return value


# ----- reading ----------------------------------------------------------------------------------------------------


def read(path: str | Path) -> tuple[Vector, ...]:
    """The vectors of one file. FileRefused for what is no file of vectors, and for one of a newer schema."""
    path = Path(path)
    document = parse_json(read_bytes(path, LARGEST), path.name)
    if not isinstance(document, dict) or not isinstance(document.get("vectors"), list) or not isinstance(document.get("schema"), int):
        raise FileRefused(f"{path.name} is JSON, but no file of test vectors, {{\"schema\": {SCHEMA_VERSION}, \"vectors\": [...]}}")
    if document["schema"] > SCHEMA_VERSION:
        raise FileRefused(f"{path.name} has schema {document['schema']}, and this release reads up to {SCHEMA_VERSION}: update xaicore")
    known = {f.name for f in fields(Vector)}
    found = []
    for k, entry in enumerate(document["vectors"]):
        who = entry.get("id", f"number {k}") if isinstance(entry, dict) else f"number {k}"
        unknown = set(entry) - known if isinstance(entry, dict) else {"no object"}
        if unknown:
            raise FileRefused(f"{path.name}: vector {who!r} has {', '.join(sorted(map(repr, unknown)))}, which schema {SCHEMA_VERSION} "
                              f"does not know")
        for key, kind in KINDS.items():
            if key in entry and not isinstance(entry[key], kind):
                raise FileRefused(f"{path.name}: vector {who!r:.80} has {key} {entry[key]!r:.60}, which is of another kind")
        try:
            found.append(Vector(**entry))
        except TypeError as error:
            raise FileRefused(f"{path.name}: vector {who!r} is incomplete: {error}") from None
    return tuple(found)


@lru_cache(maxsize=1)
def _shipped() -> tuple[Vector, ...]:
    return tuple(v for path in sorted(FOLDER.glob("*.json")) for v in read(path))


def vectors(method: str = "*", flags: Sequence[str] = (), ids: Sequence[str] = ()) -> tuple[Vector, ...]:
    """The shipped vectors: of the methods that match a pattern, with all of ``flags``, or those called ``ids``.

    UnknownName for an id or a flag that does not exist.
    """
    from fnmatch import fnmatch

    everything = _shipped()
    for flag in flags:
        if flag not in FLAGS:
            raise UnknownName(f"no flag is called {flag!r}: {nearest(flag, FLAGS)}")
    if ids:
        by_id = {v.id: v for v in everything}
        for one in ids:
            if one not in by_id:
                raise UnknownName(f"no vector is called {one!r}: {nearest(one, by_id)}")
        return tuple(by_id[one] for one in ids)
    return tuple(v for v in everything if fnmatch(v.method, method) and set(flags) <= set(v.flags))


def questions(found: Sequence[Vector]) -> Iterator[tuple[Vector, Graph, dict[str, Array], Any, dict[str, Any]]]:
    """Each vector with its graph and its question; FileRefused where its model is no graph."""
    for v in found:
        try:
            yield v, v.graph, *v.question()
        except (XaicoreError, KeyError, TypeError, ValueError) as error:
            raise FileRefused(f"vector {v.id!r}: {error}") from None
