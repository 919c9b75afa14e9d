"""xaicore view: one page that shows how relevance flows through a model, layer by layer, down to the arithmetic of a unit."""

from __future__ import annotations

import argparse

from xaicore.cli.pixels import add_pixels, pixels_of

DEFAULT = ("lrp.epsilon", "lrp.gamma")
EPILOG = """examples:
  xaicore view digits digit_3.png -m lrp.epsilon -m deeplift.rescale -m integrated_gradients -o three.html
  xaicore view model.onnx photo.jpg --resize -m lrp.epsilon_plus -o photo.html
  xaicore view text.onnx sentence.npy --names words.txt -o text.html

  (the page is one file; it opens offline and loads nothing)
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL INPUT, the options of explain that say what is explained, and the file."""
    from xaicore.cli.shared import MODEL_HELP, add_arithmetic, add_methods

    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("input", metavar="INPUT", help=".npy .npz .png .jpg .csv .json; axis 0 is the batch, a single sample gets one")
    add_methods(parser, f"a method with settings (default: {' and '.join(DEFAULT)}); may be repeated, a column each")
    parser.add_argument("-o", "--out", default="view.html", metavar="FILE", help="the page (default: view.html)")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="which sample of the batch (default 0)")
    parser.add_argument("--names", metavar="FILE", help="words of the text, or names of the features: a text file, one a line")
    parser.add_argument("--target", metavar="T", help="as for explain: a class index (default: the largest), 3,1,2, name:3")
    parser.add_argument("--layer", metavar="NAME", help="attribute to this layer's value instead of the input, as for token ids")
    parser.add_argument("--baseline", metavar="B", help="for methods that have one: zero, mean, a number, or a file read like INPUT")
    add_pixels(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="for methods that draw (default 0)")
    add_arithmetic(parser)


def run(args: argparse.Namespace) -> int:
    """Explains and writes the page."""
    from pathlib import Path

    from xaicore import __version__
    from xaicore.cli import inputs, outputs, shared
    from xaicore.cli.explain import baseline_of, explained
    from xaicore.errors import InputError, UnknownName
    from xaicore.show.page.viewer import viewer

    wanted = shared.requests(args.method or DEFAULT)
    path, = outputs.checked_paths([args.out])
    if path.suffix.lower() != ".html":
        raise UnknownName(f"-o {path}: the page is a .html file")
    pixels = pixels_of(args)
    names: list[str] = []
    if args.names is not None:
        try:
            names = Path(args.names).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--names {args.names} cannot be read: {error}") from None
    graph = shared.open_model(args.model, args.dtype)
    feeds = inputs.read_input(args.input, graph, pixels)
    size = len(next(iter(feeds.values())))
    if not 0 <= args.sample < size:
        raise InputError(f"--sample {args.sample} is not in the batch, which has {size} samples: 0 to {size - 1}")
    feeds = {k: v[args.sample:args.sample + 1] for k, v in feeds.items()}
    based = baseline_of(args.baseline, graph, feeds, wanted, pixels)
    results = explained(graph, feeds, wanted, target=shared.target(args.target), layer=args.layer, baseline=based, pixels=pixels,
                        seed=args.seed)
    title = f"{graph.name or Path(args.model).name}: {Path(args.input).name}"
    page = viewer(results, title, command(args), tokens=names, version=__version__)
    outputs.write(path, page.encode("utf-8"))
    if args.json:
        shared.dump({**outputs.document(outputs.Product(results, title, command(args))), "files": [str(path)]})
    shared.log(f"wrote {path} ({len(page.encode()) / 1e6:.2f} MB): open it in a browser")
    return 0


def command(args: argparse.Namespace) -> str:
    """The command that makes the page again."""
    import shlex

    words = ["xaicore", "view", args.model, args.input, *(w for m in args.method for w in ("-m", m))]
    for option in ("target", "layer", "baseline", "names", "scale", "mean", "std"):
        if getattr(args, option) is not None:
            words += [f"--{option}", str(getattr(args, option))]
    for option, usual in (("sample", 0), ("seed", 0), ("dtype", "float64")):
        if getattr(args, option) != usual:
            words += [f"--{option}", str(getattr(args, option))]
    return shlex.join([*words, *(["--resize"] if args.resize else []), "-o", args.out])
