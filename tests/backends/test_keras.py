"""The Keras backend: every row of its table against Keras itself, forward and gradient, and what it refuses.

Keras runs on torch. It computes much of a float64 model in float32 (its rule of promotion takes 64 bits back to 32); the fixture
``double`` suspends that rule, so that values are compared to 1e-9 instead of 1e-4. Most of the models are in keras_cases.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xaicore.errors import BackendError, ConversionError, InputError, Mismatch, ShapeError, UnknownName
from xaicore.graph.graph import Graph
from xaicore.ops import (
    AvgPool,
    BatchNorm,
    Conv,
    Identity,
    MaxPool,
    ReLU,
    Softmax,
)

os.environ.setdefault("KERAS_BACKEND", "torch")
torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")
if keras.backend.backend() != "torch":
    pytest.skip("these tests take gradients of Keras through torch: set KERAS_BACKEND=torch", allow_module_level=True)

from xaicore_keras import to_graph  # noqa: E402
from xaicore_keras.lower import TABLE  # noqa: E402

from tests.backends.common import input_gradients  # noqa: E402
from tests.backends.keras_cases import CASES, chain, function, transformer  # noqa: E402

layers, ops = keras.layers, keras.ops

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),     # Keras on torch and NumPy 2
    pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask attached:UserWarning"),     # Keras, of a nested model
]


@pytest.fixture(autouse=True)
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keras in float64 throughout."""
    from keras.src.backend.common import dtypes

    before = keras.config.floatx(), keras.config.dtype_policy()
    monkeypatch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


# ----- helpers ----------------------------------------------------------------------------------------------------


def redraw(model: Any, seed: int = 0) -> Any:
    """Every weight anew, so that none is at a value (0, 1) that would hide a mistake; variances and scales stay positive."""
    rng = np.random.default_rng(seed)
    for w in model.weights:
        if "seed" not in w.path:
            x = rng.normal(0, 0.5, w.shape)
            w.assign(torch.tensor(np.abs(x) + 0.5 if "variance" in w.path or "gamma" in w.path else x))
    return model


