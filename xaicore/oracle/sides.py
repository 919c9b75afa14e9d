"""Where numbers come from: the reference, a profile of it, a peer, a Python function, a command, a file. Each side is a word on the
command line, and answers one question: what is the attribution of x?"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from xaicore.errors import BackendError, InputError, NothingChecked, SubjectFault, UnknownName, XaicoreError, nearest
from xaicore.graph import Graph
from xaicore.graph.run import check_feeds, evaluate
from xaicore.methods.explain import explain
from xaicore.methods.table import METHODS
from xaicore.methods.task import make_task
from xaicore.numerics import Array
from xaicore.oracle.profiles import PEERS, Entry, profile
from xaicore.oracle.serve import emitted
from xaicore.oracle.subject import TIMEOUT, Subject

KINDS = """reference[:ID[:k=v,...]], profile:LIBRARY:METHOD[:k=v,...], LIBRARY[@VERSION]:METHOD[:k=v,...], py:MODULE:FUNCTION, cmd:COMMAND,
or a file (.npy .npz .json .safetensors)"""


@dataclass(frozen=True, eq=False)
class Question:
    """The model, the input, and what is asked about it. ``method`` and ``layer`` are the other side's, if ``reference`` names none."""

    graph: Graph
    feeds: Mapping[str, Array]
    target: Any = None
    baseline: Any = None
    output: str = "logit"
    method: str = ""
    timeout: float = TIMEOUT
    layer: str | None = None

    def asked(self) -> tuple[Graph, dict[str, Array], list[int] | None]:
        """The graph that ends in the explained value (a softmax head taken off), its inputs, and one class for each sample.

        InputError for a target that is no index: other libraries take class indices.
        """
        task = make_task(self.graph, self.feeds, self.target, self.output)
        hot = task.weights.reshape(task.size, -1)
        if hot.shape[1] == 1 and (hot == 1).all():
            return task.graph, dict(task.feeds), None
        if task.weights.ndim != 2 or ((hot != 0).sum(axis=1) != 1).any() or (hot.max(axis=1) != 1).any():
            raise InputError(f"the target {self.target!r:.60} is no class index, and other libraries take class indices; explain another "
                             f"entry, or compare with a file")
        return task.graph, dict(task.feeds), [int(k) for k in hot.argmax(axis=1)]


@dataclass(frozen=True)
class Side:
    """One side: its word, what makes its numbers, and the method of ours that it is about ("" where nobody knows).

    ``answer(question)`` gives an Attribution (the reference and profiles) or what ``numbers`` takes. NothingChecked where the side is
    not there (a library that is not installed), SubjectFault where it fails.
    """

    label: str
    answer: Callable[[Question], Any] = field(repr=False)
    method: str = ""
    ours: bool = False
    given: bool = False
    layer: str | None = None


def reference(method: str = "", settings: Mapping[str, Any] | None = None, label: str = "") -> Side:
    """The reference with a method, or with that of the other side."""
    if method and method not in METHODS:
        raise UnknownName(f"reference:{method}: no method is called so: {nearest(method, METHODS)}")

    def answer(q: Question) -> Any:
        chosen = method or q.method
        if not chosen:
            raise InputError("reference: which method? The other side does not tell; write reference:lrp.epsilon (xaicore methods lists "
                             "them)")
        own = dict(settings or {})
        if q.baseline is not None and METHODS[chosen].baseline:
            own.setdefault("baseline", q.baseline)
        if q.layer is not None and METHODS[chosen].layer:
            own.setdefault("layer", q.layer)
        return explain(q.graph, q.feeds, chosen, q.target, **{"output": q.output, **own})

    return Side(label or f"reference{':' if method else ''}{method}", answer, method, ours=True)


def of_profile(peer: str, method: str, settings: Mapping[str, Any] | None = None) -> Side:
    """The reference with the settings that a library's method is known to have."""
    name, _, version = peer.partition("@")
    entry = profile(name, method, version)
    made = reference(entry.ours, {**entry.settings, **(settings or {})})
    return Side(f"profile:{peer}:{method}", made.answer, entry.ours, ours=True)


