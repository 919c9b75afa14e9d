"""Every method on the same digit, and on the same sentence where it applies, on one scale, with what it costs.

    python docs/gallery.py                               # writes gallery.md, gallery_digit.png and gallery_tokens.png

The base install suffices. What there is to see, and what not to conclude from it, stands in gallery.md, which this writes. The two
layers of attention that read the sentence were trained by gallery_tokens.py.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from shared import few_colours

import xaicore as xc
from xaicore import trace
from xaicore.data import digits_images, digits_model
from xaicore.graph import run
from xaicore.graph.files import load
from xaicore.oracle.worked import WORKED
from xaicore.show.heatmap import colours, view_of
from xaicore.show.sheet import FAINT, INK, LINE, draw, font, input_image, png, stacked

FOLDER = Path(__file__).parent
SENTENCE = "[cls] the film was not very good"
HEAD = """# Every method on the same input

```bash
python docs/gallery.py
```

writes this page and its two pictures; the program is [gallery.py](gallery.py). The base install suffices. The digit is a held-out
image of the network that xaicore ships (99 % of held-out digits are read rightly; 8 x 8 cells), explained for its class, 3. The
sentence is read by two blocks of attention ([gallery_tokens.py](gallery_tokens.py), 1,428 weights), which say "negative".

![All methods on a handwritten three](gallery_digit.png)

![All methods on a sentence](gallery_tokens.png)

**The scale.** Each map is divided by the sum of its absolute values, so that one colour means the same part of a map everywhere. Maps in
other units can be looked at side by side that way, and not compared in size: a gradient says how steep f is, a contribution how much of f
an entry is, a class-activation map neither. Defaults, besides what a method must be told ([gallery.py](gallery.py), `settings`).

**What one sees.** Those that answer "how much of f(x) - f(0)" agree to the eye, whichever way they come: DeepLIFT, integrated gradients,
LRP-0, GradientSHAP put the same red and blue on the same strokes. That is no miracle: in a ReLU network without biases they are one
thing. LRP with z+, Grad-CAM and excitation never say "against". DeepSHAP and expected gradients ask what the three has that the other
digits have not, and answer also where it is black. The maps of a layer are four by four cells, enlarged. `global_contrast` has seen no
network at all.

On the sentence, where "not" turns "good" around, the methods part. Those with a path from nothing to the words say that "not" speaks for
"negative"; taking "good" away by itself leaves neither praise nor blame, so ablation and occlusion see that word alone; LRP's rules for
products share the relevance in ways of their own. None of them says what a reader would, that it is the pair. `shapley.interaction` does,
with `partner=4`: the two words together are worth 3.4 for "negative", more than "not" has with any other.

**What not to conclude.** A map that looks right is not a test: the tests are in `tests/`. One digit is one digit. The number of passes
counts samples through the network or through the part of it behind a layer, once each, and a baseline counts as a sample; seconds are
those of one thread of a shared machine, in float64.
"""

FAMILIES: Mapping[str, str] = {
    "Gradients": "gradient saliency gradient_x_input deconvnet guided_backprop guided_saliency simple_taylor fullgrad global_saliency",
    "Relevance": "lrp.zero lrp.epsilon lrp.gamma lrp.alpha_beta lrp.z_plus lrp.z_box lrp.w_square lrp.flat lrp.epsilon_plus "
                 "lrp.epsilon_alpha2_beta1 lrp.epsilon_plus_flat lrp.epsilon_alpha2_beta1_flat lrp.best_practice lrp.epsilon_gamma_box "
                 "deep_taylor clrp sglrp excitation_backprop concept_relevance lrp.restructured bilrp dax patternnet pattern_attribution "
                 "attention_rollout salient_relevance",
    "Differences from a reference": "deeplift.rescale deeplift.reveal_cancel deeplift.genomics deep_shap deep_shap.hypothetical "
                                    "gradient_shap",
    "Paths, noise, regions": "integrated_gradients integrated_gradients.exact interior_gradients expected_gradients blur_ig guided_ig xrai "
                             "conductance internal_influence smoothgrad smoothgrad_squared vargrad",
    "Maps of a layer": "cam grad_cam guided_grad_cam grad_cam_plus_plus layer_cam hires_cam xgrad_cam score_cam faster_score_cam "
                       "ablation_cam eigen_cam smoe fastcam",
    "Parts taken away, games": "occlusion feature_ablation feature_permutation rise meaningful_perturbation ace linear_shap max_shap "
                               "shapley.exact shapley.sampling shapley.owen shapley.interaction kernel_shap lime lime.submodular_pick",
    "Data sets, concepts, structures": "tcav vog rate independence attfind len.relu len.mu len.psi xgnn segmentation global_contrast",
}
"""Every method once, in the order in which the catalogue of the README has the families."""


def settings() -> dict[str, dict[str, Any]]:
    """What a method must be told for the digit: samples, labels, states of a training."""
    images, labels = digits_images()
    graph = digits_model()
    states = [graph_of(graph, share) for share in (0.8, 0.9, 1.0)]
    training = {"background": images}
    return {"patternnet": training, "pattern_attribution": training, "feature_permutation": {"samples": 11},
            "tcav": {"layer": "relu4", "concept": images[np.isin(labels, (0, 6, 8, 9))],
                     "random": [images[np.isin(labels, (1, 4, 5, 7))]]},
            "simple_taylor": {"root": images[3].astype(float) / 2}, "rise": {"grid": 4},
            "segmentation": {"of": "gradient_x_input", "inside": 0.8, "smoothness": 1.0},
            "vog": {"checkpoints": states}, "independence": {"labels": labels == 3}, "deep_shap": training, "expected_gradients": training}


def graph_of(graph: xc.Graph, share: float) -> xc.Graph:
    """The network with its first layer's weights scaled: what stands for states of a training that nobody kept."""
    return replace(graph, params={k: v * share if k == "conv1.weight" else v for k, v in graph.params.items()})


