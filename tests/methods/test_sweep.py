"""What every method that evaluates f many times must do: no dependence on batches, honest progress, no state."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.methods.games import ALONE, DATA, GAMES, INPUTS
from tests.methods.networks import cnn
from tests.nets import NET_B, X_B, close, mlp
from xaicore.oracle.strategies import cnns, inputs_of, numbers

METHODS = {
    "integrated_gradients": {"steps": 7}, "integrated_gradients.exact": {}, "smoothgrad": {"samples": 5}, "vargrad": {"samples": 5},
    "smoothgrad_squared": {"samples": 5}, "occlusion": {"window": 2}, "grad_cam": {}, **{k: v for k, v in GAMES.items() if k not in {*ALONE, *DATA, *INPUTS}},
}
SEVERAL = [m for m in METHODS if m != "grad_cam"]
COUNTED = [m for m in SEVERAL if m not in ("rise", "ace", "meaningful_perturbation")]
"""Without those that need an image or count steps or entries; their progress is in tests of their own."""


@pytest.mark.parametrize("method", METHODS)
@given(data=st.data())
def test_a_batch_is_a_loop(method, data):
    """Noise too: every sample gets the same draws."""
    graph = data.draw(cnns())
    x = data.draw(inputs_of(graph, batch=(3, 3)))
    target = [0, 2, 1]
    whole = np.asarray(xc.explain(graph, x, method, target=target, **METHODS[method]))
    single = [np.asarray(xc.explain(graph, x[n:n + 1], method, target=target[n], **METHODS[method])) for n in range(3)]
    assert close(whole, np.concatenate(single), 1e-12)


@pytest.mark.parametrize("method", SEVERAL)
@given(data=st.data())
def test_batch_size(method, data):
    graph = data.draw(cnns())
    x = data.draw(inputs_of(graph))
    found = [np.asarray(xc.explain(graph, x, method, target=0, batch_size=size, **METHODS[method])) for size in (1, 4, 1000)]
    assert close(found[0], found[1], 1e-12)
    assert close(found[0], found[2], 1e-12)


@pytest.mark.parametrize("method", COUNTED)
@pytest.mark.parametrize("batch_size", [1, 4, 1000])
def test_progress(method, batch_size):
    """Called before and after the work, never backwards, to the end, and while the work goes on."""
    calls = []
    own = {**METHODS[method], **({"window": 1} if method == "occlusion" else {})}
    xc.explain(NET_B, np.concatenate([X_B, 2 * X_B]), method, batch_size=batch_size, progress=lambda *call: calls.append(call), **own)
    done, counts = zip(*calls)
    assert len(set(counts)) == 1
    assert done[0] == 0
    assert done[-1] == counts[0]
    assert list(done) == sorted(set(done))
    assert len(done) == 1 + -(-counts[0] // batch_size)


def test_progress_is_reported_while_the_work_goes_on():
    """A report that raises ends the work: the second batch is never evaluated."""
    class StopError(Exception):
        pass

    def report(done, count):
        if done:
            raise StopError

    with pytest.raises(StopError):
        xc.explain(NET_B, X_B, "integrated_gradients", steps=1000, batch_size=1, progress=report)


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 2**32 - 1))
def test_float32_and_repetition(method, seed):
    rng = np.random.default_rng(seed)
    graph, x = cnn(rng, 4, 2), numbers(rng, (2, 1, 4, 4))
    before = x.copy()
    double = xc.explain(graph, x, method, target=0, **METHODS[method])
    again = xc.explain(graph, x, method, target=0, **METHODS[method])
    assert (np.asarray(double) == np.asarray(again)).all()
    assert (x == before).all()
    single = xc.explain(graph.astype("float32"), x, method, target=0, **METHODS[method])
    assert np.asarray(single).dtype == np.float32
    if method in ("integrated_gradients.exact", "occlusion", "grad_cam"):           # elsewhere a point may fall on another side of a kink
        # float32 rounds to 6e-8; some ten nodes, a hundred sums. A map that ReLU cuts off to 0 is a sum of terms that are not, and a
        # difference of outputs is rounded as they are.
        size = np.asarray(xc.explain(graph, x, method, target=0, relu=False)) if method == "grad_cam" else np.asarray(double)
        assert close(single, np.asarray(double), 1e-5, scale=max(abs(size).max(), abs(double.output).max()))


@pytest.mark.parametrize("method", ["integrated_gradients.exact", "occlusion", "grad_cam", "smoothgrad", "integrated_gradients"])
@settings(max_examples=6)
@given(data=st.data())
def test_exact_mode(method, data):
    """Rationals in, rationals out, and the float64 result to its rounding."""
    graph = data.draw(cnns())
    x = data.draw(inputs_of(graph, batch=(1, 1)))
    own = dict(METHODS[method])
    if method == "smoothgrad":
        own = {"noise": np.zeros((1, *x.shape), dtype=int)}
    if method == "integrated_gradients":
        own = {"steps": 3, "quadrature": "midpoint"}
    rational = np.vectorize(Fraction, otypes=[object])(x)
    a = xc.explain(graph.astype("exact"), rational, method, target=0, **own)
    assert all(isinstance(v, Fraction) for v in np.asarray(a).reshape(-1))
    assert close(xc.explain(graph, x, method, target=0, **own), np.asarray(a), 1e-12)


@pytest.mark.parametrize("method", COUNTED)
def test_at_a_layer_is_the_method_on_the_rest(method):
    """layer='relu1' of NET B is the method on h -> (1, 2) h at h = (2, 1)."""
    own = {**METHODS[method], **({"window": 1} if method == "occlusion" else {})}
    rest = mlp([[[1.0, 2.0]]], [None])
    a = xc.explain(NET_B, X_B, method, layer="relu1", **own)
    assert list(a.values) == ["relu1"]
    assert close(a, np.asarray(xc.explain(rest, [[2.0, 1.0]], method, **own)), 1e-14)
    assert a.settings["layer"] == "relu1"
