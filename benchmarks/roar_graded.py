"""Remove and retrain where theory gives the whole table: real digits with twelve planted cues of known, different reliability.

    python benchmarks/roar_graded.py [--repeats 16]

A label y, 0 or 1, is drawn for each image, whatever its digit. Twelve pixels, at places drawn anew in each repeat, are overwritten:
pixel j shows y with probability q_j, else 1 - y, each by its own draw. Then, for one mask for all images:

1. A constant stands at the removed pixels, and the pixels of the digit are independent of y, so the best accuracy that any model can
   have is B(kept cues), the Bayes rate of independent binary cues: ``bayes``.
2. B(S) <= B(S + one more cue): who sees more may ignore it.
3. A cue of reliability q' <= q is the cue of q, flipped with probability (q - q') / (2q - 1) by a coin that knows nothing. So putting a
   less reliable cue in the place of a kept one never raises B.
4. From 2 and 3: of all ways to remove k pixels, removing the k most reliable cues leaves the smallest B. **The oracle's curve is the
   lowest at every share, and its area the smallest for every grid of shares**; kept instead of removed (KAR), the largest.
5. An order drawn at random keeps m of the cues with the hypergeometric probability, and each set of m is equally likely: ``by_chance``.

``tests/metrics/test_roar_graded.py`` checks 1 to 5 with rationals, by enumeration of all orders, and by training.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import comb
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from scipy.stats import t as student
from sklearn.datasets import load_digits

from xaicore.graph import Builder, Graph
from xaicore.methods import explain
from xaicore.metrics.controls import contrast_map, sobel_map
from xaicore.metrics.roar import Data, Retrained, retrain
from xaicore.metrics.statistics import descending
from xaicore.metrics.train import Adam, accuracy, fresh, train
from xaicore.numerics import Array
from xaicore.ops import Dense, Flatten, ReLU

RELIABILITIES = tuple(k / 100 for k in range(80, 57, -2))                # .80 .78 ... .58
PIXELS = 64
COUNTS = (0, 1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 32, 48, 64)
SHARES = tuple(k / PIXELS for k in COUNTS)
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "gradient": ("gradient", {}), "gradient_x_input": ("gradient_x_input", {}),
    "integrated_gradients": ("integrated_gradients", {"steps": 16, "baseline": 0.5}), "lrp.epsilon": ("lrp.epsilon", {"eps": 0.1}),
    "lrp.z_plus": ("lrp.z_plus", {}), "smoothgrad_squared": ("smoothgrad_squared", {"samples": 10, "seed": 0}),
    "vargrad": ("vargrad", {"samples": 10, "seed": 0}), "occlusion": ("occlusion", {"window": 1, "stride": 1, "fill": 0.5}),
    "deeplift.rescale": ("deeplift.rescale", {"baseline": 0.5}),
}
CONTROLS = ("random", "sobel", "contrast")


# ----- theory -----------------------------------------------------------------------------------------------------------


def bayes(reliabilities: Sequence[Any]) -> Any:
    """½ Σ over patterns of max(P(pattern | 0), P(pattern | 1)): what the best model can know. 1/2 without cues; exact for Fractions."""
    half = 0.5 if not reliabilities else type(reliabilities[0])(1) / 2
    likelihoods = [(half, half)]
    for q in reliabilities:
        likelihoods = [pair for a, b in likelihoods for pair in ((a * q, b * (1 - q)), (a * (1 - q), b * q))]
    return sum(max(pair) for pair in likelihoods)


@cache
def _bayes(reliabilities: tuple[float, ...]) -> float:
    return float(bayes(reliabilities))


def theory(order: Sequence[int], cues: Sequence[int], reliabilities: Sequence[float], counts: Sequence[int] = COUNTS) -> Array:
    """B after the first n pixels of the order are gone, for each n of ``counts``; cues[j] is the pixel of reliability j."""
    return np.array([_bayes(tuple(q for q, at in zip(reliabilities, cues) if at not in set(order[:n]))) for n in counts])


def by_chance(reliabilities: Sequence[float], pixels: int = PIXELS, counts: Sequence[int] = COUNTS) -> Array:
    """The mean of ``theory`` over all orders of the pixels."""
    c = len(reliabilities)
    means = [np.mean([_bayes(part) for part in combinations(reliabilities, m)]) for m in range(c + 1)]
    found = []
    for n in counts:
        kept = pixels - n
        ways = [comb(c, m) * comb(pixels - c, kept - m) if kept >= m else 0 for m in range(c + 1)]
        found.append(sum(w * v for w, v in zip(ways, means)) / comb(pixels, kept))
    return np.array(found)


def area(curve: Array, counts: Sequence[int] = COUNTS) -> float:
    """The area under an accuracy over the shares, scaled to a width of 1."""
    at = np.asarray(counts, dtype=float)
    y, x = np.asarray(curve), np.asarray(at)
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum() / (x[-1] - x[0]))      # np.trapezoid, which NumPy 1 has by another name


# ----- the experiment ---------------------------------------------------------------------------------------------------


def network(hidden: int = 16) -> Graph:
    """Flatten, rectified units, 2 logits."""
    b = Builder("digits-graded", "float32")
    x = b.add(Flatten(), b.input("image", (None, 1, 8, 8)))
    h = b.add(ReLU(), b.add(Dense(), x, b.param("w1", np.zeros((hidden, PIXELS))), b.param("b1", np.zeros(hidden)), name="fc1"))
    return b.build(b.add(Dense(), h, b.param("w2", np.zeros((2, hidden))), b.param("b2", np.zeros(2)), name="fc2"))


def fit(graph: Graph, x: Array, y: Array, seed: int) -> Graph:
    """Ten epochs of Adam."""
    return train(graph, x, y, optimizer=Adam(4e-3), epochs=10, batch=128, seed=seed)


def planted(rng: np.random.Generator, copies: tuple[int, int] = (4, 12)) -> tuple[Data, Array]:
    """The data of one repeat, and the pixels of the cues, the most reliable first.

    Three quarters of scikit-learn's digits to train, a quarter to test; each image is used several times with labels and cues of its own.
    """
    images = (load_digits().images[:, None] / 16).astype("float32")
    cues = rng.permutation(PIXELS)[:len(RELIABILITIES)]

    def side(x: Array, count: int) -> tuple[Array, Array]:
        x = np.tile(x, (count, 1, 1, 1))
        y = rng.integers(0, 2, len(x))
        right = rng.random((len(x), len(cues))) < RELIABILITIES
        x.reshape(len(x), -1)[:, cues] = np.where(right, y[:, None], 1 - y[:, None])
        return x, y

    cut = 3 * len(images) // 4
    return Data(*side(images[:cut], copies[0]), *side(images[cut:], copies[1])), cues


def rankings(model: Graph, data: Data, cues: Array, rng: np.random.Generator, methods: Sequence[str] = tuple(METHODS)) -> dict[str, Array]:
    """Label -> one map (1, 8, 8) for all images: the mean of |map| over the training set; oracle and random by definition."""
    found = {}
    for label in methods:
        method, settings = METHODS[label]
        found[label] = np.abs(np.asarray(explain(model, data.x, method, data.y, **settings), dtype=float)).mean(axis=0)
    for label, control in (("sobel", sobel_map), ("contrast", contrast_map)):
        found[label] = control(model, {"image": data.x}, None)["image"].mean(axis=0)
    found["random"] = rng.random((1, 8, 8))
    oracle = np.zeros(PIXELS)
    oracle[cues] = np.arange(len(cues), 0, -1)
    return {"oracle": oracle.reshape(1, 8, 8), **found}


@dataclass(frozen=True)
class Study:
    """Areas (repeats,) by label: measured, and by the theory for the order that the map gave; all curves (repeats, shares)."""

    measured: dict[str, Array]
    expected: dict[str, Array]
    curves: dict[str, Array]
    theories: dict[str, Array]
    whole: Array
    tested: int
    seconds: float

    @property
    def asked(self) -> list[str]:
        """The methods, in this order, without the oracle and the controls."""
        return [k for k in self.order if k not in ("oracle", *CONTROLS)]

    @property
    def order(self) -> list[str]:
        """The smallest mean measured area first."""
        return sorted(self.measured, key=lambda k: float(self.measured[k].mean()))


def study(repeats: int, methods: Sequence[str] = tuple(METHODS), seed: int = 0, progress: bool = False) -> Study:
    """Everything anew in each repeat: places, labels, cues, weights, order of training. Within a repeat all masks share them."""
    started, seen = time.process_time(), {}
    measured: dict[str, list[float]] = {}
    expected: dict[str, list[float]] = {}
    curves: dict[str, list[Array]] = {}
    theories: dict[str, list[Array]] = {}
    whole, tested = [], 0
    for r in range(repeats):
        rng = np.random.default_rng([seed, r])
        data, cues = planted(rng)
        tested = len(data.y_test)
        model = fit(fresh(network(), r), data.x, data.y, r)
        whole.append(accuracy(model, data.x_test, data.y_test))
        maps = rankings(model, data, cues, rng, methods)
        seen.clear()

        def once(graph: Graph, x: Array, y: Array, s: int) -> Graph:   # the same mask, the same model
            key = hash(x.tobytes())
            if key not in seen:
                seen[key] = fit(graph, x, y, s)
            return seen[key]

        pairs = {k: (np.broadcast_to(a, data.x.shape), np.broadcast_to(a, data.x_test.shape)) for k, a in maps.items()}
        done: Retrained = retrain(network(), data, pairs, SHARES, seed=r, trainer=once, per="set")
        for k, a in maps.items():
            rate = theory([int(p) for p in descending(a.reshape(1, -1))[0]], [int(c) for c in cues], RELIABILITIES)
            curves.setdefault(k, []).append(done.curves[k])
            theories.setdefault(k, []).append(rate)
            measured.setdefault(k, []).append(area(done.curves[k]))
            expected.setdefault(k, []).append(area(rate))
        if progress:
            print(f"repeat {r + 1} of {repeats}: {time.process_time() - started:.0f} CPU s", flush=True)

    def arrays(found: dict[str, Any]) -> dict[str, Array]:
        return {k: np.array(v) for k, v in found.items()}

    return Study(arrays(measured), arrays(expected), arrays(curves), arrays(theories), np.array(whole), tested,
                 time.process_time() - started)


def comparisons(s: Study) -> int:
    """Everything but the oracle against the oracle, everything but random against random, the pair of both once."""
    return 2 * len(s.measured) - 3


def interval(differences: Array, count: int = 1) -> tuple[float, float]:
    """Student's interval of the mean difference over repeats at 95 % for all ``count`` comparisons together (Bonferroni)."""
    n = len(differences)
    half = float(student.ppf(1 - 0.025 / count, n - 1) * differences.std(ddof=1) / np.sqrt(n))
    mean = float(differences.mean())
    return mean - half, mean + half


