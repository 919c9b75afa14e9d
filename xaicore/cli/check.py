"""xaicore check: measure the axioms on a model and input for one or all methods, promise beside fact."""

from __future__ import annotations

import argparse

EPILOG = """examples:
  xaicore check digits digit_3.png
  xaicore check model.onnx x.npy -m lrp.epsilon:eps=1e-3 -m deeplift.rescale --axioms completeness,dummy

  exit code 1 when a method does not keep what it promises, 5 when nothing could be checked
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL [INPUT] and the options."""
    from xaicore.cli.shared import MODEL_HELP, add_arithmetic, add_methods

    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("input", metavar="INPUT", nargs="?", help="as for explain (default: numbers drawn for the model's input shapes)")
    add_methods(parser, "a method with settings (default: all methods); may be repeated")
    parser.add_argument("--axioms", metavar="A,...", help="only these axioms")
    parser.add_argument("--target", metavar="T", help="as for explain")
    parser.add_argument("--resize", action="store_true", help="scale an image to the size that the model takes")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="for what is drawn (default 0)")
    parser.add_argument("--reasons", action="store_true", help="also say why an axiom does not apply, and by how much it fails")
    add_arithmetic(parser)


def run(args: argparse.Namespace) -> int:
    """Measures and prints; the exit code is the report's."""
    from xaicore.cli import inputs, shared
    from xaicore.cli.settings import from_files
    from xaicore.methods.table import METHODS
    from xaicore.oracle.axioms import check
    from xaicore.show import table

    wanted = shared.requests(args.method)
    target = shared.target(args.target)
    graph = shared.open_model(args.model, args.dtype)
    feeds = None if args.input is None else inputs.read_input(args.input, graph, inputs.Pixels(args.resize))
    settings = {one.method: from_files(one.settings, graph, inputs.Pixels(args.resize), graph.dtype) for one in wanted}
    for method in settings or METHODS:
        if "seed" in METHODS[method].settings:
            settings.setdefault(method, {}).setdefault("seed", args.seed)
    report = check(graph, feeds, methods=[one.method for one in wanted] or None, target=target, settings=settings, seed=args.seed,
                   axioms=[a.strip() for a in args.axioms.split(",")] if args.axioms is not None else None)
    if args.json:
        shared.dump({"model": shared.describe(graph), "input": args.input, "verdicts": report.as_json(), "exit_code": report.exit_code})
        return report.exit_code
    if args.input is None:
        shared.log("no INPUT was given: the axioms are measured on drawn numbers")
    shared.show(table.verdicts(report))
    if args.reasons:
        shared.say()
        shared.show(table.reasons(report))
    for line in table.broken(report):
        shared.say(line)
    if report.exit_code == 5:
        shared.log("nothing was checked: no axiom applies to what was chosen (--reasons says why)")
    return report.exit_code
