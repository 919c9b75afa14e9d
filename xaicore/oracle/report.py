"""Verdicts: holds, fails, does not apply (with the reason), for every method and axiom, promise beside fact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from xaicore.errors import UnknownName, nearest

Status = Literal["holds", "fails", "does not apply"]
MARKS = {("holds", True): "yes", ("holds", False): "(yes)", ("fails", True): "BROKEN", ("fails", False): "no"}


@dataclass(frozen=True)
class Verdict:
    """What one axiom's check of one method found.

    residual    the largest violation (0 when it holds exactly);  tolerance  what rounding may amount to
    promised    does the method's row in METHODS promise the axiom?
    reason      why it does not apply, or where it fails
    """

    method: str
    axiom: str
    status: Status
    residual: float | None = None
    tolerance: float | None = None
    promised: bool = False
    reason: str = ""

    @property
    def broken(self) -> bool:
        """A promise that is not kept."""
        return self.promised and self.status == "fails"


@dataclass(frozen=True)
class Report:
    """The verdicts of one ``check``."""

    verdicts: tuple[Verdict, ...]

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.verdicts)

    def __len__(self) -> int:
        return len(self.verdicts)

    def of(self, method: str, axiom: str) -> Verdict:
        """The verdict of one pair; UnknownName for one that was not measured."""
        for v in self.verdicts:
            if v.method == method and v.axiom == axiom:
                return v
        pairs = (f"{v.method} {v.axiom}" for v in self.verdicts)
        raise UnknownName(f"the report has no verdict on {method!r} and {axiom!r}: {nearest(f'{method} {axiom}', pairs)}")

    @property
    def broken(self) -> tuple[Verdict, ...]:
        """All promises that are not kept."""
        return tuple(v for v in self.verdicts if v.broken)

    @property
    def ok(self) -> bool:
        """No promise is broken, and something was checked."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """0 all promises kept, 1 a promise broken, 5 nothing was checked."""
        if self.broken:
            return 1
        return 0 if any(v.status != "does not apply" for v in self.verdicts) else 5

    def as_json(self) -> list[dict[str, Any]]:
        """The verdicts as plain data."""
        return [{**asdict(v), "broken": v.broken} for v in self.verdicts]

    def grid(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """(axioms, rows): each row is a method and one mark for each axiom."""
        axioms = list(dict.fromkeys(v.axiom for v in self.verdicts))
        methods = list(dict.fromkeys(v.method for v in self.verdicts))
        cells = {(v.method, v.axiom): "-" if v.status == "does not apply" else MARKS[v.status, v.promised] for v in self.verdicts}
        return axioms, [[m, *(cells.get((m, a), "") for a in axioms)] for m in methods]

    def __str__(self) -> str:
        axioms, rows = self.grid()
        short = {a: a.replace("_", " ") for a in axioms}
        widths = [max(len(word) for word in short[a].split()) for a in axioms]
        first = max([len(r[0]) for r in rows] or [6]) + 2
        heads = [short[a].split() for a in axioms]
        height = max((len(h) for h in heads), default=1)
        lines = []
        for k in range(height):
            words = [h[k - (height - len(h))] if k >= height - len(h) else "" for h in heads]
            lines.append(" " * first + "  ".join(f"{w:>{max(n, 6)}}" for w, n in zip(words, widths)))
        for row in rows:
            lines.append(f"{row[0]:{first}}" + "  ".join(f"{c:>{max(n, 6)}}" for c, n in zip(row[1:], widths)))
        lines.append("yes: promised and measured; (yes): measured, not promised; no: not promised, and it does not hold here; "
                     "-: does not apply; BROKEN: promised, and it does not hold")
        for v in self.broken:
            lines.append(f"BROKEN {v.method}: {v.axiom}, residual {v.residual:.3g}, allowed {v.tolerance:.3g}. {v.reason}")
        return "\n".join(lines)
