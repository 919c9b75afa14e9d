"""docs/cost.md and docs/cost.png from the results of the measurement: fits, the prediction, and the run that checked it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from benchmarks.cost.networks import FAMILIES
from xaicore.show.sheet import font

DOCS = Path(__file__).parent.parent.parent / "docs"
MILLION = 10**6
INKS = ((31, 90, 160), (190, 80, 40), (60, 130, 70), (130, 70, 150), (140, 120, 30))
WORDS = {"width": {f.name: f.width for f in FAMILIES}, "input": {f.name: f.side for f in FAMILIES}}


def fit(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """(exponent e, half its 95 % interval, a) of y = a x^e, by least squares of the logarithms; the interval by Student's t."""
    from scipy import stats

    found = stats.linregress([math.log(v) for v in x], [math.log(v) for v in y])
    return found.slope, float(stats.t.ppf(0.975, len(x) - 2)) * found.stderr, math.exp(found.intercept)


def exponent(x: Sequence[float], y: Sequence[float]) -> str:
    e, half, _ = fit(x, y)
    return f"{e:.2f} ± {half:.2f}"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    return "\n".join("| " + " | ".join(map(str, r)) + " |" for r in (head, ["---"] * len(head), *rows))


def write(found: dict[str, Any]) -> None:
    """The page and its picture."""
    rows = found["rows"]
    by = {f.name: [r for r in rows if r["family"] == f.name] for f in FAMILIES if any(r["family"] == f.name for r in rows)}
    (DOCS / "cost.md").write_text(page(found, by), encoding="utf-8")
    picture(by).save(DOCS / "cost.png")


def page(found: dict[str, Any], by: dict[str, list[dict[str, Any]]]) -> str:
    m = found["machine"]
    return f"""# What an explanation costs

Made by `python -m benchmarks.cost` ({m["date"]}, NumPy {m["numpy"]}, Python {m["python"]}, one thread; a machine of {m["cores"]} cores
that others used at the same time, load {m["load"]}: seconds are of CPU, the least of two to seven calls; what shared caches and cores
add to them is not known). float32, batches of 8, all figures for one input.

An operation is a multiplication or an addition of a matrix product, or one entry of the result of any other node. Bytes are the peak of
what is allocated beside the parameters (tracemalloc).

## How it grows

Exponents e of y ∝ size^e with their 95 % intervals, each fitted to five sizes, the other size staying in the middle; bytes and seconds of
`lrp.epsilon`.

{table(("family", "what grows", "sizes", "operations", "bytes", "seconds"), growth(by))}

Operations grow with the square of a layer's width and of an image's side, a little less where a part of them grows slower (the first and
the last layer). Seconds grow more slowly than operations as long as calls of NumPy, some microseconds each, are a part of them (a small
LSTM, expanded into its steps, is nothing else), and bytes grow with the values, not with the weights.

## Seconds by operations

All ten sizes of a family together: seconds = a · operations^e.

![Seconds of lrp.epsilon by the operations of one forward pass](cost.png)

{table(("family", "method", "e", "ns for each operation, smallest to largest", "times the forward pass, largest"), speed(by))}

## A million images

The middle size of each family, core hours for 10⁶ inputs. N machines of c cores take 1/(N c) of it as long as the inputs can be read
that fast: `explain_many` gives every worker whole shards and workers share nothing; what the calling process does for an item is in the
run below.

{table(("family", "operations", "gradient", "lrp.epsilon", "deeplift.rescale", "lrp.epsilon, 10 machines of 8 cores"), million(by))}

## The run that checked it

{check(found["many"]) if "many" in found else ""}

## Bytes, said and measured

`xaicore inspect` works out from shapes what a family of methods needs (`xaicore.methods.memory`). Measured over said, over all ten sizes:

{table(("family", "forward", "gradient", "lrp.epsilon", "deeplift.rescale"), said(by))}

(`lrp.epsilon` is far below where weights outweigh values: the family's figure leaves room for the weights by sign, which `lrp.alpha_beta`
takes.)

And in fresh processes, 32 inputs of the middle size, with the growth of resident memory:

{table(("family", "method", "said", "allocated", "resident"), resident(found))}
"""


