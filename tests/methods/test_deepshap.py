"""DeepSHAP, hypothetical contributions, GradientSHAP and shuffled references: loops over DeepLIFT, counts, closed forms."""

from collections import Counter
from fractions import Fraction as F
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import NET_A, NET_B, X_A, close
from tests.oracle.planted import cnn, image, several, tiny, tiny_image
from xaicore import Builder
from xaicore.errors import ExactnessError, Inapplicable, InputError, UnknownName
from xaicore.methods.sequences import dinucleotide_shuffle, shuffled
from xaicore.ops import Conv, Dense, GlobalAvgPool, ReLU, Reshape
from xaicore.oracle.strategies import cnns, inputs_of, mlps, numbers


def exact(values):
    return np.vectorize(F, otypes=[object])(values)


# ----- DeepSHAP -----------------------------------------------------------------------------------------------------


@settings(max_examples=6)
@given(data=st.data(), variant=st.sampled_from(["rescale", "reveal_cancel"]))
def test_w40_the_mean_over_the_background(data, variant):
    """W40: DeepLIFT by loops (the twin) for every reference, rationals; complete with respect to the mean output."""
    from xaicore.oracle.twins.deeplift import ReluNet

    graph = data.draw(mlps("any", hidden=(1, 2))).astype("exact")
    x, sets = exact(data.draw(inputs_of(graph, batch=(2, 2)))), exact(data.draw(inputs_of(graph, batch=(3, 3))))
    a = xc.explain(graph, x, "deep_shap", target=1, background=sets, variant=variant)
    depth = sum(k.startswith("w") for k in graph.params)
    names = [*range(depth - 1), "_out"]
    net = ReluNet([graph.params[f"w{k}"].tolist() for k in names], [graph.params[f"b{k}"].tolist() for k in names])
    for n in range(2):
        slow = [net.deeplift(list(x[n]), list(b), 1, variant == "reveal_cancel") for b in sets]
        assert list(np.asarray(a)[n]) == [sum(column) / 3 for column in zip(*slow)]
    assert a.gap().tolist() == [0, 0]
    assert (a.baseline_output == graph(sets)[:, 1].sum() / 3).all()


def test_one_reference_is_deeplift():
    for variant in ("rescale", "reveal_cancel", "genomics"):
        a = xc.explain(cnn(), image(2), "deep_shap", target=1, variant=variant, baseline=0.25)
        b = xc.explain(cnn(), image(2), f"deeplift.{variant}", target=1, baseline=0.25)
        assert (np.asarray(a) == np.asarray(b)).all()
        assert a.ledger is not None
    assert list(np.asarray(xc.explain(NET_A, X_A, "deep_shap"))[0]) == [6, -5]


def test_layers_and_sets_of_their_own():
    graph, x, sets = cnn(), image(2), numbers(np.random.default_rng(0), (3, 2, 2, 4, 4))
    own = xc.explain(graph, x, "deep_shap", target=1, background=sets)
    for n in range(2):
        one = xc.explain(graph, x[n:n + 1], "deep_shap", target=1, background=sets[:, n])
        assert close(np.asarray(own)[n:n + 1], np.asarray(one), 1e-12)
    layer = xc.explain(graph, x, "deep_shap", target=1, background=sets[:, 0], layer="pool")
    each = [np.asarray(xc.explain(graph, x, "deeplift.rescale", target=1, baseline=b, layer="pool")) for b in sets[:, 0]]
    assert close(np.asarray(layer), np.mean(each, axis=0), 1e-12)


def test_it_is_shapley_for_affine_functions_and_not_in_general():
    graph = NET_B.astype("exact")
    assert list(np.asarray(xc.explain(graph, [[2, 1]], "deep_shap"))[0]) == [F(16, 3), F(-4, 3)]
    assert list(np.asarray(xc.explain(graph, [[2, 1]], "shapley.exact"))[0]) == [F(9, 2), F(-1, 2)]


def test_progress():
    calls = []
    xc.explain(cnn(), image(2), "deep_shap", target=1, background=image(3), progress=lambda *c: calls.append(c))
    assert calls == [(0, 3), (1, 3), (2, 3), (3, 3)]


# ----- sequences ----------------------------------------------------------------------------------------------------


def motif_net():
    """A convolution over (N, 4, L), a ReLU, the mean over places, two outputs."""
    rng = np.random.default_rng(5)
    b = Builder()
    h = b.add(ReLU(), b.add(Conv(), b.input("x", (None, 4, None)), b.param("k", numbers(rng, (6, 4, 3))), b.param("c", numbers(rng, (6,)) / 4)))
    return b.build(b.add(Dense(), b.add(Reshape((6,)), b.add(GlobalAvgPool(), h)), b.param("w", numbers(rng, (2, 6)))))


