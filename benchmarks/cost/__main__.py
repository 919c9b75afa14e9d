"""python -m benchmarks.cost: measures what an explanation costs at ten sizes of five families, and writes docs/cost.md and docs/cost.png.

    python -m benchmarks.cost [--only FAMILY] [--page]     --page: the page again, from benchmarks/cost/results.json
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"                                                # before NumPy is loaded

RESULTS = Path(__file__).parent / "results.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--only", default="", metavar="FAMILY", help="or 'many', or 'memory': measure this alone, and keep the rest")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    args = parser.parse_args()
    from benchmarks.cost import many, measure, page
    from benchmarks.cost.networks import FAMILIES

    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"rows": [], "resident": {}}

    def keep() -> None:
        found["machine"] = {"date": datetime.date.today().isoformat(), "cores": os.cpu_count(), "python": platform.python_version(),
                            "numpy": measure.np.__version__, "load": round(os.getloadavg()[0], 1)}
        RESULTS.write_text(json.dumps(found, indent=1), encoding="utf-8")

    for family in () if args.page else FAMILIES:
        if args.only in ("", family.name):
            found["rows"] = [r for r in found["rows"] if r["family"] != family.name]
            for size in family.sizes():
                found["rows"].append(measure.row(family, *size))
                print(found["rows"][-1], flush=True)
            keep()
    if not args.page and args.only in ("", "memory"):
        found["resident"] = {f.name: {m: measure.resident(f.name, m) for m in ("gradient", "lrp.epsilon")} for f in FAMILIES}
        keep()
    if not args.page and args.only in ("", "many"):
        found["many"] = many.check()
        print(found["many"], flush=True)
        keep()
    page.write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
