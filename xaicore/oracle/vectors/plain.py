"""A runner that needs nothing but Python: reads vectors, explains small networks in rationals by itself, and compares.

python plain.py FILE.json ...     (xaicore/oracle/vectors/cases/*.json)
"""

import json
import sys
from fractions import Fraction as F
from pathlib import Path

MINE = ("gradient", "gradient_x_input", "lrp.zero", "lrp.epsilon")


def explain(v, sample):
    """The attribution of one sample by Dense and ReLU layers; None where there is another operator."""
    nodes, params, lrp = v["model"]["nodes"], v["model"]["params"], v["method"].startswith("lrp")
    value, eps = {"x": [F(n) for n in sample]}, v.get("settings", {}).get("eps", 0)
    eps = F(eps["rational"] if isinstance(eps, dict) else str(eps))
    for n in nodes:
        x, (w, b) = value.get(n["inputs"][0]), ([params.get(p) for p in n["inputs"][1:]] + [None, None])[:2]
        if n["op"] not in ("Dense", "ReLU") or x is None or len(n["inputs"]) != 1 + (w is not None) + (b is not None):
            return None
        value[n["name"]] = [max(t, F(0)) for t in x] if n["op"] == "ReLU" else [
            sum(F(c) * t for c, t in zip(row, x)) + (F(b[j]) if b else 0) for j, row in enumerate(w)]
    signal = [(t if lrp else F(1)) if j == v["target"] else F(0) for j, t in enumerate(value[nodes[-1]["name"]])]
    for n in reversed(nodes):
        x, y, w = value[n["inputs"][0]], value[n["name"]], params.get((n["inputs"] + [None])[1])
        if n["op"] == "ReLU":
            signal = signal if lrp else [s if t > 0 else F(0) for s, t in zip(signal, x)]
        else:
            z = [t + (eps if t >= 0 else -eps) for t in y]
            share = [s / t if t else F(0) for s, t in zip(signal, z)] if lrp else signal
            signal = [sum(F(row[i]) * s for row, s in zip(w, share)) * (t if lrp else 1) for i, t in enumerate(x)]
    return [s * t for s, t in zip(signal, value["x"])] if v["method"] == "gradient_x_input" else signal


def main(paths):
    """A line for each vector that differs, and the counts."""
    counts = {True: 0, False: 0, None: 0}
    for v in (v for path in paths for v in json.loads(Path(path).read_text(encoding="utf-8"))["vectors"]):
        fits = v["method"] in MINE and v["arithmetic"] == "exact" and set(v.get("settings", {})) <= {"eps"} and isinstance(v["target"], int)
        rows = v["x"].get("x", []) if fits and v["verdict"] != "reject" else []
        got = [explain(v, row) if not isinstance(row[0], list) else None for row in rows] or [None]
        same = None if None in got else got == [[F(n) for n in row] for row in v["expected"]["x"]]
        counts[same] += 1
        if same is False:
            print(v["id"], "differs:", [[str(n) for n in row] for row in got], "expected", v["expected"]["x"])
    print(f"{counts[True]} agree, {counts[False]} differ, {counts[None]} not for this runner")
    return 1 if counts[False] else 0 if counts[True] else 5


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
