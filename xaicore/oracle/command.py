"""``python -m xaicore.testing package.module:Explainer``: the checks of an explainer in CI, with JUnit and Markdown reports."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from xaicore.errors import InputError, NothingChecked, XaicoreError
from xaicore.oracle.explainer import BUDGETS, CheckResult, Explainer, check_explainer
from xaicore.oracle.results import junit, markdown, printable


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the checks; 0 nothing to do, 1 a check failed, 2 the explainer or the call is wrong, 5 nothing was checked."""
    parser = argparse.ArgumentParser(prog="python -m xaicore.testing", description=(__doc__ or "").split(": ", 1)[1])
    parser.add_argument("explainer", metavar="MODULE:CLASS", help="a subclass of xaicore.testing.Explainer, or an instance of one")
    parser.add_argument("--checks", metavar="A,...", help="only these checks (default: what the explainer claims)")
    parser.add_argument("--budget", choices=tuple(BUDGETS), default="ci", help="how many networks (default ci)")
    parser.add_argument("--expected", metavar="FILE", help="expected failures: a check and its reason a line, 'completeness  # mine#12'")
    parser.add_argument("--no-strict", action="store_true", help="an expected failure that does not come is no failure")
    parser.add_argument("--junit", metavar="FILE", help="write JUnit XML")
    parser.add_argument("--markdown", metavar="FILE", help="append Markdown, such as $GITHUB_STEP_SUMMARY")
    args = parser.parse_args(argv)
    try:
        results = check_explainer(
            _explainer(args.explainer), on_fail=None, budget=args.budget, expected_failed=args.expected, strict=not args.no_strict,
            checks=None if args.checks is None else [one.strip() for one in args.checks.split(",")], callback=_tell)
    except XaicoreError as error:
        print(f"xaicore: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    if args.junit:
        Path(args.junit).write_text(junit(results), encoding="utf-8")
    if args.markdown:
        with Path(args.markdown).open("a", encoding="utf-8") as stream:
            stream.write(markdown(results))
    bad = [r for r in results if r.status == "failed" or (r.status == "xpass" and not args.no_strict)]
    print(f"{len(results)} checks: " + ", ".join(f"{n} {word}" for word in ("passed", "failed", "xfail", "xpass", "skipped")
                                                 if (n := sum(r.status == word for r in results))))
    if not bad:
        return 0
    return 1 if any(r.kind != "fault" for r in bad) else 2


def _tell(r: CheckResult) -> None:
    word = "FAULT" if r.status == "failed" and r.kind == "fault" else r.status.upper() if r.status in ("failed", "xpass") else r.status
    print(f"{word:8} {r.check:26} {r.seconds:6.2f} s  {r.expected or (r.message if r.status != 'failed' else '')}")
    if r.status == "failed":
        print("\n".join(f"    {line}" for line in printable(r.message).splitlines()))


def _explainer(name: str) -> Explainer:
    module, colon, attribute = name.partition(":")
    if not colon:
        raise InputError(f"{name!r} names no explainer; write package.module:Class")
    sys.path.insert(0, "")
    try:
        found = getattr(import_module(module), attribute, None)
    except ImportError as error:
        raise NothingChecked(f"{module!r} does not import ({error}), so nothing was checked") from None
    made = found() if isinstance(found, type) else found
    if not isinstance(made, Explainer):
        raise InputError(f"{name} is {type(made).__name__}, and no xaicore.testing.Explainer")
    return made
