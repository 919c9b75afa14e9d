"""Each axiom where it is known to hold, to fail and not to apply; every arithmetic, shape and target that can be checked.

How an axiom changes a graph is tested in test_constructions.py, what check says and refuses in test_report.py.
"""

from __future__ import annotations

import numpy as np
import pytest

import xaicore as xc
from tests.nets import NET_A, NET_B, X_A, X_B
from tests.oracle.planted import CHEAP, attending, check_one, cnn, image, normed, saturated, several, tiny, tiny_image
from xaicore import Builder
from xaicore.errors import InputError
from xaicore.ops import Conv, Dense, Embedding, Exp, Flatten, Identity, Log, ReLU, Sum
from xaicore.oracle import constructions as made
from xaicore.oracle.axioms import AXIOMS
from xaicore.oracle.strategies import numbers

# ----- holds, fails, does not apply ---------------------------------------------------------------------------------

KNOWN = [
    # axiom, method, graph, x, target, settings, status, a part of the reason
    ("completeness", "deeplift.rescale", cnn(), image(3), 1, {}, "holds", "f(x) - f(baseline) - sum"),
    ("completeness", "integrated_gradients.exact", cnn(), image(2), 1, {}, "holds", "f(baseline)"),
    ("completeness", "lrp.zero", NET_A, X_A, None, {}, "holds", "f(x) - sum"),
    ("completeness", "lrp.zero", NET_B, X_B, None, {}, "fails", "f(x) - sum"),
    ("completeness", "lrp.zero", NET_B, X_B, None, {"bias": "ignore"}, "holds", "f(x) - sum"),
    ("completeness", "integrated_gradients", NET_B, X_B, None, {"quadrature": "left", "steps": 4}, "fails", "the quadrature's error at steps=4"),
    ("completeness", "grad_cam", cnn(), image(1), 0, {}, "does not apply", "one map of shape (1, 1, 4, 4) at 'image', whose shape is (1, 2, 4, 4)"),
    ("completeness", "gradient", cnn(), image(1), 0, {"layer": "conv1"}, "does not apply", "at 'conv1', which is no input"),
    ("conservation", "lrp.epsilon", NET_B, X_B, None, {"eps": 0.5}, "holds", "with bias='ignore', eps=0"),
    ("conservation", "deeplift.rescale", cnn(), image(3), 0, {}, "holds", "largest leak at node"),
    ("conservation", "lrp.alpha_beta", NET_A, X_A, None, {}, "does not apply", "node 'fc1' keeps 1, all of it at 1 neurons"),
    ("conservation", "lrp.zero", normed(), numbers(np.random.default_rng(0), (2, 3, 4)), 0, {}, "holds", "with bias='ignore'"),
    ("conservation", "lrp.zero", attending(), numbers(np.random.default_rng(0), (2, 3)), 0, {}, "does not apply",
     "the rule taylor_softmax of Softmax does not conserve by its own formula"),
    ("conservation", "gradient_x_input", NET_A, X_A, None, {}, "does not apply", "a gradient is no quantity that is passed on"),
    ("conservation", "occlusion", NET_A, X_A, None, {}, "does not apply", "the method keeps no ledger"),
    ("sensitivity_a", "gradient", saturated(), [[2.0]], None, {}, "fails", "1 single features compared"),
    ("sensitivity_a", "integrated_gradients.exact", saturated(), [[2.0]], None, {}, "holds", "1 single features compared"),
    ("sensitivity_a", "deeplift.rescale", saturated(), [[2.0]], None, {"baseline": 1.5}, "does not apply", "none of 1 single features changed"),
    ("sensitivity_a", "gradient", NET_A, X_A * 0, None, {}, "does not apply", "the input equals the baseline"),
    ("sensitivity_a", "gradient", cnn(batch=1), image(1), 0, {}, "does not apply", "a fixed batch"),
    ("dummy", "gradient", cnn(), image(2), 0, {}, "holds", "multiplied by 0, or whose effects cancel"),
    ("dummy", "lrp.flat", cnn(), image(2), 0, {}, "fails", "multiplied by 0, or whose effects cancel"),
    ("dummy", "deeplift.rescale", cnn(), image(2), 0, {}, "fails", "whose effects cancel"),
    ("dummy", "occlusion", cnn(), image(2), 0, {}, "fails", "multiplied by 0"),
    ("dummy", "lrp.z_box", cnn(), image(2), 0, {"low": -np.ones((2, 1, 1)), "high": 1}, "holds", "that are multiplied by 0"),
    ("symmetry", "lrp.gamma", cnn(), image(2), 0, {}, "holds", "its own mirror image"),
    ("symmetry", "smoothgrad", cnn(), image(2), 0, {"samples": 2, "sigma": 0.5}, "fails", "its own mirror image"),
    ("symmetry", "gradient", saturated(), [[2.0]], None, {}, "does not apply", "no two features side by side"),
    ("symmetry", "lrp.z_box", NET_B, X_B, None, {"low": np.array([-1.0, -2.0]), "high": 3}, "does not apply", "low differs between a feature"),
    ("linearity", "lrp.zero", cnn(), image(2), 0, {}, "holds", "2 f_"),
    ("linearity", "saliency", cnn(), image(2), 0, {}, "fails", "2 f_"),
    ("linearity", "gradient", NET_A, X_A, None, {}, "does not apply", "the explained value has shape (N, 1)"),
    ("linearity", "gradient", cnn(), image(2), lambda b, y: b.add(Sum((1,)), y), {}, "does not apply", "the target is a callable"),
    ("implementation_invariance", "integrated_gradients.exact", cnn(), image(1), 0, {}, "holds", "x rewritten as"),
    ("implementation_invariance", "guided_backprop", cnn(), image(2), 0, {}, "fails", "x rewritten as"),
    ("implementation_invariance", "deeplift.rescale", cnn(), image(2), 0, {}, "fails", "p = q"),
    ("implementation_invariance", "lrp.z_plus", cnn(), image(2), 0, {}, "fails", "x rewritten as"),
    ("input_shift", "gradient", cnn(), image(2), 0, {}, "holds", "explained at x + m"),
    ("input_shift", "gradient_x_input", cnn(), image(2), 0, {}, "fails", "explained at x + m"),
    ("input_shift", "integrated_gradients.exact", NET_B, X_B, None, {}, "fails", "settings (also a baseline) unchanged"),
    ("batch_invariance", "smoothgrad", cnn(), image(3), [0, 1, 2], {"samples": 3}, "holds", "one by one"),
    ("batch_invariance", "lrp.epsilon", cnn(), image(1), 0, {}, "holds", "alone against in a batch of 4"),
    ("batch_invariance", "gradient", cnn(batch=1), image(1), 0, {}, "does not apply", "a fixed batch"),
    ("determinism", "smoothgrad", cnn(), image(2), 0, {"samples": 3, "seed": 7}, "holds", "two runs, bit for bit"),
    ("determinism", "gradient", cnn(batch=1), image(1), 0, {}, "holds", "two runs"),
]


