"""xaicore inspect: show what a model takes and gives, which method families support its operators, and its layers."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xaicore.graph import Graph
    from xaicore.graph.graph import Node
    from xaicore.graph.verify import Verification
    from xaicore.methods.memory import Need
    from xaicore.rules.ruleset import RuleSet

FAMILIES = {"gradient": "gradient", "guided": "guided_backprop", "lrp": "lrp.epsilon", "deeplift": "deeplift.rescale"}
EXACT = "exact ig"
WHICH = {
    "forward": "the output alone", "gradient": "gradients, maps", "guided": "guided, deconvnet", "relevance": "lrp, deep_taylor",
    "multiplier": "deeplift.rescale", "pairs": "reveal_cancel, deep_shap, clrp", "evaluation": "each masked or drawn input",
    "point": "each point of a path or noise",
}
ADVICE = {
    "lrp": "In Python, put a row in front: rules = xaicore.RULE_SETS['lrp.epsilon']().before((op({0}), <rule>)); "
           "gradient methods work as they are",
    "deeplift": "In Python, put a row in front: rules = xaicore.RULE_SETS['deeplift.rescale']().before((op({0}), <rule>)); "
                "integrated gradients compares with a baseline, too",
    "gradient": "There is no way through it for a gradient; explain a layer behind it (--layer)",
    "guided": "There is no way through it for a gradient; explain a layer behind it (--layer)",
    EXACT: "They are not piecewise linear; use integrated_gradients, whose quadrature error is its gap",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL, --verify and --plan."""
    from xaicore.cli.shared import MODEL_HELP

    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--verify", nargs="?", const="", metavar="INPUT",
                        help="run the framework beside the graph, on INPUT or on drawn numbers, and name the first node that differs")
    parser.add_argument("--plan", metavar="ID", help="also print which rule of this rule set each node gets (xaicore rules lists them)")


def run(args: argparse.Namespace) -> int:
    """Prints the tables; with --verify, exit code 1 for a difference and 5 without a framework; with --plan, 3 when a node has no rule."""
    from xaicore.cli import shared
    from xaicore.show import table

    graph, checked = shared.open_model(args.model), None
    if args.verify is not None:
        graph, checked = verified(args.model, graph, args.verify)
    found = survey(graph)
    planned = None if args.plan is None else plan(graph, args.plan, found.shapes)
    if args.json:
        document = {"model": shared.describe(graph), "meta": dict(graph.meta), "outputs": found.outputs, "operators": found.records(),
                    "verified": None if checked is None else asdict(checked),
                    "to_do": found.to_do(), "layers": found.layers.records(), "notes": found.notes, "memory": found.bytes()}
        shared.dump({**document, **({} if planned is None else {"plan": table.plan(planned).records()})})
        return 0
    shared.say(f"{graph.name or args.model}: {len(graph.nodes)} nodes, {graph.size:,} parameters, {graph.dtype}")
    for name, spec in graph.inputs.items():
        more = "; ".join(f"{k.split('.')[0]} {v}" for k, v in graph.meta.items() if k.endswith(f".{name}"))
        shared.say(f"  input   {name}  {spec}" + (f"  ({more})" if more else ""))
    for one in found.outputs:
        head = f"; a {one['head']}, so by default {one['explained']!r} before it is explained" if one["head"] else ""
        shared.say(f"  output  {one['name']}  {one['shape'] or ''}{head}")
    if checked is not None:
        shared.say(f"  verified: {checked}")
    for key, value in graph.meta.items():
        if "." not in key:
            shared.say(f"  {key}: {value}")
    shared.say()
    shared.show(found.operators())
    shared.say()
    for line in found.to_do() or ["Every operator is supported by every family."]:
        shared.say(line)
    for note in found.notes:
        shared.say(f"Note: {note}")
    if found.memory:
        shared.say()
        shared.show(found.memory_table())
    shared.say()
    shared.show(found.layers)
    if planned is not None:
        shared.say()
        shared.show(table.plan(planned))
    return 0


