"""Running the rows, printing them as they come, keeping them, and writing docs/performance.md."""

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

ROOT = Path(__file__).parent.parent.parent
KEPT = Path(__file__).parent / "results.json"
QUICK = ("MLP", "LeNet")
HEAVY = ("occlusion 15 x 15, stride 8", "integrated_gradients, 50")
"""Rows that take minutes on the large networks: only where --rows names them."""

Match = Callable[[str, str], bool]


def run(args: Namespace, match: Match) -> int:
    import torch

    from benchmarks.speed.measure import peaks
    from benchmarks.speed.rows import ROWS
    from benchmarks.speed.run import Subject, as_json, measured

    torch.set_num_threads(1)
    machine = describe()
    peak = peaks(args.dtype)
    print(f"{machine['processor']}, {machine['kernel']}; {args.dtype}: {peak[0] / 1e9:.0f} G operations/s, {peak[1] / 1e9:.0f} GB/s")
    found: list[dict[str, Any]] = []
    if args.memory:
        found = memory(args, match)
    else:
        for name in _networks(args, match):
            subject = Subject(name, args.batch, args.dtype)
            for row in ROWS:
                wanted = name in row.networks and match(row.name, args.rows) and match(row.peer_name, args.peers)
                if not wanted or (args.rows == "*" and row.name in HEAVY and name in ("VGG16", "ResNet18", "ResNet50", "ViT-like", "BERT-like")):
                    continue
                for speed in ("exact", "fast") if args.speed == "both" and has_fast(name) else ("exact",) if args.speed == "both" else (args.speed,):
                    try:
                        result = measured(row, name, subject, args.batch, args.dtype, speed, args.rounds, peak)
                    except ImportError as error:
                        print(f"{row.name} on {name}: {row.peer_name} is not installed ({error.name}); this row is left out", file=sys.stderr)
                        break
                    found.append(as_json(result))
                    print(line(found[-1]), flush=True)
    if args.write:
        keep(found, machine, peak, args)
        write()
    wrong = [r for r in found if r.get("agrees") is False]
    for r in wrong:
        print(f"the numbers differ: {r['row']} on {r['network']} ({r['speed']}) by {r['difference']:.1e}", file=sys.stderr)
    return 1 if wrong else 0


def has_fast(name: str) -> bool:
    """Has the network a 3 x 3 convolution with many channels, so that speed="fast" differs?"""
    return name in ("VGG16", "ResNet18", "ResNet50")


def _networks(args: Namespace, match: Match) -> Iterable[str]:
    from benchmarks.speed.networks import NETWORKS

    return [n for n in NETWORKS if match(n, args.networks) and (not args.quick or n in QUICK)]


def line(r: dict[str, Any]) -> str:
    difference = "not compared" if r["difference"] is None else f"{r['difference']:.0e}"
    goal = "" if r["goal"] is None else f"  goal {r['goal']:.2f}" + ("" if r["ratio"] <= r["goal"] else "  MISSED")
    return (f"{r['row']:32} {r['network']:9} {r['speed']:5} {r['peer']:26} ratio {r['ratio']:5.2f} ({r['low']:.2f} to {r['high']:.2f})  "
            f"{r['ours']:.4f} s : {r['peer_seconds']:.4f} s  apart {difference}{goal}")


# ----- memory -----------------------------------------------------------------------------------------------------


def memory(args: Namespace, match: Match) -> list[dict[str, Any]]:
    """Peak resident memory of lrp.epsilon_plus and of zennit's, each in a fresh process, above what the process held before it."""
    found = []
    for name in ("VGG16", "ResNet50"):
        if not match(name, args.networks):
            continue
        both = {}
        for side in ("exact", "fast", "zennit"):
            done = subprocess.run([sys.executable, "-m", "benchmarks.speed.memory", name, side], capture_output=True, text=True, check=False, cwd=ROOT)
            if done.returncode:
                print(done.stderr[-500:], file=sys.stderr)
                continue
            both[side] = float(done.stdout)
            print(f"{name:9} lrp.epsilon_plus {side:7} {both[side] / 2**20:7.0f} MiB", flush=True)
        for side, goal in (("exact", 1.0), ("fast", 1.3)):
            if "zennit" in both and side in both:
                ratio = both[side] / both["zennit"]
                found.append({"row": "peak memory of lrp.epsilon_plus", "peer": "zennit EpsilonPlus", "network": name, "batch": 1, "dtype": "float32",
                              "speed": side, "ratio": ratio, "low": ratio, "high": ratio, "ours": both[side], "peer_seconds": both["zennit"],
                              "first": 0.0, "difference": None, "agrees": None, "goal": goal, "floor": 0.0, "apart": "bytes, not seconds"})
    return found


# ----- what is kept and written -----------------------------------------------------------------------------------


