"""magika with its ONNX file: what docs/file_type.md says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.real.shared import DOCS, complete, example, is_small

pytest.importorskip("onnx")
pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def setup() -> tuple[Any, Any]:
    page = example("file_type", "magika", "onnx")
    return page, page.Model(verify=True)


@pytest.fixture(scope="module")
def results(setup: tuple[Any, Any]) -> dict[str, Any]:
    page, model = setup
    return {content: page.explain(model, content) for content in (page.PROGRAM, page.PAGE)}


def read(page: Any, model: Any, content: bytes) -> dict[str, float]:
    return dict(zip(model.labels, model.graph(page.tokens(content)[None])[0].tolist()))


def test_kinds_of_files_are_read(setup: tuple[Any, Any]) -> None:
    page, model = setup
    table = b"name,age\n" + b"".join(b"person%d,%d\n" % (i, i * 7 % 90) for i in range(60))
    picture = (DOCS / "digit.png").read_bytes()
    program = (DOCS / "photograph.py").read_bytes()
    for kind, content, least in (("csv", table, 0.99), ("png", picture, 0.99), ("python", program, 0.99), ("python", page.PROGRAM, 0.99), ("html", page.PAGE, 0.88)):
        assert read(page, model, content)[kind] > least


def test_values_are_those_of_onnxruntime(setup: tuple[Any, Any]) -> None:
    runtime = pytest.importorskip("onnxruntime")
    page, model = setup
    session = runtime.InferenceSession(str(page.file_of("magika", *page.MODEL, "model.onnx")))
    x = np.stack([page.tokens(c) for c in (page.PROGRAM, page.PAGE, (DOCS / "digit.png").read_bytes())]).astype("int32")
    theirs = session.run(None, {session.get_inputs()[0].name: x})[0]
    assert np.abs(model.graph(x) - theirs).max() < 1e-4                  # float32


def test_the_explanations_add_up(results: dict[bytes, dict[str, Any]]) -> None:
    for found in results.values():
        complete(found, quadrature=2e-2, conserved=1e-2)


def test_the_page_is_told_by_its_end_and_not_by_its_doctype(setup: tuple[Any, Any], results: dict[bytes, dict[str, Any]]) -> None:
    page, model = setup
    first, end = page.PAGE.split(b"\n", 1)[0], b"</body></html>\n"
    whole = read(page, model, page.PAGE)["html"]
    assert read(page, model, page.PAGE.replace(end, b""))["html"] < whole - 0.3
    assert read(page, model, page.PAGE[len(first) + 1:])["html"] > whole + 0.05
    for method in ("integrated_gradients", "deeplift.rescale"):
        v = page.per_byte(results[page.PAGE][method], page.PAGE)
        assert v[1:len(first)].sum() < 0 < v[-len(end):].sum()


def test_taking_away_what_the_maps_put_highest_and_lowest(setup: tuple[Any, Any], results: dict[bytes, dict[str, Any]]) -> None:
    """The table of the page: three maps know the bytes that matter, LRP's does not."""
    page, model = setup
    for content, found in results.items():
        x = page.tokens(content)
        target = int(model.core(x[None])[0].argmax())
        real = np.flatnonzero(x < page.PADDING)

        def without(places: np.ndarray, x: np.ndarray = x, target: int = target) -> float:
            return float(model.core(np.where(np.isin(np.arange(len(x)), places), page.PADDING, x)[None])[0, target])

        whole, count = without(np.array([])), len(real) // 10
        drops = {}
        for method, a in found.items():
            v = np.asarray(a)[0].sum(axis=-1)
            order = real[np.argsort(-v[real])]
            drops[method] = whole - without(order[:count]), whole - without(order[-count:])
        for method in ("gradient_x_input", "integrated_gradients", "deeplift.rescale"):
            assert drops[method][0] > 4
            assert drops[method][1] < -2
        assert abs(drops["lrp.epsilon"][0]) < 2
    is_small("file_type.png")
    is_small("file_type.html")
