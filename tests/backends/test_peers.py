"""Peers behind one call: in this process, and through a pipe, with a library that is planted here."""

import io
import json
import sys

import numpy as np
import pytest
import xaicore_peers
from xaicore_peers import Library, PeerFailed, Remote, peer, protocol, worker

from tests import nets
from xaicore.errors import BackendError, InputError, UnknownName
from xaicore.graph.files import save

X = np.array([[0.5, -1.0, 0.25], [1.0, 2.0, -3.0]])


def times(model, x, target, baseline, factor=2.0):
    assert model is not None
    print("a library that prints")
    return x * factor + protocol.targets(target, len(x))[:, None] - protocol.filled(baseline, x)


def raises(model, x, target, baseline):
    raise ZeroDivisionError("by nothing")


PLANTED = Library("planted", "numpy", "numpy", "torch", {"times": times, "raises": raises})


def test_a_library_says_what_it_has():
    assert PLANTED.methods == {"times": ("factor",), "raises": ()}
    assert PLANTED.version == np.__version__
    assert PLANTED.explain("times", object(), X, [1, 2], 0.5, factor=3.0).tolist() == (X * 3 + [[1], [2]] - 0.5).tolist()


def test_errors_say_what_to_do():
    with pytest.raises(UnknownName, match="times"):
        PLANTED.explain("time", object(), X)
    with pytest.raises(PeerFailed, match="planted:raises raised ZeroDivisionError: by nothing") as caught:
        PLANTED.explain("raises", object(), X)
    assert (caught.value.kind, caught.value.exit_code) == ("ZeroDivisionError", 1)
    with pytest.raises(UnknownName, match="captum"):
        peer("captumm")
    with pytest.raises(BackendError, match=r"make captum==0.0.7"):
        peer("captum@0.0.7")


@pytest.mark.parametrize("value", [X, X.astype(np.float32), np.array([np.nan, np.inf, -0.0, 5e-324]), np.array([1, 2]), np.zeros((2, 0)), None])
def test_numbers_keep_every_bit_through_the_pipe(value):
    back = worker.unpacked(json.loads(json.dumps(worker.packed(value))))
    assert back is None if value is None else (back.dtype, back.shape, back.tobytes()) == (value.dtype, value.shape, value.tobytes())


def test_the_worker_answers_every_line(tmp_path, monkeypatch):
    pytest.importorskip("torch")                                        # the framework of the planted library
    monkeypatch.setitem(xaicore_peers.LIBRARIES, "planted", PLANTED)
    save(nets.mlp([[[1.0, 2.0, -1.0]]], [[0.5]]), tmp_path / "net.json")
    asked = [{"seq": k, "method": m, "model": str(tmp_path / f), "x": worker.packed(X), "target": worker.packed([1, 2]),
              "baseline": None, "settings": s}
             for k, (m, f, s) in enumerate([("times", "net.json", {"factor": 4.0}), ("raises", "net.json", {}), ("times", "missing.json", {}),
                                            ("times", "net.json", {"unknown": 1})])]
    out = io.StringIO()
    worker.serve("planted", io.StringIO("".join(json.dumps(a) + "\n" for a in asked)), out)
    hello, *answers = [json.loads(line) for line in out.getvalue().splitlines() if line.startswith("{")]
    assert hello == {"name": "planted", "version": np.__version__, "framework": "torch", "methods": {"times": ["factor"], "raises": []}}
    assert worker.unpacked(answers[0]["attribution"]).tolist() == (X * 4 + [[1], [2]]).tolist()
    assert [a["error"]["kind"] for a in answers[1:]] == ["ZeroDivisionError", "FileRefused", "TypeError"]


def test_a_worker_that_cannot_start_or_hangs_is_no_mismatch(tmp_path):
    with pytest.raises(BackendError, match="did not start"):
        Remote("no_such_peer", sys.executable)
    sleeper = tmp_path / "python"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(0o755)
    with pytest.raises(PeerFailed, match=r"no answer in 0.2 s") as caught:
        Remote("captum", str(sleeper), timeout=0.2)
    assert caught.value.kind == "Timeout"


def test_a_live_model_cannot_go_through_a_pipe():
    with pytest.raises(InputError, match="give a Graph"):
        Remote._path(type("R", (), {"name": "captum"})(), object())
