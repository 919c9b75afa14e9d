"""Every entry of xaicore/oracle/profiles.py against the library itself: writes the last section of docs/conformance.md.

    XAICORE_PEERS=.peers python -m benchmarks.profiles [PEER ...]

An entry says "under these settings ours gives theirs". Deterministic explainers are compared number by number, explainers that draw by
the means over eight seeds on either side, in standard errors. An entry that cannot be run here says why.
"""

from __future__ import annotations

import datetime
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from xaicore_peers import peer

from xaicore import explain, from_model
from xaicore.errors import BackendError
from xaicore.oracle.profiles import PEERS, Entry

PAGE = Path(__file__).parent.parent / "docs" / "conformance.md"
HEADING = "## Profiles, entry by entry"
SEEDS = 8


@dataclass(frozen=True)
class Run:
    """How an entry is run: their explainer and settings, the network, how many baselines, a layer; what is added to ours; whether both
    draw; whether theirs takes float32 alone."""

    method: str
    given: dict[str, Any] = field(default_factory=dict)
    net: str = "row"
    baseline: int = 0
    layer: str = ""
    ours: dict[str, Any] = field(default_factory=dict)
    draws: bool = False
    single: bool = False


def row(method: str, **more: Any) -> Run:
    """On a perceptron."""
    return Run(method, **more)


def on_map(method: str, **more: Any) -> Run:
    """At a convolution whose map has the size of the input."""
    return Run(method, net="map", layer="conv1", **more)


def image(method: str, **more: Any) -> Run:
    """On a network of convolutions."""
    return Run(method, net="image", **more)


