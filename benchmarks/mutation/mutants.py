"""The changes that are planted: places in the syntax tree of a module, and what stands there instead."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).parents[2]
TEXT = ("sources",)
"""Modules that hold nothing but text."""

COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot,
               ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult}
_PAIRS = (("maximum", "minimum"), ("positive", "negative"), ("max", "min"), ("zeros", "ones"), ("any", "all"), ("argmax", "argmin"),
          ("floor", "ceil"), ("zeros_like", "ones_like"))
NAMES = {**dict(_PAIRS), **{b: a for a, b in _PAIRS}}
SILENT = {"copy", "repr", "compare", "eq", "order", "casting"}
"""Keywords that change no number: ``copy=False`` saves time, ``repr`` and ``compare`` of a dataclass's field are for the eye and for ==."""
LABELLED = {"Rule": (0, 2), "Selector": (0,)}
"""Arguments that are text for a reader: the label of a rule and its source, the label of a selector."""


@dataclass(eq=False)
class Source:
    """One module: its file, its tree and its code as it stands."""

    path: Path
    name: str = ""
    tree: ast.Module = field(init=False)
    code: CodeType = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.name or ".".join(self.path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        self.tree = ast.parse(self.path.read_text(encoding="utf-8"))
        self.code = self.compiled()

    def compiled(self) -> CodeType:
        """The tree as it stands now, as code."""
        return compile(self.tree, str(self.path), "exec", dont_inherit=True)


@dataclass(eq=False)
class Mutant:
    """One change: ``before`` becomes ``after`` in a function (or a class, or the module). ``key`` does not move with the lines.

    lines  of the statement;  body  of the function whose default changes;  nested  in how many functions the place is
    """

    source: Source
    where: str
    kind: str
    before: str
    after: str
    lines: tuple[int, int]
    line: int
    parent: Any
    place: tuple[str, int | None]
    old: Any
    new: Any
    nested: int = 0
    body: tuple[int, int] = (0, 0)
    key: str = ""

    @property
    def default(self) -> bool:
        """Whether it is the default of an argument that changes, of a function in no other."""
        return self.place[0] in ("defaults", "kw_defaults") and self.nested < 2 and isinstance(self.parent, ast.arguments)

    @contextmanager
    def made(self) -> Iterator[CodeType]:
        """The module's code with the change; the tree is as before afterwards."""
        self._set(self.new)
        try:
            yield self.source.compiled()
        finally:
            self._set(self.old)

    def _set(self, value: Any) -> None:
        name, k = self.place
        if k is None:
            setattr(self.parent, name, value)
        else:
            getattr(self.parent, name)[k] = value


def sources(scope: str, only: str = "") -> list[Source]:
    """The modules of a package of xaicore ("ops", "rules", "methods"), or one module ("numerics"); ``only``: that one of the package."""
    folder = ROOT / "xaicore" / scope
    found = sorted(folder.glob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    found = [p for p in found if p.stem not in TEXT and (not only or p.stem in only.split(","))]
    if not found or not all(p.is_file() for p in found):
        raise SystemExit(f"no module {only or scope!r} stands in xaicore/{scope if only else ''}")
    return [Source(p) for p in found]


def mutants(source: Source) -> list[Mutant]:
    """All changes of one module, in the order of its lines."""
    found = list(_inside(source, source.tree, [], (0, 0)))
    counts: Counter[str] = Counter()
    for m in found:
        m.key = f"{source.name.removeprefix('xaicore.')}:{m.where}: {m.before} -> {m.after}"
        counts[m.key] += 1
        if counts[m.key] > 1:
            m.key += f" ({counts[m.key]})"
    return found


def _inside(source: Source, node: ast.AST, names: list[str], lines: tuple[int, int], nested: int = 0,
            body: tuple[int, int] = (0, 0)) -> Iterator[Mutant]:
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "ctx", "type_params"):
            continue
        for k, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or _untouched(node, name, child):
                continue
            at = _lines(child, lines)
            for kind, new in _changes(child, node, name):
                if not kind.startswith("dropped ") or isinstance(new, ast.IfExp):       # what stood inside has its place already
                    ast.fix_missing_locations(ast.copy_location(new, child))
                shown = new.body if isinstance(new, ast.IfExp) and not isinstance(child, ast.IfExp) else new
                yield Mutant(source, ".".join(names) or "the module", kind, _text(child), _text(shown), at, child.lineno, node,
                             (name, k), child, new, nested, body)
            if _free(node, child):
                continue
            inner = [*names, child.name] if isinstance(child, (ast.FunctionDef, ast.ClassDef)) else names
            deeper = nested + isinstance(child, (ast.FunctionDef, ast.Lambda))
            own = (child.body[0].lineno, child.end_lineno or 0) if isinstance(child, ast.FunctionDef) else body
            yield from _inside(source, child, inner, at, deeper, own)


def _untouched(parent: ast.AST, name: str, child: ast.AST) -> bool:
    """Text, types, labels, and what is said in an error."""
    if isinstance(parent, ast.Call) and name == "args" and isinstance(parent.func, ast.Name) and parent.func.id in LABELLED:
        return parent.args.index(child) in LABELLED[parent.func.id]         # type: ignore[arg-type]
    if isinstance(child, ast.FunctionDef):
        return child.name in ("__str__", "__repr__") or (isinstance(child.returns, ast.Name) and child.returns.id == "str")
    if isinstance(child, (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)):
        return True
    if isinstance(child, ast.Expr):
        return isinstance(child.value, ast.Constant)
    if isinstance(child, ast.Assign):
        return any(isinstance(t, ast.Name) and t.id.startswith("__") for t in child.targets)
    if isinstance(child, ast.AnnAssign):
        return "TypeAlias" in ast.unparse(child.annotation)
    if isinstance(child, ast.keyword):
        return child.arg in SILENT
    if isinstance(child, ast.Call):
        return isinstance(child.func, ast.Name) and child.func.id in ("cast", "TypeVar")
    return isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"


def _free(parent: ast.AST, child: ast.AST) -> bool:
    """The -1 of a ``reshape``, whose 1 stays: NumPy reads any number below 0 alike."""
    return (isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute) and parent.func.attr == "reshape"
            and isinstance(child, ast.UnaryOp) and isinstance(child.op, ast.USub))


