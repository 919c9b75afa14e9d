"""The search itself: an image that makes an objective large, by gradient ascent from a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.graph.graph import Graph
from xaicore.methods.sweep import whole
from xaicore.numerics import Array
from xaicore.visualize.image import Fourier, Parameterisation, Pixels, Squash
from xaicore.visualize.objective import IMAGE, Measured, Objective, bind
from xaicore.visualize.optimize import LBFGS, Adam, Optimizer
from xaicore.visualize.regularize import After
from xaicore.visualize.transform import Fitted, Step, Transform, applied, pulled


@dataclass(frozen=True, eq=False)
class Rendering:
    """What was made.

    images    (N, C, H, W), or (N, F) where the network takes tables, in the units of the network's input
    scores    (N,), the objective of the images as they are, without transformations;  history (steps, N) as it was seen on the way
    frames    (step, images) on the way, the first and the last included
    bounds    what black and white are, for whoever draws them
    """

    images: Array
    scores: Array
    history: Array
    objective: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    frames: tuple[tuple[int, Array], ...] = ()
    bounds: tuple[float, float] | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.images, dtype=dtype)


@dataclass(frozen=True)
class Recipe:
    """All that decides a search but the network and the objective.

    image       what is optimised: Pixels or Fourier;  optimizer, steps
    transforms  drawn anew for every step;  after  what follows every step, on pixels
    penalty     subtracted from the objective: an objective of the image, such as 0.01 * total_variation()
    """

    image: Parameterisation = field(default_factory=Fourier)
    optimizer: Optimizer = field(default_factory=Adam)
    steps: int = 256
    transforms: tuple[Transform, ...] = ()
    after: tuple[After, ...] = ()
    penalty: Objective | None = None

    def words(self) -> dict[str, Any]:
        """For a result's settings."""
        return {"image": str(self.image), "optimizer": str(self.optimizer), "steps": self.steps,
                "transforms": [str(t) for t in self.transforms], "after": [str(a) for a in self.after],
                "penalty": None if self.penalty is None else str(self.penalty)}


def render(
    graph: Graph, objective: Objective, recipe: Recipe | str = "olah", *, size: Sequence[int] | None = None, batch: int = 1,
    start: Any = None, seed: int = 0, steps: int | None = None, bounds: tuple[float, float] | None = None, frames: int = 0,
    input: str | None = None, feeds: Any = None, progress: Callable[[int, int], None] | None = None,
) -> Rendering:
    """argmax over images of objective - penalty, by gradient ascent on the recipe's parameters.

    objective  from xaicore.visualize: channel("conv1", 3), class_logit(7) - l2() * 0.1, ...; layer names as in the graph
    recipe     a Recipe, or the id of a preset (PRESETS lists them)
    size       (C, H, W) where the network takes any; batch: how many images at once (a diversity term makes them differ)
    start      images to start from, (C, H, W) or (N, C, H, W); a preset's own start otherwise, drawn with ``seed``
    bounds     what black and white are in the units of the input; the graph's meta says it where it knows (else (0, 1))
    frames     how many images on the way are kept, the start and the end among them;  progress(step, steps) is called on the way

    The score is the network's own number, never a probability unless that is asked for. Deterministic given the seed. Errors: UnknownName
    for layers and presets (with the nearest names), ShapeError for sizes that do not fit, InputError for settings out of range.
    """
    measured = bind(graph, objective, input, feeds)
    limits = bounds or _known_bounds(graph, measured.input)
    plan = resolved(recipe, limits)
    plan = replace(plan, steps=plan.steps if steps is None else whole("steps", steps, 1))
    if plan.penalty is not None:
        measured = bind(graph, objective - plan.penalty, input, feeds)
    shape = _shape(measured, size, whole("batch", batch, 1), start)
    rng = np.random.default_rng(seed)
    p = plan.image.start(rng, shape) if start is None else plan.image.of(_started(start, shape))
    fit = _fit(measured, shape, limits)
    if isinstance(plan.optimizer, LBFGS):
        p, history, kept = _lbfgs(measured, plan, p, shape, fit, frames, progress)
    else:
        p, history, kept = _ascend(measured, plan, p, shape, fit, rng, frames, progress)
    images = plan.image.image(p, shape)
    final = bind(graph, objective, input, feeds)
    scores = final.at(fit.forward(images) if fit is not None else images, images)[0]
    settings = {**plan.words(), "seed": seed, "batch": shape[0], "bounds": limits, "recipe": recipe if isinstance(recipe, str) else "own"}
    return Rendering(images, scores, history, str(objective), settings, kept, limits)


