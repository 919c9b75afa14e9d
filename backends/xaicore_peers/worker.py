"""A peer in another interpreter: JSON lines in and out, one request and one answer a line.

    {"seq": 1, "method": "GradCAM", "model": "net.json", "x": {...}, "target": [0], "baseline": null, "settings": {"layer": "conv1"}}
    {"seq": 1, "attribution": {"dtype": "<f8", "shape": [1, 1, 4, 4], "data": [...]}}     or {"seq": 1, "error": {"kind", "text"}}

The first line that the worker says is {"name", "version", "framework", "methods"}. ``model`` is a path: a graph in xaicore's own format
(.json), which the worker emits in the peer's framework, or a Python file (.py) with a function ``model()``. What the peer prints goes to
stderr.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import numpy as np

from xaicore.errors import BackendError, InputError
from xaicore.graph import Graph
from xaicore.graph.files import save
from xaicore_peers.protocol import Array, Framework, PeerFailed, failed, known_here

ROOTS = [str(Path(import_module(name).__file__ or "").parent.parent) for name in ("xaicore", "xaicore_peers")]


def packed(value: Any) -> Any:
    """An array as plain data: numbers keep every bit."""
    if value is None:
        return None
    a = np.asarray(value)
    data = [v.hex() for v in a.astype(float).reshape(-1).tolist()] if a.dtype.kind == "f" else a.reshape(-1).tolist()
    return {"dtype": a.dtype.str, "shape": list(a.shape), "data": data}


def unpacked(value: Any) -> Any:
    """The array of ``packed``."""
    if value is None:
        return None
    dtype = np.dtype(value["dtype"])
    data = [float.fromhex(v) for v in value["data"]] if dtype.kind == "f" else value["data"]
    return np.array(data, dtype=dtype).reshape(value["shape"])


@dataclass
class Remote:
    """A peer behind a pipe. ``explain`` takes a Graph, or the path of a .json or .py file, as the model; close() ends the worker."""

    peer: str
    python: str
    site: str = ""
    timeout: float = 120.0
    name: str = ""
    version: str = ""
    framework: Framework = "torch"
    methods: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)
    _folder: Any = field(default=None, repr=False)
    _seq: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        paths = [p for p in (self.site, *dict.fromkeys(ROOTS)) if p]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "ignore", "TF_CPP_MIN_LOG_LEVEL": "3",
                       "KERAS_BACKEND": "tensorflow"}
        self._folder = tempfile.TemporaryDirectory(prefix="xaicore-peer-")
        self._process = subprocess.Popen([self.python, "-m", "xaicore_peers.worker", self.peer], stdin=subprocess.PIPE, text=True,
                                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        hello = self._read()
        if "error" in hello:
            self.close()
            raise BackendError(f"the worker of {self.peer} ({self.python}) did not start: {hello['error']['text']}")
        self.name, self.version, self.framework = hello["name"], hello["version"], hello["framework"]
        self.methods = {k: tuple(v) for k, v in hello["methods"].items()}

    def explain(self, method: str, model: Any, x: Any, target: Any = None, baseline: Any = None, **settings: Any) -> Array:
        """What the peer's explainer gives. UnknownName for a name that it has not, PeerFailed when it raises, hangs or ends."""
        known_here(self, method)
        self._seq += 1
        answer = self._ask({"seq": self._seq, "method": method, "model": self._path(model), "x": packed(x), "target": packed(target),
                            "baseline": packed(baseline), "settings": settings})
        if "error" in answer:
            raise failed(self.name, method, answer["error"]["kind"], answer["error"]["text"])
        return np.asarray(unpacked(answer["attribution"]))

    def close(self) -> None:
        """Ends the worker."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    pipe.close()
            self._process = None
            self._folder.cleanup()

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def _path(self, model: Any) -> str:
        if isinstance(model, (str, Path)):
            return str(Path(model).resolve())
        if not isinstance(model, Graph):
            raise InputError(f"{self.name} runs in another interpreter, which cannot be given a live {type(model).__name__}; give a Graph "
                             f"(xaicore.from_model), or the path of a .json or .py file")
        path = Path(self._folder.name) / f"{id(model)}.json"
        save(model, path)
        return str(path)

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if self._process is None or self._process.stdin is None:
            raise BackendError(f"the worker of {self.peer} has ended; make a new one")
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.close()
            raise PeerFailed(f"{self.peer}: the worker process ended", "ProcessEnded") from None
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], self.timeout)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self.close()
            kind = "ProcessEnded" if ready else "Timeout"
            raise PeerFailed(f"{self.peer}: " + ("the worker process ended" if ready else f"no answer in {self.timeout:g} s"), kind)
        return dict(json.loads(line))


# ----- the other side ---------------------------------------------------------------------------------------------


def serve(name: str, lines: IO[str], out: IO[str]) -> None:
    """Answers requests until the input ends."""
    def say(answer: Mapping[str, Any]) -> None:
        out.write(json.dumps(answer) + "\n")
        out.flush()

    from xaicore_peers import LIBRARIES

    try:
        peer = LIBRARIES[name]
        import_module(peer.package)
        say({"name": peer.name, "version": peer.version, "framework": peer.framework, "methods": dict(peer.methods)})
    except Exception as error:
        say({"error": {"kind": type(error).__name__, "text": str(error)}})
        return
    for line in lines:
        request = json.loads(line)
        try:
            found = peer.explain(request["method"], request["model"], unpacked(request["x"]), unpacked(request["target"]),
                                 unpacked(request["baseline"]), **request["settings"])
            say({"seq": request["seq"], "attribution": packed(found)})
        except PeerFailed as error:
            say({"seq": request["seq"], "error": {"kind": error.kind, "text": error.text}})
        except Exception as error:
            say({"seq": request["seq"], "error": {"kind": type(error).__name__, "text": str(error)}})


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)                                                        # whatever a library prints is no answer
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        serve(sys.argv[1], sys.stdin, answers)
