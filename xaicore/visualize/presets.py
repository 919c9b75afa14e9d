"""Presets: recipes as published. Their numbers are in the units of their source, pixels of 0 to 255 around a mean, and are converted.

An image x' = s x in other units, s = 255 / (white - black), has the gradient g / s, so that a published rate η' becomes η' / s² for a plain
step, and η' / s for a step of a normalised gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from xaicore.visualize.image import Fourier, Pixels, Squash
from xaicore.visualize.objectives import l2, total_variation
from xaicore.visualize.optimize import LBFGS, SGD, Adam, Progress
from xaicore.visualize.regularize import After, Blur, Bounded, ClipContribution, ClipNorm, ClipValue, Decay, Kernel, Mixed
from xaicore.visualize.search import Recipe
from xaicore.visualize.transform import Jitter, standard

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Preset:
    """One row: ``make(bounds)`` is the recipe for a network whose black and white are these; some take more, such as ``weight``."""

    id: str
    make: Callable[..., Recipe]
    summary: str
    source: str


def _unit(bounds: Bounds) -> float:
    """One grey level of 255 in the network's units."""
    return (bounds[1] - bounds[0]) / 255


def simonyan(bounds: Bounds, weight: float = 0.05) -> Recipe:
    """argmax S_c(I) - λ |I - I0|² from I0, the zero image of zero-centred ones; λ = ``weight`` / (white - black)².

    I0 is 0 where 0 lies between black and white, else the middle grey.

    λ, rate and number of steps are not published (reconstruction): the rate is 1 / (20 λ), so that x <- 0.9 x + g / (20 λ), and a linear
    score comes a tenth nearer to its maximum g / (2 λ) with every step. A network of few pixels wants a larger weight: with 5 the
    digits network stays within its range. Source: simonyan2013, section 2.
    """
    each = weight / (bounds[1] - bounds[0]) ** 2
    centre = 0.0 if bounds[0] < 0 < bounds[1] else (bounds[0] + bounds[1]) / 2
    return Recipe(Pixels(centre), SGD(1 / (20 * each)), 200, penalty=l2(centre) * each)


def _yosinski(decay: float, blur: float | None, norm: float, contribution: float, steps: int, most: float | None) -> Callable[..., Recipe]:
    """As in the toolbox's own examples: a constant rate of 100, or (``most``) a rise of 2 a step with a rate of at most so much."""
    def make(bounds: Bounds, strength: float = 1.0) -> Recipe:
        """The published rate times ``strength``: it was chosen for CaffeNet, and networks differ in the size of their gradients."""
        u = _unit(bounds)
        after: list[After] = [Decay(decay)] if decay else []
        after += [Blur(blur, 4)] if blur else []
        after += [ClipNorm(norm)] if norm else []
        after += [ClipContribution(contribution)] if contribution else []
        how = SGD(strength * 100 * u**2) if most is None else Progress(strength * 2.0, strength * most * u**2)
        return Recipe(Pixels(noise=10 * u, normal=True), how, steps, after=(*after, Bounded(*bounds)))

    return make


def keras_blog(bounds: Bounds) -> Recipe:
    """Twenty steps of one grey level along g / (sqrt(mean g²) + 1e-5) from grey with noise of 20 levels. Source: chollet2016.

    A step of normalised length, so that it converts like a length. The published start is 128 + 20 U(0, 1).
    """
    u, middle = _unit(bounds), (bounds[0] + bounds[1]) / 2
    return Recipe(Pixels(middle + 10 * u, 10 * u), SGD(u, "rms"), 20)


def jacobgil(bounds: Bounds) -> Recipe:
    """Twenty steps of 0.9 along the normalised gradient; then the mean, 3 : 3 : 1, of a 3 x 3 blur, a decay to 0.8 and a clip of the 1 %
    smallest entries. Source: gildenblat2016 (whose blur mirrors at the edge without repeating it). It works on grey levels around 128;
    here they are around the middle of the range, 0 for a symmetric one."""
    u, middle = _unit(bounds), (bounds[0] + bounds[1]) / 2
    mixed = Mixed(((3.0, Kernel((1 / 3, 1 / 3, 1 / 3))), (3.0, Decay(0.2)), (1.0, ClipValue(1.0))))
    return Recipe(Pixels(middle + 10 * u, 10 * u), SGD(0.9 * u, "rms"), 20, after=(mixed,))


