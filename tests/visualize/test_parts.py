"""The parts of a search: parameterisations, transformations with their adjoints, regularisers, objectives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.nets import NET_A, X_A, close
from xaicore.data import digits_images, digits_model
from xaicore.errors import Inapplicable, InputError, ShapeError, UnknownName
from xaicore.visualize.image import DECORRELATE, Fourier, Pixels, Squash
from xaicore.visualize.objective import bind
from xaicore.visualize.objectives import (
    channel,
    class_logit,
    class_probability,
    direction,
    diversity,
    energy,
    l2,
    layer,
    match,
    neuron,
    style,
    total_variation,
)
from xaicore.visualize.optimize import SGD, Adam
from xaicore.visualize.regularize import Blur, ClipContribution, ClipNorm, ClipValue, Decay, Kernel, Mixed
from xaicore.visualize.search import gradient_at
from xaicore.visualize.transform import Fitted, Jitter, Padded, Rotated, Scaled, applied, pulled, standard

SEEDS = st.integers(0, 2**32 - 1)
DIGITS = digits_model()
IMAGES = digits_images()[0].astype(float)
IMAGES.flags.writeable = False                                         # whatever changes its input is found
TRANSFORMS = [Padded(2), Padded(2, mode="reflect"), Padded(1, mode="edge"), Jitter(3), Jitter(5, roll=True), Scaled((0.7, 0.9, 1.3)), Rotated((-25.0, 4.0, 90.0)),
              Fitted((7, 12)), Fitted((14, 3))]


# ----- transformations --------------------------------------------------------------------------------------------------


@given(seed=SEEDS, t=st.sampled_from(TRANSFORMS), h=st.integers(5, 9), w=st.integers(5, 9))
def test_the_adjoint_of_a_transformation(seed, t, h, w):
    """<T x - T 0, y> = <x, T'y>, to rounding: T is affine."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 3, h, w))
    step = t.draw(rng, x.shape)
    out = step.forward(x)
    y = rng.normal(size=out.shape)
    left = ((out - step.forward(x * 0)) * y).sum()
    assert abs(left - (x * step.adjoint(y, x, out)).sum()) < 1e-12 * x.size * 10
    assert (step.forward(x) == step.forward(x)).all()


@given(seed=SEEDS)
def test_the_adjoint_of_the_standard_sequence(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1, 3, 12, 11))
    steps, size = [], x
    for t in standard(4):
        steps.append(t.draw(rng, size.shape))
        size = steps[-1].forward(size)
    seen, zero = applied(steps, x), applied(steps, x * 0)
    y = rng.normal(size=size.shape)
    assert abs(((seen[-1] - zero[-1]) * y).sum() - (x * pulled(steps, seen, y)).sum()) < 1e-11 * x.size


def test_what_transformations_do():
    x = np.arange(12.0).reshape(1, 1, 3, 4)
    rng = np.random.default_rng(0)
    assert (Rotated((90.0,), 0).draw(rng, (1, 1, 3, 3)).forward(x[..., :3])[0, 0].round(9) == np.rot90(x[0, 0, :, :3])).all()
    assert (Rotated((0.0,), 0).draw(rng, x.shape).forward(x) == x).all()
    assert Padded(1).draw(rng, x.shape).forward(x)[0, 0, 0, 0] == 0.5
    assert Fitted((1, 2)).draw(rng, x.shape).forward(x).tolist() == [[[[5.0, 6.0]]]]
    cut = Jitter(1).draw(rng, x.shape).forward(x)
    assert cut.shape == (1, 1, 2, 3)
    assert set(cut.reshape(-1)) <= set(x.reshape(-1))
    assert Scaled((2.0,)).draw(rng, x.shape).forward(x).shape == (1, 1, 6, 8)
    seen = {tuple(Jitter(1).draw(rng, x.shape).forward(x).reshape(-1)) for _ in range(60)}
    assert len(seen) == 4                                             # every place occurs
    names = [str(t) for t in standard()]
    assert names[0] == "Padded(by=12, value=0.5, mode='constant')"
    assert "factors=(0.9, 0.92, 0.94, 0.96, 0.98, 1.0, 1.02, 1.04, 1.06, 1.08, 1.1)" in names[2]


# ----- parameterisations --------------------------------------------------------------------------------------------------


