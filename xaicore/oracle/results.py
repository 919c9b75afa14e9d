"""Results of checks as files that others read: JUnit for CI servers, Markdown for a summary page."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from xaicore.oracle.explainer import CheckResult


def junit(results: Sequence[CheckResult], name: str = "xaicore") -> str:
    """One test case for each result: a failure where numbers are wrong, an error where the explainer fails, skipped otherwise."""
    bad = [r for r in results if not r.ok]
    suite = ElementTree.Element("testsuite", {
        "name": name, "tests": str(len(results)), "failures": str(sum(r.kind != "fault" for r in bad)),
        "errors": str(sum(r.kind == "fault" for r in bad)), "skipped": str(sum(r.status in ("skipped", "xfail") for r in results)),
        "time": f"{sum(r.seconds for r in results):.3f}"})
    for r in results:
        case = ElementTree.SubElement(suite, "testcase", {"classname": printable(r.explainer), "name": r.check, "time": f"{r.seconds:.3f}"})
        if r.status in ("failed", "xpass"):
            text = r.message if r.status == "failed" else f"it was expected to fail ({r.expected}), and holds"
            what = ElementTree.SubElement(case, "error" if r.kind == "fault" else "failure", {"message": printable(text.splitlines()[0])})
            what.text = printable(text)
        elif r.status != "passed":
            why = r.message if r.status == "skipped" else f"expected to fail: {r.expected}"
            ElementTree.SubElement(case, "skipped", {"message": printable(why)})
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def markdown(results: Sequence[CheckResult]) -> str:
    """A table, the failures first, and each failure's message below it."""
    order = {"failed": 0, "xpass": 1, "xfail": 2, "passed": 3, "skipped": 4}
    rows = sorted(results, key=lambda r: order[r.status])
    lines = ["| explainer | check | result | |", "|---|---|---|---|"]
    for r in rows:
        word = "fault" if r.status == "failed" and r.kind == "fault" else r.status
        first = r.expected if r.status in ("xfail", "xpass") else (r.message.splitlines() or [""])[0]
        lines.append(f"| {_cell(r.explainer)} | {r.check} | {word} | {_cell(first[:160])} |")
    for r in rows:
        if r.status == "failed":
            lines += ["", f"**{_cell(r.explainer)}: {r.check}**", "", "```", printable(r.message).replace("```", "'''"), "```"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;").replace("`", "'")


def printable(text: str) -> str:
    """The text without characters that XML and terminals do not take: names come from other people's models."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
