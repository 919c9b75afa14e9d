"""The digit recogniser with its weights: what docs/digit.md says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.backends.common import input_gradients
from tests.real.shared import complete, example, is_small

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def setup() -> tuple[Any, Any, Any, Any, Any]:
    import xaicore as xc

    page = example("digit", "digit_recognizer", "sklearn")
    x, labels = page.digits()
    net = page.network().double()
    return page, net, xc.from_model(net, torch.from_numpy(x[:2])), x, labels


def test_it_reads_the_digits(setup: Any) -> None:
    _, _, graph, x, labels = setup
    assert (graph(x).argmax(axis=1) == labels).mean() == pytest.approx(0.8854, abs=1e-3)


def test_values_and_gradients_are_torchs(setup: Any) -> None:
    _, net, graph, x, _ = setup
    fed = torch.from_numpy(x[:16]).requires_grad_()
    scores = net(fed)
    seed = np.random.default_rng(0).standard_normal(scores.shape)
    (theirs,) = torch.autograd.grad(scores, fed, torch.from_numpy(seed))
    assert np.abs(graph(x[:16]) - scores.detach().numpy()).max() < 1e-12 * 20        # of scores up to 20
    (ours,) = input_gradients(graph, x[:16], [seed]).values()
    assert np.abs(ours - theirs.numpy()).max() < 1e-10 * np.abs(ours).max()


def test_the_explanations_add_up(setup: Any) -> None:
    page, _, graph, x, labels = setup
    for k in (*page.SHOWN, page.CONFUSED):
        complete(page.explained(graph, x[k:k + 1], int(labels[k]), baseline=-0.1307 / 0.3081), quadrature=2e-2)


def test_five_and_eight_part_at_the_flag(setup: Any) -> None:
    """The upper right of the five that is read as an eight speaks against "eight rather than five"."""
    page, _, graph, x, labels = setup
    k = page.CONFUSED
    assert int(labels[k]) == 5
    assert graph(x[k:k + 1]).argmax() == 8
    a = np.asarray(page.explained(graph, x[k:k + 1], np.eye(10)[8] - np.eye(10)[5], baseline=-0.1307 / 0.3081)["deeplift.rescale"])[0, 0]
    assert a[6:10, 15:22].sum() < -0.5
    assert a.sum() > 0
    is_small("digit.png")