WHOLE = {"rate", "independence", "feature_permutation", "lime.submodular_pick"}
"""Methods about a data set: they get all twelve digits, and the map of the first three is shown."""

PLACES = np.arange(len(SENTENCE.split()))[:, None]
TOKENS: Mapping[str, dict[str, Any]] = {
    "lrp.z_box": {"low": -4, "high": 4}, "lrp.epsilon_gamma_box": {"low": -4, "high": 4},
    "ace": {"low": -2, "high": 2},
    "occlusion": {"window": (1, 8), "stride": (1, 8)}, "xrai": {"segments": len(PLACES)},
    **{k: {"mask": PLACES} for k in ("feature_ablation", "lime", "kernel_shap", "shapley.exact", "shapley.sampling", "shapley.owen",
                                     "shapley.interaction", "lime.submodular_pick")}}
"""What a method must be told for the sentence, where a token is a place with eight numbers."""

SKIPPED = {"guided_saliency": "its maximum over channels would be one over tokens", "fullgrad": "it is about pixels",
           "blur_ig": "a blur along a sentence says nothing", "deep_shap.hypothetical": "its letters would be the eight numbers of a word",
           "rise": "it is about pixels", "meaningful_perturbation": "it is about pixels"}
"""Methods that run on the sentence, and should not."""


# ----- counting -----------------------------------------------------------------------------------------------------


@dataclass
class Count:
    """How many samples went through a network, or a part of one, forward and backward."""

    forward: int = 0
    backward: int = 0

    def __str__(self) -> str:
        return f"{self.forward:,} | {self.backward:,}"


@contextmanager
def counted() -> Iterator[Count]:
    """Counts what ``evaluate`` and ``backward`` are asked for, in every module that has imported them."""
    count, evaluate, backward = Count(), run.evaluate, trace.backward

    def forward_counted(graph: Any, feeds: Any, *args: Any, **options: Any) -> Any:
        count.forward += len(next(iter(feeds.values())))
        return evaluate(graph, feeds, *args, **options)

    def backward_counted(found: Any, plan: Any, seed: Any, *args: Any, **options: Any) -> Any:
        value = next(iter(seed.values()))
        count.backward += len(value[0] if isinstance(value, tuple) else value)
        return backward(found, plan, seed, *args, **options)

    places = [(m, name, new) for m in list(sys.modules.values()) if getattr(m, "__name__", "").startswith("xaicore")
              for name, old, new in (("evaluate", evaluate, forward_counted), ("backward", backward, backward_counted))
              if getattr(m, name, None) is old]
    for m, name, new in places:
        setattr(m, name, new)
    try:
        yield count
    finally:
        for m, name, new in places:
            setattr(m, name, evaluate if new is forward_counted else backward)


# ----- explaining ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """One method on one input: the attribution, what it cost; or the reason why there is none."""

    a: xc.Attribution | None
    cost: Count
    reason: str = ""


def shown(graph: xc.Graph, x: Any, method: str, target: int, **own: Any) -> Shown:
    """A warm-up, then the counted and timed call."""
    try:
        xc.explain(graph, x, method, target, **own)
        with counted() as count:
            a = xc.explain(graph, x, method, target, **own)
    except xc.XaicoreError as error:
        return Shown(None, Count(), re.split(r";(?! layer)", str(error))[0])
    return Shown(a, count)