BOX = {"low": -4.0, "high": 4.0}
NOISE = {"nt_samples": 100, "stdevs": 0.5}
NOISY = {"samples": 100, "sigma": 0.5}
RUNS: dict[str, dict[str, Run]] = {
    "captum": {
        "Saliency": row("Saliency"), "InputXGradient": row("InputXGradient"), "Deconvolution": row("Deconvolution"),
        "GuidedBackprop": row("GuidedBackprop"), "IntegratedGradients": row("IntegratedGradients", baseline=1, ours={"steps": 50}),
        "IntegratedGradients(riemann_trapezoid)": row("IntegratedGradients", given={"quadrature": "riemann_trapezoid"}, baseline=1,
                                                      ours={"steps": 50}),
        "LayerGradientXActivation": on_map("LayerGradientXActivation"),
        "LayerIntegratedGradients": on_map("LayerIntegratedGradients", baseline=1, given={"n_steps": 50},
                                          ours={"quadrature": "gauss_legendre_captum", "steps": 50}),
        "LayerLRP": row("LayerLRP", layer="2"), "LayerDeepLift": on_map("LayerDeepLift", baseline=1),
        "DeepLift": row("DeepLift", baseline=1), "LRP": row("LRP"),
        "LRP(GammaRule)": row("LRP", given={"rule": "GammaRule"}),
        "LRP(Alpha1_Beta0_Rule)": row("LRP", given={"rule": "Alpha1_Beta0_Rule"}),
        "LayerGradCam": on_map("LayerGradCam"), "GuidedGradCam": on_map("GuidedGradCam"),
        "NoiseTunnel(Saliency(abs=False))": row("NoiseTunnel", given=NOISE, ours=NOISY, draws=True),
        "Occlusion": image("Occlusion", given={"window": [2, 2, 2], "strides": [2, 1, 1]}, ours={"window": (2, 2), "stride": (1, 1)}),
        "FeatureAblation": image("FeatureAblation"), "ShapleyValues": row("ShapleyValues", baseline=1),
        "ShapleyValueSampling": row("ShapleyValueSampling", given={"n_samples": 50}, ours={"samples": 50}, baseline=1, draws=True),
        "KernelShap": row("KernelShap", given={"n_samples": 400}, ours={"samples": 400}, baseline=1, draws=True),
        "LayerConductance": on_map("LayerConductance", baseline=1, ours={"steps": 50}),
        "InternalInfluence": on_map("InternalInfluence", baseline=1, ours={"steps": 50}),
        "DeepLiftShap": row("DeepLiftShap", baseline=3),
    },
    "zennit": {
        "Gradient": row("Gradient"), "IntegratedGradients": row("IntegratedGradients", baseline=1),
        "SmoothGrad": row("SmoothGrad", given={"noise_level": 0.1, "n_iter": 100}, ours={"samples": 100}, draws=True),
        "Occlusion": image("Occlusion", given={"window": [2, 2], "stride": [2, 2]}, ours={"window": (2, 2), "stride": (2, 2)}),
        "GuidedBackprop": row("GuidedBackprop"), "DeconvNet": row("DeconvNet"),
        **{k: image(k) for k in ("Epsilon", "ZPlus", "Gamma", "AlphaBeta", "WSquare", "Flat", "EpsilonPlus", "EpsilonPlusFlat",
                                 "EpsilonAlpha2Beta1", "EpsilonAlpha2Beta1Flat")},
        "EpsilonGammaBox": image("EpsilonGammaBox", given=BOX, ours=BOX),
        "ExcitationBackprop(any input)": image("ExcitationBackprop"),
    },
    "innvestigate": {
        **{k: image(k) for k in ("Gradient", "LRPZ", "LRPEpsilon", "LRPAlpha2Beta1", "LRPAlpha2Beta1IgnoreBias", "LRPAlpha1Beta0",
                                 "LRPZPlus", "LRPZPlusFast", "LRPWSquare", "LRPFlat", "LRPSequentialPresetA", "LRPSequentialPresetB")},
        "DeepTaylor": Run("DeepTaylor", {"fused": True}, "ends in relu"),
        "IntegratedGradients": row("IntegratedGradients"),
        "SmoothGrad": row("SmoothGrad", given={"augment_by_n": 64}, draws=True),
    },
    "shap": {
        "DeepExplainer(torch)": row("DeepExplainer", baseline=1), "ExactExplainer": row("ExactExplainer", baseline=1),
        "GradientExplainer": row("GradientExplainer", given={"nsamples": 400}, ours={"samples": 400}, baseline=1, draws=True, single=True),
        "KernelExplainer": row("KernelExplainer", baseline=1), "KernelExplainer(l1_reg=0)": row("KernelExplainer", given={"l1_reg": 0},
                                                                                                     baseline=1),
        "PermutationExplainer": row("PermutationExplainer", baseline=1, draws=True),
    },
    "saliency": {
        "GradientSaliency": row("GradientSaliency"), "IntegratedGradients": row("IntegratedGradients", given={"x_steps": 25}, baseline=1),
        "BlurIG": image("BlurIG"), "GradCam": on_map("GradCam", given={"three_dims": False}),
        "Occlusion": image("Occlusion", given={"size": 3}, ours={"window": (3, 3), "stride": (1, 1)}),
        "SmoothGrad": row("SmoothGrad", draws=True),
    },
    "xplique": {
        "Saliency": image("Saliency", given={"reducer": "max"}), "GradientInput": row("GradientInput"),
        "GuidedBackprop": row("GuidedBackprop"), "DeconvNet": row("DeconvNet"),
        "IntegratedGradients": row("IntegratedGradients", given={"steps": 50}, ours={"steps": 50}),
        "SmoothGrad": row("SmoothGrad", given={"nb_samples": 50, "noise": 0.2}, ours={"samples": 50}, draws=True),
        "SquareGrad": row("SquareGrad", given={"nb_samples": 50, "noise": 0.2}, ours={"samples": 50}, draws=True),
        "VarGrad": row("VarGrad", given={"nb_samples": 50, "noise": 0.2}, ours={"samples": 50}, draws=True),
        "GradCAM": on_map("GradCAM"), "GradCAMPP": on_map("GradCAMPP"),
        "Occlusion": image("Occlusion", given={"patch_size": 3, "patch_stride": 3, "occlusion_value": 0.0}),
    },
    "grad_cam": {k: on_map(k) for k in ("GradCAM", "GradCAMPlusPlus", "LayerCAM", "XGradCAM", "HiResCAM")},
    "torchcam": {**{k: on_map(k) for k in ("GradCAM", "GradCAMpp", "LayerCAM", "XGradCAM")},
                 "GradCAM(normalized)": on_map("GradCAM", given={"normalized": True})},
    "tf_keras_vis": {
        "Saliency": image("Saliency", given={"keepdims": False}),
        "Saliency(smooth_samples, keepdims)": image("Saliency", given={"smooth_samples": 50}, ours={"samples": 50}, draws=True),
        "Gradcam": on_map("Gradcam", given={"normalize_cam": True}),
        "GradcamPlusPlus": on_map("GradcamPlusPlus", given={"normalize_cam": True}),
    },
    "lxt": {"efficient": row("Epsilon")},
    "lime": {"LimeImage": Run("LimeImage", {"num_samples": 1000, "segments": [[0, 0, 1], [2, 2, 1], [2, 3, 3]]}, "colours",
                              ours={"mask": [[0, 0, 1], [2, 2, 1], [2, 3, 3]]}, draws=True)},
}
"""Peer -> the entry's method -> how it is run."""

