"""Refusals that no other test reads, and the check that there are no more: of every error that a backend raises a test has some words."""

from __future__ import annotations

import ast
import os
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
    "tile a million": ([node("Tile", "x r", "y")], {"r": np.array([1, 1, 10**6, 1])}, "repeats 1,000,000 times; at most 4,096 times are converted"),
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

ONNX |= {
    "look-up": ([node("Transpose", "x", "t", perm=[1, 0, 2, 3]), node("Cast", "t", "i", to=7), node("Gather", "w i", "y", axis=1)],
                {"w": np.ones((2, 5), F)}, "Gather.* wants the batch on axis 0, but that of .* lies elsewhere"),
    "images": ([TURNED, node("MaxPool", "t", "y", kernel_shape=[2, 2])], {}, r"takes \(N, C, ...\), but its input .* has the batch on axis 1"),
    "scale": ([node("LayerNormalization", "x s", "y", axis=3)], {"s": np.ones((2, 4), F)},
              r"has shape \(2, 4\), which is more than the normalised axes \(4,\)"),
    "bits": ([node("Cast", "x", "u", to=13), node("BitwiseNot", "u", "y")], {},
             "turns the bits of 64-bit unsigned integers, which a graph's 64 bits with sign do not hold; cast them before"),
    "float8": ([node("QuantizeLinear", "x s", "y", output_dtype=17)], {"s": np.ones((), F)},
               "quantises to FLOAT8E4M3FN, which is not converted; 8 and 16 bits are"),
}


@pytest.mark.parametrize("name", ONNX)
def test_an_onnx_node_that_is_refused(name: str) -> None:
    """Node, operator, what was found, what is expected."""
    nodes, weights, words = ONNX[name]
    import onnx

    declared = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 3, 4, 4])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, list("abcd"))
    constants = [onnx.numpy_helper.from_array(np.asarray(w), k) for k, w in weights.items()]
    proto = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [declared], [out], constants), opset_imports=[onnx.helper.make_opsetid("", 21)])
    with pytest.raises(errors.XaicoreError, match=words) as caught:
        to_graph(proto, X, verify=False)
    assert nodes[-1].op_type in str(caught.value)


def test_an_onnx_model_that_asks_for_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory and depth that a test may not take: what takes them is asked to say so. All steps of a loop count."""
    from xaicore_onnx import check, lower_loop
    from xaicore_onnx.trial import refusing

    with pytest.raises(errors.FileRefused, match=r"node 'n' asks for more memory than there is \(8 EiB\); the file is broken or hostile"), refusing("node 'n'"):
        raise MemoryError("8 EiB")
    for raised, words in ((MemoryError, "asks for more memory than there is; its sizes are broken or hostile"),
                          (RecursionError, "nests subgraphs deeper than any exporter does; it is broken or hostile")):
        def run(self: Any, raised: Any = raised) -> Any:
            raise raised

        monkeypatch.setattr(check.Converter, "run", run)
        with pytest.raises(errors.FileRefused, match=words):
            to_graph(looped(), X, verify=False)
    monkeypatch.undo()
    to_graph(looped(), X, verify=False)
    monkeypatch.setattr(lower_loop, "MAX_NODES", 5)
    with pytest.raises(errors.ConversionError, match="makes more than 5 nodes of all steps of its loops; export a model without loops"):
        to_graph(looped(), X, verify=False)


def looped() -> Any:
    """x doubled three times by a Loop, two nodes a step."""
    import onnx
    from onnx import helper

    kinds = {"i": (onnx.TensorProto.INT64, []), "go": (onnx.TensorProto.BOOL, []), "on": (onnx.TensorProto.BOOL, []),
             **dict.fromkeys(("h", "h2", "x", "y"), (onnx.TensorProto.FLOAT, ["N", 3, 4, 4]))}
    i, go, on, h, h2, x, y = (helper.make_tensor_value_info(k, *v) for k, v in kinds.items())
    body = helper.make_graph([node("Identity", "go", "on"), node("Add", "h h", "h2")], "body", [i, go, h], [on, h2])
    constants = [onnx.numpy_helper.from_array(v, k) for k, v in (("steps", np.array(3)), ("yes", np.array(True)))]
    graph = helper.make_graph([helper.make_node("Loop", ["steps", "yes", "x"], ["y"], body=body)], "g", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def test_external_data_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.backends.test_onnx_hostile import outside, save

    path = save(tmp_path, outside(location="w.bin"))
    (tmp_path / "w.bin").write_bytes(bytes(99))
    from xaicore_onnx import external

    whole = external.os.fdopen
    monkeypatch.setattr(external.os, "fdopen", lambda *args: _Short(whole(*args)) if os.fstat(args[0]).st_size == 99 else whole(*args))
    with pytest.raises(errors.FileRefused, match=r"of [0-9]+ bytes could be read from 'w.bin'; the file changed meanwhile"):
        xc.load(path, external_data=True)


class _Short:
    """A file that gives one byte less than it is asked for."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __enter__(self) -> _Short:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def seek(self, at: int) -> int:
        return self.file.seek(at)

    def fileno(self) -> int:
        return self.file.fileno()

    def read(self, n: int) -> bytes:
        return self.file.read(n - 1)


@pytest.mark.parametrize(("data", "kind"), [(b"\x89HDF\r\n", "an HDF5 file, Keras 2's format"), (b"weights", "not a zip archive")])
def test_what_is_no_keras_file(data: bytes, kind: str, tmp_path: Path) -> None:
    from xaicore_keras import load

    path = tmp_path / "m.keras"
    path.write_bytes(data)
    with pytest.raises(errors.FileRefused, match=f"m.keras is {kind}; a .keras file is a zip of .*Load it in Keras, save it as .keras"):
        load(path)


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