# ----- the ascent -----------------------------------------------------------------------------------------------------


def _ascend(measured: Measured, plan: Recipe, p: Array, shape: tuple[int, ...], fit: Step | None, rng: np.random.Generator, frames: int,
            progress: Callable[[int, int], None] | None) -> tuple[Array, Array, tuple[tuple[int, Array], ...]]:
    if plan.after and not (isinstance(plan.image, Pixels) and plan.image.squash.bounds is None):
        raise InputError("what follows each step (after=) works on pixels; it goes with image=Pixels(...) without squash, not with "
                         f"{type(plan.image).__name__}")
    assert not isinstance(plan.optimizer, LBFGS)
    keep = _kept_steps(plan.steps, frames)
    state, history, kept = None, [], []
    for k in range(plan.steps):
        image = plan.image.image(p, shape)
        if k in keep:
            kept.append((k, image.copy()))
        try:
            with np.errstate(over="raise", invalid="raise"):
                scores, g = gradient_at(measured, image, _drawn(plan.transforms, fit, rng, image.shape))
        except FloatingPointError:
            raise InputError(f"step {k + 1}: the objective or its slope is out of range; use a smaller rate than {plan.optimizer}"
                             ) from None
        history.append(scores)
        change, state = plan.optimizer.step(plan.image.pull(p, g, shape), state)
        p = p + change
        for one in plan.after:
            p = one.after(p, g, k)
        if not np.isfinite(p).all():
            raise InputError(f"step {k + 1}: the image is not finite any more; use a smaller rate than {plan.optimizer}")
        if progress is not None:
            progress(k + 1, plan.steps)
    if frames:
        kept.append((plan.steps, plan.image.image(p, shape)))
    return p, np.stack(history), tuple(kept)


def gradient_at(measured: Measured, image: Array, steps: Sequence[Step]) -> tuple[Array, Array]:
    """(scores (N,), gradient at the image) when the network sees the image through these steps."""
    seen = applied(steps, image)
    scores, g, on_image = measured.at(seen[-1], image)
    g = pulled(steps, seen, g)
    return scores, g if on_image is None else g + on_image


def _drawn(transforms: Sequence[Transform], fit: Step | None, rng: np.random.Generator, shape: tuple[int, ...]) -> list[Step]:
    """The steps of one look, each drawn for the size that the one before it leaves."""
    steps: list[Step] = []
    size = np.empty(shape) if transforms else None
    for t in transforms:
        assert size is not None
        one = t.draw(rng, size.shape)
        steps.append(one)
        size = np.empty(one.forward(np.zeros((1, 1, *size.shape[-2:]))).shape)
    if fit is not None:
        steps.append(fit)
    return steps


@dataclass(frozen=True)
class _ToSize:
    """Fitted, drawn for whatever arrives."""

    to: Fitted

    def forward(self, x: Array) -> Array:
        return self.to.draw(np.random.default_rng(0), x.shape).forward(x)

    def adjoint(self, g: Array, x: Array, y: Array) -> Array:
        return self.to.draw(np.random.default_rng(0), x.shape).adjoint(g, x, y)


