"""Networks are drawn, written as people write them, and explained by a library and by the reference; what differs is shrunk.

A round draws from some of the blocks, seldom covered ones first, and looks for one finding whose cause is not known yet; Hypothesis then
makes the network, the input and the style as small as they go. The cause of a finding is its kind, the check, the style, and the blocks
of its smallest network: a later finding that has them all is the same again.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from xaicore.errors import FileRefused, InputError, XaicoreError
from xaicore.graph import Graph
from xaicore.methods.explain import explain
from xaicore.numerics import Array
from xaicore.oracle.examine import ROUNDING, Finding, Scene, examine
from xaicore.oracle.networks import Drawn, networks
from xaicore.oracle.script import script
from xaicore.oracle.styles import STYLES, source
from xaicore.oracle.subjects import Beside, beside

LARGEST = 1e4
"""Relevance beyond this comes from a denominator near zero, where a stabiliser decides and nothing is right or wrong."""


NUMBERS = ("completeness", "reference", "equals a module for each call")
"""Checks that one wrong number fails together."""


@dataclass(frozen=True)
class Cause:
    """What tells findings apart: kind, check, the style ("" for every style), the blocks of the smallest network."""

    kind: str
    check: str
    style: str
    blocks: tuple[str, ...]

    def covers(self, finding: Finding, style: str, blocks: tuple[str, ...]) -> bool:
        """Is this finding the same again? A wrong number shows in several checks."""
        alike = (self.kind, self.check) == (finding.kind, finding.check) or {self.check, finding.check} <= set(NUMBERS)
        anywhere = self.kind == "mutated model" or self.check == "keeps its precision"      # what it does whatever the network is
        return alike and self.style in ("", style) and (anywhere or not Counter(self.blocks) - Counter(blocks))


@dataclass(frozen=True)
class Found:
    """A finding, as small as it goes, with the script that shows it."""

    cause: Cause
    reason: str
    text: str

    def __str__(self) -> str:
        style = f", written {self.cause.style}" if self.cause.style else ""
        return f"{self.cause.kind} ({self.cause.check}): {' + '.join(self.cause.blocks) or 'one layer'}{style}: {self.reason}"


@dataclass
class Campaign:
    """All that a run knows: what it found, what it covered, where it stands. ``save`` and ``resumed`` carry it over a pause."""

    subject: str
    seed: int = 0
    rounds: int = 0
    examples: int = 0
    found: list[Found] = field(default_factory=list)
    covered: Counter[str] = field(default_factory=Counter)

    def save(self, folder: Path) -> None:
        """Writes the state and a script for each finding."""
        folder.mkdir(parents=True, exist_ok=True)
        name = self.subject.replace(":", "-")
        for k, one in enumerate(self.found, 1):
            (folder / f"{name}-{k:02}.py").write_text(one.text, encoding="utf-8")
        state = {"subject": self.subject, "seed": self.seed, "rounds": self.rounds, "examples": self.examples,
                 "covered": dict(self.covered),
                 "found": [{"kind": f.cause.kind, "check": f.cause.check, "style": f.cause.style, "blocks": list(f.cause.blocks),
                            "reason": f.reason, "script": f"{name}-{k:02}.py"} for k, f in enumerate(self.found, 1)]}
        (folder / f"{name}.json").write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def resumed(folder: Path, subject: str, seed: int) -> Campaign:
        """The state in a folder, or a new one; FileRefused for a file that is none."""
        path = folder / f"{subject.replace(':', '-')}.json"
        if not path.exists():
            return Campaign(subject, seed)
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            found = [Found(Cause(f["kind"], f["check"], f["style"], tuple(f["blocks"])), f["reason"],
                           (folder / f["script"]).read_text(encoding="utf-8")) for f in held["found"]]
            return Campaign(held["subject"], held["seed"], held["rounds"], held["examples"], found, Counter(held["covered"]))
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise FileRefused(f"{path} is no state of a fuzzing run ({type(error).__name__}: {error}); choose another folder") from None


def fuzz(
    subject: str, peer: Any, *, seconds: float = 60.0, seed: int = 0, folder: str | Path | None = None, most: int = 20,
    progress: Callable[[Campaign], None] | None = None,
) -> Campaign:
    """Looks for what ``subject`` ("captum:DeepLift") does wrong, for about ``seconds``.

    peer      what runs it: xaicore.plugins.peer("captum"), or anything with its ``explain``
    folder    state and scripts are kept here, and a state that is here is gone on with
    most      stop after this many causes

    The same seed draws the same networks as long as the budget lets it come to them. UnknownName for a subject that is in no table,
    InputError for a budget that is none.
    """
    if not seconds > 0:
        raise InputError(f"seconds={seconds!r} must be above 0")
    what = beside(subject)
    method = subject.partition(":")[2]
    campaign = Campaign.resumed(Path(folder), subject, seed) if folder is not None else Campaign(subject, seed)
    end = time.monotonic() + seconds
    while time.monotonic() < end and len(campaign.found) < most:
        allowed = _swarm(campaign, what)
        draw = random.Random(f"{campaign.seed}/{campaign.rounds}")
        hit = _round(campaign, what, peer, method, allowed, draw, end)
        campaign.rounds += 1
        if hit is not None:
            campaign.found.append(hit)
        if folder is not None:
            campaign.save(Path(folder))
        if progress is not None:
            progress(campaign)
    return campaign


def _swarm(campaign: Campaign, what: Beside) -> tuple[str, ...]:
    """Some of the blocks, those that were seldom drawn before the others: a network of everything hides what a part of it does."""
    rng = random.Random(f"{campaign.seed}/{campaign.rounds}/blocks")
    weights = {b: rng.random() / (1 + campaign.covered[b]) for b in what.blocks}
    chosen = sorted(weights, key=lambda b: -weights[b])[:rng.randint(2, 5)]
    return tuple(sorted({*chosen, "Dense"} & set(what.blocks), key=what.blocks.index))


def _round(
    campaign: Campaign, what: Beside, peer: Any, method: str, allowed: tuple[str, ...], draw: random.Random, end: float,
) -> Found | None:
    """One finding of an unknown cause, shrunk; None when none turned up."""
    space = st.tuples(networks(allowed, bias=what.total != "value"), st.sampled_from(STYLES))
    grace = end + 30.0                                                  # a finding made just before the end is still shrunk

    def shows(one: tuple[Drawn, str]) -> bool:
        if time.monotonic() > (grace if hits else end):
            return False
        drawn, style = one
        campaign.examples += 1
        new = next(_new(campaign, findings(drawn, style, what, peer, method), style, drawn.blocks), None)
        if not hits:
            campaign.covered.update(set(drawn.blocks))
        if new is not None and (not hits or (new.kind, new.check) == (hits[0].kind, hits[0].check)):
            hits.append(new)
            return True
        return False

    hits: list[Finding] = []
    quiet = settings(max_examples=40, deadline=None, database=None, phases=(Phase.generate, Phase.shrink),
                     suppress_health_check=list(HealthCheck))
    try:
        drawn, style = find(space, shows, settings=quiet, random=draw)
    except NoSuchExample:
        return None
    told = [f for f in findings(drawn, style, what, peer, method) if (f.kind, f.check) == (hits[0].kind, hits[0].check)]
    if not told:
        return None
    styles = [s for s in STYLES if any((f.kind, f.check) == (told[0].kind, told[0].check) for f in findings(drawn, s, what, peer, method))]
    cause = Cause(told[0].kind, told[0].check, "" if len(styles) == len(STYLES) else style, tuple(sorted(drawn.blocks)))
    return Found(cause, told[0].reason, script(campaign.subject, peer, what, drawn, style, told[0]))


def _new(campaign: Campaign, found: list[Finding], style: str, blocks: tuple[str, ...]) -> Iterator[Finding]:
    """The findings that no known cause covers."""
    for one in found:
        if not any(known.cause.covers(one, style, blocks) for known in campaign.found):
            yield one


def findings(drawn: Drawn, style: str, what: Beside, peer: Any, method: str) -> list[Finding]:
    """What the explainer does wrong with a drawn network in a style; [] also where nothing can be said."""
    reference = None if what.most and drawn.x[0].size > what.most else referred(drawn, what)
    if reference is None:
        return []
    total = None
    if what.total:
        total = np.asarray(reference.output - (0 if what.total == "value" else reference.baseline_output), dtype=float)
    settings_of: Mapping[str, Any] = dict(what.given)

    def subject(model: Any, x: Array, target: Any) -> Array:
        return np.asarray(peer.explain(method, model, x, target, drawn.baseline if what.baseline else None, **settings_of))

    def made(how: str) -> Callable[[], Any]:
        return lambda: _module(drawn.graph, how)

    twins = {} if style == "modules" else {"a module for each call": made("modules")}
    slack = 1e-4 if what.total == "value" else ROUNDING                 # eps of 1e-6 beside sums of multiples of 1/4, a few layers of it
    return examine(subject, Scene(made(style), drawn.x, drawn.target, reference, twins, total, slack, _state))


def referred(drawn: Drawn, what: Beside) -> Any:
    """Our attribution; None where our method does not apply, or where a denominator near zero decides."""
    own: dict[str, Any] = {**what.settings, **({"baseline": drawn.baseline} if what.baseline else {})}
    output = "probability" if "Softmax" in drawn.blocks else "logit"
    try:
        with np.errstate(all="ignore"):
            a = explain(drawn.graph, drawn.x, what.ours, target=drawn.target, output=output, **own)
    except XaicoreError:
        return None
    values = np.asarray(a)
    return a if np.isfinite(values).all() and abs(values).max(initial=0) < LARGEST else None


def _module(graph: Graph, style: str) -> Any:
    """A live module of the text; the text is ours, made of numbers and names of this file's tables."""
    scope: dict[str, Any] = {}
    exec(source(graph, style), scope)
    return scope["model"]()


def _state(model: Any) -> Mapping[str, Any]:
    from importlib import import_module

    return dict(import_module("xaicore_peers.models").state(model))


__all__ = ["Campaign", "Cause", "Found", "findings", "fuzz"]
