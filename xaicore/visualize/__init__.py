"""Inputs that are made, not given: what a neuron, a channel, a class or a direction responds to most.

``OBJECTIVES`` and ``PRESETS`` are the tables; ``render`` is the search. Where real inputs have what excites a unit stands in
``xaicore.represent``.
"""

from xaicore.visualize.adversarial import Adversarial
from xaicore.visualize.grids import directions, icons, picture_grid
from xaicore.visualize.image import Fourier, Pixels, Squash
from xaicore.visualize.objective import Objective
from xaicore.visualize.objectives import OBJECTIVES
from xaicore.visualize.octaves import dream, guided, invert
from xaicore.visualize.presets import PRESETS, Preset
from xaicore.visualize.search import Recipe, Rendering, render

__all__ = [
    "OBJECTIVES", "PRESETS", "Adversarial", "Fourier", "Objective", "Pixels", "Preset", "Recipe", "Rendering", "Squash", "directions",
    "dream", "guided", "icons", "invert", "picture_grid", "render",
]
