"""xaicore metrics: list the metrics, or say all about one: formula, settings, needs, source."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """[ID]."""
    parser.add_argument("id", metavar="ID", nargs="?", help="a metric; without it the whole table")


def run(args: argparse.Namespace) -> int:
    """Prints the table or one card."""
    import inspect

    from xaicore.cli import shared
    from xaicore.errors import UnknownName, nearest
    from xaicore.metrics.sources import PAPERS
    from xaicore.metrics.table import METRICS, Metric
    from xaicore.show.table import listing

    def record(row: Metric) -> dict[str, object]:
        return {"id": row.id, "family": row.family, "summary": row.summary, "better": row.better, "needs": list(row.needs),
                "source": row.source,
                "citation": str(PAPERS[row.source]), "cost": row.cost, "settings": dict(row.settings)}

    if args.id is not None and args.id not in METRICS:
        raise UnknownName(f"no metric is called {args.id!r}: {nearest(args.id, METRICS)}")
    rows = [METRICS[args.id]] if args.id else list(METRICS.values())
    if args.json:
        shared.dump({"metrics": [record(row) for row in rows]})
        return 0
    if args.id is None:
        shared.show(listing(([row.id, row.better, " ".join(row.needs), row.summary] for row in rows), "metric", "better", "needs", "what"))
        return 0
    (row,) = rows
    shared.say(f"{row.id}   ({row.family})\n")
    shared.say(inspect.getdoc(row.run) or row.summary)
    shared.say(f"\nbetter     {row.better}\nneeds      {', '.join(row.needs)}\ncosts      {row.cost}\nsource     {PAPERS[row.source]}\n"
               f"formula    {row.formula}\n")
    if row.settings:
        shared.show(listing(([k, repr(v)] for k, v in row.settings.items()), "setting", "default"))
    return 0
