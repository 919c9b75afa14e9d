"""A test file of somebody else's library: captum under the axioms, beside xaicore's numbers, with what is known to fail and why."""

import captum.attr
import torch

import xaicore.testing as xt


class Captum(xt.Explainer):
    framework = "torch"

    def __init__(self, name, method, **settings):
        self.name, self.method, self.settings = name, method, settings

    def explain(self, model, x, target, baseline):
        start = {} if baseline is None else {"baselines": torch.tensor(baseline)}
        return getattr(captum.attr, self.name)(model).attribute(torch.tensor(x), target=target, **start)


EXPLAINERS = [Captum("Saliency", "saliency"), Captum("DeepLift", "deeplift.rescale"), Captum("LRP", "lrp.epsilon", eps=1e-9),
              Captum("IntegratedGradients", "integrated_gradients", quadrature="gauss_legendre_captum")]


def known(explainer):
    return dict.fromkeys(xt.checks_of(explainer), "captum has no LRP rule for Flatten") if explainer.name == "LRP" else {}


@xt.parametrize_with_axioms(EXPLAINERS, expected_failed=known, budget="ci")
def test_axioms(explainer, axiom):
    axiom(explainer)