def example_for(model: Any, batch: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    shapes = [(batch, *(n or 6 for n in t.shape[1:])) for t in model.inputs]
    return tuple(rng.normal(size=s) if "float" in t.dtype else rng.integers(0, 4, s) for t, s in zip(model.inputs, shapes))


def run_keras(model: Any, xs: tuple[Any, ...]) -> list[Any]:
    packed = keras.tree.pack_sequence_as(model.input, list(xs)) if hasattr(model, "input") else xs[0]
    return keras.tree.flatten(model(packed, training=False))


def outputs(graph: Graph, xs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    y = graph(xs if len(xs) > 1 else xs[0])
    return y if isinstance(y, tuple) else (y,)


def close(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> None:
    """Largest difference over the largest value."""
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= tolerance * max(float(np.abs(theirs).max()), 1e-6)


def agree(model: Any, xs: tuple[np.ndarray, ...] | None = None, values: float = 1e-9, gradients: float = 1e-8, **to: Any) -> Graph:
    """Converts a model and compares outputs and input gradients with Keras on torch.

    1e-9 and 1e-8: float64 rounding through a few layers is below 1e-13, and torch computes one constant in float32 (see below).
    """
    xs = example_for(model) if xs is None else xs
    graph = to_graph(model, xs, **to)
    tensors = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in xs]
    theirs = run_keras(model, tuple(tensors))
    ours = outputs(graph, xs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        close(a, b.detach().numpy(), values)
    rng = np.random.default_rng(2)
    seeds = [rng.normal(size=y.shape) for y in ours]
    total = sum((y * torch.tensor(s)).sum() for y, s in zip(theirs, seeds))
    if total.requires_grad and any(t.requires_grad for t in tensors):
        total.backward()
        found = input_gradients(graph, xs if len(xs) > 1 else xs[0], seeds)
        wanted = [t for t in tensors if t.requires_grad]
        for (_, g), t in zip(found.items(), wanted, strict=True):
            close(g, np.zeros(g.shape) if t.grad is None else t.grad.numpy(), gradients)
    return graph


def ops_of(graph: Graph) -> list[str]:
    return [type(n.op).__name__ for n in graph.nodes]


# ----- each layer and operation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_a_layer_or_operation_computes_what_keras_computes(name: str) -> None:
    model = redraw(CASES[name]())
    # torch's hardsigmoid multiplies its gradient by a 1/6 that was rounded to float32, 3e-8 off
    agree(model, gradients=1e-7 if "hard_sigmoid" in name else 1e-8)


def test_every_row_of_the_table_has_a_case() -> None:
    """A row that no case reaches is a row that nobody has compared with Keras."""
    from xaicore_keras.record import kind_of

    reached: set[str] = set()
    for build in CASES.values():
        for layer in build()._flatten_layers():
            for one in (layer, *getattr(layer, "operations", ()), *getattr(getattr(layer, "_functional", None), "operations", ())):
                reached.add(kind_of(one))
    missing = set(TABLE) - reached - {"keras.activations.Mish"}       # Keras on torch cannot record it
    assert not missing


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(5, 12), k=st.integers(1, 4), s=st.integers(1, 4), form=st.sampled_from(("same", "valid")))
def test_windows_of_any_size(n: int, k: int, s: int, form: str) -> None:
    """Kernels and strides, even and odd, on axes of every length."""
    agree(redraw(chain((n, 2), layers.Conv1D(3, k, s, padding=form))))
    agree(redraw(chain((n, 2), layers.Conv1DTranspose(2, k, s, padding=form))))
    agree(chain((n, 2), layers.MaxPooling1D(k, s, padding=form)))
    agree(chain((n, 2), layers.AveragePooling1D(k, s, padding=form)))


def test_average_pooling_counts_cells_of_the_image_alone_unless_keras_runs_on_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras on torch repeats the border where "same" padding is uneven; its other backends, like TensorFlow, do not."""
    model, x = chain((8, 1), layers.AveragePooling1D(3, 2, padding="same")), np.arange(8.0).reshape(1, 8, 1)
    assert agree(model, (x,))(x)[0, -1, 0] == pytest.approx((6 + 7 + 7) / 3)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    graph = to_graph(model, x, verify=False)
    assert graph(x)[0, -1, 0] == (6 + 7) / 2
    assert AvgPool((3,), (2,), (), ((0, 1),), count_include_pad=False) in [n.op for n in graph.nodes]


# ----- names, calls, models in models -----------------------------------------------------------------------------


def small_cnn() -> Any:
    x = keras.Input((8, 8, 3), name="photo")
    h = layers.Conv2D(4, 3, padding="same", strides=2, activation="relu", name="first")(x)
    h = layers.BatchNormalization(name="norm")(h)
    h = layers.Add(name="sum")([h, layers.Conv2D(4, 1, name="side", activation="silu")(h)])
    h = layers.MaxPooling2D(name="pool")(h)
    return keras.Model(x, layers.Dense(3, activation="softmax", name="head")(layers.Flatten(name="flat")(h)), name="small")


def test_nodes_parameters_and_layout_bear_keras_names() -> None:
    graph = agree(redraw(small_cnn()))
    assert [(n.name, type(n.op).__name__, n.layer) for n in graph.nodes] == [
        ("photo/channels_first", "Transpose", "photo"), ("first", "Conv", "first"), ("first/relu", "ReLU", "first"),
        ("norm", "BatchNorm", "norm"), ("side", "Conv", "side"), ("side/silu", "SiLU", "side"), ("sum", "Add", "sum"),
        ("pool", "MaxPool", "pool"), ("pool/channels_last", "Transpose", "pool"), ("flat", "Flatten", "flat"),
        ("head", "Dense", "head"), ("head/softmax", "Softmax", "head"),
    ]
    assert set(graph.params) == {w.path for w in small_cnn().weights}
    assert graph.name == "small"
    assert graph.meta == {"layout.photo": "NHWC"}
    assert graph.inputs["photo"].shape == (None, 8, 8, 3)
    assert graph.node("first").origin == "keras.layers.Conv2D"
    assert graph.node("first").op == Conv((2, 2), (), ((0, 1), (0, 1)))


def test_a_shared_layer_is_one_node_for_each_call_and_one_parameter() -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(4, activation="tanh", name="twin")
    model = keras.Model([a, b], layers.Subtract()([shared(shared(a)), shared(b)]))
    graph = agree(redraw(model))
    assert [n.name for n in graph.nodes if n.layer == "twin"] == ["twin", "twin/tanh", "twin@2", "twin/tanh@2", "twin@3", "twin/tanh@3"]
    assert set(graph.params) == {"twin/kernel", "twin/bias"}


def test_models_in_models_carry_the_path_of_the_outer_one() -> None:
    inner = keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(3, 3, activation="relu", name="conv")], name="stem")
    x = keras.Input((5,))
    middle = keras.Model(x, layers.Dense(2, name="fc")(x), name="top")
    image = keras.Input((6, 6, 2), name="image")
    features = layers.GlobalMaxPooling2D(name="pool")(inner(image))
    model = keras.Model(image, middle(layers.Concatenate(name="both")([features, layers.Dense(2, name="fc")(features)])))
    graph = agree(redraw(model))
    names = [n.name for n in graph.nodes]
    assert {"stem/conv", "stem/conv/relu", "fc", "top/fc"} <= set(names)
    assert graph.node("stem/conv/relu").layer == "stem/conv"
    fc = [k for k in graph.params if k.endswith("kernel") and "fc" in k]
    assert len(fc) == 2


def test_a_model_that_is_called_twice_shares_its_weights() -> None:
    a, b = keras.Input((4, 4, 1), name="left"), keras.Input((4, 4, 1), name="right")
    tower = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 2, name="conv"), layers.Flatten(name="flat")], name="tower")
    graph = agree(redraw(keras.Model({"left": a, "right": b}, layers.Dot(1)([tower(a), tower(b)]))), named(4, 4, 1))
    assert [n.name for n in graph.nodes if isinstance(n.op, Conv)] == ["tower/conv", "tower/conv@2"]
    assert {n.layer for n in graph.nodes if isinstance(n.op, Conv)} == {"tower/conv"}
    assert len(graph.params) == 2


def test_a_nested_model_takes_integers_as_the_numbers_that_it_declares() -> None:
    pixels = keras.Input((5, 5, 1), dtype="int32")
    inner = keras.Sequential([keras.Input((5, 5, 1)), layers.Conv2D(2, 2, name="conv"), layers.GlobalMaxPooling2D()], name="net")
    agree(redraw(keras.Model(pixels, inner(pixels))))


def named(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return rng.normal(size=(2, *shape)), rng.normal(size=(2, *shape))


def test_layers_that_were_built_apart_may_have_one_path() -> None:
    def part(name: str) -> Any:
        with_same_name = layers.Dense(3, name="fc")
        return keras.Sequential([keras.Input((3,)), with_same_name], name=name)

    one, two = part("one"), part("one")
    two.name = "two"
    assert one.weights[0].path == two.weights[0].path
    x = keras.Input((3,))
    graph = agree(redraw(keras.Model(x, two(one(x)))))
    assert len(graph.params) == 4


def test_several_inputs_of_every_kind_and_several_outputs() -> None:
    image, ids, row = keras.Input((6, 6, 3), name="image"), keras.Input((4,), dtype="int32", name="ids"), keras.Input((5,), name="row")
    h = layers.Conv2D(4, 3, name="conv")(image)
    text = layers.GlobalAveragePooling1D()(layers.Embedding(6, 4)(ids))
    joined = layers.Concatenate()([layers.GlobalAveragePooling2D()(h), text, layers.Dense(4)(row)])
    model = redraw(keras.Model([image, ids, row], [layers.Dense(2, name="score")(joined), h, row * 2.0]))
    graph = agree(model)
    assert [str(v) for v in graph.inputs.values()] == ["float(N, 6, 6, 3)", "int(N, 4)", "float(N, 5)"]
    assert graph.outputs == ("score", "conv/channels_last", graph.outputs[2])
    xs = example_for(model)
    by_name = to_graph(model, dict(zip(("image", "ids", "row"), xs)))
    assert str(by_name) == str(graph)


def test_only_what_the_outputs_need_is_converted() -> None:
    x = keras.Input((4,))
    h = layers.Dense(3, name="kept")(x)
    layers.Dense(3, name="elsewhere")(h)
    layers.Lambda(lambda v: v, output_shape=(3,))(h)
    assert [n.name for n in agree(keras.Model(x, h)).nodes] == ["kept"]


def test_channels_first_and_channels_last_are_one_function() -> None:
    def model(form: str) -> Any:
        axis = 1 if form == "channels_first" else -1
        where = {"data_format": form}
        return redraw(chain(
            (3, 8, 8) if axis == 1 else (8, 8, 3), layers.Conv2D(4, 3, 2, "same", **where), layers.BatchNormalization(axis=axis),
            layers.ReLU(), layers.DepthwiseConv2D(3, **where), layers.AveragePooling2D(2, **where), layers.Flatten(**where),
            layers.Dense(2),
        ))

    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    last, first = agree(model("channels_last"), (x,)), agree(model("channels_first"), (x.transpose(0, 3, 1, 2).copy(),))
    close(first(x.transpose(0, 3, 1, 2)), last(x), 1e-12)       # one function, two ways through float64
    assert last.meta
    assert not first.meta


def test_a_network_of_images_turns_its_channels_once() -> None:
    """MobileNet- and ResNet-like blocks: one change of layout in front, none until the features are flat."""
    x = keras.Input((16, 16, 3))
    h = layers.Conv2D(8, 3, 2, "same", use_bias=False)(layers.Rescaling(2.0, offset=-1.0)(x))
    h = layers.ReLU(6.0)(layers.BatchNormalization()(h))
    inner = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(h)))
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(inner))
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid")(layers.Conv2D(2, 1, activation="relu")(gate))
    h = layers.Add()([h, layers.Multiply()([inner, gate])])
    short = layers.BatchNormalization()(layers.Conv2D(12, 1, 2)(h))
    h = layers.Conv2D(12, 3, 2, "same", activation="relu")(layers.ZeroPadding2D(1)(h)[:, 1:-1, 1:-1])
    h = layers.Conv2D(12, 3, padding="same")(h)
    h = layers.Concatenate()([layers.Activation("relu")(layers.Add()([short, h])), short])
    model = redraw(keras.Model(x, layers.Dense(4, activation="softmax")(layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(h)))))
    graph = agree(model, gradients=1e-7)        # hard_sigmoid, as above
    assert ops_of(graph).count("Transpose") == 1


def test_a_transpose_in_keras_may_cancel_the_change_of_layout() -> None:
    """One node is then two Keras tensors, with two layouts; what turns one of them must not serve the other."""

    def net(x: Any) -> Any:
        h = layers.Conv2D(4, 2, name="conv")(x)
        turned = ops.transpose(h, (0, 3, 1, 2))
        first = layers.Conv2D(2, 2, data_format="channels_first")(turned)
        return [layers.Dense(2)(h), layers.Dense(3)(turned), layers.Conv2D(2, 2)(turned), first]

    graph = agree(redraw(function(net, (5, 6, 3))))
    assert "transpose" not in {n.layer for n in graph.nodes}


def test_the_transformer_is_made_of_products_and_a_softmax() -> None:
    graph = agree(redraw(transformer(0.1)))
    found = set(ops_of(graph))
    assert {"MatMul", "Softmax", "Dense", "LayerNorm", "Embedding"} <= found
    assert any(n.name.endswith("/attention/weights") for n in graph.nodes)


# ----- shapes that the model leaves free --------------------------------------------------------------------------


def test_free_axes_stay_free_where_no_layer_needs_their_length() -> None:
    model = redraw(chain((None, None, 3), layers.Conv2D(4, 3, padding="same"), layers.ReLU(), layers.GlobalAveragePooling2D()))
    x = np.random.default_rng(0).normal(size=(2, 6, 7, 3))
    graph = agree(model, (x,))
    assert graph.inputs[next(iter(graph.inputs))].shape == (None, None, None, 3)
    other = x[:, :5, :4]
    close(graph(other), run_keras(model, (torch.tensor(other),))[0].detach().numpy(), 1e-9)


def test_free_axes_are_fixed_by_the_example_where_a_layer_needs_their_length() -> None:
    model = redraw(chain((None, None, 3), layers.Conv2D(4, 3, 2, padding="same"), layers.GlobalAveragePooling2D()))
    x = np.random.default_rng(0).normal(size=(2, 6, 7, 3))
    graph = agree(model, (x,))
    assert graph.inputs[next(iter(graph.inputs))].shape == (None, 6, 7, 3)
    with pytest.raises(ShapeError, match="is expected"):
        graph(x[:, :5])
    with pytest.raises(ConversionError, match=r"needs the length of axis 1 .* give an example input"):
        to_graph(model, verify=False)
    with pytest.raises(InputError, match=r"no example can be drawn .* give one"):
        to_graph(model)


# ----- arithmetic, state, determinism -----------------------------------------------------------------------------


def test_a_float32_model_is_verified_as_float32() -> None:
    """Keras's default. 1e-4 of the largest value: what verify allows; a few layers stay near 1e-6."""
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    model = redraw(small_cnn())
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    graph = to_graph(model, x)
    assert graph.dtype == "float64"
    close(graph(x), run_keras(model, (torch.tensor(x),))[0].detach().numpy(), 1e-5)
    assert to_graph(model, x, dtype="float32")(x).dtype == np.float32


@pytest.mark.thorough
@pytest.mark.parametrize("name", CASES)
def test_every_case_is_verified_as_keras_computes_it_by_default(name: str) -> None:
    """In float32, with the tolerance that users meet: verify must not cry wolf."""
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    model = redraw(CASES[name]())
    to_graph(model, tuple(x.astype("float32") if x.dtype.kind == "f" else x for x in example_for(model)))


def test_exact_arithmetic_is_one_argument_away() -> None:
    model = redraw(chain((5, 5, 2), layers.Conv2D(2, 2, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(2)))
    x = np.random.default_rng(0).integers(-8, 8, (1, 5, 5, 2))
    exact = to_graph(model, dtype="exact")
    close(exact(x).astype(float), to_graph(model)(x.astype(float)), 1e-12)      # float64 against rationals


def test_bytes_are_pixels() -> None:
    x = keras.Input((6, 6, 3), dtype="uint8", name="photo")
    model = redraw(keras.Model(x, layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(layers.Rescaling(1 / 255)(x)))))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3)).astype(np.uint8)
    graph = to_graph(model, pixels)
    assert graph.inputs["photo"].kind == "float"
    close(graph(pixels.astype(float)), run_keras(model, (torch.tensor(pixels),))[0].detach().numpy(), 1e-9)


