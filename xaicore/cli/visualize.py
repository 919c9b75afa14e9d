"""xaicore visualize: make an image that a neuron, a channel, a layer or a class responds to, from noise or from a picture."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xaicore.graph import Graph
    from xaicore.visualize.objective import Objective
    from xaicore.visualize.search import Rendering

EPILOG = """presets:
  olah (the default; olah_small for images of less than 64 pixels), simonyan, yosinski1, yosinski2, yosinski3, yosinski4, keras_blog,
  jacobgil, deepdream, inversion, and as the control fooling, which has no regularisation

examples:
  xaicore visualize digits --class 3 --class 8 -o classes.png
  xaicore visualize digits --channel relu2:4 --neuron relu2:4,3,3 --batch 3 -o units.png
  xaicore visualize model.onnx --layer features.5 --from photo.jpg --resize --preset deepdream -o dream.png
  xaicore visualize digits --layer relu2 --from digit_5.png --preset inversion -o known.png
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL, what to make large, and how."""
    from xaicore.cli.shared import MODEL_HELP

    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    what = parser.add_argument_group("what the image is for (each one given makes its own)")
    what.add_argument("--class", dest="classes", action="append", default=[], type=int, metavar="K",
                      help="the score of a class, before the softmax")
    what.add_argument("--channel", action="append", default=[], metavar="LAYER:K", help="a channel, over all of its positions")
    what.add_argument("--neuron", action="append", default=[], metavar="LAYER:K[,ROW,COL]", help="one unit (default: in the middle)")
    what.add_argument("--layer", action="append", default=[], metavar="LAYER",
                      help="everything that a layer responds to; with --preset inversion, the picture that the layer still knows")
    how = parser.add_argument_group("how")
    how.add_argument("--preset", metavar="ID", help="see below")
    how.add_argument("--steps", type=int, metavar="N", help="of the search (default: the preset's)")
    how.add_argument("--batch", type=int, default=1, metavar="N", help="images for each objective, that differ by their start")
    how.add_argument("--size", metavar="H,W", help="where the model takes images of any size")
    how.add_argument("--seed", type=int, default=0, metavar="N", help="of what is drawn (default 0)")
    how.add_argument("--frames", type=int, default=0, metavar="N", help="show N images on the way instead of the last alone")
    how.add_argument("--from", dest="start", metavar="IMAGE", help="a picture to start from (deepdream) or to invert (inversion)")
    how.add_argument("--octaves", type=int, default=4, metavar="N", help="sizes of a dream (default 4)")
    how.add_argument("--scale", metavar="LOW,HIGH", help="what black and white are for the model (default: what the model says, else 0,1)")
    how.add_argument("--resize", action="store_true", help="scale the picture to the size that the model takes")
    parser.add_argument("-o", "--out", metavar="FILE",
                        help="write .png (the images side by side, with more contrast) or .npz (the numbers)")


def run(args: argparse.Namespace) -> int:
    """Reads, searches, prints, writes."""
    import numpy as np

    from xaicore.cli import shared
    from xaicore.cli.pixels import pair

    path = out_path(args.out, (".png", ".npz"))
    graph = shared.open_model(args.model)
    bounds, wanted = pair(args.scale), objectives(args)
    made: list[tuple[str, Rendering]] = []
    callback, bar = shared.progress()
    try:
        for words, objective in wanted:
            made.append((words, _render(graph, words, objective, args, bounds, callback)))
    finally:
        if bar is not None:
            bar.stop()
    first = [r.history[0] if len(r.history) else r.scores for _, r in made]
    if path is not None:
        from xaicore.cli.outputs import write

        write(path, _sheet(graph, made, args) if path.suffix.lower() == ".png" else _arrays(made))
        shared.log(f"wrote {path}")
    if args.json:
        rows = [{"objective": w, "steps": len(r.history), "first": f, "scores": r.scores} for (w, r), f in zip(made, first)]
        shared.dump({"results": rows, "settings": made[0][1].settings, "files": [] if path is None else [str(path)]})
        return 0
    from xaicore.show.table import Column, Table, figure

    columns = [Column("objective"), Column("steps", right=True), figure("first", "at the start", 4), figure("score", "at the end", 4)]
    cells = [[w, len(r.history), float(np.mean(f)), float(np.mean(r.scores))] for (w, r), f in zip(made, first)]
    shared.show(Table(columns, cells, f"{graph.name or 'model'}, {made[0][1].settings['recipe']}, seed {args.seed}"))
    return 0


def objectives(args: argparse.Namespace) -> list[tuple[str, Objective]]:
    """What was asked for, in words and as objectives."""
    from xaicore.errors import InputError
    from xaicore.visualize.objectives import channel, class_logit, energy, layer, neuron

    found: list[tuple[str, Objective]] = [(f"class {k}", class_logit(k)) for k in args.classes]
    for text in args.channel:
        name, (k,) = unit(text, "--channel LAYER:K", (1,))
        found.append((f"channel {text}", channel(name, k)))
    for text in args.neuron:
        name, numbers = unit(text, "--neuron LAYER:K,ROW,COL", (1, 2, 3, 4))
        found.append((f"neuron {text}", neuron(name, numbers[0], numbers[1:] or None)))
    found += [(f"layer {name}", energy(name) if args.preset == "deepdream" else layer(name)) for name in args.layer]
    if not found:
        raise InputError("nothing to make large: give --class K, --channel LAYER:K, --neuron LAYER:K or --layer LAYER (xaicore inspect "
                         "lists the layers)")
    return found


def unit(text: str, form: str, counts: Sequence[int]) -> tuple[str, tuple[int, ...]]:
    """LAYER:3,1,2 -> (layer, numbers)."""
    from xaicore.errors import InputError

    name, _, rest = text.rpartition(":")
    try:
        numbers = tuple(int(part) for part in rest.split(","))
    except ValueError:
        numbers = ()
    if not name or len(numbers) not in counts or min(numbers) < 0:
        raise InputError(f"{text!r} cannot be read; write {form} with whole numbers from 0 on")
    return name, numbers


def out_path(name: str | None, kinds: tuple[str, ...]) -> Any:
    """The output file, refused at once where it cannot be written."""
    from xaicore.cli.outputs import checked_paths
    from xaicore.errors import UnknownName

    if name is None:
        return None
    (path,) = checked_paths([name])
    if path.suffix.lower() not in kinds:
        raise UnknownName(f"-o {path}: this command writes {' or '.join(kinds)}")
    return path


def _render(graph: Graph, words: str, objective: Objective, args: argparse.Namespace, bounds: tuple[float, float] | None,
            callback: Any) -> Rendering:
    from xaicore.errors import InputError
    from xaicore.visualize.objective import bind
    from xaicore.visualize.octaves import dream, invert
    from xaicore.visualize.search import render

    start = _picture(graph, args, bounds)
    if args.preset == "inversion":
        if start is None or not args.layer:
            raise InputError("--preset inversion needs --from IMAGE and --layer LAYER: it looks for a picture with the same activations")
        return invert(graph, words.removeprefix("layer "), start, steps=args.steps, seed=args.seed, bounds=bounds, progress=callback)
    if args.preset == "deepdream" and start is not None:
        return dream(graph, objective, start, args.octaves, steps=args.steps, seed=args.seed, bounds=bounds, progress=callback)
    size = None
    if args.size is not None:
        h, w = unit(f"size:{args.size.replace('x', ',')}", "--size H,W", (2,))[1]
        channels = bind(graph, objective).size[0] or 3
        size = (channels, h, w)
    sides = [n for n in (size or bind(graph, objective).size)[1:] if n is not None]
    preset = args.preset or ("olah" if len(sides) == 2 and min(sides) >= 64 else "olah_small")
    return render(graph, objective, preset, size=size, batch=args.batch, start=start, seed=args.seed, steps=args.steps, bounds=bounds,
                  frames=args.frames, progress=callback)


def _picture(graph: Graph, args: argparse.Namespace, bounds: tuple[float, float] | None) -> Any:
    """The start as numbers (N, C, H, W)."""
    import numpy as np

    from xaicore.cli.inputs import Pixels, read_input
    from xaicore.methods.propagate import channels_last

    if args.start is None:
        return None
    name = graph.float_inputs[0]
    x = np.asarray(read_input(args.start, graph, Pixels(args.resize, bounds))[name], dtype=float)
    return np.moveaxis(x, -1, 1) if channels_last(graph.meta, name) else x


def _sheet(graph: Graph, made: Sequence[tuple[str, Rendering]], args: argparse.Namespace) -> bytes:
    from xaicore.show.pictures import Shown, drawn, mosaic
    from xaicore.show.sheet import png

    pictures, columns = [], 1
    for words, r in made:
        rows = r.frames or ((len(r.history), r.images),)
        for step, images in rows:
            for n, image in enumerate(images):
                last = step == rows[-1][0]
                pictures.append(Shown(drawn(image, None if args.start is None else r.bounds, 0.005 if args.start is None else 0.0), words,
                                      f"score {float(r.scores[n]):.4g}" if last else f"step {step}"))
        columns = max(columns, len(rows) * len(r.images))
    return png(mosaic(pictures, columns if columns > 1 else min(5, len(pictures)), 160, f"{graph.name or 'model'}: what it responds to"))


def _arrays(made: Sequence[tuple[str, Rendering]]) -> bytes:
    import io

    import numpy as np

    out = io.BytesIO()
    packed: dict[str, Any] = {words.replace(" ", "_"): r.images for words, r in made}
    np.savez_compressed(out, **packed)
    return out.getvalue()
