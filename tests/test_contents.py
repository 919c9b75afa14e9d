"""Every table is complete: operators have cases, rules cite sources that exist, methods have summaries and promises that are axioms."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import xaicore as xc
from tests.cases import CASES
from xaicore.oracle.axioms import AXIOMS
from xaicore.rules.sources import SOURCES

ROOT = Path(__file__).parent.parent


def test_every_operator_has_a_case():
    covered = {type(c.op).__name__ for c in CASES}
    assert sorted(set(xc.OPS) - covered) == []


def test_every_operator_class_is_in_the_table():
    """Abstract or final: a class derived from Op is either a base of others or an operator in the table."""
    bases_of = {}
    for path in (ROOT / "xaicore/ops").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                bases_of[node.name] = {ast.unparse(b) for b in node.bases}
    abstract = set().union(*bases_of.values())
    derived, before = {"Op"}, set()
    while derived != before:
        before, derived = derived, derived | {k for k, b in bases_of.items() if b & derived}
    assert sorted(derived - abstract - set(xc.OPS)) == []
    assert not set(xc.OPS) & abstract
    assert len(derived) > 80


@pytest.mark.parametrize("name", sorted(xc.OPS))
def test_operators_are_documented(name):
    doc = inspect.getdoc(xc.OPS[name]) or ""
    assert len(doc.splitlines()[0]) > 5


@pytest.mark.parametrize("id", sorted(xc.METHODS))
def test_methods_are_documented(id):
    row = xc.METHODS[id]
    assert len(row.summary) > 15
    assert row.source in SOURCES
    assert set(row.promises) <= set(AXIOMS)
    assert {"batch_invariance", "determinism"} & set(row.promises)


def test_every_method_is_in_the_gallery():
    """Shown, or with the reason why it has no map there; python docs/gallery.py writes the page again."""
    text = (ROOT / "docs/gallery.md").read_text(encoding="utf-8")
    assert [m for m in xc.METHODS if f"\n| `{m}` |" not in text] == []


PARTS = {
    "shapes": r"in the shape of|in the size of|\(N, |shapes and errors|shapes, ", "errors": r"Raises|raises|Inapplicable|InputError|ExactnessError",
    "source": r"Source", "who has it or differs": r"Same as|Differs|No library has it"}


@pytest.mark.parametrize("id", sorted(xc.METHODS))
def test_docstrings_have_their_parts(id):
    """A first line that says what is computed, shapes, errors, source, who else has it: DESIGN section 6."""
    row = xc.METHODS[id]
    assert len(row.doc.splitlines()[0]) > 20
    text = " ".join(row.doc.split())
    assert [part for part, words in PARTS.items() if not re.search(words, text)] == []
    assert len(text) > 220


@pytest.mark.parametrize("id", sorted(xc.RULE_SETS))
def test_rule_sets_cite(id):
    box = {"low": 0, "high": 1} if "box" in id else {}
    rules = xc.RULE_SETS[id](**box)
    assert rules.name == id
    assert rules.source in SOURCES
    for _, rule in rules.rules:
        assert not rule.source or rule.source in SOURCES, rule
    assert str(rules).count("\n") >= len(rules.rules)


def test_axioms_cite():
    for axiom in AXIOMS.values():
        assert axiom.source in SOURCES or axiom.source == "xaicore"
        assert axiom.statement
        assert axiom.precondition


def test_method_ids_of_the_design_exist():
    issue = """gradient saliency gradient_x_input deconvnet guided_backprop guided_saliency lrp.zero lrp.epsilon lrp.gamma lrp.alpha_beta
        lrp.z_plus lrp.z_box lrp.w_square lrp.flat lrp.epsilon_plus lrp.epsilon_plus_flat lrp.epsilon_gamma_box lrp.epsilon_alpha2_beta1
        lrp.epsilon_alpha2_beta1_flat lrp.best_practice deep_taylor simple_taylor deeplift.rescale deeplift.reveal_cancel deeplift.genomics
        integrated_gradients integrated_gradients.exact smoothgrad smoothgrad_squared vargrad occlusion grad_cam cam guided_grad_cam
        grad_cam_plus_plus layer_cam hires_cam xgrad_cam score_cam faster_score_cam ablation_cam eigen_cam smoe fastcam
        interior_gradients expected_gradients blur_ig guided_ig conductance internal_influence xrai""".split()
    games = """shapley.exact shapley.sampling shapley.owen shapley.interaction kernel_shap lime feature_ablation feature_permutation rise
        linear_shap max_shap meaningful_perturbation ace deep_shap deep_shap.hypothetical gradient_shap""".split()
    data = """tcav vog rate independence len.relu len.mu len.psi dax attfind xgnn segmentation global_contrast lime.submodular_pick
        global_saliency fullgrad clrp sglrp lrp.restructured salient_relevance patternnet pattern_attribution excitation_backprop bilrp
        attention_rollout concept_relevance""".split()
    assert sorted({*issue, *games, *data} - set(xc.METHODS)) == []


def test_no_file_is_too_long():
    """A file is one family; 450 lines is the largest that a reader takes in."""
    for path in [*(ROOT / "xaicore").rglob("*.py"), *(ROOT / "backends").rglob("*.py")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 450, path.relative_to(ROOT)


def test_settings_have_the_designs_names():
    known = set("""eps gamma alpha low high bias variant baseline steps quadrature samples sigma noise seed layer window stride fill mask
        segments reduce output batch_size speed keep pool attention gates hidden flat_input input root threshold fallback""".split())
    extra = {k for m in xc.METHODS.values() for k in m.settings} - known
    documented = {"of", "tokens", "area", "min_pixels", "alphas", "neuron", "fraction", "max_dist", "spacing", "ddof", "multiply", "relu", "upsample", "overlap", "border", "mode", "channels", "score", "max_pieces", "counterfactual", "weights",
                  "normalize", "order", "top", "center", "statistic", "cam", "inverse"}
    documented |= {"background", "spread", "antithetic", "partner", "hierarchy", "draw", "endpoints", "features", "representation", "distance",
                   "kernel", "width", "selection", "ridge", "lasso", "convention", "grid", "probability", "sparsity", "smoothness", "power", "rate"}
    documented |= {"base", "dual", "rescale", "contrastive", "units", "patterns", "residual", "token", "heads", "level", "other", "reference", "estimator", "neighbours"}
    documented |= {"concept", "random", "classifier", "test", "null", "checkpoints", "response", "projection", "prior", "labels", "permutations", "shift",
                   "terms", "names", "fan_in", "layers", "inside", "outside", "components", "largest", "types", "nodes", "search", "degrees", "rollouts",
                   "future", "penalty", "degree", "arrows", "distribution"}
    documented |= {"start", "sums", "averages", "batchnorm", "stabilizer", "layer_eps", "softmax", "clean"}
    assert extra <= documented, extra - documented


def test_version_is_one_number():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version"]' in text
    assert '[tool.hatch.version]\npath = "xaicore/__init__.py"' in text
    assert f"## {xc.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
