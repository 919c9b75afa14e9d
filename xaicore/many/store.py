"""The folder of a run: run.json says what was asked, part-00017.safetensors holds a shard, index.jsonl has a line for each item.

A part is written under another name and renamed, so that one that is there is whole; its rows are in it, so that the index can be
made again from the parts alone. Killing the program at any moment loses at most the shards that were being computed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xaicore.cli.outputs import safetensors, write
from xaicore.cli.stored import read_arrays
from xaicore.errors import FileRefused, InputError, UnknownName
from xaicore.graph.untrusted import open_regular, parse_json, read_bytes
from xaicore.numerics import Array

RUN, INDEX, PART = "run.json", "index.jsonl", re.compile(r"part-(\d{5,})\.safetensors")


@dataclass(frozen=True)
class Many:
    """A finished or interrupted run in its folder: how many items are done and failed, and each result from its file."""

    folder: Path
    items: int
    done: int
    failed: int
    skipped: int = 0
    seconds: float = 0.0

    def rows(self) -> Iterator[dict[str, Any]]:
        """The lines of the index, in the order of the items, one at a time."""
        with open(self.folder / INDEX, encoding="utf-8") as stream:
            yield from (json.loads(line) for line in stream)

    def __getitem__(self, item: int) -> dict[str, Array]:
        """An item's arrays: label -> attribution ("label/input" where there are several inputs). UnknownName for one without a result."""
        folder = Folder(self.folder)
        parts = folder.parts()
        size = folder.manifest()["shard"]
        path = parts.get(item // size)
        rows = {} if path is None else {r["item"]: r for r in rows_of(path)}
        if item not in rows or rows[item]["status"] != "done":
            why = rows[item]["message"] if item in rows else "it is not computed yet"
            raise UnknownName(f"item {item} has no result in {self.folder}: {why}")
        return {k.split("/", 1)[1]: v for k, v in read_arrays(str(path)).items() if k.split("/", 1)[0] == str(item)}


class Folder:
    """The files of a run."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def begin(self, manifest: Mapping[str, Any], resume: bool) -> dict[int, Path]:
        """The parts that are there already. InputError when the folder holds another run, or with ``resume=False`` any."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"out={str(self.path)!r} cannot be made a folder: {error.strerror or error}") from None
        run = self.path / RUN
        if run.exists():
            there = self.manifest()
            if not resume:
                raise InputError(f"{self.path} holds a run already; give another folder, or resume=True to go on with it")
            differs = [k for k in manifest if there.get(k) != manifest[k]]
            if differs:
                raise InputError(f"{self.path} holds another run: {', '.join(differs)} differ (see {RUN}); give another folder")
        elif self.parts():
            raise InputError(f"{self.path} holds parts of a run, but no {RUN}; give another folder")
        else:
            write(run, (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))
        for left in self.path.glob(".part-*.part"):                     # of a run that was killed while it wrote
            left.unlink(missing_ok=True)
        return self.parts()

    def manifest(self) -> dict[str, Any]:
        found = parse_json(read_bytes(self.path / RUN), RUN)
        if not isinstance(found, dict) or not isinstance(found.get("shard"), int) or found["shard"] < 1:
            raise FileRefused(f"{self.path / RUN} is no description of a run")
        return found

    def parts(self) -> dict[int, Path]:
        """Number -> file of every whole shard."""
        found = ((PART.fullmatch(p.name), p) for p in self.path.iterdir()) if self.path.is_dir() else ()
        return {int(match[1]): p for match, p in found if match}

    def add(self, number: int, arrays: Mapping[str, Array], rows: Sequence[Mapping[str, Any]]) -> None:
        """A shard, whole or not at all."""
        text = json.dumps(list(rows), separators=(",", ":"), ensure_ascii=False)
        write(self.path / f"part-{number:05d}.safetensors", safetensors(arrays, {"rows": text}))

    def finish(self) -> tuple[int, int]:
        """Writes the index from the parts; how many items are done, and how many failed."""
        done = failed = 0
        part = self.path / f".{INDEX}.{os.getpid()}.part"
        with part.open("w", encoding="utf-8") as stream:
            for _, path in sorted(self.parts().items()):
                for row in rows_of(path):
                    done, failed = done + (row["status"] == "done"), failed + (row["status"] != "done")
                    stream.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
        part.replace(self.path / INDEX)
        return done, failed


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a part, from its header alone."""
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        length = int.from_bytes(stream.read(8), "little")
        if length > size - 8:
            raise FileRefused(f"{path} is no whole part of a run; delete it, and run again")
        header = parse_json(stream.read(length), path.name)
    try:
        rows = parse_json(header["__metadata__"]["rows"].encode("utf-8"), path.name)
        assert all(isinstance(r["item"], int) and isinstance(r["status"], str) for r in rows)
    except (KeyError, TypeError, AttributeError, AssertionError):
        raise FileRefused(f"{path} is no part of a run; delete it, and run again") from None
    return list(rows)
