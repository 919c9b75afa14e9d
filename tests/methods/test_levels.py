"""The methods that explain a layer, a data set or a model: arrays that cannot be written to are enough, and a repetition gives the same."""

import numpy as np
import pytest

from tests.frozen import freeze, frozen
from tests.nets import mlp
from xaicore.methods.arguments import dax
from xaicore.methods.attfind import attfind
from xaicore.methods.concepts import tcav
from xaicore.methods.difficulty import vog
from xaicore.methods.independence import feature_relevance
from xaicore.methods.logic import explain_logic
from xaicore.methods.model_search import gcn, xgnn
from xaicore.methods.rate import network_rate

RNG = np.random.default_rng(0)
NET = mlp([RNG.normal(size=(4, 3)), RNG.normal(size=(2, 4))], [RNG.normal(size=4), None])
X, OTHER, BITS = (frozen(v) for v in (RNG.normal(size=(8, 3)), RNG.normal(size=(8, 3)), RNG.integers(0, 2, (8, 3)).astype(float)))
CALLS = {
    "tcav": lambda: tcav(NET, X, "relu1", X, [OTHER, BITS], 0),
    "vog": lambda: vog([NET, NET], X, frozen(np.zeros(8, dtype=int))),
    "attfind": lambda: attfind(lambda s: s, NET, X, 0),
    "rate": lambda: network_rate(NET, X, frozen(X[:, 0].copy()), 0),
    "dax": lambda: dax(NET, X[:1], 0),
    "relevance": lambda: feature_relevance(X[:, 0], X[:, 1], frozen(np.arange(8) % 2), "permutation", permutations=50),
    "logic": lambda: explain_logic(NET, BITS, 0),
    "xgnn": lambda: xgnn(gcn([[[1.0]]], [[1.0], [2.0]]), 0, frozen(np.ones((1, 1))), 3, "greedy"),
}


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_written_to_and_nothing_is_remembered(name, monkeypatch):
    freeze(monkeypatch)
    first = str(CALLS[name]())
    assert str(CALLS[name]()) == first
    assert "0x" not in first                                            # a sentence for people, not an address
