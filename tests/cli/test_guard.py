"""--max-bytes and --timeout: what is read and computed within them, and how a command ends beyond them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from xaicore import Builder
from xaicore.errors import FileRefused, InputError
from xaicore.graph.files import save
from xaicore.graph.untrusted import MAX_BYTES, Spent, check_ratio, limited, max_bytes, parse_json
from xaicore.ops import Dense, Pad, Sum, Unsqueeze


def test_a_limit_holds_for_model_and_input(run: Run, tmp_path: Path) -> None:
    b = Builder("small")
    y = b.add(Dense(), b.input("x", (None, 64)), b.param("w", np.ones((64, 64))))
    save(b.build(y), tmp_path / "m.json")
    np.save(tmp_path / "x.npy", np.ones((40, 64)))
    words = ["explain", str(tmp_path / "m.json"), str(tmp_path / "x.npy"), "-m", "gradient"]
    assert run(*words).code == 0
    for limit, told in (("16k", "parameter"), ("4k", "m.json has")):
        ran = run(*words, "--max-bytes", limit)
        assert (ran.code, told in ran.err) == (4, True), ran.err
    np.save(tmp_path / "x.npy", np.ones((500, 64)))
    ran = run(*words, "--max-bytes", "100k")
    assert ran.code == 4
    assert "x.npy, as its header has it, would take 256,000 bytes; more than 102,400" in ran.err
    assert max_bytes() == MAX_BYTES


def test_what_is_computed_is_within_the_total(run: Run, tmp_path: Path) -> None:
    """A sound small model whose value has 8 GB is stopped before it is allocated."""
    b = Builder("wide")
    x = b.input("x", (None, 2))
    y = b.add(Sum((1,)), b.add(Pad(((0, 0), (0, 10**9))), b.add(Unsqueeze((1,)), x)))
    save(b.build(y), tmp_path / "m.json")
    np.save(tmp_path / "x.npy", np.ones((1, 2)))
    ran = run("explain", str(tmp_path / "m.json"), str(tmp_path / "x.npy"), "-m", "gradient", "--max-bytes", "64M")
    assert ran.code == 4
    assert "m.json" in ran.err
    assert "not enough memory" in ran.err
    assert "--max-bytes" in ran.err


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_tight_limit_does_not_end_the_process_inside_the_blas_library(threads: str) -> None:
    """OpenBLAS takes its working space with the first product, and exits with 1 and a line of its own where it gets none."""
    command = ["-m", "xaicore", "explain", "digits", "digit_3.png", "-m", "gradient", "--max-bytes", "200k"]
    product = ["-c", "import numpy as np; from xaicore.cli.guard import _memory as m\nwith m(400_000): print((np.ones((64, 64)) @ np.ones((64, 64))).sum())"]
    for words in (command, product):
        ran = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False,
                             env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads})
        assert ran.returncode == 0, ran.stderr


def test_a_command_ends_in_time(run: Run) -> None:
    start = time.monotonic()
    ran = run("explain", "digits", "digit_3.png", "-m", "smoothgrad:samples=200000", "--batch-size", "8", "--timeout", "0.5")
    assert ran.code == 4
    assert "not done after 0.5 seconds (--timeout)" in ran.err
    assert time.monotonic() - start < 5
    assert run("explain", "digits", "digit_3.png", "-m", "gradient", "--timeout", "60").code == 0


@pytest.mark.parametrize(("words", "told"), [
    (("--max-bytes", "0"), "--max-bytes '0'"), (("--max-bytes", "many"), "--max-bytes 'many'"), (("--max-bytes", "-3"), "max-bytes"),
    (("--timeout", "0"), "--timeout '0'"), (("--timeout", "soon"), "--timeout 'soon'"), (("--timeout", "nan"), "--timeout 'nan'"),
])
def test_limits_that_are_none(run: Run, words: tuple[str, ...], told: str) -> None:
    ran = run("inspect", "digits", *words)
    assert ran.code == 2
    assert told in ran.err


def test_limits_in_python() -> None:
    with limited(1000):
        spent = Spent("a.npz")
        for _ in range(4):
            spent.add(1000, "an array")
        with pytest.raises(FileRefused, match=r"a.npz asks for more than 4,000 bytes in all"):
            spent.add(1, "the fifth")
        with limited(None):
            assert max_bytes() == 1000
    with pytest.raises(InputError, match="positive whole number"), limited(-1):
        pass
    check_ratio(10, 1 << 20, "zeros")
    with pytest.raises(FileRefused, match="a bomb"):
        check_ratio(10 << 10, 100 << 20, "zeros")


def test_json_says_one_thing() -> None:
    assert parse_json(b'{"a": "[[[[\\"{{{{", "b": [1, 2.5, null]}', "x", depth=2) == {"a": '[[[["{{{{', "b": [1, 2.5, None]}
    for text, told in ((b"[[[1]]]", "nested more than 2"), (b'{"a": 1, "a": 2}', "stands twice"), (b"[" + b"1" * 5000 + b"]", "not a JSON"),
                       (b"\xff", "not a JSON"), (b"", "not a JSON")):
        with pytest.raises(FileRefused, match=told):
            parse_json(text, "x", depth=2)