def verified(model: str, graph: Graph, name: str) -> tuple[Graph, Verification]:
    """The graph again, converted with ``verify``, and what was compared; on the input file ``name``, or on drawn numbers for ""."""
    from xaicore.cli import inputs, shared
    from xaicore.errors import NothingChecked
    from xaicore.graph.verify import recorded

    if model == shared.SHIPPED:
        raise NothingChecked("the CNN that comes with xaicore is in xaicore's own format: there is no framework to compare it with; "
                             "verify a file")
    example: dict[str, Any] = {} if not name else {"example": inputs.read_input(name, graph)}
    with recorded() as found:
        graph = shared.open_model(model, verify=True, **example)
    if not found:
        raise NothingChecked(f"the reader of {model} compared nothing; convert the live model with xaicore.from_model(model, example)")
    return graph, found[-1]


# ----- who supports what ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """All nodes of one operator: how each family treats them, None where it does not."""

    operator: str
    count: int
    support: Mapping[str, str | None]


@dataclass(frozen=True)
class Survey:
    """What inspect found."""

    kinds: Sequence[Kind]
    outputs: Sequence[Mapping[str, Any]]
    layers: Any
    notes: Sequence[str]
    shapes: Mapping[str, Sequence[int]] | None
    memory: Mapping[str, Need] = field(default_factory=dict)
    parameters: int = 0

    def operators(self) -> Any:
        """The operator table."""
        from xaicore.show.table import Column, Table, figure

        columns = [Column("operator"), figure("count"),
                   *(Column(f, style=lambda text: "bold red" if text == "NO" else "") for f in (*FAMILIES, EXACT))]
        rows = [[k.operator, k.count, *("NO" if k.support[f] is None else k.support[f] for f in (*FAMILIES, EXACT))] for k in self.kinds]
        notes = [f"{', '.join(f'{f}: rule set {i}' for f, i in FAMILIES.items())}; {EXACT}: integrated_gradients.exact",
                 "head: taken off when a logit is explained; constant: does not depend on a floating input; NO: not supported, see below"]
        return Table(columns, rows, "operators, and the rule that each family has for them", notes)

    def records(self) -> list[dict[str, Any]]:
        """The operator table for JSON."""
        return [{"operator": k.operator, "count": k.count,
                 "support": {f: {"supported": s is not None, "how": s} for f, s in k.support.items()}} for k in self.kinds]

    def bytes(self) -> dict[str, Any]:
        """What each family of methods needs, in bytes, for JSON: see xaicore.methods.memory."""
        from xaicore.graph.untrusted import max_bytes

        return {"parameters": self.parameters, "limit": max_bytes(),
                "families": {f: {**asdict(n), "one": n.of(1), "fitting": n.fitting(max_bytes())} for f, n in self.memory.items()}}

    def memory_table(self) -> Any:
        """The same as a table."""
        from xaicore.graph.untrusted import max_bytes
        from xaicore.show.table import Column, Table

        rows = [[f, WHICH[f], size(n.of(1)), size(n.of(64)), f"{n.fitting(max_bytes()):,}"] for f, n in self.memory.items()]
        columns = [Column("needs"), Column("methods"), *(Column(c) for c in ("1 sample", "64 samples", "samples that fit"))]
        return Table(columns, rows, "memory that a method needs beside the parameters, estimated from above", [
            f"The parameters take {size(self.parameters)}; {size(max_bytes())} are allowed (--max-bytes).",
            "The greediest method of a row was measured at 0.25 to 1 of it (docs/cost.md).",
            "--batch-size auto takes as many evaluations or points at once as fit beside the samples."])

    def to_do(self) -> list[str]:
        """One line for each family: the operators that do not go with it, and what to do."""
        missing = {f: [k.operator for k in self.kinds if k.support[f] is None] for f in (*FAMILIES, EXACT)}
        return [f"{f}: not supported: {', '.join(names)}. {ADVICE[f].format(', '.join(names))}" for f, names in missing.items() if names]