def on_digit() -> dict[str, Shown]:
    """Every method on the first three of the shipped digits."""
    images, labels = digits_images()
    own, three = settings(), images[labels == 3][:1].astype(float)
    whole = np.concatenate([three, images[np.arange(len(images)) != int(np.flatnonzero(labels == 3)[0])]]).astype(float)
    order = np.concatenate([[3], np.delete(labels, int(np.flatnonzero(labels == 3)[0]))])
    own["independence"] = {"labels": order == 3}
    return {m: shown(digits_model(), whole if m in WHOLE else three, m, 3, **own.get(m, {})) for m in xc.METHODS}


def on_sentence() -> dict[str, Shown]:
    """Every method on the sentence: the words' vectors are explained, and summed over their eight numbers."""
    graph = load(FOLDER / "gallery_tokens.json").astype("float64")
    words = graph.meta["words"].split()
    ids = np.array([[words.index(w) for w in SENTENCE.split()]])
    found = {}
    for m in xc.METHODS:
        if m in SKIPPED:
            found[m] = Shown(None, Count(), SKIPPED[m])
        else:
            found[m] = shown(graph, ids, m, 0, layer="words", **TOKENS.get(m, {}))
            a = found[m].a
            if a is not None and next(iter(a.values.values())).shape[1] != len(PLACES):
                found[m] = Shown(None, Count(), "its map has no place for each token")
    return found


def spread(cells: Any) -> Any:
    """A map on the scale that all maps share: divided by Σ |A|, so that an entry is its part of the whole."""
    size = np.abs(cells).sum()
    return cells / size if size else cells


# ----- pictures -----------------------------------------------------------------------------------------------------

BOX, PITCH, COLUMNS = 104, 168, 7
LIMIT = 0.08
"""The darkest red is 8 % of a map, five times what each of 64 equal pixels would have."""


