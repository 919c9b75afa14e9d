"""The rows: a method of ours beside the same method of a peer, on the same network, with what counts as agreement.

``ours(graph, x, speed)`` and ``peer(model, x)`` give arrays. A peer that is not installed leaves its rows out, by name.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import xaicore as xc
from xaicore import Graph

TARGET = 5
Ours = Callable[[Graph, np.ndarray, str], np.ndarray]
Peer = Callable[[torch.nn.Module, torch.Tensor], Callable[[], Any]]


@dataclass(frozen=True)
class Row:
    """One comparison.

    passes   how many times the products of a forward pass are taken, at least: for the floor
    goals    network -> (exact, fast), the ratios that were set as a goal
    apart    why the numbers of the two may differ, where they may; "" asserts agreement
    batch    the batch of the network's inputs
    """

    name: str
    peer_name: str
    ours: Ours
    peer: Peer
    networks: tuple[str, ...]
    passes: float
    goals: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    apart: str = ""


def explained(method: str, **settings: Any) -> Ours:
    return lambda graph, x, speed: np.asarray(xc.explain(graph, x, method, target=TARGET, keep="inputs", speed=speed, **settings))


def forward(graph: Graph, x: np.ndarray, speed: str) -> np.ndarray:
    from xaicore.graph.passes import faster

    return np.asarray((faster(graph) if speed == "fast" else graph)(x))


def four(graph: Graph, x: np.ndarray, speed: str) -> np.ndarray:
    methods = ["gradient", "guided_backprop", ("lrp.epsilon", {"eps": 1e-9}), "lrp.epsilon_plus"]
    return np.stack([np.asarray(v[0]) for v in xc.explain_all(graph, x, methods, [TARGET], keep="inputs", speed=speed).values()])


# ----- the peers --------------------------------------------------------------------------------------------------


def torch_forward(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    def run() -> np.ndarray:
        with torch.inference_mode():
            return model(x).numpy()

    return run


def torch_gradient(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    def run() -> np.ndarray:
        leaf = x.clone().requires_grad_()
        return torch.autograd.grad(model(leaf)[:, TARGET].sum(), leaf)[0].numpy()

    for p in model.parameters():
        p.requires_grad_(False)
    return run


def channels_last(peer: Peer) -> Peer:
    return lambda model, x: peer(copy.deepcopy(model).to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last))


def onnx_forward(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    import onnxruntime as ort
    from xaicore_onnx import emit

    graph = xc.from_model(model, (x,), verify=False).astype("float32" if x.dtype == torch.float32 else "float64")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(emit(graph).SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x.numpy()}
    return lambda: session.run(None, feed)[0]


def captum(name: str, make: Mapping[str, Any] | None = None, **settings: Any) -> Peer:
    def peer(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
        import captum.attr

        explainer = getattr(captum.attr, name)(model, **(make or {}))
        given = {k: v(model, x) if callable(v) else v for k, v in settings.items()}
        return lambda: explainer.attribute(x.clone().requires_grad_(), target=TARGET, **given).detach().numpy()

    return peer


def noisy(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    from captum.attr import NoiseTunnel, Saliency

    tunnel = NoiseTunnel(Saliency(model))
    return lambda: tunnel.attribute(x.clone().requires_grad_(), target=TARGET, nt_type="smoothgrad", nt_samples=10, stdevs=0.1, abs=False).detach().numpy()


def cam(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    from captum.attr import LayerGradCam

    explainer = LayerGradCam(model, last_map(model))
    return lambda: explainer.attribute(x.clone().requires_grad_(), target=TARGET, relu_attributions=True).detach().numpy()


def last_map(model: torch.nn.Module) -> torch.nn.Module:
    return dict(model.named_modules())[LAST_MAP[type(model).__name__]]


LAST_MAP = {"VGG16": "features.29", "ResNet": "blocks"}
"""The layer of Grad-CAM: the last ReLU before the last pool of VGG16, the last block of a ResNet."""


def grad_cam(graph: Graph, x: np.ndarray, speed: str) -> np.ndarray:
    layer = next(k for k in LAST_MAP.values() if any(n.layer == k or (n.layer or "").startswith(k) for n in graph.nodes))
    nodes = [n.name for n in graph.nodes if (n.layer or "").startswith(layer)]
    return np.asarray(xc.explain(graph, x, "grad_cam", target=TARGET, layer=nodes[-1], upsample=None, speed=speed))


def zennit(composite: str, rule: str = "", **settings: Any) -> Peer:
    """A composite with canonizers that merge batch normalisation, and skip connections as modules, which it needs.

    ``rule`` is that of the convolutions, which gets a stabiliser of 1e-12: ours add nothing there, zennit 1e-6. Sums and average pools
    have 1e-6 in both.
    """
    def peer(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
        import zennit.composites as composites
        import zennit.rules
        from zennit.attribution import Gradient
        from zennit.canonizers import SequentialMergeBatchNorm
        from zennit.layer import Sum
        from zennit.types import Convolution

        own = copy.deepcopy(model)
        for block in own.modules():
            if type(block).__name__ == "Block":
                block.add = Sum()
                block.forward = types.MethodType(lambda self, v: self.relu(self.add(torch.stack([self.main(v), self.skip(v)], -1))), block)
        given = {k: v(x) if callable(v) else v for k, v in settings.items()}
        options = {"AlphaBeta": {"alpha": 2.0, "beta": 1.0}, "Gamma": {"gamma": 0.25}}.get(rule, {})
        table = [(Convolution, getattr(zennit.rules, rule)(stabilizer=1e-12, **options))] if rule else None
        made = getattr(composites, composite)(canonizers=[SequentialMergeBatchNorm()], layer_map=table, **given)
        classes = own(x).shape[-1]
        seed = torch.eye(classes, dtype=x.dtype)[[TARGET] * len(x)]

        def run() -> np.ndarray:
            with Gradient(model=own, composite=made) as attributor:
                _, relevance = attributor(x, lambda y: y * seed)
            return relevance.detach().numpy()

        return run

    return peer


def several(*peers: Peer) -> Peer:
    def peer(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
        runs = [one(model, x) for one in peers]
        return lambda: np.stack([run() for run in runs])

    return peer


def patches(count: int) -> Callable[..., torch.Tensor]:
    """A feature mask of count x count squares, or of runs of a vector."""
    def mask(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        if x.ndim == 2:
            return (torch.arange(x.shape[1]) * count**2 // x.shape[1])[None]
        size = x.shape[-1]
        line = torch.arange(size) * count // size
        return (line[:, None] * count + line[None])[None, None].expand(1, *x.shape[1:])

    return mask


def kernel_shap(graph: Graph, x: np.ndarray, speed: str) -> np.ndarray:
    mask = patches(7)(None, torch.from_numpy(x)).numpy()[0]
    return np.asarray(xc.explain(graph, x, "kernel_shap", target=TARGET, mask=mask, samples=1000, seed=0, speed=speed))


# ----- the table --------------------------------------------------------------------------------------------------

ALL = ("MLP", "LeNet", "LSTM", "BERT-like", "ViT-like", "ResNet18", "ResNet50", "VGG16")
CNNS = ("LeNet", "VGG16")
PLAIN = ("MLP", "LeNet", "VGG16")
RESIDUAL = (*PLAIN, "ResNet18", "ResNet50")
ZPLUS = {"VGG16": (0.55, 0.32), "ResNet18": (0.40, 0.35), "ResNet50": (0.40, 0.35), "LeNet": (0.12, None), "MLP": (0.12, None)}
ROWS = (
    Row("forward", "torch", forward, torch_forward, ALL, 1),
    Row("forward", "torch, channels last", forward, channels_last(torch_forward), ("ResNet50", "VGG16"), 1),
    Row("forward", "onnxruntime", forward, onnx_forward, ALL, 1, {"VGG16": (1.4, 0.75), "ResNet50": (1.25, 1.1)}),
    Row("gradient", "torch", explained("gradient"), torch_gradient, ALL, 2,
        {"VGG16": (1.1, 0.65), "ResNet50": (0.9, 0.85), "BERT-like": (1.1, None), "ViT-like": (1.1, None), "LeNet": (0.4, None), "MLP": (0.4, None)}),
    Row("gradient", "torch, channels last", explained("gradient"), channels_last(torch_gradient), ("ResNet50", "VGG16"), 2),
    Row("guided_backprop", "captum", explained("guided_backprop"), captum("GuidedBackprop"), PLAIN, 2),
    Row("lrp.epsilon", "captum LRP", explained("lrp.epsilon", eps=1e-9), captum("LRP"), ("MLP", "VGG16"), 2, {"VGG16": (0.70, 0.40)}),
    Row("lrp.epsilon_plus", "zennit EpsilonPlus", explained("lrp.epsilon_plus"), zennit("EpsilonPlus", "ZPlus"), RESIDUAL, 3, ZPLUS),
    Row("lrp.epsilon_plus_flat", "zennit EpsilonPlusFlat", explained("lrp.epsilon_plus_flat"), zennit("EpsilonPlusFlat", "ZPlus"), ("LeNet", "VGG16"), 3),
    Row("lrp.epsilon_alpha2_beta1", "zennit EpsilonAlpha2Beta1", explained("lrp.epsilon_alpha2_beta1"), zennit("EpsilonAlpha2Beta1", "AlphaBeta"), RESIDUAL, 5,
        ZPLUS),
    Row("lrp.epsilon_gamma_box", "zennit EpsilonGammaBox", explained("lrp.epsilon_gamma_box", low=-4.0, high=4.0),
        zennit("EpsilonGammaBox", "Gamma", low=-4.0, high=4.0), ("LeNet", "VGG16"), 3, {"VGG16": (0.50, 0.30)}),
    Row("deeplift.rescale", "captum DeepLift", explained("deeplift.rescale"), captum("DeepLift"), PLAIN, 3, {"VGG16": (0.80, 0.50)},
        apart="captum's DeepLift treats max-pools otherwise"),
    Row("integrated_gradients, 50", "captum", explained("integrated_gradients", steps=50), captum("IntegratedGradients", n_steps=50, internal_batch_size=10),
        ALL, 100, {"VGG16": (1.0, 0.65), "LeNet": (0.5, None), "MLP": (0.2, None)}),
    Row("smoothgrad, 10", "captum NoiseTunnel", explained("smoothgrad", samples=10), noisy, (*PLAIN, "BERT-like"), 20, apart="each draws its own noise"),
    Row("occlusion 4 x 4", "captum", explained("occlusion", window=(1, 4, 4), stride=(1, 4, 4)),
        captum("Occlusion", sliding_window_shapes=(1, 4, 4), strides=(1, 4, 4), perturbations_per_eval=49), ("LeNet",), 50),
    Row("occlusion 15 x 15, stride 8", "captum", explained("occlusion", window=(3, 15, 15), stride=(3, 8, 8)),
        captum("Occlusion", sliding_window_shapes=(3, 15, 15), strides=(3, 8, 8), perturbations_per_eval=8), ("VGG16",), 730, {"VGG16": (0.20, 0.12)}),
    Row("kernel_shap, 1000 of 49 groups", "captum", kernel_shap, captum("KernelShap", feature_mask=patches(7), n_samples=1000, perturbations_per_eval=100),
        ("MLP", "LeNet"), 1000, {"MLP": (0.08, None), "LeNet": (0.20, None)}, apart="each draws its own coalitions"),
    Row("grad_cam", "captum LayerGradCam", grad_cam, cam, ("VGG16", "ResNet50"), 1),
    Row("four methods", "captum x 3, zennit", four,
        several(captum("Saliency", abs=False), captum("GuidedBackprop"), captum("LRP"), zennit("EpsilonPlus", "ZPlus")), ("MLP", "VGG16"), 8,
        {"VGG16": (0.50, 0.28)}),
)
