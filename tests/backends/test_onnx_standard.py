"""The standard's own test suite, and models of others: slow, run with  pytest -m thorough.

How the node tests are chosen, tried and counted stands in onnx_suite.py.
"""

from __future__ import annotations

import glob
import logging
import os
import re
import warnings
from typing import Any

import numpy as np
import pytest
from xaicore_onnx import load, to_graph

from tests.backends.common import input_gradients
from tests.backends.onnx_models import onnx, opinions
from tests.backends.onnx_suite import outcome, standard_cases
from tests.backends.test_onnx_networks import convolutional, export, transformer

pytestmark = pytest.mark.thorough
Array = np.ndarray

ROUNDING = {
    **dict.fromkeys(("test_dft_inverse", "test_dft_inverse_opset19"), "the suite has 1.9e-7, the rounding of its float32, where 0 is exact"),
    "test_dynamicquantizelinear": "in float32 a value lies on the middle between two integers, in float64 beside it",
}
LEAST = 1172
"""How many of the 1,221 cases of onnx 1.23.2 pass; ``python benchmarks/coverage_onnx.py`` lists the others with their reasons."""


def test_the_node_tests_of_the_standard(capsys: pytest.CaptureFixture[str]) -> None:
    """A refusal is a gap, a value that differs a defect: there is none of those, in no way in which a case can be read."""
    found = [outcome(case) for case in standard_cases()]
    passed = [one for one in found if one.verdict in ("live", "folded")]
    with capsys.disabled():
        print(f"\n{len(passed)} of {len(found)} node tests; {sum(one.verdict == 'live' for one in passed)} with a live input")
    assert {one.name: one.reason for one in found if one.verdict == "wrong" and one.name not in ROUNDING} == {}
    assert len(passed) >= LEAST
    assert all(re.search("node '|input|output '|model", text) for one in found for text in one.refused.values())


# ----- whole networks -----------------------------------------------------------------------------------------------


def light_models() -> list[str]:
    return sorted(glob.glob(os.path.join(os.path.dirname(onnx.__file__), "backend/test/data/light/*.onnx")))


@pytest.mark.parametrize("path", light_models(), ids=lambda p: os.path.basename(p))
def test_light_models_convert(path: str) -> None:
    """Real architectures of opset 9, whose weights are constants that the file computes."""
    graph = load(path)
    (spec,) = graph.inputs.values()
    assert spec.shape[0] is None
    assert sum(type(n.op).__name__ in ("Conv", "Dense") for n in graph.nodes) >= 8


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet", "inception_v1", "resnet50", "densenet121", "inception_v2"])
def test_light_models_with_random_weights_are_verified(name: str) -> None:
    (path,) = [p for p in light_models() if name in p]
    proto = onnx.load(path)
    proto.ir_version = 7                                    # from 4 on initialisers need not be inputs
    rng, shapes = np.random.default_rng(0), {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    for one in nodes:
        if one.op_type != "ConstantOfShape":
            proto.graph.node.append(one)
            continue
        shape = tuple(int(n) for n in shapes[one.input[0]])
        scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else None
        w = rng.standard_normal(shape) * scale if scale else rng.uniform(0.5, 1.5, shape)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(w.astype(np.float32), one.output[0]))
    x = rng.standard_normal((1, 3, 224, 224)).astype(np.float32)
    graph = to_graph(proto, x)
    assert float(np.ptp(graph(x))) > 1e-3                   # an output that depends on nothing would agree with anything


# ----- torch's exporters --------------------------------------------------------------------------------------------


def translator() -> Any:
    """An encoder and a decoder with the batch on axis 1, as torch has it by default, and an embedding."""
    torch = pytest.importorskip("torch")
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.place = nn.Embedding(11, 8), nn.Embedding(16, 8)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")             # torch advises batch_first
                self.body = nn.Transformer(8, 2, 1, 1, 16)
            self.head = nn.Linear(8, 5)

        def forward(self, ids: Any, mask: Any) -> Any:
            x = self.table(ids) + self.place(torch.arange(ids.shape[1]))[None]
            keep = mask[:, :, None].to(x.dtype)
            x = (x * keep).transpose(0, 1)
            return self.head(self.body(x, x).transpose(0, 1).mean(1))

    torch.manual_seed(0)
    return Net()


