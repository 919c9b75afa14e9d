"""Making vectors: from the worked examples, and from one-operator networks whose answers an exact difference quotient gives.

A vector is written where two derivations that share no code agree to the last digit; where they do not, that is an error here,
never a vector. ``python -m xaicore.oracle.vectors.make`` writes all files again; a vector whose question changed must get a new name.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from xaicore.errors import Mismatch, XaicoreError
from xaicore.graph.graph import Graph, Node
from xaicore.graph.run import check_feeds
from xaicore.methods.attribution import Attribution
from xaicore.methods.explain import explain
from xaicore.methods.table import METHODS
from xaicore.numerics import Array
from xaicore.oracle.tolerance import tolerance
from xaicore.oracle.twins import TWINS, Problem
from xaicore.oracle.vectors.model import graph_of, model_of
from xaicore.oracle.vectors.operators import CASES, Small
from xaicore.oracle.vectors.vector import FOLDER, SCHEMA_VERSION, Vector, array, frozen, nested, vectors
from xaicore.oracle.worked import WORKED, Worked
from xaicore.rules.sources import cite
from xaicore.trace import forward

CONVENTIONS = ("bias", "variant", "pool", "convention", "quadrature", "stabilizer", "attention", "gates", "output")
"""Settings that choose among conventions for one question."""

REJECTED: tuple[tuple[str, str, Mapping[str, Any], str], ...] = (
    ("lrp.alpha_beta", "alpha-below-one", {"alpha": Fraction(1, 2)}, "alpha - beta = 1 with beta >= 0 leaves no alpha below 1"),
    ("lrp.epsilon", "negative-epsilon", {"eps": -1}, "a stabiliser below 0 moves denominators towards 0"),
    ("lrp.gamma", "negative-gamma", {"gamma": -1}, "gamma favours positive contributions; below 0 it would favour negative ones"),
    ("lrp.z_box", "empty-box", {"low": 1, "high": 0}, "no input lies between 1 and 0"),
    ("lrp.z_box", "half-a-box", {"low": 0}, "a box has two sides"),
    ("deep_taylor", "half-a-box", {"input": "z_box", "low": 0}, "a box has two sides"),
    ("lrp.epsilon", "unknown-bias-policy", {"bias": "spread"}, "there is no such convention"),
    ("integrated_gradients", "no-steps", {"steps": 0}, "an average over no point has no value"),
    ("smoothgrad", "no-samples", {"samples": 0}, "an average over no sample has no value"),
    ("deeplift.rescale", "baseline-of-another-shape", {"baseline": np.zeros(5)}, "a reference has the shape of the input"),
    ("shapley.exact", "mask-of-another-shape", {"mask": np.zeros(5, int)}, "players are groups of the input's own entries"),
    ("grad_cam", "no-maps", {}, "a network without channels over space has no class-activation map"),
    ("cam", "no-average-pool", {}, "CAM needs a global average pool before the last layer"),
)
"""Questions without an answer, on the two-layer network of the worked examples."""


def certified(example: Worked) -> Vector | None:
    """The vector of a worked example; None where its settings are no plain values, or its answer depends on draws.

    Mismatch where the engine says something else.
    """
    graph = example.graph()
    try:
        settings = {k: frozen(v) for k, v in example.settings.items()}
        target = frozen(example.target)
        model = model_of(graph)
    except (TypeError, XaicoreError):
        return None
    arithmetic = "exact" if example.exact else "float64"
    given = example.x if isinstance(example.x, Mapping) else {next(iter(graph.inputs)): example.x}
    x = {k: nested(np.asarray(v)) for k, v in given.items()}
    draft = Vector(f"{example.method}/{example.name}", example.method, model, x, arithmetic, "required", _source(example.source),
                   settings=settings, target=target)
    a, answered = _answer(draft)
    if METHODS[example.method].random and "seed" not in settings and not _same(a, _answer(draft, seed=1)[0]):
        return None                                                     # the answer depends on what is drawn
    by_hand = dict(example.expected) if isinstance(example.expected, Mapping) else dict.fromkeys(list(a.values)[:1], example.expected)
    for k, v in by_hand.items():
        _agree(draft.id, "by hand", array(nested(v), arithmetic), a[k], answered, a)
    return _finished(draft, a, answered, [f"by hand: {example.by_hand}", _engine(arithmetic), *_twins(draft, a)])


def of_operator(case: Small, method: str) -> Vector:
    """The vector of a one-operator network: the gradient by a difference quotient that is exact between two kinks."""
    graph = case.graph()
    x = {next(iter(graph.inputs)): nested(np.asarray(case.x))}
    source = {"gradient": "simonyan2013", "gradient_x_input": "shrikumar2017", "deeplift.rescale": "shrikumar2017"}[method]
    draft = Vector(f"{method}/operator-{case.name}", method, model_of(graph), x, "exact", "required", _source(source))
    a, answered = _answer(draft)
    second = {"gradient": quotient, "gradient_x_input": quotient_times_input, "deeplift.rescale": line_quotient}[method](answered, a)
    (only,) = a.values.values()
    _agree(draft.id, "difference quotient", second, only, answered, a)
    how = "difference quotient: f is linear between two kinks, so (f(x + h e_i) - f(x - h e_i)) / 2h is the derivative, in rationals"
    if method == "deeplift.rescale":
        how = "each entry's own difference from 0: f is a sum of functions of one entry, so the contribution is f(x_i) - f(0)"
    return _finished(draft, a, answered, [how, _engine("exact"), *_twins(draft, a)])


def quotient(graph: Graph, a: Attribution) -> Array:
    """∂f/∂x entry by entry, with h = 2^-20."""
    (x,) = a.feeds.values()
    h, out = Fraction(1, 2**20), np.zeros_like(x)
    for k in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[k], down[k] = x[k] + h, x[k] - h
        out[k] = (graph(up)[k[0]].sum() - graph(down)[k[0]].sum()) / (2 * h)
    return out


def quotient_times_input(graph: Graph, a: Attribution) -> Array:
    return np.asarray(quotient(graph, a) * next(iter(a.feeds.values())))


def line_quotient(graph: Graph, a: Attribution) -> Array:
    """f(0 with x_i in its place) - f(0), entry by entry: DeepLIFT's contribution where f is a sum of functions of one entry."""
    (x,) = a.feeds.values()
    start, out = x * 0, np.zeros_like(x)
    for k in np.ndindex(x.shape):
        one = start.copy()
        one[k] = x[k]
        out[k] = graph(one)[k[0]].sum() - graph(start)[k[0]].sum()
    return out