def describe() -> dict[str, str]:
    import numpy as np  # noqa: F401  (its linear algebra library is what is described)
    from threadpoolctl import threadpool_info

    blas = next((i for i in threadpool_info() if i.get("internal_api") == "openblas"), {})
    cpu = next((row.split(":")[1].strip() for row in Path("/proc/cpuinfo").read_text().splitlines() if row.startswith("model name")),
               platform.processor()) if Path("/proc/cpuinfo").exists() else platform.processor()
    chosen = " (set by OPENBLAS_CORETYPE)" if os.environ.get("OPENBLAS_CORETYPE") else " (its own choice)"
    return {"processor": cpu, "kernel": f"OpenBLAS {blas.get('version', '?')}, kernels for {blas.get('architecture', '?')}{chosen}"}


def keep(found: list[dict[str, Any]], machine: dict[str, str], peak: tuple[float, float], args: Namespace) -> None:
    known = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {"rows": []}
    key = ("row", "peer", "network", "batch", "dtype", "speed")
    rows = {tuple(r[k] for k in key): r for r in [*known["rows"], *found]}
    peaks = {**known.get("peaks", {}), args.dtype: list(peak)}
    versions = {p: _version(p) for p in ("numpy", "torch", "captum", "zennit", "onnxruntime")}
    document = {"machine": machine, "peaks": peaks, "versions": versions, "rows": list(rows.values())}
    KEPT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def write() -> None:
    """docs/performance.md from what is kept."""
    from benchmarks.speed.rows import ROWS

    d = json.loads(KEPT.read_text(encoding="utf-8"))
    order = {r.name: k for k, r in enumerate(ROWS)}
    rows = sorted(d["rows"], key=lambda r: (order.get(r["row"], 99), r["network"], r["dtype"], r["batch"], r["speed"]))
    peaks = "; ".join(f"{k}: {a / 1e9:.0f} G operations/s in a matrix product, {b / 1e9:.0f} GB/s in a pass over memory" for k, (a, b) in d["peaks"].items())
    versions = ", ".join(f"{k} {v}" for k, v in d["versions"].items())
    short = [r for r in rows if r["goal"] is not None and r["ratio"] > r["goal"]]
    met = sum(r["goal"] is not None and r["ratio"] <= r["goal"] for r in rows)
    out = ["# Speed and memory beside the peers", "",
           "Written by `python -m benchmarks --write`. Both sides run in turn in one process, one thread each, random weights and inputs; a ratio",
           "is the median over the rounds of ours / theirs in processor seconds (smaller is better), with the smallest and the largest in brackets.",
           "Both include their own forward pass. *Apart* is the largest difference of the two results in units of the peer's largest entry.",
           "*Floor* is the larger of operations / peak and bytes / bandwidth, for the passes that the method needs; ours / floor says how much is left.", "",
           f"{d['machine']['processor']}; {d['machine']['kernel']}. {peaks}. {versions}.", "",
           f"Of {met + len(short)} ratios with a goal {met} are met.", "",
           "| method | network | batch | dtype | speed | peer | ratio | goal | ours, s | theirs, s | first call, s | ours / floor | apart |",
           "|---|---|--:|---|---|---|--:|--:|--:|--:|--:|--:|--:|"]
    for r in rows:
        if r["row"].startswith("peak memory"):
            continue
        apart = r["apart"] or ("" if r["difference"] is None else f"{r['difference']:.0e}")
        goal = "" if r["goal"] is None else f"{r['goal']:.2f}" + ("" if r["ratio"] <= r["goal"] else " missed")
        over = f"{r['ours'] / r['floor']:.1f}" if r["floor"] else ""
        out.append(f"| {r['row']} | {r['network']} | {r['batch']} | {r['dtype']} | {r['speed']} | {r['peer']} | {r['ratio']:.2f} ({r['low']:.2f} to "
                   f"{r['high']:.2f}) | {goal} | {r['ours']:.4f} | {r['peer_seconds']:.4f} | {r['first']:.3f} | {over} | {apart} |")
    memory_rows = [r for r in rows if r["row"].startswith("peak memory")]
    if memory_rows:
        out += ["", "## Peak resident memory of `lrp.epsilon_plus`", "",
                "Above what the process held with the model and the input, a fresh process for each side.", "",
                "| network | speed | ours, MiB | zennit, MiB | ratio | goal |", "|---|---|--:|--:|--:|--:|"]
        out += [f"| {r['network']} | {r['speed']} | {r['ours'] / 2**20:.0f} | {r['peer_seconds'] / 2**20:.0f} | {r['ratio']:.2f} | {r['goal']:.1f}"
                f"{'' if r['ratio'] <= r['goal'] else ' missed'} |" for r in memory_rows]
    (ROOT / "docs/performance.md").write_text("\n".join(out) + "\n", encoding="utf-8")
