"""Citation keys: every rule and rule set names one, and a test fails on an unknown key.

``checked`` says what was compared with the paper's own text or with its authors' code; where it is False, equation
numbers and formulas come from later descriptions and implementations ("reconstruction").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Source:
    """One publication."""

    authors: str
    title: str
    year: int
    where: str
    checked: bool

    def __str__(self) -> str:
        note = "" if self.checked else "  (reconstruction: the paper's own text was not at hand)"
        return f"{self.authors}: {self.title}. {self.where}, {self.year}.{note}"


SOURCES: Mapping[str, Source] = MappingProxyType({
    "bach2015": Source(
        "S. Bach, A. Binder, G. Montavon, F. Klauschen, K.-R. Müller, W. Samek",
        "On pixel-wise explanations for non-linear classifier decisions by layer-wise relevance propagation", 2015,
        "PLoS ONE 10(7) e0130140; equations 56, 58, 60 as cited in the authors' toolbox", True),
    "montavon2017": Source(
        "G. Montavon, S. Lapuschkin, A. Binder, W. Samek, K.-R. Müller",
        "Explaining nonlinear classification decisions with deep Taylor decomposition", 2017,
        "Pattern Recognition 65, arXiv 1512.02479; equation 12 as cited in the authors' toolbox", True),
    "montavon2019": Source(
        "G. Montavon, A. Binder, S. Lapuschkin, W. Samek, K.-R. Müller",
        "Layer-wise relevance propagation: an overview", 2019, "LNCS 11700, chapter 10", False),
    "andeol2021": Source(
        "L. Andéol, Y. Kawakami, Y. Wada, T. Kanamori, K.-R. Müller, G. Montavon",
        "Learning domain invariant representations by joint Wasserstein distance minimization", 2021,
        "arXiv 2106.04923; the gamma rule for signed inputs, as implemented in zennit", False),
    "lapuschkin2017": Source(
        "S. Lapuschkin, A. Binder, K.-R. Müller, W. Samek",
        "Understanding and comparing deep neural networks for age and gender classification", 2017, "ICCV Workshops", False),
    "kohlbrenner2020": Source(
        "M. Kohlbrenner, A. Bauer, S. Nakajima, A. Binder, W. Samek, S. Lapuschkin",
        "Towards best practice in explaining neural network decisions with LRP", 2020, "IJCNN, arXiv 1910.09840", False),
    "achtibat2024": Source(
        "R. Achtibat, S. M. V. Hatefi, M. Dreyer, A. Jain, T. Wiegand, S. Lapuschkin, W. Samek",
        "AttnLRP: attention-aware layer-wise relevance propagation for transformers", 2024,
        "ICML, arXiv 2402.05602; formulas as in the authors' library", True),
    "arras2017": Source(
        "L. Arras, G. Montavon, K.-R. Müller, W. Samek", "Explaining recurrent neural network predictions in sentiment analysis", 2017,
        "WASSA workshop at EMNLP, arXiv 1706.07206; the rule for products of a gate and a signal", False),
    "arras2019": Source(
        "L. Arras, J. Arjona-Medina, M. Widrich, G. Montavon, M. Gillhofer, K.-R. Müller, S. Hochreiter, W. Samek",
        "Explaining and interpreting LSTMs", 2019, "LNCS 11700, chapter 11, arXiv 1909.12114; LRP-all, -prop, -abs and -half", False),
    "abnar2020": Source("S. Abnar, W. Zuidema", "Quantifying attention flow in transformers", 2020, "ACL, arXiv 2005.00928", False),
    "achtibat2023": Source(
        "R. Achtibat, M. Dreyer, I. Eisenbraun, S. Bosse, T. Wiegand, W. Samek, S. Lapuschkin",
        "From attribution maps to human-understandable explanations through concept relevance propagation", 2023,
        "Nature Machine Intelligence 5, arXiv 2206.03208", False),
    "boykov2001": Source(
        "Y. Boykov, M.-P. Jolly", "Interactive graph cuts for optimal boundary and region segmentation of objects in N-D images", 2001,
        "ICCV", False),
    "zhai2006": Source(
        "Y. Zhai, M. Shah", "Visual attention detection in video sequences using spatiotemporal cues", 2006, "ACM Multimedia", False),
    "eberle2020": Source(
        "O. Eberle, J. Büttner, F. Kräutli, K.-R. Müller, M. Valleriani, G. Montavon",
        "Building and interpreting deep similarity models", 2020, "IEEE TPAMI, arXiv 2003.05431", False),
    "kindermans2018": Source(
        "P.-J. Kindermans, K. T. Schütt, M. Alber, K.-R. Müller, D. Erhan, B. Kim, S. Dähne",
        "Learning how to explain neural networks: PatternNet and PatternAttribution", 2018,
        "ICLR, arXiv 1705.05598; estimators as in innvestigate 1.0", False),
    "letzgus2022": Source(
        "S. Letzgus, P. Wagner, J. Lederer, W. Samek, K.-R. Müller, G. Montavon",
        "Toward explainable artificial intelligence for regression models", 2022,
        "IEEE Signal Processing Magazine, arXiv 2112.11407", False),
    "morch1995": Source(
        "N. J. S. Mørch, U. Kjems, L. K. Hansen, C. Svarer, I. Law, B. Lautrup, S. Strother, K. Rehm",
        "Visualization of neural networks using saliency maps", 1995, "IEEE ICNN, doi 10.1109/ICNN.1995.488997", False),
    "srinivas2019": Source(
        "S. Srinivas, F. Fleuret", "Full-gradient representation for neural network visualization", 2019,
        "NeurIPS, arXiv 1905.00780; the terms as in the authors' code", True),
    "li2019": Source(
        "H. Li, Y. Tian, K. Mueller, X. Chen", "Beyond saliency: understanding convolutional neural networks from saliency prediction on "
        "layer-wise relevance propagation", 2019, "Image and Vision Computing, arXiv 1712.08268", False),
    "goferman2012": Source(
        "S. Goferman, L. Zelnik-Manor, A. Tal", "Context-aware saliency detection", 2012, "IEEE TPAMI 34", False),
    "gu2018": Source(
        "J. Gu, Y. Yang, V. Tresp", "Understanding individual decisions of CNNs via contrastive backpropagation", 2018,
        "ACCV, arXiv 1812.02100; as in the authors' script", False),
    "iwana2019": Source(
        "B. K. Iwana, R. Kuroki, S. Uchida",
        "Explaining convolutional neural networks using softmax gradient layer-wise relevance propagation", 2019,
        "ICCV Workshops, arXiv 1908.04351; formula as in the authors' description", False),
    "zhang2016": Source(
        "J. Zhang, Z. Lin, J. Brandt, X. Shen, S. Sclaroff", "Top-down neural attention by excitation backprop", 2016,
        "ECCV, arXiv 1608.00507", False),
    "ali2022": Source(
        "A. Ali, T. Schnake, O. Eberle, G. Montavon, K.-R. Müller, L. Wolf",
        "XAI for transformers: better explanations through conservative propagation", 2022, "ICML, arXiv 2202.07304", False),
    "shrikumar2017": Source(
        "A. Shrikumar, P. Greenside, A. Kundaje", "Learning important features through propagating activation differences", 2017,
        "ICML, arXiv 1704.02685; rules as in the authors' library", True),
    "simonyan2013": Source(
        "K. Simonyan, A. Vedaldi, A. Zisserman",
        "Deep inside convolutional networks: visualising image classification models and saliency maps", 2013,
        "arXiv 1312.6034", False),
    "zeiler2014": Source(
        "M. D. Zeiler, R. Fergus", "Visualizing and understanding convolutional networks", 2014, "ECCV, arXiv 1311.2901", False),
    "springenberg2014": Source(
        "J. T. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller", "Striving for simplicity: the all convolutional net", 2014,
        "arXiv 1412.6806", False),
    "sundararajan2017": Source(
        "M. Sundararajan, A. Taly, Q. Yan", "Axiomatic attribution for deep networks", 2017,
        "ICML, arXiv 1703.01365; the integral as in the authors' code", True),
    "sotoudeh2019": Source(
        "M. Sotoudeh, A. V. Thakur", "Computing linear restrictions of neural networks", 2019, "NeurIPS, arXiv 1908.06214", False),
    "sundararajan2016": Source(
        "M. Sundararajan, A. Taly, Q. Yan", "Gradients of counterfactuals", 2016, "arXiv 1611.02639", False),
    "dhamdhere2019": Source(
        "K. Dhamdhere, M. Sundararajan, Q. Yan", "How important is a neuron?", 2019, "ICLR, arXiv 1805.12233", False),
    "leino2018": Source(
        "K. Leino, S. Sen, A. Datta, M. Fredrikson, L. Li", "Influence-directed explanations for deep convolutional networks", 2018,
        "ITC, arXiv 1802.03788", False),
    "xu2020": Source(
        "S. Xu, S. Venugopalan, M. Sundararajan", "Attribution in scale and space", 2020,
        "CVPR, arXiv 2004.03383; the path as in the authors' library", True),
    "kapishnikov2019": Source(
        "A. Kapishnikov, T. Bolukbasi, F. Viégas, M. Terry", "XRAI: better attributions through regions", 2019,
        "ICCV, arXiv 1906.02825; the algorithm as in the authors' library", True),
    "felzenszwalb2004": Source(
        "P. F. Felzenszwalb, D. P. Huttenlocher", "Efficient graph-based image segmentation", 2004,
        "International Journal of Computer Vision 59", False),
    "kapishnikov2021": Source(
        "A. Kapishnikov, S. Venugopalan, B. Avci, B. Wedin, M. Terry, T. Bolukbasi",
        "Guided integrated gradients: an adaptive path method for removing noise", 2021,
        "CVPR, arXiv 2106.09788; the algorithm as in the authors' library", True),
    "smilkov2017": Source(
        "D. Smilkov, N. Thorat, B. Kim, F. Viégas, M. Wattenberg", "SmoothGrad: removing noise by adding noise", 2017,
        "arXiv 1706.03825; as in the authors' library", True),
    "adebayo2018": Source(
        "J. Adebayo, J. Gilmer, M. Muelly, I. Goodfellow, M. Hardt, B. Kim", "Sanity checks for saliency maps", 2018,
        "NeurIPS, arXiv 1810.03292", False),
    "adebayo2018local": Source(
        "J. Adebayo, J. Gilmer, I. Goodfellow, B. Kim",
        "Local explanation methods for deep neural networks lack sensitivity to parameter values", 2018,
        "ICLR Workshop, arXiv 1810.03307", False),
    "selvaraju2017": Source(
        "R. R. Selvaraju, M. Cogswell, A. Das, R. Vedantam, D. Parikh, D. Batra",
        "Grad-CAM: visual explanations from deep networks via gradient-based localization", 2017,
        "ICCV, arXiv 1610.02391; as in the authors' code, which sums where the paper takes the mean", True),
    "zhou2016": Source(
        "B. Zhou, A. Khosla, A. Lapedriza, A. Oliva, A. Torralba", "Learning deep features for discriminative localization", 2016,
        "CVPR, arXiv 1512.04150; as in the authors' code", True),
    "chattopadhay2018": Source(
        "A. Chattopadhay, A. Sarkar, P. Howlader, V. N. Balasubramanian",
        "Grad-CAM++: generalized gradient-based visual explanations for deep convolutional networks", 2018,
        "WACV, arXiv 1710.11063; as in the authors' code, which also divides α by its sum over the positions", True),
    "wang2020": Source(
        "H. Wang, Z. Wang, M. Du, F. Yang, Z. Zhang, S. Ding, P. Mardziel, X. Hu",
        "Score-CAM: score-weighted visual explanations for convolutional neural networks", 2020,
        "CVPR Workshops, arXiv 1910.01279; masks as in the authors' code, whose weights are a softmax over classes", False),
    "kubota2020": Source("Y. Kubota", "tf-keras-vis", 2020, "the library's Faster-Score-CAM, read in its source", True),
    "jiang2021": Source(
        "P.-T. Jiang, C.-B. Zhang, Q. Hou, M.-M. Cheng, Y. Wei",
        "LayerCAM: exploring hierarchical class activation maps for localization", 2021,
        "IEEE Transactions on Image Processing 30; as in the authors' code", True),
    "draelos2020": Source(
        "R. L. Draelos, L. Carin",
        "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks", 2020,
        "arXiv 2011.08891; as in the authors' code", True),
    "fu2020": Source(
        "R. Fu, Q. Hu, X. Dong, Y. Guo, Y. Gao, B. Li",
        "Axiom-based Grad-CAM: towards accurate visualization and explanation of CNNs", 2020,
        "BMVC, arXiv 2008.02312; the weights as in the authors' code", True),
    "desai2020": Source(
        "S. Desai, H. G. Ramaswamy",
        "Ablation-CAM: visual explanations for deep convolutional network via gradient-free localization", 2020, "WACV", False),
    "muhammad2020": Source(
        "M. B. Muhammad, M. Yeasin", "Eigen-CAM: class activation map using principal components", 2020, "IJCNN, arXiv 2008.00299", False),
    "mundhenk2019": Source(
        "T. N. Mundhenk, B. Y. Chen, G. Friedland", "Efficient saliency maps for explainable AI", 2019,
        "arXiv 1911.11293; statistics, scales and products as in the authors' code", True),
    "kindermans2019": Source(
        "P.-J. Kindermans, S. Hooker, J. Adebayo, M. Alber, K. T. Schütt, S. Dähne, D. Erhan, B. Kim",
        "The (un)reliability of saliency methods", 2019, "LNCS 11700, chapter 14, arXiv 1711.00867", False),
    "hooker2019": Source(
        "S. Hooker, D. Erhan, P.-J. Kindermans, B. Kim",
        "A benchmark for interpretability methods in deep neural networks", 2019, "NeurIPS, arXiv 1806.10758", False),
    "shapley1953": Source(
        "L. S. Shapley", "A value for n-person games", 1953, "Contributions to the Theory of Games II, Princeton", False),
    "lundberg2017": Source(
        "S. M. Lundberg, S.-I. Lee", "A unified approach to interpreting model predictions", 2017,
        "NeurIPS, arXiv 1705.07874; the kernel as in the authors' library", True),
    "lundberg2020": Source(
        "S. M. Lundberg, G. Erion, H. Chen, A. DeGrave, J. M. Prutkin, B. Nair, R. Katz, J. Himmelfarb, N. Bansal, S.-I. Lee",
        "From local explanations to global understanding with explainable AI for trees", 2020, "Nature Machine Intelligence 2", False),
    "sundararajan2020": Source(
        "M. Sundararajan, A. Najmi", "The many Shapley values for model explanation", 2020, "ICML, arXiv 1908.08474", False),
    "castro2009": Source(
        "J. Castro, D. Gómez, J. Tejada", "Polynomial calculation of the Shapley value based on sampling", 2009,
        "Computers & Operations Research 36", False),
    "mitchell2022": Source(
        "R. Mitchell, J. Cooper, E. Frank, G. Holmes", "Sampling permutations for Shapley value estimation", 2022, "JMLR 23", False),
    "grabisch1999": Source(
        "M. Grabisch, M. Roubens", "An axiomatic approach to the concept of interaction among players in cooperative games", 1999,
        "International Journal of Game Theory 28", False),
    "ribeiro2016": Source(
        "M. T. Ribeiro, S. Singh, C. Guestrin", "“Why should I trust you?” Explaining the predictions of any classifier", 2016,
        "KDD, arXiv 1602.04938; kernel, distances, selections and defaults as in the authors' library", True),
    "efron2004": Source(
        "B. Efron, T. Hastie, I. Johnstone, R. Tibshirani", "Least angle regression", 2004, "The Annals of Statistics 32", False),
    "kokhlikyan2020": Source(
        "N. Kokhlikyan, V. Miglani, M. Martin, E. Wang, B. Alsallakh, J. Reynolds, A. Melnikov, N. Kliushkina, C. Araya, S. Yan, "
        "O. Reblitz-Richardson", "Captum: a unified and generic model interpretability library for PyTorch", 2020,
        "arXiv 2009.07896", False),
    "breiman2001": Source("L. Breiman", "Random forests", 2001, "Machine Learning 45", False),
    "fisher2019": Source(
        "A. Fisher, C. Rudin, F. Dominici", "All models are wrong, but many are useful: learning a variable's importance by studying an "
        "entire class of prediction models simultaneously", 2019, "JMLR 20, arXiv 1801.01489", False),
    "erion2021": Source(
        "G. Erion, J. D. Janizek, P. Sturmfels, S. M. Lundberg, S.-I. Lee",
        "Improving performance of deep learning models with axiomatic attribution priors and expected gradients", 2021,
        "Nature Machine Intelligence 3, arXiv 1906.10670; as in the authors' code", True),
    "altschul1985": Source(
        "S. F. Altschul, B. W. Erickson", "Significance of nucleotide sequence alignments: a method for random sequence permutation that "
        "preserves dinucleotide and codon usage", 1985, "Molecular Biology and Evolution 2", False),
    "wilson1996": Source("D. B. Wilson", "Generating random spanning trees more quickly than the cover time", 1996, "STOC", False),
    "petsiuk2018": Source(
        "V. Petsiuk, A. Das, K. Saenko", "RISE: randomized input sampling for explanation of black-box models", 2018,
        "BMVC, arXiv 1806.07421; as in the authors' code", True),
    "fong2017": Source(
        "R. C. Fong, A. Vedaldi", "Interpretable explanations of black boxes by meaningful perturbation", 2017,
        "ICCV, arXiv 1704.03296; objective, weights and descent as in the authors' code but for what the docstring says", True),
    "bilodeau2024": Source(
        "B. Bilodeau, N. Jaques, P. W. Koh, B. Kim", "Impossibility theorems for feature attribution", 2024,
        "PNAS 121(2), arXiv 2212.11870; complete and linear methods, local counterfactuals", False),
    "lundstrom2022": Source(
        "D. D. Lundstrom, T. Huang, M. Razaviyayn",
        "A rigorous study of integrated gradients method and extensions to internal neuron attributions", 2022,
        "ICML, arXiv 2202.11912; what singles out one path", False),
    "chattopadhyay2019": Source(
        "A. Chattopadhyay, P. Manupriya, A. Sarkar, V. N. Balasubramanian", "Neural network attributions: a causal perspective", 2019,
        "ICML, arXiv 1902.02302; expansion and averages as in the authors' code", True),
    "owen1977": Source(
        "G. Owen", "Values of games with a priori unions", 1977, "Mathematical Economics and Game Theory, Springer", False),
    "winter1989": Source(
        "E. Winter", "A value for cooperative games with levels structure of cooperation", 1989,
        "International Journal of Game Theory 18", False),
    "kim2018": Source(
        "B. Kim, M. Wattenberg, J. Gilmer, C. Cai, J. Wexler, F. Viegas, R. Sayres",
        "Interpretability beyond feature attribution: quantitative testing with concept activation vectors (TCAV)", 2018,
        "ICML, arXiv 1711.11279", False),
    "agarwal2022": Source(
        "C. Agarwal, D. D'souza, S. Hooker", "Estimating example difficulty using variance of gradients", 2022,
        "CVPR, arXiv 2008.11600; formula as in the authors' code", True),
    "lang2021": Source(
        "O. Lang, Y. Gandelsman, M. Yarom, Y. Wald, G. Elidan, A. Hassidim, W. T. Freeman, P. Isola, A. Globerson, M. Irani, I. Mosseri",
        "Explaining in style: training a GAN to explain a classifier in StyleSpace", 2021,
        "ICCV, arXiv 2104.13369; AttFind as in the authors' notebook", False),
    "crawford2019": Source(
        "L. Crawford, S. R. Flaxman, D. E. Runcie, M. West",
        "Variable prioritization in nonlinear black box methods: a genetic association case study", 2019,
        "The Annals of Applied Statistics 13, arXiv 1801.07318; formula as in the authors' code", True),
    "ishhorowicz2019": Source(
        "J. Ish-Horowicz, D. Udwin, K. Scharfstein, S. Flaxman, L. Crawford, S. Filippi",
        "Interpreting deep neural networks through variable importance", 2019,
        "arXiv 1901.09839; formulas as in the authors' code", False),
    "albini2020": Source(
        "E. Albini, P. Lertvittayakumjorn, A. Rago, F. Toni", "Deep argumentative explanations", 2020, "arXiv 2012.05766", False),
    "reimers2020": Source(
        "C. Reimers, J. Runge, J. Denzler", "Determining the relevance of features for deep neural networks", 2020,
        "ECCV, doi 10.1007/978-3-030-58574-7_20", False),
    "runge2018": Source(
        "J. Runge", "Conditional independence testing based on a nearest-neighbor estimator of conditional mutual information", 2018,
        "AISTATS, arXiv 1709.01447", False),
    "frenzel2007": Source(
        "S. Frenzel, B. Pompe", "Partial mutual information for coupling analysis of multivariate time series", 2007,
        "Physical Review Letters 99", False),
    "mesner2021": Source(
        "O. C. Mesner, C. R. Shalizi", "Conditional mutual information estimation for mixed, discrete and continuous data", 2021,
        "IEEE Transactions on Information Theory 67, arXiv 1912.03387", False),
    "mackay1992": Source("D. J. C. MacKay", "Bayesian interpolation", 1992, "Neural Computation 4", False),
    "fisher1924": Source("R. A. Fisher", "The distribution of the partial correlation coefficient", 1924, "Metron 3", False),
    "ciravegna2023": Source(
        "G. Ciravegna, P. Barbiero, F. Giannini, M. Gori, P. Liò, M. Maggini, S. Melacci", "Logic explained networks", 2023,
        "Artificial Intelligence 314, arXiv 2108.05149; families as in the authors' code", False),
    "mccluskey1956": Source("E. J. McCluskey", "Minimization of Boolean functions", 1956, "Bell System Technical Journal 35", False),
    "yuan2020": Source(
        "H. Yuan, J. Tang, X. Hu, S. Ji", "XGNN: towards model-level explanations of graph neural networks", 2020,
        "KDD, arXiv 2006.02587", False),
    "kipf2017": Source(
        "T. N. Kipf, M. Welling", "Semi-supervised classification with graph convolutional networks", 2017,
        "ICLR, arXiv 1609.02907", False),
    "friedman2004": Source(
        "E. J. Friedman", "Paths and consistency in additive cost sharing", 2004, "International Journal of Game Theory 32", False),
    "hotelling1936": Source("H. Hotelling", "Relations between two sets of variates", 1936, "Biometrika 28", False),
    "bjorck1973": Source(
        "Å. Björck, G. H. Golub", "Numerical methods for computing angles between linear subspaces", 1973, "Mathematics of Computation 27",
        False),
    "raghu2017": Source(
        "M. Raghu, J. Gilmer, J. Yosinski, J. Sohl-Dickstein",
        "SVCCA: singular vector canonical correlation analysis for deep learning dynamics and interpretability", 2017,
        "NeurIPS, arXiv 1706.05806; as in the authors' code", True),
    "morcos2018": Source(
        "A. S. Morcos, M. Raghu, S. Bengio", "Insights on representational similarity in neural networks with canonical correlation", 2018,
        "NeurIPS, arXiv 1806.05759", False),
    "kornblith2019": Source(
        "S. Kornblith, M. Norouzi, H. Lee, G. Hinton", "Similarity of neural network representations revisited", 2019,
        "ICML, arXiv 1905.00414", False),
    "song2012": Source(
        "L. Song, A. Smola, A. Gretton, J. Bedo, K. Borgwardt", "Feature selection via dependence maximization", 2012,
        "JMLR 13; the unbiased estimator of HSIC", False),
    "vandermaaten2008": Source("L. van der Maaten, G. Hinton", "Visualizing data using t-SNE", 2008, "JMLR 9", False),
    "colah2015": Source("C. Olah", "Visualizing representations: deep learning and human beings", 2015, "colah.github.io", False),
    "lee1999": Source(
        "D. D. Lee, H. S. Seung", "Learning the parts of objects by non-negative matrix factorization", 1999, "Nature 401", False),
    "lee2001": Source("D. D. Lee, H. S. Seung", "Algorithms for non-negative matrix factorization", 2001, "NIPS 13", False),
    "olah2017": Source(
        "C. Olah, A. Mordvintsev, L. Schubert", "Feature visualization", 2017, "Distill; constants as in the authors' library lucid", True),
    "olah2018": Source(
        "C. Olah, A. Satyanarayan, I. Johnson, S. Carter, L. Schubert, K. Ye, A. Mordvintsev",
        "The building blocks of interpretability", 2018, "Distill; as in the authors' notebooks", True),
    "carter2019": Source(
        "S. Carter, Z. Armstrong, L. Schubert, I. Johnson, C. Olah", "Activation atlas", 2019, "Distill", False),
    "hilton2020": Source(
        "J. Hilton, N. Cammarata, S. Carter, G. Goh, C. Olah", "Understanding RL vision", 2020, "Distill; as in the authors' code", True),
    "schulman2016": Source(
        "J. Schulman, P. Moritz, S. Levine, M. Jordan, P. Abbeel",
        "High-dimensional continuous control using generalized advantage estimation", 2016, "ICLR, arXiv 1506.02438", False),
    "shen2020": Source(
        "Q. Shen, Y. Wu, Y. Jiang, W. Zeng, A. K. H. Lau, A. Vianova, H. Qu",
        "Visual interpretation of recurrent neural network on multi-dimensional time-series forecast", 2020,
        "PacificVis, doi 10.1109/PacificVis48177.2020.2785", False),
    "erhan2009": Source(
        "D. Erhan, Y. Bengio, A. Courville, P. Vincent", "Visualizing higher-layer features of a deep network", 2009,
        "technical report 1341, University of Montreal", False),
    "yosinski2015": Source(
        "J. Yosinski, J. Clune, A. Nguyen, T. Fuchs, H. Lipson", "Understanding neural networks through deep visualization", 2015,
        "ICML workshop, arXiv 1506.06579; as in the authors' toolbox", True),
    "mordvintsev2015": Source(
        "A. Mordvintsev, C. Olah, M. Tyka", "Inceptionism: going deeper into neural networks", 2015, "Google Research blog", False),
    "mahendran2015": Source(
        "A. Mahendran, A. Vedaldi", "Understanding deep image representations by inverting them", 2015, "CVPR, arXiv 1412.0035", False),
    "gatys2016": Source(
        "L. A. Gatys, A. S. Ecker, M. Bethge", "Image style transfer using convolutional neural networks", 2016, "CVPR", False),
    "chollet2016": Source(
        "F. Chollet", "How convolutional neural networks see the world", 2016, "The Keras blog", False),
    "gildenblat2016": Source(
        "J. Gildenblat", "keras-filter-visualization", 2016, "software, github.com/jacobgil/keras-filter-visualization", True),
    "nguyen2015": Source(
        "A. Nguyen, J. Yosinski, J. Clune",
        "Deep neural networks are easily fooled: high confidence predictions for unrecognizable images", 2015, "CVPR, arXiv 1412.1897",
        False),
    "madry2018": Source(
        "A. Madry, A. Makelov, L. Schmidt, D. Tsipras, A. Vladu", "Towards deep learning models resistant to adversarial attacks", 2018,
        "ICLR, arXiv 1706.06083", False),
    "goodfellow2015": Source(
        "I. J. Goodfellow, J. Shlens, C. Szegedy", "Explaining and harnessing adversarial examples", 2015, "ICLR, arXiv 1412.6572", False),
    "kingma2015": Source("D. P. Kingma, J. Ba", "Adam: a method for stochastic optimization", 2015, "ICLR, arXiv 1412.6980", False),
    "krizhevsky2012": Source(
        "A. Krizhevsky, I. Sutskever, G. E. Hinton", "ImageNet classification with deep convolutional neural networks", 2012,
        "NIPS; nearest neighbours of the last hidden layer", False),
})


def cite(key: str) -> Source:
    """The publication of a key such as "bach2015"; the text after a space (", eq. 58") is not part of the key."""
    return SOURCES[key.split()[0].rstrip(",")]
