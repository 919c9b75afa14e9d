"""xaicore demo: explain a handwritten digit with a dozen methods, check the axioms, draw a contact sheet and a page."""

from __future__ import annotations

import argparse

METHODS = (
    "gradient", "gradient_x_input", "guided_backprop", "smoothgrad", "integrated_gradients", "integrated_gradients.exact", "lrp.epsilon",
    "lrp.gamma", "lrp.alpha_beta", "lrp.epsilon_plus", "deeplift.rescale", "deeplift.reveal_cancel", "grad_cam", "occlusion",
)
SLOW = "integrated_gradients.exact"
"""Some 2000 linear pieces lie between black and a digit: of this method the demo measures only what it is known for."""
DIGIT = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    """--out and --digit."""
    parser.add_argument("--out", default="xaicore-demo", metavar="FOLDER",
                        help="where explanation.png and explanation.html go (default: xaicore-demo)")
    parser.add_argument("--digit", type=int, default=DIGIT, choices=range(10), metavar="0..9",
                        help=f"which digit to explain (default {DIGIT})")


def run(args: argparse.Namespace) -> int:
    """Explains, checks, draws; exit code 1 if a promise is broken."""
    from pathlib import Path

    from xaicore.cli import outputs, shared
    from xaicore.cli.explain import explained
    from xaicore.data import digits_images, digits_model
    from xaicore.errors import InputError
    from xaicore.methods.table import METHODS as KNOWN
    from xaicore.oracle.axioms import check
    from xaicore.oracle.report import Report
    from xaicore.show import table

    folder = Path(args.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: the folder cannot be made ({error.strerror})") from None
    paths = outputs.checked_paths([str(folder / "explanation.png"), str(folder / "explanation.html")])
    graph = digits_model()
    images, labels = digits_images()
    x = images[list(labels).index(args.digit)][None]
    feeds = {graph.float_inputs[0]: x}
    results = explained(graph, feeds, shared.requests(METHODS))
    seeds = {m: {"seed": 0} for m in METHODS if "seed" in KNOWN[m].settings}
    quick = [m for m in METHODS if m != SLOW]
    report = Report((*check(graph, feeds, methods=quick, settings=seeds), *check(graph, feeds, methods=[SLOW], axioms=["completeness"])))
    product = outputs.Product(results, f"A handwritten {args.digit}, explained", f"xaicore demo --digit {args.digit}", report=report)
    outputs.write_all(paths, product)
    if args.json:
        shared.dump({**outputs.document(product), "files": [str(p) for p in paths], "exit_code": report.exit_code})
        return report.exit_code
    first = next(iter(results.values()))
    shared.say(f"The model: {graph.name}, {len(graph.nodes)} nodes, {graph.size:,} parameters; {graph.meta.get('accuracy', '')}")
    shared.say(f"The input: a handwritten {args.digit} that it was not trained on, 8 x 8 pixels. Explained: {first.explained}\n")
    shared.show(table.attributions(results))
    shared.say()
    shared.show(table.verdicts(report))
    for line in table.broken(report):
        shared.say(line)
    shared.say(f"Of {SLOW} only completeness was measured, to save time: xaicore check digits digit_3.png measures all.")
    shared.say("\nLook at\n" + "\n".join(f"  {p}" for p in paths))
    shared.say("Next\n  xaicore explain digits digit_5.png -m lrp.gamma --trace -o five.html\n  xaicore inspect your-model.onnx")
    return report.exit_code
