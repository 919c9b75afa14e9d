"""Files from anyone: what every reader checks before it believes a byte. Sizes, kinds of file, and JSON that says one thing.

The limit is 2 GiB for one array and four times as much for a whole file, unless ``limited`` sets another for the code inside
it.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

from xaicore.errors import FileRefused, InputError

MAX_BYTES = 2 << 30
"""Of one array; four times as much for a file, and for all that it asks for."""

MAX_DEPTH = 100
"""Of lists and objects in JSON: the parser recurses, and so does everything behind it."""

MAX_RATIO = 100
"""Of a member's size to what it takes in its archive, above ``SMALL`` bytes; a zero baseline packs well, numbers do not."""

SMALL = 64 << 20

_limit: ContextVar[int] = ContextVar("xaicore.max_bytes", default=MAX_BYTES)


@contextmanager
def limited(max_bytes: int | None) -> Iterator[None]:
    """Inside, files may ask for ``max_bytes`` for one array (None: as before). InputError unless it is a positive whole number."""
    if max_bytes is None:
        yield
        return
    if not isinstance(max_bytes, int) or isinstance(max_bytes, bool) or max_bytes < 1:
        raise InputError(f"max_bytes={max_bytes!r} must be a positive whole number of bytes")
    token = _limit.set(max_bytes)
    try:
        yield
    finally:
        _limit.reset(token)


def max_bytes() -> int:
    """The limit that holds here."""
    return _limit.get()


def max_total() -> int:
    """The limit for all that one file asks for."""
    return 4 * _limit.get()


def check_bytes(count: int, what: str) -> None:
    """FileRefused when ``what``, as a file has it, would take more than is allowed: called before anything is allocated."""
    if count > _limit.get():
        raise FileRefused(f"{what} would take {count:,} bytes; more than {_limit.get():,} are not read (max_bytes, --max-bytes)")


class Spent:
    """Adds up what one file asks for: each array within the limit, all together within four times the limit."""

    def __init__(self, who: str):
        self.who, self.total = who, 0

    def add(self, count: int, what: str) -> None:
        check_bytes(count, what)
        self.total += count
        if self.total > max_total():
            raise FileRefused(f"{self.who} asks for more than {max_total():,} bytes in all (four times --max-bytes), at {what}")


def check_ratio(packed: int, size: int, what: str) -> None:
    """FileRefused for a member of an archive that unpacks to far more than it takes: a decompression bomb."""
    if size > SMALL and size > MAX_RATIO * packed:
        raise FileRefused(f"{what} unpacks {packed:,} bytes to {size:,}: a bomb; save it without compression if the numbers are real")


# ----- opening --------------------------------------------------------------------------------------------------------


def open_regular(path: Path) -> IO[bytes]:
    """The file, open for reading. FileRefused for folders, devices and pipes (which may never end, or never begin) and above the limit."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise FileRefused(f"{path} cannot be read: {why}; check the path and its permissions") from None
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise FileRefused(f"{path} cannot be read: it is no regular file (but a folder, a device or a pipe); copy what it holds to one")
        if about.st_size > max_total():
            raise FileRefused(f"{path.name} has {about.st_size:,} bytes; more than {max_total():,} are not read (four times --max-bytes)")
    except BaseException:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """All bytes of a regular file; FileRefused above ``most``."""
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if most is not None and size > most:
            raise FileRefused(f"{path.name} has {size:,} bytes; more than {most:,} are not read")
        try:
            return stream.read(size)
        except OSError as error:
            raise FileRefused(f"{path} cannot be read ({error.strerror or error})") from None


# ----- JSON -----------------------------------------------------------------------------------------------------------


_STRING, _BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL), re.compile(rb"[\[\]{}]")


def parse_json(data: bytes, who: str, depth: int = MAX_DEPTH) -> Any:
    """What a JSON document says. FileRefused for none, for one nested deeper than ``depth``, and for a key that stands twice in an object.

    A number of more than 4300 digits is no number; NaN and Infinity, which JSON does not have, are let through as floats, since
    other programs write them: what takes them must look.
    """
    level = deepest = 0
    for one in _BRACKET.finditer(_STRING.sub(b"", data)):
        level += 1 if one[0] in b"[{" else -1
        deepest = max(deepest, level)
        if deepest > depth:
            raise FileRefused(f"{who} is nested more than {depth} levels deep, which nothing that is read needs")
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:                       # no UTF-8, no JSON, a key twice, a number of 5000 digits
        raise FileRefused(f"{who} is not a JSON document ({str(error)[:200]}); it may be truncated or of another kind") from None


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [k for k, _ in pairs]
        raise ValueError(f"the key {next(k for k in names if names.count(k) > 1)!r:.60} stands twice in one object")
    return found


_RATIONAL = re.compile(r"\s*[-+]?[0-9]{1,4000}(/[0-9]{1,4000}|(\.[0-9]{0,400})?([eE][-+]?[0-9]{1,3})?)\s*")


def rational(text: str) -> Fraction:
    """The number "-13/49", "2.5" or "1e-6" as a Fraction; ValueError for all else, and for "1e999999999", which would fill the memory."""
    if not isinstance(text, str) or not _RATIONAL.fullmatch(text):
        raise ValueError(f"{text!r:.60} is no number such as \"-13/49\"")
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise ValueError(f"{text!r:.60} divides by zero") from None
