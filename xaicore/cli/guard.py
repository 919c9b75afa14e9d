"""--max-bytes and --timeout: what a command that opens other people's files may take before it ends with exit code 4.

Every reader refuses what a file only claims (graph/untrusted.py). This is the outer wall: what a sound but hostile model computes is
stopped by the operating system before it is allocated, and by an alarm.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from xaicore.errors import FileRefused, InputError
from xaicore.graph.untrusted import MAX_BYTES, limited, max_total

OPENS = ("inspect", "explain", "check", "compare", "evaluate", "sanity", "visualize", "represent", "vectors")
"""The commands that open files."""

GRACE = 2.0
"""Seconds after which a process that the alarm does not reach, because it is inside one long C call, is ended."""

ROOM = 256 << 20
"""Bytes that a command may take however small --max-bytes is: for the libraries that it loads."""

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The two options."""
    group = parser.add_argument_group("limits for files from anyone (exit code 4 beyond them)")
    group.add_argument("--max-bytes", metavar="N", help="for one array, such as 500M or 2G (default 2G); four times as much for a file and "
                       "all that is computed with it (default: at least the memory of the machine)")
    if parser.get_default("timeout") is None:                           # compare has one of its own, for each side
        group.add_argument("--timeout", metavar="SECONDS", help="for the whole command (default: none)")


@contextlib.contextmanager
def guarded(args: argparse.Namespace) -> Iterator[None]:
    """Runs what is inside within the limits; FileRefused beyond them, InputError for limits that are none."""
    most, seconds = _bytes(getattr(args, "max_bytes", None)), 0.0 if args.command == "compare" else _seconds(getattr(args, "timeout", None))
    files = ", ".join(str(v) for k in ("a", "b", "model", "input", "names") for v in _several(getattr(args, k, None))) or args.command
    peers = args.command == "compare" or getattr(args, "verify", None) is not None
    try:
        with limited(most):
            space = None if peers and most is None else max(max_total(), ROOM if most else _physical())
            with _memory(space), _alarm(seconds, files):
                yield
    except (MemoryError, ImportError) as error:
        if isinstance(error, ImportError) and "map segment" not in str(error):
            raise
        raise FileRefused(f"{files}: not enough memory ({error or 'the limit is reached'}). The file may ask for more than it needs; if "
                          f"not: explain fewer samples at once, give a smaller --batch-size, or allow more with --max-bytes") from None
    except _Late:
        raise FileRefused(_late(files, seconds)) from None


def _several(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else () if value is None else (value,)


def _bytes(text: str | None) -> int | None:
    if text is None:
        return None
    number, unit = (text[:-1], text[-1].lower()) if text[-1:].lower() in ("k", "m", "g") else (text, "")
    if not number.isascii() or not number.isdigit() or not 0 < int(number[:18]) * UNITS[unit] < 1 << 60:
        raise InputError(f"--max-bytes {text!r} cannot be read; give a number of bytes such as 500M, 2G or {MAX_BYTES}")
    return int(number) * UNITS[unit]


def _seconds(text: str | None) -> float:
    try:
        seconds = 0.0 if text is None else float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e8 or (text is not None and seconds == 0):
        raise InputError(f"--timeout {text!r} cannot be read; give a number of seconds above 0")
    return seconds


def _physical() -> int:
    """The memory of the machine; 0 where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


@contextlib.contextmanager
def _memory(most: int | None) -> Iterator[None]:
    """The address space may grow by ``most`` bytes inside; a tighter limit stays, and a system that has none (Windows) sets none."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as stream:
            now = int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    except (ImportError, OSError, ValueError):
        most = None
    if most is None:
        yield
        return
    _warm()
    wanted = min([now + most, *(n for n in (soft, hard) if n != resource.RLIM_INFINITY)])
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _warm() -> None:
    """A matrix product before the limit holds: with the first, the BLAS library takes its working space, or ends the process."""
    import numpy as np

    for dtype in ("float64", "float32"):
        x = np.ones((384, 384), dtype)
        x @ x


class _Late(BaseException):
    """Above Exception, so that no handler on the way takes it for an error of the model."""


def _late(files: str, seconds: float) -> str:
    return f"{files}: not done after {seconds:g} seconds (--timeout); the file may be made to take long, or needs more time"


@contextlib.contextmanager
def _alarm(seconds: float, files: str) -> Iterator[None]:
    """After ``seconds`` an exception where the program is; ``GRACE`` later the end of the process."""
    if not seconds:
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise _Late

    def end() -> None:
        os.write(2, f"xaicore: {_late(files, seconds)}\n".encode())
        os._exit(FileRefused.exit_code)

    timer = threading.Timer(seconds + GRACE, end)
    timer.daemon = True
    here = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, ring) if here else None
    timer.start()
    try:
        if here:
            signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        if here:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        timer.cancel()
