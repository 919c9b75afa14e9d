"""What Dense, MatMul and Einsum claim and refuse beyond their cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaicore.errors import ShapeError
from xaicore.ops import Conv, Dense, Einsum, MatMul
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