def sequences(rng, n, length):
    return np.moveaxis(np.eye(4)[rng.integers(0, 4, (n, length))], 2, 1)


def test_hypothetical_contributions_against_loops():
    """For every place and letter: Σ m (one-hot - reference), m read from the contributions of a second call."""
    rng = np.random.default_rng(0)
    graph, x, sets = motif_net(), sequences(rng, 2, 9), sequences(rng, 3, 9)
    a = np.asarray(xc.explain(graph, x, "deep_shap.hypothetical", target=1, background=sets))
    slow = np.zeros(x.shape)
    for ref in sets:
        c = np.asarray(xc.explain(graph, x, "deeplift.rescale", target=1, baseline=ref))
        for n in range(2):
            for place in range(9):
                here, there = x[n, :, place].argmax(), ref[:, place].argmax()
                if here == there:
                    continue                                            # the multipliers cannot be read where nothing differs
                m = {here: c[n, here, place] / 1, there: c[n, there, place] / -1}
                slow[n, here, place] += (m[here] - m[there]) / 3
    differ = np.array([(x[:, :, p].argmax(axis=1)[:, None] != sets[:, :, p].argmax(axis=1)).all(axis=1) for p in range(9)]).T
    rows = np.where(x == 1)
    assert differ.sum() > 4
    actual, expected = a[rows].reshape(2, 9), slow[rows].reshape(2, 9)
    assert close(actual[differ], expected[differ], 1e-12)


def test_the_letters_that_are_there_give_the_contribution_of_the_place():
    rng = np.random.default_rng(1)
    graph, x, sets = motif_net(), sequences(rng, 2, 8), sequences(rng, 4, 8)
    for variant in ("rescale", "reveal_cancel"):
        own = {"target": 0, "background": sets, "variant": variant}
        h = np.asarray(xc.explain(graph, x, "deep_shap.hypothetical", **own))
        c = np.asarray(xc.explain(graph, x, "deep_shap", **own))
        assert close((x * h).sum(axis=1), c.sum(axis=1), 1e-12)
    linear = Builder()
    w = numbers(rng, (1, 4, 8))
    g = linear.build(linear.add(Dense(), linear.add(Reshape((32,)), linear.input("x", (None, 4, 8))), linear.param("w", w.reshape(1, 32))))
    uniform = np.full((4, 8), 0.25)
    h = np.asarray(xc.explain(g, x, "deep_shap.hypothetical", baseline=uniform))
    assert close(h, np.broadcast_to(w - w.mean(axis=1, keepdims=True), x.shape), 1e-12)
    with pytest.raises(Inapplicable, match="has no axis of letters"):
        xc.explain(NET_B, [[2, 1]], "deep_shap.hypothetical")


def pairs(text):
    return Counter(pairwise(text))


@given(text=st.lists(st.integers(0, 3), min_size=1, max_size=30), seed=st.integers(0, 999))
def test_shuffles_keep_pairs_and_ends(text, seed):
    out = shuffled(text, np.random.default_rng(seed))
    assert pairs(out) == pairs(text)
    assert (out[0], out[-1]) == (text[0], text[-1])


@pytest.mark.parametrize("text", [[0, 1, 0, 2, 0, 1, 2, 1], [0, 0, 1, 1, 0, 2, 0], [0, 1, 2, 0, 2, 1, 0]])
def test_shuffles_are_uniform(text):
    """All orders of the letters with the same pairs are found by brute force; 4000 draws, chi-squared below its 99.9 % quantile."""
    from scipy.stats import chi2

    possible = sorted({p for p in permutations(text) if pairs(p) == pairs(text) and p[0] == text[0] and p[-1] == text[-1]})
    rng = np.random.default_rng(0)
    seen = Counter(tuple(shuffled(text, rng)) for _ in range(4000))
    assert set(seen) <= set(possible)
    assert len(possible) > 2
    expected = 4000 / len(possible)
    assert sum((seen[p] - expected) ** 2 / expected for p in possible) < chi2.ppf(0.999, len(possible) - 1)


