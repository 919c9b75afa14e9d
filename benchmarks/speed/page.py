"""docs/performance.md out of the results that are kept, and nothing else but the sentences in held_back.txt."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

HELD_BACK = Path(__file__).parent / "held_back.txt"

HEAD = """# Speed and memory beside the peers

Written by `python -m benchmarks --write` alone. All sides run in turn in one process, one thread each, random weights and inputs; a ratio
is the median over the rounds of ours / theirs in processor seconds (smaller is better), with the smallest and the largest in brackets.
Both include their own forward pass. *First* is our first call. Beside onnxruntime, which builds a graph for its outputs alone, ours is
`for_outputs(graph)`: BatchNorm is folded.

The floors are what the passes that a method needs would take if nothing but their products (operations / peak of a matrix product) or
nothing but their results (bytes written and read once / bandwidth) took time, both measured in the same run.

Numbers are compared at a small size of the network: in float64 by the largest difference in units of the peer's largest entry, asserted to
be below 1e-10 (fast: 1e-8). In float32 by the Euclidean distance from the peer's own float64, asserted to be below 1e-5 (fast: 1e-3) or
below 30 times the peer's own: units of deep networks that lie within rounding of a kink fall on either side of it, in any library.
"""

SCALING = ("Gradients beside torch agree in float64, asserted to be below 1e-10 of the largest entry. In float32 both are compared with that, at full size:",
           "of some millions of units one or the other lies within rounding of its kink, and falls on the other side of it in one library and not in the",
           "other (1e-3 and more). Several methods in one call are compared with one call for each.")

LRP_TOOLBOX = """The NumPy modules of lrp_toolbox are not on a package index, so they have no row; an earlier measurement by hand (LeNet, forward and
epsilon-LRP, theirs in float64, ours in float32) gave a ratio of 0.02.
"""


def write(document: Mapping[str, Any], path: Path) -> None:
    """The page: machine, goals, all rows, memory, scaling, and how to do it again."""
    rows = sorted(document["rows"], key=lambda r: (r["dtype"], r["batch"], _place(r["network"]), r["row"], r["peer"], r["speed"]))
    peaks = "; ".join(f"{k}: {a / 1e9:.0f} G operations/s in a matrix product, {b / 1e9:.0f} GB/s in a pass over memory" for k, (a, b) in document["peaks"].items())
    versions = ", ".join(f"{k} {v}" for k, v in document["versions"].items())
    out = [HEAD, f"{document['machine']['processor']}; {document['machine']['kernel']}. {peaks}. {versions}.", ""]
    out += goals(rows, document["memory"])
    for dtype, batch in dict.fromkeys((r["dtype"], r["batch"]) for r in rows):
        own = [r for r in rows if (r["dtype"], r["batch"]) == (dtype, batch)]
        out += [f"## {dtype}, batch {batch}", "",
                "| network | method | speed | peer | ratio | ours, s | theirs, s | first, s | ours / floor | float64 | float32: ours, theirs |",
                "|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|", *(_row(r) for r in own), ""]
    if document["memory"]:
        out += ["## Peak resident memory of `lrp.epsilon_plus`", "", "Above what the process held with the model and the input, a fresh process for each side.", "",
                "| network | speed | ours, MiB | zennit, MiB | ratio |", "|---|---|--:|--:|--:|"]
        out += [f"| {r['network']} | {r['speed']} | {r['ours'] / 2**20:.0f} | {_mib(r['zennit'])} | {_two(r['ratio'])} |" for r in document["memory"]] + [""]
    if document["scaling"]:
        out += ["## What grows, and how", "", *SCALING, "",
                "| what | to | ours, s | the other, s | ratio | the other | float64 | float32: ours, the other |", "|---|--:|--:|--:|--:|---|--:|--:|"]
        out += [f"| {r['what']} | {r['value']} | {r['ours']:.3g} | {r['theirs']:.3g} | {r['ratio']:.2f} | {r['other']} | "
                f"{'' if r['float64'] is None else format(r['float64'], '.0e')} | {r['float32']:.0e}, {r['their_float32']:.0e} |" for r in document["scaling"]] + [""]
    path.write_text("\n".join([*out, LRP_TOOLBOX, AGAIN]), encoding="utf-8")


AGAIN = """## Again

Each command keeps its rows as they come and leaves out those that are kept for the sources as they are, so that it can be interrupted.

