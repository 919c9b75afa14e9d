"""Writing results: .png .npz .safetensors .html .json. A file appears whole or not at all."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.cli.shared import describe
from xaicore.errors import InputError, UnknownName, nearest
from xaicore.methods.attribution import Attribution
from xaicore.numerics import Array
from xaicore.oracle.report import Report
from xaicore.show.table import passes_on, plain_data

WRITTEN = (".png", ".npz", ".safetensors", ".html", ".json")


@dataclass(frozen=True)
class Product:
    """All that an output file may tell about a run."""

    results: Mapping[str, Attribution]
    title: str
    command: str
    over: bool = False
    shared: bool = False
    report: Report | None = None


def checked_paths(names: Iterable[str]) -> list[Path]:
    """The output files, each of a kind that is written and in a folder that takes it: told before anything is computed."""
    paths = [Path(n) for n in dict.fromkeys(names)]
    for path in paths:
        kind = path.suffix.lower()
        if kind not in WRITTEN:
            raise UnknownName(f"-o {path}: the ending {kind or '(nothing)'} is no format; {nearest(kind, WRITTEN)}")
        if path.is_dir():
            raise InputError(f"-o {path} is a directory; give a file name")
        if not path.parent.is_dir():
            raise InputError(f"-o {path}: there is no folder {path.parent}; create it first")
        if not os.access(path.parent, os.W_OK):
            raise InputError(f"-o {path}: the folder {path.parent} cannot be written to")
    return paths


def write_all(paths: Iterable[Path], product: Product) -> None:
    """Renders every file first, then writes them."""
    for path, data in [(p, render(p, product)) for p in paths]:
        write(path, data)


def write(path: Path, data: bytes) -> None:
    """The whole file, or no change: written beside it under another name, then renamed. InputError when that fails."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def render(path: Path, product: Product) -> bytes:
    """The bytes of one output file; its ending says which kind."""
    kind = path.suffix.lower()
    if kind == ".png":
        from xaicore.show.sheet import contact_sheet, png

        return png(contact_sheet(product.results, product.title, over=product.over, shared=product.shared))
    if kind == ".html":
        from xaicore import __version__
        from xaicore.show.page import page

        return page(product.results, product.title, product.command, product.report, __version__).encode("utf-8")
    if kind == ".json":
        return (json.dumps(plain_data(document(product, values=True)), indent=1, allow_nan=False) + "\n").encode("utf-8")
    about = json.dumps(plain_data(document(product, values=False)), allow_nan=False)
    if kind == ".npz":
        out = io.BytesIO()
        packed: dict[str, Any] = {**arrays(product.results), "about": np.array(about)}
        np.savez_compressed(out, **packed)                              # NumPy before 2.1 would store an allow_pickle as an array
        return out.getvalue()
    return safetensors(arrays(product.results), {"about": about})


# ----- numbers ----------------------------------------------------------------------------------------------------------


def document(product: Product, values: bool = False, ledger: bool = True) -> dict[str, Any]:
    """A run as one mapping: model, results, and with ``values`` the attributions themselves as nested lists."""
    from xaicore import __version__

    first = next(iter(product.results.values()))
    out: dict[str, Any] = {
        "xaicore": __version__, "command": product.command, "title": product.title, "model": describe(first.graph),
        "results": [result(label, a, values, ledger) for label, a in product.results.items()],
    }
    if product.report is not None:
        out["verdicts"] = product.report.as_json()
    return out


def result(label: str, a: Attribution, values: bool = False, ledger: bool = True) -> dict[str, Any]:
    """One result as a mapping of raw numbers; rationals are written "p/q"."""
    from xaicore.show.table import absorbed, settings, targets

    out: dict[str, Any] = {
        "label": label, "method": a.method, "explained": a.explained, "target": targets(a), "settings": settings(a.settings),
        "output": a.output, "baseline_output": a.baseline_output, "total": a.total(), "gap": a.gap(),
        "absorbed": [absorbed(a, n) for n in range(len(a.output))], "seconds": a.seconds,
        "shapes": {k: list(v.shape) for k, v in a.values.items()},
    }
    if "says" in a.extras:
        out["says"] = a.extras["says"]
    if values:
        out["values"] = dict(a.values)
    if ledger and a.ledger is not None and passes_on(a):
        out["ledger"] = [{"node": e.node.name, "layer": e.node.layer, "operator": type(e.node.op).__name__, "arrived": e.arrived,
                          "passed": e.passed, "absorbed": e.absorbed} for e in a.ledger]
    return out


def arrays(results: Mapping[str, Attribution]) -> dict[str, Array]:
    """Label -> attribution ("label/input" where there are several inputs), and "x/input" -> the explained input.

    Rationals become the nearest float64; .json keeps them exactly.
    """
    out: dict[str, Array] = {}
    for label, a in results.items():
        for name, v in a.values.items():
            out[label if len(a.values) == 1 else f"{label}/{name}"] = _floats(v)
    first = next(iter(results.values()))
    return {**out, **{f"x/{k}": _floats(v) for k, v in first.feeds.items()}}


def _floats(v: Array) -> Array:
    return np.ascontiguousarray(v.astype(float) if v.dtype == object else v)


NAMES = {"float64": "F64", "float32": "F32", "int64": "I64", "int32": "I32", "uint8": "U8", "bool": "BOOL"}


def safetensors(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """The safetensors format: the length of a JSON header as 8 little-endian bytes, the header, the arrays end to end.

    Each header entry has dtype, shape, and where the array's bytes begin and end behind the header.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    start, blocks = 0, []
    for name, x in tensors.items():
        block = np.ascontiguousarray(x).astype(x.dtype.newbyteorder("<"), copy=False).tobytes()
        header[name] = {"dtype": NAMES[str(x.dtype)], "shape": list(x.shape), "data_offsets": [start, start + len(block)]}
        blocks.append(block)
        start += len(block)
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)                                     # so that the arrays begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + b"".join(blocks)
