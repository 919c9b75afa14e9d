"""How many bytes a method needs, worked out from shapes: what ``inspect`` states, and what ``batch_size="auto"`` keeps below a limit.

Everything is for one sample and grows with their number n; parameters are there already and are not counted. With V for the bytes of all
values of a graph, one signal for each of them, and W for the working space of its largest node:

    forward      what lives at one time + W              values are released after their last reader
    gradient     3 V + W                                 the values and, with keep="all", the signal at each and its product with the value
    guided       3 V' + V + W                            V' of the graph as it is prepared (folded, expanded), V where that is another
    relevance    2 V' + V + W                            and the weights by sign
    multiplier   4 V' + V + W                            the baseline's values and the products with the differences, too
    pairs        7 V' + V + W                            two signals at each value (RevealCancel), or two passes (contrastive LRP)
    evaluation   forward, and the input that is made     one masked or drawn input of a method that only evaluates f
    point        V + W, and the input that is made       one point of a path or of a noise: values, and signals that are not kept

Weights by sign and laid out for products are kept beside them within a budget (``ops.kept``), in every family.

The estimate is from above: with tracemalloc, the greediest method of a family was measured at 0.25 to 1 of it (docs/cost.md,
tests/methods/test_memory.py), and the resident memory of the process grows as what is allocated does, to a tenth. What a method stores
besides (coalitions, masks, segments, results) is not in it. Deterministic: no clock and no allocation is looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from xaicore.errors import InputError, TooLarge, XaicoreError
from xaicore.graph.graph import Graph, InputSpec, Node
from xaicore.graph.passes import prune, without_head
from xaicore.graph.run import check_feeds, sample_feeds, shapes_of
from xaicore.graph.untrusted import max_bytes
from xaicore.ops import Conv, ConvTranspose
from xaicore.ops.conv import block_bytes
from xaicore.ops.kept import BUDGET, FAST_BUDGET
from xaicore.ops.laid import LARGE
from xaicore.ops.recurrence import REMEMBERED, Recurrence
from xaicore.rules import RULE_SETS
from xaicore.rules.ruleset import RuleSet

if TYPE_CHECKING:
    from xaicore.methods.table import Method

ITEM = {"float64": 8, "float32": 4, "exact": 200}
"""Bytes of a number; a Fraction is an object with two whole numbers in it, here of some 60 digits."""

SETS = {"guided": ("guided_backprop", 3), "relevance": ("lrp.epsilon", 2), "multiplier": ("deeplift.rescale", 4),
        "pairs": ("deeplift.reveal_cancel", 7)}
"""Family -> the rule set whose graph is counted, and how many times its values."""

SMALL = 2048
"""Bytes of what belongs to a node whatever its size: the objects around its arrays, its signals, its line in the ledger."""

PAIRS = ("deeplift.reveal_cancel", "deeplift.genomics", "clrp", "sglrp")
Shapes = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Need:
    """Bytes for n samples: ``fixed + n * sample``, and blocks of work that stop growing at ``most``: min(n * block, most)."""

    fixed: int
    sample: int
    block: int = 0
    most: int = 0

    def of(self, n: int) -> int:
        """The bytes for n samples."""
        return self.fixed + n * self.sample + min(n * self.block, self.most)

    def fitting(self, limit: int) -> int:
        """The most samples that need no more than ``limit`` bytes; 0 where one needs more."""
        capped = (limit - self.fixed - self.most) // max(self.sample, 1)
        free = (limit - self.fixed) // max(self.sample + self.block, 1)
        return max(0, capped if capped * self.block >= self.most else free)


def needs(graph: Graph, shapes: Shapes) -> dict[str, Need]:
    """Family -> Need, with the keys of the table above; a family whose rule set does not take the graph is left out.

    shapes   of every value for one sample (``graph.run.shapes_of``); where the graph has a fixed batch, for that batch
    """
    samples = _batch(graph, shapes)
    own = _values(graph, shapes, samples)
    given = sum(own[k] for k in graph.inputs)
    forth, back = _work(graph, shapes, own, samples, 1), _work(graph, shapes, own, samples, 3)
    whole = sum(own.values())
    small = SMALL * len(graph.nodes)
    forward = Need(small + _beside(graph, False), _live(graph, own) + forth[0], *forth[1:])
    point = Need(0, whole + back[0] + 12 * given, *back[1:])
    out = {"forward": forward, "gradient": Need(forward.fixed, 3 * whole + back[0] + 4 * given, *back[1:])}
    known: dict[Any, tuple[Graph | None, bool]] = {}
    seen: dict[int, Shapes] = {id(graph): shapes}
    for family, (rules, times) in SETS.items():
        try:
            ready = RULE_SETS[rules]().prepare(graph, shapes, known)
            if id(ready) not in seen:
                drawn = {k: InputSpec(tuple(shapes[k]), spec.kind) for k, spec in ready.inputs.items()}
                seen[id(ready)] = shapes_of(ready, sample_feeds(replace(ready, inputs=drawn)))
        except XaicoreError:                                            # a length that an expansion needs is free, say
            continue
        there = _values(ready, seen[id(ready)], samples)
        work, block, most = _work(ready, seen[id(ready)], there, samples, 3)
        folded = sum(v.nbytes for k, v in ready.params.items() if graph.params.get(k) is not v)
        by_sign = family in ("relevance", "pairs")
        each = times * sum(there.values()) + (0 if ready is graph else whole) + work + 4 * given
        out[family] = Need(SMALL * len(ready.nodes) + folded + _beside(ready, by_sign), each, block, most)
    return {**out, "evaluation": Need(0, forward.sample + 12 * given, forward.block, forward.most), "point": point}


def _beside(graph: Graph, by_sign: bool) -> int:
    """What is made of the parameters, and kept beside them as far as the budget goes: their parts of either sign, their layouts."""
    item = ITEM[graph.dtype]
    weights = [prod(v.shape) * item for v in graph.params.values()]
    if graph.dtype == "exact":                                          # nothing is kept
        return 2 * max(weights, default=0) if by_sign else 0
    laid = transformed = 0
    for n in graph.nodes:
        if isinstance(n.op, Conv) and n.inputs[1] in graph.params and graph.params[n.inputs[1]].size >= LARGE:
            size = graph.params[n.inputs[1]].size * item * (6 if by_sign else 2)
            laid, transformed = laid + size, transformed + 4 * size * n.op.fast
    made = laid + (2 * sum(weights) if by_sign else 0)
    return min(made, BUDGET) + min(transformed, FAST_BUDGET) + (2 * max(weights, default=0) if made > BUDGET else 0)


def _batch(graph: Graph, shapes: Shapes) -> int:
    """How many samples the shapes are of; 1 for a graph of no samples, whose values take no bytes."""
    return max((shapes[k][0] for k in graph.inputs if shapes[k] and shapes[k][0]), default=1)


def _values(graph: Graph, shapes: Shapes, samples: int) -> dict[str, int]:
    """Bytes of every value for one sample; views count as if they were copies."""
    item = ITEM[graph.dtype]
    return {k: -(-prod(shapes[k]) * item // samples) for k in (*graph.inputs, *(n.name for n in graph.nodes))}


def _live(graph: Graph, own: Mapping[str, int]) -> int:
    """The most that lives at one time when each value is released after its last reader."""
    readers = Counter(i for n in graph.nodes for i in set(n.inputs))
    now = most = sum(own[k] for k in graph.inputs)
    for n in graph.nodes:
        now += own[n.name]
        most = max(most, now)
        for i in set(n.inputs):
            readers[i] -= 1
            if not readers[i] and i in own and i not in graph.outputs:
                now -= own[i]
    return most


def _work(graph: Graph, shapes: Shapes, own: Mapping[str, int], samples: int, times: int) -> tuple[int, int, int]:
    """Working space of the greediest node: bytes for a sample, bytes of blocks for a sample, and where blocks stop growing.

    ``times`` 1 forwards (temporary arrays as large as the output and the inputs), 3 on the way back (signals, denominators, parts by sign).
    """
    item, work, block, most = ITEM[graph.dtype], 0, 0, 0
    for n in graph.nodes:
        here = own[n.name] + sum(own.get(i, 0) for i in n.inputs)
        windows, limit = _blocks(n, shapes, samples, item, times)
        padded = (2 if n.op.fast else 0.25) if isinstance(n.op, Conv) else 0
        work, block, most = max(work, int((times + padded) * here)), max(block, windows), max(most, limit)
    return work, block, most


def _blocks(node: Node, shapes: Shapes, samples: int, item: int, times: int) -> tuple[int, int]:
    """What an operator gathers piece by piece: the windows of a convolution, what a recurrence remembers of its steps."""
    op = node.op
    if isinstance(op, (Conv, ConvTranspose)):
        w, space = shapes[node.inputs[1]], shapes[node.name if isinstance(op, Conv) else node.inputs[0]]
        row = prod(w[2:]) * max(w[0], w[1]) * item
        return row * prod(space[2:]) * space[0] // samples, 3 * block_bytes(row) // 2
    if isinstance(op, Recurrence):
        steps, wide = shapes[node.inputs[0]][1], shapes[node.inputs[1]][0]
        return (3 if times == 1 else 7) * steps * wide * item, 3 * REMEMBERED
    return 0, 0


# ----- batch_size="auto" ------------------------------------------------------------------------------------------------


def family_of(row: Method, settings: Mapping[str, Any], method: Any = None) -> str:
    """The family of ``needs`` that a method, or a rule set ``method``, is of."""
    if row.id in PAIRS:
        return "pairs"
    if isinstance(method, RuleSet) or row.id in RULE_SETS:
        try:
            rules = method if isinstance(method, RuleSet) else RULE_SETS[row.id]()
        except XaicoreError:                                            # lrp.z_box, which needs the range of the input
            return "relevance"
        if rules.carrier == "cotangent":
            return "gradient" if rules.name == "gradient" else "guided"
        return "pairs" if rules.annotate else "multiplier" if rules.carrier == "multiplier" else "relevance"
    if row.free:
        return "evaluation"
    inner = settings.get("of")                                          # smoothgrad(of="lrp.epsilon")
    if inner is not None:
        return "pairs" if "deep" in str(inner) else "relevance"
    return "pairs" if row.id.startswith("deep") else "point" if row.slow else "gradient"


def fitting(graph: Graph, x: Any, family: str, internal: bool, what: str) -> int:
    """The batch size with which a method stays below the limit on bytes (``--max-bytes``; 2 GiB unless set): from 1 to 4096.

    family     of ``needs``;  internal   does the method evaluate more inputs than the samples, ``batch_size`` at a time?
    Raises TooLarge (exit code 4) where the samples alone, or one internal evaluation beside them, need more.
    """
    if not isinstance(graph, Graph):
        raise InputError(f"batch_size='auto' needs a Graph, whose values it counts, not a {type(graph).__name__}")
    feeds = check_feeds(graph, x)
    n, limit = len(next(iter(feeds.values()))), max_bytes()
    one = {k: v[:1] if graph.inputs[k].shape[0] is None else v for k, v in feeds.items()}
    core = prune(graph, [without_head(graph, o)[0] for o in graph.outputs])
    shapes = shapes_of(core, {k: one[k] for k in core.inputs})
    known = needs(core, shapes)
    need = known.get(family, known["gradient"])
    if not internal:
        if need.of(n) > limit:
            raise TooLarge(_says(what, n, need.of(n), limit, need.fitting(limit)))
        return 4096
    kept = n * sum(_values(core, shapes, _batch(core, shapes)).values())
    size = need.fitting(limit - kept)
    if size < 1:
        both = Need(need.fixed + need.of(1), kept // n)
        raise TooLarge(_says(what, n, kept + need.of(1), limit, both.fitting(limit)))
    return min(4096, size)


def _says(what: str, n: int, asked: int, limit: int, possible: int) -> str:
    fewer = f"explain at most {possible} at once (xaicore.explain_many takes any number)" if possible else "no smaller number fits"
    return (f"{what} of {n} sample{'s' * (n > 1)} needs about {asked:,} bytes, and {limit:,} are allowed; {fewer}, use float32, or allow "
            f"more with --max-bytes (xaicore.graph.untrusted.limited in Python)")
