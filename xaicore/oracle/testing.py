"""What a third party's test suite imports (also as ``xaicore.testing``): ``check_backend``, the contract of a backend as one call."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from xaicore import plugins
from xaicore.errors import BackendError, Mismatch, NothingChecked, UnknownName, XaicoreError, nearest
from xaicore.oracle.laws import HOLDS, LAWS, Outcome, Subject, fails, nothing_is_modified, skips
from xaicore.oracle.report import Status
from xaicore.oracle.state import digest

STATEMENTS = {
    "interface": "to_graph(model, example=None, *, dtype='float64', verify=True) stands in the module, with a docstring",
    "imports": "of xaicore it imports graph, ops, errors and numerics, of others its framework; it executes nothing that it reads",
    "refusals": "what it cannot take is a typed error that names the operator",
    "conversion": "the model converts, and is verified on the example",
    "forward": "the graph gives the framework's outputs, on other inputs than the example",
    "gradient": "the graph gives the framework's gradient at the inputs",
    "batch": "1, 2 and 3 samples can be fed, axis 0 of every value is the batch, and no sample sees another",
    "dtypes": "float32 and float64 as asked for, one function in both",
    "determinism": "a second conversion gives the same graph, a second run the same bits",
    "planted difference": "verify=True, the default, finds wrong parameters and names the node",
    "one node per call": "a layer that is called twice is two nodes that read one parameter",
    "parameters once": "no parameter is there twice",
    "parameter names": "parameters have the framework's names",
    "layer names": "every node has an origin, every layer of the framework is found by its name",
    "constants": "what depends on no input is a parameter, not a node",
    "layout": "meta['layout.<input>'] tells of images that are fed channels last",
    "round trip": "what emit gives converts to the same function",
    "model not changed": "neither the model nor the example is modified",
}
"""Every law in the order of the report, as a sentence."""

SEEN = ("xaicore.graph", "xaicore.ops", "xaicore.errors", "xaicore.numerics")
EXECUTES = ("exec", "eval", "__import__", "import_module")
UNPICKLES = ("pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve")


@dataclass(frozen=True)
class Finding:
    """What one law's check of one model found; ``subject`` is "" for a law of the backend as a whole."""

    law: str
    subject: str
    status: Status
    reason: str = ""


