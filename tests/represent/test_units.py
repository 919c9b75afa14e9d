"""Groups, dictionaries, grids, blocks, patches, receptive fields, timelines, recurrent responses: what must hold, and errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import NET_A, X_A, close
from xaicore import Builder
from xaicore.data import digits_images, digits_model
from xaicore.errors import Inapplicable, InputError, ShapeError, UncoveredNode, UnknownName
from xaicore.ops import (
    Concat,
    Conv,
    Dense,
    Div,
    Flatten,
    GlobalMaxPool,
    LayerNorm,
    Maximum,
    MaxPool,
    Minimum,
    Mul,
    ReLU,
    Reshape,
    Sigmoid,
    Slice,
    Softmax,
    Where,
)
from xaicore.oracle.strategies import cnns
from xaicore.oracle.twins.represent import changed_pixels, loadings_by_faces
from xaicore.represent.blocks import between, blocks
from xaicore.represent.dictionary import activation_grid, atlas, semantic_dictionary
from xaicore.represent.features import activations
from xaicore.represent.neighbours import neighbours
from xaicore.represent.nmf import Groups, neuron_groups, nmf
from xaicore.represent.patches import feature_maps, top_patches
from xaicore.represent.receptive import receptive_field, receptive_fields
from xaicore.represent.recurrent import clusters, distance, importance_over_time, responses
from xaicore.represent.sequence import advantages, reduced_attributions, timeline

SEEDS = st.integers(0, 2**32 - 1)
IMAGES = digits_images()[0].astype(float)
IMAGES.flags.writeable = False                                         # whatever changes its input is found
DIGITS = digits_model()


# ----- groups -------------------------------------------------------------------------------------------------------


@given(seed=SEEDS, groups=st.integers(1, 4))
def test_factorisation_never_gets_worse_and_stays_non_negative(seed, groups):
    """I51: the multiplicative updates are monotone (lee2001); the tolerance is rounding of |A|²."""
    a = np.random.default_rng(seed).uniform(0, 1, (7, 5)) ** 3
    found = nmf(a, groups, 100, seed=seed % 7, tolerance=0)
    assert (np.diff(found.history[1:]) <= 1e-12 * found.history[0]).all()
    assert (found.loadings >= 0).all()
    assert (found.directions >= 0).all()
    assert close(np.linalg.norm(found.directions, axis=1), np.ones(groups))
    assert abs(((a - found.loadings @ found.directions) ** 2).sum() - found.history[-1]) < 1e-9 * found.history[0]


@given(seed=SEEDS)
def test_loadings_of_other_activations_are_the_nearest(seed):
    rng = np.random.default_rng(seed)
    groups = Groups(np.zeros((1, 3)), rng.uniform(0, 1, (3, 5)))
    rows = rng.uniform(0, 1, (4, 5))
    assert close(groups.transform(rows), loadings_by_faces(rows, groups.directions), 1e-8)


def test_factorisation_is_about_as_good_as_scikit_learns():
    theirs = pytest.importorskip("sklearn.decomposition")
    a = feature_maps(DIGITS, IMAGES, "relu2").transpose(0, 2, 3, 1).reshape(-1, 16)
    ours = nmf(a, 4, 500, seed=0, tolerance=0)
    model = theirs.NMF(4, solver="mu", init="random", random_state=0, max_iter=500, tol=0)
    w = model.fit_transform(a)
    error = ((a - w @ model.components_) ** 2).sum() / (a**2).sum()
    assert ours.residual < 1.1 * error                                # two local minima of one problem


# ----- blocks -------------------------------------------------------------------------------------------------------


def test_the_sums_of_building_blocks():
    """E75: Σ positions = Σ channels = Σ a ∂S; groups and residual; a difference of classes is the difference; the path is complete."""
    found = blocks(DIGITS, IMAGES[:3], "relu2", 3)
    whole = np.asarray(xc.explain(DIGITS, IMAGES[:3], "gradient_x_input", 3, layer="relu2"))
    assert close(found.units, whole)
    assert close(found.spatial.sum(axis=(1, 2)), found.channel.sum(axis=1))
    groups = neuron_groups(DIGITS, IMAGES[:3], "relu2", 4)
    parts, rest = found.groups(groups)
    assert close(parts.sum(axis=1) + rest, found.channel.sum(axis=1))
    weights = np.zeros(10)
    weights[3], weights[8] = 1, -1
    against = blocks(DIGITS, IMAGES[:3], "relu2", weights)
    assert close(against.units, found.units - blocks(DIGITS, IMAGES[:3], "relu2", 8).units, scale=np.abs(found.units).max())
    path = blocks(DIGITS, IMAGES[:2], "relu2", 3, path="integrated", steps=400, quadrature="midpoint")
    black = blocks(DIGITS, IMAGES[:2], "relu2", 3).output
    zero = np.zeros((2, 16, 8, 8))
    from xaicore.graph.run import evaluate

    at_zero = evaluate(DIGITS, {"image": IMAGES[:2]}, keep=["logits"], override={"relu2": zero})["logits"][:, 3]
    assert close(path.channel.sum(axis=1), black - at_zero, 1e-2)     # the quadrature's kinks


def test_worked_e32():
    """E75 on two maps: channels (1.5, -.5), positions [[.5, -.25], [-.25, 1]], both sum to 1."""
    b = Builder()
    x = b.input("x", (None, 2, 2, 2))
    h = b.add(ReLU(), x, name="maps")
    graph = b.build(b.add(Dense(), b.add(Flatten(), h), b.param("v", [[0.25] * 4 + [-0.25] * 4]), name="S"))
    a = np.array([[[[2.0, 0], [0, 4]], [[0, 1], [1, 0]]]])
    found = blocks(graph, a, "maps")
    assert close(found.channel, [[1.5, -0.5]])
    assert close(found.spatial, [[[0.5, -0.25], [-0.25, 1]]])


def test_relaxed_maxima_are_the_gradient_of_the_relaxed_pool():
    b = Builder()
    p = b.add(MaxPool((2, 2)), b.add(ReLU(), b.input("x", (None, 1, 4, 4)), name="h"), name="pool")
    graph = b.build(b.add(Dense(), b.add(Flatten(), p), b.param("v", [[1.0, -2, 3, 0.5]]), name="S"))
    a = np.abs(np.random.default_rng(0).normal(size=(1, 1, 4, 4))) + 0.1

    def relaxed(values):
        m = values.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(4, 4)
        return ((m**2).mean(axis=1) / (0.01 + np.abs(m).mean(axis=1))) @ [1, -2, 3, 0.5]

    numeric = np.zeros((4, 4))
    for at in np.ndindex(4, 4):
        e = np.zeros((4, 4))
        e[at] = 1e-6
        numeric[at] = (relaxed(a[0, 0] + e) - relaxed(a[0, 0] - e)) / 2e-6
    assert close(blocks(graph, a, "h", relax=True).gradients[0, 0], numeric, 1e-7)


def test_between_layers_sums_to_the_lengths_without_biases():
    """A positively homogeneous piece: Σ over positions below = the length above (Euler)."""
    rng = np.random.default_rng(0)
    b = Builder()
    h = b.add(ReLU(), b.add(Conv(pads=((1, 1), (1, 1))), b.input("x", (None, 1, 4, 4)), b.param("w", rng.normal(size=(3, 1, 3, 3)))), name="low")
    graph = b.build(b.add(ReLU(), b.add(Conv(), h, b.param("u", rng.normal(size=(2, 3, 2, 2)))), name="high"))
    x = rng.normal(size=(1, 1, 4, 4))
    parts = between(graph, x, "low", "high")
    assert close(parts.sum(axis=(2, 3)), activation_grid(graph, x, "high").norms)
    assert between(graph, x, "low", "high", by="channel").shape == (2, 3)
    assert close(between(graph, x, "low", "high", by="channel").sum(axis=1), graph(x)[0].sum(axis=(1, 2)))


# ----- patches and fields ---------------------------------------------------------------------------------------------


@settings(max_examples=max(8, settings().max_examples // 4))
@given(data=st.data())
def test_receptive_fields_are_what_pixels_can_change(data):
    graph = data.draw(cnns())
    layer = data.draw(st.sampled_from([n.name for n in graph.nodes]))
    shape = activations(graph, np.ones((1, 2, 4, 4)), layer)[layer].shape[1:]
    unit = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    rng = np.random.default_rng(data.draw(SEEDS))
    assert (receptive_field(graph, layer, unit).mask == changed_pixels(graph, layer, unit, rng)).all()


def test_receptive_field_in_closed_form():
    """A chain: size r <- r + (k - 1) j, jump j <- j s, for kernels 3, 3, pool 2 (stride 2), dilated 3 of step 2."""
    rng = np.random.default_rng(0)
    b = Builder()
    x = b.input("x", (None, 1, 40, 40))
    for k, (op, kernel) in enumerate([(Conv(), 3), (Conv(), 3), (MaxPool((2, 2)), 0), (Conv(dilation=(2, 2)), 3)]):
        x = b.add(op, x, *([b.param(f"w{k}", rng.normal(size=(1, 1, 3, 3)))] if kernel else []), name=f"l{k}")
    size, jump = 1, 1
    for kernel, stride, dilation in ((3, 1, 1), (3, 1, 1), (2, 2, 1), (3, 1, 2)):
        size, jump = size + (kernel - 1) * dilation * jump, jump * stride
    found = receptive_field(b.build(x), "l3", (0, 5, 0))
    assert found.size == (size, size)
    assert found.box == ((5 * jump, 5 * jump + size), (0, size))


def test_fields_through_gates_softmax_norms_and_global_pools():
    b = Builder()
    x = b.input("x", (None, 2, 3, 3))
    gate = b.add(Sigmoid(), b.add(Slice(2, 0, 1), x), name="gate")
    rows = b.add(Mul(), x, gate, name="gated")
    top = b.add(Reshape((2,)), b.add(GlobalMaxPool(), rows), name="top")
    soft = b.add(Softmax(-1), top, name="soft")
    norm = b.add(LayerNorm(), top, b.param("g", np.ones(2)), b.param("b", np.zeros(2)), name="norm")
    graph = b.build(b.add(Concat(1), soft, norm, name="both"))
    gated = receptive_field(graph, "gated", (0, 2, 1)).mask
    assert gated.sum() == 2
    assert gated[0, 2, 1]
    assert gated[0, 0, 1]
    assert receptive_field(graph, "top", 1).mask[0].sum() == 0
    assert receptive_field(graph, "top", 1).mask[1].all()
    assert receptive_field(graph, "soft", 0).mask.all()
    assert receptive_field(graph, "both", 3).mask.all()
    b = Builder()
    x = b.input("x", (None, 4))
    both = b.add(Where(), b.constant(np.array([[True] * 3]), "which"), b.add(Slice(1, 0, 3), x), b.add(Slice(1, 1, 4), x), name="either")
    assert receptive_field(b.build(both), "either", 1).mask.tolist() == [False, True, True, False]
    for op in (Div(), Maximum(), Minimum()):                           # of the pixel beside it
        b = Builder()
        x = b.input("x", (None, 4))
        graph = b.build(b.add(op, b.add(Slice(1, 0, 3), x), b.add(Slice(1, 1, 4), x), name="of_two"))
        assert receptive_field(graph, "of_two", 1).mask.tolist() == [False, True, True, False]


def test_fields_of_the_digits_network():
    fields = receptive_fields(DIGITS, "conv4", [(0, 0, 0), (5, 3, 3)])
    assert [f.box for f in fields] == [((0, 8), (0, 8)), ((0, 8), (0, 8))]
    assert receptive_field(DIGITS, "conv2", (0, 0, 0)).box == ((0, 3), (0, 3))
    assert receptive_field(DIGITS, "logits", 3).mask.all()


def test_top_patches_hold_all_that_matters():
    """A patch set into an empty image excites the unit as the whole image did."""
    best = top_patches(DIGITS, IMAGES, "relu2", 4, 5)
    values = [p.value for p in best]
    assert values == sorted(values, reverse=True)
    assert len({p.sample for p in best}) == 5
    for p in best:
        (a, b), (c, d) = p.box
        alone = np.zeros((1, 1, 8, 8))
        alone[:, :, a:b, c:d] = p.pixels
        assert abs(feature_maps(DIGITS, alone, "relu2")[(0, 4, *p.position)] - p.value) < 1e-12
    assert len(top_patches(DIGITS, IMAGES[:1], "relu2", 4, 5, per_sample=5)) == 5


def test_neighbours_of_digits():
    values = activations(DIGITS, IMAGES, "fc1")["fc1"]
    assert (neighbours(values, values, 1).indices[:, 0] == np.arange(12)).all()
    for metric in ("euclidean", "cosine", "correlation"):
        found = neighbours(values, k=3, metric=metric)
        assert (np.diff(found.distances, axis=1) >= 0).all()
        assert not (found.indices == np.arange(12)[:, None]).any()
    assert (neighbours(values, k=3, metric="cosine").indices == neighbours(values * np.arange(1, 13)[:, None], k=3, metric="cosine").indices).all()


# ----- grids, sequences, recurrent units ---------------------------------------------------------------------------------


def test_dictionary_and_atlas():
    found = semantic_dictionary(DIGITS, IMAGES[:1], "relu2", 3)
    maps = feature_maps(DIGITS, IMAGES[:1], "relu2")[0]
    assert found.channels.shape == (8, 8, 3)
    assert (found.values[..., 0] == maps.max(axis=0)).all()
    assert found.norms[found.start] == found.norms.max()
    assert set(found.icons) == set(found.channels.reshape(-1).tolist())
    grid = atlas(np.ones((50, 2)), np.random.default_rng(0).normal(size=(50, 2)), 3)
    assert grid.counts.sum() <= 50
    assert set(np.unique(grid.vectors)) <= {0.0, 1.0}


@given(seed=SEEDS, t=st.integers(1, 8))
def test_advantages_at_the_ends_of_lambda(seed, t):
    """λ = 1 telescopes to the discounted return minus the value, λ = 0 is δ."""
    rng = np.random.default_rng(seed)
    r, v, g = rng.normal(size=t), rng.normal(size=t), rng.uniform(0, 1)
    returns = [sum(g ** (k - i) * r[k] for k in range(i, t)) for i in range(t)]
    assert close(advantages(r, v, g, 1.0), returns - v, scale=10)
    assert close(advantages(r, v, g, 0.0), r + g * np.append(v[1:], 0) - v, scale=10)


def test_a_timeline_of_digits():
    """Frames that fade from a 3 to an 8: the value of 3 falls, and the books balance at every step."""
    mix = np.linspace(0, 1, 6)[:, None, None, None]
    frames = (1 - mix) * IMAGES[3:4] + mix * IMAGES[8:9]
    found = reduced_attributions(DIGITS, frames, "relu2", neuron_groups(DIGITS, IMAGES, "relu2", 4), target=3, steps=10)
    line = timeline(found, bookmarks=2)
    assert line.values[0] > line.values[-1]
    assert close(line.groups.sum(axis=1) + line.residual, found.raw.reshape(6, -1).sum(axis=1))
    assert len(line.bookmarks) == 2
    assert set(line.as_json()) == {"values", "groups", "residual", "bookmarks"}
    assert "advantages" in timeline(found, rewards=[0] * 6).as_json()


@given(seed=SEEDS)
def test_responses_of_hidden_units(seed):
    rng = np.random.default_rng(seed)
    h, x = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    h[:, 0] = 2.5                                                     # a unit that does nothing
    r = responses(h, x)
    assert (r[0] == 0).all()
    assert close(responses(h, -x), -r)
    assert close(responses(np.exp(h), x, ranks=True), responses(h, x, ranks=True))
    assert abs(distance(h[:10, 1], h[10:, 1], "mean")) <= abs(distance(h[:10, 1], h[10:, 1])) + 1e-12
    from scipy.stats import wasserstein_distance

    assert abs(abs(distance(h[:10, 1], h[10:, 1])) - wasserstein_distance(h[:10, 1], h[10:, 1])) < 1e-9


def test_clusters_put_like_beside_like():
    r = np.array([[1, 0], [5, 5], [1.1, 0], [5, 5.2], [1, 0.1]])
    found = clusters(r, 2, 2)
    assert len(set(found.units[[0, 2, 4]])) == 1
    assert found.units[0] != found.units[1]
    assert {tuple(sorted(found.unit_order[:3])), tuple(sorted(found.unit_order[2:]))} & {(0, 2, 4)}
    assert close(importance_over_time(NET_A, X_A), [[6, 5]])


# ----- errors --------------------------------------------------------------------------------------------------------------


def test_errors_say_what_to_do():
    for error, words, call in (
        (InputError, "ReLU", lambda: neuron_groups(DIGITS, IMAGES, "conv1")),
        (InputError, "at most 3", lambda: nmf(np.ones((3, 5)), 4)),
        (Inapplicable, "all activations are 0", lambda: nmf(np.zeros((3, 5)), 1)),
        (ShapeError, "3 channels and the groups 5", lambda: Groups(np.zeros((1, 1)), np.ones((1, 5))).transform(np.ones((2, 3)))),
        (UnknownName, "relu2", lambda: top_patches(DIGITS, IMAGES, "rellu2", 0)),
        (InputError, "channel 16", lambda: top_patches(DIGITS, IMAGES, "relu2", 16)),
        (InputError, r"\(16, 8, 8\)", lambda: receptive_field(DIGITS, "relu2", (0, 8, 0))),
        (Inapplicable, "its own receptive field", lambda: receptive_field(DIGITS, "image", (0, 0, 0))),
        (ShapeError, "one sample", lambda: semantic_dictionary(DIGITS, IMAGES[:2], "relu2")),
        (InputError, "16 channels", lambda: semantic_dictionary(DIGITS, IMAGES[:1], "relu2", 17)),
        (InputError, "relax", lambda: blocks(DIGITS, IMAGES[:1], "relu1", 3, path="integrated", relax=True)),
        (UnknownName, "relu2", lambda: blocks(DIGITS, IMAGES[:1], "logits", ("relu2", (0, 0, 0)))),
        (InputError, "12 samples|11 samples", lambda: neighbours(np.eye(12), k=12)),
        (Inapplicable, "length 0", lambda: neighbours(np.zeros((3, 2)), k=1, metric="cosine")),
        (ShapeError, "one of each", lambda: advantages([1], [1, 2])),
        (Inapplicable, "no low and no high", lambda: responses(np.eye(4), np.ones((4, 1)))),
        (Inapplicable, "no grid", lambda: atlas(np.ones((4, 2)), np.ones((4, 2)))),
    ):
        with pytest.raises(error, match=words):
            call()


def test_an_operator_without_a_row_is_an_error():
    from xaicore.ops import CumSum, Sin

    b = Builder()
    graph = b.build(b.add(CumSum(1), b.add(Sin(), b.input("x", (None, 4)), name="wave"), name="run"))
    assert receptive_field(graph, "run", 2).mask.tolist() == [True, True, True, False]
    from xaicore.ops import Det, ReduceMax

    b = Builder()
    x = b.input("x", (None, 2, 3, 3))
    graph = b.build(b.add(Det(), x, name="det"), b.add(ReduceMax((2,)), x, name="top"))
    assert receptive_field(graph, "top", (1, 2)).mask.tolist() == [np.zeros((3, 3)).tolist(), [[False, False, True]] * 3]
    with pytest.raises(UncoveredNode, match="Det"):
        receptive_field(graph, "det", 1)
