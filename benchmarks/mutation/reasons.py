"""Why changes live that nobody notices: each was read, and the sentence says what makes it no mistake, or that it is a gap."""

from __future__ import annotations

REASONS: dict[str, str] = {}
"""The key of a change, or the beginning of it -> the reason."""

GAP = "gap"


def reason(key: str) -> str:
    """What is known of a survivor; the longest beginning that is listed decides. "" where it was not looked at."""
    found = [k for k in REASONS if key.startswith(k)]
    return REASONS[max(found, key=len)] if found else ""
