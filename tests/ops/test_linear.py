"""What Dense, MatMul and Einsum claim and refuse beyond their cases."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaicore.errors import ShapeError
from xaicore.ops import Conv, Dense, Einsum, MatMul, laid, unpacked
from xaicore.ops.op import Op


@pytest.mark.parametrize(
    ("op", "active", "affine", "bilinear", "weights", "biases"),
    [
        (Dense(), (True, False), True, False, (1,), ()),
        (Dense(), (True, False, False), True, False, (1,), (2,)),
        (Dense(), (False, True, False), True, False, (0,), (2,)),
        (Conv(), (True, False, True), True, False, None, ()),
        (Conv(), (False, False, True), True, False, None, (0,)),
        (Conv(), (True, True, False), False, True, None, (2,)),
        (Conv(), (True, True, True), False, False, None, ()),
        (MatMul(), (True, False), True, False, (1,), ()),
        (MatMul(), (False, True), True, False, (0,), ()),
        (MatMul(), (True, True), False, True, None, ()),
        (Einsum("ni,oi->no"), (True, False), True, False, (1,), ()),
        (Einsum("ni,oi->no"), (False, True), True, False, (0,), ()),
        (Einsum("ni,nj,nk->nijk"), (False, True, True), False, True, None, ()),
        (Einsum("ni,nj,nk->nijk"), (False, True, False), True, False, None, ()),
        (Einsum("ni,nj,nk->nijk"), (True, True, True), False, False, None, ()),
    ],
)
def test_claims(op: Op, active: tuple[bool, ...], affine: bool, bilinear: bool, weights: object, biases: object) -> None:
    """The table that rule sets rely on; that the claims are true is proven in test_ops."""
    assert (op.affine(active), op.bilinear(active)) == (affine, bilinear)
    if affine:
        assert op.weights(active) == weights
    assert op.biases(active) == biases


@pytest.mark.parametrize("dtype", [float, "float32"])
@pytest.mark.parametrize(("shape", "in_pieces"), [((5, 7), 4), ((2, 3, 7), 4), ((1, 7), 0), ((2, 1, 2, 7), 4)])
def test_products_with_weights_in_the_smallest_of_pieces(shape: tuple[int, ...], in_pieces: int, dtype: object) -> None:
    """Whole numbers, so that every sum is exact: what the library would do in one product, beside sums written out."""
    rng = np.random.default_rng(0)
    x, w, g = (rng.integers(-4, 5, s).astype(dtype) for s in (shape, (4, 7), (*shape[:-1], 4)))
    there, back = (np.zeros((*shape[:-1], n)) for n in (4, 7))
    for *at, o, i in np.ndindex(*shape[:-1], 4, 7):
        there[*at, o] += w[o, i] * x[*at, i]
        back[*at, i] += w[o, i] * g[*at, o]
    asked: list[object] = []
    tiny = {"RUN": 8, "LEAST_RUN": x.itemsize, "SMALL": 8, "DEPTH": {"d": 3, "f": 3}, "ROUND": 1, "available": lambda: True}
    with patch.multiple(unpacked, **tiny), patch.multiple(laid, LEAST=0, holds=lambda *given: asked.append(given) or True):
        for op, weight in ((Dense(), w), (MatMul(), np.ascontiguousarray(w.T))):
            y = op.forward(x, weight)
            assert np.array_equal(y, there)
            assert np.array_equal(op.vjp(0, g, y, x, weight), back)
    assert len(asked) == in_pieces


@pytest.mark.parametrize(
    ("equation", "text"),
    [
        ("nij,njk", "one '->'"),
        ("nij->->n", "name every axis with a letter"),
        ("...ij->...ji", "name every axis with a letter"),
        ("nii->ni", "a label is repeated within one array"),
        ("ni->nii", "a label is repeated within one array"),
        ("ni->", "the batch as its first label"),
        ("ni->nk", "only labels of the inputs"),
        ("nij,ink->njk", "the batch label 'n' must stand first"),
        ("ij,jk->ki", "the batch label 'k' must stand first"),
    ],
)
def test_einsum_refuses_equations(equation: str, text: str) -> None:
    with pytest.raises(ShapeError) as caught:
        Einsum(equation)
    assert text in str(caught.value)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_einsum_is_its_sum(data: st.DataObject) -> None:
    sizes = {"n": 2, "i": 3, "j": 1, "k": 2}
    terms = [
        lead + "".join(data.draw(st.permutations(labels), "order"))
        for lead in data.draw(st.lists(st.sampled_from(["n", ""]), min_size=1, max_size=3), "batched")
        for labels in [sorted(data.draw(st.sets(st.sampled_from("ijk"), min_size=1), "labels"))]
    ]
    terms[0] = "n" + terms[0].lstrip("n")
    reached = sorted(set("".join(terms)) - {"n"})
    kept = data.draw(st.lists(st.sampled_from(reached), unique=True), "output")
    out = "n" + "".join(kept)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), "seed"))
    xs = [rng.integers(-3, 4, [sizes[c] for c in term]).astype(float) for term in terms]
    op = Einsum(",".join(terms) + "->" + out)
    labels = sorted(set("".join(terms)))
    expected = np.zeros([sizes[c] for c in out])
    backs = [np.zeros_like(x) for x in xs]
    g = rng.integers(-3, 4, expected.shape).astype(float)
    for at in np.ndindex(*(sizes[c] for c in labels)):
        where = dict(zip(labels, at))
        factors = [x[tuple(where[c] for c in term)] for x, term in zip(xs, terms)]
        place = tuple(where[c] for c in out)
        expected[place] += np.prod(factors)
        for i, term in enumerate(terms):
            backs[i][tuple(where[c] for c in term)] += g[place] * np.prod(factors[:i] + factors[i + 1 :])
    y = op.forward(*xs)
    assert np.array_equal(y, expected)
    for i in range(len(xs)):
        assert np.array_equal(op.vjp(i, g, y, *xs), backs[i])