# ----- in words ---------------------------------------------------------------------------------------------------------


def tables(s: Study) -> str:
    """The ranking with its intervals, and the curves of a few against theory, as Markdown."""
    asked, count = s.asked, comparisons(s)
    lines = ["| | area | by theory, of this order | minus the oracle's | minus random's | |", "|---|---:|---:|---:|---:|---|"]
    for k in s.order:
        cells = []
        for other in ("oracle", "random"):
            low, high = interval(s.measured[k] - s.measured[other], count)
            cells.append("" if k == other else f"{low:+.3f} to {high:+.3f}")
        what = "the smallest by theorem" if k == "oracle" else "control" if k in CONTROLS else ""
        name = f"*{k}*" if k in CONTROLS else k
        lines.append(f"| {name} | {s.measured[k].mean():.4f} | {s.expected[k].mean():.4f} | {cells[0]} | {cells[1]} | {what} |")
    chance = by_chance(RELIABILITIES)
    lines += ["", "| pixels removed | " + " | ".join(map(str, COUNTS)) + " |", "|---|" + "---:|" * len(COUNTS)]
    shown = ["oracle", asked[0], asked[-1], "random"]
    for k in shown:
        lines.append(f"| {k} | " + " | ".join(f"{v:.3f}" for v in s.curves[k].mean(axis=0)) + " |")
        lines.append(f"| {k}, by theory | " + " | ".join(f"{v:.3f}" for v in s.theories[k].mean(axis=0)) + " |")
    lines.append("| any random order, by theory | " + " | ".join(f"{v:.3f}" for v in chance) + " |")
    return "\n".join(lines)


