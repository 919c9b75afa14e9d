"""Sanity checks: the known results on networks made for them, the controls, reasons and mistakes."""

import numpy as np
import pytest

from tests.nets import mlp
from xaicore import Builder
from xaicore.data import digits_images, digits_model
from xaicore.errors import InputError, UnknownName
from xaicore.ops import Conv, Dense, Flatten, ReLU
from xaicore.oracle.sanity import CHECKS, sanity
from xaicore.show.sanity import grid, reasons, sheet


def wide(seed=0, inputs=30, hidden=3000):
    """N6, N7: one wide random layer, whose guided backpropagation is the input."""
    rng = np.random.default_rng(seed)
    return mlp([rng.normal(size=(hidden, inputs)), rng.normal(size=(2, hidden)) / np.sqrt(hidden)], [None, None]), rng.normal(size=(1, inputs))


def test_guided_backpropagation_survives():
    g, x = wide()
    report = sanity(g, x, ["guided_backprop", "gradient"], 0, ["randomisation", "last_layer", "recovery", "class"], controls=False)
    assert report.of("guided_backprop", "last_layer").status == "fails"
    assert report.of("gradient", "last_layer").status == "passes"
    assert report.of("guided_backprop", "randomisation").figure > 0.9
    assert report.of("guided_backprop", "recovery").status == "fails"
    assert report.of("guided_backprop", "class").figure > 0.9
    assert report.of("gradient", "randomisation").status == "passes"
    assert report.survivors == ("guided_backprop",)
    assert report.exit_code == 1
    assert "SURVIVES" in report.verdict("guided_backprop")
    assert report.verdict("gradient") == "passes all that apply"


def test_a_map_that_sees_all_layers_but_the_last():
    """Through three layers of random weights guided backpropagation is another picture, with other output weights it is the same."""
    rng = np.random.default_rng(0)
    g = mlp([rng.normal(size=(400, 20)), rng.normal(size=(400, 400)) / 20, rng.normal(size=(2, 400))], [None, rng.normal(size=400) / 4, None])
    report = sanity(g, rng.normal(size=(1, 20)), ["guided_backprop", "gradient"], 0, ["last_layer"], controls=False)
    assert report.of("guided_backprop", "last_layer").figure > 0.9
    assert report.of("gradient", "last_layer").figure < 0.7
    assert "last layer" in report.verdict("guided_backprop")
    assert report.survivors == ("guided_backprop",)


def test_z_plus_collapses_and_saturation_silences():
    """N8: z+ is class-insensitive in depth. N1: 1 - relu(1 - x) has no gradient at 2."""
    rng = np.random.default_rng(1)
    deep = mlp([rng.normal(size=(40, 40)) / 6 for _ in range(8)] + [rng.normal(size=(2, 40))], [None] * 9)
    x = abs(rng.normal(size=(1, 40)))
    report = sanity(deep, x, ["lrp.z_plus", "lrp.zero"], 0, ["collapse"], controls=False)
    assert report.of("lrp.z_plus", "collapse").status == "fails"
    assert report.of("lrp.zero", "collapse").status == "passes"
    saturated = mlp([[[-1.0]], [[-1.0]]], [[1.0], [1.0]])
    report = sanity(saturated, [[2.0]], ["gradient", "integrated_gradients"], 0, ["silence"], controls=False)
    assert report.of("gradient", "silence").figure == 1
    assert report.of("integrated_gradients", "silence").status == "passes"


def test_deconvnet_without_switches_does_not_see_the_input():
    """N17."""
    rng = np.random.default_rng(4)
    b = Builder()
    h = b.add(ReLU(), b.add(Conv(), b.input("x", (None, 1, 6, 6)), b.param("w", rng.normal(size=(3, 1, 3, 3))), name="conv"))
    g = b.build(b.add(Dense(), b.add(Flatten(), h), b.param("v", rng.normal(size=(2, 48))), name="fc"))
    report = sanity(g, rng.normal(size=(1, 1, 6, 6)), ["deconvnet", "gradient"], 0, ["input"], controls=False)
    assert report.of("deconvnet", "input").figure == pytest.approx(1)
    assert report.of("gradient", "input").status == "passes"


