"""Scores that a model masks with -inf: what is masked is not there, for every method.

The second opinion is the same network on the shorter sequence: dropping the masked tokens and masking them is the same function.
"""

import numpy as np
import pytest

import xaicore as xc
from xaicore import Builder, Graph
from xaicore.errors import InputError
from xaicore.numerics import difference, product
from xaicore.ops import Add, Compare, Dense, MatMul, Mul, Slice, Softmax, Squeeze, Sum, Transpose, Unsqueeze, Where

TOKENS, KEPT, WIDTH = 5, 3, 4
TOLERANCE = 1e-12
"""Relative to the largest entry: the same sums of at most five terms, in another order."""

OTHERS = {"excitation_backprop", "lrp.restructured", "patternnet", "pattern_attribution"}
"""Methods that do not explain attention: no rule for products, no last rectified layer, patterns of this network and not of the shorter one."""
METHODS = [id for id, row in xc.METHODS.items()
           if (row.layer == "signal" and id not in OTHERS) or id in ("simple_taylor", "integrated_gradients", "smoothgrad")]
SETTINGS = {"low": -3, "high": 3, "noise": None, "samples": 3, "seed": 0, "steps": 5}


def attention(tokens: int, mask: str, seed: int = 0) -> Graph:
    """The first token's query over all keys; ``mask``: "where" (a choice), "add" (a sum), "derived" (where a token is zero)."""
    rng = np.random.default_rng(seed)
    b = Builder()
    x = b.input("x", (None, tokens, WIDTH))
    q, k, v = (b.add(Dense(), x, b.param(f"{s}.w", rng.standard_normal((WIDTH, WIDTH))), b.param(f"{s}.b", rng.standard_normal(WIDTH)), name=s)
               for s in "qkv")
    scores = b.add(MatMul(), b.add(Slice(1, 0, 1), q), b.add(Transpose((0, 2, 1)), k), name="scores")
    drop = {
        "where": lambda: b.add(Unsqueeze((1,)), b.input("masked", (None, tokens), "bool")),
        "add": lambda: b.add(Unsqueeze((1,)), b.input("masked", (None, tokens), "bool")),
        "derived": lambda: b.add(Unsqueeze((1,)), b.add(Compare("eq"), b.add(Sum((2,)), b.add(Mul(), x, x)), b.constant(0.0)), name="empty"),
    }
    gone, infinite = drop[mask](), b.constant(-np.inf, "infinite")
    if mask == "add":
        scores = b.add(Add(), scores, b.add(Where(), gone, infinite, b.constant(0.0, "nothing")), name="masked scores")
    else:
        scores = b.add(Where(), gone, infinite, scores, name="masked scores")
    mixed = b.add(Squeeze((1,)), b.add(MatMul(), b.add(Softmax(-1), scores, name="weights"), v, name="mixed"))
    return b.build(b.add(Dense(), mixed, b.param("o.w", rng.standard_normal((2, WIDTH))), name="logits"))


def explain(graph: Graph, feeds: dict[str, np.ndarray], method: str, **settings: object) -> xc.Attribution:
    known = xc.METHODS[method].settings
    chosen = {k: v for k, v in SETTINGS.items() if k in known and v is not None}
    return xc.explain(graph, feeds, method, 1, wrt=["x"], **chosen, **settings)


@pytest.mark.parametrize("mask", ["where", "add"])
@pytest.mark.parametrize("method", [m for m in METHODS if m != "smoothgrad"] + [f"lrp.{k} {b}" for k in ("epsilon", "gamma", "alpha_beta", "flat")
                                    for b in ("ignore", "distribute")])
def test_what_is_masked_is_not_there(mask: str, method: str) -> None:
    method, *bias = method.split()
    settings = {"bias": bias[0]} if bias else {}
    x = np.random.default_rng(1).standard_normal((2, TOKENS, WIDTH))
    gone = np.arange(TOKENS) >= KEPT
    whole = explain(attention(TOKENS, mask), {"x": x, "masked": np.broadcast_to(gone, (2, TOKENS))}, method, **settings)
    short = explain(attention(KEPT, mask), {"x": x[:, :KEPT], "masked": np.zeros((2, KEPT), bool)}, method, **settings)
    limit = TOLERANCE * abs(short["x"]).max()
    np.testing.assert_allclose(whole.output, short.output, rtol=1e-12)
    np.testing.assert_allclose(whole["x"][:, :KEPT], short["x"], rtol=0, atol=limit)
    assert not whole["x"][:, KEPT:].any()
    for k, v in whole.layers.items():
        assert np.isfinite(v).all(), k
    for entry in whole.ledger or ():
        assert np.isfinite(entry.arrived).all(), entry.node.name
        assert np.isfinite(entry.passed).all(), entry.node.name


def test_noise_and_windows_see_the_mask_too() -> None:
    x = np.random.default_rng(1).standard_normal((2, TOKENS, WIDTH))
    feeds = {"x": x, "masked": np.broadcast_to(np.arange(TOKENS) >= KEPT, (2, TOKENS))}
    for method in ("smoothgrad", "vargrad", "occlusion"):
        a = explain(attention(TOKENS, "where"), feeds, method, **({"window": (1, 1)} if method == "occlusion" else {}))
        assert a["x"][:, :KEPT].all()
        assert not a["x"][:, KEPT:].any()


@pytest.mark.parametrize("method", ["deeplift.rescale", "deeplift.reveal_cancel"])
def test_a_mask_that_only_one_of_the_two_runs_has_is_refused(method: str) -> None:
    """A model that derives its mask from the input, and a baseline that has one token more."""
    x = np.random.default_rng(1).standard_normal((1, TOKENS, WIDTH))
    x[:, KEPT:] = 0
    start = np.ones_like(x)
    start[:, KEPT + 1:] = 0
    with pytest.raises(InputError, match=r"node '(masked scores|weights[a-z/]*)'.* leaves the range.*is infinite on the input or on the baseline alone"):
        explain(attention(TOKENS, "derived"), {"x": x}, method, baseline=start)
    start[:, KEPT:] = 0
    a = explain(attention(TOKENS, "derived"), {"x": x}, method, baseline=start)
    assert abs(a.gap()).max() <= TOLERANCE * abs(a["x"]).max()
    assert not a["x"][:, KEPT:].any()


def test_products_and_differences_beside_infinities() -> None:
    inf = np.inf
    assert product(np.array([0.0, 0, 2]), np.array([inf, -inf, 3])).tolist() == [0, 0, 6]
    assert product(np.array([2.0, -1]), np.array([inf, 3])).tolist() == [inf, -3]
    assert difference(np.array([-inf, inf, 3]), np.array([-inf, inf, 1.0])).tolist() == [0, 0, 2]
    for x, x0 in ((-inf, 1.0), (1.0, inf), (inf, -inf)):
        with pytest.raises(FloatingPointError):
            difference(np.array([x]), np.array([x0]))
