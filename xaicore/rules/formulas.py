"""Where the formula of each metric, objective and representation tool stands, and what it was compared with.

Finer than ``sources.py``: one paper has several formulas, and not each was seen. ``against`` names the authors' repository and file that
the formula was read in, side by side with ours; where it is empty the formula is a reconstruction, from later descriptions and
implementations. Nobody's lines are here, only where they are and in what they differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Formula:
    """``where`` in the row's source: the equation, section or name;  ``against``: what it was compared with;  ``differs``: in what."""

    where: str
    against: str = ""
    differs: str = ""

    @property
    def checked(self) -> bool:
        """Was it compared with the paper's own text or its authors' code?"""
        return bool(self.against)

    def __str__(self) -> str:
        if not self.against:
            return f"{self.where} (reconstruction)"
        return f"{self.where}; compared with {self.against}" + (f", which differs: {self.differs}" if self.differs else "")


_MIT = "cvzoya/saliency, code_forMetrics/"
_SCALED = "it scales maps to [0, 1] before it makes densities of them"
_ROAR = Formula("section 3", "google-research/google-research, interpretability_benchmark/data_input.py",
                "it ranks each channel of a pixel by itself")
_PIC = Formula("section 4", "PAIR-code/saliency, saliency/metrics/pic.py", "it measures a picture by the bytes of WebP")
_RISE = Formula("section 4.1", "eclique/RISE, evaluation.py")
_OPENXAI = "AI4LIFE-GROUP/OpenXAI, openxai/evaluator.py"
_CLIPPED = "it raises entries of a denominator below .001, negative ones among them, to .001"
_MASS = Formula("eq. 2", "ahmedmagdiosman/clevr-xai, eval/util.py")

METRIC_FORMULAS: Mapping[str, Formula] = MappingProxyType({
    "faithfulness.correlation": Formula("eq. 1"),
    "faithfulness.estimate": Formula("section on faithfulness", "dmelis/robust_interpret, explainers.py",
                                     "p of the predicted class, and medians of the training set for what is taken away"),
    "monotonicity": Formula("\"Monotonicity\" of AI Explainability 360", "Trusted-AI/AIX360, aix360/metrics/local_metrics.py"),
    "monotonicity.correlation": Formula("the paper's monotonicity"),
    "pixel_flipping": Formula("section on pixel flipping"),
    "region_perturbation": Formula("eq. 12"),
    "selectivity": Formula("section 7.2"),
    "sensitivity_n": Formula("definition of sensitivity-n, section 4", "marcoancona/DeepExplain, deepexplain/tensorflow/sensitivityn.py",
                             "50 sizes up to all features, one correlation over subsets and samples together"),
    "irof": Formula("section 3"),
    "infidelity": Formula("definition 2.1", "chihkuanyeh/saliency_evaluation, infid_sen_utils.py",
                          "the map is scaled for the least error first (normalize=True here)"),
    "road": Formula("section 4, noisy linear imputation", "tleemann/road_evaluation, road/imputations.py"),
    "sufficiency": Formula("the paper's sufficiency"),
    "consistency": Formula("eq. 1"),
    "insertion": _RISE,
    "deletion": _RISE,
    "pic.sic": _PIC,
    "pic.aic": _PIC,
    "local_lipschitz": Formula("eq. 3", "dmelis/robust_interpret, explainers.py", "the box is searched by Bayesian optimisation"),
    "sensitivity.max": Formula("definition 3.1, SENS_MAX", "chihkuanyeh/saliency_evaluation, infid_sen_utils.py",
                               "the largest so far is divided by the norm again at each draw"),
    "sensitivity.avg": Formula("eq. 3"),
    "continuity": Formula("section 7.1"),
    "stability.input": Formula("eq. 2", _OPENXAI, _CLIPPED),
    "stability.output": Formula("eq. 5"),
    "stability.representation": Formula("eq. 3", _OPENXAI, _CLIPPED),
    "pointing_game": Formula("section 4.1", "jimmie33/Caffe-ExcitationBP, excitationBP/eval_coco.py",
                             "its 15 pixels are a circle, not a square"),
    "attribution_localisation": Formula("inside-total relevance ratio"),
    "mu_weighted": Formula("weighted inside-total relevance ratio"),
    "top_k_intersection": Formula("concept influence"),
    "relevance_mass": _MASS,
    "relevance_rank": Formula("eq. 3"),
    "localisation_auc": Formula("the area under an ROC curve as a probability"),
    "sparseness": Formula("the Gini index"),
    "entropy": Formula("complexity"),
    "effective_complexity": Formula("eq. 6"),
    "file_size": Formula("section on complexity"),
    "mprt": Formula("cascading and independent randomisation", "adebayoj/sanity_checks_saliency, notebooks on cascading randomisation",
                    "layers are initialised anew as the network was"),
    "mprt.smooth": Formula("smooth MPRT", "Quantus 0.6.0, by the paper's first author, smooth_mprt.py",
                           "the last of its draws has no noise; layers in the order of the network's top"),
    "mprt.efficient": Formula("efficient MPRT", "Quantus 0.6.0, by the paper's first author, efficient_mprt.py",
                              "maps are divided by their maximum first, and bins are counted by a rule"),
    "random_logit": Formula("the test with a random logit", "berleon/when-explanations-lie, when_explanations_lie.py",
                            "maps are clipped at percentiles and scaled, and the larger SSIM of both signs counts"),
    "csc": Formula("section 4", "berleon/when-explanations-lie, when_explanations_lie.py",
                   "cosines over the channels at each position, with their sign, from random relevance at the output"),
    "completeness": Formula("proposition 1"),
    "non_sensitivity": Formula("the paper's non-sensitivity"),
    "input_invariance": Formula("section 2"),
    "fixation.auc_judd": Formula("the AUC of the MIT benchmark", _MIT + "AUC_Judd.m", "noise of 1e-7 against ties is its default"),
    "fixation.auc_borji": Formula("the AUC of the MIT benchmark", _MIT + "AUC_Borji.m"),
    "fixation.auc_shuffled": Formula("the AUC of the MIT benchmark", _MIT + "AUC_shuffled.m"),
    "fixation.nss": Formula("the NSS of the MIT benchmark", _MIT + "NSS.m", "the deviation of a sample, over M - 1"),
    "fixation.cc": Formula("the CC of the MIT benchmark", _MIT + "CC.m"),
    "fixation.sim": Formula("the SIM of the MIT benchmark", _MIT + "similarity.m", _SCALED),
    "fixation.kl": Formula("the KL of the MIT benchmark", _MIT + "KLdiv.m"),
    "fixation.emd": Formula("the EMD of the MIT benchmark", _MIT + "EMD.m", "one map's histogram is matched to the other's first"),
    "fixation.information_gain": Formula("the information gain of the MIT benchmark", _MIT + "InfoGain.m", _SCALED),
    "roar": _ROAR,
    "kar": _ROAR,
})