def test_training_calls_are_taken_at_inference() -> None:
    """model.predict does the same: it hands training=False to every layer."""
    x = keras.Input((6,))
    model = keras.Model(x, layers.Dense(2)(layers.Dropout(0.5)(x, training=True)))
    assert "Dropout" in ops_of(agree(redraw(model)))


def test_an_image_that_no_layer_places_is_nhwc_by_keras_setting() -> None:
    graph = to_graph(chain((6, 6, 3), layers.Flatten(), layers.Dense(2)))
    assert list(graph.meta.values()) == ["NHWC"]
    assert not to_graph(chain((3, 6, 6), layers.Conv2D(2, 2, data_format="channels_first"))).meta
    assert list(to_graph(chain((9, 2), layers.Conv1D(2, 2))).meta.values()) == ["NWC"]
    assert list(to_graph(chain((4, 5, 6, 2), layers.Conv3D(2, 2))).meta.values()) == ["NDHWC"]


def test_conversion_changes_nothing_and_repeats_itself() -> None:
    model = redraw(small_cnn())
    weights = [w.numpy().copy() if hasattr(w, "numpy") else np.array(w) for w in model.weights]
    calls = [len(layer._inbound_nodes) for layer in model.layers]
    one, two = to_graph(model), to_graph(model)
    assert str(one) == str(two)
    assert all((one.params[k] == two.params[k]).all() for k in one.params)
    assert [len(layer._inbound_nodes) for layer in model.layers] == calls
    assert all((a == (w.numpy() if hasattr(w, "numpy") else np.array(w))).all() for a, w in zip(weights, model.weights))


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


