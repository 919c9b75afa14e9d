"""How far integrated gradients by quadrature are from the exact integral, on the shipped digits network.

    python benchmarks/quadrature_error.py

For each quadrature and number of steps: the largest |A - A_exact| over the 12 held-out images, in units of the largest
|A_exact| of the same image, and the largest completeness gap in units of |f(x) - f(baseline)|. Nothing is drawn at random.
"""

from __future__ import annotations

import numpy as np

import xaicore as xc
from xaicore.data import digits_images, digits_model


def main() -> None:
    graph, (images, labels) = digits_model(), digits_images()
    target = [int(k) for k in labels]
    exact = xc.explain(graph, images, "integrated_gradients.exact", target=target)
    truth = np.asarray(exact)
    size = abs(truth).reshape(len(truth), -1).max(axis=1)
    difference = abs(exact.output - exact.baseline_output)
    pieces = exact.extras["pieces"]
    gap = abs(exact.gap()).max()
    print(f"integrated_gradients.exact: {pieces.min()} to {pieces.max()} linear pieces, gap {gap:.1e}, {exact.seconds:.1f} s")
    print(f"{'quadrature':16} {'steps':>5} {'error':>9} {'gap':>9}")
    for quadrature in ("gauss_legendre", "midpoint", "trapezoid", "right", "left"):
        for steps in (20, 50, 200):
            a = xc.explain(graph, images, "integrated_gradients", target=target, steps=steps, quadrature=quadrature)
            error = (abs(np.asarray(a) - truth).reshape(len(truth), -1).max(axis=1) / size).max()
            print(f"{quadrature:16} {steps:5} {error:9.2%} {(abs(a.gap()) / difference).max():9.2%}")


if __name__ == "__main__":
    main()