def of_peer(peer: str, method: str, settings: Mapping[str, Any] | None = None) -> Side:
    """Another library, run here or in its own environment."""
    own = dict(settings or {})

    def answer(q: Question) -> Any:
        library = _library(peer, q.timeout)
        graph, feeds, target = q.asked()
        if len(feeds) != 1:
            raise InputError(f"{peer}: peers take models of one input, and this one has {len(feeds)}: {', '.join(feeds)}")
        (x,) = feeds.values()
        model = graph if hasattr(library, "close") else emitted(graph.astype(getattr(library, "dtype", "float64")), library.framework)
        try:
            return library.explain(method, model, x.astype(getattr(library, "dtype", "float64")), target, q.baseline, **own)
        except UnknownName:
            raise
        except XaicoreError as error:
            raise SubjectFault(str(error)) from error
        finally:
            getattr(library, "close", lambda: None)()

    entry = known_entry(peer, method, own)
    return Side(f"{peer}:{method}", answer, "" if entry is None else entry.ours, layer=own.get("layer"))


def known_entry(peer: str, method: str, settings: Mapping[str, Any]) -> Entry | None:
    """The profile's entry of a peer's method, with the setting that names a variant ("rule", "method") in brackets, if there is one."""
    name, _, version = peer.partition("@")
    words = [str(settings[k]) for k in ("rule", "method", "nt_type") if k in settings]
    for text in (*(f"{method}({w})" for w in words), method):
        try:
            return profile(name, text, version)
        except UnknownName:
            continue
    return None


def _library(peer: str, timeout: float) -> Any:
    try:
        module = import_module("xaicore_peers")
    except ImportError as error:
        raise NothingChecked(f"{peer}: the adapters of other libraries are not installed ({error}), so nothing was checked") from None
    try:
        return module.peer(peer, timeout)
    except BackendError as error:
        raise NothingChecked(f"{error}; nothing was checked") from error


def of_command(command: str) -> Side:
    """A program that speaks the JSON-lines protocol of ``subject``."""
    def answer(q: Question) -> Any:
        graph, feeds, target = q.asked()
        with Subject(command, q.timeout, f"cmd:{command}") as subject:
            return subject.run(graph, feeds, target, q.baseline)

    return Side(f"cmd:{command}", answer)


def of_function(name: str, framework: str = "") -> Side:
    """A Python function, called in a process of its own so that it can print, hang and crash."""
    def answer(q: Question) -> Any:
        graph, feeds, target = q.asked()
        paths = os.pathsep.join(dict.fromkeys([os.getcwd(), *(p for p in sys.path if p)]))
        command = [sys.executable, "-m", "xaicore.oracle.serve", name, *([framework] if framework else [])]
        with Subject(command, q.timeout, f"py:{name}", {**os.environ, "PYTHONPATH": paths}) as subject:
            return subject.run(graph, feeds, target, q.baseline)

    return Side(f"py:{name}", answer)


def of_arrays(arrays: Mapping[str, Array], label: str) -> Side:
    """Numbers that are there already."""
    return Side(label, lambda q: next(iter(arrays.values())) if len(arrays) == 1 else dict(arrays), given=True)


def side(text: str, settings: Callable[[str], Mapping[str, Any]], read: Callable[[str], Side], framework: str = "") -> Side:
    """The side that a word names; ``settings`` reads "k=v,...", ``read`` a file."""
    kind, _, rest = text.partition(":")
    if kind == "cmd":
        return of_command(rest)
    if kind == "py":
        return of_function(rest, framework)
    if kind == "reference":
        method, _, own = rest.partition(":")
        return reference(method, settings(own), text)
    if kind == "profile":
        peer, _, more = rest.partition(":")
        method, _, own = more.partition(":")
        if not method:
            raise InputError(f"{text}: which method? Write profile:{peer or 'captum'}:METHOD; known: "
                             f"{', '.join(e.method for e in PEERS.get(peer, ())) or ', '.join(PEERS)}")
        return of_profile(peer, method, settings(own))
    if rest and "/" not in kind and not os.path.exists(text):
        method, _, own = rest.partition(":")
        return of_peer(kind, method, settings(own))
    return read(text)


def output_of(q: Question) -> Array:
    """f(x), by the reference: what every side explains."""
    task = make_task(q.graph, q.feeds, q.target, q.output)
    return np.asarray(task.scores(evaluate(task.graph, check_feeds(task.graph, task.feeds), keep=[task.value])[task.value]))