def test_shuffled_references():
    """Of each sample its own, the same whatever the batch; layouts; what is no sequence."""
    rng = np.random.default_rng(2)
    graph, x = motif_net(), sequences(rng, 3, 12)
    both = dinucleotide_shuffle(x, 4, seed=1)
    assert both.shape == (4, 3, 4, 12)
    assert close(dinucleotide_shuffle(np.moveaxis(x, 1, 2), 4, 1, axis=2), np.moveaxis(both, 2, 3), 0, scale=1)
    assert (dinucleotide_shuffle(x[1:2], 4, seed=1) == both[:, 1:2]).all()
    a = xc.explain(graph, x, "deep_shap", target=1, background="dinucleotide", samples=4, seed=1)
    b = xc.explain(graph, x, "deep_shap", target=1, background=both)
    assert (np.asarray(a) == np.asarray(b)).all()
    assert np.abs(a.gap()).max() < 1e-13
    e = xc.explain(graph.astype("exact"), exact(x.astype(int)), "deep_shap", target=1, background="dinucleotide", samples=4, seed=1)
    assert close(np.asarray(e), np.asarray(a), 1e-12)
    with pytest.raises(InputError, match="x is not one-hot along axis 1"):
        xc.explain(graph, x + 1, "deep_shap", target=1, background="dinucleotide")
    with pytest.raises(Inapplicable, match=r"shuffles sequences \(N, letters, L\), and input 'image'"):
        xc.explain(cnn(), image(1), "deep_shap", target=1, background="dinucleotide")
    with pytest.raises(UnknownName, match="did you mean 'dinucleotide'"):
        xc.explain(graph, x, "deep_shap", target=1, background="dinucleotides")
    with pytest.raises(Inapplicable, match="makes references out of the input, so there is none at a layer"):
        xc.explain(graph, x, "gradient_shap", target=1, background="dinucleotide", layer="relu")


# ----- GradientSHAP -------------------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(data=st.data(), sigma=st.sampled_from([0, 0.1]), noise=st.sampled_from(["absolute", "relative"]))
def test_gradient_shap_against_loops(data, sigma, noise):
    graph = data.draw(cnns())
    x, sets = data.draw(inputs_of(graph, batch=(2, 2))), data.draw(inputs_of(graph, batch=(2, 3)))
    a = xc.explain(graph, x, "gradient_shap", target=1, background=sets, samples=4, sigma=sigma, noise=noise, seed=9, batch_size=3)
    rng = np.random.default_rng(9)
    which, alphas = rng.integers(0, len(sets), 4), rng.random(4)
    errors = rng.normal(size=(4, 2, 4, 4)) * sigma if sigma else np.zeros((4, 2, 4, 4))
    for n in range(2):
        width = np.ptp(x[n]) if noise == "relative" else 1
        terms = []
        for b, alpha, e in zip(sets[which], alphas, errors):
            d = x[n] + e * width - b
            g = np.asarray(xc.explain(graph, (b + alpha * d)[None], "gradient", target=1))[0]
            terms.append(d * g)
        assert close(np.asarray(a)[n], np.mean(terms, axis=0), 1e-12, scale=1)
        assert close(a.extras["standard_error"]["x"][n], np.std(terms, axis=0, ddof=1) / 2, 1e-7, scale=1)   # a difference of squares
    assert close(a.baseline_output, np.full(2, graph(sets)[:, 1].mean()), 1e-12, scale=1)


def test_gradient_shap_approaches_the_mean_of_integrated_gradients():
    """Within four of its own standard errors, entry by entry."""
    graph, x, sets = cnn(), image(1), image(3, seed=7)
    a = xc.explain(graph, x, "gradient_shap", target=1, background=sets, samples=2000)
    mean = np.mean([np.asarray(xc.explain(graph, x, "integrated_gradients.exact", target=1, baseline=b)) for b in sets], axis=0)
    z = np.abs(np.asarray(a) - mean) / np.maximum(a.extras["standard_error"]["image"], 1e-12)
    assert z.max() < 4
    assert abs(a.gap()[0]) < 0.2


def test_gradient_shap_of_linear_functions_and_rationals():
    f = Builder(dtype="exact")
    graph = f.build(f.add(Dense(), f.input("x", (None, 2)), f.param("w", [[2, -3]])))
    assert list(np.asarray(xc.explain(graph, [[1, 2]], "gradient_shap", samples=3))[0]) == [2, -6]
    a = xc.explain(tiny(), tiny_image(1), "gradient_shap", target=0, samples=3)
    assert all(type(v) is F for v in np.asarray(a).reshape(-1))
    with pytest.raises(ExactnessError, match="normal noise is not rational"):
        xc.explain(graph, [[1, 2]], "gradient_shap", sigma=0.1)
    with pytest.raises(InputError, match="sigma=-1 must be a finite number of at least 0"):
        xc.explain(NET_B, [[2, 1]], "gradient_shap", sigma=-1)
    graph, feeds = several()
    b = xc.explain(graph, feeds, "gradient_shap", target=("one", 1), samples=4)
    assert set(b.values) == {"x", "z"}
