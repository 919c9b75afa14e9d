"""Writes docs/conformance.md: every peer that can be run, its methods, and a verdict for each family of networks.

    XAICORE_PEERS=.peers python -m benchmarks.conformance [PEER ...]

A cell says: agrees to 1e-x (of the largest value) under the profile; differs by convention, and which; defect, and what shows it;
refuses, with the peer's own words; not offered. A peer that is neither installed nor in an environment has no rows.
"""

from __future__ import annotations

import datetime
import sys
import warnings
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from xaicore_peers import LIBRARIES, peer

from benchmarks.conformance_models import FAMILIES, made
from benchmarks.profiles import HEADING, PAGE
from xaicore import compare, explain, from_model
from xaicore.errors import BackendError, XaicoreError
from xaicore.oracle.examine import refusal


@dataclass(frozen=True)
class Row:
    """One explainer: ours, our settings, its settings, whether it takes a baseline, what its sum is, whether it needs a layer."""

    ours: str
    settings: dict[str, Any] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)
    baseline: bool = False
    total: str = ""
    layer: bool = False
    images: bool = False


MAP = {"layer": True, "images": True}
CAPTUM_LRP = {"eps": 1e-9, "pool": "epsilon", "batchnorm": "affine"}
PASS = {"batchnorm": "pass"}
LAYERS = {"layer_eps": 1e-6, **PASS}
SCALED = {"relu": True, "normalize": "min_max_first"}
DROP = {"score": "difference", "mode": "drop", "window": (2, 2), "stride": (1, 1)}
ROWS: dict[str, dict[str, Row]] = {
    "captum": {
        "Saliency": Row("saliency"), "InputXGradient": Row("gradient_x_input"),
        "IntegratedGradients": Row("integrated_gradients", baseline=True),
        "GuidedBackprop": Row("guided_backprop"), "Deconvolution": Row("deconvnet"),
        "DeepLift": Row("deeplift.rescale", baseline=True, total="difference"), "LRP": Row("lrp.epsilon", CAPTUM_LRP, total="value"),
        "Occlusion": Row("occlusion", {**DROP, "overlap": "mean", "border": "crop"}, {"window": [2, 2, 2], "strides": [2, 1, 1]},
                         images=True),
        "FeatureAblation": Row("feature_ablation", baseline=True), "LayerGradCam": Row("grad_cam", {"relu": False}, **MAP),
    },
    "zennit": {
        "Gradient": Row("gradient"),
        "IntegratedGradients": Row("integrated_gradients", {"quadrature": "right", "steps": 20}, baseline=True),
        "GuidedBackprop": Row("guided_backprop"), "DeconvNet": Row("deconvnet"),
        "Epsilon": Row("lrp.epsilon", {"eps": 1e-6, **PASS}, total="value"), "ZPlus": Row("lrp.z_plus", LAYERS),
        "AlphaBeta": Row("lrp.alpha_beta", LAYERS), "Gamma": Row("lrp.gamma", LAYERS),
    },
    "shap": {"DeepExplainer": Row("deeplift.rescale", {"threshold": 1e-6, "fallback": "reference", "softmax": "rescale"}, baseline=True,
                                  total="difference")},
    "grad_cam": {
        "GradCAM": Row("grad_cam", SCALED, **MAP), "GradCAMPlusPlus": Row("grad_cam_plus_plus", {"score": "linear", **SCALED}, **MAP),
        "HiResCAM": Row("hires_cam", SCALED, **MAP), "XGradCAM": Row("xgrad_cam", SCALED, **MAP),
        "LayerCAM": Row("layer_cam", SCALED, **MAP), "AblationCAM": Row("ablation_cam", SCALED, **MAP),
        "EigenCAM": Row("eigen_cam", {"center": True, **SCALED}, **MAP), "GuidedBackprop": Row("guided_backprop", images=True),
    },
    "torchcam": {
        "GradCAM": Row("grad_cam", **MAP), "GradCAMpp": Row("grad_cam_plus_plus", {"score": "linear"}, **MAP),
        "XGradCAM": Row("xgrad_cam", **MAP), "LayerCAM": Row("layer_cam", **MAP),
    },
    "saliency": {
        "GradientSaliency": Row("gradient"),
        "IntegratedGradients": Row("integrated_gradients", {"quadrature": "inclusive_mean", "steps": 25}, {"x_steps": 25}, baseline=True),
    },
    "lime": {"LimeTabular": Row("lime", {"samples": 3000})},
    "tf_keras_vis": {
        "Saliency": Row("saliency"), "Gradcam": Row("grad_cam", **MAP), "Layercam": Row("layer_cam", **MAP),
        "GradcamPlusPlus": Row("grad_cam_plus_plus", {"weights": "normalized"}, **MAP),
    },
    "xplique": {
        "Saliency": Row("saliency"), "GradientInput": Row("gradient_x_input"),
        "IntegratedGradients": Row("integrated_gradients", {"quadrature": "trapezoid_xplique"}), "GuidedBackprop": Row("guided_backprop"),
        "GradCAM": Row("grad_cam", **MAP), "GradCAMPP": Row("grad_cam_plus_plus", {"score": "linear"}, **MAP),
    },
}

