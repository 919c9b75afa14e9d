"""A test file of somebody else's library: captum under axioms and certified vectors, with what is known to fail and why."""

import captum.attr
import torch

import xaicore.testing as xt


def captums(name, method, **settings):
    def explain(model, x, target, baseline):
        start = {} if baseline is None else {"baselines": torch.tensor(baseline)}
        return getattr(captum.attr, name)(model).attribute(torch.tensor(x), target=target, **start)
    return xt.Function(explain, method, settings, framework="torch", name=name)


LRP = captums("LRP", "lrp.epsilon", eps=1e-9)
EXPLAINERS = [captums("Saliency", "saliency"), captums("DeepLift", "deeplift.rescale"), LRP]
FAILING = ("product-at-the-middle", "product-between-references", "minimum", "operator-clip", "operator-relu6")
VECTORS = {f"deeplift.rescale/{k}": "captum takes the gradient, silently" for k in FAILING}
VECTORS["deeplift.rescale/operator-reverse-sequence"] = "captum doubles the batch, and the lengths of two sequences are part of the model"


@xt.parametrize_with_axioms(EXPLAINERS, expected_failed=lambda e: dict.fromkeys(xt.checks_of(e), "no rule for Flatten") if e is LRP else {})
def test_axioms(explainer, axiom):
    axiom(explainer)


@xt.parametrize_with_vectors(EXPLAINERS, expected_failed=VECTORS)
def test_vectors(explainer, vector):
    vector(explainer)
