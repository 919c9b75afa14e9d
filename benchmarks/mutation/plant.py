"""Making a change: in the functions of this process, or in a module that is imported anew."""

from __future__ import annotations

import functools
import gc
import importlib.abc
import importlib.util
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any

from benchmarks.mutation.mutants import Mutant, Source, mutants, sources

VARIABLE = "XAICORE_MUTANT"
"""``scope:module:number``: what a new interpreter with this plugin of pytest plants, ``-p benchmarks.mutation.plant``."""


def functions() -> dict[CodeType, list[FunctionType]]:
    """All living functions of xaicore by their code, closures and methods among them."""
    found: dict[CodeType, list[FunctionType]] = defaultdict(list)
    for f in gc.get_objects():
        if type(f) is FunctionType and f.__code__.co_filename.replace("\\", "/").find("/xaicore/") >= 0:
            found[f.__code__].append(f)
    return found


def exchange(mutant: Mutant, living: Mapping[CodeType, Sequence[FunctionType]]) -> bool:
    """Exchanges the code of every living function that the change touches. False where the compiler makes the same code of both."""
    changed = False
    with mutant.made() as new:
        for old, other in _pairs(mutant.source.code, new):
            if old != other:
                changed = True
                for f in living.get(old, ()):
                    f.__code__ = other
    forget()
    return changed


def forget() -> None:
    """Empties what functions of the engine remember."""
    for f in gc.get_objects():
        if isinstance(f, functools._lru_cache_wrapper) and (f.__module__ or "").startswith("xaicore.") and ".oracle" not in f.__module__:
            f.cache_clear()


def anew(mutant: Mutant) -> None:
    """From here on xaicore, and whatever stands on it, is imported again, with the change."""
    with mutant.made() as code:
        sys.meta_path.insert(0, _Changed(mutant.source, code))
    for name in [k for k in sys.modules if k.split(".")[0] in ("xaicore", "tests") or k == "benchmarks.mutation.questions"]:
        del sys.modules[name]


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds one module, with other code than its file's."""

    def __init__(self, source: Source, code: CodeType):
        self.source, self.code = source, code

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> Any:
        if name != self.source.name:
            return None
        package = self.source.path.name == "__init__.py"
        spec = importlib.util.spec_from_loader(name, self, origin=str(self.source.path), is_package=package)
        if spec is not None and package:
            spec.submodule_search_locations = [str(self.source.path.parent)]
        return spec

    def get_source(self, fullname: str) -> str:
        return self.source.path.read_text(encoding="utf-8")

    def get_code(self, fullname: str) -> CodeType:
        return self.code

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self.source.path)
        exec(self.code, module.__dict__)


def _pairs(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    yield old, new
    a, b = ([c for c in code.co_consts if isinstance(c, CodeType)] for code in (old, new))
    if len(a) != len(b):
        named = {(c.co_name, c.co_firstlineno): c for c in b}
        b = [named.get((c.co_name, c.co_firstlineno), c) for c in a]
    for one, other in zip(a, b):
        yield from _pairs(one, other)


def pytest_configure(config: Any) -> None:
    """As a plugin of pytest: plants what the environment says before the first test is imported."""
    if VARIABLE in os.environ:
        scope, module, number = os.environ[VARIABLE].split(":")
        anew(mutants(sources(scope, module)[0])[int(number)])
