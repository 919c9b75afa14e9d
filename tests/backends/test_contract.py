"""The contract of backends/README.md on the backends that come with xaicore: one check for all, called as a third party calls it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xaicore.testing import BackendReport, check_backend

ALWAYS = {"interface", "imports", "refusals", "conversion", "forward", "batch", "dtypes", "determinism", "planted difference", "parameters once",
          "layer names", "constants", "model not changed"}
"""What can be checked on any backend; which other laws apply says each test."""


def kept(report: BackendReport, *more: str) -> None:
    """No law is broken, and these were not skipped."""
    report.require()
    assert {law for law in {*ALWAYS, *more} if report.status(law) != "holds"} == set(), str(report)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


# ----- torch ------------------------------------------------------------------------------------------------------------


def test_torch() -> None:
    torch = pytest.importorskip("torch")
    from torch import nn

    from tests.backends.torch_cases import shake

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.again, self.head = nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 3)

        def forward(self, x: Any) -> Any:
            h = torch.tanh(self.first(x))
            return self.head(torch.relu(self.again(torch.relu(self.again(h)))))

    def gradient(model: Any, xs: tuple[np.ndarray, ...], seeds: tuple[np.ndarray, ...]) -> Any:
        x = torch.tensor(xs[0], requires_grad=True)
        return [torch.autograd.grad(model(x), x, torch.tensor(seeds[0]))[0].numpy()]

    photo = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 4), nn.Softmax(-1))
    calls = {"first": 1, "again": 2, "head": 1}
    report = check_backend(
        "torch", {"twice": (shake(Twice()), torch.tensor(draw(2, 4))), "photo": (shake(photo), torch.tensor(draw(2, 2, 6, 6)))},
        forward=lambda m, xs: m(torch.tensor(xs[0])).detach().numpy(), gradient=gradient,
        layers=lambda m: calls if isinstance(m, Twice) else [str(k) for k in range(7)],
        weights=lambda m: {k: v.detach().numpy() for k, v in m.named_parameters()},
        refused=[(nn.Sequential(nn.Linear(4, 4), nn.Dropout()).double().train(), torch.tensor(draw(2, 4)), "Dropout")])
    kept(report, "gradient", "one node per call", "parameter names", "layout", "round trip")


# ----- ONNX -------------------------------------------------------------------------------------------------------------


def test_onnx() -> None:
    onnx = pytest.importorskip("onnx")
    from tests.backends.onnx_models import model, node, opinions

    rows = model([node("Gemm", "x w b", "h", transB=1, name="/first/Gemm"), node("Relu", "h", "r", name="/act/Relu"), node("Gemm", "r w b", "y", transB=1, name="/second/Gemm")],
                 {"x": draw(2, 4)}, "y", {"w": draw(4, 4, seed=1), "b": draw(4, seed=2)})
    turned = model([node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("Conv", "t w b", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "r"),
                    node("GlobalAveragePool", "r", "g"), node("Flatten", "g", "f"), node("Softmax", "f", "y")],
                   {"x": draw(2, 5, 6, 3)}, "y", {"w": draw(4, 3, 3, 3, seed=1), "b": draw(4, seed=2)})
    odd = model([node("Unique", "x", "y", axis=1)], {"x": draw(2, 4)}, "y")
    report = check_backend(
        "onnx", {"rows": (rows, draw(2, 4)), "turned": (turned, draw(2, 5, 6, 3))},
        forward=lambda m, xs: opinions(m, {"x": xs[0]})["onnx.reference"],
        layers=lambda m: [n.name.split("/")[1] for n in m.graph.node if n.name], weights=lambda m: {i.name: onnx.numpy_helper.to_array(i) for i in m.graph.initializer},
        refused=[(odd, draw(2, 4), "Unique")])
    kept(report, "parameter names", "layout", "round trip")


# ----- Keras ------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_keras() -> None:
    from tests.backends.keras_compare import keras, redraw, run_keras, small_cnn, torch

    shared = keras.layers.Dense(4, activation="tanh", name="shared")
    x = keras.Input((4,), name="x")
    twice = redraw(keras.Model(x, keras.layers.Dense(3, name="head")(shared(shared(x))), name="twice"))
    odd = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x, name="mine")])

    def gradient(model: Any, xs: tuple[np.ndarray, ...], seeds: tuple[np.ndarray, ...]) -> Any:
        fed = torch.tensor(xs[0].astype("float32"), requires_grad=True)
        (y,) = run_keras(model, (fed,))
        return [torch.autograd.grad(y, fed, torch.tensor(seeds[0].astype("float32")))[0].numpy()]

    report = check_backend(
        "keras", {"twice": (twice, draw(2, 4)), "photo": (redraw(small_cnn()), draw(2, 8, 8, 3))}, gradient=gradient,
        forward=lambda m, xs: [y.detach().numpy() for y in run_keras(m, tuple(torch.tensor(x.astype("float32")) for x in xs))],
        layers=lambda m: {"shared": 2, "head": 1} if m is twice else ["first", "norm", "side", "sum", "pool", "flat", "head"],
        weights=lambda m: {w.path: w.numpy() for w in m.weights}, refused=[(odd, draw(2, 4), "Lambda")],
        frameworks=["torch", "h5py"])                                   # what Keras runs on here, and what its files are read with
    kept(report, "gradient", "one node per call", "layout", "parameter names")


# ----- scikit-learn -----------------------------------------------------------------------------------------------------


def test_sklearn() -> None:
    pytest.importorskip("sklearn")
    import xaicore_sklearn
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    X = draw(30, 5)
    y = (X[:, 0] > 0) + (X[:, 1] > 0.5).astype(int)
    mlp = make_pipeline(StandardScaler(), MLPClassifier((6,), solver="lbfgs", max_iter=20, random_state=0)).fit(X, y)

    def weights(model: Any) -> dict[str, np.ndarray]:
        if isinstance(model, LogisticRegression):
            return {"coef_": model.coef_, "intercept_": model.intercept_}
        return {"standardscaler.mean_": model[0].mean_, **{f"mlpclassifier.coefs_.{k}": w for k, w in enumerate(model[1].coefs_)}}

    report = check_backend(                                             # the module, for the installed entry points may be older than this file
        xaicore_sklearn, {"pipeline": (mlp, X[:3]), "logistic": (LogisticRegression().fit(X, y), X[:3])},
        forward=lambda m, xs: m.predict_proba(xs[0]), weights=weights, frameworks=["sklearn"],
        layers=lambda m: ["standardscaler", "mlpclassifier.layer0", "mlpclassifier.layer1"] if m is mlp else ["LogisticRegression".lower()],
        refused=[(DecisionTreeClassifier().fit(X, y), X[:3], "DecisionTreeClassifier")])
    kept(report, "parameter names")
    assert report.status("round trip") == report.status("layout") == "does not apply"
