"""Writes metrics.md: every metric with its formula, a number worked out by hand, what it needs, its paper, and how other "
     "libraries' compare.

    python docs/metrics.py

The rows come from ``xc.METRICS`` and ``xaicore/oracle/worked/metrics.py``; a test says whether the page is that of the code.
"""

from __future__ import annotations

from pathlib import Path

from xaicore.metrics import METRICS
from xaicore.metrics.sources import PAPERS
from xaicore.oracle.worked.metrics import METRIC_WORKED

HEAD = """# Metrics

{count} metrics of attributions (`xc.METRICS`; `xaicore metrics ID` shows settings and edge cases). Each is held by the worked
number below, by a second implementation as loops (`xaicore/oracle/twins/metrics*.py`), by properties
(`tests/metrics/test_properties.py`) and, where they have it, by captum and Quantus (at the end). What they say when they are all
asked, and what they do not say: [leaderboard.md](leaderboard.md), [roar.md](roar.md).

```python
import xaicore as xc

e = xc.evaluate(graph, x, ["gradient", "lrp.epsilon", "control.random", "control.sobel"], ["deletion", "sensitivity.max", "mprt"], target=3)
print(e)                      # a table; e.to_json(); e.ranking("deletion"); e.agreement(); xaicore.show.evaluation.chart(e)
e["gradient", "deletion"].extras["curve"]                           # what a number came from
```

Each row says where its formula stands. {seen} of the {count} were compared with the code of their papers' authors, which is named with
what it does otherwise; the others are reconstructions from later descriptions (`xaicore/rules/formulas.py`, for objectives and tools of
representations, too).
"""
FAMILIES = ("faithfulness", "robustness", "localisation", "complexity", "randomisation", "axiomatic", "fixation", "retraining")
PEERS = (
    ("captum 0.9.0", "infidelity (plain and normalised)", "same", "with equal perturbations to 1e-9"),
    ("captum 0.9.0", "sensitivity_max", "same",
     "with equal perturbations to 1e-9; an explanation function must return a tuple, as a tensor is taken apart by samples"),
    ("Quantus 0.6.0",
     "Complexity, EffectiveComplexity, AUC, RelevanceRankAccuracy, RelevanceMassAccuracy, TopKIntersection, PointingGame (one largest "
     "entry)",
     "same", "to rounding"),
    ("Quantus 0.6.0", "Sparseness, AttributionLocalisation (not weighted)", "same",
     "but for its 1e-7 in every entry, and 1e-9 in the denominator"),
    ("Quantus 0.6.0", "FaithfulnessEstimate, PixelFlipping, Selectivity, RegionPerturbation, ROAD", "same",
     "to 1e-6 (it perturbs in float32), baseline 0; its curves begin after the first step"),
    ("Quantus 0.6.0", "MonotonicityCorrelation", "same", "to rounding, with one given reference"),
    ("Quantus 0.6.0", "MaxSensitivity, AvgSensitivity, LocalLipschitzEstimate, RelativeInputStability, RelativeOutputStability, "
     "RelativeRepresentationStability (one layer)", "same", "to 2e-5 with equal draws (x + noise is float32 there)"),
    ("Quantus 0.6.0", "FaithfulnessCorrelation", "same", "within the spread of the draws"),
    ("Quantus 0.6.0", "the same stabilities by default", "convention",
     "noise from [.02, .2], on one side; all layers side by side; NaN as soon as one draw changes the class"),
    ("Quantus 0.6.0", "SensitivityN", "convention",
     "one growing set of features, correlated over the batch, instead of random subsets of n"),
    ("Quantus 0.6.0", "MPRT, SmoothMPRT, EfficientMPRT", "convention",
     "layers are reinitialised as the framework does it: the same numbers on the same random networks; the last draw of SmoothMPRT has no "
     "noise"),
    ("Quantus 0.6.0", "RandomLogit", "convention",
     "another class for each sample, SSIM of the flattened maps: windows run from one row of the picture into the next"),
    ("Quantus 0.6.0", "Infidelity", "convention", "blocks are removed one after the other and stay removed; repeats of it are identical"),
    ("Quantus 0.6.0", "Sufficiency", "convention", "distances are divided by the largest of the batch; 0 without neighbours"),
    ("Quantus 0.6.0", "IROF", "convention", "steps instead of the unit interval, from the first removal on"),
    ("Quantus 0.6.0", "Continuity", "convention", "movements to both sides, filled with the sample's minimum"),
    ("Quantus 0.6.0", "Completeness", "convention",
     "asks for equality of floats, after dividing each map by its maximum unless told not to"),
    ("Quantus 0.6.0", "Focus", "not here",
     "the share of relevance in the quarters of a mosaic that show the class: `relevance_mass` with them as the truth"),
    ("Quantus 0.6.0", "Monotonicity", "defect", "puts the baseline back instead of the feature: always true"),
    ("Quantus 0.6.0", "InputInvariance", "defect",
     "all pixels but one are shifted, while the bias undoes a shift of all: the gradient is found not to be invariant"),
    ("Quantus 0.6.0", "AttributionLocalisation(weighted=True)", "defect",
     "multiplies by the area's share instead of dividing, of a size taken from x_batch[2:]: infinite for batches of 1 and 2, else "
     "dependent on the batch"),
    ("Quantus 0.6.0", "PointingGame", "defect", "an empty mask is a hit (documented: NaN); weighted=True raises TypeError on any hit"),
    ("Quantus 0.6.0", "Consistency, discretise_func top_n_sign", "defect", "the signs of the first n entries, whatever their size"),
    ("Quantus 0.6.0", "NonSensitivity", "defect",
     "the default baseline is the sample's minimum, so its smallest entry always counts as one without influence"),
    ("Quantus 0.6.0", "Continuity", "defect",
     "pictures of 13 columns and fewer: the default of 28 steps moves by 0 columns, 28 times the same black picture; nr_steps of all "
     "positions raises IndexError; return_nan_when_prediction_changes=True uses numpy.NaN, which NumPy 2 no longer has"),
    ("Quantus 0.6.0", "EfficientMPRT(softmax=False)", "defect",
     "takes the entropy of the outputs, too: AssertionError as soon as a logit is negative"),
    ("Quantus 0.6.0", "MonotonicityCorrelation", "defect", "AttributeError where f is constant, instead of NaN"),
    ("Quantus 0.6.0", "PixelFlipping(return_auc_per_sample=True), IROF", "defect", "call numpy.trapz, which NumPy 2.4 no longer has"),
)


