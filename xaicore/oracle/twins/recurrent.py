"""Second opinions for recurrent cells: the forward pass and LRP of one layer, number by number in plain loops, sharing no code.

The LSTM is the loop of Arras et al. 2017: relevance goes from c_t to i ⊙ g and to f ⊙ c_{t-1} in proportion, all of a product's
to the signal, and through the rows of g alone to x_t and h_{t-1}. The GRU is the same idea. All work on floats and on
Fractions; ``sigma`` and ``tanh`` are functions of one number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Vector = Sequence[Any]
Matrix = Sequence[Sequence[Any]]
Function = Callable[[Any], Any]


def _dot(row: Vector, x: Vector) -> Any:
    return sum(a * b for a, b in zip(row, x))


def _share(part: Any, z: Any, r: Any, eps: Any) -> Any:
    """part / (z + eps sign(z)) of r, and nothing where that is 0 / 0."""
    below = z + (-eps if z < 0 else eps)
    return part * r / below if below != 0 else part * 0


class Cell:
    """One layer: w, u as rows, b and c as lists, ``size`` units; its rows in blocks, one for each gate."""

    def __init__(self, w: Matrix, u: Matrix, b: Vector, c: Vector, sigma: Function, tanh: Function):
        self.w, self.u, self.b, self.c, self.sigma, self.tanh = w, u, b, c, sigma, tanh
        self.size = len(u[0])

    def row(self, gate: int, k: int) -> int:
        """The row of unit k of a gate."""
        return gate * self.size + k

    def total(self, gate: int, k: int, x: Vector, h: Vector) -> Any:
        """w x + b + u h + c in the row of unit k of a gate."""
        j = self.row(gate, k)
        return _dot(self.w[j], x) + self.b[j] + _dot(self.u[j], h) + self.c[j]

    def spread(
        self, gate: int, k: int, x: Vector, h: Vector, r: Any, z: Any, eps: Any, r_x: list[Any], r_h: list[Any], more: Any = 0
    ) -> None:
        """Adds the shares of r that the ε-rule with denominator z gives to x and h, ``more`` (of the bias) to each besides its own."""
        j = self.row(gate, k)
        for i in range(len(x)):
            r_x[i] = r_x[i] + _share(self.w[j][i] * x[i] + more, z, r, eps)
        for i in range(len(h)):
            r_h[i] = r_h[i] + _share(self.u[j][i] * h[i] + more, z, r, eps)

    def bias(self, gate: int, k: int) -> Any:
        """Both biases of unit k of a gate."""
        j = self.row(gate, k)
        return self.b[j] + self.c[j]


class LSTM(Cell):
    """Rows i, f, g, o."""

    def states(self, xs: Matrix) -> list[tuple[list[Any], list[Any]]]:
        """(h, c) before the first step and after each, from zeros."""
        zero = [0 * self.b[0]] * self.size
        found = [(list(zero), list(zero))]
        for x in xs:
            h, c = found[-1]
            new_h, new_c = [], []
            for k in range(self.size):
                i, f, o = (self.sigma(self.total(gate, k, x, h)) for gate in (0, 1, 3))
                new_c.append(f * c[k] + i * self.tanh(self.total(2, k, x, h)))
                new_h.append(o * self.tanh(new_c[k]))
            found.append((new_h, new_c))
        return found

    def relevance(self, xs: Matrix, r: Vector, eps: Any = 0, bias: str = "absorb") -> list[list[Any]]:
        """The relevance of every x_t, from ``r`` at the last h. bias="distribute" is the authors' bias_factor of 1."""
        states = self.states(xs)
        r_h, r_c = list(r), [0 * v for v in r]
        out: list[list[Any]] = []
        for t in range(len(xs) - 1, -1, -1):
            (h, c), (_, c_new), x = states[t], states[t + 1], xs[t]
            r_c = [a + b for a, b in zip(r_c, r_h)]                      # h = o tanh(c): the gate o takes nothing
            r_x, r_h = [0 * v for v in x], [0 * v for v in h]
            for k in range(self.size):
                i, f = self.sigma(self.total(0, k, x, h)), self.sigma(self.total(1, k, x, h))
                z = self.total(2, k, x, h)
                r_g = _share(i * self.tanh(z), c_new[k], r_c[k], eps)
                r_c[k] = _share(f * c[k], c_new[k], r_c[k], eps)
                more = self.bias(2, k) / (len(x) + len(h)) if bias == "distribute" else 0
                self.spread(2, k, x, h, r_g, z - (self.bias(2, k) if bias == "ignore" else 0), eps, r_x, r_h, more)
            out.insert(0, r_x)
        return out


