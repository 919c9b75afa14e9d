"""The rows: a method of ours beside the same method of a peer, on the same network, with what counts as agreement.

``ours(graph, x, speed)`` and ``peer(model, x)`` give arrays. A peer that is not installed leaves its rows out, by name.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import xaicore as xc
from benchmarks.speed import bare
from xaicore import Graph
from xaicore.graph.passes import faster, for_outputs

if TYPE_CHECKING:
    import torch

TARGET, TINY = 5, 1e-16
Ours = Callable[[Graph, np.ndarray, str], np.ndarray]
Peer = Callable[["torch.nn.Module", "torch.Tensor"], Callable[[], Any]]


@dataclass(frozen=True)
class Row:
    """One comparison.

    passes   how many times the products of a forward pass are taken, at least: for the floor
    goals    network -> (exact, fast), the ratios that were set as a goal
    apart    why the numbers of the two may differ, where they may; "" asserts agreement
    kinks    does the result jump where a unit passes a kink, as gradients do?
    check    the same with less work, for comparing the numbers
    limit    how far the numbers may be apart in float64, where the peer's are not float64 throughout
    bare     network -> the method's NumPy calls alone (bare.py), measured beside for one sample of float32: no engine takes less
    """

    name: str
    peer_name: str
    ours: Ours
    peer: Peer
    networks: tuple[str, ...]
    passes: float
    goals: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    apart: str = ""
    kinks: bool = True
    check: tuple[Ours, Peer] | None = None
    limit: float = 1e-10
    bare: Mapping[str, Callable[[Graph, np.ndarray, int], Callable[[], np.ndarray]]] = field(default_factory=dict)


def explained(method: str, **settings: Any) -> Ours:
    return lambda graph, x, speed: np.asarray(xc.explain(graph, x, method, target=TARGET, keep="inputs", speed=speed, **settings))


def forward(graph: Graph, x: np.ndarray, speed: str) -> np.ndarray:
    return np.asarray((graph.once("faster", lambda: faster(graph)) if speed == "fast" else graph)(x))


def outputs(graph: Graph, x: np.ndarray, speed: str) -> np.ndarray:
    """The forward pass of what a runtime for inference makes of the graph, once."""
    return np.asarray(graph.once(("outputs", speed), lambda: for_outputs(graph, speed))(x))


def four(graph: Graph, x: np.ndarray, speed: str) -> np.ndarray:
    methods = ["gradient", "guided_backprop", ("lrp.epsilon", {"eps": TINY}), "lrp.epsilon_plus"]
    return np.stack([np.asarray(v[0]) for v in xc.explain_all(graph, x, methods, [TARGET], keep="inputs", speed=speed).values()])


# ----- the peers --------------------------------------------------------------------------------------------------


def torch_forward(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    import torch

    def run() -> np.ndarray:
        with torch.inference_mode():
            return model(x).numpy()

    return run


def torch_gradient(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    import torch

    def run() -> np.ndarray:
        leaf = x.clone().requires_grad_()
        return torch.autograd.grad(model(leaf)[:, TARGET].sum(), leaf)[0].numpy()

    for p in model.parameters():
        p.requires_grad_(False)
    return run


def channels_last(peer: Peer) -> Peer:
    def made(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
        import torch

        return peer(copy.deepcopy(model).to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last))

    return made


def onnx_forward(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    import onnxruntime as ort
    import torch
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


def captum_lrp(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    """captum's LRP with next to no stabiliser: its own, 1e-9, stands at pools too, where ours has none, and deep activations are small."""
    import torch
    from captum.attr import LRP
    from captum.attr._utils.lrp_rules import EpsilonRule

    own = copy.deepcopy(model)
    explainer = LRP(own)

    def run() -> Any:
        for m in own.modules():                                          # it forgets them after each call
            if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear, torch.nn.MaxPool2d)):
                m.rule = EpsilonRule(epsilon=TINY)
        return explainer.attribute(x.clone().requires_grad_(), target=TARGET).detach().numpy()

    return run


