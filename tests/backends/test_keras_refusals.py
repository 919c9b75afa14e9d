"""The Keras backend: what ``verify`` catches, and what is refused, with which words."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest

from tests.backends.keras_compare import MARKS, close, double, keras, redraw, run_keras, small_cnn, torch
from xaicore import plugins
from xaicore.errors import BackendError, ConversionError, InputError, Mismatch, ShapeError, UnknownName, Unrecorded
from xaicore.ops import AvgPool, BatchNorm, Conv, Identity, MaxPool, ReLU, Softmax

from tests.backends.keras_cases import chain, function  # isort: skip
from xaicore_keras import to_graph  # isort: skip

__all__ = ["double"]
pytestmark = MARKS
layers, ops = keras.layers, keras.ops

# ----- what verify catches ----------------------------------------------------------------------------------------

BUGS = {
    "pads the wrong side": ("Conv2D", "first", lambda op: Conv(op.stride, op.dilation, tuple((b, a) for a, b in op.pads), op.groups), Conv),
    "forgets the stride": ("Conv2D", "first", lambda op: Conv((), op.dilation, op.pads, op.groups), Conv),
    "takes another epsilon": ("BatchNormalization", "norm", lambda op: BatchNorm(1e-1), BatchNorm),
    "leaves the activation out": ("Conv2D", "first", lambda op: Identity(), ReLU),
    "pools otherwise": ("MaxPooling2D", "pool", lambda op: AvgPool(op.kernel, op.stride), MaxPool),
    "normalises the other axis": ("Dense", "head", lambda op: Identity(), Softmax),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_mistake_is_caught_and_named(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from xaicore_keras.convert import Call

    layer, name, spoil, kind = BUGS[bug]
    honest = Call.add

    def add(self: Any, op: Any, *inputs: Any, tag: str = "") -> str:
        return honest(self, spoil(op) if isinstance(op, kind) and self.name == name else op, *inputs, tag=tag)

    monkeypatch.setattr(Call, "add", add)
    model = redraw(small_cnn())
    with pytest.raises(Mismatch, match=rf"node '{name}[a-z/]*' .*layer {name}; from keras\.layers\.{layer}\)"):
        to_graph(model)
    if bug == "forgets the stride":         # then the dense layer behind is another one than was saved, which is seen without Keras
        with pytest.raises(ConversionError, match=r"'head' .*kernel has the shape \(16, 3\), but its settings and its input call for"):
            to_graph(model, verify=False)
    else:
        to_graph(model, verify=False)


def test_cancellation_in_float32_is_no_mismatch() -> None:
    """100 + 0.001 z, normalised back to z: float32 has lost digits of z before, but each layer by itself is right."""
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    model = chain((8,), layers.Dense(8), layers.BatchNormalization(epsilon=1e-12), layers.Dense(2))
    dense, norm = model.layers[:2]
    dense.set_weights([1e-3 * np.random.default_rng(1).normal(size=(8, 8)), np.full(8, 100.0)])
    norm.set_weights([np.ones(8), np.zeros(8), np.full(8, 100.0), np.full(8, 1e-6)])
    x = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")
    graph = to_graph(model, x)
    off = np.abs(graph(x) - run_keras(model, (torch.tensor(x),))[0].detach().numpy()).max()
    assert off > 1e-4 * np.abs(graph(x)).max()      # more than what verify allows for one layer


# ----- refusals ---------------------------------------------------------------------------------------------------


class Twice(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return x * 2


class Own(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.fc = keras.layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.fc(x)


class Loud(keras.layers.Dense):
    def call(self, x: Any, training: Any = None) -> Any:
        return super().call(x) * 10


class Counter(keras.layers.Layer):
    """A cell of one's own."""

    state_size = output_size = 2

    def call(self, x: Any, states: Any, training: Any = None) -> Any:
        return x[..., :2] + states[0], [states[0]]


