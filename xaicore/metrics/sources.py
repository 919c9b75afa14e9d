"""Where the metrics come from. None of these texts could be opened here: formulas are from knowledge of the papers and of public code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from xaicore.rules.sources import SOURCES, Source

PAPERS: Mapping[str, Source] = MappingProxyType({
    "adebayo2018": SOURCES["adebayo2018"], "bach2015": SOURCES["bach2015"], "hooker2019": SOURCES["hooker2019"],
    "kapishnikov2019": SOURCES["kapishnikov2019"], "kindermans2019": SOURCES["kindermans2019"],
    "kohlbrenner2020": SOURCES["kohlbrenner2020"], "petsiuk2018": SOURCES["petsiuk2018"],
    "sundararajan2017": SOURCES["sundararajan2017"], "zhang2016": SOURCES["zhang2016"],
    "agarwal2022rethinking": Source(
        "C. Agarwal, N. Johnson, M. Pawelczyk, S. Krishna, E. Saxena, M. Zitnik, H. Lakkaraju",
        "Rethinking stability for attribution-based explanations", 2022, "arXiv 2203.06877", False),
    "alvarezmelis2018": Source(
        "D. Alvarez-Melis, T. S. Jaakkola", "Towards robust interpretability with self-explaining neural networks", 2018,
        "NeurIPS, arXiv 1806.07538", False),
    "alvarezmelis2018robust": Source(
        "D. Alvarez-Melis, T. S. Jaakkola", "On the robustness of interpretability methods", 2018, "arXiv 1806.08049", False),
    "ancona2018": Source(
        "M. Ancona, E. Ceolini, C. Öztireli, M. Gross", "Towards better understanding of gradient-based attribution methods", 2018,
        "ICLR, arXiv 1711.06104", False),
    "arras2022": Source(
        "L. Arras, A. Osman, W. Samek", "CLEVR-XAI: a benchmark dataset for the ground truth evaluation of neural network explanations",
        2022, "Information Fusion 81, arXiv 2003.07258", False),
    "arya2019": Source(
        "V. Arya and others", "One explanation does not fit all: a toolkit and taxonomy of AI explainability techniques", 2019,
        "arXiv 1909.03012", False),
    "bhatt2020": Source(
        "U. Bhatt, A. Weller, J. M. F. Moura", "Evaluating and aggregating feature-based model explanations", 2020,
        "IJCAI, arXiv 2005.00631", False),
    "borji2013": Source(
        "A. Borji, H. R. Tavakoli, D. N. Sihite, L. Itti", "Analysis of scores, datasets, and models in visual saliency prediction", 2013,
        "ICCV", False),
    "bylinskii2019": Source(
        "Z. Bylinskii, T. Judd, A. Oliva, A. Torralba, F. Durand", "What do different evaluation metrics tell us about saliency models?",
        2019, "IEEE TPAMI 41, arXiv 1604.03605", False),
    "chalasani2020": Source(
        "P. Chalasani, J. Chen, A. R. Chowdhury, X. Wu, S. Jha", "Concise explanations of neural networks using adversarial training",
        2020, "ICML, arXiv 1810.06583", False),
    "dasgupta2022": Source(
        "S. Dasgupta, N. Frost, M. Moshkovitz", "Framework for evaluating faithfulness of local explanations", 2022,
        "ICML, arXiv 2202.00734", False),
    "fawcett2006": Source("T. Fawcett", "An introduction to ROC analysis", 2006, "Pattern Recognition Letters 27", False),
    "hedstrom2024": Source(
        "A. Hedström, L. Weber, S. Lapuschkin, M. M.-C. Höhne", "Sanity checks revisited: an exploration to repair the model parameter "
        "randomisation test", 2024, "arXiv 2401.06465", False),
    "judd2009": Source(
        "T. Judd, K. Ehinger, F. Durand, A. Torralba", "Learning to predict where humans look", 2009, "ICCV", False),
    "kummerer2015": Source(
        "M. Kümmerer, T. S. A. Wallis, M. Bethge", "Information-theoretic model comparison unifies saliency metrics", 2015,
        "PNAS 112", False),
    "luss2019": Source(
        "R. Luss and others", "Generating contrastive explanations with monotonic attribute functions", 2019, "arXiv 1905.12698", False),
    "montavon2018": Source(
        "G. Montavon, W. Samek, K.-R. Müller", "Methods for interpreting and understanding deep neural networks", 2018,
        "Digital Signal Processing 73, arXiv 1706.07979", False),
    "nguyen2020": Source(
        "A. Nguyen, M. R. Martínez", "On quantitative aspects of model interpretability", 2020, "arXiv 2007.07584", False),
    "nie2018": Source(
        "W. Nie, Y. Zhang, A. Patel", "A theoretical explanation for perplexing behaviors of backpropagation-based visualizations", 2018,
        "ICML, arXiv 1805.07039", False),
    "peters2005": Source(
        "R. J. Peters, A. Iyer, L. Itti, C. Koch", "Components of bottom-up gaze allocation in natural images", 2005,
        "Vision Research 45", False),
    "rieger2020": Source(
        "L. Rieger, L. K. Hansen", "IROF: a low resource evaluation metric for explanation methods", 2020, "arXiv 2003.08747", False),
    "rong2022": Source(
        "Y. Rong, T. Leemann, V. Borisov, G. Kasneci, E. Kasneci", "A consistent and efficient evaluation strategy for attribution methods",
        2022, "ICML, arXiv 2202.00449", False),
    "rubner2000": Source(
        "Y. Rubner, C. Tomasi, L. J. Guibas", "The earth mover's distance as a metric for image retrieval", 2000, "IJCV 40", False),
    "samek2017": Source(
        "W. Samek, A. Binder, G. Montavon, S. Lapuschkin, K.-R. Müller", "Evaluating the visualization of what a deep neural network has "
        "learned", 2017, "IEEE TNNLS 28, arXiv 1509.06321", False),
    "sixt2020": Source(
        "L. Sixt, M. Granz, T. Landgraf", "When explanations lie: why many modified BP attributions fail", 2020,
        "ICML, arXiv 1912.09818", False),
    "theiner2022": Source(
        "J. Theiner, E. Müller-Budack, R. Ewerth", "Interpretable semantic photo geolocation", 2022, "WACV, arXiv 2104.14995", False),
    "wang2004": Source(
        "Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli", "Image quality assessment: from error visibility to structural similarity",
        2004, "IEEE TIP 13", False),
    "yeh2019": Source(
        "C.-K. Yeh, C.-Y. Hsieh, A. S. Suggala, D. I. Inouye, P. Ravikumar", "On the (in)fidelity and sensitivity of explanations", 2019,
        "NeurIPS, arXiv 1901.09392", False),
    "zhang2008": Source(
        "L. Zhang, M. H. Tong, T. K. Marks, H. Shan, G. W. Cottrell", "SUN: a Bayesian framework for saliency using natural statistics",
        2008, "Journal of Vision 8", False),
})

__all__ = ["PAPERS"]