def survey(graph: Graph) -> Survey:
    """Plans every family's rule set on the graph, without raising for what it does not cover."""
    from xaicore.errors import XaicoreError
    from xaicore.graph.passes import prune, without_head
    from xaicore.methods.memory import needs
    from xaicore.trace import activity

    notes = []
    heads = [(o, *without_head(graph, o)) for o in graph.outputs]
    core = prune(graph, list(dict.fromkeys(value for _, value, _ in heads)))
    shapes: Mapping[str, Sequence[int]] | None = None
    linear: Mapping[str, str | None] = {}
    try:
        shapes, linear = measured(graph)
    except XaicoreError as error:
        notes.append(f"the model did not run on drawn inputs, so shapes and {EXACT} are not known ({error})")
    if not graph.float_inputs:
        notes.append("no input is floating, so only a layer can be explained: --layer NAME, the embedding for example")
    active = activity(core, graph.float_inputs)
    inside = {n.name for n in core.nodes}
    rules = {f: rule_of(core, ruleset(i), shapes) for f, i in FAMILIES.items()}

    def one(node: Node, family: str) -> str | None:
        if node.name not in inside:
            return "head"
        if not any(active[node.name]):
            return "constant"
        if family == EXACT:
            return linear.get(node.name) if shapes is not None else "?"
        return rules[family].get(node.name)

    grouped: dict[str, list[Node]] = {}
    for n in graph.nodes:
        grouped.setdefault(type(n.op).__name__, []).append(n)
    kinds = [Kind(name, len(nodes), {f: joined([one(n, f) for n in nodes]) for f in (*FAMILIES, EXACT)}) for name, nodes in grouped.items()]
    outputs = [{"name": o, "shape": shape_text(shapes, o), "head": head, "explained": value} for o, value, head in heads]
    memory = {} if shapes is None else needs(core, shapes)
    return Survey(kinds, outputs, layer_table(graph, shapes), notes, shapes, memory, sum(v.nbytes for v in graph.params.values()))


