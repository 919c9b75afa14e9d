"""What libraries compute, written again as loops over neurons, pixels and samples, from their formulas. Nothing of xaicore is used."""

import math
from fractions import Fraction
from itertools import combinations

import numpy as np


def sign(z):
    return -1.0 if z < 0 else 1.0


def lrp_layer(x, w, b, r, share, bottom):
    """R_i = Σ_j share(x_i, w_ji) R_j / bottom(Σ_i share, b_j, z_j), one neuron after the other."""
    out = np.zeros(len(x))
    for j in range(len(w)):
        shares = [share(x[i], w[j][i]) for i in range(len(x))]
        z = sum(x[i] * w[j][i] for i in range(len(x))) + b[j]
        d = bottom(sum(shares), b[j], z)
        for i in range(len(x)):
            out[i] += 0.0 if d == 0 else shares[i] * r[j] / d
    return out


def plain(x, w):
    return x * w


def plus(x, w):
    return max(x * w, 0.0)


def minus(x, w):
    return min(x * w, 0.0)


def weight_plus(x, w):
    return x * max(w, 0.0)


def favoured(gamma):
    return lambda x, w: x * (w + gamma * max(w, 0.0))


def with_sign(eps):
    """z + eps sign z."""
    return lambda s, b, z: z + eps * sign(z)


def zennit_gamma(x, w, b, r, gamma):
    """Two branches by the sign of the true output; z = 0 keeps what it gets."""
    out = np.zeros(len(x))
    for j in range(len(w)):
        z = sum(x[i] * w[j][i] for i in range(len(x))) + b[j]
        part = {True: lambda v: max(v, 0.0), False: lambda v: min(v, 0.0)}
        if z == 0:
            continue
        up = z > 0
        shares = [max(x[i], 0) * (w[j][i] + gamma * part[up](w[j][i])) + min(x[i], 0) * (w[j][i] + gamma * part[not up](w[j][i]))
                  for i in range(len(x))]
        d = sum(shares) + b[j] + gamma * part[up](b[j])
        out += np.array(shares) * r[j] / d
    return out


def alpha_beta(x, w, b, r, alpha, bias):
    """α and β parts with b split by sign, whole in both, or nowhere."""
    p, n = {"split": (lambda v: max(v, 0.0), lambda v: min(v, 0.0)), "whole": (float, float), "none": (lambda v: 0.0, lambda v: 0.0)}[bias]
    up = lrp_layer(x, w, b, r, plus, lambda s, c, z: s + p(c))
    return alpha * up - (alpha - 1) * lrp_layer(x, w, b, r, minus, lambda s, c, z: s + n(c))


def quadrature(gradient, x, nodes, weights, multiply=True):
    total = np.zeros(len(x))
    for a, w in zip(nodes, weights):
        total += w * gradient(a * x)
    return total * x if multiply else total


def inclusive(n):
    return [k / (n - 1) for k in range(n)], [1 / n] * n


def captum_trapezoid(n):
    return [k / (n - 1) for k in range(n)], [1 / (2 * n), *[1 / n] * (n - 2), 1 / (2 * n)]


def rescale(x, x0, threshold, at):
    """Multipliers of a ReLU."""
    out = []
    for a, b in zip(x, x0):
        d = a - b
        point = {"input": a, "reference": b, "midpoint": (a + b) / 2}[at]
        out.append((max(a, 0) - max(b, 0)) / d if abs(d) > threshold else float(point > 0))
    return np.array(out)


def softmax(x):
    e = [math.exp(v) for v in x]
    return np.array([v / sum(e) for v in e])


def upsampled(a, size):
    """Half-pixel bilinear, pixel by pixel, the border repeated."""
    n = len(a)
    out = np.zeros((size, size))
    for r in range(size):
        for c in range(size):
            y, x = (min(max((v + 0.5) * n / size - 0.5, 0.0), n - 1.0) for v in (r, c))
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, n - 1), min(x0 + 1, n - 1)
            p, q = y - y0, x - x0
            out[r, c] = (1 - p) * ((1 - q) * a[y0][x0] + q * a[y0][x1]) + p * ((1 - q) * a[y1][x0] + q * a[y1][x1])
    return out


def coalitions(m):
    return [set(s) for k in range(m + 1) for s in combinations(range(m), k)]


def weighted_fit(rows, y, w, ridge=0, intercept=True):
    """The normal equations, solved as they stand, in rational numbers."""
    z = [[Fraction(v) for v in row] + ([Fraction(1)] if intercept else []) for row in rows]
    y, w, n = [Fraction(v) for v in y], [Fraction(v) for v in w], len(z[0])
    a = [[sum(w[s] * z[s][i] * z[s][j] for s in range(len(z))) for j in range(n)] + [sum(w[s] * z[s][i] * y[s] for s in range(len(z)))]
         for i in range(n)]
    for k in range(len(rows[0])):
        a[k][k] += Fraction(ridge)
    for k in range(n):
        pivot = next(r for r in range(k, n) if a[r][k])
        a[k], a[pivot] = a[pivot], a[k]
        for r in range(n):
            if r != k:
                a[r] = [p - q * a[r][k] / a[k][k] for p, q in zip(a[r], a[k])]
    return np.array([float(a[k][n] / a[k][k]) for k in range(len(rows[0]))])
