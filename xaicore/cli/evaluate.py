"""xaicore evaluate: judge methods by metrics, next to maps that know no model."""

from __future__ import annotations

import argparse
from typing import Any

EPILOG = """examples:
  xaicore evaluate digits digit_3.png -m gradient -m lrp.epsilon --metrics pixel_flipping,sensitivity.max,mprt -o table.png
  xaicore evaluate model.onnx photos.npz -m grad_cam -m smoothgrad:samples=20 --metrics road:order=combined,pointing_game --truth mask.npy

  without -m: gradient, gradient_x_input, integrated_gradients and lrp.epsilon; controls are always beside them unless --no-controls
  without --metrics: all that apply but for those that train; the list: xaicore metrics
"""
USUAL = ("gradient", "gradient_x_input", "integrated_gradients", "lrp.epsilon")


def arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL INPUT and the options."""
    from xaicore.cli.shared import MODEL_HELP, add_arithmetic, add_methods

    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("input", metavar="INPUT", help="as for explain")
    add_methods(parser, "a method with settings; may be repeated")
    parser.add_argument("--metrics", action="append", default=[], metavar="ID[:k=v],...", help="metrics with settings; may be repeated")
    parser.add_argument("--no-controls", action="store_true", help="leave out the maps that know no model")
    parser.add_argument("--target", metavar="T", help="as for explain")
    parser.add_argument("--output", choices=("logit", "probability", "log_probability"), default="logit",
                        help="the scale that is explained")
    for name, what in (("truth", "where the object is: an array file of 0 and 1"), ("human", "where people looked: a density"),
                       ("fixations", "the number of fixations at each position, an array file")):
        parser.add_argument(f"--{name}", metavar="FILE", help=what)
    parser.add_argument("--resize", action="store_true", help="scale an image to the size that the model takes")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="for what is drawn (default 0)")
    parser.add_argument("--reasons", action="store_true", help="also say why there is no number where there is none")
    parser.add_argument("-o", "--out", metavar="FILE", help="write the scores: .json, or .png for a picture")
    add_arithmetic(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluates, prints, writes; 5 when no metric applied to anything."""
    from pathlib import Path

    from xaicore.cli import inputs, shared
    from xaicore.errors import InputError
    from xaicore.methods.table import METHODS
    from xaicore.metrics import evaluate
    from xaicore.metrics.controls import CONTROLS
    from xaicore.show import evaluation as shown

    if args.out is not None and Path(args.out).suffix not in (".json", ".png"):
        raise InputError(f"-o {args.out}: the scores are written as .json or .png")
    wanted = shared.requests(args.method or USUAL)
    metrics = _metrics(args.metrics)
    graph = shared.open_model(args.model, args.dtype)
    feeds = inputs.read_input(args.input, graph, inputs.Pixels(args.resize))
    methods: dict[str, object] = {}
    for one in wanted:
        settings = dict(one.settings)
        if "seed" in METHODS[one.method].settings:
            settings.setdefault("seed", args.seed)
        methods[one.label] = (one.method, settings)
    if not args.no_controls:
        methods |= {k: k for k in CONTROLS}
    known: dict[str, Any] = {k: _array(getattr(args, k), k) for k in ("truth", "human", "fixations") if getattr(args, k) is not None}
    if _drawn(metrics):
        known["seed"] = args.seed
    progress, bar = shared.progress()
    try:
        e = evaluate(graph, feeds, methods, metrics, shared.target(args.target), output=args.output, progress=progress,
                     **known)
    finally:
        if bar is not None:
            bar.stop()
    nothing = not any(e.mean(m, k) is not None for m in e.methods for k in e.metrics)
    if args.json:
        shared.dump({"model": shared.describe(graph), "input": args.input, **e.document(), "exit_code": 5 if nothing else 0})
    else:
        shared.show(shown.scores(e))
        if args.reasons and e.reasons():
            shared.say()
            shared.show(shown.reasons(e))
    if args.out is not None:
        path = Path(args.out)
        if path.suffix == ".json":
            path.write_text(e.to_json() + "\n", encoding="utf-8")
        else:
            from xaicore.show.sheet import png

            path.write_bytes(png(shown.chart(e, f"{graph.name or Path(args.model).name}: {Path(args.input).name}")))
        shared.log(f"wrote {path}")
    if nothing:
        shared.log("nothing was measured: no metric applies to what was chosen (--reasons says why)")
    return 5 if nothing else 0


def _metrics(texts: list[str]) -> dict[str, tuple[str, dict[str, object]]] | None:
    """All --metrics: "road:order=combined,pointing_game" is two, as a part without "=" begins a new one."""
    from xaicore.cli.shared import parsed, split
    from xaicore.errors import InputError, UnknownName, nearest
    from xaicore.metrics.table import METRICS

    if not texts:
        return None
    words: list[str] = []
    for part in (p for text in texts for p in split(text)):
        if ":" in part or "=" not in part:
            words.append(part)
        elif words:
            words[-1] += "," + part
        else:
            raise InputError(f"--metrics {part!r} begins with a setting; write --metrics id:name=value")
    out: dict[str, tuple[str, dict[str, object]]] = {}
    for word in words:
        id, _, rest = word.partition(":")
        if id.strip() not in METRICS:
            raise UnknownName(f"no metric is called {id.strip()!r}: {nearest(id.strip(), METRICS)}  (xaicore metrics lists them)")
        settings: dict[str, object] = {}
        for setting in split(rest):
            key, equals, value = setting.partition("=")
            if not equals:
                raise InputError(f"--metrics {word}: {setting!r} is not a setting; write {id}:name=value")
            settings[key.strip()] = parsed(value)
        out[word] = (id.strip(), settings)
    return out


def _drawn(metrics: dict[str, tuple[str, dict[str, object]]] | None) -> bool:
    from xaicore.metrics.table import METRICS

    return metrics is None or any(METRICS[id].random for id, _ in metrics.values())


def _array(path: str, option: str) -> object:
    """A .npy file as an array."""
    import numpy as np

    from xaicore.errors import FileRefused, InputError

    try:
        found = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"--{option} {path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise FileRefused(f"--{option} {path} is no array file (.npy without pickled objects): {error}") from None
    if not isinstance(found, np.ndarray):
        raise FileRefused(f"--{option} {path} holds several arrays; give a .npy file with one")
    return found
