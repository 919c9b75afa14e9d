"""xaicore sanity: check what methods are known to get wrong, on a model and input: who survives parameter randomisation, and more."""

from __future__ import annotations

import argparse

EPILOG = """examples:
  xaicore sanity digits digit_3.png
  xaicore sanity model.onnx photo.png -m guided_backprop -m lrp.epsilon --checks randomisation,class -o sanity.png

  exit code 1 when a method survives parameter randomisation, 5 when nothing could be checked
"""
USUAL = ("gradient", "gradient_x_input", "guided_backprop", "deconvnet", "integrated_gradients", "smoothgrad", "lrp.epsilon", "lrp.z_plus",
         "deeplift.rescale", "grad_cam")


def arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL INPUT and the options."""
    from xaicore.cli.shared import MODEL_HELP, add_arithmetic, add_methods

    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("input", metavar="INPUT", help="as for explain")
    add_methods(parser, f"a method with settings (default: {', '.join(USUAL)}); may be repeated")
    parser.add_argument("--checks", metavar="C,...", help="only these checks")
    parser.add_argument("--no-controls", action="store_true", help="leave out the maps that know no model")
    parser.add_argument("--target", metavar="T", help="as for explain")
    parser.add_argument("--resize", action="store_true", help="scale an image to the size that the model takes")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="for what is drawn (default 0)")
    parser.add_argument("--reasons", action="store_true", help="also say what each figure is, and why a check does not apply")
    parser.add_argument("-o", "--out", metavar="FILE.png", help="the maps side by side: trained, top layer random, all random, next class")
    add_arithmetic(parser)


def run(args: argparse.Namespace) -> int:
    """Checks and prints; the exit code is the report's."""
    from pathlib import Path

    from xaicore.cli import inputs, shared
    from xaicore.errors import InputError
    from xaicore.methods.table import METHODS
    from xaicore.oracle.sanity import sanity
    from xaicore.show import sanity as shown

    if args.out is not None and Path(args.out).suffix != ".png":
        raise InputError(f"-o {args.out}: the maps are written as .png")
    graph = shared.open_model(args.model, args.dtype)
    feeds = inputs.read_input(args.input, graph, inputs.Pixels(args.resize))
    methods: dict[str, object] = {}
    for one in shared.requests(args.method or USUAL):
        settings = dict(one.settings)
        if "seed" in METHODS[one.method].settings:
            settings.setdefault("seed", args.seed)
        methods[one.label] = (one.method, settings)
    progress, bar = shared.progress()
    try:
        report = sanity(graph, feeds, methods, shared.target(args.target),
                        None if args.checks is None else [c.strip() for c in args.checks.split(",")],
                        controls=not args.no_controls, seed=args.seed, progress=progress)
    finally:
        if bar is not None:
            bar.stop()
    if args.json:
        shared.dump({"model": shared.describe(graph), "input": args.input, "findings": report.as_json(),
                     "survivors": list(report.survivors),
                     "exit_code": report.exit_code})
    else:
        shared.show(shown.grid(report))
        if args.reasons:
            shared.say()
            shared.show(shown.reasons(report))
        shared.say("\n" + str(report))
    if args.out is not None:
        from xaicore.show.sheet import png

        Path(args.out).write_bytes(png(shown.sheet(report, f"{graph.name or Path(args.model).name}: {Path(args.input).name}")))
        shared.log(f"wrote {args.out}")
    return report.exit_code
