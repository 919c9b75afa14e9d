"""Failures that a test suite expects, each with its reason, in a mapping, a function or a file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from xaicore.errors import FileRefused, InputError, UnknownName, nearest

Expected = Mapping[str, str] | Callable[[Any], Mapping[str, str]] | str | Path | None


def expected_failures(given: Expected, explainer: Any, checks: Collection[str]) -> dict[str, str]:
    """Check -> why it is expected to fail, for one explainer.

    given    a mapping of check ids to reasons; a function of the explainer that gives one; or the path of a file with a check and a
             reason a line ("completeness  # captum#351"), where "#" begins the reason and empty lines count nothing

    Raises UnknownName for a check that there is not, InputError for one without a reason, FileRefused for a file that is none.
    """
    if given is None:
        return {}
    if isinstance(given, (str, Path)):
        found = _read(Path(given))
    else:
        found = dict(given(explainer) if callable(given) else given)
    for check, reason in found.items():
        if check not in checks:
            raise UnknownName(f"a failure of {check!r} is expected, and no check is called so: {nearest(str(check), checks)}")
        if not isinstance(reason, str) or not reason.strip():
            raise InputError(f"a failure of {check!r} is expected without a reason; say why, best with the link of an issue")
    return found


def _read(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileRefused(f"{path}: the file of expected failures cannot be read: {error}") from None
    found: dict[str, str] = {}
    for k, line in enumerate(text.splitlines(), 1):
        check, _, reason = line.partition("#")
        if not check.strip():
            continue
        if check.strip() in found:
            raise InputError(f"{path.name}, line {k}: {check.strip()!r} stands there twice")
        found[check.strip()] = reason.strip()
    return found