def digit_picture(found: Mapping[str, Shown]) -> Image.Image:
    """The families as blocks of tiles, the digit first."""
    blocks = []
    for family, ids in FAMILIES.items():
        tiles = [(m, found[m]) for m in ids.split() if found[m].a is not None]
        rows = -(-len(tiles) // COLUMNS)
        image = Image.new("RGB", (COLUMNS * PITCH + 20, 30 + rows * (BOX + 34)), "white")
        pen = ImageDraw.Draw(image)
        pen.text((14, 6), family, font=font(16), fill=INK)
        for k, (m, one) in enumerate(tiles):
            assert one.a is not None
            x, y = 14 + k % COLUMNS * PITCH, 30 + k // COLUMNS * (BOX + 34)
            v = view_of(one.a, next(iter(one.a.values)), 0)
            picture = draw(replace(v, cells=spread(v.cells)), LIMIT, box=BOX)
            pen.text((x, y), m, font=font(11), fill=INK)
            image.paste(picture, (x, y + 17))
            pen.rectangle((x - 1, y + 16, x + picture.width, y + 17 + picture.height), outline=LINE)
        blocks.append(image)
    first = next(one.a for one in found.values() if one.a is not None)
    head = Image.new("RGB", (blocks[0].width, BOX + 40), "white")
    pen = ImageDraw.Draw(head)
    head.paste(input_image(first, "image", 0)[0].resize((BOX, BOX), Image.Resampling.NEAREST), (14, 20))
    pen.rectangle((13, 19, 14 + BOX, 20 + BOX), outline=LINE)
    lines = ("A handwritten three, and what every method says about the logit of class 3.",
             "Each map is divided by the sum of its absolute values: the colour is an entry's part of its map, on one scale for all.")
    for k, line in enumerate(lines):
        pen.text((BOX + 34, 34 + 22 * k), line, font=font(14), fill=INK)
    _scale(head, BOX + 34, 88, LIMIT)
    return stacked([head, *blocks])


def token_picture(found: Mapping[str, Shown]) -> Image.Image:
    """A row for each method, a column for each token."""
    words, rows = SENTENCE.split(), [(f, m) for f, ids in FAMILIES.items() for m in ids.split() if found[m].a is not None]
    left, cell, line, limit = 210, 78, 20, 0.5
    image = Image.new("RGB", (left + cell * len(words) + 20, 96 + line * (len(rows) + len({f for f, _ in rows}))), "white")
    pen = ImageDraw.Draw(image)
    pen.text((14, 10), 'Why "negative"? What every method says about the logit of that class.', font=font(14), fill=INK)
    _scale(image, 14, 40, limit)
    for k, w in enumerate(words):
        pen.text((left + cell * k + cell // 2, 80), w, font=font(14), fill=INK, anchor="mm")
    y, family = 92, ""
    for f, m in rows:
        if f != family:
            pen.text((14, y + 3), f, font=font(13), fill=FAINT)
            family, y = f, y + line
        a = found[m].a
        assert a is not None
        shares = spread(np.asarray(next(iter(a.values.values())), dtype=float)[0].reshape(len(words), -1).sum(axis=1))
        pen.text((24, y + 3), m, font=font(12), fill=INK)
        for k, (s, c) in enumerate(zip(shares, colours(shares, limit))):
            pen.rectangle((left + cell * k, y, left + cell * (k + 1) - 2, y + line - 2), fill=tuple(int(v) for v in c))
            dark = abs(s) > 0.25
            pen.text((left + cell * k + cell // 2, y + line // 2 - 1), f"{100 * s:+.0f} %", font=font(11), anchor="mm",
                     fill="white" if dark else FAINT)
        y += line
    return image


def _scale(image: Image.Image, x: int, y: int, limit: float) -> None:
    pen = ImageDraw.Draw(image)
    bar = Image.fromarray(np.repeat(colours(np.linspace(-1, 1, 201), 1.0)[None], 12, axis=0))
    pen.text((x, y - 1), f"against, -{100 * limit:.0f} %", font=font(12), fill=FAINT)
    image.paste(bar, (x + 100, y))
    pen.rectangle((x + 99, y - 1, x + 100 + bar.width, y + 12), outline=LINE)
    pen.text((x + 112 + bar.width, y - 1), f"for, +{100 * limit:.0f} % and more of the map", font=font(12), fill=FAINT)


# ----- the page -----------------------------------------------------------------------------------------------------


def page(digit: Mapping[str, Shown], sentence: Mapping[str, Shown]) -> str:
    """The text before, a table for each family, what has no map on either input, the text behind."""
    out = [HEAD]
    for family, ids in FAMILIES.items():
        out += [f"## {family}\n", "| method | digit: forward | backward | seconds | sentence: forward | backward | seconds |",
                "|---|---:|---:|---:|---:|---:|---:|"]
        out += [f"| `{m}` | {_cells(digit[m])} | {_cells(sentence[m])} |" for m in ids.split()]
        out.append("")
    out += ["## Why a row is empty\n", "| method | on | why |", "|---|---|---|"]
    out += [f"| `{m}` | {on} | {one.reason} |" for on, found in (("the digit", digit), ("the sentence", sentence))
            for m, one in found.items() if one.a is None and not _no_convolution(one)]
    maps = ", ".join(f"`{m}`" for m, one in sentence.items() if _no_convolution(one))
    out += [f"| {maps} | the sentence | no convolution makes a map of a layer |", "", "## Those that are about other models\n",
            "What they say on a few numbers, by hand; the examples run as tests.\n"]
    out += [f"* `{m}`: {WORKED[m][0].by_hand}" for m, one in digit.items() if one.a is None and sentence[m].a is None and m in WORKED]
    out += ["", "## What data-set methods found on the twelve digits\n", "```text"]
    out += [f"{m}: {one.a.extras['says']}" for m, one in digit.items() if one.a is not None and "says" in one.a.extras and m != "dax"]
    out += ["```", ""]
    return "\n".join(out)


def _no_convolution(one: Shown) -> bool:
    return "needs a value with spatial axes" in one.reason


def _cells(one: Shown) -> str:
    return "| |" if one.a is None else f"{one.cost} | {one.a.seconds:.3f}"


def main() -> None:
    missing = set(xc.METHODS) ^ {m for ids in FAMILIES.values() for m in ids.split()}
    if missing:
        raise SystemExit(f"FAMILIES and METHODS differ in {', '.join(sorted(missing))}; put a new method into a family")
    digit, sentence = on_digit(), on_sentence()
    for name, image in (("gallery_digit.png", digit_picture(digit)), ("gallery_tokens.png", token_picture(sentence))):
        (FOLDER / name).write_bytes(png(few_colours(image)))
        print(f"{name}: {(FOLDER / name).stat().st_size // 1000} kB")
    (FOLDER / "gallery.md").write_text(page(digit, sentence), encoding="utf-8")
    print(f"gallery.md: {sum(one.a is not None for one in digit.values())} methods on the digit, "
          f"{sum(one.a is not None for one in sentence.values())} on the sentence")


if __name__ == "__main__":
    main()
