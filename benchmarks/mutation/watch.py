"""Which lines of some files a call executes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container
from typing import Any


def traced(call: Callable[[], Any], files: Container[str]) -> dict[str, set[int]]:
    """File -> lines; what the call raises is raised."""
    seen: dict[str, set[int]] = {}

    def enter(frame: Any, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        if name not in files:
            return None
        lines = seen.setdefault(name, set())
        lines.add(frame.f_lineno)

        def step(frame: Any, event: str, argument: Any) -> Any:
            lines.add(frame.f_lineno)
            return step

        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        call()
    finally:
        sys.settrace(before)
    return seen
