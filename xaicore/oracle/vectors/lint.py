"""What is wrong with vectors: names, fields, flags, derivations, and every number computed again by the reference."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from xaicore.errors import XaicoreError, nearest
from xaicore.methods.explain import explain
from xaicore.methods.table import METHODS
from xaicore.numerics import Array
from xaicore.oracle.tolerance import tolerance
from xaicore.oracle.vectors.make import flags
from xaicore.oracle.vectors.vector import FLAGS, VERDICTS, Vector, array, nested, thawed
from xaicore.rules.sources import SOURCES

NAME = re.compile(r"[a-z0-9._]+/[a-z0-9]+(-[a-z0-9]+)*")


def lint(found: Sequence[Vector]) -> list[str]:
    """One line for each mistake, with the id of the vector in front; none where all is well."""
    out = [f"{k}: {n} vectors have this id" for k, n in Counter(v.id for v in found).items() if n > 1]
    for v in found:
        try:
            out += [f"{v.id}: {problem}" for problem in (*_form(v), *_numbers(v))]
        except (XaicoreError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
            out.append(f"{v.id}: {type(error).__name__}: {error}")
    return out


def _form(v: Vector) -> Iterator[str]:
    if not NAME.fullmatch(v.id) or v.id.split("/")[0] != v.method:
        yield f"an id is METHOD/lower-case-words-with-hyphens, here {v.method}/..."
    if v.method not in METHODS:
        yield f"no method is called {v.method!r}: {nearest(v.method, METHODS)}"
    elif unknown := set(v.settings) - {*METHODS[v.method].settings, "output", "layer"}:
        yield f"{v.method} has no setting {', '.join(sorted(unknown))}"
    if v.arithmetic not in ("exact", "float64"):
        yield f"arithmetic {v.arithmetic!r} is not exact or float64"
    if v.verdict not in VERDICTS:
        yield f"verdict {v.verdict!r} is not one of {', '.join(VERDICTS)}"
    if v.source.get("key") not in SOURCES:
        yield f"source {v.source.get('key')!r} is not in the table of sources"
    for flag in v.flags:
        if flag not in FLAGS:
            yield f"no flag is called {flag!r}: {nearest(flag, FLAGS)}"
    if len(v.derivations) < 2:
        yield "an answer is certified by two derivations at least"
    if (v.verdict == "reject") != bool(v.reason) or (v.verdict == "reject") == bool(v.expected):
        yield "a rejected question has a reason and no answer, any other an answer and no reason"
    if (v.verdict == "variants") != bool(v.variants):
        yield "variants and the verdict 'variants' go together"


def _numbers(v: Vector) -> Iterator[str]:
    """The reference's own answer, and what follows from the numbers alone."""
    graph = v.graph
    x, target, settings = v.question()
    if v.verdict == "reject":
        try:
            explain(graph, x, v.method, target=target, **settings)
        except XaicoreError:
            return
        yield "the reference answers a question that is to be rejected"
        return
    a = explain(graph, x, v.method, target=target, keep="all", **settings)
    pairs: list[tuple[str, Any, Any]] = [(f"expected[{k!r}]", part, a[k]) for k, part in v.expected.items()]
    pairs += [(f"layers[{k!r}]", part, a.layers[k]) for k, part in v.layers.items()]
    pairs += [(f"forward[{k!r}]", part, value) for k, part, value in _forward(v, graph, x)]
    if v.absorbed is not None:
        pairs.append(("absorbed", v.absorbed, a.absorbed))
        parts = [array(part, v.arithmetic) for part in v.expected.values()]
        sums = sum(p.reshape(len(p), -1).sum(axis=1) for p in parts)
        explained = a.output if a.baseline_output is None else a.output - a.baseline_output
        pairs.append(("the sum of expected and absorbed", nested(sums + array(list(v.absorbed), v.arithmetic)), explained))
    for name, setting in ((k, dict(_setting(part) for part in k.split(", "))) for k in v.variants):
        other = explain(graph, x, v.method, target=target, **{**settings, **setting})
        pairs += [(f"variants[{name!r}]", part, other[k]) for k, part in v.variants[name].items()]
    if set(v.expected) != set(a.values):
        yield f"expected is about {', '.join(v.expected)}, the attribution about {', '.join(a.values)}"
    for what, stated, engine in pairs:
        yield from _apart(what, array(stated, v.arithmetic), np.asarray(engine), a.output, v)
    right = flags(v, graph, v.forward, v.absorbed)
    if list(v.flags) != list(right):
        yield f"the flags are {', '.join(right)}"


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    return name, thawed(value)


def _forward(v: Vector, graph: Any, x: Mapping[str, Array]) -> Iterator[tuple[str, Any, Array]]:
    from xaicore.graph.run import check_feeds, evaluate

    values = evaluate(graph, check_feeds(graph, x), keep=list(v.forward))
    for k, part in v.forward.items():
        yield k, part, values[k]


def _apart(what: str, stated: Array, engine: Array, output: Array, v: Vector) -> Iterator[str]:
    if stated.shape != engine.shape:
        yield f"{what} has shape {stated.shape}, the reference {engine.shape}"
        return
    if v.arithmetic == "exact":
        wrong = [k for k in np.ndindex(stated.shape) if stated[k] != engine[k]]
    else:
        limit = tolerance(v.graph, np.asarray(engine, float), np.asarray(output, float))
        wrong = [k for k in np.ndindex(stated.shape) if abs(float(stated[k]) - float(engine[k])) > limit]
    if wrong:
        yield f"{what} holds {stated[wrong[0]]} at {wrong[0]}, the reference {engine[wrong[0]]}"