@given(seed=SEEDS, h=st.integers(2, 7), w=st.integers(2, 7), channels=st.sampled_from([1, 2, 3]))
def test_fourier_reaches_every_image(seed, h, w, channels):
    """of() and image() are inverse; pull is the adjoint, by central differences along a direction."""
    rng = np.random.default_rng(seed)
    f = Fourier(squash=Squash((-1.0, 2.0)))
    shape = (2, channels, h, w)
    x = rng.uniform(-0.9, 1.9, shape)
    p = f.of(x)
    assert close(f.image(p, shape), x)
    g, d = rng.normal(size=shape), rng.normal(size=p.shape) * 1e-6
    numeric = ((f.image(p + d, shape) - f.image(p - d, shape)) / 2 * g).sum()
    assert abs((f.pull(p, g, shape) * d).sum() - numeric) < 1e-6 * abs(numeric) + 1e-12
    start = f.start(np.random.default_rng(seed), shape)
    assert start.shape == p.shape


def test_the_scale_of_frequencies_and_the_colours():
    scale = Fourier().scale((1, 3, 8, 8))
    assert scale[0, 0] == 8 / (1 / 8)                                 # sqrt(64) / max(0, 1/8)
    assert close(scale[0, 4], 8 / 0.5)
    assert close(scale[3, 4], 8 / np.hypot(3 / 8, 1 / 2))
    assert np.linalg.cond(DECORRELATE) < 20
    assert Squash((0.0, 4.0))(np.zeros(1)) == 2
    x = np.array([0.1, 3.9, -7.0, 9.0])
    assert close(Squash((0.0, 4.0))(Squash((0.0, 4.0)).inverse(x)), [0.1, 3.9, 0.04, 3.96])
    assert (Pixels(0.5, 0.1).start(np.random.default_rng(0), (1, 1, 9, 9)) < 0.6).all()


# ----- regularisers -------------------------------------------------------------------------------------------------------


@given(seed=SEEDS, width=st.sampled_from([0.5, 1.0, 2.3]))
def test_blur_is_scipys(seed, width):
    from scipy.ndimage import gaussian_filter

    x = np.random.default_rng(seed).normal(size=(2, 3, 6, 5))
    assert close(Blur(width).after(x, x, 0), gaussian_filter(x, (0, 0, width, width)))
    assert (Blur(width, 4).after(x, x, 3) == x).all()


def test_clips_and_mixtures():
    x = np.array([[[[3.0, -1.0], [0.5, 2.0]], [[4.0, 0.0], [0.0, 0.0]]]])
    kept = ClipNorm(50).after(x, x, 0)[0]
    assert kept.tolist() == [[[3, 0], [0, 2]], [[4, 0], [0, 0]]]      # norms 5, 1, 0.5, 2: the median is 1.5
    g = np.array([[[[1.0, 9.0], [1.0, 1.0]], [[-0.75, 0.0], [0.0, 0.0]]]])
    kept = ClipContribution(50).after(x, g, 0)[0]
    assert kept[0].tolist() == [[0, -1], [0, 2]]                      # |3 - 3|, 9, 0.5, 2
    assert ClipValue(50).after(x, x, 0)[0].tolist() == [[[3, -1], [0, 2]], [[4, 0], [0, 0]]]      # 0 0 0 .5 1 2 3 4: the median is 0.75
    assert (Kernel((0, 1, 0)).after(x, g, 0) == x).all()
    assert close(Mixed(((1.0, Decay(0.5)), (3.0, Decay(0.0)))).after(x, g, 0), 0.875 * x)
    assert total_variation().terms[0].measure(np.full((1, 2, 4, 4), 0.7))[0][0] == 0
    with pytest.raises(InputError, match="between 0 and 100"):
        ClipNorm(120)


# ----- objectives ----------------------------------------------------------------------------------------------------------


@given(seed=SEEDS)
def test_diversity_does_not_see_the_order_of_images(seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(4, 3, 2, 2))
    order = rng.permutation(4)
    measure = diversity("l").terms[0].measure
    s, g = measure(a)
    t, h = measure(a[order])
    assert close(t, s[order])
    assert close(h, g[order])
    assert (measure(a[:1])[0] == 0).all()


def test_objectives_through_a_network():
    """Sums of objectives at several layers, seeds added up: by central differences along a direction."""
    rng = np.random.default_rng(0)
    x, d = rng.uniform(0, 1, (2, 1, 8, 8)), rng.normal(size=(2, 1, 8, 8)) * 1e-6
    objective = class_logit(3) - 0.5 * class_probability(8) + 2 * channel("conv2", 4) - layer("pool") + direction("fc1", rng.normal(size=32), 1) - 0.1 * l2()
    bound = bind(DIGITS, objective)
    g = bound.at(x)[1]
    numeric = (bound.at(x + d)[0] - bound.at(x - d)[0]) / 2
    assert close((g * d).reshape(2, -1).sum(axis=1), numeric, 1e-5)
    assert close(bind(DIGITS, class_probability(3)).at(x)[0], DIGITS(x)[:, 3])
    assert "logit of class 3" in str(objective)
    assert bind(DIGITS, match("relu2", bind(DIGITS, neuron("relu2", 0)).graph(x[:1]))).at(x)[0][0] <= 1e-20            # a squared rounding


