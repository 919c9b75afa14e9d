"""Results as tables: one description, shown by Rich in a terminal, as aligned plain text in a pipe, as records in JSON.

Names come from model files, so nothing that could steer a terminal is ever printed: see ``clean``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from xaicore.graph.graph import Graph
from xaicore.methods.attribution import Attribution
from xaicore.methods.table import METHODS
from xaicore.oracle.report import Report
from xaicore.rules.ruleset import Plan

if TYPE_CHECKING:
    from rich.table import Table as RichTable


def clean(text: Any) -> str:
    """The text with every control or direction-changing character written out as its code.

    >>> clean("fc\\x1b[2J")
    'fc\\\\x1b[2J'
    """
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(text))


def plain_data(value: Any) -> Any:
    """Numbers, strings, lists and mappings that JSON has: arrays as lists, rationals as "p/q", NaN and infinities as strings."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else str(value)
    if isinstance(value, np.ndarray):
        return plain_data(value.tolist())
    if isinstance(value, np.generic):
        return plain_data(value.item())
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(k): plain_data(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_data(v) for v in value]
    return str(value)


def settings(values: Mapping[str, Any], longest: int = 16) -> dict[str, Any]:
    """Settings as plain data, with arrays of more than ``longest`` entries given by their shape alone."""
    def short(v: Any) -> Any:
        if isinstance(v, Mapping):
            return {str(k): short(one) for k, one in v.items()}
        if isinstance(v, np.ndarray) and v.size > longest:
            return f"array of shape {v.shape}"
        if isinstance(v, (list, tuple)):
            return [short(one) for one in v] if len(v) <= longest else f"{len(v)} entries"
        if isinstance(v, Graph):
            return f"graph {v.name or 'without a name'}"
        return plain_data(v)

    return {str(k): short(v) for k, v in values.items()}


# ----- a table ------------------------------------------------------------------------------------------------------


def significant(digits: int) -> Callable[[Any], str]:
    """A format for numbers with so many significant digits; "-" for what is not there."""
    def show(v: Any) -> str:
        return "-" if v is None else v if isinstance(v, str) else f"{float(v):.{digits}g}"

    return show


def unstyled(text: str) -> str:
    """No colour."""
    return ""


@dataclass(frozen=True)
class Column:
    """A column's key in JSON, its heading, how its values are written, and how a written value is coloured."""

    key: str
    heading: str = ""
    show: Callable[[Any], str] = str
    right: bool = False
    style: Callable[[str], str] = unstyled
    long: bool = False                                                  # text that may be broken into lines in a terminal

    @property
    def title(self) -> str:
        """The heading, which may have several lines, or the key in words."""
        return self.heading or self.key.replace("_", " ")


def figure(key: str, heading: str = "", digits: int = 6) -> Column:
    """A column of numbers."""
    return Column(key, heading, significant(digits), right=True)


