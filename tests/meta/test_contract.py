"""A mistake planted in the smallest backend for every law of ``check_backend``, which must turn it red."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.meta import chain_backend
from tests.meta.chain import Chain
from xaicore.errors import BackendError, Mismatch, NothingChecked, UnknownName
from xaicore.graph import Graph
from xaicore.oracle.laws import LAWS
from xaicore.oracle.testing import STATEMENTS
from xaicore.testing import BackendReport, check_backend

SOURCE = Path(chain_backend.__file__)


def perceptron(*steps: tuple[str, str], seed: int = 0) -> tuple[Chain, np.ndarray]:
    """A chain with a layer that is called twice, and an example."""
    rng = np.random.default_rng(seed)
    weights = {f"{k}.{w}": rng.standard_normal(s) for k, n in (("fc", 4), ("out", 3)) for w, s in (("w", (n, 4)), ("b", (n,)))}
    made = steps or (("fc", "dense"), ("act", "relu"), ("fc", "dense"), ("out", "dense"))
    return Chain(made, (4,), weights), rng.standard_normal((2, 4))


def photograph() -> tuple[Chain, np.ndarray]:
    rng = np.random.default_rng(1)
    weights = {f"{k}.{w}": rng.standard_normal(s) for k, n in (("mix", 5), ("out", 3)) for w, s in (("w", (n, 3)), ("b", (n,)))}
    weights["out.w"] = rng.standard_normal((3, 5))
    return Chain([("mix", "dense"), ("act", "relu"), ("pool", "mean"), ("out", "dense")], (6, 5, 3), weights), rng.standard_normal((2, 6, 5, 3))


def calls(model: Chain) -> dict[str, int]:
    names = [name for name, _ in model.steps]
    return {k: names.count(k) for k in names}


def backend(tmp_path: Path, *changes: tuple[str, str]) -> ModuleType:
    """The smallest backend as a module of its own, with every change made in its source."""
    text = SOURCE.read_text(encoding="utf-8").replace("import Conv,", "import Abs, Add, Clip, Conv, Detach, Op,")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = tmp_path / "xaicore_chain.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("xaicore_chain", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(module: ModuleType, **more: Any) -> BackendReport:
    models = more.pop("models", None) or {"perceptron": perceptron(), "photograph": photograph()}
    spin = perceptron(("fc", "dense"), ("odd", "spin"))
    return check_backend(
        module, models, forward=lambda m, xs: m.values(xs[0])[-1], gradient=lambda m, xs, seeds: m.gradient(xs[0], seeds[0]), layers=calls,
        weights=lambda m: m.weights, refused=[(*spin, "spin")], frameworks=("tests",), **more)


def test_the_smallest_backend_keeps_every_law(tmp_path: Path) -> None:
    report = check(backend(tmp_path), raises=True)
    assert {law: report.status(law) for law in STATEMENTS} == dict.fromkeys(STATEMENTS, "holds"), str(report)
    assert report.ok


NO_VERIFY = ("    if verify:\n", "    if False:\n")
PLANTED = [
    ("interface", "verification is off by default", [("verify: bool = True", "verify: bool = False")]),
    ("interface", "no docstring", [('    """The graph of a Chain.', '    """""" + f"""The graph of a Chain.')]),
    ("interface", "another name", [("def to_graph(", "def convert(")]),
    ("imports", "a higher layer", [("import numpy as np\n", "import numpy as np\nimport xaicore.rules\n")]),
    ("imports", "a higher layer, inside a function", [("    b = Builder", "    from xaicore import methods\n    b = Builder")]),
    ("imports", "a package that is none of its own", [("import numpy as np\n", "import numpy as np\nimport hypothesis\n")]),
    ("imports", "another backend", [("import numpy as np\n", "import numpy as np\nimport xaicore_onnx\n")]),
    ("imports", "pickle", [("import numpy as np\n", "import numpy as np\nimport pickle\n")]),
    ("imports", "eval", [('b = Builder("chain")', "b = Builder(eval(\"'chain'\"))")]),
    ("imports", "by name", [("    b = Builder", "    __import__('importlib').import_module('json')\n    b = Builder")]),
    ("refusals", "does not say which operator", [("the operator {kind!r} has", "this operator has")]),
    ("refusals", "a bare KeyError", [("raise ConversionError(", "raise KeyError(")]),
    ("refusals", "drops what it does not know", [("            raise ConversionError(", "            (lambda text: None)(")]),
    ("refusals", "a message of one word", [("raise BackendError(f\"a chain.Chain is expected, not a {type(model).__name__}\")", "raise BackendError('no')")]),
    ("refusals", "takes anything for a model", [("if not isinstance(model, Chain)", "if False")]),
    ("refusals", "does not look at the example", [("np.ones((2, *model.shape)) if example is None else example", "np.ones((2, *model.shape))")]),
    ("conversion", "crashes", [('b = Builder("chain")', "b = Builder('chain', 1, 2, 3)")]),
    ("conversion", "no graph", [("return graph.astype(dtype)", "return None")]),
    ("forward", "another activation", [("b.add(ReLU(), x", "b.add(Abs(), x"), NO_VERIFY]),
    ("forward", "the bias is lost", [(', params[f"{name}.b"], name=name', ", name=name"), NO_VERIFY]),
    ("forward", "right on the example alone", [("b.add(ReLU(), x", "b.add(Clip(0, float(model.values(example)[len(made) + 1].max())), x")]),
    ("gradient", "a detour that no signal passes", [("b.add(ReLU(), x, name=name", "b.add(Detach(), b.add(ReLU(), x), name=name")]),
    ("batch", "as many biases as samples in the example", [("    graph = b.build(x)", "    x = b.add(Add(), x, b.param('two', np.zeros((2, 3))), origin='two')\n    graph = b.build(x)"), NO_VERIFY]),
    ("batch", "the batch's mean is taken off and put back", [("    graph = b.build(x)", "    x = b.add(Centred(), x, origin='centre')\n    graph = b.build(x)"), NO_VERIFY,
                                                              ('__all__ =', 'class Centred(Op):\n    def forward(self, *xs):\n        return xs[0] - xs[0].mean(0)\n\n\n__all__ =')]),
    ("dtypes", "always float64", [("return graph.astype(dtype)", "return graph")]),
    ("dtypes", "any dtype is float64", [("return graph.astype(dtype)", "return graph.astype(dtype if dtype == 'float32' else 'float64')")]),
    ("determinism", "names that count conversions", [('b = Builder("chain")', "b = Builder('chain')\n    COUNT.append(1)"), ("__all__ =", "COUNT = []\n__all__ ="), ('name="turned"', 'name=f"turned{len(COUNT)}"'),
                                                     ('b.add(ReLU(), x, name=name', 'b.add(ReLU(), x, name=f"{name}{len(COUNT)}"')]),
    ("determinism", "a random parameter", [("value = model.weights[f\"{name}.{k}\"]", "value = model.weights[f\"{name}.{k}\"] + 1e-12 * np.random.default_rng().random()")]),
    ("planted difference", "verification is a word", [NO_VERIFY]),
    ("planted difference", "compares the graph with itself", [("values = model.values(fed[\"x\"])[1:]", "from xaicore.graph.run import evaluate\n        values = evaluate(graph, fed, keep=[n for n, _ in made]); values = [np.moveaxis(values[n], 1, -1) if t else values[n] for n, t in made]")]),
    ("planted difference", "does not say where", [("        compare(graph, fed,", "        from xaicore.errors import Mismatch\n        try: compare(graph, fed,"),
                                                  ('"chain")\n    return graph.astype', '"chain")\n        except Mismatch: raise Mismatch("something differs somewhere, sorry") from None\n    return graph.astype')]),
    ("one node per call", "the second call is another layer", [("name=name, layer=name, origin=origin)\n        elif kind == \"relu\"", "name=name, layer=name if (name, kind) not in model.steps[:len(made)] else name + '_1', origin=origin)\n        elif kind == \"relu\"")]),
    ("parameters once", "a copy for each call", [("if f\"{name}.{k}\" not in params:", "if True:"), ('b.param(f"{name}.{k}",', 'b.param(f"{name}.{k}" + "\'" * len(made),')]),
    ("parameter names", "names of its own", [('b.param(f"{name}.{k}",', 'b.param(f"{name}_{k}",')]),
    ("parameter names", "other numbers", [("kernel(value) if image else value)", "np.abs(value))"), ("op = Conv() if image else Dense()", "op = Dense()"), NO_VERIFY]),
    ("layer names", "no names", [("x = b.add(ReLU(), x, name=name, layer=name", "x = b.add(ReLU(), x, name=name")]),
    ("layer names", "no origin", [('origin = f"chain.{kind}"', 'origin = ""')]),
    ("constants", "computed on every run", [("    graph = b.build(x)", "    x = b.add(Add(), x, b.add(ReLU(), b.param('zero', np.zeros((1, 3))), origin='z'), origin='s')\n    graph = b.build(x)"), NO_VERIFY]),
    ("layout", "not told", [('b.meta["layout.x"] = "NHWC"', "pass")]),
    ("layout", "of no input", [('b.meta["layout.x"]', 'b.meta["layout.y"]')]),
    ("layout", "an axis too few", [('= "NHWC"', '= "NWC"')]),
    ("round trip", "a bias is lost", [("{k: np.array(v) for", "{k: np.array(v) * (k != 'out.b') for")]),
    ("round trip", "a step is lost", [("for node in graph.nodes:", "for node in graph.nodes[:-1]:")]),
    ("model not changed", "it is marked", [('b = Builder("chain")', "b = Builder('chain')\n    model.converted = True")]),
    ("model not changed", "its weights are rounded", [("value = model.weights[f\"{name}.{k}\"]", "value = model.weights[f\"{name}.{k}\"]\n                value[...] = value.astype('float32')")]),
    ("model not changed", "the example is rounded", [("    if verify:\n", "    if isinstance(example, np.ndarray):\n        example[...] = example.astype('float32')\n    if verify:\n")]),
]  # fmt: skip


@pytest.mark.parametrize(("law", "what", "changes"), PLANTED, ids=[f"{law}-{what}" for law, what, _ in PLANTED])
def test_every_law_finds_its_violation(law: str, what: str, changes: list[tuple[str, str]], tmp_path: Path) -> None:
    report = check(backend(tmp_path, *changes))
    assert report.status(law) == "fails", str(report)
    assert not report.ok
    broken = next(f for f in report.of(law) if f.status == "fails")
    assert len(broken.reason) > 20
    assert broken.reason in str(report)
    with pytest.raises(Mismatch, match="FAILS"):
        report.require()


def test_every_law_has_a_planted_violation() -> None:
    assert {law for law, _, _ in PLANTED} == set(STATEMENTS)
    assert set(LAWS) < set(STATEMENTS)


# ----- what does not apply, says so -------------------------------------------------------------------------------------


def test_a_law_that_nobody_can_check_is_no_pass() -> None:
    steps = (("act", "relu"),)
    report = check_backend(chain_backend, [perceptron(*steps)], frameworks=("tests",))
    silent = {law for law in STATEMENTS if report.status(law) == "does not apply"}
    assert silent == {"forward", "gradient", "planted difference", "one node per call", "parameters once", "parameter names", "layer names", "layout"}
    assert all(f.reason for law in silent for f in report.of(law))
    assert "no floating parameters that its output depends on" in str(report)
    assert report.ok


def test_outputs_that_hardly_differ_prove_nothing() -> None:
    model, x = perceptron()
    model.weights["out.w"] *= 1e-9
    report = check(chain_backend, models={"flat": (model, x)})
    assert report.status("forward") == "does not apply"
    assert "less than 1e-3" in report.of("forward")[0].reason


def test_without_a_model_nothing_is_checked() -> None:
    report = check_backend(chain_backend, [], frameworks=("tests",))
    assert report.exit_code == 5
    with pytest.raises(NothingChecked, match="no model of the backend"):
        report.require()


def test_names_that_do_not_exist() -> None:
    report = check_backend(chain_backend, [], frameworks=("tests",))
    with pytest.raises(UnknownName, match="did you mean 'forward'"):
        report.of("forwards")
    with pytest.raises(BackendError, match="neither an installed backend nor a module that imports"):
        check_backend("no_such_backend", [])


def test_graphs_are_made_as_before() -> None:
    before = Graph.__post_init__
    check(chain_backend)
    assert Graph.__post_init__ is before


def test_findings_as_data() -> None:
    rows = check(chain_backend).as_json()
    assert {"law", "subject", "status", "reason"} == set(rows[0])
    assert {r["status"] for r in rows} <= {"holds", "fails", "does not apply"}