def olah(bounds: Bounds) -> Recipe:
    """Fourier coefficients with decorrelated colours, Adam of 0.05, 512 steps, standard transformations. Source: olah2017, as in lucid."""
    return Recipe(Fourier(squash=Squash(bounds)), Adam(0.05), 512, standard(1, (bounds[0] + bounds[1]) / 2))


def small(bounds: Bounds) -> Recipe:
    """The same for images of a few pixels: transformations by an eighth, 256 steps (xaicore's)."""
    return Recipe(Fourier(squash=Squash(bounds)), Adam(0.05), 256, standard(8, (bounds[0] + bounds[1]) / 2))


def deepdream(bounds: Bounds) -> Recipe:
    """Ten steps of 1.5 grey levels along g / mean |g|, the image rolled by up to 32 pixels before each. Source: mordvintsev2015.

    ``dream`` runs it on four sizes, 1.4 apart.
    """
    u = _unit(bounds)
    return Recipe(Pixels(), SGD(1.5 * u, "mean_abs"), 10, (Jitter(32, roll=True),), (Bounded(*bounds),))


def inversion(bounds: Bounds) -> Recipe:
    """Pixels by L-BFGS with a quadratic total variation, for match(layer, example). Source: mahendran2015 (weights: reconstruction)."""
    u = _unit(bounds)
    return Recipe(Pixels((bounds[0] + bounds[1]) / 2, 10 * u), LBFGS(), 200, penalty=total_variation() * (1e-8 / u**2))


def fooling(bounds: Bounds) -> Recipe:
    """No regularisation at all: pixels from noise, Adam. The control, whose images look like nothing and have the largest scores.
    Source: nguyen2015."""
    u, middle = _unit(bounds), (bounds[0] + bounds[1]) / 2
    return Recipe(Pixels(middle, 10 * u), Adam(2 * u), 128, after=(Bounded(*bounds),))


_ROWS = (
    Preset("simonyan", simonyan, "class model: score minus λ |I|², from the zero image", "simonyan2013"),
    Preset("yosinski1", _yosinski(0, 0.5, 50, 0, 500, 100), "blur, half of the pixels clipped by norm, steps by progress",
           "yosinski2015"),
    Preset("yosinski2", _yosinski(0.3, None, 20, 0, 750, None), "strong decay, a fifth of the pixels clipped by norm", "yosinski2015"),
    Preset("yosinski3", _yosinski(1e-4, 1.0, 0, 0, 1000, None), "weak decay, wide blur", "yosinski2015"),
    Preset("yosinski4", _yosinski(0, 0.5, 0, 90, 1000, 1e8), "blur, nine of ten pixels clipped by contribution, steps by progress",
           "yosinski2015"),
    Preset("keras_blog", keras_blog, "twenty normalised steps from grey noise", "chollet2016"),
    Preset("jacobgil", jacobgil, "twenty normalised steps, each mixed with a blur, a decay and a clip", "gildenblat2016"),
    Preset("olah", olah, "Fourier coefficients, decorrelated colours, random transformations", "olah2017"),
    Preset("olah_small", small, "the same for images of a few pixels", "olah2017"),
    Preset("deepdream", deepdream, "normalised steps on a rolled image; xaicore.visualize.dream runs it on octaves", "mordvintsev2015"),
    Preset("inversion", inversion, "L-BFGS with total variation, for match()", "mahendran2015"),
    Preset("fooling", fooling, "no regularisation: the control", "nguyen2015"),
)
PRESETS: Mapping[str, Preset] = MappingProxyType({row.id: row for row in _ROWS})
"""Name -> how a paper or a program makes such images: start, steps, transforms, penalties."""
