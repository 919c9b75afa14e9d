"""The table of methods: id, function, what it promises, source. A method is a row here and a function in a family's file."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Any

from xaicore.errors import Inapplicable
from xaicore.graph.graph import Graph
from xaicore.methods import shapley
from xaicore.methods.ablate import feature_ablation, feature_permutation
from xaicore.methods.attribution import Attribution
from xaicore.methods.cam import cam, grad_cam, grad_cam_plus_plus, guided_grad_cam, hires_cam, layer_cam, xgrad_cam
from xaicore.methods.causal import ace
from xaicore.methods.closed import linear_shap, max_shap
from xaicore.methods.context import salient_relevance
from xaicore.methods.contrast import clrp, concept_relevance, excitation_backprop, sglrp
from xaicore.methods.curved import blur_ig, guided_ig
from xaicore.methods.deepshap import deep_shap, gradient_shap, hypothetical
from xaicore.methods.deletion import global_saliency
from xaicore.methods.expected import expected_gradients
from xaicore.methods.fullgrad import fullgrad
from xaicore.methods.layers import conductance, internal_influence
from xaicore.methods.lime import lime
from xaicore.methods.masks import meaningful_perturbation, rise
from xaicore.methods.noise import smoothgrad, smoothgrad_squared, vargrad
from xaicore.methods.owen import owen
from xaicore.methods.pairs import bilrp
from xaicore.methods.paths import integrated_gradients, integrated_gradients_exact, interior_gradients
from xaicore.methods.perturb import occlusion
from xaicore.methods.propagate import (
    gradient,
    gradient_x_input,
    guided_saliency,
    pattern_attribution,
    patternnet,
    propagate,
    saliency,
    seed_of,
    simple_taylor,
)
from xaicore.methods.reasons import dax, global_contrast, len_mu, len_psi, len_relu, segmentation, xgnn
from xaicore.methods.regions import xrai
from xaicore.methods.restructured import restructured
from xaicore.methods.rollout import attention_rollout
from xaicore.methods.samples import attfind, independence, rate, submodular_pick, tcav, vog
from xaicore.methods.scorecam import ablation_cam, eigen_cam, faster_score_cam, score_cam
from xaicore.methods.smoe import fastcam, smoe
from xaicore.methods.surrogate import kernel_shap
from xaicore.methods.task import Task
from xaicore.rules import RULE_SETS
from xaicore.rules.dialect import in_dialect
from xaicore.rules.ruleset import RuleSet


@dataclass(frozen=True)
class Method:
    """One row: ``run(task, **settings)`` gives the attribution.

    promises    ids of axioms that hold whenever their preconditions do (measured by ``xaicore check``)
    layer       how ``layer=`` is served: "signal" reads the backward signal at that value, "cut" makes the layer's value the
                explained input, "own" is the method's own setting, "" not at all
    baseline    does the method compare with a baseline?
    free        does it only evaluate f? Then it also takes inputs of whole numbers and black boxes (xc.from_function)
    cost        of one sample: forward and backward passes, in words and the names of the settings
    rules       of a method that is one pass of a rule set: (graph, settings) -> that rule set
    """

    id: str
    run: Callable[..., Attribution]
    summary: str
    promises: tuple[str, ...] = ()
    source: str = ""
    layer: str = "cut"
    baseline: bool = False
    random: bool = False
    free: bool = False
    cost: str = "1 forward, 1 backward"
    settings: Mapping[str, Any] = field(default_factory=dict)
    rules: Callable[[Graph, Mapping[str, Any]], RuleSet] | None = None

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """The settings that need not be given."""
        return {k: v for k, v in self.settings.items() if v is not inspect.Parameter.empty}

    @property
    def doc(self) -> str:
        """The whole docstring: formula, settings, shapes, errors, source, edge cases, who differs."""
        return inspect.getdoc(self.run) or ""

    @property
    def slow(self) -> bool:
        """Does it take more than a few passes?"""
        return re.fullmatch(r"\d forward(, \d backward)?(;.*)?", self.cost) is None

    def price(self, settings: Mapping[str, Any]) -> str:
        """``cost`` with the numbers of these settings."""
        words = self.cost
        for k, v in {**self.settings, **settings}.items():
            if isinstance(v, int) and not isinstance(v, bool):
                words = re.sub(rf"\b{re.escape(k)}\b(?!=)", f"{v:,}", words)
        return words

    def promised(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """What it promises with these settings: around another method (``of``) no more than that one does, no linearity for a map whose
        negative part is cut off or that is scaled, and none of what a library's convention gives up (GIVEN_UP)."""
        found, of = self.promises, settings.get("of", "gradient")
        inner = of[0] if isinstance(of, tuple) and of else of
        if "of" in self.settings and isinstance(inner, str) and inner in METHODS:
            found = tuple(p for p in found if p in METHODS[inner].promises)
        if "relu" in self.settings and (settings.get("relu") or settings.get("normalize")):
            found = tuple(p for p in found if p != "linearity")
        lost = {p for (family, k, v), gone in GIVEN_UP.items() if self.id.startswith(family) and settings.get(k) == v for p in gone}
        if settings.get("layer_eps"):
            lost.add("conservation")                                    # what it keeps is no empty denominator
        return tuple(p for p in found if p not in lost)


