"""A Python function as a subject in a process of its own: ``python -m xaicore.oracle.serve module:function [framework]``.

The function is called with (model, x, target, baseline, **settings): the model is a xaicore Graph, or with a framework ("torch", "keras",
"onnx") what that backend emits of it; x an array, or a mapping of names to arrays where there are several inputs; target one index for
each sample, or None; baseline an array, a number or None. What it prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from xaicore import plugins
from xaicore.errors import InputError, NothingChecked, SubjectFault
from xaicore.graph import Graph
from xaicore.graph.files import load
from xaicore.oracle.numbers import as_array
from xaicore.oracle.subject import answers


def function(name: str) -> Callable[..., Any]:
    """The function called "pkg.mod:fn"; NothingChecked where an import fails, InputError where there is no such function."""
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise InputError(f"py:{name} names no function; write py:package.module:function")
    sys.path[:0] = [p for p in (os.getcwd(),) if p not in sys.path]
    try:
        found: Any = import_module(module)
    except ImportError as error:
        raise NothingChecked(f"{module!r} does not import ({error})") from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InputError(f"py:{name}: {module!r} has no {attribute!r}")
        found = getattr(found, part)
    if isinstance(found, type):
        found = found().explain
    if not callable(found):
        raise InputError(f"py:{name} is a {type(found).__name__}, and no function")
    called: Callable[..., Any] = found
    return called


def emitted(graph: Graph, framework: str) -> Any:
    """The graph itself, or the model that a backend makes of it."""
    if framework in ("", "graph"):
        return graph
    found = plugins.available()
    if framework not in found:
        raise InputError(f"framework={framework!r} has no backend here; there are {', '.join(['graph', *sorted(found)])}")
    return import_module(found[framework].value).emit(graph)


def asked(explain: Callable[..., Any], model: Any, x: Mapping[str, Any], target: Any, baseline: Any, settings: Mapping[str, Any]) -> Any:
    """One call of a subject's function, an only input by itself."""
    feeds = {k: np.asarray(v) for k, v in x.items()}
    only = next(iter(feeds.values())) if len(feeds) == 1 else feeds
    start = {k: np.asarray(v) for k, v in baseline.items()} if isinstance(baseline, Mapping) else \
        np.asarray(baseline) if isinstance(baseline, list) else baseline
    return explain(model, only, target, start, **settings)


def serve(name: str, framework: str = "") -> None:
    """Answers questions on stdin until they end; stdout is kept for the answers, whatever else is printed goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(line: str) -> None:
        out.write(line + "\n")
        out.flush()

    try:
        explain = function(name)
    except NothingChecked as error:
        say(json.dumps({"unavailable": str(error)}))
        return
    except Exception as error:
        say(json.dumps({"error": str(error), "type": type(error).__name__}))
        return

    def run(path: str, x: Mapping[str, Any], target: Any, baseline: Any, settings: Mapping[str, Any]) -> Any:
        found = asked(explain, emitted(load(path), framework), x, target, baseline, settings)
        if len(x) > 1 and not isinstance(found, Mapping):
            raise SubjectFault(f"the model has {len(x)} inputs, so a mapping of their names to arrays is expected, not a "
                               f"{type(found).__name__}")
        given = found if isinstance(found, Mapping) else {next(iter(x)): found}
        return {k: as_array(v, "it") for k, v in given.items()}

    for answer in answers(run, iter(sys.stdin.readline, ""), name):
        say(answer)


if __name__ == "__main__":
    serve(*sys.argv[1:])
