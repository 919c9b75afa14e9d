"""Bad input to the Python interface: each a typed error that names the thing, what was found, what was expected, the next step.

Read the messages aloud: they are the part of the documentation that people read when something does not work.
"""

from __future__ import annotations

import re
from fractions import Fraction as F

import numpy as np
import pytest

import xaicore as xc
from tests.nets import NET_A, X_A, mlp
from tests.oracle.planted import cnn, image, several
from xaicore import Builder, Graph
from xaicore.errors import (
    ExactnessError,
    GraphError,
    Inapplicable,
    InputError,
    ShapeError,
    UncoveredNode,
    UnknownName,
    Unsupported,
    XaicoreError,
)
from xaicore.ops import (
    Add,
    Conv,
    Dense,
    Embedding,
    Exp,
    Flatten,
    MatMul,
    ReLU,
    Reshape,
    Softmax,
    Sum,
)
from xaicore.oracle.strategies import numbers
from xaicore.rules import RULE_SETS, affine, epsilon, op
from xaicore.rules.ruleset import RuleSet

CNN, HEAD, IMAGE = cnn(), cnn(head=True), image(2)
SEVERAL, FEEDS = several()


def tokens() -> Graph:
    """Token ids in, two scores out: no floating input."""
    rng = np.random.default_rng(0)
    b = Builder("tokens")
    words = b.add(Embedding(), b.param("table", numbers(rng, (5, 3))), b.input("ids", (None, 2), "int"), name="words")
    return b.build(b.add(Dense(), b.add(Flatten(), words, name="flat"), b.param("w", numbers(rng, (2, 6))), name="scores"))


def maps() -> Graph:
    b = Builder("maps")
    return b.build(b.add(Conv(), b.input("image", (None, 2, 4, 4)), b.param("w", np.ones((3, 2, 3, 3))), name="maps"))


TOKENS, MAPS = tokens(), maps()


def explain(graph=CNN, x=IMAGE, method="gradient", target=0, **settings):
    return lambda: xc.explain(graph, x, method, target, **settings)


def changed(value):
    """The image with one entry replaced."""
    x = IMAGE.copy()
    x[1, 0, 2, 3] = value
    return x