_SUMS = ("completeness", "conservation", "sensitivity_a")

GIVEN_UP: Mapping[tuple[str, str, Any], tuple[str, ...]] = MappingProxyType({
    ("", "bias", "whole"): ("conservation",), ("", "sums", "repeat"): ("conservation",),
    ("lrp.w_square", "variant", "with-bias"): ("conservation",),
    ("", "batchnorm", "reverse"): ("conservation",), ("", "batchnorm", "surrogate"): ("conservation",),
    ("deeplift", "pool", "winner"): _SUMS, ("deeplift", "softmax", "gradient"): _SUMS,
    ("deeplift", "softmax", "centred"): (*_SUMS, "batch_invariance"),
})
"""(methods that begin so, setting, value) -> the axioms that do not hold with it: conventions that exist to reproduce other libraries."""


def _row(id: str, run: Callable[..., Attribution], *promises: str, source: str, layer: str = "cut",
         settings: Mapping[str, Any] | None = None, summary: str | None = None, free: bool = False,
         cost: str = "1 forward, 1 backward") -> Method:
    known = _settings_of(run) if settings is None else settings
    line = summary or (run.__doc__ or "").strip().splitlines()[0]
    return Method(id, run, line, promises, source, layer, "baseline" in known, "seed" in known, free, cost, MappingProxyType(dict(known)))


def _settings_of(run: Callable[..., Any]) -> dict[str, Any]:
    """Setting name -> default (inspect.Parameter.empty when it must be given)."""
    return {k: p.default for k, p in inspect.signature(run).parameters.items() if k != "task"}


def _game(id: str, run: Callable[..., Attribution], *promises: str, source: str, cost: str) -> Method:
    """A method that takes parts of the input away and only evaluates f."""
    return _row(id, run, *_ALWAYS, *promises, source=source, free=True, cost=cost)


