"""A live Keras model as a record, and Keras itself run beside the graph: all that this package knows of the inside of Keras."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np

from xaicore.errors import BackendError, ConversionError, FileRefused, Unrecorded
from xaicore.graph.graph import Graph, InputSpec
from xaicore.graph.verify import TOLERANCE
from xaicore.graph.verify import verify as compare
from xaicore.numerics import Array
from xaicore_keras.activations import ACTIVATIONS
from xaicore_keras.lower import EXPORT, TABLE
from xaicore_keras.record import (
    Function,
    Input,
    Layer,
    Net,
    Ref,
    Settings,
    Step,
    Weight,
    arranged,
    chain,
    kind_in,
    kind_of_number,
    numpy_of,
)

# ----- the model ------------------------------------------------------------------------------------------------------


def recorded(model: Any) -> Layer:
    """The record of a Functional or Sequential model; what is none gets an error with a way out."""
    if not isinstance(model, keras.Model):
        raise BackendError(f"a keras.Model is expected, not a {type(model).__name__}; wrap layers as keras.Sequential([...])")
    layer = Recorder().layer(model)
    if layer.net is not None:
        return layer
    if isinstance(model, keras.Sequential) and layer.kind.startswith("keras."):
        raise ConversionError(
            f"the Sequential model {model.name!r} has no input shape yet, so it has no graph; "
            f"put a keras.Input first, or call model.build((None, ...))"
        )
    raise Unrecorded(
        f"the model {model.name!r} ({layer.kind}) is a subclass with its own call(), whose code Keras does not record. "
        f"To do: build it as a Functional model (keras.Model(inputs, outputs)); or {EXPORT}"
    )


def settings() -> Settings:
    """Keras's global configuration."""
    return Settings(float(keras.config.epsilon()), str(keras.config.image_data_format()), str(keras.backend.backend()))


def kind_of(op: Any) -> str:
    """"keras.layers.Conv2D", "keras.ops.Add": the key of an operation in the table; a user's class keeps its own module."""
    return kind_in(type(op).__module__, type(op).__qualname__)


def functional_of(op: Any) -> Any:
    """The graph of calls of a Functional or built Sequential model; None for all else, also where ``call`` is overridden."""
    if not isinstance(op, (keras.Model, keras.Function)):
        return None
    home = type(op).call.__module__
    if home == "keras.src.models.sequential":
        return op._functional
    return op if home in ("keras.src.models.functional", "keras.src.ops.function") else None


class Recorder:
    """One conversion's records: a layer that is met twice has one."""

    def __init__(self) -> None:
        self._layers: dict[int, Layer] = {}

    def layer(self, op: Any) -> Layer:
        """The record of a layer, operation or model. Settings and weights are only looked at where the table has a row."""
        if id(op) not in self._layers:
            kind, inner = kind_of(op), functional_of(op)
            made = Layer(kind, str(op.name), {}, live=op)
            if inner is not None:
                made = replace(made, net=self._chain(op) if isinstance(op, keras.Sequential) else self._net(inner, str(op.name)))
            elif kind in TABLE:
                made = self._with_settings(made)
            elif isinstance(op, keras.Layer):
                made = replace(made, config={"dtype": op.dtype_policy.name})
            self._layers[id(op)] = made
        return self._layers[id(op)]

    def _with_settings(self, made: Layer) -> Layer:
        op = made.live
        if not isinstance(op, keras.Layer):
            return replace(made, config={k: v for k, v in vars(op).items() if not k.startswith("_")})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")                             # Keras warns of functions, which are looked at by themselves
            config = _config(op)
        parts: dict[str, Layer] = {}
        for name in list(config):
            own = getattr(op, name, None)
            if isinstance(own, keras.Layer) and not name.endswith("activation"):
                parts[name] = self.layer(own)
            elif isinstance(own, (list, tuple)) and own and all(isinstance(one, keras.Layer) for one in own):
                parts.update({f"{name}/{k}": self.layer(one) for k, one in enumerate(own)})
            elif callable(own) and (name.endswith("activation")):
                config[name] = self._function(own)
        for name in ("forward_layer", "backward_layer"):
            if isinstance(getattr(op, name, None), keras.Layer):
                parts[name] = self.layer(getattr(op, name))
        return replace(made, config={**config, "dtype": op.dtype_policy.name}, parts=parts, arrays=_arrays_of(op))

    def _function(self, function: Any) -> Any:
        """An activation by its name, with the settings bound to it, or the record of a layer; an unknown one by the name it has."""
        if isinstance(function, keras.Layer):
            return self.layer(function)
        bound: Mapping[str, Any] = {}
        if isinstance(function, partial) and not function.args:
            function, bound = function.func, dict(function.keywords)
        if kind_of(function) in TABLE:                                  # an object such as keras.activations.ReLU
            return Layer(kind_of(function), "activation", {k: v for k, v in vars(function).items() if not k.startswith("_")})
        known = _FUNCTIONS.get(function)
        if known is None:
            return Function(str(getattr(function, "__name__", function)) if inspect.isfunction(function) else type(function).__name__)
        return replace(known, settings={**known.settings, **bound})

    def _chain(self, model: Any) -> Net:
        """A Sequential model: each layer on what the one before it makes, as a file has it."""
        first, *layers = model._layers
        return chain(str(model.name), Input(((first.name, 0), 0), str(first.name), tuple(first.batch_shape), str(first.dtype)),
                     [self.layer(one) for one in layers])

    def _net(self, model: Any, name: str) -> Net:
        inputs = tuple(
            Input(_key(t), str(t._keras_history.operation.name), tuple(t.shape), str(t.dtype)) for t in model.inputs
        )
        steps: dict[Any, Step] = {}

        def maker(key: Any) -> Step:
            operation, index = key[0]
            if key[0] not in steps:
                node = operation._inbound_nodes[index]
                args = keras.tree.map_structure(_symbol, node.arguments.args)
                kwargs = keras.tree.map_structure(_symbol, node.arguments.kwargs)
                steps[key[0]] = Step(self.layer(operation), tuple(args), dict(kwargs), key[0])
            return steps[key[0]]

        outputs = tuple(_key(t) for t in model.outputs)
        return Net(name, inputs, arranged(outputs, [one.key for one in inputs], maker), outputs)


