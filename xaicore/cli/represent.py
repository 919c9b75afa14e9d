"""xaicore represent: what layers say about a set of samples: how alike they are, what excites a channel, groups, neighbours, a map."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xaicore.graph import Graph
    from xaicore.show.table import Table

EPILOG = """examples (INPUT is a set of samples, such as an .npz or .npy file; axis 0 is the sample):
  xaicore represent digits digits --compare relu1,pool,skip,logits
  xaicore represent model.onnx set.npy --patches features.3:17 -o patches.png
  xaicore represent digits digits --groups relu2:4
  xaicore represent digits digit_3.png --field conv4:0,3,3
"""
POSITIONS = ("units", "samples", "mean")
PICTURES, PAGES = ("patches", "maps", "neighbours", "map"), ("dictionary", "timeline")


def arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL INPUT and one thing to look at."""
    from xaicore.cli.shared import MODEL_HELP

    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("input", metavar="INPUT",
                        help=".npy .npz .png .jpg .csv .json; axis 0 is the sample; 'digits' for the images that come with xaicore")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--compare", metavar="LAYER,LAYER,...", help="CKA of every pair of layers, or of these layers of two models (--with)")
    what.add_argument("--patches", metavar="LAYER:K",
                      help="the parts of the input that excite channel K most, by their exact receptive fields")
    what.add_argument("--maps", metavar="LAYER", help="of the first sample: the feature map of every channel")
    what.add_argument("--groups", metavar="LAYER[:G]", help="G groups of channels by non-negative matrix factorisation (default 6)")
    what.add_argument("--neighbours", metavar="LAYER", help="for every sample the samples that the layer finds most alike")
    what.add_argument("--dictionary", metavar="LAYER", help="of the first sample: the strongest channels at each position")
    what.add_argument("--timeline", metavar="LAYER[:G]", help="the samples as a sequence: what G groups of the layer add to --target")
    what.add_argument("--field", metavar="LAYER:UNIT", help="which inputs can change a unit, for example conv2:0,3,3")
    what.add_argument("--map", metavar="LAYER", help="t-SNE: a place in the plane for every sample")
    parser.add_argument("--with", dest="other", metavar="MODEL", help="a second model for --compare, on the same input")
    parser.add_argument("--positions", choices=POSITIONS, default="units",
                        help="of feature maps: every position is a unit, a sample of its own, or they are averaged")
    parser.add_argument("--target", metavar="T", help="for --timeline: a class index, as for explain")
    parser.add_argument("--icons", type=int, default=0, metavar="N", help="for --dictionary: N steps of search for each icon")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="how many patches, neighbours or channels (default 5)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="for --groups and --map")
    parser.add_argument("--resize", action="store_true", help="scale an image to the size that the model takes")
    parser.add_argument("--scale", metavar="LOW,HIGH", help="what black and white of an image become")
    parser.add_argument("-o", "--out", metavar="FILE",
                        help="write a .png (--patches, --maps, --neighbours, --map) or an .html page (--dictionary, --timeline)")


def run(args: argparse.Namespace) -> int:
    """Reads, computes one thing, prints and draws it."""
    from xaicore.cli import shared
    from xaicore.cli.inputs import Pixels, read_input
    from xaicore.cli.pixels import pair
    from xaicore.cli.visualize import out_path
    from xaicore.errors import InputError

    name = next(k for k in SHOWS if getattr(args, k) is not None)
    path = out_path(args.out, (".html",) if name in PAGES else (".png",))
    if path is not None and name not in (*PICTURES, *PAGES):
        raise InputError(f"-o: there are pictures of --{', --'.join(PICTURES)} and pages of --{', --'.join(PAGES)}; --{name} is a table "
                         f"(--json for its numbers)")
    graph = shared.open_model(args.model)
    feeds = _shipped(graph) if args.input == shared.SHIPPED else read_input(args.input, graph, Pixels(args.resize, pair(args.scale)))
    table, more, picture = SHOWS[name](graph, feeds, args)
    if path is not None:
        from xaicore.cli.outputs import write
        from xaicore.show.sheet import png

        write(path, picture().encode("utf-8") if name in PAGES else png(picture()))
        shared.log(f"wrote {path}")
    if args.json:
        shared.dump({name: table.records(), **more, "files": [] if path is None else [str(path)]})
    else:
        shared.show(table)
    return 0