def _rules_row(id: str, *promises: str, source: str) -> Method:
    """A method that is one backward pass of a rule set; the rule set's parameters are its settings."""
    build = RULE_SETS[id]
    known = _settings_of(build)
    if id.startswith("deeplift"):
        known = {"baseline": 0, **known}
    relevance = id.startswith(("lrp", "deep_taylor"))
    around = _settings_of(in_dialect) if relevance else {}
    around.pop("rules", None)
    if relevance:
        known = {**known, **around, "start": "value"}

    def table(graph: Graph, settings: Mapping[str, Any]) -> RuleSet:
        own = {k: v for k, v in settings.items() if k not in ("baseline", "start")}
        return _remembered(graph, (id, _plain(own)), lambda: _dialect(build(**{k: v for k, v in own.items() if k not in around}), own))

    def run(task: Task, *, baseline: Any = None, rules: RuleSet | None = None, start: str = "value", **settings: Any) -> Attribution:
        made = table(task.graph, settings) if rules is None else _dialect(rules, settings)
        return propagate(task, made, id, baseline, seed=seed_of(task, start) if relevance else None)

    run.__doc__ = build.__doc__
    cost = "2 forward, 1 backward" if "baseline" in known else "1 forward, 1 backward"
    line = (build.__doc__ or "").strip().splitlines()[0]
    return replace(_row(id, run, *promises, source=source, layer="signal", settings=known, summary=line, cost=cost), rules=table)


def _plain(settings: Mapping[str, Any]) -> Hashable:
    """The settings as a key, the kind of each number in it; None where one of them is more than a number or a name."""
    if not settings:
        return ()
    if not all(v is None or isinstance(v, (bool, int, float, str, Fraction)) for v in settings.values()):
        return None
    return tuple((k, type(v), str(v)) for k, v in sorted(settings.items()))


def _remembered(graph: Graph, key: tuple[str, Hashable], make: Callable[[], RuleSet]) -> RuleSet:
    """The rule set, made once for a graph where ``key`` says all."""
    return make() if key[1] is None else graph.once(("rules", *key), lambda: make().known_as(key))


def _dialect(rules: RuleSet, settings: Mapping[str, Any]) -> RuleSet:
    around = {k: settings[k] for k in _AROUND if k in settings}
    return in_dialect(rules, **around) if around else rules


def rule_set_of(id: str, settings: Mapping[str, Any]) -> RuleSet:
    """The rule set that a method carries its signal by, with those of ``settings`` that it takes.

    Inapplicable for a method that is not one backward pass of a rule set.
    """
    if id in RULE_SETS:
        return _dialect(RULE_SETS[id](**{k: v for k, v in settings.items() if k in _settings_of(RULE_SETS[id])}),
                        settings if id.startswith(("lrp", "deep_taylor")) else {})
    same = {"saliency": "gradient", "gradient_x_input": "gradient", "guided_saliency": "guided_backprop"}
    if id not in same:
        raise Inapplicable(f"{id} is not one backward pass of a rule set, so that no rule leads from a unit to its inputs; methods that "
                           f"are: {', '.join([*RULE_SETS, *same])}")
    return RULE_SETS[same[id]]()


_AROUND = tuple(_settings_of(in_dialect))
_ALWAYS = ("batch_invariance", "determinism")
_LRP = (*_ALWAYS, "conservation", "symmetry")
_DEEPLIFT = (*_ALWAYS, "completeness", "conservation", "sensitivity_a", "symmetry", "linearity")
_GRADIENT = (*_ALWAYS, "linearity", "implementation_invariance", "dummy", "symmetry", "input_shift")
_PATH = (*_ALWAYS, "linearity", "implementation_invariance", "dummy", "symmetry")