REFUSED = {
    "Lambda": (lambda: chain((4,), layers.Lambda(lambda x: x * 2, name="double")),
               r"layer 'double' \(keras.layers.Lambda\) is a Python function.*keras.ops.*torch.export"),
    "LSTM": (lambda: chain((4, 3), layers.LSTM(2, name="rnn")), r"layer 'rnn' \(keras.layers.LSTM\) is recurrent.*torch.export"),
    "Bidirectional": (lambda: chain((4, 3), layers.Bidirectional(layers.GRU(2))), r"Bidirectional\) is recurrent"),
    "own layer": (lambda: chain((4,), Twice(name="twice")), r"layer 'twice' \(.*Twice\) is a class of your own.*Functional model"),
    "subclass of a layer": (lambda: chain((4,), Loud(3, name="loud")), r"layer 'loud' \(.*Loud\) is a class of your own"),
    "nested own model": (lambda: function(Own(), (4,)), r"Own\) is a class of your own"),
    "no counterpart": (
        lambda: function(lambda x: ops.cumsum(x, axis=1), (4,)), r"operation 'cumsum[_0-9]*' \(keras.ops.Cumsum\) has no counterp"),
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


def test_the_way_out_for_subclassed_models_works() -> None:
    """torch.export takes what Keras does not record."""
    model, x = Own(), np.random.default_rng(0).normal(size=(2, 4))
    y = model(x)
    program = torch.export.export(model, (torch.as_tensor(x),))
    close(program.module()(torch.as_tensor(x)).detach().numpy(), y.detach().numpy(), 1e-12)


# ----- keras.applications -----------------------------------------------------------------------------------------


def calibrate(model: Any, x: np.ndarray) -> None:
    """Weights drawn anew, and the statistics of every BatchNormalization taken from a batch, as training would leave them.

    As initialised, a deep network's output hardly depends on its input, and a wrong converter would pass.
    """
    rng = np.random.default_rng(0)
    for w in model.weights:
        if w.path.endswith("gamma"):
            w.assign(torch.tensor(rng.uniform(0.5, 1.5, w.shape)))
        elif w.path.endswith(("beta", "bias")):
            w.assign(torch.tensor(rng.normal(0, 0.2, w.shape)))
        elif w.path.endswith("kernel"):
            fan = np.prod(w.shape[:2]) if "depthwise" in w.path else np.prod(w.shape[:-1])
            w.assign(torch.tensor(rng.normal(0, np.sqrt(2 / fan), w.shape)))
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, layers.BatchNormalization)]
    for norm in norms:
        def call(v: Any, *args: Any, norm: Any = norm, plain: Any = norm.call, **kwargs: Any) -> Any:
            axes = tuple(k for k in range(v.ndim) if k != norm.axis % v.ndim)
            variance = v.detach().numpy().var(axes)
            norm.moving_mean.assign(torch.tensor(v.detach().numpy().mean(axes)))
            norm.moving_variance.assign(torch.tensor(variance + 0.1 * variance.mean() + 1e-3))
            return plain(v, *args, **kwargs)

        norm.call = call
    with torch.no_grad():
        model(x, training=False)
    for norm in norms:
        del norm.call


SMALLEST = {"InceptionV3": 96, "InceptionResNetV2": 96, "Xception": 96}
QUICK = ("MobileNetV3Small",)
SAMPLE = (
    "MobileNetV2", "ResNet50", "ResNet50V2", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "ConvNeXtTiny", "VGG16", "Xception",
    "InceptionV3", "InceptionResNetV2", "MobileNet",
)


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.thorough) for name in SAMPLE)])
def test_keras_applications(name: str) -> None:
    size = SMALLEST.get(name, 64)
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None)
    x = np.random.default_rng(1).uniform(0, 255, (6, size, size, 3))
    calibrate(model, x)
    y = run_keras(model, (torch.tensor(x[:2]),))[0].detach().numpy()
    assert np.linalg.norm(y[0] - y[1]) > 1e-2 * np.linalg.norm(y)       # the output depends on the input
    agree(model, (x[:2],))
