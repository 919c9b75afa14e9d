"""torchcam: class activation maps in the size of the layer, without scaling unless ``normalized``; ``layer`` is a submodule's name."""

from __future__ import annotations

from typing import Any

from xaicore_peers.protocol import Array, Library, targets
from xaicore_peers.torches import array, tensor


def _cam(name: str, graded: bool) -> Any:
    def explain(model: Any, x: Array, target: Any, baseline: Any, layer: str = "", normalized: bool = False, seed: int = 0,
                **options: Any) -> Array:
        import torch
        from torchcam import methods

        with torch.random.fork_rng():
            torch.manual_seed(seed)
            with getattr(methods, name)(model, layer, **options) as cam:
                with torch.set_grad_enabled(graded):
                    out = model(tensor(x).requires_grad_(graded))
                chosen = [int(t) for t in targets(0 if target is None else target, len(x))]
                found = cam(chosen, out, normalized=normalized) if graded else cam(chosen, normalized=normalized)
        return array(found)[:, None]

    return explain


TORCHCAM = Library("torchcam", "torchcam", "torchcam", "torch", {
    **{k: _cam(k, True) for k in ("GradCAM", "GradCAMpp", "SmoothGradCAMpp", "XGradCAM", "LayerCAM")},
    **{k: _cam(k, False) for k in ("CAM", "ScoreCAM", "SSCAM", "ISCAM")},
})