_GAMES = (
    _row("deep_shap", deep_shap, *_DEEPLIFT, source="lundberg2017", layer="signal",
         cost="2 · B forward, B backward (B references)"),
    _row("deep_shap.hypothetical", hypothetical, *_ALWAYS, "linearity", "symmetry", source="shrikumar2017", layer="",
         cost="2 · B forward, B backward"),
    _row("gradient_shap", gradient_shap, *_ALWAYS, "linearity", "implementation_invariance", "dummy", source="erion2021",
         cost="samples forward, samples backward"),
    _game("rise", rise, "linearity", "implementation_invariance", source="petsiuk2018", cost="samples forward"),
    _row("meaningful_perturbation", meaningful_perturbation, "determinism", source="fong2017", cost="steps forward, steps backward"),
    _row("ace", ace, *_ALWAYS, "linearity", "implementation_invariance", "dummy", "symmetry", source="chattopadhyay2019",
         cost="F · (steps + 1) points (F entries): 1 forward each; order=2 also min(B, F) forward and backward; order='mc' B forward"),
    _game("feature_ablation", feature_ablation, "linearity", "implementation_invariance", "dummy", "symmetry", "sensitivity_a",
          source="kokhlikyan2020", cost="M · B forward (M groups, B backgrounds)"),
    _row("feature_permutation", feature_permutation, "determinism", "linearity", "implementation_invariance", "dummy", "symmetry",
         "input_shift", source="breiman2001", free=True, cost="M · samples forward"),
    _row("linear_shap", linear_shap, *_ALWAYS, "linearity", "symmetry", "completeness", "sensitivity_a", source="lundberg2017"),
    _row("max_shap", max_shap, *_ALWAYS, "linearity", "symmetry", "completeness", "sensitivity_a", source="lundberg2017",
         cost="4 forward, 1 backward"),
    _game("shapley.exact", shapley.exact, "linearity", "implementation_invariance", "dummy", "symmetry", "completeness", "sensitivity_a",
          source="shapley1953", cost="2^M · B forward (M players, B backgrounds)"),
    _game("shapley.sampling", shapley.sampling, "linearity", "implementation_invariance", "dummy", "completeness", "sensitivity_a",
          source="castro2009", cost="samples · (M + 1) · B forward, twice that with antithetic"),
    _game("kernel_shap", kernel_shap, "linearity", "implementation_invariance", "completeness", "sensitivity_a",
          source="lundberg2017", cost="(samples + 2) · B forward (unless given, 2 M + 2050)"),
    _game("lime", lime, "linearity", "implementation_invariance", source="ribeiro2016", cost="samples · B forward"),
    _game("shapley.owen", owen, "linearity", "implementation_invariance", "dummy", "completeness", "sensitivity_a",
          source="winter1989", cost="up to M² · B forward for halves, 2^M · B for flat"),
    _game("shapley.interaction", shapley.interaction, "linearity", "implementation_invariance", "dummy",
          source="grabisch1999", cost="2^M · B forward"),
)

_MORE = (
    _row("lime.submodular_pick", submodular_pick, *_ALWAYS, "linearity", "implementation_invariance", source="ribeiro2016", free=True,
         cost="samples · B forward", settings={"top": 5, **_settings_of(lime)}),
    _row("tcav", tcav, *_ALWAYS, "linearity", source="kim2018", layer="own",
         cost="1 forward, 1 backward, and 1 forward for each example"),
    _row("vog", vog, *_ALWAYS, source="agarwal2022", layer="", cost="1 forward, 1 backward for each checkpoint"),
    _row("rate", rate, "determinism", source="crawford2019", layer="", cost="1 forward, and F inversions of F x F for the batch"),
    _row("independence", independence, "determinism", "implementation_invariance", "symmetry", "input_shift", source="reimers2020",
         layer="", free=True, cost="1 forward, and permutations + 1 statistics of the batch for each entry"),
    _row("attfind", attfind, "determinism", "implementation_invariance", source="lang2021", layer="", free=True,
         cost="2 · D forward (D coordinates)"),
    _row("len.relu", len_relu, "determinism", source="ciravegna2023", layer="", cost="2 forward, 1 backward"),
    _row("len.mu", len_mu, "determinism", source="ciravegna2023", layer="", cost="2 forward"),
    _row("len.psi", len_psi, *_ALWAYS, source="ciravegna2023", layer="", cost="2^n forward for the batch (n concepts)"),
    _row("dax", dax, *_ALWAYS, "symmetry", source="albini2020", layer="",
         cost="1 forward, 1 backward, and top of each for every stratum"),
    _row("segmentation", segmentation, *_ALWAYS, source="simonyan2013", layer="", cost="what of= costs, and a graph cut"),
    _row("global_contrast", global_contrast, *_ALWAYS, source="zhai2006", layer="", free=True, cost="1 forward"),
    _row("xgnn", xgnn, *_ALWAYS, source="yuan2020", layer="",
         cost="1 forward for every graph up to size nodes; greedy: for those of each step"),
)

