"""Files to begin with: sound ones of each reader, the attacks of tests/attacks/, what ONNX's own suite holds, and what earlier runs kept in corpus/."""

from __future__ import annotations

import json
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.targets import Target

CORPUS = Path(__file__).parent / "corpus"
CASES = Path(__file__).parent.parent.parent / "xaicore/oracle/vectors/cases"
LONGEST = {"m.keras": 60_000, "v.json": 40_000}
USUAL = 20_000
READS = {"inspect": ("m.", 1), "explain": ("x.", 2), "compare": ("a.", 1), "vectors": ("v.", 2)}


def longest(name: str) -> int:
    """How many bytes a file of this reader has at most."""
    return LONGEST.get(name, USUAL)


def seeds(target: Target, few: bool = False) -> list[bytes]:
    """Without doubles, none longer than ``longest``; ``few``: those that take no time to make."""
    found = [*target.seeds(), *once_found(target.name)]
    if few:
        return found
    found += [*kept(target.name), *attacks(target.name)]
    if target.name == "m.onnx":
        found += standard()
    if target.name == "v.json":
        found += [p.read_bytes() for p in sorted(CASES.glob("*.json"))]
    if target.name == "m.json":
        found += [json.dumps(v["model"]).encode() for p in sorted(CASES.glob("*.json")) for v in json.loads(p.read_bytes())["vectors"][:2]
                  if isinstance(v.get("model"), dict)]
    return [data for data in dict.fromkeys(found) if len(data) <= longest(target.name)]


def once_found(name: str) -> list[bytes]:
    """The files of corpus/NAME/, each of which broke a reader."""
    return [p.read_bytes() for p in sorted((CORPUS / name).glob("*"))]


def kept(name: str) -> list[bytes]:
    """The files of corpus/NAME.zip: one for each piece of code that the long run reached, as far as they are small."""
    if not (CORPUS / f"{name}.zip").exists():
        return []
    with zipfile.ZipFile(CORPUS / f"{name}.zip") as archive:
        return [archive.read(member) for member in archive.namelist()]


def keep(name: str, folder: Path, most: int) -> int:
    """Writes corpus/NAME.zip of the files of a folder, the shortest first, as long as it takes ``most`` bytes; how many those are."""
    files = sorted((p.read_bytes() for p in folder.iterdir()), key=lambda data: (len(data), data))
    written = 0
    with zipfile.ZipFile(CORPUS / f"{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for data in files:
            if archive.start_dir + len(zlib.compress(data, 9)) + 120 * (written + 1) > most:
                break
            archive.writestr(zipfile.ZipInfo(f"{written:04d}"), data, zipfile.ZIP_DEFLATED)
            written += 1
    return written


def attacks(name: str) -> Iterator[bytes]:
    """The files of the attacks that this reader would open."""
    from tests.attacks.test_attacks import FAMILIES

    for family in FAMILIES.values():
        for attack in family.values():
            with tempfile.TemporaryDirectory() as folder:
                words = [str(w) for w in attack.build(Path(folder))]
                start, at = READS.get(words[0], ("", 0))
                path = Path(words[at] if at < len(words) else "")
                if start + path.suffix.lstrip(".") == name and path.is_file() and path.stat().st_size <= longest(name):
                    yield path.read_bytes()


def standard() -> Iterator[bytes]:
    """The models of ONNX's own tests of its operators, of which there are some two thousand."""
    from onnx.backend.test.case.node import collect_testcases

    for case in collect_testcases(None):
        yield case.model.SerializeToString()
