"""Evaluation in boxes against evaluation of the whole: the sights of every operator, and random networks that are patched at random."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.cases import CASES
from tests.nets import close
from xaicore import Builder
from xaicore.errors import XaicoreError
from xaicore.graph.run import evaluate, shapes_of
from xaicore.methods import local, sweep
from xaicore.methods.local import View, scores_near
from xaicore.methods.task import make_task
from xaicore.ops import (
    Add,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    LayerNorm,
    LpPool,
    MaxPool,
    Mul,
    Pad,
    ReLU,
    Sigmoid,
    Slice,
    Transpose,
)
from xaicore.oracle.strategies import numbers
from xaicore.trace import forward


def patched(rng, x, rows):
    """For each of ``rows`` the sample with a random box of it exchanged, sometimes nothing and sometimes all."""
    out = x[rows]
    for k in range(len(rows)):
        ends = [sorted(rng.integers(0, n + 1, 2)) for n in x.shape[1:]]
        if rng.random() < 0.2:
            ends = [(0, n) for n in x.shape[1:]]
        box = tuple(slice(a, b) for a, b in ends)
        out[(k, *box)] = rng.permutation(out[(k, *box)].reshape(-1)).reshape(out[(k, *box)].shape)
    return out


def in_boxes(graph, value, feeds, moved, rows):
    """(the value at ``moved`` in boxes, was its last node computed in one?)"""
    view = View.of(graph, list(moved), value, forward(graph, feeds, wrt=list(moved)))

    class Named:
        wrt = tuple(moved)

    reach = view.reach(local._differing(Named, feeds, rows, lambda part: {k: v[part] for k, v in moved.items()}))
    return view.evaluate(rows, moved, reach), value in view.sees


def single(case):
    """One node with the case's operator: (graph, feeds), the inputs with a batch as inputs."""
    b, feeds = Builder(), {}
    names = []
    for k, (v, batched) in enumerate(zip(case.draw(np.random.default_rng(3)), case.sliced())):
        if batched:
            kind = {"f": "float", "b": "bool"}.get(v.dtype.kind, "int")
            names.append(b.input(f"x{k}", (None, *v.shape[1:]), kind))
            feeds[f"x{k}"] = v
        else:
            names.append(b.param(f"p{k}", v))
    return b.build(b.add(case.op, *names, name="y")), feeds


CLAIMED = [c for c in CASES if any(c.sliced())]


@pytest.mark.parametrize("case", CLAIMED, ids=[c.id for c in CLAIMED])
def test_sights_of_every_operator(case):
    """Whatever is changed in the inputs of any operator: what is computed in boxes is the whole output."""
    graph, feeds = single(case)
    floats = {k: v for k, v in feeds.items() if v.dtype.kind == "f"}
    if not floats:
        return
    for seed in range(3):
        rng = np.random.default_rng(seed)
        rows = rng.integers(0, 3, 5)
        moved = {k: patched(rng, v, rows) for k, v in floats.items() if len(floats) == 1 or rng.random() < 0.8}
        if not moved:
            continue
        try:
            plain = evaluate(graph, {**{k: v[rows] for k, v in feeds.items()}, **moved})["y"]
        except XaicoreError:                                            # a mixed input outside the operator's domain
            continue
        found, _ = in_boxes(graph, "y", feeds, moved, rows)
        assert found.shape == plain.shape
        assert close(found, plain, 1e-12)


def test_which_operators_are_computed_in_boxes():
    """The families of convolutional networks are: a change that makes one of them fall back shows here."""
    seen = set()
    for case in CLAIMED:
        graph, feeds = single(case)
        floats = [k for k, v in feeds.items() if v.dtype.kind == "f"]
        if floats and "y" in View.of(graph, floats, "y", forward(graph, feeds, wrt=floats)).sees:
            seen.add(type(case.op).__name__)
    assert seen >= {"Conv", "MaxPool", "AvgPool", "LpPool", "BatchNorm", "LocalResponseNorm", "Add", "Mul", "Concat", "Pad", "Transpose", "Dense",
                    "LayerNorm", "ReLU", "ReLU6", "PReLU", "GELU", "Sigmoid", "Clip", "Identity", "Dropout", "Slice", "Split"}
    assert not seen & {"GlobalAvgPool", "Flatten", "Reshape", "MatMul", "ConvTranspose", "LSTM", "Resize", "GlobalMaxPool"}


