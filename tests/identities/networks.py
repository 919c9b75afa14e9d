"""Random networks in exact arithmetic, and what a method says of them."""

from fractions import Fraction as F

import numpy as np

import xaicore as xc
from xaicore.oracle.strategies import inputs_of


def exact(values):
    return np.vectorize(F, otypes=[object])(values)


def drawn(data, strategy, batch=(1, 1), **kinds):
    """A graph in exact arithmetic and an input."""
    graph = data.draw(strategy).astype("exact")
    return graph, exact(data.draw(inputs_of(graph, batch=batch, **kinds)))


def values(graph, x, method, **settings):
    return np.asarray(xc.explain(graph, x, method, target=settings.pop("target", 0), **settings))


def same(a, b):
    return a.shape == b.shape and bool((a == b).all())