def _lines(node: ast.AST, outer: tuple[int, int]) -> tuple[int, int]:
    """The lines of the statement, of its head where it has a body."""
    if not isinstance(node, ast.stmt):
        return outer
    if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.If, ast.For, ast.While, ast.With, ast.Try)):
        return node.lineno, max(node.lineno, node.body[0].lineno - 1)
    return node.lineno, node.end_lineno or node.lineno


def _changes(node: ast.AST, parent: ast.AST, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, ast.Compare):
        for k, op in enumerate(node.ops):
            ops = [COMPARISONS[type(op)]() if j == k else o for j, o in enumerate(node.ops)]
            yield "comparison", ast.Compare(node.left, ops, node.comparators)
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC and not _is_text(node.left) and not _is_text(node.right):
        yield "arithmetic", ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
        if isinstance(node.op, ast.Sub):
            yield "swapped", ast.BinOp(node.right, ast.Sub(), node.left)
        if isinstance(node.op, ast.Add):
            yield "dropped term", _instead(node.left, node)
    elif isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield "arithmetic", ast.AugAssign(node.target, ARITHMETIC[type(node.op)](), node.value)
    elif isinstance(node, ast.BoolOp):
        yield "and/or", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield "dropped " + ("not" if isinstance(node.op, ast.Not) else "minus"), node.operand
    elif isinstance(node, ast.Constant):
        yield from _constants(node, parent, name)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in NAMES:
        yield "name", _instead(ast.Name(NAMES[node.id], ast.Load()), node)
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr in NAMES:
        yield "name", ast.Attribute(node.value, NAMES[node.attr], ast.Load())
    if isinstance(parent, (ast.If, ast.IfExp, ast.While)) and name == "test" and isinstance(node, (ast.Name, ast.Attribute, ast.Call)):
        yield "condition", ast.UnaryOp(ast.Not(), node)


def _constants(node: ast.Constant, parent: ast.AST, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node.value, bool):
        yield "constant", ast.Constant(not node.value)
    elif isinstance(node.value, (int, float)):
        yield "constant", ast.Constant(node.value + 1)
    elif isinstance(node.value, str) and isinstance(parent, ast.arguments):
        yield "default", ast.Constant(node.value + "?")


def _instead(new: ast.expr, old: ast.expr) -> ast.expr:
    """``new``, with the names of ``old`` still mentioned: a function whose free variables change cannot be exchanged while it runs."""
    return ast.IfExp(ast.Constant(True), new, old)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, (ast.JoinedStr, ast.Tuple, ast.List)) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) < 90 else text[:50] + " … " + text[-35:]