def verdicts(s: Study) -> str:
    """What the figures say of the claim, each sentence from the figures themselves."""
    asked, count, chance = s.asked, comparisons(s), area(by_chance(RELIABILITIES))
    behind = [k for k in asked if interval(s.measured[k] - s.measured["oracle"], count)[0] > 0]
    ahead = [k for k in asked if interval(s.measured[k] - s.measured["random"], count)[1] < 0]
    gaps = np.concatenate([(s.curves[k] - s.theories[k]).reshape(-1) for k in s.order])
    theoretical = sorted(s.expected, key=lambda k: float(s.expected[k].mean()))
    proven = all((s.expected[k] >= s.expected["oracle"] - 1e-12).all() for k in s.order)   # 14 sums of 4096 terms each

    def but(found: list[str]) -> str:
        missing = [k for k in asked if k not in found]
        return f" (not {', '.join(missing)})" if missing else ""

    first, last = "first" if s.order[0] == "oracle" else "NOT first", "last" if s.order[-1] == "random" else "NOT last"
    order = "the same" if theoretical == s.order else ", ".join(theoretical)
    return "\n".join([
        f"- The oracle is {first}. {len(behind)} of {len(asked)} methods are behind it with an interval that excludes 0{but(behind)}. In "
        f"theory no order of any of the {len(s.whole)} repeats has a smaller area than the oracle's: {'true' if proven else 'FALSE'}.",
        f"- Random is {last} of all, controls among them. {len(ahead)} of {len(asked)} methods are ahead of it with an interval that "
        f"excludes 0{but(ahead)}. Its mean area is {s.measured['random'].mean():.3f}; that of all orders, by theory, {chance:.3f}.",
        f"- The measured accuracies are those of theory: over {gaps.size} retrained masks the mean of measured - Bayes is "
        f"{gaps.mean():+.4f}, between {gaps.min():+.3f} and {gaps.max():+.3f} (of one test set of {s.tested} the standard error is at "
        f"most {0.5 / s.tested ** 0.5:.3f}; the rest is what finitely many images do not teach). Ranked by theory instead of by "
        f"measurement, the order is {order}.",
        f"- With all pixels there: {s.whole.mean():.3f} measured, {bayes(RELIABILITIES):.3f} the best that can be. Without the twelve "
        f"cues: {s.curves['oracle'][:, COUNTS.index(12)].mean():.3f}, chance.",
    ])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=16)
    args = parser.parse_args()
    s = study(args.repeats, progress=True)
    print(tables(s), verdicts(s), f"{s.seconds:.0f} CPU s", sep="\n\n")


if __name__ == "__main__":
    main()