NOT_RUN: dict[str, str] = {
    "lrp_toolbox": "no package: its formulas stand in tests/oracle/test_conventions_lrp.py as loops",
    "DeepExplain": "no package: TensorFlow 1 graphs alone; its formulas stand in tests/oracle/test_conventions_*.py",
    "deeplift": "0.6.13 converts Keras 1 and 2 files for TensorFlow 1; its formulas stand in tests/oracle/test_conventions_gradients.py",
    "trulens": "the releases with attribution (0.x) are other software than trulens 2",
    "tf_explain": "0.3.1 does not run on TensorFlow 2.19",
    "alibi": "0.9.6 wants NumPy 1, TensorFlow below 2.15 and spaCy",
    "integrated-gradients": "a notebook, no package", "keras_vis": "0.4.1 needs Keras 1 or 2 with Theano or TensorFlow 1",
    "ramprs": "Lua",
}
WHY: dict[tuple[str, str], str] = {
    ("captum", "DeepLift(functional operators)"): "what the defect is, not a setting: tests/trophies/captum_functional_relu.py",
    ("captum", "NeuronConductance"): "run as tests/trophies/captum_neuron_conductance.py",
    ("captum", "LayerGradCam(interpolate)"): "LayerAttribution.interpolate is a call of its own, on what LayerGradCam gives",
    ("zennit", "Epsilon with a one-hot start"): "the start is the caller's",
    ("zennit", "Epsilon with its default start"): "the start is the caller's",
    ("shap", "DeepExplainer(tensorflow)"): "shap 0.51 does not know TensorFlow 2.19's operators; its formula stands in "
                                           "test_conventions_gradients.py",
    ("torchcam", "GradCAMpp (as meant)"): "not what it computes",
    ("zennit", "ExcitationBackprop"): "the line below it has it with biases and for any input; without them they are one formula (W13)",
    ("zennit", "ZBox"): "the first layer of EpsilonGammaBox",
    ("saliency", "GuidedIG"): "crashes with NumPy 2.4: tests/trophies/saliency_guided_ig_numpy.py",
    ("lime", "LimeText"): "on words, which no network here takes",
}
for _k in ("NoiseTunnel(Saliency)", "NoiseTunnel(InputXGradient)", "NoiseTunnel(smoothgrad_sq)", "NoiseTunnel(vargrad)"):
    WHY["captum", _k] = "as NoiseTunnel(Saliency(abs=False)), with another map inside or another average"
WHY["captum", "Lime"] = WHY["xplique", "Lime"] = WHY["xplique", "KernelShap"] = "draws of a regression: see LimeImage and captum KernelShap"


