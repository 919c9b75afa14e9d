"""shap: Shapley values of a game on background samples, and their approximations for networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore_peers.protocol import Array, Library, filled, targets
from xaicore_peers.torches import array, tensor


def _chosen(values: Any, x: Array, target: Any) -> Array:
    """The target's part of shap's values: a list over outputs, or a last axis of outputs."""
    if isinstance(values, list):
        values = np.stack(values, -1)
    values = np.array(values)
    if values.ndim == x.ndim:
        return np.asarray(values)
    if target is None:
        return np.asarray(values[..., 0])
    return np.stack([values[n, ..., k] for n, k in enumerate(targets(target, len(x)))])


def _rows(baseline: Any, x: Array) -> Array:
    """The background: the rows of the baseline, one row of zeros for None."""
    if baseline is None:
        return np.zeros_like(x[:1])
    return np.asarray(baseline) if np.ndim(baseline) == x.ndim else filled(baseline, x[:1])


def deep_explainer(model: Any, x: Array, target: Any, baseline: Any, check_additivity: bool = False) -> Array:
    """DeepLIFT averaged over a background."""
    import shap

    explainer = shap.DeepExplainer(model, tensor(_rows(baseline, x)))
    return _chosen(explainer.shap_values(tensor(x), check_additivity=check_additivity), x, target)


def gradient_explainer(model: Any, x: Array, target: Any, baseline: Any, nsamples: int = 200, seed: int = 0, variances: bool = False
                       ) -> Array:
    """Expected gradients by sampling; ``variances``: what it says of their variance."""
    import shap

    explainer = shap.GradientExplainer(model, tensor(_rows(baseline, x)))
    found = explainer.shap_values(tensor(x), nsamples=nsamples, rseed=seed, return_variances=variances)
    return _chosen(found[1] if variances else found, x, target)


def _function(model: Any, x: Array) -> Any:
    def f(flat: Array) -> Array:
        import torch

        with torch.no_grad():
            return array(model(tensor(np.asarray(flat).reshape(-1, *x.shape[1:]).astype(x.dtype))))

    return f


def kernel_explainer(model: Any, x: Array, target: Any, baseline: Any, nsamples: Any = "auto", l1_reg: Any = "num_features(10)",
                     seed: int = 0) -> Array:
    """Shapley values as a weighted regression."""
    import shap

    rows = _rows(baseline, x)
    explainer = shap.KernelExplainer(_function(model, x), rows.reshape(len(rows), -1))
    state = np.random.get_state()  # noqa: NPY002 (shap draws from the global generator)
    try:
        np.random.seed(seed)  # noqa: NPY002
        found = explainer.shap_values(x.reshape(len(x), -1), nsamples=nsamples, l1_reg=l1_reg, silent=True)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return _chosen(found, x.reshape(len(x), -1), target).reshape(x.shape)


def _masked(name: str) -> Any:
    def explain(model: Any, x: Array, target: Any, baseline: Any, seed: int = 0, **settings: Any) -> Array:
        import shap

        rows = _rows(baseline, x)
        flat = x.reshape(len(x), -1)
        masker = shap.maskers.Independent(rows.reshape(len(rows), -1), max_samples=len(rows))
        explainer = getattr(shap.explainers, name)(_function(model, x), masker, **({"seed": seed} if name != "ExactExplainer" else {}))
        return _chosen(explainer(flat, silent=True, **settings).values, flat, target).reshape(x.shape)

    return explain


SHAP = Library("shap", "shap", "shap", "torch", {
    "DeepExplainer": deep_explainer, "GradientExplainer": gradient_explainer, "KernelExplainer": kernel_explainer,
    "PermutationExplainer": _masked("PermutationExplainer"), "ExactExplainer": _masked("ExactExplainer"),
})