@dataclass(frozen=True)
class Table:
    """Columns, rows of raw values, a title above and notes below."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    title: str = ""
    notes: Sequence[str] = ()

    def records(self) -> list[dict[str, Any]]:
        """One mapping for each row, with raw values: for JSON."""
        return [{c.key: plain_data(v) for c, v in zip(self.columns, row)} for row in self.rows]

    def cells(self) -> list[list[str]]:
        """The rows as they are written."""
        return [["-" if v is None else clean(c.show(v)) for c, v in zip(self.columns, row)] for row in self.rows]

    def __str__(self) -> str:
        """Aligned plain text, one line for each row however long it is, so that it can be searched and cut."""
        cells = self.cells()
        words = [c.title.split("\n") for c in self.columns]
        height = max(len(w) for w in words)
        heads = [[w[k - height + len(w)] if k >= height - len(w) else "" for w in words] for k in range(height)]
        widths = [max(len(line[k]) for line in [*heads, *cells]) for k in range(len(words))]
        lines = [clean(self.title)] if self.title else []
        for line in [*heads, ["-" * w for w in widths], *cells]:
            parts = (text.rjust(w) if c.right else text.ljust(w) for text, w, c in zip(line, widths, self.columns))
            lines.append("  ".join(parts).rstrip())
        return "\n".join([*lines, *(clean(n) for n in self.notes)])

    def _widths(self) -> list[int]:
        """The width of each column unbroken; at most 22 for long text."""
        cells = self.cells()
        natural = [max([len(w) for w in c.title.split("\n")] + [len(row[k]) for row in cells]) for k, c in enumerate(self.columns)]
        return [min(w, 22) if c.long else w for w, c in zip(natural, self.columns)]

    def split(self, width: int) -> list[Table]:
        """Tables that fit into ``width`` characters, one below the other, each beginning with the first column."""
        widths, groups = self._widths(), [[0]]
        for k in range(1, len(widths)):
            used = sum(widths[i] + 2 for i in groups[-1])               # 2: what stands between two columns
            if used + widths[k] + 2 > width and len(groups[-1]) > 1:
                groups.append([0])
            groups[-1].append(k)
        last = len(groups) - 1
        return [Table([self.columns[k] for k in g], [[row[k] for k in g] for row in self.rows], self.title if n == 0 else "",
                      self.notes if n == last else ()) for n, g in enumerate(groups)]

    def rich(self) -> RichTable:
        """Title, columns and rows for Rich, without the notes."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(title=Text(clean(self.title)) if self.title else None, title_justify="left", box=box.SIMPLE_HEAD,
                          header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
        for c in self.columns:
            table.add_column(c.title, justify="right" if c.right else "left", no_wrap=not c.long, overflow="fold", vertical="top")
        for line in self.cells():
            table.add_row(*(Text(text, c.style(text)) for text, c in zip(line, self.columns)))
        return table


# ----- what results look like as tables -------------------------------------------------------------------------------


def targets(a: Attribution) -> list[str]:
    """The explained entry of each sample, in short: "3", "(0, 2, 5)", "weights", "own function"."""
    n = len(a.output)
    if isinstance(a.target, str):                                       # no target was given: the largest entry
        value = a.graph(a.feeds)
        value = value[0] if isinstance(value, tuple) else value
        return [str(int(np.argmax(row))) for row in value.reshape(n, -1)]
    if callable(a.target):
        return ["own function"] * n
    t = a.target
    if isinstance(t, tuple) and t and isinstance(t[0], str):
        return [": ".join(str(part) for part in t)] * n
    array = np.asarray(t)
    if isinstance(t, tuple):
        return [str(tuple(int(k) for k in t))] * n
    if array.ndim == 0:
        return [str(t)] * n
    if array.dtype.kind in "iu" and len(array) == n:
        return [str(tuple(k.tolist()) if k.ndim else int(k)) for k in array]
    return ["weights"] * n


def sums_up(a: Attribution) -> bool:
    """Does the method promise a sum (completeness or conservation), so that a gap means something?"""
    return a.method not in METHODS or bool({"completeness", "conservation"} & set(METHODS[a.method].promises))


def passes_on(a: Attribution) -> bool:
    """Is what flows backward a quantity that nodes pass on or absorb (relevance, contribution), not a gradient?"""
    return a.ledger is not None and len(a.ledger) > 0 and sums_up(a)


def absorbed(a: Attribution, sample: int) -> float | None:
    """What was absorbed between output and inputs; None where nothing is passed on, or where the map is that of a layer."""
    if not passes_on(a) or a.absorbed is None or not set(a.values) <= set(a.graph.inputs):
        return None
    return float(a.absorbed[sample])


def attributions(results: Mapping[str, Attribution], limit: int = 12) -> Table:
    """Method, target, f(x), sum, absorbed, gap and time, for at most ``limit`` samples of each result."""
    several = any(len(a.output) > 1 for a in results.values())
    based = any(a.baseline_output is not None for a in results.values())
    columns = [Column("method"), *([figure("sample")] if several else []), Column("target"), figure("f_x", "f(x)"),
               *([figure("f_baseline", "f(baseline)")] if based else []), figure("sum"), figure("absorbed", digits=3),
               Column("gap", show=str, right=True), Column("seconds", "time", lambda s: f"{s:.3f} s", right=True)]
    rows, left_out = [], 0
    for label, a in results.items():
        names, total, gap = targets(a), a.total(), a.gap()
        left_out = max(left_out, len(a.output) - limit)
        for n in range(min(len(a.output), limit)):
            rows.append([
                label, *([n] if several else []), names[n], _number(a.output[n]),
                *([None if a.baseline_output is None else _number(a.baseline_output[n])] if based else []), _number(total[n]),
                absorbed(a, n), _Gap(_number(gap[n]), sums_up(a)), a.seconds])
    notes = ["gap: f(x) - f(baseline) - sum, or f(x) - sum without a baseline; in brackets where the method promises no sum.",
             "absorbed: what biases, stabilisers and empty denominators kept, by the ledger."]
    if left_out > 0:
        notes.insert(0, f"... and {left_out} more samples")
    return Table(columns, rows, notes=notes)


