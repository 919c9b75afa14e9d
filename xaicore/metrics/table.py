"""The table of metrics: id, function, which way is better, what it needs, source. A metric is a row here and a function in a
family's file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from xaicore.metrics import axiomatic, complexity, curves, faithfulness, fixation, localisation, pic, randomisation, roar, robustness
from xaicore.rules.formulas import METRIC_FORMULAS, Formula

NEEDS = ("map", "f", "method", "batch", "image", "classes", "truth", "human", "fixations", "data")
"""What a metric cannot do without. "map": the attribution alone;  "f": the model, evaluated;  "method": the method, asked again;
"batch": several samples;  "image": axes of space;  "classes": an output of classes;  "truth", "human", "fixations": settings of these
names;  "data": a training and a test set (``xaicore.metrics.roar``)."""


@dataclass(frozen=True)
class Metric:
    """One row: ``run(subject, **settings)`` gives a Score.

    better  "larger" or "smaller";  "neither" where the number describes a map and does not judge it
    by_order  the same for other values of the setting ``order``;  needs: words of NEEDS;  cost: of one sample, in evaluations of f and
              askings of the method
    """

    id: str
    run: Callable[..., Any]
    summary: str
    family: str
    better: str
    needs: tuple[str, ...]
    source: str
    cost: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    by_order: Mapping[str, str] = field(default_factory=dict)

    def judged(self, settings: Mapping[str, Any]) -> str:
        """Which way is better with these settings: another ``order`` of removal may turn it around."""
        return self.by_order.get(str(settings.get("order", "")), self.better)

    @property
    def formula(self) -> Formula:
        """Where it stands in the source, and what it was compared with."""
        return METRIC_FORMULAS[self.id]

    @property
    def random(self) -> bool:
        """Does it draw?"""
        return "seed" in self.settings


def _row(id: str, run: Callable[..., Any], family: str, better: str, needs: str, source: str, cost: str = "nothing but the map",
         **by_order: str) -> Metric:
    known = {k: p.default for k, p in inspect.signature(run).parameters.items() if k != "s"}
    summary = (run.__doc__ or "").strip().splitlines()[0]
    return Metric(id, run, summary, family, better, tuple(needs.split()), source, cost, MappingProxyType(known),
                  MappingProxyType(by_order))


_ROWS = (
    _row("faithfulness.correlation", faithfulness.faithfulness_correlation, "faithfulness", "larger", "f", "bhatt2020", "samples f"),
    _row("faithfulness.estimate", faithfulness.faithfulness_estimate, "faithfulness", "larger", "f", "alvarezmelis2018", "M / step f"),
    _row("monotonicity", faithfulness.monotonicity, "faithfulness", "larger", "f", "arya2019", "M / step f"),
    _row("monotonicity.correlation", faithfulness.monotonicity_correlation, "faithfulness", "larger", "f", "nguyen2020", "M samples f"),
    _row("pixel_flipping", curves.pixel_flipping, "faithfulness", "smaller", "f", "bach2015", "steps f", ascending="larger"),
    _row("region_perturbation", curves.region_perturbation, "faithfulness", "larger", "f", "samek2017", "regions repeats f",
         ascending="smaller"),
    _row("selectivity", curves.selectivity, "faithfulness", "smaller", "f", "montavon2018", "one f for each patch"),
    _row("sensitivity_n", faithfulness.sensitivity_n, "faithfulness", "larger", "f", "ancona2018", "10 samples f"),
    _row("irof", curves.irof, "faithfulness", "larger", "f image", "rieger2020", "one f for each segment"),
    _row("infidelity", faithfulness.infidelity, "faithfulness", "smaller", "f", "yeh2019", "samples f"),
    _row("road", curves.road, "faithfulness", "smaller", "f image", "rong2022", "one f and one linear system for each share",
         ascending="larger", combined="larger"),
    _row("sufficiency", faithfulness.sufficiency, "faithfulness", "larger", "batch classes", "dasgupta2022"),
    _row("consistency", faithfulness.consistency, "robustness", "larger", "batch classes", "dasgupta2022"),
    _row("insertion", curves.insertion, "faithfulness", "larger", "f", "petsiuk2018", "steps f"),
    _row("deletion", curves.deletion, "faithfulness", "smaller", "f", "petsiuk2018", "steps f"),
    _row("pic.sic", pic.sic, "faithfulness", "larger", "f image classes", "kapishnikov2019", "13 f, pictures compressed"),
    _row("pic.aic", pic.aic, "faithfulness", "larger", "f image classes", "kapishnikov2019", "13 f, pictures compressed"),
    _row("local_lipschitz", robustness.local_lipschitz, "robustness", "smaller", "method", "alvarezmelis2018robust", "samples methods"),
    _row("sensitivity.max", robustness.max_sensitivity, "robustness", "smaller", "method", "yeh2019", "samples methods"),
    _row("sensitivity.avg", robustness.avg_sensitivity, "robustness", "smaller", "method", "bhatt2020", "samples methods"),
    _row("continuity", robustness.continuity, "robustness", "smaller", "method image", "montavon2018", "shifts methods"),
    _row("stability.input", robustness.relative_input_stability, "robustness", "smaller", "method", "agarwal2022rethinking",
         "samples methods"),
    _row("stability.output", robustness.relative_output_stability, "robustness", "smaller", "method", "agarwal2022rethinking",
         "samples methods"),
    _row("stability.representation", robustness.relative_representation_stability, "robustness", "smaller", "method",
         "agarwal2022rethinking", "samples methods"),
    _row("pointing_game", localisation.pointing_game, "localisation", "larger", "truth", "zhang2016"),
    _row("attribution_localisation", localisation.attribution_localisation, "localisation", "larger", "truth", "kohlbrenner2020"),
    _row("mu_weighted", localisation.mu_weighted, "localisation", "larger", "truth", "kohlbrenner2020"),
    _row("top_k_intersection", localisation.top_k_intersection, "localisation", "larger", "truth", "theiner2022"),
    _row("relevance_mass", localisation.relevance_mass, "localisation", "larger", "truth", "arras2022"),
    _row("relevance_rank", localisation.relevance_rank, "localisation", "larger", "truth", "arras2022"),
    _row("localisation_auc", localisation.localisation_auc, "localisation", "larger", "truth", "fawcett2006"),
    _row("sparseness", complexity.sparseness, "complexity", "neither", "map", "chalasani2020"),
    _row("entropy", complexity.entropy, "complexity", "neither", "map", "bhatt2020"),
    _row("effective_complexity", complexity.effective_complexity, "complexity", "smaller", "f", "nguyen2020", "steps f"),
    _row("file_size", complexity.file_size, "complexity", "neither", "map image", "samek2017"),
    _row("mprt", randomisation.mprt, "randomisation", "smaller", "method", "adebayo2018", "one method for each layer"),
    _row("mprt.smooth", randomisation.smooth_mprt, "randomisation", "smaller", "method", "hedstrom2024", "samples methods for each layer"),
    _row("mprt.efficient", randomisation.efficient_mprt, "randomisation", "larger", "method", "hedstrom2024", "1 method"),
    _row("random_logit", randomisation.random_logit, "randomisation", "smaller", "method classes", "sixt2020", "1 method"),
    _row("csc", randomisation.csc, "randomisation", "smaller", "method", "sixt2020", "2 samples methods"),
    _row("completeness", axiomatic.completeness, "axiomatic", "smaller", "f", "sundararajan2017", "1 f"),
    _row("non_sensitivity", axiomatic.non_sensitivity, "axiomatic", "smaller", "f", "nguyen2020", "M samples f"),
    _row("input_invariance", axiomatic.input_invariance, "axiomatic", "smaller", "method", "kindermans2019", "1 method"),
    _row("fixation.auc_judd", fixation.auc_judd, "fixation", "larger", "fixations", "judd2009"),
    _row("fixation.auc_borji", fixation.auc_borji, "fixation", "larger", "fixations", "borji2013"),
    _row("fixation.auc_shuffled", fixation.auc_shuffled, "fixation", "larger", "fixations", "zhang2008"),
    _row("fixation.nss", fixation.nss, "fixation", "larger", "fixations", "peters2005"),
    _row("fixation.cc", fixation.cc, "fixation", "larger", "human", "bylinskii2019"),
    _row("fixation.sim", fixation.sim, "fixation", "larger", "human", "bylinskii2019"),
    _row("fixation.kl", fixation.kl, "fixation", "smaller", "human", "bylinskii2019"),
    _row("fixation.emd", fixation.emd, "fixation", "smaller", "human", "rubner2000", "one linear programme"),
    _row("fixation.information_gain", fixation.information_gain, "fixation", "larger", "fixations", "kummerer2015"),
    _row("roar", roar.roar, "retraining", "smaller", "data method", "hooker2019", "one training for each share and repeat"),
    _row("kar", roar.kar, "retraining", "larger", "data method", "hooker2019", "one training for each share and repeat"),
)

METRICS: Mapping[str, Metric] = MappingProxyType({row.id: row for row in _ROWS})
"""Metric id -> its row: the function, what it needs, which way is better, its paper."""

__all__ = ["METRICS", "NEEDS", "Metric"]