Shows = tuple["Table", dict[str, Any], Callable[[], Any]]


def _shipped(graph: Graph) -> Any:
    """The held-out digits, for a model with one input."""
    from xaicore.data import digits_images

    return {next(iter(graph.inputs)): digits_images()[0]}


def _images(graph: Graph, feeds: Any) -> list[Any]:
    """The samples as pictures (C, H, W), none where they are no images."""
    import numpy as np

    from xaicore.methods.propagate import channels_last

    name = graph.float_inputs[0] if graph.float_inputs else ""
    x = np.asarray(feeds[name], dtype=float) if name else np.zeros(0)
    x = np.moveaxis(x, -1, 1) if x.ndim == 4 and channels_last(graph.meta, name) else x
    return list(x) if x.ndim == 4 else []


def _compare(graph: Graph, feeds: Any, args: argparse.Namespace) -> Shows:
    from xaicore.cli import shared
    from xaicore.errors import InputError
    from xaicore.represent.cka import cka
    from xaicore.represent.features import activations
    from xaicore.show.table import Column, Table, figure

    names = [n.strip() for n in args.compare.split(",") if n.strip()]
    if not names:
        raise InputError("--compare: name at least one layer, such as --compare conv1,conv2 (xaicore inspect lists them)")
    own = activations(graph, feeds, names)
    other = own if args.other is None else activations(shared.open_model(args.other), feeds, names)
    rows = [[a, *(cka(own[a], other[b], positions=args.positions) for b in names)] for a in names]
    title = f"linear CKA on {len(own[names[0]])} samples" + (f": rows {args.model}, columns {args.other}" if args.other else "")
    few = [n for n in names if own[n][0].size > len(own[n])] if args.positions == "units" else []
    notes = [f"{', '.join(few)}: more units than samples, so values near 1 mean little; give more samples, or --positions samples or mean"]
    return Table([Column("layer"), *(figure(b, digits=4) for b in names)], rows, title, notes if few else ()), {}, _nothing


def _patches(graph: Graph, feeds: Any, args: argparse.Namespace) -> Shows:
    from xaicore.cli.visualize import unit
    from xaicore.represent.patches import top_patches
    from xaicore.show.pictures import Shown, mosaic
    from xaicore.show.table import Column, Table, figure

    layer, (channel,) = unit(args.patches, "--patches LAYER:K", (1,))
    found = top_patches(graph, feeds, layer, channel, args.top)
    rows = [[p.sample, str(p.position), p.value, ", ".join(f"{a} to {b - 1}" for a, b in p.box)] for p in found]
    columns = [Column("sample", right=True), Column("position"), figure("activation"), Column("inputs", "inputs (rows, columns)")]
    table = Table(columns, rows, f"what excites channel {channel} of {layer} most")

    def picture() -> Any:
        return mosaic([Shown(p.pixels, f"sample {p.sample}", f"{p.value:.4g}") for p in found], 5, title=f"channel {channel} of {layer}")

    return table, {}, picture


