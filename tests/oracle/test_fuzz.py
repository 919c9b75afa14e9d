"""The fuzzer finds what was planted, makes it small, tells causes apart, goes on where it stopped, and is silent about what is right."""

import json
import subprocess
import sys

import numpy as np
import pytest

import xaicore as xc
from xaicore.cli.fuzz import budget
from xaicore.errors import FileRefused, InputError, UnknownName
from xaicore.oracle.examine import Scene, examine
from xaicore.oracle.fuzz import Campaign, _swarm, fuzz
from xaicore.oracle.networks import BLOCKS
from xaicore.oracle.styles import STYLES, source
from xaicore.oracle.subjects import SUBJECTS, beside

torch = pytest.importorskip("torch")


class Autograd:
    """A peer called saliency: the gradient by autograd, right, or with a mistake that is planted."""

    name, version, framework, methods = "saliency", "0", "torch", {"GradientSaliency": ()}

    def __init__(self, mistake=""):
        self.mistake = mistake

    def explain(self, method, model, x, target=None, baseline=None):
        t = torch.tensor(x, requires_grad=True)
        model(t)[:, target].sum().backward()
        g = t.grad.numpy().copy()
        for p in model.parameters():
            p.grad = p.grad if self.mistake == "gradients" else None
        has = {type(m).__name__ for m in model.modules()}
        if self.mistake == "Tanh" and "Tanh" in has:                    # wrong for a tanh module
            g = g * 2
        if self.mistake == "batch":
            g = g - (g.mean(0) if len(g) > 1 else 0)
        return g


SEED = next(s for s in range(99) if "Tanh" in _swarm(Campaign("", s), beside("saliency:GradientSaliency")))
"""One whose first round draws from the block with the mistake."""


@pytest.mark.parametrize(("mistake", "check", "blocks"), [
    ("Tanh", "reference", ("Tanh",)), ("batch", "reference", ()), ("gradients", "the model comes back unchanged", ())])
def test_a_planted_mistake_is_found_and_shrunk(mistake, check, blocks, tmp_path):
    campaign = fuzz("saliency:GradientSaliency", Autograd(mistake), seconds=8, seed=SEED, folder=tmp_path, most=1)
    (found,) = campaign.found
    assert found.cause.check == check
    assert set(blocks) <= set(found.cause.blocks)
    assert len(found.cause.blocks) <= 2
    kept = json.loads((tmp_path / "saliency-GradientSaliency.json").read_text())
    assert kept["found"][0]["check"] == found.cause.check
    again = Campaign.resumed(tmp_path, "saliency:GradientSaliency", 9)
    assert (again.found, again.rounds, again.seed) == (campaign.found, campaign.rounds, SEED)
    compile((tmp_path / kept["found"][0]["script"]).read_text(), "script", "exec")


def test_what_is_right_stays_quiet():
    campaign = fuzz("saliency:GradientSaliency", Autograd(), seconds=1.5, seed=2)
    assert campaign.found == []
    assert campaign.examples > 5


def test_bad_input(tmp_path):
    with pytest.raises(UnknownName, match="captum:DeepLift"):
        fuzz("captum:DeepLiftt", None)
    with pytest.raises(InputError, match="peer:Explainer"):
        beside("captum")
    with pytest.raises(InputError, match="above 0"):
        fuzz("captum:DeepLift", None, seconds=0)
    (tmp_path / "captum-DeepLift.json").write_text("{}")
    with pytest.raises(FileRefused, match="no state of a fuzzing run"):
        Campaign.resumed(tmp_path, "captum:DeepLift", 0)
    assert [budget(t) for t in ("300s", "5m", "7")] == [300, 300, 7]
    for text in ("", "5h", "-1s", "nan"):
        with pytest.raises(InputError, match="is no time"):
            budget(text)


def test_subjects_name_what_there_is():
    for name, one in SUBJECTS.items():
        assert one.ours in xc.METHODS, name
        assert set(one.settings) <= set(xc.METHODS[one.ours].settings), name
        assert set(one.blocks) <= set(BLOCKS), name


def test_all_styles_are_one_function():
    from tests.nets import NET_B, X_B

    wanted = NET_B(X_B)
    for style in STYLES:
        scope = {}
        exec(source(NET_B, style), scope)
        assert np.array_equal(scope["model"]()(torch.tensor(X_B)).detach().numpy(), wanted), style
    with pytest.raises(UnknownName, match="functional"):
        source(NET_B, "functionall")


def test_examine_tells_a_crash_from_a_refusal():
    from xaicore.errors import XaicoreError

    def raising(text):
        def subject(model, x, target):
            raise XaicoreError(text)
        return subject

    scene = Scene(lambda: None, np.ones((1, 2)))
    assert examine(raising("captum:LRP raised TypeError: ... has no rule defined"), scene) == []
    assert [f.kind for f in examine(raising("IndexError: 3"), scene)] == ["crash on a valid model"]
    assert [f.check for f in examine(lambda m, x, t: x * np.nan, scene)] == ["finite"]


def test_the_command_says_what_is_missing():
    done = subprocess.run([sys.executable, "-m", "xaicore", "fuzz", "captum@0.0.7:DeepLift"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "benchmarks.peers make captum==0.0.7" in done.stderr.replace("\n", "")
