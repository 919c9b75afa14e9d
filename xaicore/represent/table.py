"""The table of representation tools: id, function, source. A worked number and a second implementation of each are in the oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from xaicore.represent import blocks, dictionary, features, meta_sne, neighbours, nmf, patches, receptive, recurrent, sequence, svcca, tsne
from xaicore.represent.cka import cka
from xaicore.rules.formulas import TOOL_FORMULAS, Formula


@dataclass(frozen=True)
class Tool:
    """One row; ``summary`` is the first line of the function's docstring."""

    id: str
    run: Callable[..., Any]
    source: str

    @property
    def summary(self) -> str:
        """In one line."""
        return (self.run.__doc__ or "").strip().splitlines()[0]

    @property
    def formula(self) -> Formula:
        """Where it stands in the source, and what it was compared with."""
        return TOOL_FORMULAS[self.id]


_ROWS = (
    Tool("activations", features.activations, "zeiler2014"),
    Tool("feature_maps", patches.feature_maps, "zeiler2014"),
    Tool("top_patches", patches.top_patches, "zeiler2014"),
    Tool("receptive_field", receptive.receptive_field, "zeiler2014"),
    Tool("neighbours", neighbours.neighbours, "krizhevsky2012"),
    Tool("cca", svcca.cca, "bjorck1973"),
    Tool("svcca", svcca.svcca, "raghu2017"),
    Tool("svcca_fourier", svcca.svcca_fourier, "raghu2017"),
    Tool("pwcca", svcca.pwcca, "morcos2018"),
    Tool("cka", cka, "kornblith2019"),
    Tool("tsne", tsne.tsne, "vandermaaten2008"),
    Tool("meta_sne", meta_sne.meta_sne, "colah2015"),
    Tool("nmf", nmf.nmf, "lee1999"),
    Tool("neuron_groups", nmf.neuron_groups, "olah2018"),
    Tool("semantic_dictionary", dictionary.semantic_dictionary, "olah2018"),
    Tool("activation_grid", dictionary.activation_grid, "olah2018"),
    Tool("atlas", dictionary.atlas, "carter2019"),
    Tool("blocks", blocks.blocks, "olah2018"),
    Tool("between", blocks.between, "olah2018"),
    Tool("reduced_attributions", sequence.reduced_attributions, "hilton2020"),
    Tool("timeline", sequence.timeline, "hilton2020"),
    Tool("advantages", sequence.advantages, "schulman2016"),
    Tool("responses", recurrent.responses, "shen2020"),
    Tool("clusters", recurrent.clusters, "shen2020"),
    Tool("importance_over_time", recurrent.importance_over_time, "shen2020"),
)
REPRESENTATIONS: Mapping[str, Tool] = MappingProxyType({row.id: row for row in _ROWS})
"""Name -> tool that looks at activations: patches, distances between layers, groups of neurons, atlases."""
