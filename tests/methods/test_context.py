"""Salient relevance against its literal loops, and what it must not depend on."""

import numpy as np
import pytest

import xaicore as xc
from tests.methods.networks import cnn
from tests.nets import NET_B, X_B
from xaicore.errors import Inapplicable, InputError
from xaicore.methods.context import _one_scale, salience


def test_one_scale_by_loops():
    rng = np.random.default_rng(0)
    m = rng.random((4, 5))
    expected = np.zeros((4, 5))

    def patch(i, j):
        return [m[min(max(i + a, 0), 3), min(max(j + b, 0), 4)] for a in (-1, 0, 1) for b in (-1, 0, 1)]

    for i, j in np.ndindex(4, 5):
        d = []
        for k, n in np.ndindex(4, 5):
            if (k, n) == (i, j):
                continue
            value = np.sqrt(sum((p - q) ** 2 for p, q in zip(patch(i, j), patch(k, n))) / 9)
            d.append(value / (1 + 3 * np.sqrt((i - k) ** 2 + (j - n) ** 2) / 5))
        expected[i, j] = 1 - np.exp(-sum(sorted(d)[:6]) / 6)
    np.testing.assert_allclose(_one_scale(m, 3, 6, 3), expected, rtol=1e-12)


def test_what_stands_out_is_kept():
    """A bright spot on a flat map is the focus; the constant is forgotten, a constant map is nothing, values lie in [0, 1)."""
    m = np.zeros((12, 12))
    m[3:5, 7:9] = 1
    s = salience(m, 3, 16, 3, 0.8)
    assert np.unravel_index(s.argmax(), s.shape) in {(i, j) for i in range(2, 6) for j in range(6, 10)}
    assert s[3:5, 7:9].mean() > 10 * s[8:, :4].mean()
    np.testing.assert_allclose(salience(m + 7, 3, 16, 3, 0.8), s, rtol=1e-9)
    assert not salience(np.full((4, 4), 3.0), 3, 8, 3, 0.8).any()
    assert s.min() >= 0
    assert s.max() < 1
    # without positions (c = 0), and at one scale, rearranging far parts of the map rearranges the result: here, turning it over
    np.testing.assert_allclose(_one_scale(m[::-1], 3, 16, 0), _one_scale(m, 3, 16, 0)[::-1], rtol=1e-12)


def test_on_a_network():
    rng = np.random.default_rng(1)
    graph, x = cnn(rng, 8, 2), rng.normal(size=(2, 1, 8, 8))
    a = xc.explain(graph, x, "salient_relevance", target=[0, 1])
    assert np.asarray(a).shape == (2, 1, 8, 8)
    relevance = np.asarray(xc.explain(graph, x, "lrp.epsilon_plus", target=[0, 1]))
    np.testing.assert_allclose(np.asarray(a)[1, 0], salience(relevance[1, 0], 7, 64, 3, 0.8), rtol=1e-12)
    with pytest.raises(Inapplicable, match="no explained input is an image"):
        xc.explain(NET_B, X_B, "salient_relevance")
    with pytest.raises(InputError, match="window=0 must be a whole number of at least 1"):
        xc.explain(graph, x, "salient_relevance", target=0, window=0)
    big = cnn(rng, 66, 2)
    with pytest.raises(InputError, match="66 x 66; explain a smaller image"):
        xc.explain(big, rng.normal(size=(1, 1, 66, 66)), "salient_relevance", target=0)