_ROWS = (
    _row("gradient", gradient, *_GRADIENT, source="simonyan2013", layer="signal"),
    _row("saliency", saliency, *_ALWAYS, "implementation_invariance", "dummy", "symmetry", "input_shift", source="simonyan2013",
         layer="signal"),
    _row("gradient_x_input", gradient_x_input, *_ALWAYS, "linearity", "implementation_invariance", "dummy", "symmetry",
         source="shrikumar2017", layer="signal"),
    _rules_row("deconvnet", *_ALWAYS, "symmetry", "input_shift", source="zeiler2014"),
    _rules_row("guided_backprop", *_ALWAYS, "symmetry", "input_shift", source="springenberg2014"),
    _row("guided_saliency", guided_saliency, *_ALWAYS, "symmetry", "input_shift", source="springenberg2014", layer="signal"),
    _row("simple_taylor", simple_taylor, *_ALWAYS, "linearity", "implementation_invariance", "dummy", "symmetry", source="montavon2017"),
    _rules_row("lrp.zero", *_LRP, "linearity", source="bach2015"),
    *(_rules_row(id, *_LRP, source=source) for id, source in (
        ("lrp.epsilon", "bach2015"), ("lrp.gamma", "montavon2019"), ("lrp.alpha_beta", "bach2015"), ("lrp.z_plus", "montavon2017"),
        ("lrp.z_box", "montavon2017"), ("lrp.w_square", "montavon2017"), ("lrp.flat", "lapuschkin2017"))),
    *(_rules_row(id, *_LRP, source="kohlbrenner2020") for id in (
        "lrp.epsilon_plus", "lrp.epsilon_alpha2_beta1", "lrp.epsilon_plus_flat", "lrp.epsilon_alpha2_beta1_flat", "lrp.best_practice")),
    _rules_row("lrp.epsilon_gamma_box", *_LRP, source="montavon2019"),
    _rules_row("deep_taylor", *_LRP, source="montavon2017"),
    *(_rules_row(id, *_DEEPLIFT, source="shrikumar2017") for id in ("deeplift.rescale", "deeplift.reveal_cancel", "deeplift.genomics")),
    _row("clrp", clrp, *_ALWAYS, "symmetry", source="gu2018", layer="signal", cost="2 forward, 2 backward"),
    _row("sglrp", sglrp, *_ALWAYS, "symmetry", source="iwana2019", layer="signal", cost="2 forward, 2 backward"),
    _row("excitation_backprop", excitation_backprop, *_ALWAYS, "symmetry", source="zhang2016", layer="signal",
         cost="1 forward, 1 backward; contrastive: 2 of each"),
    _row("concept_relevance", concept_relevance, *_ALWAYS, source="achtibat2023", layer="own", cost="2 forward, 2 backward"),
    _row("lrp.restructured", restructured, *_ALWAYS, source="letzgus2022", layer="signal", cost="2 forward, 2 backward"),
    _row("bilrp", bilrp, *_ALWAYS, "symmetry", source="eberle2020", layer="", cost="2 forward, 2 backward for each output"),
    _row("patternnet", patternnet, *_ALWAYS, source="kindermans2018", layer="signal"),
    _row("pattern_attribution", pattern_attribution, *_ALWAYS, source="kindermans2018", layer="signal"),
    _row("attention_rollout", attention_rollout, *_ALWAYS, source="abnar2020", layer="", cost="1 forward"),
    _row("salient_relevance", salient_relevance, *_ALWAYS, source="li2019", layer="",
         cost="1 forward, 1 backward, all pairs of pixels"),
    _row("fullgrad", fullgrad, *_ALWAYS, source="srinivas2019"),
    _row("global_saliency", global_saliency, *_ALWAYS, "dummy", "symmetry", source="morch1995",
         cost="2 forward and backward for each feature"),
    _row("integrated_gradients", integrated_gradients, *_PATH, source="sundararajan2017",
         cost="steps forward, steps backward"),
    _row("integrated_gradients.exact", integrated_gradients_exact, *_PATH, "completeness", "sensitivity_a", source="sotoudeh2019",
         cost="one forward, one backward for each linear piece of the line"),
    _row("interior_gradients", interior_gradients, *_PATH, source="sundararajan2016", cost="steps forward, steps backward"),
    _row("expected_gradients", expected_gradients, *_PATH, source="erion2021", cost="B · steps forward and backward, or samples of each"),
    _row("blur_ig", blur_ig, *_PATH, source="xu2020", cost="steps forward, steps backward"),
    _row("guided_ig", guided_ig, *_ALWAYS, "dummy", source="kapishnikov2021", cost="steps forward, steps backward, one after the other"),
    _row("xrai", xrai, *_ALWAYS, source="kapishnikov2019", cost="2 · steps forward, 2 · steps backward"),
    _row("conductance", conductance, *_PATH, source="dhamdhere2019", layer="own", cost="3 · steps forward, steps backward"),
    _row("internal_influence", internal_influence, *_PATH, source="leino2018", layer="own",
         cost="steps forward and backward; gaussian: samples of each; point: 1 of each"),
    _row("smoothgrad", smoothgrad, *_ALWAYS, "linearity", "implementation_invariance", "dummy", source="smilkov2017",
         cost="samples forward, samples backward"),
    _row("smoothgrad_squared", smoothgrad_squared, *_ALWAYS, "implementation_invariance", "dummy", source="hooker2019",
         cost="samples forward, samples backward"),
    _row("vargrad", vargrad, *_ALWAYS, "implementation_invariance", "dummy", source="adebayo2018local",
         cost="samples forward, samples backward"),
    _game("occlusion", occlusion, "linearity", "implementation_invariance", source="zeiler2014", cost="one forward for each window"),
    _row("cam", cam, *_ALWAYS, "linearity", source="zhou2016", layer="own"),
    _row("grad_cam", grad_cam, *_ALWAYS, source="selvaraju2017", layer="own"),
    _row("guided_grad_cam", guided_grad_cam, *_ALWAYS, "input_shift", source="selvaraju2017", layer="own",
         cost="1 forward, 2 backward"),
    _row("grad_cam_plus_plus", grad_cam_plus_plus, *_ALWAYS, source="chattopadhay2018", layer="own"),
    _row("layer_cam", layer_cam, *_ALWAYS, source="jiang2021", layer="own"),
    _row("hires_cam", hires_cam, *_ALWAYS, "linearity", source="draelos2020", layer="own"),
    _row("xgrad_cam", xgrad_cam, *_ALWAYS, source="fu2020", layer="own"),
    _row("score_cam", score_cam, *_ALWAYS, cost="1 forward for each channel, and 2", source="wang2020", layer="own"),
    _row("faster_score_cam", faster_score_cam, *_ALWAYS, cost="top + 2 forward", source="kubota2020", layer="own"),
    _row("ablation_cam", ablation_cam, *_ALWAYS, cost="1 forward for each channel, and 1", source="desai2020", layer="own"),
    _row("eigen_cam", eigen_cam, *_ALWAYS, cost="1 forward", source="muhammad2020", layer="own"),
    _row("smoe", smoe, *_ALWAYS, cost="1 forward", source="mundhenk2019", layer="own"),
    _row("fastcam", fastcam, *_ALWAYS, source="mundhenk2019", layer="own"),
    *_GAMES,
    *_MORE,
)

METHODS: Mapping[str, Method] = MappingProxyType({row.id: row for row in _ROWS})
"""Method id -> its row: the function, what it promises, where it comes from, what it costs. ``xaicore methods`` prints it."""
