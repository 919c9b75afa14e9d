"""Running the rows: printing them as they come, keeping each at once, and going on where a run was interrupted. The page is in page.py."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.speed.page import write

ROOT = Path(__file__).parent.parent.parent
KEPT = Path(__file__).parent / "results.json"
QUICK = ("MLP", "LeNet")
KEY = ("row", "peer", "network", "batch", "dtype", "speed")

Match = Callable[[str, str], bool]


def run(args: Namespace, match: Match) -> int:
    """1 where numbers differ; never because of time, and never because a peer is not installed."""
    from benchmarks.speed.measure import peaks

    if has("torch"):
        import torch

        torch.set_num_threads(1)
    machine, peak = describe(), peaks(args.dtype)
    print(f"{machine['processor']}, {machine['kernel']}; {args.dtype}: {peak[0] / 1e9:.0f} G operations/s, {peak[1] / 1e9:.0f} GB/s", flush=True)
    kept = Kept(args, machine, peak)
    if args.memory:
        memory(match, args, kept)
    elif args.scaling:
        from benchmarks.speed.scaling import scaled

        for one in scaled(args.rounds):
            kept.add_scaling(one)
            print(f"{one['what']:42} {one['value']:4}  ratio {one['ratio']:5.2f} to {one['other']}  {one['ours']:.4f} s : {one['theirs']:.4f} s", flush=True)
            if not one["agrees"]:
                kept.failed.append(f"the numbers differ: {one['what']}, {one['value']}: by {one['float64'] or one['float32']:.1e}")
                print(kept.failed[-1], file=sys.stderr)
    else:
        rows(args, match, kept, peak)
    if args.write:
        write(json.loads(KEPT.read_text(encoding="utf-8")), ROOT / "docs/performance.md")
    wrong = [r for r in kept.found if r.get("agrees") is False]
    for r in wrong:
        print(f"the numbers differ: {r['row']} on {r['network']} ({r['speed']}): {r['float64']:.1e} in float64, {r['float32']:.1e} in float32 where theirs is "
              f"{r['their_float32']:.1e} off, {r['at_size']:.1e} at size", file=sys.stderr)
    return 1 if wrong or kept.failed else 0


def rows(args: Namespace, match: Match, kept: Kept, peak: tuple[float, float]) -> None:
    from benchmarks.speed.rows import ROWS
    from benchmarks.speed.run import measured, operations, subject

    for name in _networks(args, match):
        asked = [r for r in ROWS if name in r.networks and match(r.name, args.rows) and match(r.peer_name, args.peers)]
        speeds = (("exact", "fast") if has_fast(name) else ("exact",)) if args.speed == "both" else (args.speed,)
        asked = [r for r in asked if not (args.resume and kept.has(r.name, r.peer_name, name, speeds))]
        if not asked:
            continue
        at, alone = subject(name, args.batch, args.dtype), set()
        work = operations(at.fresh, at.array)
        for row in asked:
            try:
                found = measured(row, name, at, args.batch, args.dtype, speeds, args.rounds, peak, work, alone)
            except Exception as error:                                   # whatever a peer raises: the other rows are still measured
                kept.failed.append(f"{row.name} on {name} beside {row.peer_name}: {type(error).__name__}: {str(error)[:200]}")
                print(kept.failed[-1], flush=True)
                continue
            for one in found:
                kept.add(one)
                print(line(one), flush=True)


def has(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def has_fast(name: str) -> bool:
    """Has the network a 3 x 3 convolution with many channels, so that speed="fast" differs?"""
    return name in ("VGG16", "ResNet18", "ResNet50")


def _networks(args: Namespace, match: Match) -> Iterable[str]:
    from benchmarks.speed.rows import ALL

    return [n for n in ALL if match(n, args.networks) and (n in QUICK or not (args.quick or not has("torch")))]


def line(r: dict[str, Any]) -> str:
    start = f"{r['row']:32} {r['network']:18} {r['speed']:5} {r['peer']:26} "
    if r["ratio"] is None:
        return start + f"ratio     -  {r['ours']:.4f} s"
    goal = "" if r["goal"] is None else f"  goal {r['goal']:.2f}" + ("" if r["ratio"] <= r["goal"] else "  MISSED")
    numbers = "not compared" if r["float64"] is None else f"{r['float64']:.0e} in float64, {r['float32']:.0e} (theirs {r['their_float32']:.0e}) in float32"
    bare = "" if r.get("bare") is None else f"  bare calls {r['bare']:.2f}"
    return (start + f"ratio {r['ratio']:5.2f} ({r['low']:.2f} to {r['high']:.2f})  {r['ours']:.4f} s : {r['peer_seconds']:.4f} s  {numbers}{goal}{bare}"
            + ("" if r["agrees"] is not False else "  DIFFERS"))


# ----- memory -----------------------------------------------------------------------------------------------------


def memory(match: Match, args: Namespace, kept: Kept) -> None:
    """Peak resident memory of lrp.epsilon_plus and of zennit's, each in a fresh process, above what the process held before it."""
    for name in ("VGG16", "ResNet50"):
        if not match(name, args.networks):
            continue
        both = {}
        for side in ("exact", "fast", "zennit"):
            done = subprocess.run([sys.executable, "-m", "benchmarks.speed.memory", name, side], capture_output=True, text=True, check=False, cwd=ROOT)
            if done.returncode:
                print(f"{name} {side}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
            both[side] = float(done.stdout)
            print(f"{name:9} lrp.epsilon_plus {side:7} {both[side] / 2**20:7.0f} MiB", flush=True)
        for side, goal in (("exact", 1.0), ("fast", 1.3)):
            if side in both:
                ratio = both[side] / both["zennit"] if both.get("zennit") else None
                kept.add_memory({"network": name, "speed": side, "ours": both[side], "zennit": both.get("zennit"), "ratio": ratio, "goal": goal})


# ----- what is kept -----------------------------------------------------------------------------------------------


class Kept:
    """The results of this run, and with --write also in results.json, each as soon as it is there.

    The file is about one state of the package: results of another are left out as soon as one of this is added.
    """

    def __init__(self, args: Namespace, machine: dict[str, str], peak: tuple[float, float]) -> None:
        self.write = args.write
        self.state = state()
        self.batch, self.dtype = args.batch, args.dtype
        self.found: list[dict[str, Any]] = []
        self.failed: list[str] = []
        known = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
        same = known.get("state") == self.state
        self.document = {
            "state": self.state, "machine": machine, "peaks": {**(known.get("peaks", {}) if same else {}), args.dtype: list(peak)},
            "versions": {p: _version(p) for p in ("numpy", "torch", "captum", "zennit", "onnxruntime")},
            **{part: known.get(part, []) if same else [] for part in ("rows", "memory", "scaling")},
        }

    def has(self, row: str, peer: str, network: str, speeds: Iterable[str]) -> bool:
        there = {tuple(r[k] for k in KEY) for r in self.document["rows"]}
        return all((row, peer, network, self.batch, self.dtype, s) in there for s in speeds)

    def add(self, result: dict[str, Any]) -> None:
        self.found.append(result)
        self._put("rows", result, KEY)

    def add_memory(self, result: dict[str, Any]) -> None:
        self._put("memory", result, ("network", "speed"))

    def add_scaling(self, result: dict[str, Any]) -> None:
        self._put("scaling", result, ("what", "value"))

    def _put(self, part: str, result: dict[str, Any], key: tuple[str, ...]) -> None:
        others = [r for r in self.document[part] if any(r[k] != result[k] for k in key)]
        self.document[part] = [*others, result]
        if self.write:
            fresh = KEPT.with_suffix(".part")
            fresh.write_text(json.dumps(self.document, indent=1) + "\n", encoding="utf-8")
            fresh.replace(KEPT)


def state() -> str:
    """What identifies the code that was measured: a sum over the sources of the package, whatever is committed."""
    import hashlib

    digest = hashlib.sha256()
    for path in sorted((ROOT / "xaicore").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def describe() -> dict[str, str]:
    import numpy as np  # noqa: F401  (its linear algebra library is what is described)

    blas: dict[str, Any] = {}
    if has("threadpoolctl"):
        from threadpoolctl import threadpool_info

        blas = next((i for i in threadpool_info() if i.get("internal_api") == "openblas"), {})
    cpu = next((row.split(":")[1].strip() for row in Path("/proc/cpuinfo").read_text().splitlines() if row.startswith("model name")),
               platform.processor()) if Path("/proc/cpuinfo").exists() else platform.processor()
    chosen = " (set by OPENBLAS_CORETYPE)" if os.environ.get("OPENBLAS_CORETYPE") else " (its own choice)"
    return {"processor": cpu, "kernel": f"OpenBLAS {blas.get('version', '?')}, kernels for {blas.get('architecture', '?')}{chosen}"}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
