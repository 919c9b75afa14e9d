"""Every error that xaicore raises on purpose, each with the exit code that it becomes on the command line.

A message names the thing (node, operator, file, setting), what was found, what was expected, and the next thing to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class XaicoreError(Exception):
    """The root of all errors that are raised on purpose."""

    exit_code = 2


class GraphError(XaicoreError):
    """A graph that cannot exist: an unknown input, a name used twice, a parameter with NaN."""


class ShapeError(XaicoreError):
    """An array has the wrong shape for the operator, the graph input or the target."""


class InputError(XaicoreError):
    """A value that a user handed over cannot be used: wrong dtype, empty batch, a target out of range."""


class UnknownName(XaicoreError):
    """A method, setting, layer or rule set that does not exist; the message offers the nearest names."""


class ExactnessError(XaicoreError):
    """A float appeared in exact mode, or an operator that is not rational was asked to run there."""


class Inapplicable(XaicoreError):
    """The method is defined, but not for this model: the message says which precondition fails."""

    exit_code = 3


class Unsupported(XaicoreError):
    """An operator that is not implemented, or a node that no row of a rule set covers."""

    exit_code = 3


class UncoveredNode(Unsupported):
    """No row of the rule set matches a node that lies between the input and the explained output."""


class BackendError(XaicoreError):
    """A backend is missing, its framework did not import, or the model is of a kind that it does not take."""


class ConversionError(Unsupported):
    """A framework operator has no counterpart; the message names operator, node, origin and what to do."""


class Unrecorded(ConversionError):
    """The framework keeps no record of the model's calls. Where the model is also one of another framework, that one is asked."""


class Mismatch(XaicoreError):
    """Two numbers that must agree do not: framework against graph, or ours against theirs."""

    exit_code = 1


class FileRefused(XaicoreError):
    """A file is malformed, truncated or unsafe, or is not a model at all."""

    exit_code = 4


class TooLarge(XaicoreError):
    """What was asked for needs more memory than is allowed; the message says how much, and what fits."""

    exit_code = 4


class SubjectFault(XaicoreError):
    """A program that was asked for an explanation gave none that can be compared: it raised, hung, or answered in the wrong shape."""


class NothingChecked(XaicoreError):
    """All that was asked for was skipped, so that 'passed' would be an empty word."""

    exit_code = 5


def nearest(name: str, known: Iterable[str]) -> str:
    """A half-sentence with the names that resemble ``name``, or all of them (the first 30 of many) when none does.

    >>> nearest("lrp.epsilom", ["lrp.epsilon", "gradient"])
    "did you mean 'lrp.epsilon'?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(one) for one in close) + "?"
    return "known: " + ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")
