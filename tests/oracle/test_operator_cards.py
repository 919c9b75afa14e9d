"""Every operator and every axiom has a card with all its parts; its sums come out; what it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import xaicore as xc
from xaicore.cli.main import main
from xaicore.errors import UnknownName
from xaicore.ops import OPS
from xaicore.oracle import more_cards
from xaicore.oracle.axiom_ideas import AXIOM_IDEAS
from xaicore.oracle.axioms import AXIOMS
from xaicore.oracle.more_cards import AXIOM_PARTS, OPERATOR_PARTS, axiom_card, cards, claims, missing, operator_card, passes_to
from xaicore.oracle.operators import TOLD, value

ROOT = Path(__file__).parents[2]


def test_a_card_for_every_operator_and_axiom_and_no_other() -> None:
    assert set(TOLD) == set(OPS)
    assert set(AXIOM_IDEAS) == set(AXIOMS)
    gaps = {k: m for k, make in cards().items() if (m := missing(make(k), OPERATOR_PARTS if k in OPS else AXIOM_PARTS))}
    assert gaps == {}
    for told in (*TOLD.values(), *AXIOM_IDEAS.values()):
        assert len(told.idea) < 200
        assert told.idea[-1] in ".?"
    assert missing([("the idea", [" "])], ("the idea", "the code")) == ["the idea", "the code"], "a part that is empty is missing"


@pytest.mark.parametrize("name", TOLD)
def test_the_example(name: str) -> None:
    """The expressions are sums that someone did; the operator did the others. A few thousand roundings at most lie between."""
    told = TOLD[name]
    xs = told.arrays()
    y = told.op.forward(*xs)
    np.testing.assert_allclose(np.ravel(y).astype(float), [value(e) for e in told.y.split(";")], rtol=1e-12, atol=1e-12)
    at = passes_to(told)
    if at is None:
        assert not told.back
        assert all(x.dtype.kind != "f" or not told.op.affine(tuple(k == i for k in range(len(xs)))) or told.op.blocks(i) for i, x in enumerate(xs))
    else:
        g = np.reshape([value(e) for e in told.g.split(";")], y.shape) if told.g else np.ones(y.shape)
        back = told.op.vjp(at, g, y, *xs)
        np.testing.assert_allclose(np.ravel(back), [value(e) for e in told.back.split(";")], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("id", AXIOMS)
def test_the_verdicts(id: str) -> None:
    e = AXIOM_IDEAS[id].example
    methods = [m for m in (e.keeps, e.breaks) if m]
    verdicts = {v.method: v.status for v in xc.check(e.net(), np.array([e.x], dtype=float), methods, axioms=[id])}
    assert verdicts[e.keeps] == "holds"
    assert not e.breaks or verdicts[e.breaks] == "fails"


def test_the_numbers_that_axioms_are_told_with() -> None:
    """(16/3, -4/3) against (6, -1); and the ledger of LRP-0 on net B, where the biases keep -1."""
    net = AXIOM_IDEAS["completeness"].example.net()
    x = np.array([[2.0, 1.0]])
    np.testing.assert_allclose(np.asarray(xc.explain(net, x, "integrated_gradients.exact", baseline=0))[0], [16 / 3, -4 / 3], rtol=1e-12)
    np.testing.assert_allclose(np.asarray(xc.explain(net, x, "gradient_x_input"))[0], [6, -1], rtol=1e-12)
    lrp = xc.explain(net, x, "lrp.zero")
    np.testing.assert_allclose(np.asarray(lrp)[0], [6, -1], rtol=1e-12)
    assert lrp.ledger is not None
    assert sum(float(e.absorbed[0]) for e in lrp.ledger) == pytest.approx(-1)


def test_the_tests_that_a_card_names_exist() -> None:
    found: dict[str, set[str]] = {}
    named = {more_cards.EXAMPLE, more_cards.VERDICTS, more_cards.PLANTED, *(more_cards.OPERATORS + t for k in OPS for _, t in claims(k))}
    for one in named:
        path, _, name = one.partition("::")
        tests = found.setdefault(path, {n.name for n in ast.parse((ROOT / path).read_text(encoding="utf-8")).body if isinstance(n, ast.FunctionDef)})
        assert name.split("[")[0] in tests, one


def test_the_code_is_what_stands_in_the_file() -> None:
    heading, lines = next((h, b) for h, b in operator_card("conv") if h.startswith("the code: convolve"))
    path, _, line = heading.rpartition(" in ")[2].rpartition(":")
    assert (ROOT / path).read_text(encoding="utf-8").splitlines()[int(line) - 1].strip() == lines[0]


@pytest.mark.parametrize(("file", "table"), [("cards_operators.md", OPS), ("cards_axioms.md", AXIOMS)])
def test_the_documents_have_every_card(file: str, table: dict[str, object]) -> None:
    text = (ROOT / "docs" / file).read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(table), "run python docs/cards.py"


def test_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "softmax"]) == 0
    out = capsys.readouterr().out
    assert "exp(1)/(1 + exp(1)) = 0.73106" in out
    assert "lrp.epsilon: taylor_softmax" in out
    assert main(["rules", "completeness"]) == 0
    assert "gradient_x_input does not" in capsys.readouterr().out
    assert main(["rules", "Convv"]) == 2
    assert "Conv" in capsys.readouterr().err
    with pytest.raises(UnknownName, match="Conv"):
        operator_card("Convv")
    with pytest.raises(UnknownName, match="completeness"):
        axiom_card("completenes")