def page() -> str:
    """The text."""
    parts = [HEAD.format(count=len(METRICS), seen=sum(row.formula.checked for row in METRICS.values()))]
    better = {"larger": "larger is better", "smaller": "smaller is better", "neither": "describes, does not judge"}
    for family in FAMILIES:
        parts.append(f"## {family.capitalize()}\n")
        for row in (r for r in METRICS.values() if r.family == family):
            one = METRIC_WORKED[row.id]
            values = ", ".join(f"{v:.6g}" for v in one.expected)
            source = f"{PAPERS[row.source].title} ({PAPERS[row.source].year}), {row.formula}"
            parts.append(f"**`{row.id}`** {row.summary}\n\n*{better[row.better]}; needs {', '.join(row.needs)}; {source}*\n\n"
                         f"By hand: {one.by_hand}. **{values}**\n")
    parts.append("## Beside captum and Quantus\n\nRun by `tests/metrics/test_peers.py` where they are installed; *same* is asserted, a "
                 "*convention* is written out in a few lines that give their number, and so is every *defect*, so that a release that "
                 "repairs one turns a test red.\n")
    parts.append("| library | its metric | verdict | how |\n|---|---|---|---|")
    parts.append("\n".join(f"| {library} | {metric} | {verdict} | {how} |" for library, metric, verdict, how in PEERS))
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(page(), encoding="utf-8")
