"""What is fed: arrays, tensors and lists of many kinds by order or by name, and the error that names what is wrong with them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.graph.graphs import W, dense, made
from xaicore.errors import InputError, ShapeError, UnknownName, XaicoreError
from xaicore.graph import Builder, Graph
from xaicore.ops import Embedding, Mul, ReLU, Sub, Where


def two_inputs() -> Graph:
    """a (N, 2) times 2 minus b (N, 2)."""
    b = Builder()
    one, other = b.input("a", (None, 2)), b.input("b", (None, 2))
    return b.build(b.add(Sub(), b.add(Mul(), one, b.constant(2)), other))


@pytest.mark.parametrize("x", [
    [[1, 2]], [[1.0, 2.0]], np.array([[1, 2]], dtype="uint8"), np.array([[1, 2]], dtype="float16"), np.array([[1.0, 2.0]]),
    ([[1.0, 2.0]],), {"x": [[1.0, 2.0]]}, np.array([[1.0, 2.0]])[::-1], np.asfortranarray([[1.0, 2.0]]),
], ids=repr)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_numbers_of_many_kinds_are_taken(x: Any, dtype: str) -> None:
    y = dense(dtype)(x)
    assert y.dtype == dtype
    assert y.tolist() == [[0.0, 4.5, 2.0]]


@pytest.mark.parametrize(("x", "error", "text"), [
    ([1.0, 2.0], ShapeError, r"input 'x' has shape \(2,\), but float\(N, 2\) is expected \(rank 2\); axis 0 is the batch: .* x\[None\]"),
    (1.0, ShapeError, r"shape \(\), but"), (np.zeros((1, 1, 2)), ShapeError, r"shape \(1, 1, 2\), but .*rank 2\)$"),
    (np.zeros((4, 3)), ShapeError, r"shape \(4, 3\), but float\(N, 2\) is expected: 3 instead of 2 on axis 1"),
    (np.zeros((0, 2)), InputError, "empty batch"), ([[1, np.nan]], InputError, r"holds nan at index \(0, 1\)"),
    ([[1, 2], [-np.inf, 0]], InputError, r"holds -inf at index \(1, 0\)"), ([[True, False]], InputError, "dtype bool, but numbers are"),
    ([["1", "2"]], InputError, "dtype <U1, but an array of numbers is expected"), ([[1j, 2]], InputError, "dtype complex128"),
    ([[None, 1]], InputError, "dtype object, but numbers"), ([[1, 2], [3]], InputError, "cannot be read as an array"),
    ([[Fraction(1, 2), 1]], InputError, r"use graph.astype\('exact'\)"), ({"y": 1}, UnknownName, "no input 'y': known: x"),
    ({}, InputError, r"no value was given for input 'x' \(float\(N, 2\)\)"), (None, InputError, "input 'x' is None, but an array of numbers is expected"),
    (object(), InputError, "dtype object"),
])
def test_a_wrong_feed_is_named(x: Any, error: type[XaicoreError], text: str) -> None:
    with pytest.raises(error, match=text):
        dense()(x)


def test_what_float32_cannot_hold_is_an_error_and_not_an_infinity() -> None:
    with pytest.raises(InputError, match=r"input 'x' holds 1e\+39 at index \(0, 0\), which float32 cannot hold"):
        dense("float32")([[1e39, 0.0]])
    with pytest.raises(InputError, match=r"parameter 'w' holds .*e\+39, which float32 cannot hold"):
        made(params={"w": W * 1e39}).astype("float32")


def test_a_fixed_batch_is_kept() -> None:
    graph = dense(shape=(2, 2))
    assert graph(np.ones((2, 2))).shape == (2, 3)
    with pytest.raises(ShapeError, match="3 instead of 2 on the batch; this graph was converted with a fixed batch"):
        graph(np.ones((3, 2)))


def test_a_free_size_is_free() -> None:
    b = Builder()
    graph = b.build(b.add(ReLU(), b.input("x", (None, None, 3))))
    assert graph(np.ones((2, 7, 3))).shape == (2, 7, 3)
    with pytest.raises(InputError, match="an empty array"):
        graph(np.ones((2, 0, 3)))
    with pytest.raises(ShapeError, match=r"float\(N, \?, 3\) is expected"):
        graph(np.ones((2, 7, 4)))


def test_whole_numbers_and_booleans_are_not_floats() -> None:
    b = Builder()
    ids, keep = b.input("ids", (None, 2), "int"), b.input("keep", (None, 2, 1), "bool")
    vectors = b.add(Embedding(), b.param("table", W), ids)
    graph = b.build(b.add(Where(), keep, vectors, b.constant(0)))
    want = [[[0.5, 2.0], [0.0, 0.0]]]
    on = [[[True], [False]]]
    assert graph([[1, 0]], on).tolist() == want
    assert graph(ids=np.array([[1, 0]], dtype="uint8"), keep=[[[1], [0]]]).tolist() == want
    assert graph.float_inputs == ()
    for bad, text in (([[1.0, 0.0]], "dtype float64, but whole numbers are expected, such as token ids"), ([[True, False]], "dtype bool")):
        with pytest.raises(InputError, match=text):
            graph(bad, on)
    for wrong in ([[[2], [0]]], [[[1.0], [0.0]]], [[["a"], ["b"]]]):
        with pytest.raises(InputError, match=r"input 'keep' has dtype .*, but booleans are expected"):
            graph([[1, 0]], wrong)


def test_several_inputs_come_in_order_or_by_name() -> None:
    graph = two_inputs()
    a, b = np.array([[1.0, 2.0]]), np.array([[5.0, 7.0]])
    want = [[-3.0, -3.0]]
    for y in (graph(a, b), graph([a, b]), graph((a, b)), graph({"b": b, "a": a}), graph(b=b, a=a)):
        assert y.tolist() == want
    with pytest.raises(InputError, match=r"2 inputs \(a, b\)"):
        graph(a)
    with pytest.raises(InputError, match="no value was given for input 'b'"):
        graph({"a": a})
    with pytest.raises(ShapeError, match=r"differ in their batch \(axis 0\): {'a': 1, 'b': 2}"):
        graph(a, np.ones((2, 2)))
    with pytest.raises(InputError, match="either in order or by name"):
        graph(a, b=b)


class Tensor:
    """What torch's tensors do: those that track gradients or lie on another device refuse ``numpy()``, and so does bfloat16."""

    def __init__(self, value: Any, plain: bool = False) -> None:
        self.value, self.plain = value, plain

    def detach(self) -> Tensor:
        return Tensor(self.value, self.plain)

    def cpu(self) -> Tensor:
        return Tensor(self.value, True)

    def numpy(self) -> np.ndarray:
        if not self.plain:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")
        if self.value is None:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return np.asarray(self.value)


def test_a_tensor_is_detached_and_read() -> None:
    assert dense()(Tensor([[1.0, 2.0]])).tolist() == [[0.0, 4.5, 2.0]]
    with pytest.raises(InputError, match=r"cannot be read as an array \(Got unsupported ScalarType BFloat16"):
        dense()(Tensor(None))
