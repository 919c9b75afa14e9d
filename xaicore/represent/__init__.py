"""What a network's inside looks like: units, groups of them, positions, whole layers, and comparisons between layers and networks.

``REPRESENTATIONS`` is the table of tools. Each is a function in the module of its family: ``from xaicore.represent.cka import cka``.
Images of what units look for are made in ``xaicore.visualize``.
"""

from xaicore.represent.table import REPRESENTATIONS, Tool

__all__ = ["REPRESENTATIONS", "Tool"]