def _key(tensor: Any) -> Any:
    operation, index, position = tensor._keras_history
    return (operation, index), position


def _symbol(x: Any) -> Any:
    return Ref(_key(x)) if isinstance(x, keras.KerasTensor) else x


def _config(op: Any) -> dict[str, Any]:
    try:
        return dict(op.get_config())
    except (TypeError, ValueError, NotImplementedError, OSError, AttributeError):  # a setting that Keras cannot write down
        names = [k for k in inspect.signature(type(op).__init__).parameters if k not in ("self", "kwargs")]
        return {k: getattr(op, k) for k in names if hasattr(op, k)}


def _arrays_of(op: Any) -> Callable[[str], list[Weight]]:
    """A layer's arrays by group, as ``model.save`` would write them."""
    known: dict[str, list[Weight]] = {}

    def arrays(group: str) -> list[Weight]:
        if group not in known:
            owner = next((getattr(op, one) for one in group.split("|") if hasattr(op, one)), None) if group else op
            store: dict[str, Any] = {}
            if owner is not None:
                owner.save_own_variables(store)
            known[group] = [
                Weight(tuple(int(n) for n in x.shape), partial(numpy_of, x)) for _, x in sorted(store.items(), key=lambda one: int(one[0]))
            ]
        return known[group]

    return arrays


_FUNCTIONS: dict[Any, Function] = {
    **{getattr(keras.activations, name): Function(name) for name in (*ACTIVATIONS, "linear")},
    **{getattr(keras.ops, name): Function(name) for name in ACTIVATIONS if hasattr(keras.ops, name)},
    keras.ops.gelu: Function("gelu", {"approximate": True}),    # keras.ops approximates by default, keras.activations does not
    keras.ops.exp: Function("exponential"),
}


# ----- Keras beside the graph -----------------------------------------------------------------------------------------


def run(layer: Layer, args: Any, kwargs: Any) -> list[Any]:
    """Keras's own outputs of a call."""
    with no_gradient():
        if layer.kind == "cast":
            return [keras.ops.cast(args[0], layer.name)]
        if "training" in inspect.signature(layer.live.call).parameters:
            kwargs = {**kwargs, "training": False}                      # layers that augment images take it to be True
        return list(keras.tree.flatten(layer.live(*args, **kwargs)))


def feeds_of(model: Any, feeds: Mapping[str, Array]) -> list[Any]:
    """Keras's tensors of the graph's inputs."""
    inputs = functional_of(model).inputs
    return [keras.ops.convert_to_tensor(x, dtype=t.dtype) for t, x in zip(inputs, feeds.values(), strict=True)]


def outputs_of(model: Any, given: list[Any]) -> list[Array]:
    """What Keras makes of its tensors, which go in in the structure in which the model takes its inputs."""
    functional = functional_of(model)
    with no_gradient():
        found = functional(keras.tree.pack_sequence_as(functional.input, given), training=False)
        return [numpy_of(y) for y in keras.tree.flatten(found)]


def no_gradient() -> Any:
    """The context in which the framework runs without recording for its own gradient."""
    if keras.backend.backend() == "torch":
        import torch

        return torch.no_grad()
    return nullcontext()


def verify(graph: Graph, feeds: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    """Compares each tensor that Keras recorded with what the graph makes of Keras's own values before it.

    So a deep network's float32 rounding, which a normalisation by a small variance amplifies without bound, does not add up
    to a difference that no layer made.
    """
    known = {k: v for k, v in expected.items() if k not in graph.inputs and np.isfinite(v).all()}
    given = {f"{k} (keras)": v for k, v in known.items()}
    nodes = tuple(replace(n, inputs=tuple(f"{i} (keras)" if i in known else i for i in n.inputs)) for n in graph.nodes)
    inputs = {**graph.inputs, **{k: InputSpec((None, *v.shape[1:]), kind_of_number(str(v.dtype))) for k, v in given.items()}}
    cut = replace(graph, inputs=inputs, nodes=nodes)
    compare(cut, {**feeds, **given}, expected, "keras", TOLERANCE["float32"])     # Keras computes float64 models in float32 too


def loaded(path: str) -> Any:
    """The live model of a file, by Keras's own reader in its safe mode."""
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever its layers raise
        raise FileRefused(f"{path}: Keras does not load it, so the graph could not be compared: {str(error)[:300]}") from error
