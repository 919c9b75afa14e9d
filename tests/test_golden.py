"""The replay of one commit's answers at another finds nothing where nothing changed, and what a planted change changes."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks import golden
from xaicore.ops import ReLU

FEW = "digits lrp.epsilon *"


@pytest.fixture
def file(tmp_path, monkeypatch, capsys):
    def run(what, only, *more):
        monkeypatch.setattr(sys, "argv", ["golden", what, str(tmp_path / "old.npz"), "--only", only, *more])
        code = golden.main()
        return code, capsys.readouterr().out

    return run


def test_a_replay(file, monkeypatch):
    code, said = file("write", FEW)
    assert code == 0
    assert said.startswith("8 answers"), said
    code, said = file("compare", FEW)
    assert code == 0, said
    assert "0 changed, 0 moved by rounding" in said
    forward = ReLU.value
    monkeypatch.setattr(ReLU, "value", lambda self, x: forward(self, x) * x.dtype.type(1 + 1e-6))
    code, said = file("compare", FEW)
    assert code == 1
    assert "changed: digits lrp.epsilon float32: 0 value image: " in said


def test_an_order_of_sums(file, monkeypatch):
    """A number of REORDERED may move by rounding, and by no more; --bits sees that, too."""
    only = "digits integrated_gradients float64"
    file("write", only)
    forward = ReLU.value
    for planted, code, kind, more in ((1e-13, 0, "rounding", []), (1e-13, 1, "changed", ["--bits"]), (1e-8, 1, "changed", [])):
        monkeypatch.setattr(ReLU, "value", lambda self, x, planted=planted: forward(self, x) * (1 + planted))
        found, said = file("compare", only, *more)
        assert (found, said.partition(":")[0]) == (code, kind), said


@pytest.mark.parametrize(("a", "b", "said"), [
    (np.ones(2), np.ones(2, "float32"), "dtype"), (np.ones(2), np.ones(3), "shape"), (np.ones(2), None, "only in this one"),
    (None, np.ones(2), "only in the other one"), (np.array("1/2"), np.array("1/3"), "1/2 | 1/3"), (np.array([1.0]), np.array([2.0]), "5.0e-01"),
])
def test_what_is_apart(a, b, said):
    assert said in golden.apart(a, b)[0]
    assert not (golden.apart(a, a)[0] if a is not None else "")


def test_zero_has_one_sign():
    assert golden.apart(np.array([0.0, np.nan]), np.array([-0.0, np.nan])) == ("", 0.0)