@pytest.mark.parametrize(("axiom", "method", "graph", "x", "target", "settings", "status", "reason"), KNOWN,
                         ids=[f"{k[0]}-{k[1]}-{k[6]}-{n}" for n, k in enumerate(KNOWN)])
def test_known_verdicts(axiom, method, graph, x, target, settings, status, reason):
    found = check_one(axiom, method, graph, x, target, **settings)
    assert found.status == status, found
    assert reason in found.reason
    if status == "does not apply":
        assert found.residual is None
        assert not found.broken
    else:
        assert (found.residual <= found.tolerance) == (status == "holds")


def test_every_axiom_has_all_that_it_can_have():
    """Holds and fails for each; only determinism and batch invariance are kept by every method of the table."""
    seen = {(k[0], k[6]) for k in KNOWN}
    assert {a for a, s in seen if s == "holds"} == set(AXIOMS)
    assert set(AXIOMS) - {a for a, s in seen if s == "fails"} == {"determinism", "batch_invariance", "conservation"}
    assert {a for a, s in seen if s == "does not apply"} == set(AXIOMS) - {"implementation_invariance", "input_shift", "dummy", "determinism"}


def test_residuals_are_the_known_numbers():
    """NET B: f = 4, LRP-0 reaches 5 with the bias -1 in the denominators; x = 2 against 0 changes the saturated unit by 1."""
    assert check_one("completeness", "lrp.zero", NET_B, X_B).residual == pytest.approx(1)
    assert check_one("sensitivity_a", "gradient", saturated(), [[2.0]]).residual == 1
    assert check_one("completeness", "gradient", NET_A, X_A).residual == pytest.approx(abs(1 - (2 + -5)))


