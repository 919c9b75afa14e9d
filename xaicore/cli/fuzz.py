"""xaicore fuzz: draw networks, run another library's explainer and the reference on them, and shrink what differs to a script."""

from __future__ import annotations

import argparse

EPILOG = """examples:
  xaicore fuzz captum:DeepLift --budget 300s
  xaicore fuzz zennit:Epsilon --budget 60s --seed 3 --out found/        (again, to go on where it stopped)

  the library runs in this interpreter where it is installed, else in an environment below $XAICORE_PEERS (python -m benchmarks.peers make)
  exit code 1 when something was found, 5 when no network could be compared
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """SUBJECT and the budget."""
    parser.add_argument("subject", metavar="PEER:EXPLAINER", help="captum:DeepLift, zennit:Epsilon ...; PEER@VERSION takes that release")
    parser.add_argument("--budget", default="60s", metavar="T", help="how long to look: 300s, 5m (default 60s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="for the networks that are drawn (default 0)")
    parser.add_argument("--out", metavar="DIR", help="state and a script for each finding; a run that is there is gone on with")
    parser.add_argument("--most", type=int, default=20, metavar="N", help="stop after this many causes (default 20)")


def run(args: argparse.Namespace) -> int:
    """Fuzzes and prints; 1 with findings, 5 when nothing was compared."""
    from xaicore.cli import shared
    from xaicore.oracle.fuzz import Campaign, fuzz
    from xaicore.plugins import peer

    def told(campaign: Campaign) -> None:
        shared.log(f"round {campaign.rounds}: {campaign.examples} networks, {len(campaign.found)} causes")

    one = peer(args.subject.partition(":")[0])
    campaign = fuzz(args.subject, one, seconds=budget(args.budget), seed=args.seed, folder=args.out, most=args.most, progress=told)
    code = 1 if campaign.found else 0 if campaign.examples else 5
    if args.json:
        shared.dump({"subject": args.subject, "version": one.version, "seed": campaign.seed, "networks": campaign.examples,
                     "covered": dict(campaign.covered), "exit_code": code,
                     "found": [{"kind": f.cause.kind, "check": f.cause.check, "style": f.cause.style, "blocks": list(f.cause.blocks),
                                "reason": f.reason, "script": f.text} for f in campaign.found]})
        return code
    shared.say(f"{args.subject} {one.version}: {campaign.examples} networks in {campaign.rounds} rounds, {len(campaign.found)} causes")
    for found in campaign.found:
        shared.say(f"  {found}")
    if args.out and campaign.found:
        shared.log(f"scripts are in {args.out}")
    return code


def budget(text: str) -> float:
    """Seconds of "300s", "5m" or "300"; InputError for other text."""
    from xaicore.errors import InputError

    number, unit = (text[:-1], text[-1]) if text[-1:] in ("s", "m") else (text, "s")
    try:
        seconds = float(number) * {"s": 1, "m": 60}[unit]
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise InputError(f"--budget {text!r} is no time; write 300s or 5m")
    return seconds
