"""A finding as a script that needs the library, torch and NumPy: the model, the call, the number that is expected, and why."""

from __future__ import annotations

from typing import Any

from xaicore.oracle.examine import Finding
from xaicore.oracle.networks import Drawn
from xaicore.oracle.styles import numbers, source
from xaicore.oracle.subjects import Beside

CALLS = {
    "captum": "import captum.attr\n\n    return captum.attr.{method}(net).attribute({arguments}).detach().numpy()",
    "zennit": "from xaicore_peers import peer\n\n    return peer('zennit').explain('{method}', net, x.numpy(), TARGET{baseline_last})",
    "shap": ("import shap\n\n    values = shap.DeepExplainer(net, BASELINE).shap_values(x, check_additivity=False)\n"
             "    return np.asarray(values)[..., TARGET]"),
}
"""Library -> the body of ``given(net, x)``. Others are called through the adapter, whose file shows the library's own calls."""

WHY = {
    "completeness": "the attributions must add up to {what}: that is the method's definition, whatever the network.",
    "reference": "the expected number is that of xaicore {ours}({settings}) for the same function.",
    "two calls agree": "nothing changed between the two calls, so that the second must give what the first gave.",
    "one sample alone": "the model treats samples independently, so that a sample's attribution cannot depend on its batch.",
    "a permuted batch": "the model treats samples independently, so that a batch in another order gives the same in that order.",
    "equals a module for each call": "both networks are the same function with the same parameters, call for call.",
    "the model comes back unchanged": "an explanation reads a model; it may not change it.",
    "runs": "torch runs the model; nothing that the library documents forbids it.",
    "finite": "every operation of the model is finite at x, and so is the attribution's definition.",
}


def script(subject: str, peer: Any, what: Beside, drawn: Drawn, style: str, finding: Finding) -> str:
    """The text; running it prints both numbers and ends with exit code 1 as long as they differ."""
    name, _, method = subject.partition(":")
    library = name.partition("@")[0]
    arguments = "x, BASELINE, target=TARGET" if what.baseline else "x, target=TARGET"
    call = CALLS.get(library, CALLS["zennit"].replace("'zennit'", f"'{library}'")).format(
        method=method, arguments=arguments, baseline_last=", BASELINE.numpy()" if what.baseline else "")
    if library == "shap" and method != "DeepExplainer":
        call = CALLS["zennit"].replace("'zennit'", "'shap'").format(method=method, baseline_last=", BASELINE.numpy()")
    reason = WHY.get(finding.check, "").format(what="f(x) - f(baseline)" if what.total == "difference" else "f(x)", ours=what.ours,
                                               settings=", ".join(f"{k}={v!r}" for k, v in what.settings.items()))
    expected = "None" if finding.expected is None else numbers(finding.expected)
    modules = f"MODULES = {source(drawn.graph, 'modules')!r}\n\n" if finding.check.startswith("equals") else ""
    return f'''"""{library} {getattr(peer, "version", "?")}, {method}: {finding.kind} ({finding.check}).

{finding.reason}
Expected: {reason}
The network is written {style}: {" + ".join(drawn.blocks) or "one layer"}.
"""

import sys

import numpy as np
{source(drawn.graph, style).split("def model()")[0].rstrip()}


def model():
    return Net().double().eval()


X = torch.tensor({numbers(drawn.x)}, dtype=torch.float64)
BASELINE = torch.tensor({numbers(drawn.baseline)}, dtype=torch.float64)
TARGET = {drawn.target}
EXPECTED = {expected}
{modules}

def given(net, x):
    """The library's attribution."""
    {call}


def numbers():
    """(given, expected) of this finding."""
    {_numbers(finding)}


if __name__ == "__main__":
    got, wanted = numbers()
    print("given   ", np.asarray(got).tolist())
    print("expected", np.asarray(wanted).tolist())
    sys.exit(int(not np.allclose(got, wanted, rtol=1e-6, atol=1e-9)))
'''


def _numbers(finding: Finding) -> str:
    """The lines that make the two numbers, for the check that found it."""
    if finding.check == "completeness":
        return "return given(model(), X).reshape(len(X), -1).sum(1), EXPECTED"
    if finding.check == "two calls agree":
        return "net = model()\n    first = given(net, X)\n    return given(net, X), first"
    if finding.check == "one sample alone":
        return "return given(model(), X), np.concatenate([given(model(), X[n:n + 1]) for n in range(len(X))])"
    if finding.check == "a permuted batch":
        return "return given(model(), X.flip(0))[::-1], given(model(), X)"
    if finding.check.startswith("equals"):
        return ("scope = {}\n    exec(MODULES, scope)\n    return given(model(), X), given(scope['model'](), X)")
    if finding.check == "the model comes back unchanged":
        state = "[p.grad is None for p in net.parameters()], [sorted(vars(m)) for m in net.modules()]"
        return f"net = model()\n    before = {state}\n    given(net, X)\n    after = {state}\n    return before == after, True"
    if finding.check == "runs":
        return "return given(model(), X), EXPECTED"
    return "return given(model(), X), np.array(EXPECTED)"
