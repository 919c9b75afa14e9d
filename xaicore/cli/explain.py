"""xaicore explain: explain a model's output for an input with one or several methods, print the sums, write pictures and numbers."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xaicore.cli.pixels import add_pixels, pixels_of

if TYPE_CHECKING:
    from xaicore.cli.shared import Request
    from xaicore.graph import Graph
    from xaicore.methods.attribution import Attribution
    from xaicore.numerics import Array

DEFAULT = "lrp.epsilon"
EPILOG = """examples:
  xaicore explain digits digit_3.png -m lrp.epsilon -m gradient -o three.png
  xaicore explain model.onnx photo.jpg --resize -m integrated_gradients:steps=64 -m lrp.gamma:gamma=0.1 --trace -o photo.html
  xaicore explain model.onnx batch.npz --target [3,5] -m deeplift.rescale --baseline mean -o out.npz

  xaicore explain digits threes.npy -m tcav:layer=relu5,concept=loops.npy,random=[others.npy,more.npy]
  xaicore explain model.onnx 'images/*.png' -m lrp.epsilon -o results/ --jobs 2     (again after Ctrl-C: it goes on)

  (a shell may want [3,5] and settings with brackets in quotes; a setting that is an array, samples or models is a file)
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL INPUT and the options."""
    from xaicore.cli.shared import MODEL_HELP, add_arithmetic, add_methods

    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("input", metavar="INPUT", nargs="+",
                        help=".npy .npz .png .jpg .csv .json; axis 0 is the batch, a single sample gets one. Several files, or a pattern "
                             "such as 'images/*.png': each by itself, into the folder that -o names")
    add_methods(parser, f"a method with settings, such as lrp.gamma:gamma=0.1 (default: {DEFAULT}); may be repeated")
    parser.add_argument("-o", "--out", action="append", default=[], metavar="FILE",
                        help="write .png (contact sheet), .html (page), .npz, .safetensors or .json; may be repeated")
    what = parser.add_argument_group("what is explained")
    what.add_argument("--target", metavar="T",
                      help="class index (default: the largest); 3,1,2 in a spatial output; [3,5] one for each sample; name:3 of an output, "
                           "or of a layer: a neuron")
    what.add_argument("--output", choices=("logit", "probability", "log_probability"), default="logit",
                      help="scale of the explained number")
    what.add_argument("--layer", metavar="NAME",
                      help="attribute to this layer's value instead of the input (xaicore inspect lists them); class-activation maps are "
                           "made at it")
    what.add_argument("--baseline", metavar="B",
                      help="for methods that have one: zero, mean (of the input), a number, or a file read like INPUT")
    what.add_argument("--background", metavar="FILE",
                      help="for methods that average over a set of samples instead of one baseline: the set, a file read like INPUT")
    image = parser.add_argument_group("images")
    add_pixels(image)
    how = parser.add_argument_group("how")
    add_arithmetic(how)
    how.add_argument("--batch-size", type=_batch_size, metavar="N",
                     help="evaluations at once (default: what fits 128 MiB; auto: what keeps below --max-bytes, or exit code 4)")
    how.add_argument("--workers", type=int, metavar="N",
                     help="threads for the evaluations of one explanation (default: those of linear algebra); results do not depend on it")
    how.add_argument("--seed", type=int, default=0, metavar="N", help="for methods that draw (default 0)")
    many = parser.add_argument_group("several inputs")
    many.add_argument("--jobs", type=int, metavar="N", help="processes (default 1); results do not depend on it")
    many.add_argument("--afresh", action="store_true", help="refuse a folder that holds a run already, instead of going on with it")
    shown = parser.add_argument_group("what is shown")
    shown.add_argument("--trace", action="store_true", help="print the ledger: what each layer received, passed on, absorbed")
    shown.add_argument("--over", action="store_true", help="draw the maps of a .png over the input")
    shown.add_argument("--one-scale", action="store_true", help="one colour scale for all maps of a .png instead of one for each")


def _batch_size(text: str) -> int | str:
    return text if text == "auto" else int(text)


def run(args: argparse.Namespace) -> int:
    """Reads, explains, prints, writes."""
    from xaicore.cli import inputs, outputs, several, shared

    wanted = shared.requests(args.method or [DEFAULT])
    if (names := several.names(args.input)) is not None:
        return several.run(args, names, wanted)
    args.input = args.input[0]
    paths = outputs.checked_paths(args.out)
    target = shared.target(args.target)
    pixels = pixels_of(args)
    graph = shared.open_model(args.model, args.dtype)
    feeds = inputs.read_input(args.input, graph, pixels)
    based = baseline_of(args.baseline, graph, feeds, wanted, pixels)
    results = explained(graph, feeds, wanted, target=target, output=args.output, layer=args.layer, batch_size=args.batch_size,
                        workers=args.workers, seed=args.seed, baseline=based,
                        background=_background(args.background, graph, wanted, pixels), pixels=pixels)
    product = outputs.Product(results, _title(graph, args), command(args), args.over, args.one_scale)
    outputs.write_all(paths, product)
    if args.json:
        shared.dump({**outputs.document(product, ledger=args.trace), "files": [str(p) for p in paths]})
    else:
        tell(graph, feeds, results, args.trace)
    for path in paths:
        shared.log(f"wrote {path}")
    return 0


def explained(
    graph: Graph, feeds: Mapping[str, Array], wanted: Sequence[Request], seed: int = 0, baseline: Any = None,
    background: Any = None, pixels: Any = None, **options: Any,
) -> dict[str, Attribution]:
    """Label -> result of every request, with a progress bar in a terminal. What takes more than a few passes says so before it starts."""
    from xaicore.cli.settings import from_files
    from xaicore.cli.shared import log, progress
    from xaicore.methods.explain import explain
    from xaicore.methods.table import METHODS

    callback, bar = progress()
    results = {}
    try:
        for one in wanted:
            row = METHODS[one.method]
            settings = from_files(one.settings, graph, pixels, graph.dtype)
            settings = {k: _per_channel(v, graph, feeds) if k in ("low", "high", "baseline") else v for k, v in settings.items()}
            if "seed" in row.settings:
                settings.setdefault("seed", seed)
            if "background" in row.settings and background is not None:
                settings.setdefault("background", background)
            elif row.baseline and baseline is not None:
                settings.setdefault("baseline", baseline)
            own = {**options, **settings}                               # a layer among the settings wins
            if row.slow:
                price = row.price(own)
                log(f"{one.label} takes {price}{'' if 'batch' in price else ' (for each sample)'}")
            results[one.label] = explain(graph, feeds, one.method, progress=callback, **own)
    finally:
        if bar is not None:
            bar.stop()
    return results


def tell(graph: Graph, feeds: Mapping[str, Array], results: Mapping[str, Attribution], trace: bool) -> None:
    """What was explained, the sums, and with ``trace`` the ledgers."""
    from xaicore.cli.shared import say, show
    from xaicore.show import table

    first = next(iter(results.values()))
    shapes = ", ".join(f"{k} {'x'.join(str(n) for n in v.shape)}" for k, v in feeds.items())
    say(f"{graph.name or 'model'}: {len(graph.nodes)} nodes, {graph.size:,} parameters, {graph.dtype}   input {shapes}")
    say(f"explained: {first.explained}\n")
    show(table.attributions(results))
    for label, a in results.items():
        if "says" in a.extras:
            say(f"\n{label}: {a.extras['says']}")
    if not trace:
        return
    kept = {label: a for label, a in results.items() if a.ledger is not None and len(a.ledger) > 0}
    for label, a in kept.items():
        say()
        show(table.ledger(a, label))
    for label in results.keys() - kept.keys():
        say(f"\n{label}: no ledger, because it is not one backward pass of a rule set")


def command(args: argparse.Namespace) -> str:
    """The command that does this again."""
    import shlex

    words = ["xaicore", "explain", args.model, args.input]
    words += [w for m in args.method for w in ("-m", m)]
    for option in ("target", "layer", "baseline", "background", "scale", "mean", "std"):
        if getattr(args, option) is not None:
            words += [f"--{option}", str(getattr(args, option))]
    for option, usual in (("output", "logit"), ("dtype", "float64"), ("batch_size", None), ("seed", 0)):
        if getattr(args, option) != usual:
            words += [f"--{option.replace('_', '-')}", str(getattr(args, option))]
    words += [f"--{w.replace('_', '-')}" for w in ("resize", "over", "one_scale") if getattr(args, w)]
    return shlex.join([*words, *(w for o in args.out for w in ("-o", o))])


def _title(graph: Graph, args: argparse.Namespace) -> str:
    from pathlib import Path

    return f"{graph.name or Path(args.model).name}: {Path(args.input).name}"


# ----- options ----------------------------------------------------------------------------------------------------------


def baseline_of(text: str | None, graph: Graph, feeds: Mapping[str, Array], wanted: Iterable[Request], pixels: Any) -> Any:
    """--baseline as explain takes it: a number, or arrays by input name. InputError when no method would use it."""
    from xaicore.cli.inputs import read_input
    from xaicore.errors import InputError
    from xaicore.methods.table import METHODS

    if text is None:
        return None
    if not any(METHODS[one.method].baseline for one in wanted):
        raise InputError(f"--baseline {text}: none of the chosen methods compares with a baseline; xaicore methods shows which do")
    if text == "zero":
        return 0
    if text == "mean":
        return {k: _mean(v) for k, v in feeds.items() if k in graph.float_inputs}
    try:
        return float(text)
    except ValueError:
        there = read_input(text, graph, pixels)
        return {k: v[0] if len(v) == 1 else v for k, v in there.items() if k in graph.float_inputs}


def _background(text: str | None, graph: Graph, wanted: Iterable[Request], pixels: Any) -> Any:
    """--background as explain takes it: sets of samples by input name. InputError when no method would use it."""
    from xaicore.cli.inputs import read_input
    from xaicore.errors import InputError
    from xaicore.methods.table import METHODS

    if text is None:
        return None
    if not any("background" in METHODS[one.method].settings for one in wanted):
        raise InputError(f"--background {text}: none of the chosen methods averages over a set of samples (deep_shap, kernel_shap, "
                         f"shapley.* and others do); leave it out")
    return {k: v for k, v in read_input(text, graph, pixels).items() if k in graph.float_inputs}


def _mean(x: Array) -> Array:
    """Each sample's mean (for images: of each channel), in the shape of the sample."""
    import numpy as np

    axes = tuple(range(2, x.ndim)) or tuple(range(1, x.ndim))
    return np.array(np.broadcast_to(x.mean(axis=axes, keepdims=True), x.shape))


def _per_channel(value: Any, graph: Graph, feeds: Mapping[str, Array]) -> Any:
    """A list of numbers, one for each channel, as an array in the shape of a sample; anything else as it is."""
    import numpy as np

    from xaicore.errors import InputError
    from xaicore.methods.propagate import channels_last

    if not isinstance(value, tuple):
        return value
    name = graph.float_inputs[0]
    shape = feeds[name].shape[1:]
    last = channels_last(graph.meta, name)
    channels = shape[-1 if last else 0]
    if len(value) != channels:
        raise InputError(f"a list of {len(value)} numbers was given for input {name!r}, which has {channels} channels (shape {shape})")
    column = np.asarray(value, dtype=float).reshape((-1,) if last else (-1, *(1,) * (len(shape) - 1)))
    return np.array(np.broadcast_to(column, shape))