class GRU(Cell):
    """Rows r, z, n, the reset gate after or before the recurrent product."""

    def __init__(self, *args: Any, before: bool = False):
        super().__init__(*args)
        self.before = before

    def candidate(self, k: int, x: Vector, h: Vector, r: Vector) -> tuple[Any, Any, Any]:
        """What x, what the old state and what the constant b alone put into unit k of n."""
        j = self.row(2, k)
        if self.before:
            return _dot(self.w[j], x), _dot(self.u[j], [a * b for a, b in zip(r, h)]), self.bias(2, k)
        return _dot(self.w[j], x), r[k] * (_dot(self.u[j], h) + self.c[j]), self.b[j]

    def gates(self, x: Vector, h: Vector) -> tuple[list[Any], list[Any]]:
        """r and z of every unit."""
        r, z = ([self.sigma(self.total(gate, k, x, h)) for k in range(self.size)] for gate in (0, 1))
        return r, z

    def states(self, xs: Matrix) -> list[list[Any]]:
        """h before the first step and after each, from zeros."""
        found = [[0 * self.b[0]] * self.size]
        for x in xs:
            h = found[-1]
            r, z = self.gates(x, h)
            n = [self.tanh(sum(self.candidate(k, x, h, r))) for k in range(self.size)]
            found.append([(1 - z[k]) * n[k] + z[k] * h[k] for k in range(self.size)])
        return found

    def relevance(self, xs: Matrix, r_last: Vector, bias: str = "absorb") -> list[list[Any]]:
        """The relevance of every x_t, from ``r_last`` at the last h, without a stabiliser; the initial state is given as zeros.

        With bias="ignore", b has no share beside x and h, and c, which stands inside the reset gate's product, none beside h. In the
        first step that product is r c, whose only variable is the gate: there the gate takes its relevance.
        """
        states = self.states(xs)
        r_h = list(r_last)
        out: list[list[Any]] = []
        for t in range(len(xs) - 1, -1, -1):
            h, new, x, given = states[t], states[t + 1], xs[t], r_h
            r, z = self.gates(x, h)
            r_x, r_h = [0 * v for v in x], [0 * v for v in h]
            for k in range(self.size):
                j = self.row(2, k)
                of_x, of_h, of_b = self.candidate(k, x, h, r)
                n = self.tanh(of_x + of_h + of_b)
                r_n = _share((1 - z[k]) * n, new[k], given[k], 0)
                r_h[k] = r_h[k] + _share(z[k] * h[k], new[k], given[k], 0)
                whole = of_x + of_h + (0 if bias == "ignore" else of_b)
                for i in range(len(x)):
                    r_x[i] = r_x[i] + _share(self.w[j][i] * x[i], whole, r_n, 0)
                r_inside = _share(of_h, whole, r_n, 0)
                if t == 0 and not self.before:                           # r c: a constant signal, so the gate is what varies
                    z_r = self.total(0, k, x, h) - (self.bias(0, k) if bias == "ignore" else 0)
                    self.spread(0, k, x, h, r_inside, z_r, 0, r_x, r_h)
                    continue
                seen = [a * b for a, b in zip(r, h)] if self.before else h
                inside = _dot(self.u[j], seen) + (0 if self.before or bias == "ignore" else self.c[j])
                for i in range(len(h)):
                    r_h[i] = r_h[i] + _share(self.u[j][i] * seen[i], inside, r_inside, 0)
            out.insert(0, r_x)
        return out