def noisy(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    from captum.attr import NoiseTunnel, Saliency

    tunnel = NoiseTunnel(Saliency(model))
    return lambda: tunnel.attribute(x.clone().requires_grad_(), target=TARGET, nt_type="smoothgrad", nt_samples=10, stdevs=0.1, abs=False).detach().numpy()


def cam(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    from captum.attr import LayerGradCam

    explainer = LayerGradCam(model, last_map(model))
    return lambda: explainer.attribute(x.clone().requires_grad_(), target=TARGET, relu_attributions=False).detach().numpy()


def last_map(model: torch.nn.Module) -> torch.nn.Module:
    return dict(model.named_modules())[LAST_MAP[type(model).__name__]]


LAST_MAP = {"VGG16": "features.29", "ResNet": "blocks"}
"""The layer of Grad-CAM: the last ReLU before the last pool of VGG16, the last block of a ResNet."""


def grad_cam(graph: Graph, x: np.ndarray, speed: str) -> np.ndarray:
    layer = next(k for k in LAST_MAP.values() if any(n.layer == k or (n.layer or "").startswith(k) for n in graph.nodes))
    nodes = [n.name for n in graph.nodes if (n.layer or "").startswith(layer)]
    return np.asarray(xc.explain(graph, x, "grad_cam", target=TARGET, layer=nodes[-1], relu=False, upsample=None, speed=speed))


def zennit(composite: str, rule: str = "", **settings: Any) -> Peer:
    """A composite with canonizers that merge batch normalisation, and skip connections as modules, which it needs.

    ``rule`` is that of the convolutions. It and the rule of the first layer get a stabiliser of 1e-16: ours add nothing there, zennit
    1e-6. Sums and average pools have 1e-6 in both.
    """
    def peer(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
        import torch
        import zennit.composites as composites
        import zennit.rules
        from zennit.attribution import Gradient
        from zennit.canonizers import SequentialMergeBatchNorm
        from zennit.layer import Sum
        from zennit.types import Convolution, Linear

        own = copy.deepcopy(model)
        for block in own.modules():
            if type(block).__name__ == "Block":
                block.add = Sum()
                block.forward = types.MethodType(lambda self, v: self.relu(self.add(torch.stack([self.main(v), self.skip(v)], -1))), block)
            elif type(block).__name__ == "Inverted" and block.skip:
                block.add = Sum()
                block.forward = types.MethodType(lambda self, v: self.add(torch.stack([v, self.main(v)], -1)), block)
        given = {k: v(x) if callable(v) else v for k, v in settings.items()}
        options = {"AlphaBeta": {"alpha": 2.0, "beta": 1.0}, "Gamma": {"gamma": 0.25}}.get(rule, {})
        table = [(Convolution, getattr(zennit.rules, rule)(stabilizer=TINY, **options))] if rule else None
        first = {"EpsilonPlusFlat": zennit.rules.Flat, "EpsilonGammaBox": zennit.rules.ZBox}.get(composite)
        if first is not None:
            given["first_map"] = [(Linear, first(stabilizer=TINY, **given))]
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
        import torch

        return torch.from_numpy(groups(count, tuple(x.shape[1:])))[None]

    return mask


def groups(count: int, shape: tuple[int, ...]) -> np.ndarray:
    """The number of the group of every entry of a sample."""
    line = np.arange(shape[-1]) * (count**2 if len(shape) == 1 else count) // shape[-1]
    return line if len(shape) == 1 else np.array(np.broadcast_to(line[:, None] * count + line, shape))


def kernel_shap(graph: Graph, x: np.ndarray, speed: str) -> np.ndarray:
    mask = groups(7, x.shape[1:])
    return np.asarray(xc.explain(graph, x, "kernel_shap", target=TARGET, mask=mask, samples=1000, seed=0, speed=speed))


# ----- the table --------------------------------------------------------------------------------------------------

ALL = ("MLP", "LeNet", "LSTM", "BERT-like", "ViT-like", "EfficientNet-Lite0", "ResNet18", "ResNet50", "VGG16")
PLAIN = ("MLP", "LeNet", "VGG16")
RESIDUAL = (*PLAIN, "EfficientNet-Lite0", "ResNet18", "ResNet50")
ZPLUS = {"VGG16": (0.55, 0.32), "ResNet18": (0.40, 0.35), "ResNet50": (0.40, 0.35), "LeNet": (0.12, None), "MLP": (0.12, None)}
POOLS = "captum's DeepLift treats max-pools otherwise"
SUMS = 1e-6
"""captum's Occlusion adds up in float32, whatever the model computes in."""


def windows(size: int, stride: int, at_once: int, channels: int = 3) -> tuple[Ours, Peer]:
    """Occlusion by squares, ours and captum's."""
    window, step = (channels, size, size), (channels, stride, stride)
    return (explained("occlusion", window=window, stride=step),
            captum("Occlusion", sliding_window_shapes=window, strides=step, perturbations_per_eval=at_once))


def path(steps: int) -> tuple[Ours, Peer]:
    return explained("integrated_gradients", steps=steps, quadrature="gauss_legendre_captum"), captum("IntegratedGradients", n_steps=steps, internal_batch_size=10)


ROWS = (
    Row("forward", "torch", forward, torch_forward, ALL, 1, kinks=False),
    Row("forward", "torch, channels last", forward, channels_last(torch_forward), ("ResNet50", "VGG16"), 1, kinks=False),
    Row("forward", "onnxruntime", outputs, onnx_forward, ALL, 1, {"VGG16": (1.4, 0.75), "ResNet50": (1.25, 1.1)}, kinks=False,
        check=(outputs, torch_forward)),                                  # it has no convolution in float64
    Row("gradient", "torch", explained("gradient"), torch_gradient, ALL, 2,
        {"VGG16": (1.1, 0.65), "ResNet50": (0.9, 0.85), "BERT-like": (1.1, None), "ViT-like": (1.1, None), "LeNet": (0.4, None), "MLP": (0.4, None)},
        bare={"MLP": bare.gradient, "LeNet": bare.gradient}),
    Row("gradient", "torch, channels last", explained("gradient"), channels_last(torch_gradient), ("ResNet50", "VGG16"), 2),
    Row("guided_backprop", "captum", explained("guided_backprop"), captum("GuidedBackprop"), PLAIN, 2),
    Row("lrp.epsilon", "captum LRP", explained("lrp.epsilon", eps=TINY), captum_lrp, ("MLP", "VGG16"), 2, {"VGG16": (0.70, 0.40)}),
    Row("lrp.epsilon_plus", "zennit EpsilonPlus", explained("lrp.epsilon_plus"), zennit("EpsilonPlus", "ZPlus"), RESIDUAL, 3, ZPLUS,
        bare={"MLP": bare.epsilon_plus, "LeNet": bare.epsilon_plus}),
    Row("lrp.epsilon_plus_flat", "zennit EpsilonPlusFlat", explained("lrp.epsilon_plus_flat"), zennit("EpsilonPlusFlat", "ZPlus"), ("LeNet", "VGG16"), 3),
    Row("lrp.epsilon_alpha2_beta1", "zennit EpsilonAlpha2Beta1", explained("lrp.epsilon_alpha2_beta1"), zennit("EpsilonAlpha2Beta1", "AlphaBeta"),
        (*PLAIN, "ResNet18", "ResNet50"), 5, ZPLUS,
        bare={"MLP": bare.epsilon_alpha2_beta1, "LeNet": bare.epsilon_alpha2_beta1}),
    Row("lrp.epsilon_gamma_box", "zennit EpsilonGammaBox", explained("lrp.epsilon_gamma_box", low=-4.0, high=4.0),
        zennit("EpsilonGammaBox", "Gamma", low=-4.0, high=4.0), ("LeNet", "VGG16"), 3, {"VGG16": (0.50, 0.30)}),
    Row("deeplift.rescale", "captum DeepLift", explained("deeplift.rescale"), captum("DeepLift"), ("MLP",), 3),
    Row("deeplift.rescale", "captum DeepLift", explained("deeplift.rescale"), captum("DeepLift"), ("LeNet", "VGG16"), 3, {"VGG16": (0.80, 0.50)}, apart=POOLS),
    Row("integrated_gradients, 50", "captum", *path(50), ALL, 100, {"VGG16": (1.0, 0.65), "LeNet": (0.5, None), "MLP": (0.2, None)}, check=path(4)),
    Row("smoothgrad, 10", "captum NoiseTunnel", explained("smoothgrad", samples=10), noisy, (*PLAIN, "BERT-like"), 20, apart="each draws its own noise"),
    Row("occlusion 4 x 4", "captum", *windows(4, 4, 49, 1), ("LeNet",), 50, kinks=False, limit=SUMS),
    Row("occlusion 15 x 15, stride 8", "captum", *windows(15, 8, 8), ("VGG16",), 730, {"VGG16": (0.20, 0.12)}, check=windows(15, 15, 8), limit=SUMS),
    Row("kernel_shap, 1000 of 49 groups", "captum", kernel_shap, captum("KernelShap", feature_mask=patches(7), n_samples=1000, perturbations_per_eval=100),
        ("MLP", "LeNet"), 1000, {"MLP": (0.08, None), "LeNet": (0.20, None)}, apart="each draws its own coalitions"),
    Row("grad_cam", "captum LayerGradCam", grad_cam, cam, ("VGG16", "ResNet50"), 1),
    Row("four methods", "captum x 3, zennit", four,
        several(captum("Saliency", abs=False), captum("GuidedBackprop"), captum_lrp, zennit("EpsilonPlus", "ZPlus")), ("MLP", "VGG16"), 8,
        {"VGG16": (0.50, 0.28)}),
)