def test_the_gradient_of_the_energy():
    """E69: on the network A the gradient of ½ |h|² is Wᵀ h = (2 + 5, -2 + 10)."""
    assert bind(NET_A, energy("relu1")).at(X_A)[1].tolist() == [[7, 8]]


def test_a_difference_is_the_difference_and_directions_are_channels():
    a, b = class_logit(3), class_logit(8)
    found = bind(DIGITS, a - b).at(IMAGES[:3])
    one, two = bind(DIGITS, a).at(IMAGES[:3]), bind(DIGITS, b).at(IMAGES[:3])
    assert close(found[0], one[0] - two[0])
    assert close(found[1], one[1] - two[1])
    rows = np.eye(16)[[2, 5]]
    many = bind(DIGITS, direction("relu2", rows)).at(IMAGES[:2])
    for n, c in enumerate((2, 5)):
        own = bind(DIGITS, channel("relu2", c)).at(IMAGES[n:n + 1])
        assert close(many[0][n:n + 1], own[0])
        assert close(many[1][n:n + 1], own[1])


def test_transformed_gradients_are_those_of_what_is_seen():
    rng = np.random.default_rng(1)
    x, d = rng.uniform(0, 1, (1, 1, 8, 8)), rng.normal(size=(1, 1, 8, 8)) * 1e-6
    steps, size = [], x
    for t in (Padded(2), Jitter(2), Rotated((7.0,)), Fitted((8, 8))):
        steps.append(t.draw(rng, size.shape))
        size = steps[-1].forward(size)
    bound = bind(DIGITS, class_logit(3) - l2())
    _, g = gradient_at(bound, x, steps)
    numeric = (gradient_at(bound, x + d, steps)[0] - gradient_at(bound, x - d, steps)[0]) / 2
    assert close([(g * d).sum()], numeric, 1e-5)


# ----- errors ---------------------------------------------------------------------------------------------------------------


def test_errors_say_what_to_do():
    x = IMAGES[:1]
    for error, words, call in (
        (UnknownName, "conv1", lambda: bind(DIGITS, channel("conv11", 0))),
        (InputError, "channels 0 to 15", lambda: bind(DIGITS, channel("conv2", 16)).at(x)),
        (InputError, "position", lambda: bind(DIGITS, neuron("conv2", 0, (9, 9))).at(x)),
        (InputError, "objective is expected", lambda: bind(DIGITS, "conv1")),
        (InputError, "from_model", lambda: bind(len, channel("conv1", 0))),
        (InputError, "float64", lambda: bind(DIGITS.astype("exact"), channel("conv1", 0))),
        (InputError, "finite number", lambda: channel("conv1", 0) * float("nan")),
        (ShapeError, "16", lambda: bind(DIGITS, direction("conv2", np.ones(3))).at(x)),
        (InputError, "not all 0", lambda: direction("conv2", np.zeros(3))),
        (ShapeError, "3 channels", lambda: bind(DIGITS, style("conv2", np.ones((3, 2, 2)))).at(x)),
        (ShapeError, "sample of layer", lambda: bind(DIGITS, match("conv2", np.ones((3, 2, 2)))).at(x)),
        (InputError, "above 0", lambda: SGD(0)),
        (InputError, r"\[0, 1\)", lambda: Adam(0.1, beta1=1.0)),
        (ShapeError, "pad before", lambda: Jitter(9).draw(np.random.default_rng(0), (1, 1, 8, 8))),
        (InputError, "the smaller one first", lambda: Squash((1.0, 0.0))),
        (InputError, "Pixels", lambda: Fourier().start(np.random.default_rng(0), (1, 4))),
    ):
        with pytest.raises(error, match=words):
            call()
    from xaicore import Builder
    from xaicore.ops import Detach, ReLU

    b = Builder()
    graph = b.build(b.add(ReLU(), b.add(Detach(), b.input("x", (None, 4)), name="cut"), name="out"))
    with pytest.raises(Inapplicable, match="no image changes it"):
        bind(graph, neuron("out", 0))