def _maps(graph: Graph, feeds: Any, args: argparse.Namespace) -> Shows:
    import numpy as np

    from xaicore.errors import InputError
    from xaicore.represent.patches import feature_maps
    from xaicore.show.pictures import Shown, mosaic
    from xaicore.show.table import Column, Table, figure

    maps = np.asarray(feature_maps(graph, {k: v[:1] for k, v in feeds.items()}, args.maps)[0], dtype=float)
    rows = [[c, float(m.min()), float(m.mean()), float(m.max())] for c, m in enumerate(maps)]

    def picture() -> Any:
        if maps.ndim != 3:
            raise InputError(f"--maps draws layers with rows and columns; a sample of {args.maps!r} has shape {maps.shape}")
        shown = [Shown(m[None], f"channel {c}", f"to {float(m.max()):.3g}") for c, m in enumerate(maps)]
        return mosaic(shown, 8, 80, f"maps of {args.maps}")

    columns = [Column("channel", right=True), *(figure(k, digits=4) for k in ("smallest", "mean", "largest"))]
    return Table(columns, rows, f"the maps of {args.maps}, shape {maps.shape}"), {}, picture


def _groups(graph: Graph, feeds: Any, args: argparse.Namespace) -> Shows:
    import numpy as np

    from xaicore.represent.nmf import neuron_groups
    from xaicore.show.table import Column, Table, figure

    layer, count = _counted(args.groups, "--groups")
    found = neuron_groups(graph, feeds, layer, count, seed=args.seed)
    mass = found.loadings.reshape(-1, count).sum(axis=0)
    rows = []
    for g in range(count):
        top = np.argsort(-found.directions[g], kind="stable")[:args.top]
        rows.append([g, float(mass[g] / max(mass.sum(), 1e-300)), ", ".join(f"{c} ({found.directions[g, c]:.2f})" for c in top)])
    table = Table([Column("group", right=True), figure("share", digits=3), Column("channels", "channels (weight)")], rows,
                  f"{count} groups of the channels of {layer}; they leave {found.residual:.3g} of the squared activations")
    return table, {"residual": found.residual}, _nothing


def _counted(text: str, option: str) -> tuple[str, int]:
    """LAYER or LAYER:G."""
    from xaicore.cli.visualize import unit

    if not text.rpartition(":")[2].isdigit() or ":" not in text:
        return text, 6
    layer, (count,) = unit(text, f"{option} LAYER:G", (1,))
    return layer, count


def _neighbours(graph: Graph, feeds: Any, args: argparse.Namespace) -> Shows:
    from xaicore.represent.features import activations
    from xaicore.represent.neighbours import neighbours
    from xaicore.show.pictures import Shown, mosaic
    from xaicore.show.table import Column, Table

    found = neighbours(activations(graph, feeds, args.neighbours)[args.neighbours], k=args.top)
    rows = [[n, ", ".join(f"{int(j)} ({d:.3g})" for j, d in zip(*pair))] for n, pair in enumerate(zip(found.indices, found.distances))]
    images = _images(graph, feeds)

    def picture() -> Any:
        shown = [Shown(images[int(j)], f"sample {int(j)}") for n, row in enumerate(found.indices) for j in (n, *row)]
        return mosaic(shown, args.top + 1, 64, f"nearest in {args.neighbours}; the first of each row is asked for")

    columns = [Column("sample", right=True), Column("nearest", "nearest samples (distance)")]
    return Table(columns, rows, f"in {args.neighbours}"), {}, picture


def _dictionary(graph: Graph, feeds: Any, args: argparse.Namespace) -> Shows:
    import numpy as np

    from xaicore.errors import InputError
    from xaicore.represent.dictionary import semantic_dictionary
    from xaicore.show.table import Column, Table, figure

    found = semantic_dictionary(graph, {k: v[:1] for k, v in feeds.items()}, args.dictionary, args.top)
    rows = [[str(at), float(found.norms[at]), ", ".join(f"{c} ({v:.3g})" for c, v in zip(found.channels[at], found.values[at]))]
            for at in np.ndindex(*found.norms.shape)]
    table = Table([Column("position"), figure("length", digits=4), Column("channels", "channels (activation)")], rows,
                  f"{args.dictionary}, most at {found.start}")

    def page() -> str:
        from xaicore.show.interface import dictionary_page
        from xaicore.visualize.objectives import channel
        from xaicore.visualize.search import render

        images = _images(graph, feeds)
        if not images:
            raise InputError("--dictionary draws its page over an image, and the input is none; leave out -o for the table")
        preset = "olah" if min(images[0].shape[1:]) >= 64 else "olah_small"
        icons = {c: render(graph, channel(args.dictionary, c), preset, steps=args.icons, seed=args.seed).images[0]
                 for c in (found.icons if args.icons else ())}
        return dictionary_page(found, images[0], f"{graph.name or 'model'}: {args.dictionary}", icons)

    return table, {"start": list(found.start)}, page


