"""One call for many methods and metrics; controls; reasons; mistakes; JSON; pictures."""

import json

import numpy as np
import pytest

import xaicore as xc
from tests.metrics.subjects import feature_net, picture, picture_net, shown
from xaicore.errors import Inapplicable, InputError, ShapeError, UnknownName
from xaicore.metrics import CONTROLS, METRICS, Missing, subject
from xaicore.metrics.evaluate import kendall

X = np.random.default_rng(0).random((2, 2, 5, 6))
F = np.random.default_rng(1).normal(size=(3, 6))


def test_a_table():
    e = xc.evaluate(picture_net(), X, ["gradient", ("smoothgrad", {"samples": 3, "seed": 1}), "control.random", "control.sobel", "control.contrast"],
                    ["deletion", ("road", {"order": "combined", "measure": "f"}), "sparseness", "pointing_game"], [0, 1], steps=5)
    assert e.methods == ("gradient", "smoothgrad:samples=3,seed=1", "control.random", "control.sobel", "control.contrast")
    assert e["gradient", "deletion"].extras["counts"].tolist() == [0, 6, 12, 18, 24, 30]
    assert isinstance(e["gradient", "pointing_game"], Missing)
    assert "truth=" in e.reasons()["gradient", "pointing_game"]
    assert set(e.ranking("deletion").values()) == {1, 2, 3, 4, 5}
    best = min(e.methods, key=lambda m: e.mean(m, "deletion"))
    assert e.ranking("deletion")[best] == 1
    with pytest.raises(InputError, match="do not|does not judge"):
        e.ranking("sparseness")
    document = json.loads(e.to_json())
    assert {v["metric"] for v in document["scores"]} == {"deletion", "road:order=combined,measure=f", "sparseness", "pointing_game"}
    assert document["metrics"]["road:order=combined,measure=f"]["id"] == "road"
    assert document["metrics"]["deletion"]["settings"] == {"steps": 5}
    assert str(e).count("\n") == 5
    assert set(e.agreement()) == {("deletion", "road:order=combined,measure=f")}


def test_another_order_may_turn_better_around():
    """Small is good for ROAD and pixel flipping by default, large for the least important first and for the difference of both."""
    for id, order, better in (("road", "descending", "smaller"), ("road", "combined", "larger"), ("road", "ascending", "larger"), ("pixel_flipping", "ascending", "larger"),
                              ("region_perturbation", "descending", "larger"), ("region_perturbation", "ascending", "smaller")):
        e = xc.evaluate(picture_net(), X, ["gradient_x_input", "control.random"], (id, {"order": order}), [0, 1])
        (label,) = e.metrics
        assert e.metrics[label].better == better
        first = min(e.methods, key=lambda m: e.mean(m, label) * (1 if better == "smaller" else -1))
        assert e.ranking(label)[first] <= 1.5


def test_functions_and_numbers_are_methods():
    """A map of another library is judged without being computed here; what asks a method again says that it cannot."""
    e = xc.evaluate(feature_net(), F, {"ours": "gradient_x_input", "function": lambda graph, feeds, target: feeds["x"], "numbers": F},
                    ["faithfulness.estimate", "sensitivity.max"])
    assert e.mean("function", "faithfulness.estimate") == e.mean("numbers", "faithfulness.estimate")
    assert "given as numbers" in e.reasons()["numbers", "sensitivity.max"]
    assert e.mean("function", "sensitivity.max") > 0


def test_a_method_that_does_not_apply_leaves_its_reason():
    e = xc.evaluate(feature_net(), F, ["grad_cam", "gradient"], ["entropy"])
    assert e.mean("grad_cam", "entropy") is None
    assert e.reasons()["grad_cam", "entropy"]
    assert e.mean("gradient", "entropy") > 0


def test_everything_by_default():
    """All metrics but those that need more than the model; each either gives numbers or a reason."""
    e = xc.evaluate(picture_net(), X, "gradient", None, [0, 1], samples=2, steps=4)
    assert set(e.metrics) == {k for k, r in METRICS.items() if not {"truth", "human", "fixations", "data"} & set(r.needs)}
    assert {k for (_, k), v in e.reasons().items()} == {"pic.sic", "pic.aic"}