def _lbfgs(measured: Measured, plan: Recipe, p: Array, shape: tuple[int, ...], fit: Step | None, frames: int,
           progress: Callable[[int, int], None] | None) -> tuple[Array, Array, tuple[tuple[int, Array], ...]]:
    from scipy.optimize import minimize

    if plan.transforms or plan.after:
        raise InputError("L-BFGS follows one fixed function; leave out transforms and after, or use Adam or SGD")
    assert isinstance(plan.optimizer, LBFGS)
    keep, history, kept = _kept_steps(plan.steps, frames), [], []
    fixed = [] if fit is None else [fit]

    def down(flat: Array) -> tuple[float, Array]:
        q = flat.reshape(p.shape)
        scores, g = gradient_at(measured, plan.image.image(q, shape), fixed)
        return -float(scores.sum()), -plan.image.pull(q, g, shape).reshape(-1)

    def seen(flat: Array) -> None:
        image = plan.image.image(flat.reshape(p.shape), shape)
        history.append(measured.at(fit.forward(image) if fit else image, image)[0])
        if len(history) in keep:
            kept.append((len(history), image))
        if progress is not None:
            progress(len(history), plan.steps)

    if frames:
        kept.append((0, plan.image.image(p, shape)))
    found = minimize(down, p.reshape(-1), jac=True, method="L-BFGS-B", callback=seen,
                     options={"maxiter": plan.steps, "maxcor": plan.optimizer.memory, "ftol": 1e-14, "gtol": 1e-10})
    q = found.x.reshape(p.shape)
    if frames and kept[-1][0] != len(history):
        kept.append((len(history), plan.image.image(q, shape)))
    return q, np.stack(history) if history else np.zeros((0, shape[0])), tuple(kept)


def _kept_steps(steps: int, frames: int) -> set[int]:
    """``frames`` steps from 0 to ``steps``, evenly."""
    whole("frames", frames, 0)
    return {int(k) for k in np.linspace(0, steps, frames).round()} if frames else set()


# ----- sizes and ranges -----------------------------------------------------------------------------------------------


def resolved(recipe: Recipe | str, bounds: tuple[float, float]) -> Recipe:
    """A preset in the units of the network, or the recipe itself."""
    if isinstance(recipe, Recipe):
        return recipe
    from xaicore.methods.sweep import chosen
    from xaicore.visualize.presets import PRESETS

    return PRESETS[chosen("recipe", recipe, PRESETS)].make(bounds)


def _known_bounds(graph: Graph, name: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in graph.meta.get(f"range.{name}", "0,1").split(","))
    except ValueError:
        return 0.0, 1.0
    return low, high


def _shape(measured: Measured, size: Sequence[int] | None, batch: int, start: Any) -> tuple[int, ...]:
    """(N, C, H, W) of the images."""
    known = measured.size
    if start is not None:
        given = np.asarray(start).shape
        given = given if len(given) == len(known) + 1 else (1, *given)
        if len(given) != len(known) + 1 or (known[0] is not None and given[1] != known[0]):
            raise ShapeError(f"start has shape {np.asarray(start).shape}; images for input {measured.input!r} of shape (N, "
                             f"{', '.join('?' if n is None else str(n) for n in known)}) are expected")
        return (max(given[0], batch), *given[1:])
    if size is not None:
        wanted = tuple(whole("size", n, 1) for n in size)
        if len(wanted) != len(known) or (known[0] is not None and wanted[0] != known[0]):
            raise ShapeError(f"size={wanted}: input {measured.input!r} takes ({', '.join('?' if n is None else str(n) for n in known)})")
        return (batch, *wanted)
    if None in known:
        taken, example = (", ".join(free if n is None else str(n) for n in known) for free in ("?", "128"))
        raise InputError(f"input {measured.input!r} takes ({taken}); give size=, for example size=({example})")
    return (batch, *(int(n) for n in known if n is not None))


def _started(start: Any, shape: tuple[int, ...]) -> Array:
    x = np.asarray(start, dtype=float)
    x = x if x.ndim == len(shape) else x[None]
    if not np.isfinite(x).all():
        raise InputError("start holds numbers that are not finite")
    if len(x) not in (1, shape[0]):
        raise ShapeError(f"start holds {len(x)} images for a batch of {shape[0]}")
    return np.array(np.broadcast_to(x, shape))


def _fit(measured: Measured, shape: tuple[int, ...], bounds: tuple[float, float]) -> Any:
    """What brings an image to the size that the network takes, or None where it takes any, or no images."""
    known = measured.size
    if len(shape) != 4 or not measured.values:
        return None
    size = tuple(shape[k + 2] if n is None else n for k, n in enumerate(known[1:]))
    fixed = any(n is not None for n in known[1:])
    return _ToSize(Fitted((size[0], size[1]), (bounds[0] + bounds[1]) / 2)) if fixed else None


__all__ = ["IMAGE", "Fourier", "Pixels", "Recipe", "Rendering", "Squash", "gradient_at", "render"]