# ----- arithmetic, shapes, targets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 2])
def test_exact_mode_has_no_tolerance(samples):
    """Residuals of what holds are 0, not small; of what fails, rationals above 0."""
    report = xc.check(tiny(), tiny_image(samples), CHEAP, target=1)
    assert report.exit_code == 0
    for v in report:
        assert v.tolerance in (None, 0)
        assert v.residual is None or (v.residual == 0) == (v.status == "holds")
    assert sum(v.status == "holds" for v in report) > 50


def test_methods_without_an_exact_value_do_not_apply_there():
    report = xc.check(NET_A.astype("exact"), [[3, 1]], ["smoothgrad", "integrated_gradients", "gradient"], axioms=["dummy"])
    assert [v.status for v in report] == ["does not apply", "does not apply", "holds"]
    assert "drawn noise is not rational" in report.of("smoothgrad", "dummy").reason
    assert report.exit_code == 0


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("head", [False, True], ids=["logits", "softmax head"])
def test_cnn(samples, head):
    """No promise is broken, and the softmax head makes no difference to what is explained before it."""
    targets = [2, list(range(samples)), None]
    report = [xc.check(cnn(head), image(samples), CHEAP, target=t) for t in targets]
    for one in report:
        assert not one.broken, str(one)
    counts = [sum(v.status == "holds" for v in one) for one in report]
    assert min(counts) > 50


def test_a_probability_can_be_explained():
    settings = {m: {"output": "probability"} for m in ("gradient", "deeplift.rescale", "lrp.zero")}
    report = xc.check(cnn(head=True), image(2), list(settings), target=[0, 1], settings=settings)
    assert not report.broken
    assert report.of("deeplift.rescale", "completeness").status == "holds"
    assert report.of("gradient", "linearity").status == "holds"
    assert {v.status for v in report if v.method == "lrp.zero"} == {"does not apply"}
    assert "LRP starts at a logit" in report.of("lrp.zero", "dummy").reason


@pytest.mark.parametrize("target", [("one", 2), ("two", [1, 0]), ("two", np.array([0.5, -1.0])), ("one", lambda b, y: b.add(Sum((1,)), y))],
                         ids=["index", "per sample", "weights", "callable"])
def test_several_inputs_and_outputs(target):
    """Two floating inputs, token ids and a switch: constructions change the first floating one and leave the rest."""
    graph, feeds = several()
    report = xc.check(graph, feeds, CHEAP, target=target)
    assert not report.broken, str(report)
    assert report.of("gradient", "symmetry").status == "holds"
    assert report.of("deeplift.rescale", "completeness").status == "holds"
    assert report.of("gradient", "linearity").status == ("does not apply" if callable(target[1]) else "holds")


def test_a_model_of_token_ids_is_checked_behind_a_layer():
    rng = np.random.default_rng(0)
    b = Builder("tokens")
    words = b.add(Embedding(), b.param("table", numbers(rng, (5, 3))), b.input("ids", (None, 2), "int"), name="words")
    h = b.add(ReLU(), b.add(Dense(), b.add(Flatten(), words), b.param("w", numbers(rng, (4, 6)))))
    graph, ids = b.build(b.add(Dense(), h, b.param("v", numbers(rng, (2, 4))), name="scores")), [[0, 1], [4, 2]]
    report = xc.check(graph, ids, CHEAP, 1, settings={m: {"layer": "words"} for m in CHEAP})
    assert not report.broken, str(report)
    assert report.of("deeplift.rescale", "completeness").status == "holds"
    assert report.of("gradient", "symmetry").status == "holds"
    assert xc.check(graph, ids, axioms="conservation").exit_code == 5
    words = xc.check(graph, ids, ["shapley.exact", "kernel_shap", "feature_ablation", "occlusion"], 1)      # these take whole numbers
    assert not words.broken, str(words)
    assert words.of("shapley.exact", "completeness").status == words.of("kernel_shap", "linearity").status == "holds"
    assert words.of("feature_ablation", "sensitivity_a").status == "holds"
    with pytest.raises(InputError, match="explain a layer instead, for example layer='words'"):
        xc.check(graph, ids, "gradient")


