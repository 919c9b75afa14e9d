"""xaicore demo: explain a handwritten digit with a dozen methods, check the axioms, draw a contact sheet and the page of the viewer."""

from __future__ import annotations

import argparse

METHODS = (
    "gradient", "gradient_x_input", "guided_backprop", "smoothgrad", "integrated_gradients", "integrated_gradients.exact", "lrp.epsilon",
    "lrp.gamma", "lrp.alpha_beta", "lrp.epsilon_plus", "deeplift.rescale", "deeplift.reveal_cancel", "grad_cam", "occlusion",
)
SLOW = "integrated_gradients.exact"
"""Some 2000 linear pieces lie between black and a digit: of this method the demo measures only what it is known for."""
ON_THE_PAGE = ("gradient_x_input", "guided_backprop", "lrp.epsilon", "deeplift.rescale", "integrated_gradients")
"""Columns of the page: as many as a screen is wide."""
DIGIT = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    """--out and --digit."""
    parser.add_argument("--out", default="xaicore-demo", metavar="FOLDER",
                        help="where page.html and explanation.png go (default: xaicore-demo)")
    parser.add_argument("--digit", type=int, default=DIGIT, choices=range(10), metavar="0..9",
                        help=f"which digit to explain (default {DIGIT})")


def run(args: argparse.Namespace) -> int:
    """Explains, checks, draws; exit code 1 if a promise is broken."""
    from pathlib import Path

    from xaicore import __version__
    from xaicore.cli import outputs, shared
    from xaicore.cli.explain import explained
    from xaicore.data import digits_images, digits_model
    from xaicore.errors import InputError
    from xaicore.methods.table import METHODS as KNOWN
    from xaicore.oracle.axioms import check
    from xaicore.oracle.report import Report
    from xaicore.show import table
    from xaicore.show.page.viewer import viewer

    folder = Path(args.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: the folder cannot be made ({error.strerror})") from None
    page, sheet = outputs.checked_paths([str(folder / "page.html"), str(folder / "explanation.png")])
    graph = digits_model()
    images, labels = digits_images()
    x = images[list(labels).index(args.digit)][None]
    feeds = {graph.float_inputs[0]: x}
    results = explained(graph, feeds, shared.requests(METHODS))
    seeds = {m: {"seed": 0} for m in METHODS if "seed" in KNOWN[m].settings}
    quick = [m for m in METHODS if m != SLOW]
    report = Report((*check(graph, feeds, methods=quick, settings=seeds), *check(graph, feeds, methods=[SLOW], axioms=["completeness"])))
    title, command = f"Why is this a {args.digit}?", f"xaicore demo --digit {args.digit}"
    product = outputs.Product(results, title, command, report=report)
    outputs.write_all([sheet], product)
    columns = {k: v for k, v in results.items() if v.method in ON_THE_PAGE} or results
    outputs.write(page, viewer(columns, title, command, version=__version__, report=report).encode("utf-8"))
    if args.json:
        shared.dump({**outputs.document(product), "files": [str(page), str(sheet)], "exit_code": report.exit_code})
        return report.exit_code
    first = next(iter(results.values()))
    network = f"{graph.name}: {len(graph.nodes)} nodes, {graph.size:,} parameters; {graph.meta.get('accuracy', '')}"
    shared.say(f"A small network ({network}) looks at a handwritten {args.digit}")
    shared.say(f"of 8 x 8 pixels that it was not trained on. Which pixels made it answer as it did? {len(results)} methods say so, each in")
    shared.say(f"its own way, about one number: f(x), the score of {first.explained}.\n")
    shared.show(table.attributions(results))
    shared.say("\nEach method promises something. Measured on this network and this digit:\n")
    shared.show(table.verdicts(report))
    for line in table.broken(report):
        shared.say(line)
    shared.say(f"Of {SLOW} only completeness was measured, to save time: xaicore check digits digit_3.png measures all.")
    shared.say(f"\nNow open in a browser\n  {page}   what {len(columns)} of the methods say, and how they get there, layer by layer")
    shared.say(f"and look at\n  {sheet}   all {len(results)} maps on one sheet")
    shared.say("Next\n  xaicore view digits digit_5.png -m lrp.gamma -o five.html      another digit, another method"
               "\n  xaicore methods lrp.epsilon                                     what a method is, with an example by hand"
               "\n  xaicore inspect your-model.onnx                                 your own model")
    return report.exit_code