# ----- the parts of a vector ----------------------------------------------------------------------------------------


def _answer(draft: Vector, **more: Any) -> tuple[Attribution, Graph]:
    graph = draft.graph
    x, target, settings = draft.question()
    return explain(graph, x, draft.method, target=target, **settings, **more), graph


def _same(a: Attribution, b: Attribution) -> bool:
    return all(nested(a[k]) == nested(b[k]) for k in a.values)


def _agree(who: str, how: str, want: Array, got: Array, graph: Graph, a: Attribution) -> None:
    """Mismatch unless the two are equal: to the last digit in rationals, else within the tolerance of the arithmetic."""
    if np.shape(want) != np.shape(got):
        raise Mismatch(f"{who}: {how} gives shape {np.shape(want)}, the engine {np.shape(got)}")
    limit = 0 if graph.dtype == "exact" else tolerance(graph, np.asarray(want, float), np.asarray(a.output, float))
    apart = max((abs(p - q) for p, q in zip(np.asarray(want).reshape(-1), np.asarray(got).reshape(-1))), default=0)
    if apart > limit:
        raise Mismatch(f"{who}: {how} gives {nested(want)}, the engine {nested(got)}")


def _engine(arithmetic: str) -> str:
    return "the reference engine, in rationals" if arithmetic == "exact" else "the reference engine, in float64"