def growth(by: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    out = []
    for name, rows in by.items():
        for grows, key in (("width", "width"), ("input", "side")):
            five = [r for r in rows if r["grows"] == grows]
            x = [r[key] for r in five]
            out.append([name, WORDS[grows][name], f"{x[0]} to {x[-1]}", exponent(x, [r["operations"] for r in five]),
                        exponent(x, [r["bytes"]["lrp.epsilon"] for r in five]), exponent(x, [r["seconds"]["lrp.epsilon"] for r in five])])
    return out


def speed(by: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    out = []
    for name, rows in by.items():
        rows = sorted(rows, key=lambda r: r["operations"])
        x = [r["operations"] for r in rows]
        for method in rows[0]["seconds"]:
            y = [r["seconds"][method] for r in rows]
            each = [1e9 * s / o for s, o in zip(y, x)]
            out.append([name, method, exponent(x, y), f"{each[0]:.2g} to {each[-1]:.2g}", f"{y[-1] / rows[-1]['seconds']['forward']:.1f}"])
    return out


def middle(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return [r for r in rows if r["grows"] == "width"][2]


def million(by: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    out = []
    for name, rows in by.items():
        r = middle(rows)
        hours = {m: s * MILLION / 3600 for m, s in r["seconds"].items()}
        out.append([name, f"{r['operations'] / 1e6:.3g} M", *(f"{hours[m]:.2g} h" for m in ("gradient", "lrp.epsilon", "deeplift.rescale")),
                    f"{hours['lrp.epsilon'] * 60 / 80:.2g} min"])
    return out


def check(many: dict[str, Any]) -> str:
    got, workers = many["measured"], many["measured"]["workers"]
    share = got["cpu"] / (workers * got["clock"])
    methods, idle = " and ".join(f"`{m}`" for m in many["methods"]), many["predicted"] / workers
    return f"""{got["items"]:,} images of digits, one by one (batches of one, so that calls count more than operations), by {methods},
in two spawned workers (`python -m benchmarks.cost --only many`). CPU of n items in w workers = n · c + w · s: c from two runs in one
process, s from two workers that explain one item each.

| | |
|---|---|
| c, from 300 and 900 items in one process | {1e3 * many["each"]:.2f} ms for an item |
| 2 s, two workers that start, import and load the model | {many["start"]:.1f} s |
| predicted CPU for {got["items"]:,} items | {many["predicted"]:.1f} s |
| measured CPU of all processes | {got["cpu"]:.1f} s: {got["cpu"] / many["predicted"]:.2f} times the prediction |
| by the clock | {got["clock"]:.1f} s, as all processes had {100 * share:.0f} % of two cores; {idle:.1f} s is the prediction for idle ones |
| so 10⁶ of these items | {MILLION * many["each"] / 3600:.2g} core hours; on 10 machines of 8 cores {MILLION * many["each"] / 80:.0f} s |"""


def said(by: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    out = []
    for name, rows in by.items():
        shares = {m: [r["bytes"][m] / r["needed"][m] for r in rows] for m in rows[0]["bytes"]}
        out.append([name, *(f"{min(v):.2f} to {max(v):.2f}" for v in shares.values())])
    return out


def resident(found: dict[str, Any]) -> list[list[str]]:
    return [[name, m, *(f"{v[k] / 2**20:.1f} MiB" for k in ("needed", "traced", "resident"))]
            for name, methods in found["resident"].items() for m, v in methods.items()]


def picture(by: dict[str, list[dict[str, Any]]], width: int = 760, height: int = 460) -> Image.Image:
    """lrp.epsilon: milliseconds by operations, both logarithmic, with the line of each family."""
    image = Image.new("RGB", (width, height), "white")
    d, left, right, top, bottom = ImageDraw.Draw(image), 70, width - 170, 20, height - 50
    points = {n: [(r["operations"], 1e3 * r["seconds"]["lrp.epsilon"]) for r in rows] for n, rows in by.items()}
    spans = [[math.log10(p[k]) for ps in points.values() for p in ps] for k in (0, 1)]
    low, high = [math.floor(min(s)) for s in spans], [math.ceil(max(s)) for s in spans]

    def at(x: float, y: float) -> tuple[float, float]:
        u, v = ((math.log10(p) - low[k]) / (high[k] - low[k]) for k, p in enumerate((x, y)))
        return left + u * (right - left), bottom - v * (bottom - top)

    for k, unit in ((0, "operations"), (1, "ms")):
        for e in range(low[k], high[k] + 1):
            first, last = ((10.0**e, 10.0**v[1]) if k == 0 else (10.0**v[0], 10.0**e) for v in (low, high))
            ends = (at(*first), at(*last))
            d.line(ends, fill=(225, 225, 225))
            here = (ends[0][0], bottom + 8) if k == 0 else (left - 8, ends[0][1])
            label = f"10^{e}" if k == 0 or abs(e) > 3 else f"{10.0**e:g} {unit}"
            d.text(here, label, fill=(80, 80, 80), font=font(12), anchor="mt" if k == 0 else "rm")
    d.text(((left + right) / 2, height - 18), "operations of one forward pass", fill=(40, 40, 40), font=font(13), anchor="mm")
    for j, (name, ps) in enumerate(points.items()):
        ink = INKS[j % len(INKS)]
        e, _, a = fit(*zip(*ps))
        ends = [min(p[0] for p in ps), max(p[0] for p in ps)]
        d.line([at(x, a * x**e) for x in ends], fill=ink, width=1)
        for x, y in ps:
            u, v = at(x, y)
            d.ellipse((u - 3, v - 3, u + 3, v + 3), fill=ink)
        d.text((right + 14, top + 14 + 22 * j), f"{name}: {e:.2f}", fill=ink, font=font(13), anchor="lm")
    return image
