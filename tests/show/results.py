"""Attributions to draw."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.cli.files import cnn, odd_model, table_model
from xaicore.graph import Graph
from xaicore.methods import Attribution, explain

METHODS = ("gradient", "lrp.epsilon", "deeplift.rescale", "integrated_gradients")


def image_results(channels: int = 1, size: int = 8, batch: int = 1, methods: tuple[str, ...] = METHODS, **options: Any) -> dict[str, Attribution]:
    """A small CNN on seeded noise."""
    x = np.random.default_rng(3).normal(size=(batch, channels, size, size))
    return {m: explain(cnn("grey", channels, size), x, m, **options) for m in methods}


def table_results(batch: int = 2) -> dict[str, Attribution]:
    """Five numbers."""
    x = np.random.default_rng(4).normal(size=(batch, 5))
    return {m: explain(table_model(), x, m) for m in METHODS}


def token_results() -> dict[str, Attribution]:
    """Four tokens of six numbers, with an input of indices beside them."""
    x = {"x": np.random.default_rng(5).normal(size=(1, 4, 6)), "ids": np.zeros(1, int)}
    return {m: explain(odd_model(), x, m, target=1) for m in ("gradient", "deeplift.rescale")}


def renamed(graph: Graph, old: str, new: str) -> Graph:
    """The graph with one node's layer called otherwise."""
    from dataclasses import replace

    return replace(graph, nodes=tuple(replace(n, layer=new) if n.name == old else n for n in graph.nodes))