def size(n: int) -> str:
    """ "3.5 MiB"."""
    k = min(3, max(0, (n.bit_length() - 1) // 10))
    amount, unit = n / (1 << 10 * k), ("bytes", "KiB", "MiB", "GiB")[k]
    return f"{amount:.3g} {unit}" if amount < 1000 else f"{amount:,.0f} {unit}"


def joined(how: Sequence[str | None]) -> str | None:
    """One text for all nodes of a kind; None when one of them is not supported."""
    if None in how:
        return None
    counted = Counter(h for h in how if h is not None)
    rest = {k: n for k, n in counted.items() if k not in ("head", "constant")} or counted
    return ", ".join(rest)


def ruleset(id: str) -> RuleSet:
    """A rule set as the survey plans it: with its defaults."""
    from xaicore.cli.rules import build

    return build(id)


def rule_of(graph: Graph, rules: RuleSet, shapes: Mapping[str, Sequence[int]] | None) -> dict[str, str | None]:
    """Node -> the rule that it gets, "expanded" or "folded" where the rule set rewrites it first, None where no row matches."""
    from xaicore.errors import XaicoreError
    from xaicore.rules.select import View
    from xaicore.trace import activity

    try:
        ready = rules.prepare(graph, shapes)
    except XaicoreError:                                                # an expansion that needs a shape, and none is known
        ready = graph
    view = View(ready, activity(ready, ready.float_inputs))
    own = {n.name: n for n in graph.nodes}
    out: dict[str, str | None] = {}
    for node in ready.nodes:
        if not any(view.active[node.name]):
            continue
        label = next((rule.label for selector, rule in rules.rules if selector(node, view)), None)
        whole = node.name if node.name in own else next((k for k in own if node.name.startswith(f"{k}/")), node.name)
        changed = whole in own and type(own[whole].op) is not type(node.op)
        text = None if label is None else label if not changed else "folded" if type(node.op).__name__ == "Identity" else "expanded"
        out[whole] = None if whole in out and out[whole] is None else text
    return out


def measured(graph: Graph) -> tuple[dict[str, tuple[int, ...]], dict[str, str | None]]:
    """Shapes, and how exact integrated gradients passes each node, from one run on drawn inputs.

    A free size is tried as 8, 32, 64 and 224: a network that pools needs room.
    """
    from xaicore.errors import FileRefused, XaicoreError
    from xaicore.graph.run import evaluate, sample_feeds
    from xaicore.trace import activity

    active = activity(graph, graph.float_inputs)
    last: XaicoreError | None = None
    for size in (8, 32, 64, 224):
        shapes = {k: v.shape for k, v in graph.params.items()}
        linear: dict[str, str | None] = {}

        def visit(node: Node, xs: Any, y: Any, shapes: dict[str, Any] = shapes, linear: dict[str, str | None] = linear) -> None:
            shapes[node.name] = y.shape
            flags = active[node.name]
            linear[node.name] = ("linear" if node.op.affine(flags) or node.op.routes else "kinks" if node.op.kinks(*xs) is not None
                                 else "maximum" if node.op.candidates(*xs) is not None else None)

        try:
            feeds = sample_feeds(graph, size=size)
            shapes |= {k: v.shape for k, v in feeds.items()}
            evaluate(graph, feeds, keep=(), visit=visit)
            return shapes, linear
        except XaicoreError as error:
            if isinstance(error, FileRefused) and last is not None:         # larger than is allowed: what was wrong before says more
                break
            last = error
    assert last is not None
    raise last


def layer_table(graph: Graph, shapes: Mapping[str, Sequence[int]] | None) -> Any:
    """Layers in order of first use: their operators, output shape, parameters."""
    from xaicore.show.table import Column, Table, figure

    grouped: dict[str, list[Node]] = {}
    for n in graph.nodes:
        grouped.setdefault(n.layer or n.name, []).append(n)
    rows = []
    for layer, nodes in grouped.items():
        kinds = Counter(type(n.op).__name__ for n in nodes)
        size = sum(int(graph.params[i].size) for i in dict.fromkeys(i for n in nodes for i in n.inputs) if i in graph.params)
        named = nodes[-1].name
        calls = [n.name for n in nodes if "@" in n.name]
        rows.append([layer, ", ".join(k if n == 1 else f"{n} {k}" for k, n in kinds.items()), shape_text(shapes, named), size or None,
                     named if named != layer or calls else None])
    columns = [Column("layer"), Column("operators"), Column("output"), figure("parameters", digits=12), Column("node", "last node")]
    free = [(name, k) for name, spec in graph.inputs.items() for k, n in enumerate(spec.shape) if k and n is None]
    drawn = {shapes[name][k] for name, k in free} if shapes else set()
    notes = [f"The output sizes are those of one run in which every free size was {drawn.pop()}."] if drawn else []
    return Table(columns, rows, "layers, for --layer and in the ledger", notes)


def shape_text(shapes: Mapping[str, Sequence[int]] | None, name: str) -> str | None:
    """ "N x 16 x 4 x 4"."""
    if shapes is None or name not in shapes:
        return None
    return " x ".join(["N", *(str(n) for n in shapes[name][1:])])


def plan(graph: Graph, id: str, shapes: Mapping[str, Sequence[int]] | None) -> Any:
    """The plan of one rule set for what is explained by default; UnknownName, or UncoveredNode (exit code 3)."""
    from xaicore.errors import UnknownName, nearest
    from xaicore.graph.passes import prune, without_head
    from xaicore.rules import RULE_SETS

    if id not in RULE_SETS:
        raise UnknownName(f"no rule set is called {id!r}: {nearest(id, RULE_SETS)}")
    value, _ = without_head(graph, graph.outputs[0])
    rules = ruleset(id)
    return rules.plan(rules.prepare(prune(graph, [value]), shapes), target=value)
