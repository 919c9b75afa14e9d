"""The standard's own test suite, and models of others: slow, run with  pytest -m thorough.

onnx generates a model with inputs and outputs for every operator. Of those without expanded function bodies, with ordinary types and
operators of tier 1, all are run; the ones that are refused are listed by name with the reason.
"""

from __future__ import annotations

import functools
import glob
import logging
import os
import warnings
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from xaicore_onnx import load, to_graph

from tests.backends.common import input_gradients
from tests.backends.onnx_models import onnx, opinions
from tests.backends.test_onnx import convolutional, export, transformer
from xaicore.errors import XaicoreError
from xaicore.graph.run import evaluate

pytestmark = pytest.mark.thorough
Array = np.ndarray

TIER_1 = frozenset(
    "Abs Add And AveragePool BatchNormalization Cast CastLike Ceil Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Div Dropout Elu "
    "Equal Erf Exp Expand Flatten Floor Gather Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid "
    "HardSwish Identity InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LRN MatMul Max MaxPool Mean Min Mish "
    "Mul Neg Not Or Pad Pow PRelu Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape Resize Selu Shape Sigmoid Sign Sin Size "
    "Slice Softmax Softplus Softsign Split Sqrt Squeeze Sub Sum Tanh Tile Transpose Unsqueeze Where Xor".split(" ")
)
ORDINARY = frozenset(range(1, 14)) - {8}                    # floats of 16 to 64 bits, integers of 8 to 64, booleans; no strings

REFUSED = {
    **dict.fromkeys(("test_batchnorm_example_training_mode", "test_batchnorm_epsilon_training_mode"), "batch statistics mix samples"),
    **dict.fromkeys((f"test_training_dropout{k}" for k in ("", "_default", "_mask", "_default_mask")), "the output is random"),
    **dict.fromkeys((f"test_maxpool_with_argmax_2d_precomputed_{k}" for k in ("pads", "strides")), "the indices are an output"),
    **dict.fromkeys(("test_reduce_max_empty_set", "test_reduce_max_empty_set_bool", "test_reduce_min_empty_set"), "the extreme of nothing"),
    "test_slice_start_out_of_bounds": "an empty result",
    "test_pow": "one exponent is negative where x is 0, so the result is infinite",
}  # fmt: skip
"""13 of 544. A graph does not mix samples, is not random, and holds no infinite or empty values."""


@functools.cache
def standard_cases() -> tuple[Any, ...]:
    from onnx.backend.test.loader import load_node_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                     # overflows in the making of the expected values
        cases = load_node_model_tests()
    return tuple(c for c in cases if c.model is not None and "_expanded" not in c.name and _is_tier_1(c.model))


def _is_tier_1(proto: Any) -> bool:
    values = [*proto.graph.input, *proto.graph.output]
    types = {v.type.tensor_type.elem_type if v.type.HasField("tensor_type") else 0 for v in values}
    return types <= ORDINARY and all(n.op_type in TIER_1 and not n.domain for n in proto.graph.node)


def attempt(case: Any, active: list[str], unbatched: bool) -> None:
    """One case with some inputs as graph inputs and the others as constants of the file."""
    proto = onnx.ModelProto()
    proto.CopyFrom(case.model)
    for one in proto.opset_import:
        one.version = max(one.version, 7)                   # three cases of Not carry set 1, in which Not is what it is in 7
    inputs, outputs = (
        [np.asarray(onnx.numpy_helper.to_array(x) if isinstance(x, onnx.TensorProto) else x) for x in arrays] for arrays in case.data_sets[0]
    )
    feeds: dict[str, Array] = {}
    for value, x in zip(case.model.graph.input, inputs, strict=True):
        if value.name in active:
            feeds[value.name] = x
        else:
            proto.graph.initializer.append(onnx.numpy_helper.from_array(x, value.name))
            proto.graph.input.remove(next(v for v in proto.graph.input if v.name == value.name))
    if not feeds:                                           # Constant, ConstantOfShape, Range: constants of the graph
        proto.graph.input.append(onnx.helper.make_tensor_value_info("unread", 1, ["N", 1]))
        feeds["unread"] = np.ones((2, 1), np.float32)
    graph = to_graph(proto, feeds, verify=False, unbatched=unbatched)
    fed = {k: np.stack([x, x]) if unbatched else x for k, x in feeds.items()}
    # evaluate and not graph(): casts are tested on NaN, sums on empty arrays, which a user's input may not hold
    values = evaluate(graph, {k: x.astype(np.float64) if x.dtype.kind == "f" else x for k, x in fed.items()})
    for name, theirs in zip(graph.outputs, outputs, strict=True):
        mine = graph.params[name] if name in graph.params else values[name][0] if unbatched else values[name]
        assert mine.shape == theirs.shape
        assert (mine.dtype == bool) == (theirs.dtype == bool)
        np.testing.assert_allclose(mine.astype(float), theirs.astype(float), rtol=case.rtol, atol=case.atol)


def ways(case: Any) -> list[tuple[list[str], bool]]:
    """All inputs with a batch on axis 0; the first alone; the same for one sample without a batch axis."""
    names = [v.name for v in case.model.graph.input]
    if case.model.graph.node[0].op_type in ("Constant", "ConstantOfShape", "Range"):
        return [([], False)]
    return [(names, False), (names[:1], False), (names, True), (names[:1], True)]


def test_the_node_tests_of_the_standard(capsys: pytest.CaptureFixture[str]) -> None:
    passed: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    wrong = {}
    for case in standard_cases():
        counts = passed[case.model.graph.node[0].op_type]
        counts[1] += 1
        reasons = []
        for active, unbatched in ways(case):
            try:
                attempt(case, active, unbatched)
            except (XaicoreError, AssertionError) as error:
                reasons.append(f"{type(error).__name__}: {error}")
            else:
                counts[0] += 1
                break
        else:
            wrong[case.name] = reasons
    total = sum(n for n, _ in passed.values())
    with capsys.disabled():
        print(f"\n{total} of {sum(n for _, n in passed.values())} node tests of tier 1; {sum(a == b for a, b in passed.values())} of {len(passed)} "
              f"operators pass all of theirs; not all: {', '.join(f'{k} {a}/{b}' for k, (a, b) in sorted(passed.items()) if a < b)}")
    assert {k: v for k, v in wrong.items() if k not in REFUSED} == {}
    assert total >= 531                                     # onnx 1.23 has 544 such cases; newer versions have more


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