UNSEEN = "defect: what is no module with a rule is explained by its gradient, without a word (tests/trophies/zennit_functional_tanh.py)"

LEGEND = ("- *agrees to 1e-x*: the largest difference from the reference under the peer's profile, relative to the largest value.",
          "- *differs by convention*: a named setting of ours gives the peer's number.",
          "- *defect*: against the method's own definition, or against the peer itself on the same function.",
          "- *refuses*: the peer's own words.")
KNOWN = {
    ("captum", "DeepLift", "max pool"): "defect: the rule of a pool behind a ReLU is lost (tests/trophies/captum_adjacent_modules.py)",
    ("captum", "DeepLift", "overlapping pool"): "defect: the same",
    ("grad_cam", "GradCAMPlusPlus", ""): "differs by convention: 1e-6 is added to alpha's denominator, beside squared gradients of 1e-5",
    ("torchcam", "GradCAMpp", ""): "defect: the division of alpha is lost (tests/trophies/torchcam_gradcampp_alpha.py)",
    ("xplique", "GradCAMPP", ""): "defect: the mean of a map for its sum (tests/trophies/xplique_gradcampp_mean.py)",
    ("grad_cam", "AblationCAM", ""): "defect: a channel is not set to 0 (tests/trophies/grad_cam_ablation_value.py)",
    ("grad_cam", "EigenCAM", ""): "defect: the sign of a singular vector is left to the routine (tests/trophies/grad_cam_eigen_sign.py)",
}
"""What was worked out by hand, for cells that differ; each names the script that shows it."""


def cell(library: Any, name: str, method: str, row: Row, family: str) -> str:
    """The verdict on one explainer and one family."""
    net, shape = made(family), FAMILIES[family][1]
    if (row.images and len(shape) != 4) or (name == "lime" and family != "MLP"):
        return "not offered"
    x = np.random.default_rng(3).normal(size=shape)
    target = np.array([0, 2])
    graph = _graph(net, x)
    given = {**row.given, **({"layer": "conv1"} if row.layer else {})}
    subject = graph if library.framework == "keras" else net
    base: Any = np.random.default_rng(4).normal(size=(1, *shape[1:])) if row.baseline and method != "FeatureAblation" else None
    if name == "lime":
        return _lime(library, net, x)
    try:
        theirs = np.asarray(library.explain(method, subject, x, target, base, **given))
    except XaicoreError as error:
        text = " ".join(str(error).split(" raised ", 1)[-1].split())[:70]
        return f"refuses: {text}" if refusal(error) else f"defect: raises {text}"
    if not np.isfinite(theirs).all():
        return "defect: not finite"
    return _judged(library, method, row, name, family, graph, x, target, base, given, theirs)


