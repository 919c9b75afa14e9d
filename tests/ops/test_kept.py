"""What is kept beside a parameter: made once, within the budget, read-only, gone with the parameter; never of what could change."""

import gc
import threading
from fractions import Fraction

import numpy as np
import pytest

import xaicore as xc
from xaicore import Builder
from xaicore.ops import Conv, Dense, Flatten, ReLU
from xaicore.ops.kept import EXACT, FAST, Kept, kept


def parameter(n: int = 10) -> np.ndarray:
    w = np.arange(float(n))
    w.flags.writeable = False
    return w


def doubled(calls: list, w: np.ndarray) -> np.ndarray:
    calls.append(1)
    return 2 * w


def test_made_once_and_gone_with_its_parameter():
    own, calls, w = Kept(1000), [], parameter()
    first = own.of(w, "double", lambda w: doubled(calls, w))
    assert own.of(w, "double", lambda w: doubled(calls, w)) is first
    assert len(calls) == 1
    assert not first.flags.writeable
    own.of(w, "square", lambda w: w * w)
    assert own.bytes == 160
    del w, first
    gc.collect()
    assert own.bytes == 0
    assert not own.found


def test_what_was_made_of_what_is_kept_goes_along():
    """A part by sign, and its layout: when the parameter goes, both give their bytes back."""
    own, w = Kept(1000), parameter()
    own.of(own.of(own.of(w, "double", lambda w: 2 * w), "square", lambda v: v * v), "root", lambda v: np.sqrt(v))
    assert own.bytes == 240
    del w
    gc.collect()
    assert own.bytes == 0
    assert not own.found


def test_within_the_budget():
    own, a, b = Kept(100), parameter(), parameter()
    own.of(a, "double", lambda w: 2 * w)
    own.of(b, "double", lambda w: 2 * w)                                  # 80 + 80 bytes are too many
    assert own.bytes == 80
    assert id(b) not in own.found
    del a
    gc.collect()
    own.of(b, "double", lambda w: 2 * w)
    assert own.bytes == 80
    assert id(b) in own.found


@pytest.mark.parametrize("source", [np.arange(4.0), parameter()[1:], np.array([Fraction(1)], object)], ids=["writeable", "view", "exact"])
def test_only_of_parameters(source):
    if source.dtype == object:
        source.flags.writeable = False
    own = Kept(1000)
    own.of(source, "double", lambda w: 2 * w)
    assert not own.found


def test_neither_itself_nor_a_view():
    own, w = Kept(1000), parameter()
    assert own.of(w, "same", lambda w: w) is w
    own.of(w, "part", lambda w: w[::-1])
    assert not own.found


def test_threads_keep_one():
    w = parameter(1000)
    threads = [threading.Thread(target=lambda: kept(w, "double", lambda w: 2 * w)) for _ in range(8)]
    before = EXACT.bytes
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert EXACT.bytes == before + w.nbytes


def network(dtype: str) -> xc.Graph:
    """Weights that are large enough to be laid out anew, and both ways back."""
    rng, b = np.random.default_rng(0), Builder("net", dtype)
    h = b.input("x", (None, 3, 12, 12))
    for k, (o, c, s) in enumerate([(64, 3, 1), (64, 64, 1), (80, 64, 2)]):
        w = b.param(f"w{k}", rng.normal(size=(o, c, 3, 3)) / (3 * c**0.5))
        h = b.add(ReLU(), b.add(Conv(pads=((1, 1), (1, 1)), stride=(s, s)), h, w))
    return b.build(b.add(Dense(), b.add(Flatten(), h), b.param("v", rng.normal(size=(3, 80 * 36)) / 50)))


@pytest.mark.parametrize("speed", ["exact", "fast"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_number_depends_on_what_is_kept(monkeypatch, dtype, speed):
    x = np.random.default_rng(1).normal(size=(2, 3, 12, 12)).astype(dtype)
    for method in ("gradient", "lrp.epsilon_plus", "lrp.epsilon_alpha2_beta1"):
        shelf = EXACT if speed == "exact" else FAST
        graph, before = network(dtype), shelf.bytes
        first, again = (xc.explain(graph, x, method, 1, speed=speed) for _ in range(2))
        assert shelf.bytes > before
        with monkeypatch.context() as patch:
            patch.setattr(EXACT, "bytes", 1 << 40)                         # no room
            patch.setattr(FAST, "bytes", 1 << 40)
            anew = xc.explain(network(dtype), x, method, 1, speed=speed)
        for a in (again, anew):
            assert np.asarray(a).tobytes() == np.asarray(first).tobytes()
            assert all(a.layers[k].tobytes() == v.tobytes() for k, v in first.layers.items())