def _twins(draft: Vector, a: Attribution) -> list[str]:
    """The second implementations that can answer the same question, and give the same."""
    found = []
    graph = graph_of(draft.model, "float64")
    x, target, settings = draft.question()
    floats = {k: np.asarray(v, float) for k, v in x.items()}
    for twin in TWINS.get(draft.method, ()):
        try:
            second = twin.run(Problem(graph, floats if len(floats) > 1 else next(iter(floats.values())), target, settings))
            parts = dict(second) if isinstance(second, Mapping) else {next(iter(a.values)): second}
            for k, v in parts.items():
                _agree(draft.id, twin.how, np.asarray(v, float), np.asarray(a[k], float), graph, a)
        except Exception:  # a twin outside its own preconditions says nothing about the vector
            continue
        found.append(f"a second implementation: {twin.how}")
    return found[:1]


def _finished(draft: Vector, a: Attribution, graph: Graph, derivations: Sequence[str]) -> Vector:
    trace = forward(graph, check_feeds(graph, draft.question()[0]), wrt=list(a.values))
    values = {n.name: nested(trace[n.name]) for n in graph.nodes}
    layers = {k: nested(v) for k, v in a.layers.items() if k in values and len(nested(v)) == len(a.output)}
    absorbed = None if a.ledger is None or "conservation" not in METHODS[draft.method].promises else nested(a.absorbed)
    return Vector(**{**vars(draft), "expected": {k: nested(v) for k, v in a.values.items()}, "forward": values, "layers": layers,
                     "absorbed": absorbed, "flags": flags(draft, graph, values, absorbed), "derivations": tuple(derivations)})


def flags(draft: Vector, graph: Graph, values: Mapping[str, Any], absorbed: Any) -> tuple[str, ...]:
    """What is special about the question, from its numbers."""
    x = [v for part in draft.question()[0].values() for v in np.asarray(part).reshape(-1)]
    kinds = set(map(_kind, graph.nodes))
    before = [np.array(values[n.inputs[0]], object).reshape(-1) for n in graph.nodes if _kind(n) == "ReLU" and n.inputs[0] in values]
    at = [Fraction(v) for part in before for v in part]
    read = [i for n in graph.nodes for i in n.inputs if i in graph.params]
    batch = len(next(iter(draft.x.values())))
    settings = METHODS[draft.method].settings
    inputs, params = [(n.inputs, _kind(n)) for n in graph.nodes], graph.params
    stated = {
        "zero-input": any(v == 0 for v in x), "negative-input": any(v < 0 for v in x),
        "tie": _tied(graph, values, draft), "kink": any(v == 0 for v in at), "dead-unit": any(v < 0 for v in at),
        "bias": any(len(i) == 3 and k in ("Dense", "Conv") and np.any(params.get(i[2], 1)) for i, k in inputs),
        "residual": "Add" in kinds, "reuse": len(read) > len(set(read)),
        "pooling": any("Pool" in k for k in kinds), "convolution": "Conv" in kinds, "product": "Mul" in kinds,
        "normalisation": bool(kinds & {"BatchNorm", "LayerNorm"}), "attention": "Softmax" in kinds,
        "padding": "Pad" in kinds or any(getattr(n.op, "pads", ()) for n in graph.nodes),
        "saturation": bool(kinds & {"Sigmoid", "Tanh"}), "baseline": "baseline" in draft.settings,
        "several-samples": batch > 1, "several-inputs": len(draft.x) > 1,
        "convention": any(k in draft.settings and draft.settings[k] != settings.get(k) for k in CONVENTIONS),
        "absorbed": absorbed is not None and any(Fraction(v) != 0 for v in absorbed), "rational": draft.arithmetic == "exact",
    }
    return tuple(k for k, on in stated.items() if on)


def _kind(node: Node) -> str:
    return type(node.op).__name__