def test_controls():
    feeds = {"x": X}
    for name, control in CONTROLS.items():
        maps = control(picture_net(), feeds, None)
        assert len(maps["x"]) == 2, name
    sobel = CONTROLS["control.sobel"](picture_net(), {"x": np.broadcast_to(np.arange(6.0), (1, 2, 5, 6))}, None)["x"]
    assert (sobel[0, 0, :, 1:-1] == 8).all()                           # 1 + 2 + 1, times the step of 2 between neighbours
    with pytest.raises(Inapplicable, match="images"):
        CONTROLS["control.sobel"](feature_net(), {"x": F}, None)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: xc.evaluate(feature_net(), F, "gradiant"), UnknownName, "gradient"),
    (lambda: xc.evaluate(feature_net(), F, "gradient", "deletoin"), UnknownName, "deletion"),
    (lambda: xc.evaluate(feature_net(), F, "gradient", ("deletion", {"step": 3})), UnknownName, "steps"),
    (lambda: xc.evaluate(feature_net(), F, "gradient", "deletion", trouth=1), UnknownName, "none of the chosen metrics"),
    (lambda: xc.evaluate(feature_net(), F, []), InputError, "methods is empty"),
    (lambda: xc.evaluate(feature_net(), F, "gradient", []), InputError, "metrics is empty"),
    (lambda: xc.evaluate(feature_net(), F, [F]), InputError, "labels"),
    (lambda: xc.evaluate(feature_net(), F, ["gradient", "gradient"]), InputError, "two methods"),
    (lambda: xc.evaluate(feature_net(), F, 3), InputError, "methods=int"),
    (lambda: subject(feature_net(), F, F[:2]), ShapeError, "shape"),
    (lambda: subject(feature_net(), F, F * np.nan), InputError, "finite"),
    (lambda: subject(feature_net(), F, np.array([["a"] * 6] * 3)), InputError, "dtype"),
    (lambda: subject(feature_net(), F, lambda graph, feeds, target: F, samples=3), UnknownName, "samples"),
    (lambda: METRICS["pointing_game"].run(picture(), truth=np.ones((4, 4))), ShapeError, r"\(5, 6\)"),
    (lambda: METRICS["pointing_game"].run(picture(), truth=np.full((5, 6), 2)), InputError, "truth holds 2"),
    (lambda: METRICS["pointing_game"].run(picture()), Inapplicable, "truth="),
    (lambda: METRICS["fixation.nss"].run(picture(), fixations=np.full((5, 6), 0.5)), InputError, "whole numbers"),
    (lambda: METRICS["fixation.cc"].run(picture(), human=-np.ones((5, 6))), InputError, "density"),
    (lambda: METRICS["fixation.emd"].run(picture(), human=np.ones((5, 6)), grid=0), InputError, "grid"),
    (lambda: METRICS["deletion"].run(picture(), baseline="gray"), UnknownName, "mean"),
    (lambda: METRICS["deletion"].run(picture(), baseline=np.zeros(3)), ShapeError, "baseline"),
    (lambda: METRICS["deletion"].run(picture(), steps=0), InputError, "steps"),
    (lambda: METRICS["deletion"].run(picture(), sign="negative"), UnknownName, "positive"),
    (lambda: METRICS["insertion"].run(shown((1, 2, 3))), Inapplicable, "blurred"),
    (lambda: METRICS["top_k_intersection"].run(picture(), truth=np.ones((5, 6)), k=31), InputError, "31"),
    (lambda: METRICS["irof"].run(picture(), segments="slick"), UnknownName, "slic"),
    (lambda: METRICS["irof"].run(shown((1, 2, 3)), segments="felzenszwalb"), InputError, "images"),
    (lambda: METRICS["road"].run(shown((1, 2, 3))), Inapplicable, "image"),
    (lambda: METRICS["road"].run(picture(), shares=(1.5,)), InputError, "0 to 1"),
    (lambda: METRICS["region_perturbation"].run(picture(), window=(2,)), InputError, "axes of space"),
    (lambda: METRICS["local_lipschitz"].run(picture(), radius=0), InputError, "above 0"),
    (lambda: METRICS["local_lipschitz"].run(shown((1, 2, 3))), Inapplicable, "given as numbers"),
    (lambda: METRICS["continuity"].run(shown((1, 2, 3))), Inapplicable, "axes of space"),
    (lambda: METRICS["continuity"].run(picture(), shifts=6), InputError, "width"),
    (lambda: METRICS["mprt"].run(picture(), mode="cascade"), UnknownName, "cascading"),
    (lambda: METRICS["random_logit"].run(subject(feature_net(), F, "gradient", np.ones(3))), InputError, "weighted sum"),
    (lambda: METRICS["sufficiency"].run(shown((1, 2, 3))), Inapplicable, "two at least"),
    (lambda: METRICS["input_invariance"].run(picture(), shift=np.ones(4)), InputError, "shift"),
    (lambda: METRICS["infidelity"].run(picture(), perturb="blur"), UnknownName, "gaussian"),
    (lambda: METRICS["faithfulness.correlation"].run(picture(), subset=31), InputError, "31 of 30"),
    (lambda: METRICS["pic.sic"].run(picture()), Inapplicable, "1 or 3 channels"),
    (lambda: METRICS["roar"].run(picture("gradient")), Inapplicable, "data="),
], ids=range(42))
def test_mistakes_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_kendall():
    from scipy import stats

    a, b = np.random.default_rng(0).integers(0, 4, (2, 12))
    assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b)[0])
    assert np.isnan(kendall([1, 1], [1, 2]))


