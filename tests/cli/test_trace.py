"""xaicore trace: what it prints evaluates to what it says, in words and in JSON; refusals; names from files."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.cli.files import Run, cnn
from xaicore.graph.files import save
from xaicore.methods import explain
from xaicore.show.arithmetic import calculated


def test_every_printed_line_can_be_worked_out_again(run: Run, folder: Path) -> None:
    done = run("trace", "grey.json", "grey.npy", "--unit", "conv", "-m", "lrp.epsilon", "-m", "lrp.gamma:gamma=0.5", "--all")
    assert done.code == 0
    equations = re.findall(r"^  \S+ +(.+) = (\S+)$", done.out, re.MULTILINE)
    assert len(equations) > 9
    for expression, value in equations:
        assert calculated(expression) == pytest.approx(float(value), rel=1e-4, abs=1e-6)
    assert re.search(r"^conv\[\d,\d,\d\], forward: Conv", done.out, re.MULTILINE)
    assert done.out.count("passed on:") == 2


def test_json_has_all_digits_and_equals_the_engine(run: Run, folder: Path) -> None:
    done = run("trace", "grey.json", "grey.npy", "--sample", 1, "--unit", "image[0,3,4]", "--json")
    unit = json.loads(done.out)["units"]["lrp.epsilon"]
    expected = np.asarray(explain(cnn("grey", 1, 8), np.load("grey.npy")[1:], "lrp.epsilon"))[0, 0, 3, 4]
    assert unit["signal"] == pytest.approx(expected, rel=1e-12)
    assert sum(calculated(line["expression"]) for line in unit["received"]) == pytest.approx(expected, rel=1e-9)


def test_without_an_index_it_is_the_strongest_unit_and_others_are_summed(run: Run, folder: Path) -> None:
    done = run("trace", "grey.json", "grey.npy", "--unit", "features.0", "--terms", 2)
    a = explain(cnn("grey", 1, 8), np.load("grey.npy")[:1], "lrp.epsilon")
    at = np.unravel_index(abs(a.layers["conv"][0]).argmax(), (3, 8, 8))
    assert f"conv[{','.join(map(str, at))}], forward" in done.out
    assert "more, together" in done.out


def test_exact_arithmetic_prints_fractions(run: Run, folder: Path) -> None:
    np.save("row.npy", np.array([[1.0, 0.5, -0.25, 2.0, -1.0]]))
    done = run("trace", "table.json", "row.npy", "--unit", "fc2[0]", "--target", 0, "--dtype", "exact", "-m", "lrp.zero", "--all")
    assert done.code == 0, done.err
    assert "/" in done.out.split("forward")[1]


@pytest.mark.parametrize(("words", "code", "message"), [
    (("--unit", "conv[9,9,9]"), 2, "conv[0,0,0] to conv[2,7,7]"),
    (("--unit", "conv[a]"), 2, "such as conv2[3,5,7]"),
    (("--unit", "conf"), 2, "conv"),
    (("--unit", "prob"), 2, "prob"),
    (("--unit", "conv", "--sample", 7), 2, "0 to 1"),
    (("--unit", "conv", "-m", "occlusion"), 3, "not one backward pass"),
])
def test_refusals(run: Run, folder: Path, words: tuple[object, ...], code: int, message: str) -> None:
    done = run("trace", "grey.json", "grey.npy", *words)
    assert (done.code, done.out) == (code, "")
    assert message in done.err


def test_names_from_a_file_cannot_drive_the_terminal(run: Run, folder: Path) -> None:
    graph = cnn("grey", 1, 8)
    evil = "\x1b[2Jconv"
    nodes = tuple(replace(n, name=evil if n.name == "conv" else n.name, inputs=tuple(evil if i == "conv" else i for i in n.inputs))
                  for n in graph.nodes)
    save(replace(graph, nodes=nodes), folder / "evil.json")
    done = run("trace", "evil.json", "grey.npy", "--unit", "relu[0,0,0]", "--all")
    assert done.code == 0, done.err
    assert "\x1b" not in done.out + done.err
