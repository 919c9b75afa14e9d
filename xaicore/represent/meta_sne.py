"""meta-SNE: one point for each representation (a layer, a network), near those that place the samples alike. Source: colah2015."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.numerics import Array
from xaicore.represent.features import activations, matrix, need_variation
from xaicore.represent.tsne import Embedding, squared_distances, tsne


@dataclass(frozen=True, eq=False)
class MetaMap:
    """names of the representations; distances (R, R) between them; points (R, dims)."""

    names: tuple[str, ...]
    distances: Array
    embedding: Embedding

    @property
    def points(self) -> Array:
        """(R, dims)."""
        return self.embedding.points


def sample_distances(x: Any, normalize: bool = True, positions: str = "units") -> Array:
    """D_X with D_X[i, j] = |x_i - x_j|, (N, N): what a representation says about the samples, whatever its units are called.

    normalize  divides by the root mean square of the entries, so that a scaled copy is the same representation

    Invariant under rotations, reflections, permutations of units and shifts; a copy with further constant units is the same, too. Raises
    Inapplicable where all samples are the same and there is nothing to divide by.

    >>> sample_distances([[0, 0], [3, 4.0]], normalize=False).tolist()
    [[0.0, 5.0], [5.0, 0.0]]
    """
    a = matrix(x, positions)
    if normalize:
        need_variation(a, "the representation")
    d = np.sqrt(squared_distances(a))
    return np.asarray(d / np.sqrt((d**2).mean())) if normalize else d


def representation_distances(several: Sequence[Any], normalize: bool = True, positions: str = "units") -> Array:
    """d(X, Y) = |D_X - D_Y|, the Euclidean distance of the two distance matrices taken as vectors: (R, R).

    Raises ShapeError when the representations have different numbers of samples.
    """
    if len(several) < 2:
        raise InputError(f"{len(several)} representation was given; at least two are compared")
    maps = [sample_distances(x, normalize, positions) for x in several]
    counts = sorted({len(m) for m in maps})
    if len(counts) > 1:
        raise ShapeError(f"the representations have {counts} samples; give the same samples in the same order to all")
    return np.sqrt(squared_distances(np.stack([m.reshape(-1) for m in maps])))


def meta_sne(
    several: Mapping[str, Any], normalize: bool = True, perplexity: float | None = None, dims: int = 2, steps: int = 500, seed: int = 0,
    positions: str = "units",
) -> MetaMap:
    """t-SNE of representations: name -> values (N, *K) of the same N samples. ``perplexity`` is a third of their number by default.

    ``layer_representations`` gathers them from networks. Source: colah2015, with its distance between distance matrices.
    """
    names = tuple(several)
    d = representation_distances(list(several.values()), normalize, positions)
    wanted = max(1.0, len(names) / 3) if perplexity is None else perplexity
    return MetaMap(names, d, tsne(d**2, wanted, dims, steps, seed=seed, distances=True))


def layer_representations(graphs: Mapping[str, Any], x: Any, layers: Mapping[str, Sequence[str]] | Sequence[str],
                          batch_size: int = 64) -> dict[str, Array]:
    """{"network: layer": values} for several networks on the same samples; ``layers`` of all, or of each by its name."""
    out = {}
    for name, graph in graphs.items():
        own = layers[name] if isinstance(layers, Mapping) else layers
        out.update({f"{name}: {k}": v for k, v in activations(graph, x, own, batch_size).items()})
    return out