def _judged(library: Any, method: str, row: Row, name: str, family: str, graph: Any, x: Any, target: Any, base: Any, given: Any,
            theirs: Any) -> str:
    settings: dict[str, Any] = {**row.settings, **({"layer": "conv1"} if row.layer else {})}
    if row.baseline and base is not None:
        settings["baseline"] = base
    if row.ours == "feature_ablation":
        settings["mask"] = np.arange(x[0].size).reshape(x.shape[1:])
    try:
        a = explain(graph, x, row.ours, target=target, **settings)
    except XaicoreError as error:
        return f"not compared: ours does not apply ({' '.join(str(error).split())[:60]})"
    ours = np.asarray(a, dtype=float)
    if ours.shape != theirs.shape:
        return f"differs by convention: shape {theirs.shape}, ours {ours.shape}"
    size = max(abs(ours).max(), abs(theirs).max(), 1e-300)
    off = float(abs(ours - theirs).max() / size)
    if off < 2e-6:
        return f"agrees to 1e{int(np.ceil(np.log10(max(off, 1e-16))))}"
    known = KNOWN.get((name, method, family)) or KNOWN.get((name, method, ""))
    if known is None and family in ("LSTM", "transformer", "functional calls") and row.ours.startswith("lrp"):
        known = UNSEEN
    if known is not None:
        return known
    if row.total:
        wanted = np.asarray(a.output - (a.baseline_output if row.total == "difference" else a.absorbed), dtype=float)
        sums = theirs.reshape(len(theirs), -1).sum(1)
        if abs(sums - wanted).max() > 1e-4 * max(abs(wanted).max(), 1e-300):
            return f"defect: sums to {sums[0]:.4g}, not {float(wanted[0]):.4g}"
    if library.framework == "torch":
        try:
            twin = np.asarray(library.explain(method, import_module("xaicore_torch").emit(graph), x, target, base, **given))
            if twin.shape == theirs.shape and abs(twin - theirs).max() > 2e-6 * size:
                return "defect: other than with a module for each call"
        except XaicoreError:
            pass
    found = compare(a, theirs, rtol=1e-5, atol=1e-6 * size, seconds=1.5)
    if found.closest_convention is not None:
        return f"differs by convention: {found.closest_convention}".replace("|", "/")
    return f"differs by {off:.1g}: {found.relation or 'no known convention'}"


def _lime(library: Any, net: Any, x: Any) -> str:
    """Random: two draws of theirs tell the noise; both fit a plane to the network around x."""
    data = np.random.default_rng(1).normal(size=(200, *x.shape[1:]))
    one, two = (library.explain("LimeTabular", net, x[:1], 0, data, num_samples=4000, seed=s) for s in (0, 1))
    noise = float(abs(one - two).max() / abs(one).max())
    return f"differs by convention: standardised Gaussian samples, no set of present and absent features; two draws agree to {noise:.1g}"


def _graph(net: Any, x: Any) -> Any:
    import torch

    return from_model(net, torch.tensor(x), verify=False)


def main() -> int:
    """Runs what can be run and writes the page."""
    wanted = sys.argv[1:] or list(ROWS)
    page = ["# Conformance: what peers compute, network by network", "",
            f"Written on {datetime.date.today()} by `python -m benchmarks.conformance`; every number was run.", "", *LEGEND, ""]
    for name in wanted:
        try:
            library = peer(name)
        except BackendError as error:
            print(error, file=sys.stderr)
            continue
        page += [f"## {LIBRARIES[name].distribution} {library.version}", "", "| | " + " | ".join(FAMILIES) + " |",
                 "|---" * (len(FAMILIES) + 1) + "|"]
        for method, row in ROWS[name].items():
            cells = []
            for family in FAMILIES:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    cells.append(cell(library, name, method, row, family))
                print(name, method, family, cells[-1], sep=" | ", file=sys.stderr, flush=True)
            page.append(f"| {method} | " + " | ".join(cells) + " |")
        page.append("")
        if hasattr(library, "close"):
            library.close()
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    PAGE.write_text("\n".join([*page, HEADING + old.partition(HEADING)[2]]), encoding="utf-8")     # profiles.py writes the rest
    return 0


if __name__ == "__main__":
    sys.exit(main())