# ----- networks ---------------------------------------------------------------------------------------------------


@st.composite
def networks(draw, exact=False):
    """Two to five layers of what has a neighbourhood, over one or two axes of space, then something that mixes all of it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    b = Builder()
    space = draw(st.integers(1, 2))
    size, channels = draw(st.lists(st.integers(5, 9), min_size=space, max_size=space)), 2
    h = b.input("x", (None, channels, *size))
    pair = st.tuples(st.integers(0, 2), st.integers(0, 2))
    kinds = ["conv", "max", "avg", "relu", "skip", "concat", "pad", "gate", *([] if exact else ["lp", "norm", "last"])]
    for k in range(draw(st.integers(2, 5))):
        kind = "conv" if k == 0 else draw(st.sampled_from(kinds))
        sizes = shapes_of(b.build(h))[h][2:] if k else size
        kernel = tuple(draw(st.integers(1, min(3, n))) for n in sizes)
        stride = tuple(draw(st.integers(1, 3 if n > 5 else 1)) for n in sizes)
        if kind == "conv":
            groups = draw(st.sampled_from([1, 2]))
            dilation = tuple(draw(st.integers(1, (n - 1) // max(1, m - 1) or 1)) for n, m in zip(sizes, kernel))
            w = b.param(f"w{k}", numbers(rng, (4, channels // groups, *kernel)))
            pads = tuple(draw(pair) for _ in sizes)
            h = b.add(Conv(stride, dilation, pads, groups), h, w, b.param(f"b{k}", numbers(rng, (4,))), name=f"conv{k}")
        elif kind in ("max", "avg", "lp"):
            pads = tuple((draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1))) for n in kernel)
            common = {"stride": stride, "pads": pads, "ceil": draw(st.booleans())}
            inside = {"count_include_pad": draw(st.booleans())} if kind == "avg" else {}
            make = {"max": MaxPool, "avg": AvgPool, "lp": partial(LpPool, 2.0)}[kind]
            h = b.add(make(kernel, **common, **inside), h, name=f"pool{k}")
        elif kind == "relu":
            h = b.add(ReLU(), h)
        elif kind in ("skip", "concat"):
            w = b.param(f"w{k}", numbers(rng, (channels, channels, *(3,) * space)))
            side = b.add(Conv(pads=((1, 1),) * space), h, w, name=f"conv{k}")
            h = b.add(Add(), h, side) if kind == "skip" else b.add(Slice(1, 1, None), b.add(Concat(1), h, side))
        elif kind == "pad":
            h = b.add(Pad(tuple(draw(pair) for _ in sizes), value=0.5), h)
        elif kind == "gate":
            h = b.add(Mul(), h, b.add(GlobalAvgPool(), b.add(ReLU(), h)))
        elif kind == "norm":
            own = [b.param(f"n{k}.{j}", abs(numbers(rng, (channels,)))) for j in range(4)]
            h = b.add(BatchNorm(), h, *own)
        elif kind == "last":
            around = (0, *range(2, 2 + space), 1)
            y = b.add(LayerNorm(1), b.add(Transpose(around), h))
            y = b.add(Sigmoid(), b.add(Dense(), y, b.param(f"w{k}", numbers(rng, (channels, channels)))))
            h = b.add(Transpose((0, 1 + space, *range(1, 1 + space))), y)
        channels = shapes_of(b.build(h))[h][1]
    flat = b.add(Flatten(), h)
    width = int(np.prod(shapes_of(b.build(h))[h][1:]))
    return b.build(b.add(Dense(), flat, b.param("out", numbers(rng, (3, width))), name="logits")), rng


@given(made=networks(), batch=st.integers(1, 3), size=st.sampled_from([1, 4, 64]), wide=st.booleans())
@settings(max_examples=40)
def test_random_networks(made, batch, size, wide):
    """Strides, dilations, paddings, groups, pools with ceil, skips, concatenations, gates; batches of samples and of points."""
    graph, rng = made
    graph = graph if wide else graph.astype("float32")
    x = numbers(rng, (batch, *graph.inputs["x"].shape[1:])).astype(graph.dtype)
    rows = rng.integers(0, batch, 9)
    points = patched(rng, x, rows)
    task = make_task(graph, x, 1, batch_size=size)
    plain = sweep.scores(task, rows, lambda part: {"x": points[part]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "HANDLING", -1e12)                         # in boxes, whatever it costs
        found = scores_near(task, task.feeds, rows, lambda part: {"x": points[part]})
    scale = np.abs(forward(graph, {"x": x})["logits"]).max()
    depth = len(graph.nodes) * 50                                       # sums of up to some 50 products, in another order
    assert np.abs(found - plain).max() <= depth * np.finfo(graph.dtype).eps * max(scale, 1)


@given(made=networks(), handling=st.sampled_from([1.0, 100.0, 1e4, 1e6]))
@settings(max_examples=40)
def test_too_small_is_what_boxes_would_find_themselves(made, handling):
    """The short answer is the long one: where it says so, every point takes more work in boxes; where all boxes are empty, it says so."""
    graph, rng = made
    x = numbers(rng, (1, *graph.inputs["x"].shape[1:]))
    task = make_task(graph, x, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "HANDLING", handling)
        view = View.of(task.graph, task.wrt, task.value, task.trace)
        nothing = {"x": local.Boxes(np.zeros((1, x.ndim - 1), int), np.zeros((1, x.ndim - 1), int))}
        sure = local._too_small(task.graph, task.wrt, task.trace)
        reach = view.reach(nothing)
        whole, least, _ = view.work({k: local.Boxes(v.start, v.start) for k, v in reach.items()})
        outside = sum(local._each(n, task.trace) * np.prod(task.trace[n.name].shape[1:])
                      for n in graph.nodes if n.name in view.moving and n.name not in view.sees)
        assert sure == (whole < least - outside)


@given(made=networks(exact=True))
@settings(max_examples=10)
def test_equal_in_exact_mode(made):
    graph, rng = made
    graph = graph.astype("exact")
    x = xc.graph.graph.cast(numbers(rng, (2, *graph.inputs["x"].shape[1:])), "exact")
    rows = rng.integers(0, 2, 4)
    points = patched(rng, x, rows)
    task = make_task(graph, x, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "HANDLING", -1e12)
        found = scores_near(task, task.feeds, rows, lambda part: {"x": points[part]})
    assert (found == sweep.scores(task, rows, lambda part: {"x": points[part]})).all()


@pytest.mark.parametrize("method", ["occlusion", "feature_ablation", "feature_permutation"])
@pytest.mark.parametrize("mode", ["drop", "keep"])
def test_the_methods_give_what_they_gave(method, mode, monkeypatch):
    """With boxes and without: the same map, and progress that ends at the number of evaluations."""
    rng = np.random.default_rng(1)
    b = Builder()
    h = b.input("x", (None, 2, 12, 11))
    for k in range(2):
        h = b.add(Conv(pads=((1, 1), (1, 1))), h, b.param(f"w{k}", numbers(rng, (2, 2, 3, 3))), b.param(f"b{k}", numbers(rng, (2,))))
        h = b.add(ReLU(), h)
    graph = b.build(b.add(Dense(), b.add(Flatten(), h), b.param("out", numbers(rng, (3, 264)))))
    x = numbers(rng, (2, 2, 12, 11))
    given = {"occlusion": {"window": 3, "stride": 2, "mode": mode, "fill": 0.25}, "feature_permutation": {"mask": 4},
             "feature_ablation": {"mask": 4, "mode": mode, **({"background": numbers(rng, (2, 2, 12, 11))} if mode == "drop" else {})}}[method]
    plain = xc.explain(graph, x, method, target=1, **given)
    seen, old = [], View.evaluate
    monkeypatch.setattr(local, "HANDLING", -1e12)
    monkeypatch.setattr(View, "evaluate", lambda self, rows, *rest: (seen.append(len(rows)), old(self, rows, *rest))[1])
    steps = []
    found = xc.explain(graph, x, method, target=1, progress=lambda done, count: steps.append((done, count)), **given)
    assert sum(seen) == steps[-1][0] == steps[-1][1] > 0
    assert close(np.asarray(found), np.asarray(plain), 1e-12)
