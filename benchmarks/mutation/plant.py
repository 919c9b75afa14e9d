"""Making a change: in the functions of this process, or in a module that is imported anew."""

from __future__ import annotations

import ast
import functools
import gc
import importlib.abc
import importlib.util
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

from benchmarks.mutation.mutants import Mutant, Source, mutants, sources

VARIABLE = "XAICORE_MUTANT"
"""``scope:module:number``: what a new interpreter with this plugin of pytest plants, ``-p benchmarks.mutation.plant``."""


@dataclass(frozen=True)
class Living:
    """All functions of xaicore in this process by their code, closures and methods among them, and what remembers answers."""

    functions: Mapping[CodeType, Sequence[FunctionType]]
    memories: Sequence[Any]


def living() -> Living:
    """What lives now."""
    gc.unfreeze()                                                        # what is frozen is not among the objects of the collector
    found: dict[CodeType, list[FunctionType]] = defaultdict(list)
    memories = []
    for f in gc.get_objects():
        if type(f) is FunctionType and "/xaicore/" in f.__code__.co_filename.replace("\\", "/"):
            found[f.__code__].append(f)
        elif type(f) is functools._lru_cache_wrapper and (f.__module__ or "").startswith("xaicore.") and ".oracle" not in f.__module__:
            memories.append(f)
    return Living(found, memories)


def exchange(mutant: Mutant, all: Living) -> bool:
    """Exchanges the code (or the default) of every living function that the change touches, and empties what remembers answers. False
    where the compiler makes the same code of both."""
    changed = False
    with mutant.made() as new:
        for old, other in _pairs(mutant.source.code, new):
            if old != other:
                changed = True
                for f in all.functions.get(old, ()):
                    f.__code__ = other
    if mutant.default:
        for f in (f for several in all.functions.values() for f in several):
            if f.__code__.co_filename == str(mutant.source.path) and f.__qualname__ == mutant.where:
                _default(f, mutant)
    for f in all.memories:
        f.cache_clear()
    return changed


def _default(f: FunctionType, mutant: Mutant) -> None:
    name, k = mutant.place
    assert k is not None
    value = ast.literal_eval(mutant.new)
    if name == "defaults":
        f.__defaults__ = tuple(value if j == k else v for j, v in enumerate(f.__defaults__ or ()))
    else:
        f.__kwdefaults__ = {**(f.__kwdefaults__ or {}), mutant.parent.kwonlyargs[k].arg: value}


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
