"""Imports go only downwards, read from the syntax tree: no import here runs what it checks."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ["errors", "numerics", "ops", "graph", "trace", "rules", "methods", "metrics", "represent", "visualize", "oracle", "show", "cli"]
BESIDE = {"plugins": {"errors", "graph"}, "data": {"errors", "numerics", "graph"}, "testing": {"oracle"},
          "many": {"errors", "numerics", "graph", "methods", "plugins", "cli"}}
"""Packages outside the ladder, and what they may see. ``xaicore/__init__.py`` and ``__main__.py`` see everything."""

FRAMEWORKS = {"torch", "keras", "onnx", "tensorflow", "jax", "onnxruntime"}
LAZY = {"scipy", "hypothesis", "PIL", "rich", "jinja2", "autograd"}
BACKENDS = {"xaicore.graph", "xaicore.ops", "xaicore.errors", "xaicore.numerics"}


def imports(path: Path) -> list[tuple[str, int, bool]]:
    """(module, line, at module level) of every import in a file; type-checking blocks are annotations, not imports."""
    found = []

    def walk(node: ast.AST, top: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                found.extend((alias.name, child.lineno, top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module == "xaicore":
                parts = {*LAYERS, *BESIDE}
                found.extend((f"xaicore.{a.name}" if a.name in parts else "xaicore", child.lineno, top) for a in child.names)
            elif isinstance(child, ast.ImportFrom):
                found.append((child.module or ".", child.lineno, top))
            walk(child, top and not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)))

    walk(ast.parse(path.read_text(encoding="utf-8")), True)
    return found


def part(module: str) -> str:
    """The layer that a module of xaicore belongs to: "xaicore.rules.lrp" -> "rules"."""
    return module.split(".")[1] if "." in module else ""


def violations(path: Path, name: str) -> list[str]:
    """What a file of xaicore imports and must not, as sentences."""
    own = part(name)
    out = []
    for module, line, top in imports(path):
        root = module.split(".")[0]
        where = f"{path.name}:{line}"
        if root in FRAMEWORKS:
            out.append(f"{where} imports {module}; xaicore never imports a framework")
        elif root == "backends" or (root.startswith("xaicore_") and root != "xaicore"):
            out.append(f"{where} imports {module}; backends are found by entry point, never imported")
        elif root in LAZY and top and own not in ("oracle", "show", "cli"):
            out.append(f"{where} imports {module} at module level; load it where it is used")
        elif root == "xaicore" and own:
            target = part(module)
            if own in BESIDE:
                allowed = BESIDE[own] | {own}
            elif own in LAYERS:
                allowed = set(LAYERS[: LAYERS.index(own) + 1]) | ({"plugins", "data", "many"} if own == "cli" else {"plugins"} if own == "oracle" else set())
            else:
                out.append(f"{where}: {own} has no layer; add it to LAYERS or BESIDE")
                continue
            if target and target not in allowed:
                out.append(f"{where} imports {module} (a higher layer)")
            if not target and own != "cli":
                out.append(f"{where} imports the package itself; import the module that you need")
    return out


FILES = sorted((ROOT / "xaicore").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(ROOT)) for p in FILES])
def test_imports_go_down(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    if name in ("xaicore.__init__", "xaicore.__main__"):
        name = "xaicore"
    assert not violations(path, name)


@pytest.mark.parametrize("path", sorted((ROOT / "backends").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_backends_see_graph_ops_and_errors(path):
    own = path.relative_to(ROOT / "backends").parts[0]
    for module, line, _ in imports(path):
        if module.split(".")[0] == "xaicore":
            assert any(module == b or module.startswith(b + ".") for b in BACKENDS), f"{path.name}:{line} imports {module}"
        assert not (module.startswith("xaicore_") and not module.startswith(own)), f"{path.name}:{line} imports another backend"


def test_a_planted_violation_is_found(tmp_path):
    bad = tmp_path / "conv.py"
    bad.write_text("import torch\nimport scipy\nfrom xaicore.rules import lrp\nimport xaicore_torch\nfrom xaicore.numerics import Array\n")
    found = violations(bad, "xaicore.ops.conv")
    assert [f.split(" imports ")[1].split(";")[0].split(" (")[0] for f in found] == ["torch", "scipy at module level", "xaicore.rules", "xaicore_torch"]


def test_import_loads_numpy_only():
    """A fresh interpreter: after ``import xaicore`` no framework and none of the lazily loaded packages is there."""
    code = f"import sys, xaicore; print(*sorted({sorted(FRAMEWORKS | LAZY)!r} & sys.modules.keys()))".replace("[", "{").replace("]", "}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""
