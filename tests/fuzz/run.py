"""atheris (coverage-guided) over one reader: python -m tests.fuzz.run m.onnx [seconds] [folder]; several with commas, one after the other.

Needs ``pip install atheris``. Anything but an XaicoreError is a finding: its bytes and traceback go into ``folder``/m.onnx.found, once for each
place in the code, and the run goes on; so is one that takes ten seconds of CPU. A crash of the process, two minutes of the clock (the machine may be
busy) or 2.5 GB of memory end it; libFuzzer keeps those bytes there too. The exit code is 1 with a finding. To read a file again: python -m tests.fuzz.run m.onnx FILE
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

SLOW = 10.0
"""Seconds of CPU, as for an attack."""
INSTRUMENTED = ["xaicore", "xaicore_onnx", "xaicore_keras", "zipfile", "json", "numpy.lib", "ast"]


def finding(error: BaseException, data: bytes, folder: Path, name: str) -> bool:
    """Keeps the bytes and the traceback of an error; False if one from the same place is there already."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "xaicore" in f.filename] or frames
    place = f"{type(error).__name__}-{Path(ours[-1].filename).stem}-{ours[-1].lineno}"
    if (folder / f"{place}.txt").exists():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{place}.{name}").write_bytes(data)
    (folder / f"{place}.txt").write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    print(f"FINDING {place}: {error!s:.200}", flush=True)
    return True


def main() -> None:
    import atheris

    names, *rest = sys.argv[1:]
    sys.modules["onnxruntime"] = None  # type: ignore[assignment]  # nothing here needs it, and its thread does not live on in a child, which would crash
    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tests.fuzz.targets import TARGETS, tried

        work = Path(tempfile.mkdtemp(prefix="xaicore-fuzz-"))
        for name in names.split(","):
            for data in TARGETS[name].seeds():              # what is imported where it is used is instrumented too
                tried(TARGETS[name], data, work)
    warnings.simplefilter("ignore")
    if rest and Path(rest[0]).is_file():
        print(tried(TARGETS[names], Path(rest[0]).read_bytes(), work) or "read")
        return
    seconds, folder = rest[0] if rest else "30", Path(rest[1]) if len(rest) > 1 else work
    if "," not in names:
        sys.exit(search(names, seconds, folder, work))
    codes = []
    for name in names.split(","):                           # one after the other; what is instrumented is so in each
        if (child := os.fork()) == 0:
            log = os.open(folder / f"{name}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os._exit(search(name, seconds, folder, work))
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(f"exit codes {codes}; what was found lies in {folder}")


def search(name: str, seconds: str, folder: Path, work: Path) -> int:
    """One reader for so long: ``folder``/name is its corpus, .found what was found, .seeds what it begins with. 1 with a finding."""
    import atheris

    from tests.fuzz.mutate import changed
    from tests.fuzz.seeds import longest, seeds
    from tests.fuzz.targets import TARGETS, tried

    target = TARGETS[name]
    corpus, found, started = (folder / f"{name}{end}" for end in ("", ".found", ".seeds"))
    for place in (corpus, found):
        place.mkdir(parents=True, exist_ok=True)
    if not started.exists():                                # a run that goes on has made them
        started.mkdir()
        for data in seeds(target, few=float(seconds) < 60):
            (started / hashlib.sha1(data).hexdigest()).write_bytes(data)
    wrong = 0

    def one(data: bytes) -> None:
        nonlocal wrong
        begun = time.process_time()
        try:
            tried(target, data, work)
            if time.process_time() - begun > SLOW:
                raise TimeoutError(f"{time.process_time() - begun:.0f} s of CPU")
        except Exception as error:
            wrong += finding(error, data, found, name)

    def mutator(data: bytes, most: int, seed: int) -> bytes:
        return changed(name, data, random.Random(seed), lambda b: bytes(atheris.Mutate(b, max(1, min(most, len(b) + 256)))))[:most]

    limits = [f"-max_total_time={seconds}", "-timeout=120", "-report_slow_units=60", "-rss_limit_mb=2500", f"-max_len={longest(name)}", "-print_final_stats=1",
              f"-artifact_prefix={found}/", "-use_value_profile=1", "-reload=0"]
    atheris.Setup([sys.argv[0], *limits, str(corpus), str(started)], one, custom_mutator=mutator)
    with contextlib.suppress(SystemExit):
        atheris.Fuzz()
    return 1 if wrong else 0


if __name__ == "__main__":
    main()