KNOWN: dict[tuple[str, str], str] = {
    ("tf_keras_vis", "Gradcam"): "1e-7 is added to the range of the map",
    ("grad_cam", "GradCAMPlusPlus"): "1e-6 is added to the denominator of alpha, beside squared gradients of 1e-5",
}
"""What differs, and why."""


def network(kind: str) -> tuple[Any, Any]:
    """A module in float64, a module for each call, and its input."""
    import torch
    from torch import nn

    torch.manual_seed(1)
    if kind == "row":
        net: Any = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
        shape: tuple[int, ...] = (2, 5)
    else:
        c, n, k, pad = (3, 3, 2, 0) if kind == "colours" else (2, 6, 3, 1) if kind == "map" else (2, 6, 2, 0)
        left = n - 2 * (k - 1 - 2 * pad)
        names = ("conv1", nn.Conv2d(c, 4, k, padding=pad)), ("relu1", nn.ReLU()), ("relu2", nn.ReLU())
        net = nn.Sequential()
        for name, module in (*names[:2], ("conv2", nn.Conv2d(4, 3, k, padding=pad)), names[2], ("flat", nn.Flatten()),
                             ("fc", nn.Linear(3 * left**2, 3))):
            net.add_module(name, module)
        if kind == "ends in relu":
            net.add_module("relu3", nn.ReLU())
            net.fc.bias.data += 3                                       # so that there is relevance
        shape = (1 if kind == "colours" else 2, c, n, n)
    return net.double().eval(), np.random.default_rng(3).normal(size=shape)


def verdict(library: Any, entry: Entry, run: Run) -> str:
    """What came out, in words."""
    import torch

    net, x = network(run.net)
    graph = from_model(net, torch.tensor(x), verify=False)
    if run.single:
        net, x = net.float(), x.astype(np.float32)
    target = np.array([0, 2])[:len(x)]
    base = np.random.default_rng(4).normal(size=(run.baseline, *x.shape[1:])).astype(x.dtype) if run.baseline else None
    start = {"background" if run.baseline > 1 else "baseline": base} if run.baseline else {}
    extra = {**({"layer": run.layer} if run.layer else {}), **start}
    settings = {**entry.settings, **run.ours, **extra}
    if entry.peer == "zennit":
        settings.pop("averages", None)                                  # its composites give averages a rule, which the adapter does
    given = {**run.given, **({"layer": run.layer} if run.layer else {})}
    subject = graph if library.framework == "keras" else net
    if run.draws:
        return _drawn(library, entry, run, subject, graph, x, target, base, given, settings)
    theirs = np.asarray(library.explain(run.method, subject, x, target, base, **given), dtype=float)
    ours = np.asarray(explain(graph, x, entry.ours, target=target, **settings), dtype=float)
    if ours.ndim == theirs.ndim == 4 and theirs.shape[1] == 1 and (ours == ours[:, :1]).all():
        ours = ours[:, :1]                                              # a map of one channel, which ours shares out to all
    if ours.shape != theirs.shape:
        return f"differs: shape {theirs.shape}, ours {ours.shape}"
    size = max(abs(ours).max(), abs(theirs).max(), 1e-300)
    off = float(abs(ours - theirs).max() / size)
    return f"agrees to 1e{int(np.ceil(np.log10(max(off, 1e-16))))}" if off < 1e-5 else f"differs by {off:.2g} of the largest value"


def _drawn(library: Any, entry: Entry, run: Run, subject: Any, graph: Any, x: Any, target: Any, base: Any, given: Any, settings: Any
           ) -> str:
    seeded = "seed" in library.methods[run.method]
    theirs, ours = [], []
    for seed in range(SEEDS):
        drawn = {**given, "seed": seed} if seeded else given
        theirs.append(np.asarray(library.explain(run.method, subject, x, target, base, **drawn), float))
        ours.append(np.asarray(explain(graph, x, entry.ours, target=target, seed=seed, **settings), float))
    if theirs[0].shape != ours[0].shape:
        return f"differs: shape {theirs[0].shape}, ours {ours[0].shape}"
    (m, v), (m0, v0) = ((np.mean(a, 0), np.var(a, 0, ddof=1) / SEEDS) for a in (theirs, ours))
    error = np.sqrt(v + v0)
    if not error.any():
        off = float(abs(m - m0).max() / max(abs(m).max(), 1e-300))
        return f"agrees to 1e{int(np.ceil(np.log10(max(off, 1e-16))))}" if off < 1e-5 else f"differs by {off:.2g} of the largest value"
    worst = float((abs(m - m0) / np.maximum(error, 1e-9 * abs(m).max())).max())
    words = f"the means over {SEEDS} seeds are {worst:.1f} standard errors apart at most, of {float(error.max() / abs(m).max()):.1g}"
    return f"agrees within the draws: {words}" if worst < 6 else f"differs: {words}"


