"""
15. Write a backend
===================

Your models live in a framework that xaicore does not know. A *backend* is one function that turns such a model into a
graph. After that every method, axiom and picture works. We invent a framework and write its backend, and one call
checks the whole contract.
"""

# %%
# The framework
# -------------
# A model is a list of steps, each with a layer's name; the same name twice is the same layer. A framework is a file of
# its own, so we write it to one.

import importlib
import sys
import tempfile
from pathlib import Path

place = tempfile.TemporaryDirectory()


def write(name, text):
    Path(place.name, name).write_text(text)


def load(name):
    """Imports what was written there."""
    sys.path.insert(0, place.name)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(place.name)


write("stack.py", '''
import numpy as np


class Stack:
    """Steps in order: (layer name, "dense" | "relu" | "flip").

    A dense layer has the weights NAME.w (out, in) and NAME.b (out,).
    """

    def __init__(self, size, steps, weights):
        self.size, self.steps, self.weights = size, steps, weights

    def values(self, x):
        """x, then what each step makes of it."""
        out = [x]
        for name, kind in self.steps:
            x = out[-1]
            if kind == "dense":
                x = x @ self.weights[f"{name}.w"].T + self.weights[f"{name}.b"]
            elif kind == "relu":
                x = np.maximum(x, 0)
            else:
                x = x[:, ::-1]
            out.append(x)
        return out
''')

# %%
# The backend
# -----------
# ``to_graph`` walks over the framework's calls in their order and adds an operator for each. Four things are easy to
# forget, and are why there is a contract: a parameter that two calls read is there once; a step that has no counterpart
# is refused *by name*; the model is compared with the framework's own values; and the model stays as it was.

write("xaicore_stack.py", '''
import numpy as np
from stack import Stack

from xaicore.errors import BackendError, ConversionError
from xaicore.graph import Builder
from xaicore.graph.run import check_feeds
from xaicore.graph.verify import verify as compare
from xaicore.ops import Dense, ReLU


def to_graph(model, example=None, *, dtype="float64", verify=True):
    """The graph of a Stack."""
    if not isinstance(model, Stack):
        kind = type(model).__name__
        raise BackendError(f"a stack.Stack is expected, not a {kind}; build one first")
    b = Builder("stack")
    x = b.input("x", (None, model.size))
    params, made = {}, []
    for name, kind in model.steps:
        where = {"name": name, "layer": name, "origin": f"stack.{kind}"}
        if kind == "dense":
            for k in (f"{name}.w", f"{name}.b"):
                if k not in params:
                    params[k] = b.param(k, model.weights[k])
            x = b.add(Dense(), x, params[f"{name}.w"], params[f"{name}.b"], **where)
        elif kind == "relu":
            x = b.add(ReLU(), x, **where)
        else:
            raise ConversionError(f"step {name!r}: the operator {kind!r} has no "
                                  f"counterpart; write it as a dense layer")
        made.append(x)
    graph = b.build(x)
    if verify:
        given = np.ones((2, model.size)) if example is None else example
        feeds = check_feeds(graph, given)
        compare(graph, feeds, dict(zip(made, model.values(feeds["x"])[1:])), "stack")
    return graph.astype(dtype)
''')

xaicore_stack = load("xaicore_stack")
Stack = xaicore_stack.Stack

# %%
# Check the contract
# ------------------
# ``check_backend`` wants small models with drawn weights (zeros and ones hide mistakes), one of them with a layer that
# is called twice; and, as black boxes, what only the framework knows: its values, its layers, its weights, something
# that must be refused.

import numpy as np

import xaicore as xc
from xaicore.testing import check_backend

rng = np.random.default_rng(0)
shapes = {"fc.w": (4, 4), "fc.b": (4,), "out.w": (3, 4), "out.b": (3,)}
weights = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
steps = [("fc", "dense"), ("act", "relu"), ("fc", "dense"), ("out", "dense")]
model = Stack(4, steps, weights)
x = rng.standard_normal((2, 4))


def contract(backend):
    return check_backend(
        backend, {"shared layer": (model, x)},
        forward=lambda m, inputs: m.values(inputs[0])[-1],
        layers=lambda m: {"fc": 2, "act": 1, "out": 1},
        weights=lambda m: m.weights,
        refused=[(Stack(4, [("odd", "flip")], {}), x, "flip")], frameworks=["stack"])


report = contract(xaicore_stack)
print(report)
assert report.ok
for law in ("one node per call", "parameters once", "planted difference"):
    assert report.status(law) == "holds"
assert report.status("gradient") == "does not apply"  # we gave none: visible

# %%
# A law that nobody could check is no pass: the line under it says what to give. Now the framework's models are like any
# other:

graph = xaicore_stack.to_graph(model, x)
print(graph)
a = xc.explain(graph, x, "lrp.epsilon", target=0)
assert np.allclose(a.total() + a.absorbed, a.output)

from xaicore.show.neurons import neurons

neurons(a)

# %%
# Plant a bug
# -----------
# Suppose somebody drops the bias, and switches the comparison off because it complains:

source = Path(place.name, "xaicore_stack.py").read_text()
broken = source.replace(', params[f"{name}.b"], **where', ", **where")
broken = broken.replace("    if verify:", "    if False:")
write("xaicore_broken.py", broken)

found = contract(load("xaicore_broken"))
print("\n".join(line for line in str(found).splitlines() if "FAILS" in line))
assert not found.ok
assert found.status("forward") == found.status("planted difference") == "fails"
place.cleanup()

# %%
# What you know now
# -----------------
# * A backend is one function: a table from operators to operators, and a walk.
# * Compare with the framework while converting. A graph that is a little wrong explains another model.
# * ``check_backend`` belongs into your test suite. ``backends/README.md`` has the contract, and the entry point by
#   which ``xc.from_model(model, example)`` finds yours.
#
# **Do not conclude** that a converted model is explained well because it converts. It computes the same, and that is
# all.
#
# This was the last lesson. Take a model of yours, ``xaicore inspect`` it, and start again at lesson 3.
