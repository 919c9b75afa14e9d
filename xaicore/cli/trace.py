"""xaicore trace: the arithmetic of one unit of a model, forward and backward, every term of it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from xaicore.cli.pixels import add_pixels, pixels_of

if TYPE_CHECKING:
    from xaicore.methods.unit import Unit
    from xaicore.show.arithmetic import Line

DEFAULT = "lrp.epsilon"
EPILOG = """examples:
  xaicore trace digits digit_3.png --unit conv2[3,4,3]
  xaicore trace digits digit_3.png --unit logits[3] -m deeplift.rescale -m gradient --all
  xaicore trace model.onnx photo.jpg --resize --unit image[0,100,120] --target 5 --json

  (a shell may want the brackets in quotes; the index counts without the batch; --unit conv2 alone: its unit of largest relevance)
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL INPUT --unit and the options of explain that say what is explained."""
    from xaicore.cli.shared import MODEL_HELP, add_arithmetic, add_methods

    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("input", metavar="INPUT", help=".npy .npz .png .jpg .csv .json; axis 0 is the batch, a single sample gets one")
    parser.add_argument("--unit", required=True, metavar="NAME[I,...]",
                        help="a unit of a layer or an input: conv2[3,5,7]; without an index the one that the most signal reaches")
    add_methods(parser, f"a method that is one backward pass, with settings (default: {DEFAULT}); may be repeated")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="which sample of the batch (default 0)")
    parser.add_argument("--all", action="store_true", help="every term; otherwise the largest and the sum of the others")
    parser.add_argument("--terms", type=int, default=8, metavar="N", help="how many of the largest (default 8)")
    parser.add_argument("--digits", type=int, default=6, metavar="N", help="digits of a number (default 6)")
    parser.add_argument("--target", metavar="T", help="as for explain: a class index (default: the largest), 3,1,2, name:3")
    parser.add_argument("--baseline", metavar="B", help="for methods that have one: zero, mean, a number, or a file read like INPUT")
    add_pixels(parser)
    add_arithmetic(parser)


def run(args: argparse.Namespace) -> int:
    """Explains, takes the unit apart, prints."""
    from xaicore.cli import inputs, shared
    from xaicore.cli.explain import baseline_of, explained
    from xaicore.errors import InputError
    from xaicore.methods.unit import passage_of, unit_of

    wanted = shared.requests(args.method or [DEFAULT])
    name, index = place(args.unit)
    if args.digits < 1 or args.terms < 1:
        raise InputError(f"--digits {args.digits} and --terms {args.terms}: at least 1 of each is expected")
    pixels = pixels_of(args)
    graph = shared.open_model(args.model, args.dtype)
    feeds = inputs.read_input(args.input, graph, pixels)
    size = len(next(iter(feeds.values())))
    if not 0 <= args.sample < size:
        raise InputError(f"--sample {args.sample} is not in the batch, which has {size} samples: 0 to {size - 1}")
    feeds = {k: v[args.sample:args.sample + 1] for k, v in feeds.items()}
    based = baseline_of(args.baseline, graph, feeds, wanted, pixels)
    results = explained(graph, feeds, wanted, target=shared.target(args.target), baseline=based, pixels=pixels)
    units = {}
    for label, a in results.items():
        p = passage_of(a)
        units[label] = unit_of(p, name, strongest(p, name) if index is None else index)
    first = next(iter(results.values()))
    if args.json:
        shared.dump({"explained": first.explained, "output": first.output[0],
                     "units": {label: facts(u) for label, u in units.items()}})
        return 0
    shared.say(f"explained: {first.explained}, f(x) = {float(first.output[0]):.{args.digits}g}")
    tell(units, None if args.all else args.terms, args.digits)
    return 0


def place(text: str) -> tuple[str, tuple[int, ...] | None]:
    """The value and the index of "conv2[3,5,7]", "fc1[4]", "features.3" (no index).

    >>> place("conv2[3,5,7]"), place("features.3")
    (('conv2', (3, 5, 7)), ('features.3', None))
    """
    from xaicore.errors import InputError

    name, bracket, rest = text.strip().rpartition("[")
    if not bracket:
        return text.strip(), None
    try:
        if not rest.endswith("]"):
            raise ValueError
        return name, tuple(int(i) for i in rest[:-1].split(",") if i.strip())
    except ValueError:
        raise InputError(f"--unit {text!r} cannot be read; write a layer's name and the index of one unit, such as conv2[3,5,7] or "
                         f"fc1[4]") from None


def strongest(p: Any, name: str) -> tuple[int, ...]:
    """The index of the unit that the most signal reaches."""
    import numpy as np

    from xaicore.methods.unit import values_of

    found = p.trace.graph.find(name)
    if found not in values_of(p):
        return ()                                                       # unit_of says what is wrong
    size = abs(np.asarray(p.read(found, p.signals.values[found]))[0])
    return tuple(int(i) for i in np.unravel_index(int(size.argmax()), size.shape)) if size.ndim else ()


def facts(u: Unit) -> dict[str, Any]:
    """A unit as plain data, with all digits, and its lines of arithmetic."""
    from xaicore.show import arithmetic

    def lines(found: list[Line]) -> list[dict[str, Any]]:
        return [{"entry": one.entry, "expression": one.expression, "value": one.value} for one in found]

    return {"unit": arithmetic.named(u.value, u.index), "operator": u.operator, "kind": u.kind, "y": u.y, "bias": u.bias,
            "rule": None if u.rule is None else str(u.rule), "equation": arithmetic.symbols(u), "carries": u.carrier,
            "signal": u.signal, "multiplier": u.multiplier, "passed": u.passed, "absorbed": u.absorbed,
            "forward": lines(arithmetic.forward(u, 17)),
            "backward": lines(arithmetic.backward(u, 17)), "received": lines(arithmetic.gathered(u, 17))}


WORDS = {"relevance": ("relevance", "R"), "probability": ("probability", "P"), "cotangent": ("gradient", "g"),
         "multiplier": ("contribution", "C")}


def tell(units: dict[str, Unit], most: int | None, digits: int) -> None:
    """Forward once, backward for each method."""
    from xaicore.cli.shared import say
    from xaicore.show import arithmetic
    from xaicore.show.arithmetic import figure

    forward = None
    for label, u in units.items():
        if u.kind != "input" and (u.value, u.index) != forward:
            forward = u.value, u.index
            say(f"\n{arithmetic.named(u.value, u.index)}, forward: {u.operator}")
            _sum(arithmetic.forward(u, digits), most, digits, u.kind)
            name = u.operator.split("(")[0]
            how = {"sum": "the sum of these", "product": "the sum of these", "maximum": f"the one that {name} chooses",
                   "function": f"{name} of it"}.get(u.kind, f"{name} of these, no sum of terms")
            say(f"  y = {figure(u.y, digits)}, {how}")
        word, letter = WORDS.get(u.carrier, ("signal", "s"))
        say(f"\n{arithmetic.named(u.value, u.index)}, backward by {label}: the {word} that it received")
        _sum(arithmetic.gathered(u, digits), most, digits)
        extra = "" if u.multiplier is None else f"; the multiplier is {figure(u.multiplier, digits)}"
        say(f"  {letter} = {figure(u.signal, digits)}{extra}")
        if u.kind == "input":
            continue
        equation = arithmetic.symbols(u)
        say(f"and passed on, by the rule {u.rule}" + (f":  {equation}" if equation else ""))
        _sum(arithmetic.backward(u, digits), most, digits)
        say(f"  passed on: {figure(u.passed, digits)}"
            + (f", absorbed: {figure(u.absorbed, digits)}" if u.carrier != "cotangent" else ""))


def _sum(lines: list[Line], most: int | None, digits: int, kind: str = "sum") -> None:
    """The largest lines, and the others in one; ``kind``: whether these are summands."""
    from xaicore.cli.shared import say
    from xaicore.show.arithmetic import figure, largest

    shown, left, rest = largest(lines, most)
    if not lines:
        say("  nothing")
        return
    wide = max(len(one.entry) for one in shown)
    for one in shown:
        value = figure(one.value, digits)
        say(f"  {one.entry:{wide}}  {one.expression}" + ("" if one.expression == value else f" = {value}"))
    if left:
        say(f"  {'':{wide}}  {left} more" + (f", together {figure(rest, digits)}" if kind in ("sum", "product") else " smaller ones")
            + "  (--all shows them)")