def segmenter() -> Any:
    torch = pytest.importorskip("torch")
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up = nn.Conv2d(2, 6, 3, stride=2, padding=1), nn.ConvTranspose2d(6, 4, 3, stride=2, output_padding=1, padding=1)
            self.norm, self.head = nn.GroupNorm(2, 6), nn.Conv2d(10, 3, 1)

        def forward(self, x: Any) -> Any:
            h = nn.functional.hardswish(self.norm(self.down(x)))
            wide = nn.functional.interpolate(h, size=x.shape[2:], mode="bilinear", align_corners=False)
            y = self.head(torch.cat([self.up(h), wide], 1))
            return nn.functional.interpolate(nn.functional.pad(y, (1, 2, 0, 1), mode="reflect"), scale_factor=2, mode="nearest")

    torch.manual_seed(0)
    return Net()


def inputs_of(make: Any, n: int) -> dict[str, Any]:
    import torch

    if make is translator:
        mask = torch.ones(n, 6, dtype=torch.long)
        mask[:, 4:] = 0
        return {"ids": torch.randint(0, 11, (n, 6)), "mask": mask}
    return {"x": torch.randn(n, 2, 8, 8)}


@pytest.mark.parametrize("dynamo", [False, True], ids=["script", "dynamo"])
@pytest.mark.parametrize("free", [True, False], ids=["free", "fixed"])
@pytest.mark.parametrize("make", [convolutional, transformer, translator, segmenter])
def test_networks_through_torchs_exporters(make: Any, free: bool, dynamo: bool) -> None:
    torch = pytest.importorskip("torch")
    net = make().eval()
    example = inputs_of(make, 2 if free else 1)
    if dynamo:
        pytest.importorskip("onnxscript")
        shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in example) if free else None
        logging.disable(logging.WARNING)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")             # deprecations inside the exporter
                proto = torch.onnx.export(
                    net, tuple(example.values()), dynamo=True, input_names=list(example), dynamic_shapes=shapes, verbose=False
                ).model_proto
        finally:
            logging.disable(logging.NOTSET)
    else:
        proto = onnx.load_from_string(
            export(net, tuple(example.values()), input_names=list(example), dynamic_axes={k: {0: "N"} for k in example} if free else None)
        )
    graph = to_graph(proto, {k: v.numpy() for k, v in example.items()})
    assert all(spec.shape[0] is None for spec in graph.inputs.values())
    feeds = inputs_of(make, 3)
    if make is not translator:
        feeds["x"].requires_grad_()
    y = net(*feeds.values())
    arrays = {k: v.detach().numpy() for k, v in feeds.items()}
    np.testing.assert_allclose(graph(arrays), y.detach().numpy(), rtol=1e-4, atol=1e-4 * float(y.detach().abs().max()))      # torch in float32
    if make is not translator:
        seed = torch.randn(y.shape)
        y.backward(seed)
        mine = input_gradients(graph, arrays, [seed.numpy().astype(float)])["x"]
        theirs = feeds["x"].grad
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))           # torch in float32
    if free:
        for who, (theirs, *_) in opinions(proto, arrays).items():
            np.testing.assert_allclose(graph(arrays), theirs, rtol=1e-4, atol=1e-4, err_msg=who)
    layers = {n.layer for n in graph.nodes}
    assert layers & {"fc", "head", "conv1"}
    if dynamo and free:                                     # by either route a layer has its name in torch
        from xaicore_torch import to_graph as from_torch

        straight = from_torch(net, tuple(example.values()), verify=False)
        learned = [{n.layer for n in g.nodes if type(n.op).__name__ in ("Dense", "Conv", "ConvTranspose", "Embedding", "LayerNorm")} for g in (straight, graph)]
        assert learned[0] == learned[1]
