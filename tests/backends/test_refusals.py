"""Refusals that no other test reads, and the check that there are no more: of every error that a backend raises a test has some words."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xaicore_onnx import to_graph

import xaicore as xc
from tests.backends.onnx_models import node
from xaicore import errors

ROOT = Path(__file__).parents[2]
X = np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32)
F, I = np.float32, np.int64  # noqa: E741 (as NumPy's codes)

ONNX: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "auto_pad": ([node("Conv", "x w", "y", auto_pad="SAME")], {"w": np.ones((1, 3, 1, 1), F)},
                 "has auto_pad 'SAME'; NOTSET, VALID, SAME_UPPER or SAME_LOWER is expected"),
    "pad mode": ([node("Pad", "x p", "y", mode="mirror")], {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
                 "has mode 'mirror'; constant, reflect, edge or wrap is expected"),
    "pads": ([node("Pad", "x p", "y")], {"p": np.array([0, 1, 1])}, "has pads .* for 4 axes; two for each are expected"),
    "tile": ([node("Tile", "x r", "y")], {"r": np.array([1, 0, 1, 1])}, "repeats 0 times; at least once is expected"),
    "norm": ([node("LpNormalization", "x", "y", p=3, axis=1)], {}, "has p=3; 1 or 2 is expected"),
    "exponents": ([node("Reshape", "x s", "r"), node("Expand", "r o", "l"), node("Pow", "l e", "y")], {"s": np.array([0, 48, 1]), "o": np.array([1, 1, 96]), "e": np.arange(96, dtype=F).reshape(1, 96) + 2}, "different exponents; up to .* are converted. Split the model"),
    "direction": ([node("Reshape", "x s", "r"), node("Transpose", "r", "t", perm=[1, 0, 2]),
                   node("RNN", "t w u", "y", hidden_size=2, direction="both")],
                  {"s": np.array([0, 4, 12]), "w": np.ones((1, 2, 12), F), "u": np.ones((1, 2, 2), F)},
                  "has the direction 'both'; forward, reverse or bidirectional is expected"),
}

TURNED = node("Transpose", "x", "t", perm=[1, 0, 2, 3])
ONNX |= {
    "concat": ([TURNED, node("Concat", "x t", "y", axis=2)], {}, "joins values whose batches lie on different axes: 'x', "),
    "blocks": ([TURNED, node("GatherND", "t at", "y")], {"at": np.array([[0, 1]])}, "GatherND wants the batch on axis 0, but that of .* lies elsewhere"),
    "einsum": ([TURNED, node("Einsum", "x t", "y", equation="abcd,bacd->abcd")], {}, "Einsum wants the batch on axis 0 of .*, but it lies elsewhere"),
}


@pytest.mark.parametrize("name", ONNX)
def test_an_onnx_node_that_is_refused(name: str) -> None:
    """Node, operator, what was found, what is expected."""
    nodes, weights, words = ONNX[name]
    import onnx

    declared = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 3, 4, 4])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, list("abcd"))
    constants = [onnx.numpy_helper.from_array(np.asarray(w), k) for k, w in weights.items()]
    proto = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [declared], [out], constants), opset_imports=[onnx.helper.make_opsetid("", 18)])
    with pytest.raises(errors.XaicoreError, match=words) as caught:
        to_graph(proto, X, verify=False)
    assert nodes[-1].op_type in str(caught.value)


def test_torch_parts_and_numbers_that_are_refused() -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(2, 2))
    x = torch.ones(2, 2)
    from xaicore_torch import to_graph as of_a_module

    with pytest.raises(errors.UnknownName, match=r"submodule='1' is no part of Sequential: "):
        of_a_module(net, x, submodule="1")

    class Complex(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.view_as_complex(x).abs()

    with pytest.raises(errors.ConversionError, match=r"\(node '.*'\) computes in torch.complex64; complex numbers are not supported"):
        of_a_module(Complex(), torch.ones(2, 3, 2))


def test_rationals_that_a_file_cannot_hold(tmp_path: Path) -> None:
    from fractions import Fraction

    b = xc.Builder("", "exact")
    x = b.input("x", (None, 1))
    from xaicore.ops import Mul

    graph = b.build(b.add(Mul(), x, b.param("third", np.array([Fraction(1, 3)], dtype=object))))
    from xaicore.graph import files

    with pytest.raises(errors.XaicoreError, match="parameter 'third' holds rationals that are no binary float, such as 1/3, and the file stores floats"):
        files.save(graph, tmp_path / "g.json")


# ----- all of them ----------------------------------------------------------------------------------------------------

BACKENDS = ("xaicore_torch", "xaicore_keras", "xaicore_onnx", "xaicore_sklearn")
KINDS = {k for k, v in vars(errors).items() if isinstance(v, type)} | {"MixingError"}

UNREAD: dict[str, str] = {
    'xaicore_keras/archive.py: . Load it in Keras, save it as .keras': 'no test',
    'xaicore_keras/archive.py: ; files of Keras 3 are read. Load it in Keras 3, and save it again': 'one word of it in test_keras_files.py',
    'xaicore_keras/archive.py: bytes; at most': 'read with its numbers in test_keras_files.py',
    'xaicore_keras/archive.py: twice, so which one counts is not known.': 'one word of it in test_keras_files.py',
    'xaicore_keras/archive.py: bytes: a bomb.': 'one word of it in test_keras_files.py',
    'xaicore_keras/archive.py: is no group but a': 'read with its names in test_keras_files.py',
    'xaicore_keras/archive.py: is no array but a': 'read with its names in test_keras_files.py',
    'xaicore_onnx/call.py: takes (N, C, ...), but its input': 'read with its operator in test_onnx.py',
    'xaicore_onnx/check.py: the model asks for more memory than there is; its sizes are broken or hostile': 'would need more memory than a test may take',
    'xaicore_onnx/check.py: the model nests subgraphs deeper than any exporter does; it is broken or hostile': 'would need a larger file than a test may make',
    'xaicore_onnx/external.py: ; the file changed meanwhile': 'would need a file that changes while it is read',
    'xaicore_onnx/external.py: , whose SHA-1 sum is not the one that the model gives; the file is damaged': 'read in short in test_onnx_hostile.py',
    'xaicore_onnx/external.py: ; the file is cut off': 'read in short in test_onnx_files.py',
    'xaicore_onnx/lower_loop.py: nodes of all steps of its loops; export a model without loops': 'no test',
    "xaicore_onnx/lower_math.py: , which a graph's 64 bits with sign do not hold; cast them before": 'no test',
    'xaicore_onnx/lower_quantize.py: , which is not converted; 8 and 16 bits are': 'no test',
    'xaicore_onnx/lower_window.py: , which is more than the normalised axes': 'no test',
    'xaicore_onnx/safe.py: is empty (0 bytes);': 'read in short in test_onnx_files.py',
    'xaicore_onnx/trial.py: asks for more memory than there is (': 'would need more memory than a test may take',
    'graph/files.py: bytes; more than': 'read with its numbers in test_files.py',
}
"""Raises whose words the test below does not find, and why. A new one is a failure of it, and so is one of these that it finds."""


def words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z0-9_']+|[^\sA-Za-z0-9_']", text)


def raises() -> dict[str, list[str]]:
    """file: the beginning of the message -> the constant parts of the message, for every typed error that a backend raises."""
    found = {}
    for path in [*(f for name in BACKENDS for f in sorted((ROOT / "backends" / name).glob("*.py"))), ROOT / "xaicore/graph/files.py"]:
        for one in ast.walk(ast.parse(path.read_text())):
            if isinstance(one, ast.Raise) and isinstance(one.exc, ast.Call) and ast.unparse(one.exc.func).rpartition(".")[2] in KINDS:
                parts = [c.value for a in one.exc.args for c in ast.walk(a) if isinstance(c, ast.Constant) and isinstance(c.value, str)]
                longest = max(parts, key=len, default="")
                if len(longest) > 8:                                    # else the message is made elsewhere, in a function or a table
                    found[f"{path.parent.name}/{path.name}: {longest.strip()}"] = parts
    return found


def matched(text: str) -> set[str]:
    """The plain words of every ``match=`` and of every pattern that a helper called ``refused`` is given."""
    found = re.findall(r'(?:match=|refused\(.*?, )r?"([^"]{6,})"', text)
    return {re.sub(r"[\\^$]|\.\*", "", one) for one in found}


def test_every_message_is_read_by_a_test() -> None:
    """Two words of it side by side, ten letters at least, are in a test of this repository, or all that a test matches is in it."""
    own = Path(__file__).read_text()
    text = " ".join(p.read_text() for p in (ROOT / "tests").rglob("*.py") if p != Path(__file__)) + own[:own.index("UNREAD: ")]
    joined = re.sub(r"[\"']\s*\n\s*[fr]*[\"']", "", text.replace("\\", ""))
    known, patterns = " ".join(words(joined)), matched(text)

    def read(parts: list[str]) -> bool:
        pairs = [" ".join(w[k : k + 2]) for w in map(words, parts) for k in range(len(w) - 1)]
        return any(len(p) >= 10 and p in known for p in pairs) or any(one in part for one in patterns for part in parts)

    assert {where for where, parts in raises().items() if not read(parts)} == set(UNREAD)