```bash
unset OPENBLAS_CORETYPE
python -m benchmarks --write --resume --networks "[MLB]*"
python -m benchmarks --write --resume --networks "ViT-like"
python -m benchmarks --write --resume --networks "E*"
python -m benchmarks --write --resume --networks "ResNet*"
python -m benchmarks --write --resume --networks "VGG16"
python -m benchmarks --write --resume --networks "ResNet18" --batch 8 --rows "[gl]*"
python -m benchmarks --write --resume --networks "ResNet50" --dtype float64 --rows "[gl]*"
python -m benchmarks --write --memory
python -m benchmarks --write --scaling
```
"""


def goals(rows: list[dict[str, Any]], memory: list[dict[str, Any]]) -> list[str]:
    """For each goal what was reached, the floors, and what holds it back where it is missed."""
    aimed = [r for r in rows if r["goal"] is not None and r["ratio"] is not None]
    made = [{**r, "row": "peak memory of lrp.epsilon_plus", "peer": "zennit EpsilonPlus"} for r in memory if r["ratio"] is not None]
    met = sum(r["ratio"] <= r["goal"] for r in [*aimed, *made])
    out = ["## Goals", "", f"Of {len(aimed) + len(made)} goals {met} are met.", "",
           "| method | network | speed | peer | goal | reached | ours, s | floor of products, s | floor of bytes, s | what holds it back |",
           "|---|---|---|---|--:|--:|--:|--:|--:|---|"]
    for r in aimed:
        held = "" if r["ratio"] <= r["goal"] else _held_back(r)
        out.append(f"| {r['row']} | {r['network']} | {r['speed']} | {r['peer']} | {r['goal']:.2f} | {r['ratio']:.2f}{'' if not held else ' missed'} | {r['ours']:.3g} | "
                   f"{r['floor_products']:.3g} | {r['floor_bytes']:.3g} | {held} |")
    for r in made:
        held = "" if r["ratio"] <= r["goal"] else _held_back(r)
        out.append(f"| {r['row']} | {r['network']} | {r['speed']} | {r['peer']} | {r['goal']:.2f} | {r['ratio']:.2f}{'' if not held else ' missed'} | | | | {held} |")
    return [*out, ""]


def _held_back(r: Mapping[str, Any]) -> str:
    """The sentence of the first line of held_back.txt whose patterns of row, network and speed fit."""
    for text in HELD_BACK.read_text(encoding="utf-8").splitlines():
        if text and not text.startswith("#"):
            row, network, speed, why = (part.strip() for part in text.split("|", 3))
            if fnmatch(r["row"], row) and fnmatch(r["network"], network) and fnmatch(r["speed"], speed):
                return why + _bare(r)
    return "not yet known" + _bare(r)


def _bare(r: Mapping[str, Any]) -> str:
    """What the method's NumPy calls alone take, in the peer's time, where that was measured."""
    bare = r.get("bare")
    if bare is None:
        return ""
    return f"; its NumPy calls alone, written out with every buffer laid out before, take {bare:.2f}" + (", more than the goal" if bare > r["goal"] else "")


def _row(r: Mapping[str, Any]) -> str:
    ratio = "-" if r["ratio"] is None else f"{r['ratio']:.2f} ({r['low']:.2f} to {r['high']:.2f})"
    floor = max(r["floor_products"], r["floor_bytes"])
    in64 = r["note"] if r["float64"] is None else f"{r['float64']:.0e}"
    in32 = "" if r["float32"] is None else f"{r['float32']:.0e}, {r['their_float32']:.0e}"
    theirs = "-" if r["peer_seconds"] is None else f"{r['peer_seconds']:.3g}"
    return (f"| {r['network']} | {r['row']} | {r['speed']} | {r['peer']} | {ratio} | {r['ours']:.3g} | {theirs} | {r['first']:.3g} | "
            f"{r['ours'] / floor:.1f} | {in64} | {in32} |")


def _place(network: str) -> int:
    order = ("MLP", "LeNet", "LSTM", "BERT-like", "ViT-like", "EfficientNet-Lite0", "ResNet18", "ResNet50", "VGG16")
    return order.index(network) if network in order else len(order)


def _mib(n: float | None) -> str:
    return "-" if n is None else f"{n / 2**20:.0f}"


def _two(x: float | None) -> str:
    return "-" if x is None else f"{x:.2f}"
