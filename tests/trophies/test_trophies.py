"""Trophies: every confirmed defect of a peer's current release as a script of its own, which needs the peer, torch or its framework, and NumPy.

Everywhere: each script's derivation is checked against the reference. With ``-m peers``: each script still shows its defect (in the interpreter
of its peer), and the defect is caught by ``examine`` without being told where to look.
"""

import importlib.util
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from xaicore_peers import LIBRARIES, environments, peer
from xaicore_peers.models import state

import xaicore as xc
from tests.trophies.keras_networks import NETWORKS
from xaicore.errors import BackendError
from xaicore.metrics import METRICS as METRIC_TABLE
from xaicore.oracle.examine import Scene, by_rows, examine
from xaicore.oracle.subjects import METRICS, SUBJECTS

HERE = Path(__file__).parent
SCRIPTS = sorted(p for p in HERE.glob("*.py") if not p.name.startswith(("test_", "keras_")))
ASIDE = sorted((HERE / "aside").glob("*.py"))
"""True, and run, but not found without being told where to look; each says why."""
KINDS = ("wrong number", "violated axiom", "silent fall-back", "crash on a valid model", "mutated model")
NEEDS_FRAMEWORK = ("tensorflow", "keras")


def constants(path):
    """The script's own words about itself, without running it."""
    text = path.read_text(encoding="utf-8")
    found = dict(zip(("PEER", "SUBJECT", "KIND"), re.search(r'^PEER, SUBJECT, KIND = "(.*?)", "(.*?)", "(.*?)"$', text, re.M).groups()))
    return {**found, "text": text}


