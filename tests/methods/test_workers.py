"""Threads for the evaluations of one explanation: the same bytes for every number of them, in order, and no more than there are processors."""

import sys
import threading
import time

import numpy as np
import pytest

import xaicore as xc
from tests.oracle.planted import cnn, image
from xaicore.errors import InputError
from xaicore.methods import workers
from xaicore.methods.workers import in_order

METHODS = [("integrated_gradients", {"steps": 9}), ("smoothgrad", {"samples": 7}), ("occlusion", {"window": 2}), ("feature_ablation", {"mask": 2}),
           ("kernel_shap", {"mask": 2, "samples": 40}), ("shapley.sampling", {"mask": 2, "samples": 3}), ("lime", {"mask": 2, "samples": 30}),
           ("expected_gradients", {"background": image(3), "samples": 6})]


@pytest.mark.parametrize(("method", "settings"), METHODS, ids=[m for m, _ in METHODS])
def test_the_same_bytes_for_every_number(method, settings, monkeypatch):
    monkeypatch.setattr(workers, "processors", lambda: 8)
    given = {"target": 1, "batch_size": 2, **settings}
    found = [xc.explain(cnn(), image(2), method, workers=n, **given) for n in (1, 2, 5)]
    assert len({np.asarray(a).tobytes() for a in found}) == 1
    assert np.allclose(found[0], xc.explain(cnn(), image(2), method, **given), rtol=1e-12)        # as without: up to threads of the library


def test_many_methods(monkeypatch):
    """As one by one; the evaluations are in our threads."""
    monkeypatch.setattr(workers, "processors", lambda: 8)
    seen, submit = [], workers.ThreadPoolExecutor.submit
    monkeypatch.setattr(workers.ThreadPoolExecutor, "submit", lambda *args: seen.append(1) or submit(*args))
    found = xc.explain_all(cnn(), image(2), METHODS[:4], [1, 0], batch_size=2, workers=3)
    assert seen
    for method, settings in METHODS[:4]:
        for target, a in zip((1, 0), found[method]):
            alone = xc.explain(cnn(), image(2), method, target, batch_size=2, workers=2, **settings)
            assert np.asarray(a).tobytes() == np.asarray(alone).tobytes()
    with pytest.raises(InputError, match="workers=0 must be a whole number"):
        xc.explain_all(cnn(), image(2), ["gradient"], workers=0)


def test_order_and_how_many_at_a_time():
    """The slowest first: results come in order all the same, never more than three run, and items are made in this thread."""
    running, most, makers = [], [], set()

    def items():
        for k in range(9):
            makers.add(threading.get_ident())
            yield k

    def work(k):
        running.append(k)
        most.append(len(running))
        time.sleep(0.02 if k % 3 == 0 else 0.001)
        running.remove(k)
        return k * k

    assert list(in_order(3, work, items())) == [(k, k * k) for k in range(9)]
    assert 1 < max(most) <= 3
    assert makers == {threading.get_ident()}


def test_an_error_ends_it():
    def work(k):
        if k == 2:
            raise InputError("the third")
        return k

    with pytest.raises(InputError, match="the third"):
        list(in_order(2, work, range(100)))


def test_what_is_refused(monkeypatch):
    for wrong in (0, -1, 1.5, True, "two"):
        with pytest.raises(InputError, match="workers="):
            xc.explain(cnn(), image(1), "occlusion", target=1, workers=wrong)
    assert workers.checked(10**6) == workers.processors()
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    for name in workers.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="pip install threadpoolctl"):
        xc.explain(cnn(), image(1), "occlusion", target=1, workers=2)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    xc.explain(cnn(), image(1), "occlusion", target=1, workers=2)
