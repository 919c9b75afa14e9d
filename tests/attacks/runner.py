"""The process under attack: one command line after the other, each in a child with 1 GiB of address space, ten seconds of its own, and a watch.

Reads a JSON list of {"name", "words", "folder"} from the file that it is given, writes a JSON list of what happened. The watch is an
audit hook, which sees what Python itself does: opening files, sockets, processes, imports, unpickling. A child that does what no reader has to
do is ended with code 99.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

SPACE, SECONDS = 1 << 30, 10
FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.putenv", "os.remove", "os.rename",
             "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate", "pickle.find_class", "urllib.", "http.", "ftplib.", "shutil.",
             "webbrowser.", "ctypes.dlopen", "ctypes.dlsym", "tempfile.", "sqlite3.", "pty.")
LOADED = ("xaicore.cli.main", "xaicore.cli.inputs", "xaicore.cli.stored", "xaicore.cli.outputs", "xaicore.cli.settings", "xaicore.methods.explain", "xaicore.oracle.compare",
          "xaicore.oracle.sides", "xaicore.oracle.vectors", "xaicore.oracle.vectors.lint", "xaicore.show.page", "xaicore.show.sheet", "xaicore_onnx", "xaicore_keras", "h5py", "importlib.metadata",
          "PIL.PngImagePlugin", "PIL.JpegImagePlugin", "rich.console", "numpy.lib.npyio", "onnx.reference", "onnx.inliner", "zipfile", "encodings.idna")


def watch(folder: str, words: list[str], found: list[str]) -> None:
    """From here on, what is done beyond reading ``words`` and writing below ``folder`` is recorded and ends the process."""
    code = [os.path.realpath(p) for p in {sys.prefix, sys.base_prefix, *(p for p in sys.path if p), "/proc/self"} if os.path.realpath(p) != "/"]
    code = [p for p in code if not p.startswith(folder)]
    named = {os.path.abspath(w) for w in words} | {str(Path(w).resolve()) for w in words if Path(w).suffix}
    writes = {w for w, before in zip(words[1:], words) if before == "-o"}

    def hook(event: str, args: tuple[Any, ...]) -> None:
        bad = ""
        if event == "open":
            path, mode, flags = args
            if isinstance(path, int):
                return
            where = os.path.realpath(os.fsdecode(path))
            writing = (isinstance(mode, str) and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR))
            if writing:
                if not any(os.path.dirname(where) == os.path.dirname(os.path.abspath(w)) and os.path.basename(w) in where for w in writes):
                    bad = f"writes {where}"
            elif not (os.path.abspath(os.fsdecode(path)) in named or where in named or where in writes or any(where.startswith(p + "/") for p in code)
                      or where.endswith((".part",)) or where.startswith(("/usr/share/zoneinfo", "/usr/lib/ssl", "/proc/"))):
                bad = f"reads {where}"
        elif event == "import" and str(args[0]).split(".")[0].startswith("canary"):
            bad = f"imports {args[0]}"
        elif event.startswith(FORBIDDEN) and not (writes and event in ("os.rename", "os.remove")):
            bad = f"{event} {args!r:.200}"
        if bad:
            found.append(bad)
            os.write(2, f"FORBIDDEN: {bad}\n".encode())
            traceback.print_stack()
            os._exit(99)

    sys.addaudithook(hook)


def child(one: dict[str, Any]) -> None:
    """Runs one command; its exit code is the process's."""
    folder = one["folder"]
    os.chdir(folder)
    streams = [os.open(os.path.join(folder, f".{k}"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC) for k in ("out", "err")]
    os.dup2(streams[0], 1)
    os.dup2(streams[1], 2)
    faulthandler.enable()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)                       # of its own time, as others run beside it; the default ends it
    signal.alarm(6 * SECONDS)                                           # and for one that waits for ever
    resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    watch(folder, one["words"], [])
    from xaicore.cli.main import main

    code = main(one["words"])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(plan: str) -> None:
    attacks = json.loads(Path(plan).read_text(encoding="utf-8"))
    for name in LOADED:
        importlib.import_module(name)
    sys.path.append(str(Path(plan).parent / "canary"))
    results = []
    for one in attacks:
        process = os.fork()
        if process == 0:
            try:
                child(one)
            except BaseException:
                traceback.print_exc()
            os._exit(98)
        _, status, used = os.wait4(process, 0)
        results.append({"name": one["name"], "code": os.waitstatus_to_exitcode(status), "seconds": used.ru_utime + used.ru_stime,
                        "megabytes": used.ru_maxrss >> 10})
    Path(plan + ".results").write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
