"""Models as static graphs: Graph, Node, the Builder and the block builders, passes, files, verification."""

from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph, InputSpec, Node

__all__ = ["Builder", "Graph", "InputSpec", "Node"]