class _Gap(float):
    """A gap that writes itself in brackets where no sum was promised."""

    promised: bool

    def __new__(cls, value: float, promised: bool) -> _Gap:
        self = super().__new__(cls, value)
        self.promised = promised
        return self

    def __str__(self) -> str:
        text = f"{float(self):.3g}"
        return text if self.promised else f"({text})"


def _number(v: Any) -> float:
    return float(v)


def ledger(a: Attribution, label: str = "", sample: int = 0) -> Table:
    """The books of a backward pass, from the output to the input: what arrived at each node, was passed on, absorbed."""
    assert a.ledger is not None
    flows = passes_on(a)
    from_layers = any(e.node.layer not in ("", e.node.name) for e in a.ledger)
    columns = [Column("node"), *([Column("layer")] if from_layers else []), Column("operator"),
               figure("arrived"), figure("passed", "passed on"), figure("absorbed", digits=3)]
    rows = [[e.node.name, *([e.node.layer or None] if from_layers else []), type(e.node.op).__name__,
             float(e.arrived[sample]), float(e.passed[sample]), float(e.absorbed[sample])] for e in a.ledger]
    words = "gradient times value (which is not conserved, so a difference is no leak)"
    if flows:
        words = "relevance" if a.baseline_output is None else "contribution"
    which = f", sample {sample}" if len(a.output) > 1 else ""
    total = f"absorbed in all: {float(a.ledger.absorbed[sample]):.6g} of {float(a.ledger.seed[sample]):.6g}"
    return Table(columns, rows, f"{label or a.method}: {words} at each node{which}", [total] if flows else [])


def plan(p: Plan) -> Table:
    """Which rule each node gets, and why."""
    rows = [[n.name, str(n.op), p.rows[n.name][0], p.rows[n.name][2].label, p.rows[n.name][1].label]
            for n in p.graph.nodes if n.name in p.rows]
    columns = [Column("node"), Column("operator"), figure("row"), Column("rule"), Column("because", "because it matches", long=True)]
    return Table(columns, rows, f"{p.ruleset.name}: the rule of each node")


def verdicts(report: Report) -> Table:
    """Axioms x methods, promise beside fact."""
    colour = {"yes": "green", "BROKEN": "bold red"}
    axioms, grid = report.grid()
    columns = [Column("method"), *(Column(a, a.replace("_", "\n"), style=lambda text: colour.get(text, "dim")) for a in axioms)]
    notes = ["yes: promised and measured; (yes): measured, not promised; no: not promised, and it does not hold here;",
             "-: does not apply; BROKEN: promised, and it does not hold"]
    return Table(columns, grid, "axioms: promise and fact", notes)


def listing(rows: Iterable[Sequence[Any]], *columns: str, title: str = "", notes: Sequence[str] = ()) -> Table:
    """A table of texts under these headings; the last column may be long."""
    made = [Column(c.replace(" ", "_"), c, long=k == len(columns) - 1) for k, c in enumerate(columns)]
    return Table(made, [list(r) for r in rows], title, notes)


def reasons(report: Report) -> Table:
    """Every verdict that is not a plain yes, with its figures and its reason."""
    columns = [Column("method"), Column("axiom"), Column("status"), figure("residual", digits=3), figure("tolerance", "allowed", digits=3),
               Column("reason", long=True)]
    rows = [[v.method, v.axiom.replace("_", " "), v.status, v.residual, v.tolerance, v.reason] for v in report if v.status != "holds"]
    return Table(columns, rows, "what does not hold or does not apply")


def broken(report: Report) -> list[str]:
    """One line for each promise that is not kept."""
    return [clean(f"BROKEN {v.method}: {v.axiom.replace('_', ' ')}, residual {v.residual:.3g}, allowed {v.tolerance:.3g}. {v.reason}")
            for v in report.broken]