def test_weights_as_many_as_samples_stay_weights():
    """Three classes, three samples: one weight for each class is no list of targets."""
    assert check_one("batch_invariance", "gradient", cnn(), image(3), np.array([0.5, 0.25, -1.0])).status == "holds"
    assert check_one("sensitivity_a", "deeplift.rescale", cnn(), image(3), np.array([0.5, 0.25, -1.0])).status == "holds"


def test_baselines_for_each_sample_follow_their_samples():
    x0 = image(3, seed=9)
    for method, setting in (("deeplift.rescale", "baseline"), ("simple_taylor", "root"), ("occlusion", "fill"), ("integrated_gradients", "baseline")):
        for value in (x0, {"image": x0}):
            report = xc.check(cnn(), image(3), method, 1, settings={method: {setting: value}})
            assert not report.broken, str(report)
            assert report.of(method, "batch_invariance").status == "holds"
    noise = np.random.default_rng(0).normal(size=(4, 3, 2, 4, 4))
    assert check_one("batch_invariance", "smoothgrad", cnn(), image(3), 1, noise=noise).status == "holds"


def test_channels_last_images_are_mirrored_sideways():
    from xaicore.ops import Transpose

    rng = np.random.default_rng(0)
    b = Builder()
    b.meta["layout.image"] = "NHWC"
    x = b.add(Transpose((0, 3, 1, 2)), b.input("image", (None, 4, 4, 2)))
    h = b.add(ReLU(), b.add(Conv(), x, b.param("k", numbers(rng, (3, 2, 3, 3))), name="conv"))
    graph, x = b.build(b.add(Dense(), b.add(Flatten(), h), b.param("w", numbers(rng, (2, 12))))), numbers(rng, (2, 4, 4, 2))
    assert made.mirror_axis(graph, "image", x) == 2
    assert made.mirror_axis(cnn(), "image", image()) == 3
    assert made.mirror_axis(NET_A, "x", X_A) == 1
    report = xc.check(graph, x, [*CHEAP, "lrp.z_box"], 0, settings={"lrp.z_box": {"low": -np.ones((2, 1, 1)), "high": 1}})
    assert not report.broken, str(report)
    assert report.of("lrp.z_box", "symmetry").status == "holds"         # a bound for each channel is even under the mirror


def test_kinks_ties_and_zeros_are_no_failure():
    """An image of one colour, an empty one, equal windows: everything ties, and what is promised still holds."""
    for x in (image(2) * 0, image(2) * 0 + 0.3, np.tile(image(1)[:, :, :2, :2], (2, 1, 2, 2))):
        report = xc.check(cnn(), x, CHEAP, target=0)
        assert not report.broken, str(report)


def test_a_constant_network_and_an_identity():
    b = Builder()
    constant = b.build(b.add(Dense(), b.input("x", (None, 2)), b.param("w", np.zeros((2, 2))), b.param("c", [1.0, 2.0])))
    c = Builder()
    same = c.build(c.add(Identity(), c.input("x", (None, 2)), name="same"))
    d = Builder()
    direct = d.build(d.input("x", (None, 2)))
    for graph in (constant, same, direct):
        report = xc.check(graph, [[1.0, -2.0], [0.5, 0.25]], CHEAP, target=1)
        assert not report.broken, str(report)


def test_an_input_with_a_domain_stays_in_it():
    """A logarithm of what a construction makes negative, an exponential of what it makes large: no verdict, and no crash."""
    for kind, x in ((Log(), [[1e-3, 2.0]]), (Exp(), [[700.0, 1.0]])):
        b = Builder()
        graph = b.build(b.add(Dense(), b.add(kind, b.input("x", (None, 2))), b.param("w", [[1.0, 2.0]])))
        report = xc.check(graph, x, ["gradient"])
        assert not report.broken
    assert xc.check(graph, [[700.0, 1.0]], "gradient", axioms="dummy").of("gradient", "dummy").status == "holds"
