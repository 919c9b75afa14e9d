"""What methods need in bytes: the estimate against what tracemalloc sees, batch_size="auto" below its limit, values that are released."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import xaicore as xc
from benchmarks.cost.networks import FAMILIES
from xaicore.errors import InputError, TooLarge
from xaicore.graph import Graph
from xaicore.graph.run import evaluate, shapes_of
from xaicore.graph.untrusted import limited
from xaicore.methods.memory import Need, family_of, needs
from xaicore.methods.table import METHODS
from xaicore.methods.task import make_task
from xaicore.ops.kept import BUDGET, Kept
from xaicore.trace import forward

LEAST, MOST = 0.25, 1.0
"""Measured over estimated, as the module promises; the same bounds hold at every size that docs/cost.md was measured at."""
GREEDIEST = {"gradient": "gradient_x_input", "guided": "guided_backprop", "relevance": "lrp.alpha_beta", "multiplier": "deeplift.rescale",
             "pairs": "deeplift.reveal_cancel"}


def peak(f: Callable[[], Any]) -> int:
    """The most bytes that f had allocated at one time, what it keeps beside weights among them; other things are made by a first call."""
    f()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xaicore.ops.kept.EXACT", Kept(BUDGET))
        tracemalloc.start()
        try:
            f()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def drawn(graph: Graph, n: int) -> np.ndarray:
    (spec,) = graph.inputs.values()
    return np.random.default_rng(0).random((n, *spec.shape[1:])).astype(graph.dtype)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_measured_peaks_lie_below_the_estimate_and_not_far(family: Any) -> None:
    graph = family.make(family.widths[0], family.sides[0])
    (name,) = graph.inputs
    known = needs(graph, shapes_of(graph, {name: drawn(graph, 1)}))
    x = drawn(graph, 8)
    runs: dict[str, Callable[[], Any]] = {f: lambda m=m: xc.explain(graph, x, m, target=0) for f, m in GREEDIEST.items()}
    runs["forward"] = lambda: evaluate(graph, {name: x})
    for which, f in runs.items():
        share = peak(f) / known[which].of(8)
        assert LEAST <= share <= MOST, f"{which}: {share:.2f}"


@pytest.mark.parametrize(("method", "settings"), [
    ("integrated_gradients", {"steps": 24}), ("smoothgrad", {"samples": 24}), ("occlusion", {"window": 8, "stride": 4}), ("rise", {"samples": 40, "grid": 4}),
    ("smoothgrad", {"samples": 16, "of": ("deeplift.rescale", {})}), ("kernel_shap", {"samples": 40, "mask": (np.arange(1024) // 128).reshape(32, 32)}),
])
def test_auto_keeps_the_peak_below_the_limit(method: str, settings: dict[str, Any]) -> None:
    family = next(f for f in FAMILIES if f.name == "CNN")
    graph, limit = family.make(8, 32), 7 << 20
    x = drawn(graph, 1)
    usual = xc.explain(graph, x, method, target=0, batch_size=60, **settings)
    assert peak(lambda: xc.explain(graph, x, method, target=0, batch_size=60, **settings)) > limit, "the limit would hold by itself"
    with limited(limit):
        a = xc.explain(graph, x, method, target=0, batch_size="auto", **settings)
        assert peak(lambda: xc.explain(graph, x, method, target=0, batch_size="auto", **settings)) <= limit
    size = float(np.abs(np.asarray(usual)).max())
    assert np.abs(np.asarray(a) - np.asarray(usual)).max() <= 1e-4 * size       # float32 sums of 40 terms in another order: 1e-5, with room


def test_what_cannot_be_kept_below_is_told_before_it_is_computed() -> None:
    graph = FAMILIES[1].make(8, 32)
    x = drawn(graph, 64)
    with limited(9 << 20):
        with pytest.raises(TooLarge, match=r"gradient of 64 samples needs about [\d,]+ bytes, and 9,437,184 are allowed; explain at most (\d+) at once") as told:
            xc.explain(graph, x, "gradient", target=0, batch_size="auto")
        fits = int(str(told.value).split("at most ")[1].split()[0])
        assert peak(lambda: xc.explain(graph, x[:fits], "gradient", target=0, batch_size="auto")) <= 9 << 20
        with pytest.raises(TooLarge):
            xc.explain(graph, x[:fits + 1], "gradient", target=0, batch_size="auto")
        with pytest.raises(TooLarge, match="integrated_gradients of 64 samples"):
            xc.explain_all(graph, x, ["integrated_gradients", "occlusion"], batch_size="auto")
    with limited(1000), pytest.raises(TooLarge, match="no smaller number fits"):
        xc.explain(graph, x[:1], "occlusion", target=0, window=4, batch_size="auto")
    assert TooLarge.exit_code == 4
    with pytest.raises(InputError, match="or 'auto' for what keeps below"):
        xc.explain(graph, x, "gradient", batch_size="automatic")


def test_every_method_has_a_family() -> None:
    known = set(needs(FAMILIES[0].make(16, 16), shapes_of(FAMILIES[0].make(16, 16))))
    assert {family_of(row, {}) for row in METHODS.values()} <= known == {
        "forward", "gradient", "guided", "relevance", "multiplier", "pairs", "evaluation", "point"}
    assert family_of(METHODS["smoothgrad"], {"of": "lrp.epsilon"}) == "relevance"
    assert family_of(METHODS["gradient"], {}, xc.RULE_SETS["lrp.gamma"]()) == "relevance"


@pytest.mark.parametrize("need", [Need(0, 10), Need(7, 10, 5, 22), Need(100, 0, 5, 22), Need(0, 1, 1000, 3000), Need(50, 3, 0, 9)])
def test_fitting_is_the_inverse_of_of(need: Need) -> None:
    for limit in range(400):
        n = need.fitting(limit)
        assert n == 0 or need.of(n) <= limit
        if need.sample:
            assert need.of(n + 1) > limit


def test_a_backward_pass_gives_back_what_no_rule_needs_again() -> None:
    """Inside of path and noise methods: the same gradients, bit for bit, and a lower peak where early values are large."""
    graph = FAMILIES[1].make(8, 32)
    x = drawn(graph, 8)
    task = make_task(graph, x, 0)
    rows = np.arange(8)
    grads, values = task.gradients({"x": x}, rows)
    a = xc.explain(graph, x, "gradient", target=0)
    assert np.array_equal(grads["x"], np.asarray(a))
    assert np.array_equal(values, a.output)
    kept = peak(lambda: task.pull(traced(graph, x), xc.RULE_SETS["gradient"](), task.weights))
    released = peak(lambda: task.pull(traced(graph, x), xc.RULE_SETS["gradient"](), task.weights, release=True))
    assert released < kept
    trace = traced(graph, x)
    task.pull(trace, xc.RULE_SETS["gradient"](), task.weights, release=True)
    assert {n.name for n in graph.nodes} & set(trace.values) == {task.value}


def traced(graph: Graph, x: np.ndarray) -> Any:
    return forward(graph, {"x": x})
