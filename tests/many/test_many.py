"""explain_many: the same bytes whatever runs it, nothing lost and nothing repeated after a death, a row for each failure."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xaicore as xc
from tests.many.conftest import METHODS, deadly, slowly
from xaicore.data import digits_images, digits_model, digits_path
from xaicore.errors import FileRefused, InputError, UnknownName, XaicoreError
from xaicore.many.task import ModelRef, seed_of


@contextmanager
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@contextmanager
def spawned() -> Iterator[Executor]:
    pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def loky() -> Iterator[Executor]:
    pool = pytest.importorskip("loky").get_reusable_executor(2, timeout=20)
    try:
        yield pool
    finally:
        pool.shutdown(kill_workers=True)


@contextmanager
def dask() -> Iterator[Executor]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1",
                                  memory_limit=None) as cluster, distributed.Client(cluster) as client:
        yield client.get_executor()


def parts(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "run.json"}


def test_one_item_is_what_explain_gives(files: list[Path], tmp_path: Path) -> None:
    found = xc.explain_many(digits_path(), files, METHODS, out=tmp_path / "out", seed=5, shard_size=4, target=2)
    assert (found.items, found.done, found.failed, found.skipped) == (10, 9, 1, 0)
    rows = list(found.rows())
    assert [r["item"] for r in rows] == list(range(10))
    assert rows[3] == {"item": 3, "name": str(files[3]), "status": "error", "type": "FileRefused", "message": rows[3]["message"]}
    assert "3.npy is not an .npy array" in rows[3]["message"]
    graph, x = digits_model(), np.load(files[7])
    assert sorted(found[7]) == sorted(METHODS)
    np.testing.assert_array_equal(found[7]["lrp"], np.asarray(xc.explain(graph, x, "lrp.epsilon", 2)))
    np.testing.assert_array_equal(found[7]["noise"], np.asarray(xc.explain(graph, x, "smoothgrad", 2, samples=3, seed=seed_of(5, 7))))
    assert rows[7]["methods"]["ig"]["explained"] == xc.explain(graph, x, "integrated_gradients", 2, steps=4).explained
    with pytest.raises(UnknownName, match=r"item 3 has no result .*: 3.npy is not"):
        found[3]
    with pytest.raises(UnknownName, match="not computed yet"):
        found[99]


@pytest.mark.parametrize("engine", [threads, pytest.param(spawned), pytest.param(loky, marks=pytest.mark.thorough),
                                    pytest.param(dask, marks=pytest.mark.thorough)])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_bytes_do_not_depend_on_the_engine(engine: Callable[[], Any], files: list[Path], tmp_path: Path) -> None:
    alone = xc.explain_many(digits_path(), files, METHODS, out=tmp_path / "alone", seed=1, shard_size=2)
    with engine() as executor:
        found = xc.explain_many(digits_path(), files, METHODS, out=tmp_path / "there", seed=1, shard_size=2, executor=executor, read=slowly)
    assert found.done == alone.done == 9
    there, here = parts(tmp_path / "there"), parts(tmp_path / "alone")
    changed = {k for k in here if here[k] != there[k]}
    assert changed <= {"index.jsonl", "part-00001.safetensors"}         # the poisoned item's message: np.load has other words
    sums = [[r.get("sha256") for r in m.rows()] for m in (alone, found)]
    assert sums[0] == sums[1]
    pids = {p.with_suffix(".pid").read_text() for p in files if p.with_suffix(".pid").exists()}
    assert engine is threads or len(pids) >= 2, "two workers took part"


def test_the_bytes_do_not_depend_on_shards_or_order(files: list[Path], tmp_path: Path) -> None:
    runs = [xc.explain_many(digits_path(), files, METHODS, out=tmp_path / str(n), seed=1, shard_size=n) for n in (1, 3, 16)]
    assert len({json.dumps(list(r.rows())) for r in runs}) == 1
    assert [len(list((tmp_path / str(n)).glob("part-*"))) for n in (1, 3, 16)] == [10, 4, 1]
    x, _ = digits_images()
    whole = xc.explain_many(digits_model(), x[:10], METHODS, out=tmp_path / "rows", seed=1)
    assert [r["sha256"] for r in whole.rows() if r["item"] != 3] == [r["sha256"] for r in runs[0].rows() if r["item"] != 3]


def test_a_worker_that_dies_loses_nothing_and_repeats_nothing(files: list[Path], tmp_path: Path) -> None:
    np.save(files[3], np.load(files[2]))
    files[6].with_suffix(".deadly").touch()
    asked = {"out": tmp_path / "out", "seed": 1, "shard_size": 1, "read": deadly, "window": 2}
    with spawned() as executor, pytest.raises(XaicoreError, match=r"a worker ended .*run the same call again to go on"):
        xc.explain_many(digits_path(), files, METHODS, executor=executor, **asked)
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("part-*")}
    assert 0 < len(kept) < 10
    with spawned() as executor:
        found = xc.explain_many(digits_path(), files, METHODS, executor=executor, **asked)
    assert (found.done, found.failed, found.skipped) == (10, 0, len(kept))
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in kept} == kept
    calm = xc.explain_many(digits_path(), files, METHODS, out=tmp_path / "calm", seed=1, shard_size=1)
    assert parts(calm.folder) == parts(found.folder)


def test_an_interruption_leaves_a_run_to_go_on_with(files: list[Path], tmp_path: Path) -> None:
    def stop(status: Any) -> None:
        assert status.done in (3, 6)
        assert "of 10" in str(status)
        if status.done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        xc.explain_many(digits_path(), files, ["gradient"], out=tmp_path / "out", shard_size=3, progress=stop)
    (tmp_path / "out" / ".part-00002.safetensors.1.part").write_bytes(b"half")
    assert len((tmp_path / "out" / "index.jsonl").read_text().splitlines()) == 6
    found = xc.explain_many(digits_path(), files, ["gradient"], out=tmp_path / "out", shard_size=3)
    assert (found.done, found.skipped) == (9, 6)
    assert not list((tmp_path / "out").glob(".*"))
    again = xc.explain_many(digits_path(), files, ["gradient"], out=tmp_path / "out", shard_size=3)
    assert (again.done, again.skipped) == (9, 10)


def test_another_run_is_never_mixed_in(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    xc.explain_many(digits_path(), files, ["gradient"], out=out)
    for more, told in (({"seed": 1}, "seed differ"), ({"shard_size": 2}, "shard differ"), ({"target": 1}, "options differ"), ({"resume": False}, "a run already")):
        with pytest.raises(InputError, match=told):
            xc.explain_many(digits_path(), files, ["gradient"], out=out, **more)
    with pytest.raises(InputError, match="methods differ"):
        xc.explain_many(digits_path(), files, ["saliency"], out=out)
    with pytest.raises(InputError, match="items, items_sha256 differ"):
        xc.explain_many(digits_path(), files[1:], ["gradient"], out=out)
    with pytest.raises(InputError, match="model differ"):
        xc.explain_many(digits_path("digits.onnx"), files, ["gradient"], out=out)


def test_a_model_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(digits_path().read_bytes())
    reference = ModelRef.of(path)
    assert reference.graph() is reference.graph()
    path.write_bytes(digits_path().read_bytes() + b" ")
    with pytest.raises(FileRefused, match="the file changed"):
        ModelRef(reference.path, reference.sha256, "float32").graph()


def test_damaged_parts_and_mistakes_have_words(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    xc.explain_many(digits_path(), files, ["gradient"], out=out)
    (out / "part-00000.safetensors").write_bytes(b"\x02" + bytes(7) + b"{}")
    with pytest.raises(FileRefused, match="no part of a run; delete it"):
        xc.explain_many(digits_path(), files, ["gradient"], out=out)
    for items, methods, error, told in (
        (files, ["gradient", "nothing"], UnknownName, "no method is called 'nothing'"), (files, [("gradient", {"eps": 1})], UnknownName, "no setting 'eps'"),
        (files, "gradient", InputError, "must be a list"), (str(files[0]), ["gradient"], InputError, "is one path"), ([], ["gradient"], InputError, "no items"),
        (files, ["gradient", "gradient"], InputError, "stands twice"),
    ):
        with pytest.raises(error, match=told):
            xc.explain_many(digits_path(), items, methods, out=tmp_path / "other")
    with pytest.raises(FileRefused, match="not an .npy"):
        xc.explain_many(digits_path(), files, ["gradient"], out=tmp_path / "strict", on_error="raise")
    with pytest.raises(InputError, match="shard_size=0"):
        xc.explain_many(digits_path(), files, ["gradient"], out=tmp_path / "other", shard_size=0)


@pytest.mark.thorough
def test_ten_thousand_images_with_flat_memory(tmp_path: Path) -> None:
    """The peak of the last 9,000 is that of the first 1,000, to 20 MB: what is kept for each item is its name."""
    resource = pytest.importorskip("resource")
    x, _ = digits_images()
    items = np.tile(x, (-(-10_000 // len(x)), 1, 1, 1))[:10_000]
    peaks = {}

    def watch(status: Any) -> None:
        peaks[status.done] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    found = xc.explain_many(digits_path(), items, ["lrp.epsilon", "gradient"], out=tmp_path, shard_size=100, progress=watch)
    assert found.done == 10_000
    print(f"\n10,000 images: {found.seconds:.0f} s, {found.done / found.seconds:.0f}/s, peak {peaks[1000]:.0f} MB after 1,000, {peaks[10_000]:.0f} MB after all")
    assert peaks[10_000] - peaks[1000] < 20