def merged_by_maximum() -> Any:
    layer = layers.Bidirectional(layers.LSTM(2))
    model = chain((4, 3), layer)
    layer.merge_mode = "max"                    # its constructor would refuse it
    return model


def joined_with_masks() -> Any:
    words = layers.Embedding(5, 4, mask_zero=True)
    return function(lambda x: layers.Concatenate(axis=1)([words(x), words(x)]), (4,))


REFUSED = {
    "Lambda": (lambda: chain((4,), layers.Lambda(lambda x: x * 2, name="double")),
               r"layer 'double' \(keras.layers.Lambda\) is a Python function.*keras.ops.*torch.export"),
    "own layer": (lambda: chain((4,), Twice(name="twice")), r"layer 'twice' \(.*Twice\) is a class of your own.*Functional model"),
    "subclass of a layer": (lambda: chain((4,), Loud(3, name="loud")), r"layer 'loud' \(.*Loud\) is a class of your own"),
    "nested own model": (lambda: function(Own(), (4,)), r"Own\) is a class of your own"),
    "no counterpart": (
        lambda: function(lambda x: ops.cumprod(x, axis=1), (4,)), r"operation 'cumprod[_0-9]*' \(keras.ops.Cumprod\) has no counterp"),
    "string lookup": (lambda: chain((4,), layers.Discretization(bin_boundaries=[0.0])), r"Discretization\) maps strings or categories"),
    "own activation": (lambda: chain((4,), layers.Dense(3, activation=lambda x: x * 2, name="fc")),
                       r"layer 'fc' .* has the activation '<lambda>', a Python function.*relu"),
    "sparsemax": (lambda: chain((4,), layers.Dense(3, activation="sparsemax", name="fc")), r"layer 'fc' .* has the activation 'sparsemax'"),
    "batch reduced": (lambda: function(lambda x: ops.sum(x), (4,)), r"works along axis 0, the batch \(axis=None\)"),
    "batch joined": (lambda: function(lambda a, b: layers.Concatenate(axis=0)([a, b]), (4,), (4,)), r"joins along axis 0, the batch"),
    "batch indexed": (lambda: function(lambda x: x[0], (4,)), r"picks from axis 0, the batch"),
    "batch moved": (lambda: function(lambda x: ops.transpose(x), (4,)), r"moves axis 0, the batch"),
    "batch reshaped": (lambda: function(lambda x: ops.reshape(x, (-1, 2)), (4,)), r"moves entries between samples"),
    "batch padded": (lambda: function(lambda x: ops.pad(x, 1), (4,)), r"pads axis 0, the batch"),
    "batch in einsum": (lambda: function(lambda x: ops.einsum("nc,mc->nm", x, x), (4,)), r"mixes or moves the batch"),
    "batch in matmul": (lambda: function(lambda x: ops.matmul(x[:, 0], x), (4, 4)), r"so that samples would meet"),
    "ranks": (lambda: function(lambda a, b: a * b, (4, 3), (3,)), r"different rank.*expand_dims"),
    "batched constant": (lambda: function(lambda x: x + np.ones((2, 4)), (4,)), r"constant of shape \(2, 4\).*axis 0"),
    "softmax over two axes": (lambda: chain((4, 3), layers.Softmax(axis=(1, 2))), r"softmax over the axes"),
    "antialias": (lambda: chain((8, 8, 3), layers.Resizing(4, 4, antialias=True)), r"has antialias=True.*use antialias=False"),
    "bicubic": (lambda: chain((8, 8, 3), layers.UpSampling2D(2, interpolation="bicubic")), r"has interpolation='bicubic'"),
    "TimeDistributed": (lambda: chain((3, 4, 2), layers.TimeDistributed(layers.Softmax(axis=1))), r"no batch of steps"),
    "TimeDistributed first": (
        lambda: chain((3, 2, 6, 6), layers.TimeDistributed(layers.Conv2D(2, 2, data_format="channels_first"))),
        r"data_format='channels_first'"),
    "scores": (
        lambda: function(lambda x: layers.MultiHeadAttention(2, 2)(x, x, return_attention_scores=True), (4, 3)),
        r"returns its attention scores"),
    "attention over images": (lambda: function(lambda x: layers.MultiHeadAttention(2, 2)(x, x), (4, 4, 3)), r"rank 4"),
    "power": (lambda: function(lambda a, b: a**b, (4,), (4,)), r"exponent that is not one number"),
    "take by tensor": (lambda: function(lambda x: ops.take(x, ops.cast(x, "int32"), axis=1), (4,)), r"indices that are computed"),
    "masked softmax": (
        lambda: chain((4,), layers.Embedding(5, 4, mask_zero=True), layers.Softmax(axis=1), dtype="int32"), r"reads a mask.*without"),
    "mask without a batch": (
        lambda: function(lambda x, m: layers.MultiHeadAttention(2, 2)(x, x, attention_mask=m), (4, 3), (4,)),
        r"is given an attention_mask"),
    "half precision": (lambda: chain((4,), layers.Dense(2, dtype="mixed_float16", name="fc")), r"'fc' .* computes in float16.*float32"),
    "gated attention": (lambda: function(lambda x: layers.MultiHeadAttention(2, 2, use_gate=True)(x, x), (4, 3)), r"has use_gate set.*leave this setting out"),
    "attention over two axes": (
        lambda: function(lambda x: layers.MultiHeadAttention(2, 2, attention_axes=(1, 2))(x, x), (4, 4, 3)),
        r"attends over the axes \(1, 2\) of a tensor of rank 4"),
    "attention of images": (lambda: function(lambda x: layers.Attention()([x, x]), (4, 4, 3)), r"attends with a query \(None, 4, 4, 3\)"),
    "attention with a bias": (
        lambda: function(lambda x: ops.dot_product_attention(x, x, x, bias=np.zeros((1, 2, 4, 4))), (4, 2, 3)), r"is given a bias or a constant mask"),
    "masked ConvLSTM": (lambda: chain((3, 4, 2), layers.Masking(), layers.ConvLSTM1D(2, 2)), r"reads a mask.*build the model without masking"),
    "norm of order 1": (lambda: function(lambda x: ops.normalize(x, axis=1, order=1), (4,)), r"normalises by the norm of order 1. To do: use order=2"),
    "norm of order 3": (lambda: function(lambda x: ops.norm(x, ord=3, axis=1), (4,)), r"has ord=3 over 1 axes. To do: use ord=2 or ord=1 over one axis"),
    "masks joined": (joined_with_masks, r"joins masked sequences"),
    "where": (lambda: function(lambda x: ops.where(x > 0), (4,)), r"has no values to choose from. To do: give x1 and x2"),
    "one-hot on axis 1": (lambda: function(lambda x: ops.one_hot(ops.cast(x, "int32"), 3, axis=1), (4,)), r"puts the classes on axis 1. To do: use axis=-1"),
    "both ways": (lambda: chain((3, 4, 2), layers.Bidirectional(layers.ConvLSTM1D(2, 2))), r"wraps a keras.layers.ConvLSTM1D. To do: wrap one of GRU, LSTM"),
    "merged by maximum": (merged_by_maximum, r"has the merge_mode 'max'. To do: use 'concat', 'sum', 'ave', 'mul' or None"),
    "own cell": (lambda: chain((3, 4), layers.RNN(Counter())), r"runs a cell of the kind .*Counter. To do: use keras.layers.LSTMCell"),
    "symmetric padding": (
        lambda: function(lambda x: ops.pad(x, ((0, 0), (1, 1)), mode="symmetric"), (4,)), r"has mode='symmetric'. To do: use 'constant', 'reflect' or 'edge'"),
    "broadcast": (lambda: function(lambda x: ops.broadcast_to(x, (3, 2, 4)), (4,)), r"adds axes \(\(None, 4\) to \(3, 2, 4\)\). To do: use expand_dims first"),
    "subclassed": (Own, r"is a subclass with its own call\(\).*torch.export.export"),
    "unbuilt": (lambda: keras.Sequential([layers.Dense(2)]), r"no input shape yet.*keras.Input"),
    "strings": (lambda: chain((4,), layers.Identity(), dtype="string"), r"has dtype string"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_has_no_counterpart_is_refused_with_a_way_out(why: str) -> None:
    build, message = REFUSED[why]
    try:
        model = build()
    except (ValueError, RuntimeError, ImportError) as error:        # what Keras itself cannot build on torch
        pytest.skip(f"Keras on torch cannot build it: {str(error).splitlines()[0]}")
    with pytest.raises(ConversionError, match=f"(?s){message}"):
        to_graph(model, verify=False)


def test_a_cap_of_scores_is_refused() -> None:
    """Keras itself takes one on a TPU only, so it is set behind its back."""
    model = function(lambda x: ops.dot_product_attention(x, x, x), (4, 2, 3))
    model.operations[-1].attn_logits_soft_cap = 1.0
    with pytest.raises(ConversionError, match=r"caps its scores. To do: leave attn_logits_soft_cap out"):
        to_graph(model, verify=False)


def test_quantised_layers_are_refused() -> None:
    model = chain((4,), layers.Dense(3, name="fc"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")         # Keras: an InputLayer has nothing to quantise
        model.quantize("int8")
    with pytest.raises(ConversionError, match=r"layer 'fc' .* computes in int8_from_.*rebuild the model"):
        to_graph(model)


@pytest.mark.parametrize("backend", ["tensorflow", "abacus"])
def test_a_keras_that_does_not_import_is_named(backend: str) -> None:
    """It asks for what it runs on when it is imported: one that is not installed, or that there is not."""
    code = "import xaicore_keras; from xaicore.data import digits_model; xaicore_keras.emit(digits_model())"
    env = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith("xaicore.errors.BackendError: this needs Keras, which did not import ("), ran.stderr
    assert "set the environment variable KERAS_BACKEND to torch, jax or tensorflow" in last


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(BackendError, match=r"a keras\.Model is expected, not a Dense"):
        to_graph(layers.Dense(2))


def test_an_example_of_the_wrong_shape_or_name_is_refused() -> None:
    model = small_cnn()
    with pytest.raises(ShapeError, match="input 'photo' has shape"):
        to_graph(model, np.zeros((2, 3, 8, 8)))
    with pytest.raises(InputError, match="empty batch"):
        to_graph(model, np.zeros((0, 8, 8, 3)))
    with pytest.raises(UnknownName, match=r"no input 'image': known: photo"):
        to_graph(model, {"image": np.zeros((2, 8, 8, 3))})


def test_subclassed_models_go_to_torch_where_keras_runs_on_it() -> None:
    """torch.export takes what Keras does not record: by itself for a whole model, and by the recipe."""
    model, x = Own(), np.random.default_rng(0).normal(size=(2, 4))
    y = model(x).detach().numpy()
    for graph in (plugins.from_model(model, x), plugins.from_model(torch.export.export(model, (torch.as_tensor(x),)), x)):
        close(graph(x), y, 1e-12)               # float64, two products
        assert {type(n.op).__name__ for n in graph.nodes} <= {"Dense", "MatMul", "Add", "Identity"}      # a bias of zeros is no sum


def test_a_model_of_one_framework_alone_keeps_its_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {k: v for k, v in plugins.available().items() if k != "torch"}
    monkeypatch.setattr(plugins, "available", lambda: found)
    with pytest.raises(Unrecorded, match=r"is a subclass with its own call\(\).*Functional model.*torch\.export\.export"):
        plugins.from_model(Own(), np.zeros((2, 4)))