def opened(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TORCH = [p for p in SCRIPTS if not any(f"import {f}" in constants(p)["text"] for f in NEEDS_FRAMEWORK)]
DERIVED = [p for p in TORCH if "\nOURS, SETTINGS = None" not in constants(p)["text"]]


@pytest.mark.parametrize("path", [*SCRIPTS, *ASIDE], ids=lambda p: p.stem)
def test_every_trophy_says_what_it_is(path):
    assert ("\nAside:" in constants(path)["text"]) is (path in ASIDE)
    said = constants(path)
    assert said["KIND"] in KINDS
    assert said["SUBJECT"].startswith(said["PEER"] + ":")
    assert path.stem.startswith(said["PEER"] + "_")
    assert "Definition:" in said["text"] or "Expected:" in said["text"]
    assert "Derivation:" in said["text"]
    assert "xaicore" not in said["text"]                                # a script needs no library but the one it is about


def test_there_are_enough_and_of_enough_peers():
    assert len(SCRIPTS) >= 30
    assert len({constants(p)["PEER"] for p in SCRIPTS}) >= 6


@pytest.mark.parametrize("path", [p if k % 8 == 0 else pytest.param(p, marks=pytest.mark.thorough) for k, p in enumerate(DERIVED)],
                         ids=lambda p: p.stem)
def test_the_expected_value_is_the_references(path):
    """By hand in the script and by the engine: neither knows the other."""
    pytest.importorskip("torch")
    trophy = opened(path)
    ours = np.asarray(reference(trophy))
    assert np.allclose(normalised(ours) if trophy.PEER == "grad_cam" else ours, trophy.expected(), rtol=1e-5, atol=1e-8)


def normalised(values):
    low = values - values.min()
    return low / max(low.max(), 1e-12) if values.size > 1 and values.min() >= 0 else values


def reference(trophy):
    import torch

    extra = {} if trophy.BASELINE is None else {"baseline": trophy.BASELINE}
    if trophy.SETTINGS.get("layer"):
        extra["layer"] = trophy.SETTINGS["layer"]
    if trophy.OURS in ("grad_cam",):
        extra["relu"] = True
    if trophy.OURS in ("lrp.epsilon",):
        extra["eps"] = 1e-9
    graph = xc.from_model(trophy.model(), torch.tensor(trophy.X), verify=False)
    return xc.explain(graph, trophy.X, trophy.OURS, target=trophy.TARGET, **extra)


# ----- with the peers -----------------------------------------------------------------------------------------------


def interpreter(name):
    """(python, extra path) that has a peer; skips where nothing has it."""
    if (name in LIBRARIES and LIBRARIES[name].importable) or importlib.util.find_spec(name):
        return sys.executable, ""
    for (peer_name, _), folder in environments().items():
        if peer_name == name:
            own = folder / "bin" / "python"
            return (str(own), "") if own.exists() else (sys.executable, str(folder))
    root = Path(os.environ.get("XAICORE_PEERS", ".peers"))
    for folder in sorted(root.glob(f"{name}-*")):
        own = folder / "bin" / "python"
        return (str(own), "") if own.exists() else (sys.executable, str(folder))
    pytest.skip(f"{name} is not installed: python -m benchmarks.peers make {name}")
    return None


@pytest.mark.peers
@pytest.mark.parametrize("path", [*SCRIPTS, *ASIDE], ids=lambda p: p.stem)
def test_the_defect_is_there(path):
    python, extra = interpreter(constants(path)["PEER"])
    done = subprocess.run([python, "-W", "ignore", str(path)], capture_output=True, text=True, timeout=300, check=False,
                          env={**os.environ, "PYTHONPATH": extra, "TF_CPP_MIN_LOG_LEVEL": "3"})
    assert done.returncode == 1, done.stdout + done.stderr
    assert "given" in done.stdout, done.stderr
    assert "expected" in done.stdout, done.stderr


@pytest.mark.peers
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_the_oracle_catches_it_by_itself(path):
    """The model and the input go through every check there is; nothing says which."""
    if path.stem in NETWORKS:
        found = caught_elsewhere(path, *NETWORKS[path.stem])
    else:
        trophy = opened(path)
        found = judged(trophy) if trophy.SUBJECT in METRICS else caught(trophy)
    found = telling(found, constants(path)["KIND"], path.stem)
    print(path.stem, "|", "; ".join(map(str, found))[:200])
    assert found, f"{path.stem}: nothing was found"


def telling(found, kind, name):
    """Without what every call of some libraries shows (float32, attributes, gradients and flags left on the model), where that is not
    the defect itself."""
    def habit(one):
        return (one.kind == "mutated model" != kind) or (one.check == "keeps its precision" and "float32" not in name)

    return [one for one in found if not habit(one)]


def library_of(name):
    try:
        return peer(name)
    except BackendError as error:
        pytest.skip(str(error))
    return None


def caught_elsewhere(path, graph, x, settings):
    """A library in another interpreter, which makes its model of the script's own ``model()``."""
    subject = constants(path)["SUBJECT"]
    name, _, method = subject.partition(":")
    beside, x = SUBJECTS[subject], np.asarray(x, dtype=np.float32)      # Keras's own precision
    layer = {k: settings[k] for k in ("layer",) if k in settings}
    ours = xc.explain(graph, x, beside.ours, target=0, **beside.settings, **layer)
    total = ours.output if beside.total == "value" else None
    with library_of(name) as library:
        return examine(lambda model, rows, target: library.explain(method, model, rows, target, None, **settings),
                       Scene(lambda: path, x, 0, ours, total=total))


def judged(trophy):
    """A metric, with the maps and masks that it judges, beside ours."""
    import torch

    name, _, method = trophy.SUBJECT.partition(":")
    library, beside = library_of(name), METRICS[trophy.SUBJECT]
    graph = xc.from_model(trophy.model(), torch.tensor(trophy.X), verify=False)
    truth = {} if trophy.MASKS is None else {"truth": trophy.MASKS[:, 0].astype(bool)}
    asked = getattr(trophy, "ASKED", None)
    emit = import_module("xaicore_torch").emit
    maps = trophy.MAPS if asked is None else lambda g, feeds, target: asked(emit(g.astype("float32")), next(iter(feeds.values())), None)
    score = METRIC_TABLE[beside.ours].run(xc.metrics.subject(graph, trophy.X, maps, trophy.TARGET), **beside.settings, **truth)

    def metric(model, x, target, maps, masks):
        again = {} if asked is None else {"asked": asked}
        return library.explain(method, model, x, target, None, attributions=maps, masks=masks, **again, **trophy.SETTINGS)

    subject, rows = by_rows(metric, trophy.X, trophy.MAPS, trophy.MASKS)
    return examine(subject, Scene(trophy.model, rows, trophy.TARGET, beside.score(score.values)))


AT_ONCE = ("batch_size", "internal_batch_size", "perturbations_per_eval")
"""Settings that say how much is evaluated at once, and change nothing."""
SAMPLES = ("num_samples", "n_samples", "nsamples", "nt_samples", "samples")


def caught(trophy):
    import torch

    name, _, method = trophy.SUBJECT.partition(":")
    rule = f"({trophy.SETTINGS['rule']})" if "rule" in trophy.SETTINGS else ""
    library, beside = library_of(name), SUBJECTS.get(trophy.SUBJECT + rule)
    graph = xc.from_model(trophy.model(), torch.tensor(trophy.X))
    ours, total = None, None
    extra = {} if trophy.BASELINE is None else {"baseline": trophy.BASELINE}
    layer = {k: trophy.SETTINGS[k] for k in ("layer", "neuron") if k in trophy.SETTINGS}
    if beside is not None and trophy.SETTINGS.get("multiply_by_inputs", True) is not False:
        ours = xc.explain(graph, trophy.X, beside.ours, target=trophy.TARGET, **beside.settings, **(extra if beside.baseline else {}), **layer)
        total = None if not beside.total else ours.output - (ours.absorbed if beside.total == "value" else ours.baseline_output)
    emit = import_module("xaicore_torch").emit

    def subject(model, x, target, **other):
        return library.explain(method, model, x, target, trophy.BASELINE, **{**trophy.SETTINGS, **other})

    same, draw, claimed = {}, None, None
    for k in AT_ONCE:
        if k in trophy.SETTINGS:
            same[f"{k} of 1"] = lambda *three, k=k: subject(*three, **{k: 1})
    if "segments" in trophy.SETTINGS:
        numbered = np.unique(trophy.SETTINGS["segments"], return_inverse=True)[1].reshape(np.shape(trophy.SETTINGS["segments"]))
        same["the same segments, numbered from 0"] = lambda *three: subject(*three, segments=numbered)
    count = [k for k in SAMPLES if k in trophy.SETTINGS]
    if count and "segments" not in trophy.SETTINGS:                     # an average over draws; LIME's are of a regression
        def draw(samples, seed):
            return subject(trophy.model(), trophy.X, trophy.TARGET, **{count[0]: samples, "seed": seed})

        if "variances" in library.methods[method]:
            def claimed(samples, seed):
                return subject(trophy.model(), trophy.X, trophy.TARGET, **{count[0]: samples, "seed": seed, "variances": True})

    return examine(subject, Scene(trophy.model, trophy.X, trophy.TARGET, ours, {"a module for each call": lambda: emit(graph)}, total,
                                  1e-4, state, same, draw, claimed))


CONTROLS = [("captum_adjacent_modules", "captum", "0.5.0"), ("captum_branch_lost", "captum", "0.5.0"),
            ("captum_pool_first_sample", "captum", "0.5.0"),
            ("captum_kernel_shap_one", "captum", "0.3.1")]
"""Scripts with a release of the same library that is right: the defect came later."""


@pytest.mark.peers
@pytest.mark.parametrize(("script", "name", "version"), CONTROLS)
def test_a_release_that_is_right_stays_quiet(script, name, version):
    folder = environments().get((name, version))
    if folder is None:
        pytest.skip(f"python -m benchmarks.peers make {name}=={version}")
    done = subprocess.run([sys.executable, "-W", "ignore", str(HERE / f"{script}.py")], capture_output=True, text=True, timeout=300, check=False,
                          env={**os.environ, "PYTHONPATH": str(folder)})
    assert done.returncode == 0, done.stdout + done.stderr


QUIET = ["captum:Saliency", "captum:InputXGradient", "captum:IntegratedGradients", "captum:DeepLift", "captum:GuidedBackprop", "captum:LRP",
         "zennit:Gradient", "zennit:Epsilon", "zennit:ZPlus", "zennit:AlphaBeta", "zennit:Gamma", "zennit:GuidedBackprop",
         "shap:DeepExplainer", "saliency:GradientSaliency"]


@pytest.mark.peers
@pytest.mark.parametrize("subject", QUIET)
def test_a_plain_network_gives_no_finding(subject):
    """Convolution, ReLU, average pool, convolution, ReLU, dense, a module for each call: all of these are right there."""
    import torch
    from torch import nn

    name, _, method = subject.partition(":")
    library = library_of(name)

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv1, self.relu1, self.pool = nn.Conv2d(1, 2, 2, bias=False), nn.ReLU(), nn.AvgPool2d(2)
            self.conv2, self.relu2, self.fc = nn.Conv2d(2, 2, 1, bias=False), nn.ReLU(), nn.Linear(8, 2, bias=False)

        def forward(self, x):
            return self.fc(self.relu2(self.conv2(self.pool(self.relu1(self.conv1(x))))).flatten(1))

    def model():
        return Plain().double().eval()

    beside = SUBJECTS[subject]
    x, base = np.random.default_rng(5).normal(size=(2, 1, 5, 5)), np.random.default_rng(6).normal(size=(1, 1, 5, 5))
    extra = {"baseline": base} if beside.baseline else {}
    graph = xc.from_model(model(), torch.tensor(x), verify=False)
    ours = xc.explain(graph, x, beside.ours, target=1, **beside.settings, **extra)
    total = None if not beside.total else ours.output - (0 if beside.total == "value" else ours.baseline_output)

    def call(net, rows, target):
        return library.explain(method, net, rows, target, base if beside.baseline else None, **beside.given)

    twins = {"a module for each call": lambda: import_module("xaicore_torch").emit(graph)}
    ignore = {"LRP"} & {method}                                         # it leaves an attribute on every layer: a trophy of its own
    found = examine(call, Scene(model, x, 1, ours, twins, total, 1e-3, None if ignore else state))
    assert found == []
