"""CREPE tiny with its weights: what docs/pitch.md says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xaicore as xc
from tests.backends.common import input_gradients
from tests.real.shared import complete, example, is_small

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def setup() -> tuple[Any, Any]:
    page = example("pitch", "torchcrepe")
    return page, page.Model()


@pytest.mark.parametrize("hertz", [110, 220, 440, 880])
def test_tones_are_heard(setup: tuple[Any, Any], hertz: float) -> None:
    page, model = setup
    assert page.hertz_of(model.graph(page.tones(hertz))[0]) == pytest.approx(hertz, rel=3e-3)      # 5 cents


def test_values_and_gradients_are_torchs(setup: tuple[Any, Any]) -> None:
    page, model = setup
    net = page.network().double()
    x = np.concatenate([page.tones(220, 330), page.tones(100, 200, 400)])
    fed = torch.from_numpy(x).requires_grad_()
    p = net(fed)
    seed = np.random.default_rng(0).standard_normal(p.shape)
    (theirs,) = torch.autograd.grad(p, fed, torch.from_numpy(seed))
    assert np.abs(model.graph(x) - p.detach().numpy()).max() < 1e-12
    (ours,) = input_gradients(model.graph, x, [seed]).values()
    assert np.abs(ours - theirs.numpy()).max() < 1e-10 * np.abs(ours).max()


def test_each_tone_speaks_for_itself_and_against_the_other(setup: tuple[Any, Any]) -> None:
    page, model = setup
    x = page.tones(220, 330)
    p = model.graph(x)[0]
    for hertz, own in ((220, slice(0, 512)), (330, slice(512, 1024))):
        results = page.explained(model.core, x, page.bin_of(p, hertz), page.METHODS)
        complete({k: v for k, v in results.items() if k != "lrp.epsilon"}, quadrature=5e-2)
        for name, a in results.items():
            v = np.asarray(a)[0]
            assert v[own].sum() > 0 > v.sum() - v[own].sum(), (hertz, name)
        np.testing.assert_allclose(np.asarray(results["lrp.epsilon"]), np.asarray(results["gradient_x_input"]),
                                   atol=1e-3 * np.abs(np.asarray(results["gradient_x_input"])).max())          # up to eps


def test_relevance_of_what_a_relu_silenced_has_nowhere_to_go(setup: tuple[Any, Any]) -> None:
    """The page's warning: with biases ignored the batch normalisations behind the ReLUs do not conserve, and the ledger names them."""
    page, model = setup
    a = xc.explain(model.core, page.tones(220, 330), "lrp.epsilon", target=166, bias="ignore")
    assert abs(float(a.gap()[0])) > 1
    assert {e.node.name for e in a.ledger.leaks(0.1)} <= {f"conv{k}_BN{end}" for k in range(1, 7) for end in ("", "/mul", "/mul@2")} | {f"conv{k}" for k in range(1, 7)}
    is_small("pitch.png")