CASES = {
    # ----- the input ------------------------------------------------------------------------------------------------
    "no batch": (explain(x=IMAGE[0]), ShapeError,
                 "input 'image' has shape (2, 4, 4), but float(N, 2, 4, 4) is expected (rank 4); axis 0 is the batch: a single sample is x[None]"),
    "wrong channels": (explain(x=IMAGE[:, :1]), ShapeError,
                       "input 'image' has shape (2, 1, 4, 4), but float(N, 2, 4, 4) is expected: 1 instead of 2 on axis 1"),
    "wrong size": (explain(x=IMAGE[..., :3]), ShapeError, "input 'image' has shape (2, 2, 4, 3), but float(N, 2, 4, 4) is expected: 3 instead of 4 on axis 3"),
    "a fixed batch": (explain(cnn(batch=1)), ShapeError,
                      "2 instead of 1 on the batch; this graph was converted with a fixed batch: feed 1 at a time, or convert it with a free batch"),
    "empty batch": (explain(x=IMAGE[:0]), InputError,
                    "input 'image' has shape (0, 2, 4, 4): an empty batch has nothing to explain; give at least one sample"),
    "NaN": (explain(x=changed(np.nan)), InputError, "input 'image' holds nan at index (1, 0, 2, 3); every entry must be finite"),
    "infinity": (explain(x=changed(-np.inf)), InputError, "input 'image' holds -inf at index (1, 0, 2, 3); every entry must be finite"),
    "beyond float32": (explain(CNN.astype("float32"), changed(1e39)), InputError,
                       "input 'image' holds 1e+39 at index (1, 0, 2, 3), which float32 cannot hold; scale the input down, or use graph.astype('float64')"),
    "complex": (explain(x=IMAGE + 1j), InputError, "input 'image' has dtype complex128, but numbers are expected; if that is what it holds, convert "
                "it with x.astype('float64')"),
    "booleans": (explain(x=IMAGE > 0), InputError, "input 'image' has dtype bool, but numbers are expected"),
    "objects": (explain(x=np.full((1, 2, 4, 4), None)), InputError, "input 'image' has dtype object, but numbers are expected"),
    "text": (explain(x=np.full((1, 2, 4, 4), "1")), InputError, "input 'image' has dtype <U1, but an array of numbers is expected"),
    "a file name": (explain(x="cat.png"), InputError, "input 'image' is 'cat.png', but an array of numbers is expected; read the file or the text "
                    "into one first"),
    "None": (explain(x=None), InputError, "input 'image' is None, but an array of numbers is expected"),
    "ragged lists": (explain(NET_A, [[1.0, 2.0], [3.0]]), InputError, "input 'x' cannot be read as an array (setting an array element with a sequence"),
    "Fractions for floats": (explain(NET_A, [[F(1), F(2)]]), InputError, "input 'x' holds Fractions, but the graph is float64; use graph.astype('exact')"),
    "floats for Fractions": (explain(NET_A.astype("exact"), X_A), ExactnessError, f"input 'x': {np.float64(3.0)!r} is a float64, and exact mode takes only "
                             "int and Fraction. Write it as a fraction"),
    "unknown input": (explain(x={"img": IMAGE}), UnknownName, "the graph has no input 'img': did you mean 'image'?"),
    "nothing": (lambda: CNN(), InputError, "no value was given for input 'image' (float(N, 2, 4, 4))"),
    "in order and by name": (lambda: CNN(IMAGE, image=IMAGE), InputError, "give the inputs either in order or by name (image), not both"),
    "too few": (lambda: SEVERAL(FEEDS["x"], FEEDS["z"]), InputError,
                "the graph has 4 inputs (ids, switch, x, z), and 2 came; give a mapping by name, or a tuple with one array for each"),
    "one for several": (explain(SEVERAL, FEEDS["x"], target=("one", 0)), InputError,
                        "the graph has 4 inputs (ids, switch, x, z), and one ndarray came; give a mapping by name"),
    "one is missing": (explain(SEVERAL, {k: v for k, v in FEEDS.items() if k != "z"}, target=("one", 0)), InputError,
                       "no value was given for input 'z' (float(N, 2))"),
    "batches that differ": (explain(SEVERAL, {**FEEDS, "z": FEEDS["z"][:1]}, target=("one", 0)), ShapeError,
                            "the inputs differ in their batch (axis 0): {'ids': 2, 'switch': 2, 'x': 2, 'z': 1}"),
    "floats for ids": (explain(SEVERAL, {**FEEDS, "ids": FEEDS["ids"] / 1}, target=("one", 0)), InputError,
                       "input 'ids' has dtype float64, but whole numbers are expected, such as token ids; convert it with x.astype('int64')"),
    "an id that is not there": (explain(SEVERAL, {**FEEDS, "ids": FEEDS["ids"] + 3}, target=("one", 0)), InputError,
                                "node 'words': Embedding: index 5 is outside the 5 entries; use 0 to 4"),
    "numbers for a switch": (explain(SEVERAL, {**FEEDS, "switch": [[2], [0]]}, target=("one", 0)), InputError,
                             "input 'switch' has dtype int64, but booleans are expected; convert it with x.astype(bool)"),
    "values that overflow": (explain(mlp([[[1e300]]], [None]), [[1e300]]), InputError,
                             "node 'fc1': Dense() leaves the range of float64 (overflow encountered in matmul); its output would not be a number. Check "
                             "the scale of the input"),
    "a signal that overflows": (explain(*(lambda b: (b.build(b.add(Exp(), b.input("x", (None, 1)), name="exp")), [[709.5]]))(Builder())), InputError,
                                "node 'exp': the signal on its way back leaves the range of float64 at Exp()"),
    # ----- the model ------------------------------------------------------------------------------------------------
    "no graph": (explain("model.onnx"), InputError, "explain takes a Graph, not str: convert the model first, graph = xaicore.from_model(model, "
                 "example_inputs), or read its file, graph = xaicore.load('model.onnx')"),
    "None for a graph": (explain(None), InputError, "explain takes a Graph, not NoneType"),
    "another object": (explain(np.random.default_rng(0)), InputError, "explain takes a Graph, not numpy.random._generator.Generator"),
    "no floating input": (explain(TOKENS, [[0, 1]]), InputError,
                          "no input of this graph is floating, so there is nothing to differentiate; explain a layer instead, for example layer='words'"),
    "NaN weights": (lambda: mlp([[[1.0, np.nan]]], [None]), GraphError, "parameter 'w1' holds nan at index (0, 1): a number computed from it means "
                    "nothing. Repair the model's weights, then convert it again"),
    "infinite weights": (lambda: mlp([[[np.inf, 1.0]]], [None]), GraphError, "parameter 'w1' holds inf at index (0, 0)"),
    "NaN biases": (lambda: mlp([[[1.0, 1.0]]], [[np.nan]]), GraphError, "parameter 'b1' holds nan at index (0,)"),
    "weights beyond float32": (lambda: mlp([[[1e39]]], [None]).astype("float32"), InputError, "parameter 'w1' holds 1e+39, which float32 cannot hold; "
                               "scale the weights, or stay in float64 or in exact mode"),
    "rationals beyond float64": (lambda: (lambda b: b.build(b.add(Dense(), b.input("x", (None, 1)), b.param("w", [[F(10**400)]]))))(
        Builder(dtype="exact")).astype("float64"), InputError, "which float64 cannot hold"),
    "text for weights": (lambda: mlp([[["a"]]], [None]), GraphError, "parameter 'w1' has dtype <U1; numbers are expected"),
    "another arithmetic": (lambda: CNN.astype("float16"), InputError, "astype('float16'): the arithmetics are float64, float32, exact"),
    "layers that do not fit": (lambda: (lambda b: b.build(b.add(Dense(), b.input("x", (None, 3)), b.param("w", np.ones((2, 4))), name="fc")))(Builder())(
        np.ones((1, 3))), ShapeError, "node 'fc': Dense: x has shape (1, 3), but (N, ..., 4) is expected"),
    "an operator class": (lambda: (lambda b: b.add(ReLU, b.input("x", (None, 3))))(Builder()), GraphError, "add takes an operator instance such as ReLU()"),
    "a value that is not there": (lambda: (lambda b: b.add(ReLU(), b.input("x", (None, 3)) + "x"))(Builder()), GraphError,
                                  "node 'relu' reads 'xx', which nothing before it defines: did you mean 'x'?"),
    "too few arguments": (lambda: (lambda b: b.build(b.add(MatMul(), b.input("x", (None, 3)), name="product")))(Builder()), GraphError,
                          "node 'product': MatMul takes 2 inputs, 1 were given"),
    "no output": (lambda: (lambda b: b.build(*[b.input("x", (None, 3))][:0]))(Builder()), GraphError, "a graph needs at least one output"),
    # ----- the target -----------------------------------------------------------------------------------------------
    "target out of range": (explain(target=3), InputError, "target 3 is out of range on axis 1 of output 'logits': it has 3 entries, 0 to 2"),
    "negative target": (explain(target=-1), InputError, "target -1 is out of range on axis 1 of output 'logits': it has 3 entries, 0 to 2"),
    "one of several out of range": (explain(target=[0, 5]), InputError, "target 5 is out of range on axis 1 of output 'logits'"),
    "too many targets": (explain(target=[0, 1, 2]), InputError, "3 targets were given for a batch of 2; give one index, or one for each sample "
                         "(weights are an array of floats or Fractions)"),
    "no targets": (explain(target=[]), InputError, "the target is []; for output 'logits' of shape (N, 3) it is an index, one for each sample in a list"),
    "a float": (explain(target=1.0), InputError, "the target is 1.0; for output 'logits' of shape (N, 3) it is an index, one for each sample in a list, or "
                "an array of weights of shape (3,)"),
    "True": (explain(target=True), InputError, "the target is True; for output 'logits'"),
    "a class name": (explain(target="cat"), InputError, "the target is 'cat'; for output 'logits'"),
    "a mapping": (explain(target={"cat": 1}), InputError, "the target is {'cat': 1}; for output 'logits'"),
    "two indices for one axis": (explain(target=(0, 1)), InputError,
                                 "target (0, 1) has 2 indices, but output 'logits' has shape (N, 3) and needs 1 index, for example target=0"),
    "one index for three axes": (explain(MAPS, target=1), InputError,
                                 "target 1 has 1 index, but output 'maps' has shape (N, 3, 2, 2) and needs 3 indices, for example target=(0, 0, 0)"),
    "no index for three axes": (explain(MAPS, target=None), InputError, "output 'maps' has shape (N, 3, 2, 2); give a target tuple with 3 indices, for "
                                "example target=(0, 0, 0)"),
    "a place outside a map": (explain(MAPS, target=(0, 2, 0)), InputError, "target 2 is out of range on axis 2 of output 'maps': it has 2 entries, 0 to 1"),
    "weights of another shape": (explain(target=np.ones(4)), InputError, "or an array of weights of shape (3,)"),
    "weights that are no numbers": (explain(target=np.array([np.nan, 0, 1])), InputError, "the target's weights hold nan at index (0,), so f(x) would not be a number"),
    "weights that are Fractions": (explain(target=np.array([F(1), F(0), F(0)])), InputError, "the target's weights have dtype object; give floats, or use "
                                   "graph.astype('exact') for Fractions"),
    "weights of text": (explain(target=np.array(["a", "b", "c"])), InputError, "the target is array(['a', 'b', 'c']"),
    "weights that are true or false": (explain(target=[True, False, True]), InputError, "the target is [True, False, True]; for output 'logits'"),
    "which output": (explain(SEVERAL, FEEDS, target=0), InputError, "the graph has 2 outputs (one, two); name one in the target: target=('one', index)"),
    "an output that is not there": (explain(SEVERAL, FEEDS, target=("tow", 0)), UnknownName, "the target names output 'tow': did you mean 'two'"),
    "an index outside of that output": (explain(SEVERAL, FEEDS, target=("two", 2)), InputError, "target 2 is out of range on axis 1 of output 'two'"),
    "a callable without result": (explain(target=lambda b, y: None), InputError, "the target callable returned None; it gets (builder, name of the "
                                  "explained value) and returns the name of the node that it adds: lambda b, y: b.add(Sum((1,)), y)"),
    "a callable that names nothing": (explain(target=lambda b, y: "score"), InputError, "the target callable returned 'score'; it gets"),
    "a callable of one argument": (explain(target=lambda y: y), InputError, "the target callable cannot be called with two arguments; it gets"),
    "a callable with many numbers": (explain(target=lambda b, y: b.add(ReLU(), y, name="all")), InputError,
                                     "the target callable returned 'all' of shape (2, 3); one number for each sample is expected, for example "
                                     "b.add(Sum((1,)), name)"),
    # ----- what is asked for ----------------------------------------------------------------------------------------
    "method": (explain(method="lrp.epsilom"), UnknownName, "no method is called 'lrp.epsilom': did you mean 'lrp.epsilon'"),
    "method, far off": (explain(method="magic"), UnknownName, "no method is called 'magic': known: "),
    "no method": (explain(method=None), UnknownName, "no method is called None: known: "),
    "setting": (explain(method="lrp.epsilon", epsilon=1), UnknownName, "lrp.epsilon has no setting 'epsilon': did you mean 'eps'?"),
    "setting of a method without": (explain(eps=1), UnknownName, "gradient has no setting 'eps': it has none, so leave eps out"),
    "setting that is missing": (explain(method="lrp.z_box"), InputError, "lrp.z_box needs the range of the input: low=..., high=..."),
    "half of the range": (explain(method="lrp.epsilon_gamma_box", low=0), InputError, "lrp.epsilon_gamma_box needs the range of the input"),
    "an empty box": (explain(method="lrp.z_box", low=2, high=1), InputError, "low=2 and high=1 span no box; low <= x <= high is expected of the input"),
    "a box of text": (explain(method="lrp.z_box", low="0", high=1), InputError, "low=array('0'"),
    "a box of another shape": (explain(method="lrp.z_box", low=np.zeros(3), high=1), ShapeError, "low has shape (3,), which does not fit the input of "
                               "shape (2, 2, 4, 4); give a number, or one for each channel of shape (C, 1, 1)"),
    "eps, text": (explain(method="lrp.epsilon", eps="small"), InputError, "eps='small' must be a finite number of at least 0"),
    "eps, negative": (explain(method="lrp.gamma", eps=-1e-6), InputError, "eps=-1e-06 must be a finite number of at least 0"),
    "eps, NaN": (explain(method="lrp.z_plus", eps=float("nan")), InputError, "eps=nan must be a finite number of at least 0"),
    "eps, None": (explain(method="deep_taylor", eps=None), InputError, "eps=None must be a finite number of at least 0"),
    "gamma": (explain(method="lrp.gamma", gamma=-1), InputError, "gamma=-1 must be a finite number of at least 0"),
    "alpha": (explain(method="lrp.alpha_beta", alpha=0.5), InputError, "alpha=0.5 must be a finite number of at least 1: alpha - beta = 1 with beta >= 0"),
    "alpha, text": (explain(method="lrp.alpha_beta", alpha="2"), InputError, "alpha='2' must be a finite number of at least 1"),
    "threshold": (explain(method="deeplift.rescale", threshold=-1), InputError, "threshold=-1 must be a finite number of at least 0"),
    "bias policy": (explain(method="lrp.zero", bias="keep"), InputError, "bias='keep' is not a policy; there are: 'absorb', 'ignore', 'distribute', 'whole'"),
    "reduction": (explain(method="saliency", reduce="max"), InputError, "reduce='max' does not exist; there are 'none', 'abs', 'max_abs', 'sum_abs', 'l2'"),
    "reduction, a list": (explain(method="saliency", reduce=["abs"]), InputError, "reduce=['abs'] does not exist"),
    "quadrature": (explain(method="integrated_gradients", quadrature="midpont"), UnknownName, "quadrature='midpont' does not exist: did you mean 'midpoint'"),
    "steps": (explain(method="integrated_gradients", steps=0), InputError, "steps=0 must be a whole number of at least 1"),
    "samples": (explain(method="smoothgrad", samples=2.5), InputError, "samples=2.5 must be a whole number of at least 1"),
    "seed": (explain(method="smoothgrad", seed=None), InputError, "seed=None must be a whole number of at least 0"),
    "window": (explain(method="occlusion", window=9), InputError, "window (2, 9, 9) is larger than input 'image' of shape (2, 2, 4, 4)"),
    "scale": (explain(output="probabilty"), UnknownName, "output='probabilty': the explained scale is one of 'logit', 'probability', 'log_probability'"),
    "batch_size 0": (explain(method="occlusion", batch_size=0), InputError, "batch_size=0 must be a whole number of at least 1"),
    "batch_size, text": (explain(batch_size="all"), InputError, "batch_size='all' must be a whole number of at least 1"),
    "batch_size True": (explain(batch_size=True), InputError, "batch_size=True must be a whole number of at least 1"),
    "progress": (explain(progress=10), InputError, "progress=10 must be True, False, or a function of (done, count)"),
    "keep": (explain(keep=3), InputError, "keep=3 must be 'all', 'inputs', or a list of layer names"),
    "keep, unknown": (explain(keep=["conv"]), UnknownName, "no layer or node is called 'conv': did you mean"),
    "which inputs": (explain(SEVERAL, FEEDS, target=("one", 0), wrt=["y"]), UnknownName, "wrt='y' is not a floating input: known: x, z"),
    "whole numbers explained": (explain(SEVERAL, FEEDS, target=("one", 0), wrt=["ids"]), UnknownName, "wrt='ids' is not a floating input: known: x, z"),
    "no inputs explained": (explain(SEVERAL, FEEDS, target=("one", 0), wrt=[]), InputError, "wrt names no input, so nothing would be explained; leave it "
                            "out, or choose among x, z"),
    # ----- baselines ------------------------------------------------------------------------------------------------
    "baseline, shape": (explain(method="deeplift.rescale", baseline=np.zeros((3, 4, 4))), ShapeError,
                        "the baseline of input 'image' has shape (3, 4, 4); a number, (2, 4, 4) (one for all) or (2, 2, 4, 4) is expected"),
    "baseline, batch": (explain(method="integrated_gradients", baseline=np.zeros((3, 2, 4, 4))), ShapeError, "the baseline of input 'image' has shape "
                        "(3, 2, 4, 4)"),
    "baseline, name": (explain(method="deeplift.rescale", baseline={"img": 0}), UnknownName, "the baseline names 'img', which is no input: did you mean "
                       "'image'?"),
    "baseline, text": (explain(method="deeplift.rescale", baseline="black"), InputError, "the baseline of input 'image' is 'black'; a number, one sample or "
                       "a batch of numbers is expected"),
    "baseline, True": (explain(method="deeplift.rescale", baseline=True), InputError, "the baseline of input 'image' is True"),
    "baseline, complex": (explain(method="deeplift.rescale", baseline=1j), InputError, "the baseline of input 'image' is 1j"),
    "baseline, NaN": (explain(method="deeplift.rescale", baseline=float("nan")), InputError, "the baseline: input 'image' holds nan at index (0, 0, 0, 0)"),
    "baseline, infinite": (explain(method="integrated_gradients", baseline=np.full((2, 4, 4), np.inf)), InputError, "the baseline: input 'image' holds inf"),
    "root": (explain(method="simple_taylor", root=np.zeros(3)), ShapeError, "the root of input 'image' has shape (3,)"),
    "fill": (explain(method="occlusion", fill=np.zeros(3)), ShapeError, "the fill of input 'image' has shape (3,)"),
    # ----- layers ---------------------------------------------------------------------------------------------------
    "layer": (explain(layer="conv3"), UnknownName, "no layer or node is called 'conv3': did you mean 'conv2' or 'conv1'?"),
    "layer of a path": (explain(method="integrated_gradients", layer="con1"), UnknownName, "no layer or node is called 'con1': did you mean 'conv1'"),
    "layer, a number": (explain(layer=3), UnknownName, "a layer is given by its name, not by 3: known: conv1, conv2"),
    "behind the softmax": (explain(HEAD, layer="probabilities"), Inapplicable, "layer 'probabilities' does not lie between the input and the explained "
                           "value 'logits' (the Softmax is taken off; output='probability' explains what is behind it); choose one that does: conv1"),
    "beside the explained output": (explain(SEVERAL, FEEDS, target=("one", 0), layer="two"), Inapplicable,
                                    "layer 'two' does not lie between the input and the explained value 'one'; choose one that does: "),
    "the explained value": (explain(method="occlusion", layer="logits"), Inapplicable, "layer 'logits' is the explained value itself, so nothing lies "
                            "behind it; choose a layer before it"),
    "a layer that does not depend on x": (explain(SEVERAL, FEEDS, target=("one", 0), layer="words"), Inapplicable,
                                          "no signal passes 'words' on the way from 'one' to the input"),
    "no map": (explain(method="grad_cam", layer="fc1"), Inapplicable, "grad_cam: layer 'fc1' has shape (2, 4); feature maps (N, C, *S) with one to three "
               "spatial axes are expected"),
    "no convolution": (explain(NET_A, X_A, "grad_cam"), Inapplicable, "grad_cam needs a value with spatial axes, and no convolution lies between the input "
                       "and the explained value; name one with layer="),
    "not kept": (lambda: xc.explain(CNN, IMAGE, target=0, keep="inputs").layers["conv1"], UnknownName, "no attribution was kept at 'conv1': ask for it "
                 "with keep='all' or keep=['conv1']"),
    # ----- methods that do not apply ----------------------------------------------------------------------------------
    "a probability under LRP": (explain(HEAD, method="lrp.epsilon", output="probability"), Inapplicable, "lrp.epsilon: LRP starts at a logit, and a softmax "
                                "head would take the relevance of every class apart; use output='logit' (the default), which explains the value before "
                                "Softmax"),
    "no exact line": (explain(*(lambda b: (b.build(b.add(Sum((1,)), b.add(Exp(), b.input("x", (None, 2)), name="exp"))), [[1.0, 2.0]]))(Builder()),
                              method="integrated_gradients.exact", target=None), Inapplicable, "node 'exp' (Exp(); layer ?) is not piecewise linear in what "
                      "moves along the path, so its integral has no exact pieces; use integrated_gradients, which samples the path"),
    "a node without a rule": (lambda: xc.explain(CNN, IMAGE, RuleSet("mine", "relevance", ((affine, epsilon()),)), 0), UncoveredNode,
                              "mine: no row covers node 'relu1' (ReLU(); layer ?). Add one in front: rules.before((op(ReLU), <rule>))"),
    "another explained value": (lambda: xc.explain(CNN, IMAGE)["x"], UnknownName, "'x' was not attributed to: known: image"),
    "one array of several": (lambda: np.asarray(xc.explain(SEVERAL, FEEDS, target=("one", 0))), InputError, "this attribution has 2 parts (x, z); choose "
                             "one: a['x']"),
    # ----- files ----------------------------------------------------------------------------------------------------
    "no file": (lambda: xc.load("nowhere.json"), XaicoreError, "nowhere.json"),
    "a file of another kind": (lambda: xc.load(__file__), XaicoreError, "test_bad_input.py"),
    "a model of no framework": (lambda: xc.from_model(3, IMAGE), XaicoreError, "int"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_a_typed_error_that_says_what_to_do(case):
    call, error, text = CASES[case]
    with pytest.raises(error, match=re.escape(text)) as caught:
        call()
    assert error is XaicoreError or type(caught.value) is error
    assert caught.value.exit_code in (2, 3, 4)


def test_messages_are_sentences_on_one_line():
    for name, (call, _, _) in CASES.items():
        with pytest.raises(XaicoreError) as caught:
            call()
        message = str(caught.value)
        assert "\n" not in message, name
        assert len(message) < 900, name                                 # the longest lists all methods
        assert "  " not in message.replace("  (xaicore methods lists them)", ""), name


@pytest.mark.parametrize("method", sorted(xc.METHODS))
def test_every_method_refuses_a_setting_that_it_does_not_have(method):
    with pytest.raises(UnknownName, match=f"{re.escape(method)} has no setting 'sttng'"):
        xc.explain(CNN, IMAGE, method, 0, sttng=1)


@pytest.mark.parametrize("method", sorted(xc.METHODS))
def test_every_method_checks_the_common_arguments(method):
    box = {"low": -2, "high": 2} if "box" in method else {}
    for arguments, error in (({"x": IMAGE[:0]}, InputError), ({"x": changed(np.nan)}, InputError), ({"target": 3}, InputError),
                             ({"batch_size": 0}, InputError), ({"output": "logits"}, UnknownName)):
        with pytest.raises(error):
            xc.explain(**{"graph": CNN, "x": IMAGE, "method": method, "target": 0, **box, **arguments})


def test_what_a_message_advises_works():
    """The next step that the messages name, taken."""
    a = xc.explain(TOKENS, [[0, 1]], "deeplift.rescale", target=1, layer="words")
    assert a["words"].shape == (1, 2, 3)
    assert a.gap() == pytest.approx(0)
    assert a.settings["layer"] == "words"
    assert np.asarray(xc.explain(HEAD, IMAGE, target=0, output="probability", layer="logits")).any()
    assert xc.explain(cnn(batch=1), IMAGE[:1], target=0).output.shape == (1,)
    assert xc.explain(CNN, IMAGE, target=lambda b, y: b.add(Sum((1,)), y)).output == pytest.approx(CNN(IMAGE).sum(axis=1))
    assert np.asarray(xc.explain(CNN, IMAGE[0][None], target=0)).shape == (1, 2, 4, 4)
    assert xc.explain(MAPS, IMAGE, target=(0, 0, 0)).output.shape == (2,)
    rules = RuleSet("mine", "relevance", ((affine, epsilon()),)).before((op(ReLU), RULE_SETS["lrp.zero"]().rules[4][1]))
    with pytest.raises(UncoveredNode, match="node 'pool'"):
        xc.explain(CNN, IMAGE, rules, 0)


def test_a_layer_of_whole_numbers_has_no_gradient():
    b = Builder()
    ids = b.add(Reshape((2,)), b.input("ids", (None, 1, 2), "int"), name="row")
    graph = b.build(b.add(Flatten(), b.add(Embedding(), b.param("table", np.ones((3, 2))), ids, name="words"), name="flat"))
    with pytest.raises(Inapplicable, match="layer 'row' has dtype int64, so there is nothing to differentiate; choose a floating layer, such as an embedding"):
        xc.explain(graph, [[[0, 1]]], target=0, layer="row")


def test_an_operator_without_a_backward_pass_is_unsupported():
    """A value that only an index depends on: nothing flows back."""
    b = Builder()
    x, y = b.input("x", (None, 2)), b.input("y", (None, 2))
    graph = b.build(b.add(Add(), y, y, name="only_y"))
    del x
    with pytest.raises(Unsupported, match="'only_y' does not depend on x, so there is nothing to attribute"):
        xc.explain(graph, {"x": [[1.0, 2.0]], "y": [[1.0, 2.0]]}, target=0, wrt=["x"])


def test_a_softmax_in_the_middle_is_no_head():
    """Explained as it stands: only a softmax at the output is taken off."""
    b = Builder()
    h = b.add(Softmax(), b.input("x", (None, 3)), name="weights")
    a = xc.explain(b.build(b.add(Dense(), h, b.param("w", [[1.0, 2.0, 3.0]]), name="y")), [[1.0, 2.0, 3.0]], "gradient")
    assert a.explained == "'y'"