def test_pictures():
    from xaicore.show.evaluation import chart, curves, scores

    e = xc.evaluate(picture_net(), X, ["gradient", "control.random"], ["deletion", "entropy", "pointing_game"], [0, 1], steps=3)
    image = chart(e, "a title")
    assert image.width > 300
    assert image.tobytes() == chart(e, "a title").tobytes()
    assert "deletion" in str(scores(e))
    assert curves({"one": [1, 0.5], "two": [0.9, 0.8]}, [0, 0.5], "accuracy").size == (560, 320)


def last():
    """picture_net with its channels behind."""
    from xaicore import Builder
    from xaicore.ops import Transpose

    g = picture_net()
    b = Builder("last")
    x = b.input("x", (None, 5, 6, 2))
    first = b.add(Transpose((0, 3, 1, 2)), x)
    for k, v in g.params.items():
        b.param(k, v)
    for node in g.nodes:
        b.keep(node, [first if i == "x" else i for i in node.inputs])
    from dataclasses import replace

    return replace(b.build(*g.outputs), meta={"layout.x": "NHWC"})


def test_channels_behind_are_channels():
    """The same picture with its channels as the last axis: the same scores."""
    truth = np.random.default_rng(4).random((5, 6)) > 0.5
    chosen = ["deletion", "region_perturbation", "irof", "road", "insertion", "continuity", "relevance_mass", "file_size", "mprt.efficient", "random_logit", "entropy"]
    settings = {"truth": truth, "steps": 4, "baseline": 0, "sigma": 0.0, "shifts": 2}
    one = xc.evaluate(picture_net(), X, "gradient_x_input", chosen, [0, 1], **settings)
    two = xc.evaluate(last(), X.transpose(0, 2, 3, 1), "gradient_x_input", chosen, [0, 1], **settings)
    for k in chosen:
        assert one.mean("gradient_x_input", k) == pytest.approx(two.mean("gradient_x_input", k), rel=1e-9), k


def test_rational_numbers():
    """In exact mode what needs no draw runs, and the rest says why not."""
    from tests.nets import NET_A

    e = xc.evaluate(NET_A.astype("exact"), [[3, 1]], "gradient_x_input", None, 0)
    assert e.mean("gradient_x_input", "deletion") == 0.25
    assert e.mean("gradient_x_input", "completeness") == 0
    assert e.mean("gradient_x_input", "input_invariance") == 5 / 6
    assert "rational" in e.reasons()["gradient_x_input", "mprt"]


def test_two_inputs():
    """Features of both are features; what is about one picture says so."""
    from xaicore import Builder
    from xaicore.ops import Concat, Dense, Flatten

    rng = np.random.default_rng(0)
    b = Builder("two")
    both = b.add(Concat(1), b.input("p", (None, 3)), b.add(Flatten(), b.input("q", (None, 1, 4, 4))))
    g = b.build(b.add(Dense(), both, b.param("w", rng.normal(size=(3, 19)))))
    feeds = {"p": rng.normal(size=(2, 3)), "q": rng.normal(size=(2, 1, 4, 4))}
    e = xc.evaluate(g, feeds, "gradient_x_input", ["faithfulness.estimate", "non_sensitivity", "pointing_game", "irof"], [0, 1],
                    truth={"p": [1, 0, 0], "q": np.eye(4)})
    assert e.mean("gradient_x_input", "faithfulness.estimate") == pytest.approx(1)
    assert e.mean("gradient_x_input", "non_sensitivity") == 0
    assert e.mean("gradient_x_input", "pointing_game") is not None
    assert "one explained input" in e.reasons()["gradient_x_input", "irof"]
