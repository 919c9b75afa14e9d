"""reactionrnn with its weights: what docs/reaction.md says, and the GRU against a loop of its equations and against Keras."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from tests.real.shared import complete, example, is_small

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def setup() -> tuple[Any, Any]:
    page = example("reaction", "reactionrnn", "h5py")
    return page, page.Model()


def written_out(w: dict[str, np.ndarray], ids: np.ndarray) -> np.ndarray:
    """Keras 2's GRU as its documentation states it, one text, one step at a time."""
    def hard(x: np.ndarray) -> np.ndarray:
        return np.clip(0.2 * x + 0.5, 0, 1)

    (k_z, k_r, k_h), (u_z, u_r, u_h), (b_z, b_r, b_h) = (np.split(w[f"rnn/{k}"], 3, axis=-1) for k in ("kernel", "recurrent_kernel", "bias"))
    h = np.zeros(256)
    for x in w["embedding/embeddings"][ids]:
        z, r = hard(x @ k_z + b_z + h @ u_z), hard(x @ k_r + b_r + h @ u_r)
        h = z * h + (1 - z) * np.tanh(x @ k_h + b_h + (r * h) @ u_h)
    scores = np.maximum(h @ w["output/kernel"] + w["output/bias"], 0)
    return scores / scores.sum()


def test_reactions(setup: tuple[Any, Any]) -> None:
    page, model = setup
    shares = model.graph(model.characters(list(page.TEXTS.values())))
    assert [page.REACTIONS[k] for k in shares.argmax(axis=1)] == list(page.TEXTS)
    np.testing.assert_allclose(shares.max(axis=1), [0.84, 0.92, 0.57, 0.86], atol=0.005)


def test_the_graph_is_the_equations(setup: tuple[Any, Any]) -> None:
    page, model = setup
    w, _ = page.weights()
    for text in [*page.TEXTS.values(), "é x"]:
        ids = model.characters([text])
        np.testing.assert_allclose(model.graph(ids)[0], written_out(w, ids[0]), atol=1e-12)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_the_graph_is_kerass_gru(setup: tuple[Any, Any]) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    page, model = setup
    w, _ = page.weights()
    gru = keras.layers.GRU(256, reset_after=False, recurrent_activation=lambda x: keras.ops.clip(0.2 * x + 0.5, 0, 1))
    gru.build((None, page.LENGTH, 100))
    gru.set_weights([w[f"rnn/{k}"] for k in ("kernel", "recurrent_kernel", "bias")])
    ids = model.characters(list(page.TEXTS.values()))
    theirs = keras.ops.convert_to_numpy(gru(w["embedding/embeddings"][ids].astype("float32")))
    scores = theirs @ w["output/kernel"] + w["output/bias"]
    np.testing.assert_allclose(model.core(ids), scores, atol=1e-3)        # float32 through 140 steps, of scores up to 11


def test_the_explanations_add_up(setup: tuple[Any, Any]) -> None:
    page, model = setup
    for reaction, text in page.TEXTS.items():
        results = model.explain(text, page.REACTIONS.index(reaction))
        relevance = results.pop("lrp.epsilon")
        complete(results, quadrature=2e-2)
        assert np.abs(np.asarray(relevance)).max() < 10
        assert float(relevance.gap()[0]) == pytest.approx(float(relevance.ledger.absorbed[0]), abs=1e-9)


def test_the_words_that_matter(setup: tuple[Any, Any]) -> None:
    """Of each text one word by its part of the sum, in three methods, and by what is lost without it."""
    page, model = setup
    for reaction, word, others in (("sad", "peace,", ("my", "old")), ("angry", "outraged", ("by", "this")), ("haha", "funny", ("so",))):
        text, k = page.TEXTS[reaction], page.REACTIONS.index(reaction)
        results = model.explain(text, k)

        def part(name: str, w: str, text: str = text, results: Any = results) -> float:
            start = text.index(w)
            return float(page.per_character(results[name], text)[start:start + len(w)].sum())

        for name in ("integrated_gradients", "lrp.epsilon", "deeplift.rescale"):
            assert part(name, word) > 1
            assert all(part(name, word) > 2 * part(name, other) for other in others)
        whole = float(model.core(model.characters([text]))[0, k])
        assert whole - float(model.core(model.characters([text.replace(word + " ", "")]))[0, k]) > 1
    is_small("reaction.png")
    is_small("reaction.html")
