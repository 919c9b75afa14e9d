"""Grid sampling: edges that the cases stay away from, the identity, and what attributions make of it."""

from __future__ import annotations

import numpy as np
import pytest

import xaicore as xc
from tests.cases.case import Case, exact
from tests.cases.grid import CASES
from tests.ops.attributed import complete_gap, lrp_gap, summed
from xaicore.errors import Inapplicable, ShapeError, UncoveredNode
from xaicore.graph import Builder
from xaicore.ops import GridSample, Resize


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [False, True])
def test_torch_agrees_on_entries_edges_and_far_outside(mode: str, padding: str, corners: bool) -> None:
    """Forward on every quarter of a pixel from far left to far right, also for an axis of one entry."""
    torch = pytest.importorskip("torch")
    for n in (1, 2, 4):
        x = np.arange(1.0, 1 + 3 * n).reshape(1, 1, 3, n) ** 2
        v = np.arange(-6 * n, 6 * n + 1) / (2 * n)
        grid = np.stack(np.broadcast_arrays(v[None], np.array([-0.4, 0.7])[:, None]), -1)[None]
        name = {"linear": "bilinear", "nearest": "nearest", "cubic": "bicubic"}[mode]
        theirs = torch.nn.functional.grid_sample(torch.tensor(x), torch.tensor(grid), name, padding, corners).numpy()
        # 1e-12: a dozen roundings of numbers of about 100
        np.testing.assert_allclose(GridSample(mode, padding, corners).forward(x, grid), theirs, rtol=1e-12, atol=1e-12 * x.max())


@pytest.mark.parametrize("corners", [False, True])
def test_a_regular_grid_is_a_resize(corners: bool) -> None:
    """Two operators that share no code, in rationals."""
    x = exact(np.arange(30.0).reshape(1, 2, 5, 3) ** 2)
    rows, columns = (np.linspace(-1, 1, n) if corners else (2 * np.arange(n) + 1) / n - 1 for n in (9, 5))
    if not corners:
        columns = np.array([-0.75, -0.25, 0.25, 0.75])
        rows = (2 * np.arange(8) + 1) / 8 - 1
    grid = exact(np.stack(np.meshgrid(columns, rows), -1)[None])
    for mode in ("linear", "cubic"):
        resize = Resize((len(rows), len(columns)), mode, "align_corners" if corners else "half_pixel")
        assert GridSample(mode, "border", corners).forward(x, grid).tolist() == resize.forward(x).tolist()


FIXED = [c for c in CASES if not c.mask()[1]]
MOVING = [c for c in CASES if c.mask()[1]]


@pytest.mark.parametrize("case", MOVING, ids=lambda c: c.id)
def test_a_grid_that_moves_has_no_rule_and_says_so(case: Case) -> None:
    graph, feeds = summed(case)
    for method in ("lrp.epsilon", "deeplift.rescale"):
        with pytest.raises(UncoveredNode, match=r"no row covers node 'node' \(GridSample.*Add one in front"):
            xc.explain(graph, feeds, method, target=0)
    with pytest.raises(Inapplicable, match="use integrated_gradients, which samples the path"):
        xc.explain(graph, feeds, "integrated_gradients.exact", target=0)


@pytest.mark.parametrize("case", FIXED, ids=lambda c: c.id)
def test_a_grid_that_stays_needs_no_row(case: Case) -> None:
    graph, feeds = summed(case)
    graph, feeds = fixed(graph, feeds) if "x1" in feeds else (graph, feeds)
    assert lrp_gap(graph, feeds).tolist() == [0, 0, 0]
    assert complete_gap(graph, feeds).tolist() == [0, 0, 0]
    assert complete_gap(graph, feeds, "integrated_gradients.exact").tolist() == [0, 0, 0]


def test_differences_need_the_same_places() -> None:
    """A grid that is fed as well, and reads other entries on its baseline."""
    graph, feeds = summed(next(c for c in CASES if c.id == "GridSample-nearest-border"))
    with pytest.raises(Inapplicable, match=r"node 'node' \(GridSample.*chooses otherwise on the baseline"):
        complete_gap(graph, feeds)


def fixed(graph, feeds):
    """The grid of the first sample as a parameter."""
    b = Builder(dtype="exact")
    names = {"x0": b.input("x0", graph.inputs["x0"].shape), "x1": b.param("x1", feeds["x1"][:1])}
    for name, value in graph.params.items():
        names[name] = b.param(name, value)
    for node in graph.nodes:
        names[node.name] = b.keep(node, [names[i] for i in node.inputs])
    return b.build(names[graph.outputs[0]]), {"x0": feeds["x0"]}


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_very_far_outside(mode: str) -> None:
    x, grid = np.arange(1.0, 5.0).reshape(1, 1, 4), np.array([[[-1e30], [1e30]]])
    y = GridSample(mode).forward(x, grid)
    assert y.tolist() == [[[0, 0]]]
    assert GridSample(mode, "border").forward(x, grid).tolist() == [[[1, 4]]]
    for padding in ("zeros", "border"):
        assert not GridSample(mode, padding).vjp(1, np.ones_like(y), y, x, grid).any()


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ShapeError, match="mode must be"):
        GridSample("bilinear")
    with pytest.raises(ShapeError, match="padding must be"):
        GridSample(padding="wrap")