def _tied(graph: Graph, values: Mapping[str, Any], draft: Vector) -> bool:
    x = draft.question()[0]
    for n in graph.nodes:
        arrays = [array(values[i], draft.arithmetic) if i in values else x[i] if i in x else graph.params[i] for i in n.inputs]
        options = n.op.candidates(*arrays)
        if options is not None and ((options == options.max(axis=-1, keepdims=True)).sum(axis=-1) > 1).any():
            return True
    return False


def _source(text: str) -> dict[str, str]:
    key, _, equation = text.partition(" ")
    return {"key": key, "equation": equation, "citation": str(cite(key))}


# ----- all of them --------------------------------------------------------------------------------------------------


def everything() -> tuple[Vector, ...]:
    """Every vector, conventions of one question beside each other."""
    made = [v for several in WORKED.values() for w in several if (v := certified(w)) is not None]
    made += [of_operator(case, method) for case in CASES for method in case.methods]
    return (*_with_variants(made), *_rejected())


def _with_variants(made: Sequence[Vector]) -> list[Vector]:
    """A vector with the paper's conventions names what the other conventions give for the same question."""
    groups: dict[str, list[Vector]] = {}
    for v in made:
        groups.setdefault(_bare_question(v), []).append(v)
    out = []
    for v in made:
        plain = not any(k in CONVENTIONS for k in v.settings)
        others = [o for o in groups[_bare_question(v)] if o is not v and o.expected != v.expected] if plain else []
        variants = {", ".join(f"{k}={s}" for k, s in o.settings.items() if k in CONVENTIONS): o.expected for o in others}
        out.append(Vector(**{**vars(v), "variants": variants, "verdict": "variants" if variants else "required"}))
    return out


def _bare_question(v: Vector) -> str:
    """The question without the settings that choose a convention."""
    rest = {k: s for k, s in v.settings.items() if k not in CONVENTIONS}
    return json.dumps([v.method, v.model, v.x, v.target, rest], sort_keys=True)


def _rejected() -> Iterable[Vector]:
    from xaicore.oracle.worked.nets import net_a

    model, x = model_of(net_a()), {"x": [["3", "1"]]}
    for method, name, settings, reason in REJECTED:
        v = Vector(f"{method}/rejects-{name}", method, model, x, "float64", "reject", _source(METHODS[method].source), reason=reason,
                   settings={k: frozen(s) for k, s in settings.items()}, derivations=("by definition", "the reference engine refuses it"))
        try:
            _answer(v)
        except XaicoreError:
            yield v
            continue
        raise Mismatch(f"{v.id}: the engine answers a question that has no answer")


def write(made: Iterable[Vector] | None = None) -> list[str]:
    """Writes one file a method; returns the ids whose question changed although they existed before (they need new names)."""
    made = list(everything() if made is None else made)
    before = {v.id: v for v in vectors()}
    changed = [v.id for v in made if v.id in before and _question(v) != _question(before[v.id])]
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for method in dict.fromkeys(v.method for v in made):
        (FOLDER / f"{method}.json").write_text(formatted([v for v in made if v.method == method]), encoding="utf-8")
    return changed


def _question(v: Vector) -> str:
    return json.dumps([v.method, v.model, v.x, v.target, v.settings, v.arithmetic], sort_keys=True)


def formatted(some: Sequence[Vector]) -> str:
    """One file: a line for each field of a vector, so that a change of one number is a change of one line."""
    blocks = []
    for v in some:
        lines = [f"   {json.dumps(k)}: {json.dumps(value, ensure_ascii=False)}" for k, value in v.as_json().items()]
        blocks.append("  {\n" + ",\n".join(lines) + "\n  }")
    return f'{{\n "schema": {SCHEMA_VERSION},\n "vectors": [\n' + ",\n".join(blocks) + "\n ]\n}\n"


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m xaicore.oracle.vectors.make", description=__doc__).parse_args()      # there are no options
    print("\n".join(write()) or f"{len(vectors())} vectors before, all questions unchanged")