def test_sums_and_jumps():
    """N9: alpha 2 beta 1 on a neuron without a negative part. N10: LRP-0 near z = 0."""
    net_a = mlp([[[1.0, -1.0], [1.0, 2.0], [-1.0, 1.0]], [[3.0, -1.0, 2.0]]], [None, None])
    report = sanity(net_a, [[3.0, 1.0]], ["lrp.alpha_beta", "lrp.zero"], 0, ["sum"], controls=False)
    assert report.of("lrp.alpha_beta", "sum").figure == pytest.approx(1)
    assert report.of("lrp.zero", "sum").status == "passes"
    near = mlp([[[1.0, -1.999998]], [[1.0]]], [None, [1.0]])
    report = sanity(near, [[1.0, 0.5]], [("lrp.zero", {"bias": "ignore"}), "gradient"], 0, ["stability"], controls=False)
    assert report.of("lrp.zero:bias=ignore", "stability").status == "fails"
    assert report.of("gradient", "stability").status == "passes"


def test_complete_maps_do_not_tell_the_slope():
    """N12 on a network of two inputs, -1 and 2: h has slope 1 at x and is 0 at both ends, so complete maps give it nothing, by hand:
    integrated gradients ∫ h' = 0, DeepLIFT 2 (1/4) - 1/2 = 0. The gradient hears all of it, and so does LRP-0, by hand 2/4 · 1/(1/4) -
    1/2 · 1/(1/2) = 1: with its biases absorbed it is gradient * input (N4), and not complete."""
    g = mlp([[[1.0, -1.0], [0.5, 1.0]], [[1.0, 2.0], [0.0, 1.0]]], [[0.5, 0.25], None])
    x = [[-1.0, 2.0], [3.0, 1.0]]
    complete = ["integrated_gradients.exact", "deeplift.rescale"]
    report = sanity(g, x, [*complete, "gradient", "gradient_x_input", "lrp.zero", "lrp.epsilon", "occlusion"], [0, 1], ["slope"], controls=False)
    for method in complete:
        assert report.of(method, "slope").figure == pytest.approx(0, abs=1e-12)
        assert report.of(method, "slope").status == "fails"
    for method in ("gradient", "gradient_x_input", "lrp.zero", "lrp.epsilon"):
        assert report.of(method, "slope").figure == pytest.approx(1, rel=1e-5)     # eps of lrp.epsilon is 1e-6
    # t falls to 4/5 and 1/5 without the first and the second input: h there is -1/5 and 0, t loses 1/5 and 4/5
    assert report.of("occlusion", "slope").figure == pytest.approx((0.2 + 0.0) / (0.2 + 0.8))
    other = sanity(g, x, {"mine": lambda graph, feeds, target: feeds["x"] * 0, "gradient": "gradient"}, [0, 1], ["slope"], output="probability", controls=False)
    assert "logits" in other.of("gradient", "slope").words
    assert "goes around" in sanity(g, x, {"mine": lambda graph, feeds, target: feeds["x"] * 0}, [0, 1], ["slope"], controls=False).of("mine", "slope").words


def test_completeness_leaves_the_path_open():
    """N13: min(x1, x2) = x1 - relu(x1 - x2) at (2, ½): on the straight line x2 is the smaller, (0, ½), as when x1 goes first; when x2 goes
    first it is (½, 0), at a right angle. An additive f has one complete map."""
    g = mlp([[[1.0, 0.0], [1.0, -1.0]], [[1.0, -1.0]]], [None, None])
    methods = ["integrated_gradients.exact", "saliency"]
    report = sanity(g, [[2.0, 0.5]], methods, 0, ["path"], controls=False)
    assert report.of(methods[0], "path").figure == pytest.approx(0, abs=1e-12)
    assert report.of(methods[0], "path").status == "fails"
    assert "complete" in report.of("saliency", "path").words
    additive = mlp([[[1.0, 0.0], [0.0, 1.0]], [[1.0, -3.0]]], [None, None])
    assert sanity(additive, [[2.0, 1.0]], methods[:1], 0, ["path"], controls=False).of(methods[0], "path").figure == pytest.approx(1)


