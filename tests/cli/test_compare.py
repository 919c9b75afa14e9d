"""xaicore compare: every kind of side, every exit code, one JSON document."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.files import Run


@pytest.fixture
def files(run: Run, folder: Path) -> Path:
    """Attributions in every format that is read."""
    assert run("explain", "grey.json", "grey.npy", "-m", "gradient", "--target", "1", "-o", "out.npz", "-o", "out.safetensors", "-o", "out.json").code == 0
    with np.load("out.npz") as stored:
        np.save("right.npy", stored["gradient"])
    np.save("wrong.npy", np.load("right.npy") * 2)
    return folder


@pytest.mark.parametrize("file", ["right.npy", "out.npz", "out.safetensors", "out.json", "out.npz#gradient"])
def test_a_file_beside_the_reference(run: Run, files: Path, file: str) -> None:
    for sides in ((file, "reference:gradient"), ("reference:gradient", file)):
        ran = run("compare", *sides, "grey.json", "grey.npy", "--target", "1")
        assert ran.code == 0, ran.out + ran.err
        assert f"{file} agrees with gradient" in ran.out


def test_a_wrong_file_is_exit_code_1_and_the_convention_is_named(run: Run, files: Path) -> None:
    ran = run("compare", "reference:gradient", "wrong.npy", "grey.json", "grey.npy", "--target", "1", "--seconds", "1")
    assert ran.code == 1
    assert "does NOT agree with gradient" in ran.out
    assert "theirs is ours times 2" in ran.out
    assert "nothing known reproduces theirs" in ran.out
    ran = run("compare", "reference:saliency", "right.npy", "grey.json", "grey.npy", "--target", "1")
    assert ran.code == 1
    assert "theirs is saliency with reduce='none'" in ran.out


def test_two_files_need_no_model(run: Run, files: Path) -> None:
    assert run("compare", "right.npy", "out.npz").code == 0
    ran = run("compare", "right.npy", "wrong.npy")
    assert ran.code == 1
    assert "128 of 128 numbers differ" in ran.out
    assert run("compare", "right.npy", "wrong.npy", "--rtol", "0.5", "--atol", "0").code == 0


def test_a_profile_and_settings(run: Run, files: Path) -> None:
    ran = run("compare", "reference", "profile:zennit:IntegratedGradients", "grey.json", "grey.npy")
    assert ran.code == 1
    assert "quadrature='right'" in ran.out
    assert run("compare", "reference:integrated_gradients:quadrature=right,steps=20", "profile:zennit:IntegratedGradients", "grey.json", "grey.npy").code == 0


def test_json_is_one_document(run: Run, files: Path) -> None:
    ran = run("compare", "reference:gradient", "wrong.npy", "grey.json", "grey.npy", "--target", "1", "--no-search", "--json")
    document = json.loads(ran.out)
    assert document["exit_code"] == ran.code == 1
    assert document["agree"] is False
    assert (document["count"], document["mismatched"], document["relation"]) == (128, 128, "ours times 2")
    assert document["sides"] == ["reference:gradient", "wrong.npy"]
    assert document["tolerance"]["absolute"] > 0


@pytest.mark.parametrize(("words", "code", "told"), [
    (("reference", "right.npy", "grey.json", "grey.npy"), 2, "which method"),
    (("reference:gradiant", "right.npy", "grey.json", "grey.npy"), 2, "did you mean 'gradient'"),
    (("reference:gradient", "right.npy"), 2, "MODEL and INPUT are needed"),
    (("reference:gradient", "nofile.npy", "grey.json", "grey.npy"), 4, "does not exist"),
    (("reference:gradient", "grey.png", "grey.json", "grey.npy"), 4, "is no side of a comparison"),
    (("reference:gradient", "out.npz#lrp", "grey.json", "grey.npy"), 2, "holds no 'lrp'"),
    (("reference:gradient:eps", "right.npy", "grey.json", "grey.npy"), 2, "is not a setting"),
    (("profile:captum", "right.npy", "grey.json", "grey.npy"), 2, "which method"),
    (("profile:captom:LRP", "right.npy", "grey.json", "grey.npy"), 2, "did you mean 'captum'"),
    (("reference:gradient", "captum@0.0.1:Saliency", "grey.json", "grey.npy"), 5, "nothing was checked"),
    (("reference:gradient", "cmd:no-such-program", "grey.json", "grey.npy"), 5, "nothing was checked"),
    (("reference:gradient", "right.npy", "grey.json", "grey.npy", "--rtol", "1"), 2, "together, or neither"),
])
def test_what_is_not_a_comparison_is_told_for_what_it_is(run: Run, files: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int,
                                                         told: str) -> None:
    monkeypatch.setenv("XAICORE_PEERS", str(files))
    ran = run("compare", *words)
    assert (ran.code, told in ran.err) == (code, True), ran.err
    assert "agree" not in ran.out


@pytest.mark.parametrize(("header", "told"), [
    (b"\xff" * 8, "its header would have"), (b'\x02\x00\x00\x00\x00\x00\x00\x00[]', "cannot be read"),
    (b'\x3f\x00\x00\x00\x00\x00\x00\x00' + b'{"a": {"dtype": "F64", "shape": [9], "data_offsets": [0, 72]}}'.ljust(63), "do not fit"),
    (b"short", "its header would have")])
def test_a_safetensors_file_that_lies(run: Run, files: Path, header: bytes, told: str) -> None:
    (files / "bad.safetensors").write_bytes(header)
    ran = run("compare", "reference:gradient", "bad.safetensors", "grey.json", "grey.npy")
    assert ran.code == 4
    assert told in ran.err
