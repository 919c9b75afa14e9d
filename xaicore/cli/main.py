"""The command line: finds the subcommand, turns errors into one line on stderr and an exit code, never into a traceback.

Exit codes: 0 all that was asked ran and passed; 1 a mismatch or a failed axiom; 2 usage; 3 the model is understood but an operator
is not supported for the method; 4 the file is refused as unsafe or malformed; 5 nothing was checked.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from xaicore.cli import (
    check,
    compare,
    demo,
    evaluate,
    explain,
    fuzz,
    guard,
    inspect,
    methods,
    metrics,
    represent,
    rules,
    sanity,
    trace,
    vectors,
    view,
    visualize,
)
from xaicore.errors import XaicoreError

COMMANDS = (demo, inspect, explain, view, trace, check, compare, fuzz, vectors, evaluate, sanity, visualize, represent, methods, metrics,
            rules)
CODES = """exit codes:
  0  all that was asked ran and passed
  1  a mismatch, or an axiom that a method promises and does not keep
  2  wrong usage, or an input that does not fit the model
  3  the model is understood, but an operator is not supported for the method
  4  the file is refused as unsafe or malformed
  5  nothing was checked
"""


class UsageError(XaicoreError):
    """The command line itself is wrong; ``usage`` is what argparse would print."""

    def __init__(self, message: str, usage: str = ""):
        super().__init__(message)
        self.usage = usage


class Parser(argparse.ArgumentParser):
    """argparse, except that a mistake is an exception like any other."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}  (see {self.prog} --help)", self.format_usage())


class Version(argparse.Action):
    """--version, which loads nothing unless it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        from xaicore import __version__

        print(f"xaicore {__version__}")
        parser.exit()


def parser() -> Parser:
    """The whole command line."""
    top = Parser(prog="xaicore", formatter_class=argparse.RawDescriptionHelpFormatter, epilog="first steps: xaicore demo\n\n" + CODES,
                 description="A reference engine for neural-network attribution: explain a model's output, and check the explanation.")
    top.add_argument("--version", action=Version, nargs=0, help="print the version and end")
    subs = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in COMMANDS:
        name = module.__name__.rsplit(".", 1)[1]
        summary = (module.__doc__ or "").split("\n\n")[0].split(": ", 1)[1].replace("\n", " ")
        sub = subs.add_parser(name, help=summary.rstrip("."), description=summary, formatter_class=argparse.RawDescriptionHelpFormatter,
                              epilog=getattr(module, "EPILOG", None))
        module.arguments(sub)
        if name in guard.OPENS:
            guard.arguments(sub)
        sub.add_argument("--json", action="store_true", help="print one JSON document on stdout instead of tables")
        sub.set_defaults(run=module.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    try:
        args = parser().parse_args(words)
        with guard.guarded(args):
            code = int(args.run(args))
        sys.stdout.flush()
        return code
    except SystemExit as end:                                           # --help and --version
        return int(end.code or 0)
    except XaicoreError as error:
        return _failed(error, as_json)
    except KeyboardInterrupt:
        print("xaicore: interrupted", file=sys.stderr)
        return 130                                                      # what a shell reports for a program ended by Ctrl-C
    except BrokenPipeError:                                             # the reader of a pipe has enough, as in "xaicore methods | head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("XAICORE_DEBUG"):
            raise
        return _failed(_unexpected(error), as_json)


def _failed(error: XaicoreError, as_json: bool) -> int:
    """One message on stderr; with --json also the one document on stdout."""
    from xaicore.cli.shared import clean

    text = "\n".join(clean(line) for line in str(error).splitlines())
    print(f"{getattr(error, 'usage', '')}xaicore: {text}", file=sys.stderr)
    if as_json:
        kind = "UsageError" if isinstance(error, UsageError) else type(error).__name__
        print(json.dumps({"error": {"type": kind, "message": text, "exit_code": error.exit_code}}))
    return error.exit_code


def _unexpected(error: Exception) -> XaicoreError:
    """Words for what should not have happened."""
    return XaicoreError(f"internal error, {type(error).__name__}: {error}. This is a bug in xaicore or in one of its backends, not in your "
                        f"model or input: please report it with this line and the command; XAICORE_DEBUG=1 shows where it happened")
