"""What must hold for any map: invariances, ends of curves, optima, batches, and that nothing is changed on the way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.frozen import frozen
from tests.metrics.subjects import digit, feature_net, features, picture, picture_net, shown
from tests.nets import mlp
from xaicore.metrics import METRICS, subject
from xaicore.metrics.fixation import density, transport
from xaicore.metrics.statistics import pearson, ranks, roc_auc, spearman, ssim

SMALL = {"samples": 3, "splits": 3, "steps": 6, "shifts": 2, "regions": 4}
TRUTH = np.array([[0, 0, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]])
KNOWN = {"truth": TRUTH, "fixations": TRUTH * 2, "human": TRUTH + 0.5, "others": np.roll(TRUTH, 2, axis=1)}
EACH = [k for k, r in METRICS.items() if not {"data", "batch"} & set(r.needs) and not k.startswith("pic.")]


def value(id, s, **settings):
    known = METRICS[id].settings
    return METRICS[id].run(s, **{k: v for k, v in {**SMALL, **KNOWN}.items() if k in known}, **settings).values


@pytest.mark.parametrize("id", EACH)
def test_a_batch_is_its_samples_one_by_one(id):
    x = np.random.default_rng(1).random((3, 2, 5, 6))
    whole = value(id, subject(picture_net(), x, "gradient_x_input", [0, 1, 2]))
    single = [value(id, subject(picture_net(), x[n:n + 1], "gradient_x_input", [n]))[0] for n in range(3)]
    np.testing.assert_allclose(whole, single, rtol=1e-9, atol=1e-9)     # BLAS sums a batch in another order


@pytest.mark.parametrize("id", EACH)
def test_the_same_seed_gives_the_same_bits_and_nothing_is_changed(id):
    x = frozen(np.random.default_rng(2).random((2, 2, 5, 6)))
    a = frozen(np.random.default_rng(3).normal(size=x.shape))
    first, second = (value(id, subject(picture_net(), x, lambda graph, feeds, target: a, [0, 1])) for _ in range(2))
    np.testing.assert_array_equal(first, second)


MAPS = st.lists(st.floats(-8, 8, width=16), min_size=5, max_size=12).filter(lambda v: max(v) > min(v))


@given(MAPS, st.floats(0.1, 5), st.data())
def test_scale_does_not_matter(row, scale, data):
    """Ranks, shares and correlations do not see by what a map is multiplied."""
    mask = np.array(data.draw(st.lists(st.sampled_from([0, 1]), min_size=len(row), max_size=len(row)).filter(lambda v: 0 < sum(v) < len(v))))
    for id, settings in (("sparseness", {}), ("entropy", {}), ("pointing_game", {"truth": mask}), ("attribution_localisation", {"truth": mask}),
                         ("localisation_auc", {"truth": mask}), ("fixation.nss", {"fixations": mask}), ("fixation.cc", {"human": mask + 0.5}), ("fixation.auc_judd", {"fixations": mask})):
        one, other = (METRICS[id].run(shown(np.array(row) * c), **settings).values for c in (1.0, 2.0**round(scale)))
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)   # a power of two: rounding differs in sums only


@given(MAPS, st.data())
def test_monotone_and_affine_maps(row, data):
    fixed = np.array(data.draw(st.lists(st.sampled_from([0, 1, 2]), min_size=len(row), max_size=len(row)).filter(lambda v: 0 < sum(w > 0 for w in v) < len(v))))
    a, cubed = np.array(row), np.array(row) ** 3
    for id in ("fixation.auc_judd", "localisation_auc"):
        given_ = {"fixations": fixed} if id.startswith("fix") else {"truth": fixed > 0}
        np.testing.assert_array_equal(METRICS[id].run(shown(a), **given_).values, METRICS[id].run(shown(cubed), **given_).values)
    for id, given_ in (("fixation.nss", {"fixations": fixed}), ("fixation.cc", {"human": fixed})):
        moved = METRICS[id].run(shown(3 * a + 7), **given_).values
        np.testing.assert_allclose(METRICS[id].run(shown(a), **given_).values, moved, rtol=1e-8, atol=1e-8)


@given(st.integers(2, 9), st.integers(0, 5))
def test_extremes(n, at):
    one, flat = np.eye(n)[at % n], np.ones(n)
    assert METRICS["sparseness"].run(shown(one)).values[0] == pytest.approx((n - 1) / n)
    assert METRICS["sparseness"].run(shown(flat)).values[0] == pytest.approx(0, abs=1e-15)
    assert METRICS["entropy"].run(shown(one)).values[0] == 0
    assert METRICS["entropy"].run(shown(flat)).values[0] == pytest.approx(np.log(n))
    truth = one
    for id in ("attribution_localisation", "relevance_mass", "relevance_rank", "pointing_game", "localisation_auc"):
        assert METRICS[id].run(shown(one), truth=truth).values[0] == 1
        assert METRICS[id].run(shown(1 - one), truth=truth).values[0] == 0
    assert METRICS["attribution_localisation"].run(shown(flat), truth=truth).values[0] == pytest.approx(1 / n)
    assert METRICS["mu_weighted"].run(shown(flat), truth=truth).values[0] == pytest.approx(1)
    for id in ("fixation.sim", "fixation.kl"):
        assert METRICS[id].run(shown(one + 1), human=one + 1).values[0] == pytest.approx(1 if id == "fixation.sim" else 0, abs=1e-12)


@given(st.integers(0, 10**6))
def test_the_earth_movers_distance_is_a_metric(seed):
    rng = np.random.default_rng(seed)
    p, q, r = density(rng.random((3, 6)))
    at = rng.random((6, 2))
    cost = np.sqrt(((at[:, None] - at[None]) ** 2).sum(axis=2))
    pq, qr, pr = transport(p, q, cost), transport(q, r, cost), transport(p, r, cost)
    assert pq == pytest.approx(transport(q, p, cost), abs=1e-6)
    assert transport(p, p, cost) == pytest.approx(0, abs=1e-6)
    assert pr <= pq + qr + 1e-6                                        # HiGHS: 1e-7 for each constraint


@given(st.integers(0, 10**6))
def test_on_an_affine_function_its_own_contributions_are_optimal(seed):
    """No order of deletion is better than that of w (x - x0); correlations with the drops are 1; Shapley values are these contributions."""
    rng = np.random.default_rng(seed)
    w, x = rng.normal(size=(1, 5)), rng.normal(size=(1, 5)) + 0.1
    g = mlp([w], [rng.normal(size=1)])
    best = subject(g, x, "shapley.exact", 0)
    other = subject(g, x, rng.normal(size=(1, 5)), 0)
    assert METRICS["deletion"].run(best, steps=None).values[0] <= METRICS["deletion"].run(other, steps=None).values[0] + 1e-12
    assert METRICS["insertion"].run(best, steps=None, baseline=0).values[0] >= METRICS["insertion"].run(other, steps=None, baseline=0).values[0] - 1e-12
    for id in ("faithfulness.correlation", "faithfulness.estimate", "sensitivity_n"):
        assert value(id, best)[0] == pytest.approx(1, abs=1e-9)
    assert METRICS["completeness"].run(best).values[0] == pytest.approx(0, abs=1e-9)
    gradient = subject(g, x, "gradient", 0)
    assert METRICS["infidelity"].run(gradient, samples=4).values[0] == pytest.approx(0, abs=1e-20 + 1e-24)
    assert METRICS["infidelity"].run(best, samples=4, multiplied=True).values[0] == pytest.approx(0, abs=1e-20)


def test_curves_begin_at_f_and_end_at_the_baseline():
    s = picture()
    f, x0 = s.task.result, s.task.at({"x": np.zeros((3, 2, 5, 6))}, np.arange(3))
    for id, ends in (("pixel_flipping", (f, x0)), ("deletion", (f, x0)), ("insertion", (x0, f)), ("selectivity", (f, x0))):
        more = {"baseline": 0} if id == "insertion" else {}
        curve = METRICS[id].run(s, **more).extras["curve"]
        np.testing.assert_allclose(curve[:, 0], ends[0], rtol=1e-12)
        np.testing.assert_allclose(curve[:, -1], ends[1], rtol=1e-12)
    both = [METRICS["pixel_flipping"].run(s, order=o).values for o in ("descending", "ascending")]
    assert (both[0] < both[1]).all()


def test_randomisation():
    """A map of the parameters changes with them, a map of the input does not; one layer of several is less than all."""
    s = picture("gradient", n=3)
    all_random = METRICS["mprt"].run(s).extras
    assert all_random["layers"] == ["fc", "conv"]
    assert all_random["curve"].shape == (3, 2)
    alone = METRICS["mprt"].run(s, mode="independent").extras["curve"]
    np.testing.assert_array_equal(alone[:, 0], all_random["curve"][:, 0])
    assert (METRICS["mprt"].run(picture(lambda graph, feeds, target: feeds["x"])).values > 1 - 1e-12).all()


def test_nonnegative_propagation_collapses():
    """z+ through eight layers: all directions become one. LRP-0 keeps them apart."""
    rng = np.random.default_rng(1)
    net = mlp([rng.normal(size=(30, 30)) / 5 for _ in range(8)] + [rng.normal(size=(4, 30))], [None] * 9)
    x = abs(rng.normal(size=(1, 30)))
    found = {m: METRICS["csc"].run(subject(net, x, m, 0), samples=4) for m in ("lrp.z_plus", "lrp.zero")}
    assert found["lrp.z_plus"].values[0] > 0.999
    assert found["lrp.zero"].values[0] < 0.9
    deep = found["lrp.z_plus"].extras["layers"]
    assert deep["relu1"].mean() > deep["relu8"].mean()


def test_statistics():
    from scipy import stats
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (2, 9)), rng.normal(size=9)
    assert ranks(a[0]).tolist() == stats.rankdata(a[0]).tolist()
    assert pearson(a[0].astype(float), b) == pytest.approx(stats.pearsonr(a[0], b)[0])
    assert spearman(a[0].astype(float), b) == pytest.approx(stats.spearmanr(a[0], b)[0])
    assert np.isnan(pearson(np.ones(4), np.arange(4.0)))
    assert np.isnan(pearson(np.full(3, 0.1), np.arange(3.0)))         # whose mean is not .1 in floats
    y = rng.random(9) > 0.5
    assert roc_auc(a[0].astype(float), y) == pytest.approx(roc_auc_score(y, a[0]))


def test_ssim_is_scikit_images():
    metrics = pytest.importorskip("skimage.metrics")
    a, b = np.random.default_rng(0).normal(size=(2, 1, 12, 15))
    wide = max(a.max(), b.max()) - min(a.min(), b.min())
    assert ssim(a, b)[0] == pytest.approx(metrics.structural_similarity(a[0], b[0], data_range=wide), rel=1e-12)


def test_effective_complexity_counts():
    assert METRICS["effective_complexity"].run(shown((0, 1e-6, 2, -3)), variant="count").values[0] == 2


def test_pointing_game_ties_and_margin():
    a, truth = (1, 2, 2, 0), [0, 0, 1, 0]
    run = METRICS["pointing_game"].run
    assert [run(shown(a), truth=truth, ties=t).values[0] for t in ("first", "any", "share")] == [0, 1, 0.5]
    assert run(shown((5, 0, 0, 0)), truth=truth, within=1).values[0] == 0
    assert run(shown((5, 0, 0, 0)), truth=truth, within=2).values[0] == 1
    assert np.isnan(run(shown(a), truth=[0, 0, 0, 0]).values[0])


def test_a_model_that_only_evaluates():
    """Metrics that evaluate f work on any function; those that ask a method for its gradient leave the reason to it."""
    from xaicore import from_function

    g = from_function(lambda x: np.stack([x[:, 0] * x[:, 1], x[:, 2]], axis=1), (None, 3))
    s = subject(g, [[2.0, 3.0, 1.0]], "occlusion", 0, window=1)
    assert METRICS["deletion"].run(s, steps=None).extras["curve"].tolist() == [[6, 0, 0, 0]]
    assert METRICS["sensitivity.max"].run(s, samples=2).values[0] > 0


def test_token_ids():
    """Whole numbers have coalitions, and no small noise."""
    from xaicore import Builder
    from xaicore.errors import Inapplicable
    from xaicore.ops import Dense, Embedding, Flatten

    b = Builder("words")
    e = b.add(Embedding(), b.param("table", np.random.default_rng(0).normal(size=(5, 2))), b.input("ids", (None, 3), "int"))
    g = b.build(b.add(Dense(), b.add(Flatten(), e), b.param("w", np.random.default_rng(1).normal(size=(2, 6)))))
    s = subject(g, [[1, 2, 3]], "feature_ablation", 0)
    assert METRICS["faithfulness.estimate"].run(s).values[0] == pytest.approx(1)
    with pytest.raises(Inapplicable, match="whole numbers|holds int64"):
        METRICS["local_lipschitz"].run(s)


def test_one_class_of_several_inputs():
    assert features().size == 5
    assert digit(n=1).positions().shape == (1, 64)
    assert feature_net().size > 0


def test_large_pictures_are_taken_apart_in_parts():
    """One f for each of 50,000 pixels is not a default: at most 64 parts; every pixel on request."""
    s = shown(np.arange(400.0).reshape(20, 20))
    assert METRICS["faithfulness.estimate"].run(s).extras["drops"].shape == (1, 64)
    assert METRICS["faithfulness.estimate"].run(s, mask="positions").extras["drops"].shape == (1, 400)
    assert METRICS["deletion"].run(s, steps=4).extras["counts"].tolist() == [0, 100, 200, 300, 400]