def _timeline(graph: Graph, feeds: Any, args: argparse.Namespace) -> Shows:
    from xaicore.cli import shared
    from xaicore.represent.nmf import neuron_groups
    from xaicore.represent.sequence import reduced_attributions, timeline
    from xaicore.show.table import Column, Table, figure

    layer, count = _counted(args.timeline, "--timeline")
    groups = neuron_groups(graph, feeds, layer, count, seed=args.seed)
    line = timeline(reduced_attributions(graph, feeds, layer, groups, shared.target(args.target)), bookmarks=args.top)
    rows = [[t, float(line.values[t]), *(float(v) for v in line.groups[t]), float(line.residual[t])] for t in range(len(line.values))]
    columns = [Column("step", right=True), figure("value", digits=4),
               *(figure(k, digits=3) for k in (*(f"group_{g}" for g in range(count)), "rest"))]

    def page() -> str:
        from xaicore.show.interface import timeline_page

        return timeline_page(line, f"{graph.name or 'model'}: {layer} over {len(rows)} steps", _images(graph, feeds))

    return Table(columns, rows, f"what groups of {layer} add, from zero activations"), {"bookmarks": list(line.bookmarks)}, page


def _field(graph: Graph, feeds: Any, args: argparse.Namespace) -> Shows:
    from xaicore.cli.visualize import unit
    from xaicore.represent.receptive import receptive_field
    from xaicore.show.table import Column, Table

    layer, at = unit(args.field, "--field LAYER:UNIT", range(1, 9))
    found = receptive_field(graph, layer, at, feeds)
    rows = [[k, a, b - 1, b - a] for k, (a, b) in enumerate(found.box)]
    columns = [Column("axis", "axis of space", right=True), *(Column(k, right=True) for k in ("first", "last", "size"))]
    return Table(columns, rows, f"unit {at} of {layer} sees {int(found.mask.sum())} of {found.mask.size} inputs"), {
        "inputs": int(found.mask.sum()), "of": int(found.mask.size)}, _nothing


def _map(graph: Graph, feeds: Any, args: argparse.Namespace) -> Shows:
    from xaicore.represent.features import activations
    from xaicore.represent.tsne import tsne
    from xaicore.show.pictures import plane
    from xaicore.show.table import Column, Table, figure

    values = activations(graph, feeds, args.map)[args.map].reshape(len(next(iter(feeds.values()))), -1)
    found = tsne(values, min(30.0, max(2.0, (len(values) - 1) / 3)), seed=args.seed)
    rows = [[n, float(x), float(y)] for n, (x, y) in enumerate(found.points)]
    table = Table([Column("sample", right=True), figure("x"), figure("y")], rows, f"t-SNE of {args.map}, divergence {found.kl:.4g}")
    return table, {"divergence": found.kl}, lambda: plane(found.points, _images(graph, feeds))


def _nothing() -> Any:
    from xaicore.errors import InputError

    raise InputError("there is no picture of this")


SHOWS: dict[str, Callable[[Graph, Any, argparse.Namespace], Shows]] = {
    "compare": _compare, "patches": _patches, "maps": _maps, "groups": _groups, "neighbours": _neighbours,
    "dictionary": _dictionary, "field": _field, "map": _map, "timeline": _timeline,
}