def rows(name: str) -> list[list[str]]:
    """The lines of one peer."""
    entries = PEERS[name]
    if name in NOT_RUN:
        return [[e.method, _ours(e), f"not run: {NOT_RUN[name]}"] for e in entries]
    try:
        library = peer(name)
    except BackendError:
        return [[e.method, _ours(e), "not run: not installed here"] for e in entries]
    found = []
    for e in entries:
        run = RUNS.get(name, {}).get(e.method)
        if run is None:
            said = f"not run: {WHY[name, e.method]}"
        else:
            try:
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    said = verdict(library, e, run)
            except Exception as error:                                  # whatever a library raises is its answer
                said = f"differs: {type(error).__name__}: {' '.join(str(error).split())[:150]}"
        if said.startswith("differs") and (name, e.method) in KNOWN:
            said = f"differs by convention: {KNOWN[name, e.method]} ({said})"
        if e.defect:
            said += f" (a defect: {e.defect})"
        found.append([e.method, _ours(e), said])
        print(f"{name} {library.version}", *found[-1], sep=" | ", file=sys.stderr, flush=True)
    version = library.version
    if hasattr(library, "close"):
        library.close()
    return [[f"{version}"], *found]


def _ours(e: Entry) -> str:
    settings = ", ".join(f"{k}={v!r}" for k, v in e.settings.items())
    return f"`{e.ours}`" + (f" with {settings}" if settings else "")


def main() -> int:
    """Runs the entries of the peers that are named, or of all, and writes their lines; others keep the lines that they have."""
    wanted = sys.argv[1:] or list(PEERS)
    head, _, old = PAGE.read_text(encoding="utf-8").partition(HEADING)
    kept = dict(zip(*[iter(_split(old))] * 2)) if old else {}
    for name in wanted:
        lines = rows(name)
        version = lines.pop(0)[0] if len(lines[0]) == 1 else ""
        title = f"### {name} {version}".rstrip()
        kept = {k: v for k, v in kept.items() if k.split()[1:2] != [name]}
        kept[title] = "\n".join([f"Run on {datetime.date.today()}." if version else "", "", "| theirs | ours | |", "|---|---|---|",
                                 *("| " + " | ".join(c.replace("|", "/") for c in line) + " |" for line in lines)]).strip()
    order = sorted(kept, key=lambda t: list(PEERS).index(t.split()[1]))
    text = [HEADING, "", "Written by `python -m benchmarks.profiles`: each line of `xaicore/oracle/profiles.py` beside the library, on a",
            "perceptron or a network of convolutions. Sums, averages, BatchNorm and functional calls are in the tables above.", ""]
    for title in order:
        text += [title, "", kept[title], ""]
    PAGE.write_text(head.rstrip("\n") + "\n\n" + "\n".join(text).rstrip("\n") + "\n", encoding="utf-8")
    return 0


def _split(text: str) -> list[str]:
    """[title, body, title, body, ...] of the section."""
    parts = ("\n" + text).split("\n### ")[1:]
    return [piece for part in parts for piece in (f"### {part.partition(chr(10))[0]}", part.partition("\n")[2].strip())]


if __name__ == "__main__":
    sys.exit(main())


__all__ = ["NOT_RUN", "RUNS", "WHY", "main"]
