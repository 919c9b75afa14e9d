"""What the Keras backend says of Keras without importing it: masks, names, paths, shapes. Each is compared with Keras's own classes."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from tests.backends.keras_compare import MARKS, double, keras, redraw, small_cnn
from xaicore.errors import ConversionError
from xaicore.methods.explain import explain

from keras.src.api_export import get_name_from_symbol  # isort: skip
from keras.src.utils.naming import to_snake_case  # isort: skip
from tests.backends.keras_cases import CASES, chain  # isort: skip
from xaicore_keras import to_graph  # isort: skip
from xaicore_keras.live import Recorder, kind_of  # isort: skip
from xaicore_keras.lower import TABLE  # isort: skip
from xaicore_keras.masks import MASKED, PASSES_MASKS, READS_MASKS  # isort: skip
from xaicore_keras.record import ALIASES, Layer, arranged, flat, kind_in, mapped  # isort: skip
from xaicore_keras.sized import MAX_ENTRIES, SizedBuilder  # isort: skip
from xaicore_keras.stored import _snake_case  # isort: skip

__all__ = ["double"]
pytestmark = MARKS
layers = keras.layers


def classes() -> dict[str, Any]:
    """Every layer class of Keras by its kind."""
    found = (one for one in vars(layers).values() if inspect.isclass(one) and issubclass(one, layers.Layer))
    return {kind_in(one.__module__, one.__qualname__): one for one in found}


@pytest.fixture(scope="module")
def built() -> dict[str, Any]:
    """One layer of every class that some case builds, by its kind."""
    found: dict[str, Any] = {}
    for build in CASES.values():
        for layer in build()._flatten_layers():
            found.setdefault(kind_of(layer), layer)
    return found


def test_the_lists_of_masks_are_keras_own(built: dict[str, Any]) -> None:
    """Were a layer missing here, a mask would be dropped, or handed on, without a word."""
    takes = {kind for kind, layer in built.items() if layer._call_has_mask_arg and kind in TABLE}
    attending = {"keras.layers.MultiHeadAttention", "keras.layers.GroupedQueryAttention"}      # take masks of their parts by name
    assert takes - attending == {kind for kind in MASKED if kind in built} - attending
    plain = ("keras.src.layers.layer", "keras.src.layers.merging.base_merge")
    passes = {k for k, one in built.items() if one.supports_masking and type(one).compute_mask.__module__ in plain and k in TABLE}
    assert passes - attending == {kind for kind in PASSES_MASKS if kind in built}
    assert READS_MASKS <= MASKED


def test_a_file_names_a_class_as_its_module_does_but_for_the_aliases() -> None:
    """Paths in a file go by the class, entries by the public name."""
    for kind, one in classes().items():
        if kind not in TABLE:
            continue
        public = get_name_from_symbol(one)
        assert public is not None
        module, _, name = public.rpartition(".")
        assert kind_in(module, name) == kind
        assert (name != one.__name__) == (name in ALIASES)
        assert _snake_case(one.__name__) == to_snake_case(one.__name__)


def test_an_own_class_cannot_pass_for_one_of_keras() -> None:
    for module in ("mine", "keraslayers", "keras_layers.layers", "kerasx.layers", "keras.src", "layers"):
        assert kind_in(module, "Dense") not in TABLE


@pytest.mark.parametrize("name", ["LSTM", "MultiHeadAttention-sizes", "EinsumDense-heads", "SeparableConv2D-same-channels_first", "PReLU-shared"])
def test_arrays_are_those_that_the_settings_call_for(name: str) -> None:
    """The table of shapes; every case goes through it when it is converted, and a file is refused where it is off."""
    model = redraw(CASES[name]() if name in CASES else chain((3, 4), layers.LSTM(5)))
    graph = to_graph(model, verify=False)
    assert sum(x.size for k, x in graph.params.items() if not k.endswith("constant")) >= model.count_params() - 8


def test_a_softmax_head_is_found_and_explained_before_it() -> None:
    graph = to_graph(redraw(small_cnn()))
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    a = explain(graph, x, "gradient", target=1)
    assert np.allclose(a.output, graph_value(graph, x)[:, 1], rtol=1e-12)        # the same arithmetic, another cut
    b = explain(graph, x, "gradient", target=1, output="probability")
    assert np.allclose(b.output, graph(x)[:, 1], rtol=1e-12)
    assert not np.allclose(np.asarray(a), np.asarray(b))


def graph_value(graph: Any, x: np.ndarray) -> np.ndarray:
    from xaicore.graph.run import check_feeds, evaluate

    return evaluate(graph, check_feeds(graph, x), keep={"head"})["head"]


# ----- pieces ---------------------------------------------------------------------------------------------------------


def test_structures_are_walked_as_keras_walks_them() -> None:
    nested = {"b": [1, (2, 3)], "a": {"z": 4, "zz": None}, "c": ()}         # Keras on torch does not sort an inner dict, its others do
    assert flat(nested) == list(keras.tree.flatten(nested))
    assert mapped(lambda v: v and -v, nested) == keras.tree.map_structure(lambda v: v and -v, nested)


def test_a_record_without_the_setting_says_so() -> None:
    with pytest.raises(AttributeError, match="keras.layers.Dense 'fc' has no setting and no weight 'colour'"):
        _ = Layer("keras.layers.Dense", "fc", {"units": 2}).colour


def test_calls_are_in_order_and_only_those_that_count() -> None:
    from xaicore_keras.record import Ref, Step

    made = {k: Step(Layer("keras.ops.Add", k, {}), tuple(Ref((one, 0)) for one in reads), {}, k)
            for k, reads in {"a": ["x"], "b": ["a", "x"], "c": ["b", "a"], "dead": ["a"]}.items()}
    assert [s.where for s in arranged([("c", 0)], [("x", 0)], lambda key: made[key[0]])] == ["a", "b", "c"]


def test_shapes_are_known_without_running_anything() -> None:
    from xaicore.ops import Conv, Flatten, Reshape

    b = SizedBuilder()
    x = b.input("x", (None, 3, None, 8))
    y = b.add(Conv((2, 2)), x, b.param("w", np.ones((4, 3, 3, 3))), name="conv")
    assert b.shape(y) == (None, 4, None, 3)
    assert b.shape(b.add(Flatten(), y)) == (None, None)
    assert b.shape(b.add(Reshape((-1, 6)), y)) == (None, None, 6)
    with pytest.raises(Exception, match=f"at most {MAX_ENTRIES:,} are allowed"):
        b.input("huge", (None, 1 << 20, 1 << 20))


def test_free_lengths_that_do_not_fit_any_reshape_ask_for_an_example() -> None:
    model = chain((None, 3), layers.Reshape((5, 3)))
    with pytest.raises(ConversionError, match="give an example input"):
        to_graph(model, verify=False)
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    assert to_graph(model, x)(x).shape == (2, 5, 3)


def test_one_layer_has_one_record() -> None:
    recorder, layer = Recorder(), layers.Dense(3)
    layer.build((None, 4))
    assert recorder.layer(layer) is recorder.layer(layer)
    assert [w.shape for w in recorder.layer(layer).arrays("")] == [(4, 3), (3,)]
