"""xaicore vectors: list, show, run, export or lint the certified test vectors."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xaicore.oracle.vectors import Vector

EPILOG = """what to do
  list                 the vectors, a line each
  show ID              one vector: the question, the answer, how it is known
  run SUBJECT          ask a Python function MODULE:FUNCTION all of them (docs/vectors.md says how it is called)
  export FOLDER        JSON, or with --format onnx one model.onnx and one numbers.npz for each, for runners in other languages
  lint [FILE ...]      find what is wrong with the shipped vectors, or with files of your own

examples:
  xaicore vectors list --method 'lrp.*' --flag bias
  xaicore vectors run mylib.xai:explain --emit torch --expected-failures known.json
  xaicore vectors export there --format onnx

  exit code 0 when all is as expected, 1 when something is not, 5 when nothing was checked
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """WHAT [NAME ...] and the options."""
    parser.add_argument("what", choices=("list", "show", "run", "export", "lint"), metavar="WHAT", help="list, show, run, export or lint")
    parser.add_argument("names", nargs="*", metavar="NAME", help="an id, a subject, a folder or files, as WHAT wants it")
    parser.add_argument("--method", default="*", metavar="PATTERN", help="only of methods that match, such as 'lrp.*'")
    parser.add_argument("--flag", action="append", default=[], metavar="FLAG", help="only with this flag; may be repeated")
    parser.add_argument("--emit", default="", choices=("", "torch", "onnx", "keras"), help="what the subject gets as its model")
    parser.add_argument("--expected-failures", metavar="FILE", help='JSON {"id": "why it fails"}; one that passes is a surprise')
    parser.add_argument("--rtol", type=float, default=None, metavar="R", help="allowed difference, of the largest entry (default 1e-9)")
    parser.add_argument("--format", choices=("json", "onnx"), default="json", help="of export")


def run(args: argparse.Namespace) -> int:
    """One of the five."""
    from xaicore.errors import NothingChecked
    from xaicore.oracle.vectors import vectors

    if args.what == "lint":
        return _lint(args)
    ids = args.names if args.what == "show" else ()
    if args.what == "show" and not ids:
        raise _usage("show which vector? xaicore vectors list shows their ids")
    found = vectors(args.method, args.flag, ids)
    if not found:
        raise NothingChecked(f"no vector is of a method like {args.method!r}" + (f" and has {', '.join(args.flag)}" if args.flag else ""))
    return {"list": _list, "show": _show, "run": _run, "export": _export}[args.what](args, found)


def _usage(message: str) -> Exception:
    from xaicore.cli.main import UsageError

    return UsageError(message)


def _list(args: argparse.Namespace, found: Sequence[Vector]) -> int:
    from xaicore.cli import shared
    from xaicore.show.table import listing

    if args.json:
        shared.dump({"vectors": [{"id": v.id, "method": v.method, "verdict": v.verdict, "arithmetic": v.arithmetic, "flags": list(v.flags)}
                                 for v in found]})
        return 0
    counts = Counter(v.verdict for v in found)
    notes = ["", f"{len(found)} vectors: " + ", ".join(f"{n} {k}" for k, n in counts.most_common()) +
             f"; {sum(v.arithmetic == 'exact' for v in found)} in rationals"]
    shared.show(listing(([v.id, v.verdict, ", ".join(f for f in v.flags if f != "rational")] for v in found), "vector", "verdict", "flags",
                        notes=notes))
    return 0


def _show(args: argparse.Namespace, found: Sequence[Vector]) -> int:
    from xaicore.cli import shared
    from xaicore.oracle.vectors.vector import VERDICTS

    if args.json:
        shared.dump({"vectors": [v.as_json() for v in found]})
        return 0
    for v in found:
        shared.say(f"{v.id}   ({v.arithmetic}; {', '.join(v.flags)})")
        shared.say(str(v.graph))
        for name, values in (("x", v.x), ("settings", v.settings), ("forward", v.forward), ("expected", v.expected), ("layers", v.layers)):
            for k, value in values.items():
                shared.say(f"  {name + ' ' + k:24} {_plain(value)}")
        if v.absorbed is not None:
            shared.say(f"  {'absorbed':24} {_plain(v.absorbed)}")
        for k, value in v.variants.items():
            shared.say(f"  {'with ' + k:24} {_plain(value)}")
        shared.say(f"  {v.verdict}: {VERDICTS[v.verdict]}" + (f": {v.reason}" if v.reason else ""))
        for how in v.derivations:
            shared.say(f"  known by {how}")
        shared.say(f"  source: {v.source['citation']} {v.source.get('equation', '')}")
    return 0


def _plain(value: Any) -> str:
    """Nested lists without quotation marks."""
    import json

    return json.dumps(value).replace('"', "")


def _run(args: argparse.Namespace, found: Sequence[Vector]) -> int:
    from xaicore.cli import shared
    from xaicore.oracle.serve import function
    from xaicore.oracle.vectors import vectors
    from xaicore.oracle.vectors.run import RTOL, known_failures, run

    if len(args.names) != 1:
        raise _usage("run which subject? Give one MODULE:FUNCTION")
    known = known_failures(args.expected_failures, [v.id for v in vectors()]) if args.expected_failures else {}
    done = run(function(args.names[0]), found, args.emit, known, RTOL if args.rtol is None else args.rtol)
    if args.json:
        shared.dump(done.to_json())
    else:
        shared.say(str(done))
    return done.exit_code


def _export(args: argparse.Namespace, found: Sequence[Vector]) -> int:
    from xaicore.cli import shared
    from xaicore.oracle.vectors.export import export

    if len(args.names) != 1:
        raise _usage("export where to? Give one folder")
    written, left = export(found, Path(args.names[0]), args.format)
    if args.json:
        shared.dump({"written": [str(p) for p in written], "left_out": left})
    else:
        shared.say(f"{len(written)} files in {args.names[0]}" + (f"; {len(left)} vectors have no {args.format} form:" if left else ""))
        for k, why in left.items():
            shared.say(f"  {k}: {why}")
    return 0 if written else 5


def _lint(args: argparse.Namespace) -> int:
    from xaicore.cli import shared
    from xaicore.errors import NothingChecked
    from xaicore.oracle.vectors import read, vectors
    from xaicore.oracle.vectors.lint import lint

    found = tuple(v for name in args.names for v in read(name)) if args.names else vectors(args.method, args.flag)
    if not found:
        raise NothingChecked("no vector was selected, so nothing was checked")
    problems = lint(found)
    if args.json:
        shared.dump({"vectors": len(found), "problems": problems})
    else:
        for line in problems:
            shared.say(line)
        shared.say(f"{len(found)} vectors, {len(problems)} problems")
    return 1 if problems else 0
