"""Attacks on the reader of ONNX: those of tests/backends/test_onnx_hostile.py on the command line, and files that are something else."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.attacks.attack import MODULE, Attack, Payload, model
from tests.backends.onnx_models import model as onnx_model
from tests.backends.onnx_models import node, onnx
from tests.backends.test_onnx_hostile import EXTERNAL, FILES, X, gemm


def _hostile(make: Callable[[], Any], says: str) -> Attack:
    def data(path: Path) -> bytes:
        made = make()
        return made if isinstance(made, bytes) else bytes(made.SerializeToString())

    return model("model.onnx", data, f"(?s){says}", codes=(3, 4))


def _external(make: Callable[[Path], Path]) -> Attack:
    """Tensors in other files: not opened, as nobody asked for it."""
    def build(folder: Path) -> list[str]:
        (folder / "model").mkdir()
        return ["inspect", str(make(folder / "model"))]

    return Attack(build, "keeps its data in another file", names="model.onnx")


def _checkpoint(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Payload()))


def _domain() -> Any:
    proto = gemm()
    proto.graph.node[0].domain, proto.graph.node[0].op_type = MODULE, "run"
    proto.opset_import.append(onnx.helper.make_opsetid(MODULE, 1))
    return proto


def _function_bomb() -> Any:
    """Functions that each call the next one twice: 2^24 nodes of some kilobytes."""
    proto = onnx_model([node("Relu", "x", "y")], X, "y")
    imports = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("own", 1)]
    for k in range(24):
        body = ([onnx.helper.make_node(f"F{k + 1}", ["a"], ["c"], domain="own"), onnx.helper.make_node(f"F{k + 1}", ["c"], ["b"], domain="own")]
                if k < 23 else [onnx.helper.make_node("Neg", ["a"], ["b"])])
        proto.functions.append(onnx.helper.make_function("own", f"F{k}", ["a"], ["b"], body, imports))
    proto.opset_import.append(imports[1])
    proto.graph.node[0].CopyFrom(onnx.helper.make_node("F0", ["x"], ["y"], domain="own"))
    return proto


def _quadratic() -> Any:
    """x x^T, flattened, again and again."""
    nodes, last = [], "x"
    for k in range(4):
        nodes += [node("Transpose", last, f"t{k}", perm=[1, 0]), node("MatMul", f"t{k} {last}", f"m{k}"), node("Reshape", f"m{k} s", f"r{k}")]
        last = f"r{k}"
    return onnx_model([*nodes, node("Neg", last, "y")], {"x": [1, 100]}, "y", {"s": np.array([1, -1])})


def _buffer(x: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, x)
    return out.getvalue()


ATTACKS = {
    **{f"file: {k}": _hostile(make, says) for k, (make, says) in FILES.items()},
    **{f"external: {k}": _external(make) for k, (make, _) in EXTERNAL.items()},
    "pickle": model("model.onnx", pickle.dumps(Payload()), "pickle, which is never opened"),
    "old pickle": model("model.onnx", pickle.dumps(Payload(), protocol=0), "not an ONNX model"),
    "torch checkpoint": model("model.pt", _checkpoint, "a pickle, and loading one runs whatever"),
    "torch checkpoint by another name": model("model.onnx", _checkpoint, "a zip archive"),
    "torch program": model("model.pt2", _checkpoint, "an exported torch program"),
    "joblib": model("model.joblib", pickle.dumps(Payload()), "a pickle"),
    "TensorFlow": model("model.pb", b"\x08\x01", "a TensorFlow graph"),
    "safetensors for a model": model("model.safetensors", b"\x02" + bytes(7) + b"{}", "weights without a model"),
    "array for a model": model("model.onnx", _buffer(np.ones(3)), "a NumPy array"),
    "script": model("model.py", f"import {MODULE}".encode(), "files ending in .py are not read"),
    "domain of a module": _hostile(_domain, "canary_payload"),
    "functions that double": _hostile(_function_bomb, ""),
    "products that square": _hostile(_quadratic, ""),
}
