"""The harness of mutation testing: it notices what is wrong, and says so of what is not."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
import pytest

from benchmarks.mutation import reasons
from benchmarks.mutation.hunt import in_child, noticed_by
from benchmarks.mutation.mutants import Source, mutants, sources
from benchmarks.mutation.plant import Living, living
from benchmarks.mutation.questions import questions
from benchmarks.mutation.report import interval
from benchmarks.mutation.watch import traced
from xaicore.rules import gates, lrp

NAMES = ("worked lrp.epsilon:net-a", "vector lrp.epsilon/net-a")


def verdict(module: str, key: str, early: bool = False, names: tuple[str, ...] = NAMES):
    (m,) = [m for m in mutants(sources("rules", module)[0]) if m.key == key]
    all, asked = (Living({}, ()), {}) if early else (living(), questions())
    return in_child(key, lambda: noticed_by(m, names, early, asked, all), 20)


@pytest.mark.parametrize(("early", "key"), [
    (False, "rules.linear:ratio: r / stabilize(z, eps) -> r * stabilize(z, eps)"),
    (False, "rules.linear:times: c is None -> c is not None"),
    (False, "rules.uniform:lrp_epsilon: 'absorb' -> 'absorb?'"),                  # a default
    (True, "rules.uniform:lrp_epsilon: 'absorb' -> 'absorb?'"),
])
def test_what_is_wrong_is_noticed(early, key):
    found = verdict(key.split(":")[0].split(".")[1], key, early)
    assert (found.status, found.by) == ("killed", NAMES[0])


def test_what_changes_nothing_survives():
    """ruleset: the order in which the axes but the batch stand for a sum; here there is one."""
    assert verdict("ruleset", "rules.ruleset:total: -x.strides[k] -> x.strides[k]").status == "survived"


def test_nothing_of_it_stays():
    assert lrp.ratio(np.ones(1), np.full(1, 2.0), 0) == 0.5
    assert gates.gate_rule("half", 0).label == "gates(half)"


def test_a_child_that_hangs_or_dies_has_noticed():
    def hangs():
        while True:
            pass

    assert in_child("k", hangs, 0.1).by == "it did not end"
    assert in_child("k", lambda: 1 / 0, 5).by.startswith("raised ZeroDivisionError")
    assert in_child("k", lambda: "", 5).status == "survived"


SOURCE = '''
"""Text with 1 < 2."""
def f(x: Literal[1], n=1, how="a"):
    """More 1 + 1."""
    if not x or n <= -2:
        raise ValueError(f"{x + 1} and " + str(3))
    return np.maximum(x - n, 0.5, copy=False)

def label() -> str:
    return "a" * 3
'''


def test_which_changes_there_are(tmp_path):
    path = tmp_path / "m.py"
    path.write_text(SOURCE)
    source = Source(path, "m")
    found = mutants(source)
    assert Counter(m.kind for m in found) == {"constant": 3, "default": 1, "and/or": 1, "dropped not": 1, "comparison": 1, "dropped minus": 1, "name": 1, "arithmetic": 1,
                                              "swapped": 1}
    assert len({m.key for m in found}) == len(found)
    for m in found:
        with m.made() as code:
            assert code != source.code
        assert source.compiled() == source.code


def ours(x):
    if x:
        return 1
    return 2


def test_a_reason_is_of_one_change(monkeypatch):
    """The beginning of a key is enough, but for the number that tells it from others like it."""
    monkeypatch.setattr(reasons, "REASONS", {"m:f: 1 -> 2": "one", "m:f: 1 -> 2 (3)": "three", "m:f: a and": "both", "m:g: not": "gone"})
    keys = ["m:f: 1 -> 2", "m:f: 1 -> 2 (2)", "m:f: 1 -> 2 (3)", "m:f: a and b -> a or b (2)"]
    assert [reasons.reason(k) for k in keys] == ["one", "", "three", "both"]
    assert reasons.homeless(keys) == ["m:g: not"]


def test_lines_and_intervals():
    first = ours.__code__.co_firstlineno
    watched = partial(ours, 0)
    assert traced(watched, {__file__}) == {__file__: {first, first + 1, first + 3}}
    assert [round(v, 3) for v in interval(95, 100)] == [0.888, 0.978]              # Wilson's interval, from its formula by hand