def test_a_norm_across_channels_that_torch_computes_otherwise() -> None:
    """Its formula is LocalResponseNorm's. Of three channels the last still has the first in its window of two, and autograd has not."""
    torch = pytest.importorskip("torch")
    from xaicore_torch import to_graph as of_a_module

    made, meant = torch.nn.CrossMapLRN2d(3, 0.5), torch.nn.LocalResponseNorm(3, 0.5)
    x = torch.randn(2, 3, 2, 2, dtype=torch.double, generator=torch.Generator().manual_seed(0), requires_grad=True)
    off = (made(x) - meant(x)).abs().amax((0, 2, 3))
    assert off[:2].max() < 1e-12                            # two sums of three squares
    assert off[2] > 0.01
    assert not torch.autograd.gradcheck(made, (x,), raise_exception=False)
    assert torch.autograd.gradcheck(meant, (x,))
    with pytest.raises(errors.ConversionError, match=r"module '0' is a CrossMapLRN2d, .* nor has its own derivative .*use LocalResponseNorm\(3, 0.5, 0.75, 1\)"):
        of_a_module(torch.nn.Sequential(made), x.detach())


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
KINDS = {k for k, v in vars(errors).items() if isinstance(v, type)} | {"MixingError", "refuse"}

UNREAD: dict[str, str] = {
    'xaicore_keras/archive.py: twice, so which one counts is not known.': 'read with its name in test_keras_files.py',
    'xaicore_keras/convert.py: . To do:': 'the frame of every refusal of a layer',
    'xaicore_onnx/safe.py: is empty (0 bytes);': 'read in short in test_onnx_files.py',
    'graph/files.py: has the dtype': 'read with its name in test_files.py',
    'graph/files.py: parameter': 'read with its name in test_files.py',
    'graph/files.py: has the kind': 'read with its name in test_files.py',
    'graph/files.py: has no field': 'read with its name in test_files.py',
}
"""Messages whose words the test below does not find, and why. A new one is a failure of it, and so is one of these that is gone."""


def words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z0-9_']+|[^\sA-Za-z0-9_']", text)


def texts(tree: ast.AST) -> list[str]:
    return [c.value for c in ast.walk(tree) if isinstance(c, ast.Constant) and isinstance(c.value, str)]


def messages() -> dict[str, list[str]]:
    """file: the longest constant part of a message -> all of them, for every typed error that a backend makes, raised at once or later.

    One that is made in a function of the module counts with each text that the function returns, and with those of the module's tables that
    it reads; one that is a constant of the module with that.
    """
    found = {}
    for path in [*(f for name in BACKENDS for f in sorted((ROOT / "backends" / name).glob("*.py"))), ROOT / "xaicore/graph/files.py"]:
        tree = ast.parse(path.read_text())
        places = {t.id: s.value for s in tree.body if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)}
        functions = {f.name: f for f in tree.body if isinstance(f, ast.FunctionDef)}
        kinds = KINDS | ({"ValueError", "TypeError"} if path.name == "files.py" else set())     # which load makes FileRefused of
        for one in ast.walk(tree):
            if not isinstance(one, ast.Call) or ast.unparse(one.func).rpartition(".")[2] not in kinds:
                continue
            made = [[t for a in one.args for t in texts(a)]]
            if len(max(made[0], key=len, default="")) <= 8:
                names = [n.id for a in one.args for n in ast.walk(a) if isinstance(n, ast.Name)]
                made = [[t] for n in names if n in places for t in texts(places[n]) if " " in t]
                for function in (functions[n] for n in names if n in functions):
                    made += [texts(r.value) for r in ast.walk(function) if isinstance(r, ast.Return) and r.value is not None]
                    read = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
                    made += [[t] for n in read & set(places) for t in texts(places[n]) if " " in t]
            for parts in made:
                longest = max(parts, key=len, default="")
                if len(longest) > 8:                                    # else all of it is another error's text
                    found[f"{path.parent.name}/{path.name}: {longest.strip()}"] = parts
    return found


def matched(text: str) -> set[str]:
    """The plain words of every ``match=`` and of every pattern that a helper called ``refused`` is given."""
    found = re.findall(r'(?:match=|refused\(.*?, )r?"([^"]{6,})"', text)
    return {re.sub(r"[\\^$]|\.\*", "", one) for one in found}


def test_every_message_is_read_by_a_test() -> None:
    """Two to four words of it side by side, ten letters at least, are in a test of this repository, or all that a test matches is in it."""
    own = Path(__file__).read_text()
    text = " ".join(p.read_text() for p in (ROOT / "tests").rglob("*.py") if p != Path(__file__)) + own[:own.index("UNREAD: ")]
    joined = re.sub(r"[\"']\s*\n\s*[fr]*[\"']", "", text.replace("\\", ""))
    known, patterns = " ".join(words(joined)), matched(text)

    def read(parts: list[str]) -> bool:
        runs = [" ".join(w[k : k + n]) for w in map(words, parts) for n in (2, 3, 4) for k in range(len(w) - n + 1)]
        return any(len(run) >= 10 and run in known for run in runs) or any(one in part for one in patterns for part in parts)

    known_messages = messages()
    assert sorted(set(UNREAD) - set(known_messages)) == []
    assert sorted(where for where, parts in known_messages.items() if where not in UNREAD and not read(parts)) == []