_LUCID = "tensorflow/lucid, lucid/optvis/objectives.py"
_GOGGLE = "aravindhm/deep-goggle, core/invert_nn.m"

OBJECTIVE_FORMULAS: Mapping[str, Formula] = MappingProxyType({
    "neuron": Formula("the middle neuron of a channel", _LUCID),
    "channel": Formula("the mean of a channel", _LUCID),
    "layer": Formula("the DeepDream objective", _LUCID),
    "energy": Formula("the gradient that is the activation", "google/deepdream, dream.ipynb"),
    "class_logit": Formula("section 2, S_c", _LUCID),
    "class_probability": Formula("the objective on a softmax layer", _LUCID),
    "direction": Formula("the dot product times a power of the cosine", _LUCID, "1e-4 is added to both lengths"),
    "difference": Formula("the difference of two objectives", _LUCID),
    "interpolation": Formula("from one channel to the other across a batch", _LUCID),
    "diversity": Formula("the mean cosine of Gram matrices", _LUCID, "the other sign"),
    "style": Formula("the distance of Gram matrices", "leongatys/PytorchNeuralStyleTransfer, NeuralStyleTransfer.ipynb",
                     "Gram matrices over positions alone, and the mean of their squared differences"),
    "match": Formula("eq. 1 and 4", _GOGGLE),
    "guide": Formula("the best match of a guide's features", "copies of google/deepdream, dream.ipynb"),
    "l2": Formula("section 2, λ |I|²"),
    "norm": Formula("the bounded-range regulariser, Σ |x|^α", _GOGGLE),
    "total_variation": Formula("eq. 5", _GOGGLE),
})

_SVCCA = "google/svcca, "
_BLOCKS = Formula("the notebooks on attribution", "the notebooks of the article, through tensorflow/lucid")
_RL = "openai/understanding-rl-vision"

TOOL_FORMULAS: Mapping[str, Formula] = MappingProxyType({
    "activations": Formula("no equation: the value of a layer"),
    "feature_maps": Formula("no equation: a channel as a picture"),
    "top_patches": Formula("figure 2: the nine strongest activations with their patches"),
    "receptive_field": Formula("no equation: what a value can depend on"),
    "neighbours": Formula("section 6.1: the nearest in the last hidden layer"),
    "cca": Formula("theorem 1: singular values of QᵀQ'", _SVCCA + "cca_core.py", "it takes roots of covariances instead of QR"),
    "svcca": Formula("section 2", _SVCCA + "cca_core.py and its tutorials", "a share of Σ s, not of the variance Σ s²"),
    "svcca_fourier": Formula("appendix on convolutions", _SVCCA + "dft_ccas.py"),
    "pwcca": Formula("eq. 1 and 2", _SVCCA + "pwcca.py", "the directions lack the whitening"),
    "cka": Formula("eq. 3 and 4", "google-research/google-research, representation_similarity/Demo.ipynb",
                   "its median of distances counts those of points to themselves (median=\"all\" here)"),
    "tsne": Formula("eq. 1 to 5", "lvdmaaten/bhtsne, tsne.cpp", "a rate of 200 for a gradient without its factor 4"),
    "meta_sne": Formula("the distance of distance matrices"),
    "nmf": Formula("the multiplicative updates of lee2001, theorem 1"),
    "neuron_groups": Formula("the notebook on neuron groups", "the notebooks of the article, through tensorflow/lucid"),
    "semantic_dictionary": Formula("the notebook on semantic dictionaries", "the notebooks of the article, through tensorflow/lucid"),
    "activation_grid": Formula("the notebook on activation grids", "the notebooks of the article, through tensorflow/lucid"),
    "atlas": Formula("the section on making an atlas"),
    "blocks": _BLOCKS,
    "between": _BLOCKS,
    "reduced_attributions": Formula("attribution of the value function by NMF channels", _RL),
    "timeline": Formula("attribution over a trajectory", _RL),
    "advantages": Formula("the generalised advantage, Σ (γ λ)^l δ", "openai/baselines, baselines/ppo2/runner.py",
                          "episodes may end on the way"),
    "responses": Formula("no equation at hand"),
    "clusters": Formula("no equation at hand"),
    "importance_over_time": Formula("no equation at hand"),
})

__all__ = ["METRIC_FORMULAS", "OBJECTIVE_FORMULAS", "TOOL_FORMULAS", "Formula"]
