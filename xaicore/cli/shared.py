"""What the subcommands share: opening a model, reading -m and --target, printing tables or JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaicore.errors import InputError, UnknownName, nearest

if TYPE_CHECKING:
    from xaicore.graph import Graph
    from xaicore.methods.task import Progress
    from xaicore.show.table import Table

SHIPPED = "digits"
MODEL_HELP = "a model file (.onnx, or xaicore's own .json), or the word 'digits' for the small CNN that comes with xaicore"


# ----- printing -----------------------------------------------------------------------------------------------------


def clean(text: Any) -> str:
    """The text with control characters written out: names come from files (see show.table)."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(text))


def log(text: str) -> None:
    """One line on stderr."""
    print(clean(text), file=sys.stderr)


def say(text: str = "") -> None:
    """Plain lines on stdout."""
    print("\n".join(clean(line) for line in text.split("\n")))


def show(*tables: Table) -> None:
    """Tables: with Rich in a terminal, as plain text with one line for each row elsewhere."""
    if not sys.stdout.isatty():
        print("\n\n".join(str(t) for t in tables))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for t in tables:
        for part in t.split(console.width):
            console.print(part.rich())
        for note in t.notes:
            console.print(Text(clean(note), "dim"))


def dump(document: Mapping[str, Any]) -> None:
    """The one JSON document on stdout."""
    from xaicore.show.table import plain_data

    json.dump(plain_data(document), sys.stdout, indent=2, allow_nan=False, ensure_ascii=False)
    sys.stdout.write("\n")


# ----- what was asked for ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """One -m: the method, its settings, and the text as the label of its result."""

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""


def add_methods(parser: argparse.ArgumentParser, help: str) -> None:
    """The option -m."""
    parser.add_argument("-m", "--method", action="append", default=[], metavar="ID[:k=v,...]", help=help)


def requests(texts: Iterable[str]) -> list[Request]:
    """All -m, each method and setting known; UnknownName with the nearest names, InputError for what cannot be read.

    The same text twice is one request.
    """
    from xaicore.methods.table import METHODS

    out = []
    for text in dict.fromkeys(texts):
        method, _, rest = text.partition(":")
        if method not in METHODS:
            raise UnknownName(f"no method is called {method!r}: {nearest(method, METHODS)}  (xaicore methods lists them)")
        known = METHODS[method].settings
        settings = {}
        for part in split(rest):
            key, equals, value = part.partition("=")
            if not equals or not key.strip():
                raise InputError(f"-m {text}: {part!r} is not a setting; write -m {method}:name=value,name=value")
            if key.strip() not in known:
                raise UnknownName(f"{method} has no setting {key.strip()!r}: {nearest(key.strip(), known) if known else 'it has none'}")
            settings[key.strip()] = parsed(value)
        out.append(Request(method, settings, text))
    return out


def split(text: str) -> list[str]:
    """The parts between commas that stand outside brackets.

    >>> split("eps=1e-6,low=[0,0,0]")
    ['eps=1e-6', 'low=[0,0,0]']
    """
    parts, depth = [""], 0
    for c in text:
        depth += (c in "[(") - (c in "])")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [p for p in parts if p.strip()]


def parsed(text: str) -> Any:
    """A setting's value: a whole number, a number, true, false, none, [a, b, ...] as a tuple, else the text itself.

    >>> [parsed(t) for t in ("3", "1e-6", "true", "none", "[2, 2]", "absorb")]
    [3, 1e-06, True, None, (2, 2), 'absorb']
    """
    word = text.strip()
    named = {"true": True, "false": False, "none": None}
    if word.lower() in named:
        return named[word.lower()]
    if word[:1] in ("[", "(") and word[-1:] in ("]", ")"):
        return tuple(parsed(part) for part in split(word[1:-1]))
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def target(text: str | None) -> Any:
    """--target: an index, "1,2" for a spatial output, "[3,5]" with one for each sample, "boxes:3" for a named output or layer.

    >>> target("3"), target("3,1,2"), target("[3,5]"), target("boxes:3")
    (3, (3, 1, 2), [3, 5], ('boxes', 3))
    """
    if text is None:
        return None
    name, colon, index = text.rpartition(":")
    if colon:
        rest = target(index) if index else None
        return (name,) if rest is None else (name, rest)
    try:
        if text.strip().startswith("["):
            return [int(part) for part in split(text.strip().strip("[]"))]
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--target {text!r} cannot be read; give a class index such as 3, or 3,1,2 for an entry of a spatial output, "
                         f"or [3,5] with one index for each sample, or name:3 for one of several outputs, or a layer") from None
    return numbers[0] if len(numbers) == 1 else numbers


# ----- models -----------------------------------------------------------------------------------------------------------


def add_arithmetic(parser: argparse._ActionsContainer) -> None:
    """The option --dtype."""
    parser.add_argument("--dtype", choices=("float64", "float32", "exact"), default="float64",
                        help="arithmetic; exact: rational numbers, no rounding (slow; for small networks)")


def open_model(name: str, dtype: str = "float64", **options: Any) -> Graph:
    """The graph of a model file, or of the CNN that is shipped; errors and ``options`` are those of ``xaicore.load``."""
    from xaicore.plugins import load

    if name == SHIPPED and not Path(name).exists():
        from xaicore.data import digits_model

        return digits_model(dtype)
    return load(name, dtype=dtype, **options)


def describe(graph: Graph) -> dict[str, Any]:
    """A model in a few facts, for JSON."""
    return {"name": graph.name, "dtype": graph.dtype, "nodes": len(graph.nodes), "parameters": graph.size,
            "inputs": {k: {"shape": list(s.shape), "kind": s.kind} for k, s in graph.inputs.items()}, "outputs": list(graph.outputs)}


def progress() -> tuple[Progress | None, Any]:
    """A progress callback that draws a bar on stderr, and the bar (to be stopped); (None, None) where stderr is no terminal."""
    if not sys.stderr.isatty():
        return None, None
    from rich.console import Console
    from rich.progress import Progress as Bar

    bar = Bar(console=Console(stderr=True), transient=True)
    line = bar.add_task("evaluating", total=None)
    bar.start()
    return (lambda done, count: bar.update(line, completed=done, total=count)), bar
