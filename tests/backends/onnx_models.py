"""What the tests of the ONNX backend share: small models, and second opinions on what they compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from xaicore_onnx.reference import evaluator  # noqa: E402

try:
    import onnxruntime
except ImportError:                                         # optional: the reference evaluator then stays as the only opinion
    onnxruntime = None

ELEMENTS = {"f4": TensorProto.FLOAT, "f8": TensorProto.DOUBLE, "f2": TensorProto.FLOAT16, "i8": TensorProto.INT64, "i4": TensorProto.INT32,
            "b1": TensorProto.BOOL, "u1": TensorProto.UINT8, "i1": TensorProto.INT8}


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """A node; names separated by spaces, "-" for an input that is left out."""
    names = ["" if i == "-" else i for i in inputs.split()]
    return helper.make_node(op, names, outputs.split(), **attributes)


def model(
    nodes: Sequence[Any], inputs: Mapping[str, Any], outputs: str, weights: Mapping[str, Any] | None = None, opset: int = 18, **more: Any
) -> Any:
    """A ModelProto. An input is an array (its batch is left free), or a declared shape of floats."""
    declared = []
    for name, x in inputs.items():
        element = ELEMENTS[x.dtype.str[1:]] if isinstance(x, np.ndarray) else TensorProto.FLOAT
        declared.append(helper.make_tensor_value_info(name, element, ["N", *x.shape[1:]] if isinstance(x, np.ndarray) else list(x)))
    constants = [numpy_helper.from_array(np.asarray(w), k) for k, w in (weights or {}).items()]
    results = [helper.make_empty_tensor_value_info(o) for o in outputs.split()]
    graph = helper.make_graph(list(nodes), "test", declared, results, constants)
    imports = [helper.make_opsetid("", opset), *more.pop("imports", ())]
    made = helper.make_model(graph, opset_imports=imports, ir_version=max(4, helper.find_min_ir_version_for(imports[:1])), **more)
    made = onnx.shape_inference.infer_shapes(made)
    for one in made.graph.output:                           # operators that are defined by a function are not inferred: as the input
        if not one.type.tensor_type.HasField("shape"):
            one.type.CopyFrom(declared[0].type)
    return made


def opinions(proto: Any, feeds: Mapping[str, np.ndarray], runtime: bool = True) -> dict[str, list[np.ndarray]]:
    """The outputs by the reference evaluator, and by onnxruntime where that is installed and knows the model."""
    with np.errstate(all="ignore"):
        found = {"onnx.reference": [np.asarray(y) for y in evaluator(proto).run(None, dict(feeds))]}
    if runtime and onnxruntime is not None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
            found["onnxruntime"] = session.run(None, dict(feeds))
        except Exception as error:                          # NotImplemented for many types and operator sets; its classes are private
            if "NOT_IMPLEMENTED" not in str(error):
                raise
    return found


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def agrees(graph: Any, proto: Any, x: np.ndarray) -> None:
    """The graph's output is that of every opinion; both are float32, so a few roundings of 6e-8 apart."""
    for who, (theirs, *_) in opinions(proto, {"x": x}).items():
        mine = graph(x)
        mine = mine[0] if isinstance(mine, tuple) else mine
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5, err_msg=who)