@dataclass(frozen=True)
class BackendReport:
    """The findings of one ``check_backend``; printing it shows a line for each law, and each failure with its reason."""

    backend: str
    findings: tuple[Finding, ...]

    def of(self, law: str) -> tuple[Finding, ...]:
        """The findings on one law; UnknownName for a law that there is not."""
        if law not in STATEMENTS:
            raise UnknownName(f"no law is called {law!r}: {nearest(law, STATEMENTS)}")
        return tuple(f for f in self.findings if f.law == law)

    def status(self, law: str) -> Status:
        """"fails" if one model breaks the law, else "holds" if one keeps it, else "does not apply"."""
        found = {f.status for f in self.of(law)}
        return "fails" if "fails" in found else "holds" if "holds" in found else "does not apply"

    @property
    def ok(self) -> bool:
        """No law is broken, and models were checked."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """0 all laws kept, 1 a law broken, 5 no model was checked."""
        if any(f.status == "fails" for f in self.findings):
            return 1
        return 0 if any(f.status == "holds" and f.subject for f in self.findings) else 5

    def as_json(self) -> list[dict[str, Any]]:
        """The findings as plain data."""
        return [asdict(f) for f in self.findings]

    def require(self) -> BackendReport:
        """The report itself; Mismatch when a law is broken, NothingChecked when no model was given."""
        if self.exit_code == 1:
            raise Mismatch(str(self))
        if self.exit_code == 5:
            raise NothingChecked(f"no model of the backend {self.backend!r} was checked; give models=[(model, example), ...]")
        return self

    def __str__(self) -> str:
        laws = [law for law in STATEMENTS if self.of(law)]
        lines = [f"backend {self.backend}"]
        for law in laws:
            found, status = self.of(law), self.status(law)
            reasons = list(dict.fromkeys(f"{f.subject + ': ' if f.subject else ''}{f.reason}" for f in found if f.status == "fails"))
            if status == "does not apply":
                reasons = list(dict.fromkeys(f.reason for f in found))
            count = f"{sum(f.status == 'holds' for f in found)} of {len(found)}" if found[0].subject else ""
            lines.append(f"  {'FAILS' if status == 'fails' else status:14}  {law:18}  {count:>8}  {STATEMENTS[law]}")
            lines += [f"  {'':14}    {reason}" for reason in reasons]
        return "\n".join(lines)


def check_backend(
    backend: str | ModuleType,
    models: Sequence[tuple[Any, Any]] | Mapping[str, tuple[Any, Any]],
    *,
    forward: Callable[..., Any] | None = None,
    gradient: Callable[..., Any] | None = None,
    layers: Callable[[Any], Sequence[str] | Mapping[str, int]] | None = None,
    weights: Callable[[Any], Mapping[str, Any]] | None = None,
    refused: Sequence[tuple[Any, ...]] = (),
    frameworks: Sequence[str] = (),
    raises: bool = False,
) -> BackendReport:
    """The contract of backends/README.md, checked on a backend of yours: one call in your test suite.

    backend      its module, or the name of its entry point ("torch")
    models       (model, example) pairs, or names -> pairs: small, with weights drawn at random (zeros and ones hide mistakes), one of them
                 with a layer that is called twice, and, where the framework has images, one that takes them. float64 models are
                 checked to 1e-9 of the largest value, float32 ones to 1e-4
    forward      (model, inputs) -> outputs in the framework: inputs is a tuple of float64 arrays in the order of the graph's inputs,
                 outputs an array or a sequence of them
    gradient     (model, inputs, seeds) -> for each floating input the gradient of Σ_k <seeds[k], output k>, by the framework's autodiff
    layers       model -> the names of its layers, each of which some node must bear, or {name: how often it is called}
    weights      model -> {name: array} of its parameters, each of which must be one of the graph's
    refused      (model, example, word) of what the backend must refuse; ``word``, such as the operator's name, must be in the message
    frameworks   packages that it may import, besides NumPy, the standard library and the package that it is named after
    raises       raise Mismatch when a law is broken, NothingChecked when nothing was checked

    What only you can tell and do not is "does not apply", with the reason. The law "planted difference" makes every Graph wrong while it
    converts, so do not convert in another thread meanwhile. Errors in the backend are findings, never tracebacks.
    """
    module, name = _module(backend)
    found = [Finding(law, "", *outcome) for law, outcome in (
        ("interface", _guarded(_interface, module)), ("imports", _guarded(_imports, module, (*frameworks, name.removeprefix("xaicore_")))))]
    named = models.items() if isinstance(models, Mapping) else [(f"model {k}", pair) for k, pair in enumerate(models)]
    to_graph: Any = getattr(module, "to_graph", None)
    for label, (model, example) in named if to_graph is not None else ():
        before = digest(model), digest(example)
        subject = Subject(label, model, example, to_graph, getattr(module, "emit", None), forward, gradient, layers, weights)
        converted = _guarded(lambda s: HOLDS if len(s.graph.nodes) and s.feeds else fails("a graph without nodes"), subject)
        found.append(Finding("conversion", label, *converted))
        for law, check in LAWS.items():
            found.append(Finding(law, label, *(_guarded(check, subject) if converted == HOLDS else skips("it did not convert"))))
        found.append(Finding("model not changed", label, *_guarded(nothing_is_modified, subject, before)))
    if to_graph is not None:
        found += [Finding("refusals", "", *_guarded(_refuses, to_graph, *one)) for one in
                  [(object(), None, "", BackendError), *((*one, "")[:3] for one in refused)]]
        found += [Finding("refusals", "", *_guarded(_refuses, to_graph, model, "not an array")) for _, (model, _) in list(named)[:1]]
    report = BackendReport(name, tuple(found))
    return report.require() if raises else report


# ----- the backend as a whole -------------------------------------------------------------------------------------------


def _module(backend: str | ModuleType) -> tuple[ModuleType, str]:
    if isinstance(backend, ModuleType):
        return backend, backend.__name__
    found = plugins.available()
    if backend in found:
        return import_module(found[backend].value), backend
    try:
        return import_module(backend), backend
    except ImportError as error:
        raise BackendError(f"{backend!r} is neither an installed backend nor a module that imports ({error}); "
                           f"{nearest(backend, found)}") from error


def _guarded(check: Callable[..., Outcome], *args: Any) -> Outcome:
    """The outcome; an exception on the way is a failure with its name."""
    try:
        return check(*args)
    except Exception as error:
        return fails(f"it raised {type(error).__name__}: {error}")


def _interface(module: ModuleType) -> Outcome:
    to_graph = getattr(module, "to_graph", None)
    if not callable(to_graph):
        return fails("the module has no to_graph; see backends/README.md")
    given = inspect.signature(to_graph).parameters
    for name, default in (("model", inspect.Parameter.empty), ("example", None), ("dtype", "float64"), ("verify", True)):
        if name not in given or given[name].default != default:
            return fails(f"to_graph{inspect.signature(to_graph)}: {STATEMENTS['interface']}")
    return HOLDS if inspect.getdoc(to_graph) else fails("to_graph has no docstring")


def _imports(module: ModuleType, frameworks: Sequence[str]) -> Outcome:
    """Reads the syntax trees of the package's sources; annotations that are imported for the type checker alone do not count."""
    files = [f for root in getattr(module, "__path__", ()) for f in sorted(Path(root).rglob("*.py"))] or [Path(str(module.__file__))]
    known = {*sys.stdlib_module_names, "numpy", module.__name__.split(".")[0], *frameworks} - set(UNPICKLES)
    for file in files:
        for node in ast.walk(_without_annotations(ast.parse(file.read_text(encoding="utf-8")))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [f"xaicore.{a.name}" for a in node.names] if node.module == "xaicore" else [node.module or ""]
            elif isinstance(node, ast.Call) and _called(node) in EXECUTES:
                return fails(f"{file.name}:{node.lineno} calls {_called(node)}; a backend executes nothing that it reads, and imports "
                             f"by statement")
            where = f"{file.name}:{getattr(node, 'lineno', 0)}"
            for name in names:
                root = name.split(".")[0]
                if root == "xaicore" and not any(name == one or name.startswith(f"{one}.") for one in SEEN):
                    return fails(f"{where} imports {name}; of xaicore a backend sees {', '.join(SEEN)}")
                if root != "xaicore" and root not in known:
                    return fails(f"{where} imports {name}; a backend imports its framework, the standard library and "
                                 f"NumPy, nothing else (frameworks=[...] names what belongs to it)")
    return HOLDS


def _called(node: ast.Call) -> str:
    """The name of a called function; of methods only import_module, for model.eval() is none of Python's."""
    if isinstance(node.func, ast.Name):
        return node.func.id
    return "import_module" if isinstance(node.func, ast.Attribute) and node.func.attr == "import_module" else ""


def _without_annotations(tree: ast.Module) -> ast.Module:
    """The tree without its ``if TYPE_CHECKING:`` blocks."""
    kept = [n for n in tree.body if not (isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test))]
    return ast.Module(body=kept, type_ignores=[])


def _refuses(to_graph: Callable[..., Any], model: Any, example: Any, word: str = "", kind: type[Exception] = XaicoreError) -> Outcome:
    what = f"a {type(model).__name__}" if not isinstance(example, str) else f"the example {example!r}"
    try:
        to_graph(model, example)
    except kind as error:
        if word not in str(error):
            return fails(f"{what}: the message does not name {word!r}: {error}")
        return HOLDS if len(str(error)) >= 30 else fails(f"{what}: {error!s:.30} says neither what was found nor what to do")
    except Exception as error:
        return fails(f"{what}: {type(error).__name__} instead of {kind.__name__}: {error}")
    return fails(f"{what} was converted; it must be refused" + (f" with a message that names {word!r}" if word else ""))
