"""xaicore compare: lay two attributions side by side, and say where they part, by how much, and which convention explains it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xaicore.oracle.sides import Side

EPILOG = """a side is one of
  reference[:ID[:k=v,...]]       what xaicore computes; without ID the method of the other side
  profile:LIBRARY:METHOD[:k=v]   what xaicore computes with the settings of a library's method, such as profile:captum:LRP
  LIBRARY[@VERSION]:METHOD[:k=v] the library itself, such as captum:LRP or captum@0.6.0:DeepLift
  py:MODULE:FUNCTION             a Python function (model, x, target, baseline) -> array, in a process of its own
  cmd:COMMAND                    a program that speaks JSON lines (docs/subject_protocol.md)
  FILE                           .npy .npz .json .safetensors; FILE#NAME where it holds several

examples:
  xaicore compare reference captum:LRP digits digit_3.png
  xaicore compare theirs.npy reference:lrp.gamma:gamma=0.1 model.onnx photo.npy --target 3
  xaicore compare profile:captum:LRP py:mylib.explain:lrp model.onnx x.npy --emit torch
  xaicore compare old.npz new.npz

  exit code 0 when they agree, 1 when they do not, 2 when a side fails or gives no attribution, 5 when a side is not there
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """A B [MODEL INPUT] and the options."""
    from xaicore.cli.shared import MODEL_HELP, add_arithmetic

    parser.add_argument("a", metavar="A", help="a side (see below); the reference, where one is")
    parser.add_argument("b", metavar="B", help="the other side")
    parser.add_argument("model", metavar="MODEL", nargs="?", help=MODEL_HELP + "; not needed for two files")
    parser.add_argument("input", metavar="INPUT", nargs="?", help="as for explain")
    parser.add_argument("--target", metavar="T", help="as for explain")
    parser.add_argument("--output", choices=("logit", "probability", "log_probability"), default="logit",
                        help="scale of the explained number")
    parser.add_argument("--baseline", metavar="B", type=float, help="a number, for methods that compare with one")
    parser.add_argument("--resize", action="store_true", help="scale an image to the size that the model takes")
    parser.add_argument("--emit", metavar="FRAMEWORK", default="",
                        help="what a py: side gets as its model: torch, keras, onnx (default: the graph)")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds that a side may take (default 60)")
    how = parser.add_argument_group("how equal, how long")
    how.add_argument("--rtol", type=float, metavar="R", help="allowed relative difference, together with --atol (default: derived)")
    how.add_argument("--atol", type=float, metavar="A", help="allowed absolute difference")
    how.add_argument("--no-search", action="store_true", help="do not look for the convention that explains a difference")
    how.add_argument("--seconds", type=float, metavar="S", help="limit of that search (default: 20, or more where one explanation is slow)")
    add_arithmetic(how)


def run(args: argparse.Namespace) -> int:
    """Asks both sides, compares, prints; the exit code is the comparison's."""
    from xaicore.cli import shared
    from xaicore.methods.attribution import Attribution
    from xaicore.oracle.compare import compare

    sides = [_side(text, args.emit) for text in (args.a, args.b)]
    answers = _answers(sides, args)
    first = next((k for k, found in enumerate(answers) if isinstance(found, Attribution)), 0)
    ours, theirs, label = answers[first], answers[1 - first], sides[1 - first].label
    callback, bar = _progress()
    try:
        c = compare(ours, theirs, rtol=args.rtol, atol=args.atol, search=not args.no_search, seconds=args.seconds, label=label,
                    progress=callback)
    finally:
        if bar is not None:
            bar.stop()
    if args.json:
        shared.dump({**c.to_json(), "sides": [s.label for s in sides]})
    else:
        shared.say(str(c))
    return c.exit_code


def _answers(sides: list[Side], args: argparse.Namespace) -> list[Any]:
    from xaicore.cli import inputs, shared
    from xaicore.errors import InputError
    from xaicore.oracle.sides import Question

    if args.model is None and all(s.given for s in sides):
        return [s.answer(None) for s in sides]                          # type: ignore[arg-type]
    if args.model is None or args.input is None:
        raise InputError("compare: MODEL and INPUT are needed unless both sides are files; write xaicore compare A B MODEL INPUT")
    target = shared.target(args.target)
    graph = shared.open_model(args.model, args.dtype)
    feeds = inputs.read_input(args.input, graph, inputs.Pixels(args.resize))
    method = next((s.method for s in sides if s.method), "")
    layer = next((s.layer for s in sides if s.layer), None)
    q = Question(graph, feeds, target, args.baseline, args.output, method, args.timeout, layer)
    return [s.answer(q) for s in sides]


def _side(text: str, framework: str) -> Side:
    from xaicore.cli import shared, stored
    from xaicore.errors import InputError
    from xaicore.oracle.sides import of_arrays, side

    def settings(words: str) -> dict[str, Any]:
        out = {}
        for part in shared.split(words):
            key, equals, value = part.partition("=")
            if not equals or not key.strip():
                raise InputError(f"{text}: {part!r} is not a setting; write name=value,name=value")
            out[key.strip()] = shared.parsed(value)
        return out

    return side(text, settings, lambda name: of_arrays(stored.read_arrays(name), name), framework)


def _progress() -> tuple[Any, Any]:
    """How many settings were tried, on stderr, in a terminal."""
    from xaicore.cli.shared import progress

    callback, bar = progress()
    return (None, None) if callback is None else (lambda method, tried: callback(tried, tried + 1), bar)
