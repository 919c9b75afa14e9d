"""quantus: metrics of attributions. What is explained is the metric's score of each sample; the maps, the masks, and the function that
makes a map where a metric asks again, are settings."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore_peers.protocol import Array, Library, targets


def _metric(name: str) -> Any:
    def score(model: Any, x: Array, target: Any, baseline: Any, attributions: Any = None, masks: Any = None, asked: Any = None,
              **options: Any) -> Array:
        import quantus

        given: dict[str, Any] = {} if masks is None else {"s_batch": np.asarray(masks)}
        given |= {} if asked is None else {"explain_func": lambda model, inputs, targets, **unused: asked(model, inputs, targets)}
        metric = getattr(quantus, name)(disable_warnings=True, **options)
        found = metric(model=model, x_batch=x, y_batch=targets(0 if target is None else target, len(x)).astype(int),
                       a_batch=np.asarray(attributions), **given)
        return np.array(found, dtype=float)

    return score


QUANTUS = Library("quantus", "quantus", "quantus", "torch", {k: _metric(k) for k in (
    "AttributionLocalisation", "Completeness", "Complexity", "Continuity", "InputInvariance", "Monotonicity", "PointingGame",
    "RelevanceMassAccuracy", "RelevanceRankAccuracy", "Sparseness", "TopKIntersection")}, dtype="float32")
