"""What inspect says that methods need, and --batch-size auto, which keeps below --max-bytes or ends with exit code 4."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.files import Run
from xaicore.cli.inspect import size


@pytest.mark.parametrize(("limit", "method"), [("100k", "integrated_gradients"), ("300k", "lrp.epsilon")])
def test_what_does_not_fit_ends_with_4(run: Run, tmp_path: Path, limit: str, method: str) -> None:
    np.save(tmp_path / "x.npy", np.ones((9, 1, 8, 8)))
    ran = run("explain", "digits", tmp_path / "x.npy", "--max-bytes", limit, "--batch-size", "auto", "-m", method)
    assert ran.code == 4
    assert f"{method} of 9 samples needs about" in ran.err


def test_what_fits_is_explained(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((9, 1, 8, 8)))
    assert run("explain", "digits", tmp_path / "x.npy", "--max-bytes", "100M", "--batch-size", "auto", "-m", "integrated_gradients").code == 0
    assert run("explain", "digits", tmp_path / "x.npy", "--batch-size", "most").code == 2


def test_inspect_states_the_bytes(run: Run) -> None:
    import json

    document = json.loads(run("inspect", "digits", "--json", "--max-bytes", "1G").out)["memory"]
    assert (document["limit"], document["parameters"]) == (1 << 30, 14_426 * 8)
    for one in document["families"].values():
        assert one["one"] == one["fixed"] + one["sample"] + min(one["block"], one["most"])
        assert one["fitting"] > 1000
    out = run("inspect", "digits").out
    assert "memory that a method needs" in out
    assert "2 GiB are allowed" in out
    assert "deeplift.rescale" in out


def test_sizes_in_words() -> None:
    assert [size(n) for n in (0, 999, 1023, 1024, 1000 * 1024, 1536 << 10, 2 << 30, 5 << 40)] == [
        "0 bytes", "999 bytes", "1,023 bytes", "1 KiB", "1,000 KiB", "1.5 MiB", "2 GiB", "5,120 GiB"]
