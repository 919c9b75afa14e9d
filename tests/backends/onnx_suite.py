"""The standard's own node tests, run through the backend: which are tried, in which ways, and what came of each.

onnx generates a model with inputs and outputs for every operator and setting. Those count whose name has no "_expanded" (the same cases
out of simpler operators) and whose inputs and outputs are tensors of ordinary types. ``benchmarks/coverage_onnx.py`` prints the table,
``test_onnx_standard.py`` holds it to a number.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from xaicore_onnx import to_graph

from xaicore.errors import XaicoreError
from xaicore.graph.run import evaluate

Array = np.ndarray

ORDINARY = frozenset(range(1, 14)) - {onnx.TensorProto.STRING}
"""Floats of 16 to 64 bits, integers of 8 to 64, booleans: no strings, bfloat16, float8, int4, complex numbers."""


@dataclass(frozen=True)
class Way:
    """Which inputs of a case are inputs of the graph (the others are constants of the model), and whether it has a batch axis."""

    live: tuple[str, ...]
    unbatched: bool

    def __str__(self) -> str:
        return f"{', '.join(self.live) or 'nothing'} live, {'one sample without a batch' if self.unbatched else 'axis 0 the batch'}"


@dataclass(frozen=True)
class Outcome:
    """What came of one case: by which way it passed, if by any, and what the others said.   ``wrong``: values that differ."""

    name: str
    operator: str
    way: Way | None
    refused: Mapping[Way, str]
    wrong: Mapping[Way, str]

    @property
    def verdict(self) -> str:
        """live: a value that depends on a graph input; folded: constants of the model only."""
        if self.wrong:
            return "wrong"
        return "refused" if self.way is None else "live" if self.way.live else "folded"

    @property
    def reason(self) -> str:
        """The first refusal, of the way that keeps most inputs live, that is about more than where an axis for the batch is."""
        texts = list((self.wrong or self.refused).values())
        return next((t for t in texts if "batch" not in t), texts[0] if texts else "")


@functools.cache
def standard_cases() -> tuple[Any, ...]:
    """The cases that count."""
    from onnx.backend.test.loader import load_node_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                     # overflows in the making of the expected values
        cases = load_node_model_tests()
    return tuple(c for c in cases if c.model is not None and "_expanded" not in c.name and is_ordinary(c.model))


def is_ordinary(proto: Any) -> bool:
    """Are all inputs and outputs tensors of ordinary types?"""
    values = [*proto.graph.input, *proto.graph.output]
    return {v.type.tensor_type.elem_type if v.type.HasField("tensor_type") else 0 for v in values} <= ORDINARY


def operator_of(case: Any) -> str:
    """The operator that a case is about."""
    (node,) = case.model.graph.node
    return f"{node.domain}.{node.op_type}".removeprefix("ai.onnx.").removeprefix(".")


def ways(case: Any) -> Iterator[Way]:
    """All inputs live, then only the floats, then only the first; each with the batch on axis 0, then for one sample; last, none."""
    values = case.model.graph.input
    names = tuple(v.name for v in values)
    floats = tuple(v.name for v in values if v.type.tensor_type.elem_type in (1, 10, 11))
    for live in dict.fromkeys((names, floats, names[:1])):
        if live:
            yield Way(live, False)
            yield Way(live, True)
    yield Way((), False)


def outcome(case: Any) -> Outcome:
    """Tries a case until one way passes."""
    refused, wrong = {}, {}
    for way in ways(case):
        try:
            attempt(case, way)
        except XaicoreError as error:
            refused[way] = f"{type(error).__name__}: {error}"
        except AssertionError as error:
            wrong[way] = str(error)
        else:
            return Outcome(case.name, operator_of(case), way, refused, wrong)
    return Outcome(case.name, operator_of(case), None, refused, wrong)


def arrays_of(case: Any) -> tuple[list[Array], list[Array]]:
    """The inputs and the expected outputs."""
    inputs, outputs = case.data_sets[0]
    return tuple([np.asarray(onnx.numpy_helper.to_array(x) if isinstance(x, onnx.TensorProto) else x) for x in side] for side in (inputs, outputs))


def attempt(case: Any, way: Way) -> None:
    """Converts a case in one way and compares at the suite's own tolerance; XaicoreError when it is refused, AssertionError when it differs."""
    inputs, outputs = arrays_of(case)
    names = [v.name for v in case.model.graph.input]
    proto = onnx.ModelProto()
    proto.CopyFrom(case.model)
    for one in proto.opset_import:
        if one.domain in ("", "ai.onnx"):
            one.version = max(one.version, 7)               # three cases of Not carry set 1, in which Not is what it is in 7
    feeds = {k: x for k, x in zip(names, inputs, strict=True) if k in way.live}
    constants = {k: x for k, x in zip(names, inputs, strict=True) if k not in way.live}
    if not feeds:                                           # what has no live input: constants of the graph
        proto.graph.input.append(onnx.helper.make_tensor_value_info("unread", 1, ["N", 1]))
        feeds["unread"] = np.ones((2, 1), np.float32)
    graph = to_graph(proto, feeds, constants=constants, verify=False, unbatched=way.unbatched)
    fed = {k: np.stack([x, x]) if way.unbatched else x for k, x in feeds.items()}
    # evaluate and not graph(): casts are tested on NaN, sums on empty arrays, which a user's input may not hold
    kinds = {k: {"float": np.float64, "int": np.int64, "bool": np.bool_}[spec.kind] for k, spec in graph.inputs.items()}
    values = evaluate(graph, {k: x.astype(kinds[k]) for k, x in fed.items()})
    for name, theirs in zip(graph.outputs, outputs, strict=True):
        theirs = laid_out(theirs, graph.meta.get(f"shape.{name}"))
        mine = graph.params[name] if name in graph.params else values[name][0] if way.unbatched else values[name]
        assert mine.shape == theirs.shape, f"output {name!r} has shape {mine.shape}, not {theirs.shape}"
        assert (mine.dtype == bool) == (theirs.dtype == bool), f"output {name!r} is {mine.dtype}, not {theirs.dtype}"
        if theirs.dtype == np.float16:                      # what one of its roundings makes of a value, both have
            mine = mine.astype(np.float16)
        np.testing.assert_allclose(mine.astype(float), theirs.astype(float), rtol=case.rtol, atol=case.atol)


def laid_out(x: Array, shape: str | None) -> Array:
    """An array of ONNX's with the batch in front, where the graph says that ONNX has it elsewhere: "(3, 2 * N, 4)", "(3,) of one sample"."""
    if shape is None:
        return x
    if "N" not in shape:
        return x[None]
    axes = [part.split(" * ") for part in shape.strip("(),").split(", ")]
    (at,) = [k for k, part in enumerate(axes) if "N" in part]
    split = [int(n) if n != "N" else -1 for n in axes[at]]
    apart = x.reshape(*x.shape[:at], *split, *x.shape[at + 1:])
    return np.moveaxis(apart, at + axes[at].index("N"), 0)
