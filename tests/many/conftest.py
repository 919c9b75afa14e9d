"""A model file, some items, and what an item may do."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xaicore.data import digits_images
from xaicore.graph.graph import Graph

METHODS: dict[str, Any] = {"lrp": "lrp.epsilon", "noise": ("smoothgrad", {"samples": 3}), "ig": ("integrated_gradients", {"steps": 4})}


def slowly(path: str, graph: Graph) -> Any:
    """Reads as usual, after a moment, so that every worker gets its share; says who it was."""
    time.sleep(0.05)
    with open(Path(path).with_suffix(".pid"), "a", encoding="ascii") as stream:
        stream.write(f"{os.getpid()}\n")
    return np.load(path)


def deadly(path: str, graph: Graph) -> Any:
    """As ``slowly``, but the first process that comes to the item with a mark ends at once."""
    mark = Path(path).with_suffix(".deadly")
    if mark.exists():
        mark.unlink()
        os._exit(9)
    return slowly(path, graph)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Ten inputs; number 3 is no array."""
    images, _ = digits_images()
    folder = tmp_path / "items"
    folder.mkdir()
    out = []
    for k in range(10):
        out.append(folder / f"{k}.npy")
        np.save(out[-1], images[k:k + 1])
    out[3].write_bytes(b"poison")
    return out
