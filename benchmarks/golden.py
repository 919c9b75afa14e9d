"""python -m benchmarks.golden write FILE | compare FILE: every result of one commit, bit for bit, beside those of another.

What is asked: every certified vector in its own arithmetic and in float32; every method on the network of ``xaicore.data``,
float32 and float64, exact speed, on two images (also from an input in another memory layout, at a layer, for several targets);
rule sets on a network with every kind of convolution and pool; a recurrent network. What is kept of an answer: values, outputs, every
inner value and the books. A refusal is an answer, too: its text. Run it from the folder of the commit that is meant:

    cd OLD; PYTHONPATH=$PWD:$PWD/backends python NEW/benchmarks/golden.py write ../old.npz
    cd NEW; python -m benchmarks.golden compare ../old.npz

``compare`` lists what differs, with the largest difference in units of the largest entry, and exits with 1 where a result changed.
Every bit counts but for the numbers of REORDERED, whose sums a faster path takes in another order; they are listed, too, and are
changed when they moved by more than ROUNDING. ``--bits`` knows no exception. Both commits need the same NumPy and the same kernels of
its linear algebra (OPENBLAS_CORETYPE): others round otherwise.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import xaicore as xc
from xaicore.data import digits_images, digits_model
from xaicore.ops import GRU, LSTM, Add, AvgPool, BatchNorm, Conv, Dense, Flatten, GlobalAvgPool, MaxPool, ReLU, Slice
from xaicore.oracle.vectors import vectors

BOX = {"low": 0, "high": 1}
FEW = {"samples": 12}
SETTINGS: dict[str, dict[str, Any]] = {
    "lrp.z_box": BOX, "lrp.epsilon_gamma_box": BOX, "attfind": BOX, "ace": {**BOX, "steps": 2},
    "shapley.exact": {"mask": 4}, "shapley.interaction": {"mask": 4}, "shapley.owen": {"mask": 4},
    "shapley.sampling": {"mask": 4, "samples": 3}, "kernel_shap": {"mask": 2, "samples": 60}, "lime": {"mask": 2, "samples": 60},
    "gradient_shap": FEW, "rise": {"samples": 40, "grid": 3}, "meaningful_perturbation": {"steps": 3, "fill": 0},
    "feature_ablation": {"mask": 2}, "feature_permutation": {"mask": 2, "samples": 2}, "guided_ig": {"steps": 4},
    "lime.submodular_pick": {"mask": 2, "samples": 60, "top": 1}, "integrated_gradients": {"steps": 8},
    "interior_gradients": {"steps": 5}, "blur_ig": {"steps": 5}, "conductance": {"steps": 5}, "internal_influence": {"steps": 5},
    "smoothgrad": FEW, "smoothgrad_squared": FEW, "vargrad": FEW, "expected_gradients": {"background": "images", "samples": 6},
    "deep_shap": {"background": "images"}, "patternnet": {"background": "images"}, "pattern_attribution": {"background": "images"},
    "xrai": {"steps": 4}, "independence": {"labels": 0, "test": "permutation", "permutations": 9},
    "occlusion": {"window": (3, 3), "stride": (2, 2)},
}
"""Few evaluations, where their number does not matter here; "images" stands for the images of the network."""

REORDERED = {
    "the layers before the first nonlinearity are taken once for all points of a path or all coalitions and scaled":
        ("* integrated_gradients*", "* xrai *", "* shapley.*"),
    "eight samples or more go through convolutions of few channels with the batch innermost in memory": (
        "* blur_ig *", "* conductance *", "* internal_influence *", "* smoothgrad*", "* vargrad *", "* gradient_shap *",
        "* expected_gradients *", "* global_saliency *", "* deeplift.reveal_cancel *"),
    "the way back to an image goes plane by plane, and pools keep the order in memory in which the ledger adds up": ("convolutions *",),
    "the way back through a recurrent layer finds what is in its time steps for all of them at once, with one product": ("recurrent *",),
}
"""What a faster path does -> the answers that it touches: the same terms, added in another order than before."""

ROUNDING = {"float32": 1e-5, "float64": 1e-10}
"""How far that may move a number, in units of the largest entry: what ``python -m benchmarks`` asks of agreement with a peer."""

AT_LAYER_SLOW = ("shapley.exact", "shapley.interaction")
"""2^M evaluations, and a layer has more parts than the image."""

SPATIAL = (
    "gradient", "gradient_x_input", "guided_backprop", "lrp.zero", "lrp.epsilon", "lrp.gamma", "lrp.alpha_beta", "lrp.w_square",
    "lrp.flat", "lrp.epsilon_plus", "lrp.epsilon_alpha2_beta1", "lrp.epsilon_gamma_box", "deep_taylor", "excitation_backprop",
    "deeplift.rescale", "deeplift.reveal_cancel")


def convolutions(dtype: str) -> xc.Graph:
    """(N, 3, 45, 41) through strided, dilated, grouped, depthwise and pointwise convolutions, both pools, a skip and a normalisation."""
    rng, b = np.random.default_rng(0), xc.Builder("convolutions", dtype)

    def weighted(x: str, name: str, outputs: int, inputs: int, kernel: int, **settings: Any) -> str:
        w = b.param(f"{name}.w", rng.normal(size=(outputs, inputs, kernel, kernel)) / np.sqrt(inputs * kernel * kernel))
        return b.add(Conv(**settings), x, w, b.param(f"{name}.b", rng.normal(size=outputs) / 8), name=name)

    h = b.add(ReLU(), weighted(b.input("image", (None, 3, 45, 41)), "stem", 48, 3, 7, stride=(2, 2), pads=((3, 3), (3, 3))))
    h = b.add(MaxPool((3, 3), (2, 2), pads=((1, 1), (1, 1))), h)
    side = weighted(h, "side", 160, 48, 1)
    h = b.add(ReLU(), weighted(h, "wide", 160, 48, 3, pads=((1, 1), (1, 1))))
    h = weighted(h, "dilated", 160, 160, 3, dilation=(2, 2), pads=((2, 2), (2, 2)))
    h = b.add(BatchNorm(), h, *(b.param(k, rng.uniform(0.5, 1.5, 160)) for k in ("gamma", "beta", "mean", "var")))
    h = b.add(ReLU(), b.add(Add(), h, side))
    h = b.add(ReLU(), weighted(h, "grouped", 96, 40, 3, groups=4, stride=(2, 1), pads=((1, 1), (0, 1))))
    h = b.add(AvgPool((2, 2), (1, 2)), b.add(ReLU(), weighted(h, "depthwise", 192, 1, 3, groups=96, pads=((1, 1), (1, 1)))))
    h = b.add(MaxPool((2, 2)), weighted(h, "narrow", 32, 192, 1))
    h = b.add(Flatten(), b.add(GlobalAvgPool(), h))
    return b.build(b.add(Dense(), h, b.param("v", rng.normal(size=(10, 32))), b.param("c", rng.normal(size=10)), name="logits"))


def few_positions(dtype: str) -> xc.Graph:
    """(N, 96, 7, 6) through convolutions whose weights are more than what they are multiplied by."""
    rng, b = np.random.default_rng(2), xc.Builder("few positions", dtype)
    h = b.input("x", (None, 96, 7, 6))
    for k, (o, c, size, settings) in enumerate([(128, 96, 3, {"pads": ((1, 1), (1, 1))}), (512, 128, 1, {}), (128, 512, 1, {}),
                                                (128, 128, 3, {"stride": (2, 2), "pads": ((1, 1), (1, 1))})]):
        h = b.add(ReLU(), b.add(Conv(**settings), h, b.param(f"w{k}", rng.normal(size=(o, c, size, size)) / np.sqrt(c * size * size / 2))))
    return b.build(b.add(Dense(), b.add(Flatten(), b.add(GlobalAvgPool(), h)), b.param("v", rng.normal(size=(10, 128))), name="logits"))


def recurrent(dtype: str) -> xc.Graph:
    """(N, 9, 16) through an LSTM of 128 units and a GRU of 24, which is read at its last time step."""
    rng, b = np.random.default_rng(4), xc.Builder("recurrent", dtype)
    h = b.input("x", (None, 9, 16))
    for name, op, inputs, units in (("lstm", LSTM(), 16, 128), ("gru", GRU(), 128, 24)):
        rows = len(op.GATES) * units
        shapes = {"w": (rows, inputs), "u": (rows, units), "b": (rows,), "c": (rows,)}
        h = b.add(op, h, *(b.param(f"{name}.{k}", rng.normal(size=s) / np.sqrt(units)) for k, s in shapes.items()), name=name)
    h = b.add(Flatten(), b.add(Slice(axis=1, start=8), h))
    return b.build(b.add(Dense(), h, b.param("v", rng.normal(size=(10, 24))), b.param("d", rng.normal(size=10)), name="logits"))


def questions() -> Iterator[tuple[str, Callable[[], Any]]]:
    """(name, what answers it)."""
    for v in vectors():
        for dtype in dict.fromkeys((v.graph.dtype, "float32")):
            yield f"vector {v.id} {dtype}", partial(_vector, v, dtype)
    for dtype in ("float64", "float32"):
        yield from _about_digits(dtype)
        large, x = convolutions(dtype), np.random.default_rng(1).random((3, 3, 45, 41)).astype(dtype)
        for method in SPATIAL:
            given = BOX if method == "lrp.epsilon_gamma_box" else {}
            yield f"convolutions {method} {dtype}", partial(xc.explain, large, x, method, [3, 1, 4], **given)
        small, seen = few_positions(dtype), np.random.default_rng(3).normal(size=(1, 96, 7, 6)).astype(dtype)
        for method in ("gradient", "lrp.epsilon_plus", "lrp.epsilon_alpha2_beta1"):
            yield f"few positions {method} {dtype}", partial(xc.explain, small, seen, method, 3)
        series = np.random.default_rng(5).normal(size=(20, 9, 16)).astype(dtype)
        for method, given in (("gradient", {}), ("lrp.epsilon", {}), ("deeplift.rescale", {}), ("integrated_gradients", {"steps": 8})):
            yield f"recurrent {method} {dtype}", partial(xc.explain, recurrent(dtype), series, method, 3, **given)
        one = np.ascontiguousarray(x[:1].transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        yield f"convolutions lrp.gamma {dtype} channels last", partial(xc.explain, large, one, "lrp.gamma", 2)


def _about_digits(dtype: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    graph, images = digits_model(dtype), digits_images()[0].astype(dtype)
    x, strided = images[:2], np.repeat(images[:2], 2, axis=3)[..., ::2]
    convolution = next(n.name for n in graph.nodes[2:] if isinstance(n.op, Conv))
    yield f"forward {dtype}", partial(graph, x)
    for method in xc.METHODS:
        given = {k: images if isinstance(v, str) and v == "images" else v for k, v in SETTINGS.get(method, {}).items()}
        who = f"digits {method} {dtype}"
        yield who, partial(xc.explain, graph, x, method, **given)
        yield f"{who} targets", partial(_several, graph, x, method, given)
        yield f"{who} strided, probability", partial(xc.explain, graph, strided, method, [4, 7], output="probability", **given)
        if method not in AT_LAYER_SLOW:
            yield f"{who} layer", partial(xc.explain, graph, x, method, 3, layer=convolution, **given)


def _several(graph: xc.Graph, x: np.ndarray, method: str, settings: dict[str, Any]) -> Any:
    return xc.explain_all(graph, x, [(method, settings)], [1, [2, 3], 1])[method]


def _vector(v: Any, dtype: str) -> Any:
    x, target, settings = v.question()
    graph = v.graph
    if dtype != graph.dtype:
        graph, x = graph.astype(dtype), {k: a.astype(dtype) if a.dtype.kind in "fO" else a for k, a in x.items()}
    return xc.explain(graph, x, v.method, target, **settings)


def answer(ask: Callable[[], Any]) -> dict[str, np.ndarray]:
    """name -> array of all that a result holds; rationals as text."""
    try:
        found = ask()
    except xc.XaicoreError as error:
        return {"refused": np.array(f"{type(error).__name__}: {error}")}
    out: dict[str, Any] = {}
    for k, a in enumerate(found if isinstance(found, tuple) else (found,)):
        if isinstance(a, np.ndarray):
            out[f"{k}"] = a
            continue
        out |= {f"{k} value {n}": v for n, v in a.values.items()} | {f"{k} layer {n}": v for n, v in a.layers.items()}
        out |= {f"{k} output": a.output} | ({} if a.baseline_output is None else {f"{k} baseline": a.baseline_output})
        for e in a.ledger or ():
            out |= {f"{k} arrived {e.node.name}": e.arrived, f"{k} passed {e.node.name}": e.passed}
        out[f"{k} words"] = np.array(f"{a.method} {a.explained} {a.target!r}")
    return {n: v if v.dtype != object else np.array([str(f) for f in v.reshape(-1)]).reshape(v.shape) for n, v in out.items()}


def answers(pattern: str) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    for name, ask in questions():
        if fnmatch.fnmatch(name, pattern):
            yield name, answer(ask)


def apart(a: np.ndarray | None, b: np.ndarray | None) -> tuple[str, float]:
    """What is different, or ""; and by which share of the largest entry, infinite where that has no meaning."""
    if a is None or b is None:
        return "only in the other one" if a is None else "only in this one", np.inf
    if a.dtype != b.dtype and a.dtype.kind != "U":
        return f"dtype {a.dtype} and {b.dtype}", np.inf
    if a.shape != b.shape:
        return f"shape {a.shape} and {b.shape}", np.inf
    if a.dtype.kind == "U":
        return "" if (a == b).all() else f"{a.reshape(-1)[0]!s:.70} | {b.reshape(-1)[0]!s:.70}", np.inf
    if a.tobytes() == b.tobytes() or np.array_equal(a, b, equal_nan=True):
        return "", 0.0                                                  # -0 and 0 are one number
    share = float(np.abs(a.astype(float) - b).max() / max(np.abs(b).max(), 1e-300))
    return f"{share:.1e}", share if a.dtype.name in ROUNDING and not np.isnan(share) else np.inf


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.golden", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("write", "compare"))
    parser.add_argument("file")
    parser.add_argument("--bits", action="store_true", help="take rounding for a change everywhere")
    parser.add_argument("--only", default="*", help="a pattern of names, such as 'digits lrp.*'")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.what == "write":
        kept = {f"{name}|{part}": v for name, found in answers(args.only) for part, v in found.items()}
        np.savez_compressed(args.file, **kept)
        refused = [k for k in kept if k.endswith("|refused")]
        print(f"{len({k.partition('|')[0] for k in kept})} answers, {len(kept)} arrays; {len(refused)} refusals")
        return 0
    with np.load(args.file, allow_pickle=False) as stored:
        old: dict[str, dict[str, np.ndarray]] = {}
        for key in stored.files:
            name, _, part = key.partition("|")
            old.setdefault(name, {})[part] = stored[key]
    moved: dict[str, list[str]] = {"changed": [], "rounding": []}
    count = 0
    for name, found in answers(args.only):
        count += 1
        for part in sorted({*found, *old.get(name, {})}):
            now, then = found.get(part), old.get(name, {}).get(part)
            said, share = apart(now, then)
            touched = any(fnmatch.fnmatch(f"{name} ", pattern) for patterns in REORDERED.values() for pattern in patterns)
            bound = ROUNDING.get(then.dtype.name, 0.0) if touched and then is not None and not args.bits else -1.0
            if said:
                kind = "rounding" if share <= bound else "changed"
                moved[kind].append(f"{name}: {part}: {said}")
    for kind, lines in moved.items():
        print("".join(f"{kind}: {line}\n" for line in lines), end="")
    differ = {kind: len({line.partition(": ")[0] for line in lines}) for kind, lines in moved.items()}
    print(f"{count} answers compared: {differ['changed']} changed, {differ['rounding']} moved by rounding")
    return 1 if moved["changed"] else 0


if __name__ == "__main__":
    sys.exit(main())