def test_second_derivatives_of_rectified_networks():
    """N18: with samples, ace of order 2 is that of order 1 on ReLUs, and is not on a cube (a square's curvature is the same for all values, and cancels); without samples it says what to give."""
    from xaicore.ops import Mul

    rng = np.random.default_rng(0)
    background, limits = rng.normal(size=(6, 2)), {"low": -1.0, "high": 1.0}
    rectified = mlp([rng.normal(size=(5, 2)), rng.normal(size=(1, 5))], [None, None])
    b = Builder()
    z = b.add(Dense(), b.input("x", (None, 2)), b.param("w", np.array([[1.0, 2.0]])))
    cubed = b.build(b.add(Mul(), b.add(Mul(), z, z), z))
    asked = {"ace": ("ace", {"background": background, **limits}), "bare": ("ace", limits), "first": ("ace", {"order": 1, **limits}), "deletion": ("global_saliency", {}),
             "gradient": "gradient"}
    for graph, curved in ((rectified, False), (cubed, True)):
        report = sanity(graph, [[0.5, -1.5]], asked, 0, ["curvature"], controls=False)
        for label in ("ace", "deletion"):
            found = report.of(label, "curvature")
            assert (found.status == "passes") is curved, (label, found)
            assert curved or "no curvature" in found.words
        assert "background=" in report.of("bare", "curvature").words
        assert "order=1" in report.of("first", "curvature").words
        assert "no second derivatives" in report.of("gradient", "curvature").words


def test_one_name_and_other_definitions():
    """N19: α2β1 beside α1β0 by hand on NET A's kind; what has one definition says so; vog without its checkpoints says what to give."""
    x, y = digits_images()
    report = sanity(digits_model(), x[:1], ["integrated_gradients", "gradient", ("smoothgrad", {"samples": 2, "seed": 0}), "vog", "rate"], int(y[0]), ["definition"], controls=False)
    assert "multiply=False" in report.of("integrated_gradients", "definition").words
    assert report.of("gradient", "definition").status == "does not apply"
    assert "smoothgrad_squared" in report.of("smoothgrad:samples=2,seed=0", "definition").words
    assert "checkpoints" in report.of("vog", "definition").words
    assert "data set" in report.of("rate", "definition").words
    trained = [mlp([[[1.0, 2.0]]], [None]), mlp([[[3.0, 2.0]]], [None]), mlp([[[8.0, 5.0]]], [None])]
    found = sanity(trained[-1], [[1.0, 1.0]], [("vog", {"checkpoints": trained})], 0, ["definition"], controls=False)
    variance = np.array([np.var([1, 3, 8]), np.var([2, 2, 5])])
    a = np.sqrt(variance)
    (one,) = found.findings
    assert one.figure == pytest.approx(a @ variance / np.sqrt(a @ a) / np.sqrt(variance @ variance))


def test_all_checks_on_digits(tmp_path):
    x, y = digits_images()
    report = sanity(digits_model(), x[:1], ["gradient_x_input", ("smoothgrad", {"samples": 2, "seed": 0}), ("integrated_gradients", {"steps": 4})], int(y[0]))
    assert {f.check for f in report} == set(CHECKS)
    assert report.of("gradient_x_input", "shift").status == "fails"
    assert report.of("gradient_x_input", "seed").status == "does not apply"
    assert report.of("smoothgrad:samples=2,seed=0", "seed").figure is not None
    assert report.of("integrated_gradients:steps=4", "baseline").figure is not None
    for control in ("control.random", "control.input", "control.sobel", "control.contrast"):
        assert report.of(control, "randomisation").status == "fails"
    assert "outline" in report.verdict("gradient_x_input")
    assert len(report.as_json()) == len(CHECKS) * 7
    assert all(f.words for f in report)
    assert str(grid(report)).count("\n") > 8
    assert len(reasons(report).rows) == len(report.findings)
    assert sheet(report, "digits").width > 600
    assert "gradient_x_input" in str(report)


def test_what_cannot_be_checked_says_so():
    g, x = wide(hidden=5)
    report = sanity(g, x, ["grad_cam"], 0, ["class", "sum"], controls=False)
    assert {f.status for f in report} == {"does not apply"}
    assert report.exit_code == 5
    assert report.verdict("grad_cam") == "was not checked"
    report = sanity(g, x, {"mine": lambda graph, feeds, target: feeds["x"]}, 0, ["seed", "rewriting", "question", "baseline"], controls=False)
    assert {f.status for f in report} == {"does not apply"}


def test_mistakes():
    g, x = wide(hidden=5)
    with pytest.raises(UnknownName, match="randomisation"):
        sanity(g, x, "gradient", checks=["randomization"])
    with pytest.raises(InputError, match="checks is empty"):
        sanity(g, x, "gradient", checks=[])
    with pytest.raises(UnknownName, match="gradient"):
        sanity(g, x, "gradiant")
