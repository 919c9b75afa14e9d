"""Methods whose answer is a structure: a formula, arguments, a mask with its box, a graph. Each is its family's function, whose answer is
read out as a map; the structure itself stands in ``extras``, in words as ``extras["says"]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.methods.arguments import argued
from xaicore.methods.attribution import Attribution
from xaicore.methods.contrast import Base, base_rules
from xaicore.methods.logic import Logic, explain_logic
from xaicore.methods.maps import as_fed
from xaicore.methods.model_search import Candidate, searched
from xaicore.methods.noise import method_named
from xaicore.methods.propagate import channels_last, propagate
from xaicore.methods.samples import floats_only, read_out
from xaicore.methods.segment import global_contrast as contrast_of
from xaicore.methods.segment import segment
from xaicore.methods.task import Task
from xaicore.numerics import Array

# ----- logic --------------------------------------------------------------------------------------------------------


def one_class_of(task: Task, method: str) -> int:
    """The class that is explained in all samples alike."""
    w = task.weights
    hot = np.flatnonzero(w[0].reshape(-1))
    if w.ndim != 2 or len(hot) != 1 or w[0, hot[0]] != 1 or (w != w[:1]).any():
        raise Inapplicable(f"{method} speaks about one class, and here {task.words} is explained; give one class for all samples, "
                           f"target=0 to {w.shape[-1] - 1}")
    return int(hot[0])


def literals(found: Logic, x: Array) -> Array:
    """(N, n): 1 where a term of the formula that holds for the sample has the concept, -1 where it has its negation, else 0."""
    holds, out = np.asarray(x) > 0.5, np.zeros(x.shape, dtype=x.dtype)
    for term in found.formula.terms:
        here = np.logical_and.reduce([holds[:, j] == value for j, value in term], axis=0) if term else np.ones(len(x), dtype=bool)
        for j, value in term:
            out[here, j] = 1 if value else -1
    return out


def _logic(task: Task, family: str, **settings: Any) -> Attribution:
    method = f"len.{family}"
    floats_only(task, method, "reads a formula off numbers")
    (x, *others) = (task.feeds[k] for k in task.wrt)
    if others or x.ndim != 2:
        raise Inapplicable(f"{method} explains a network on concepts, one input (N, n) in [0, 1]; this one reads "
                           + ", ".join(f"{k} {task.feeds[k].shape}" for k in task.wrt))
    found = explain_logic(task.graph, task.feeds, one_class_of(task, method), family=family, **settings)
    return read_out(task, method, {task.wrt[0]: literals(found, x)}, found, formula=found.formula, fidelity=found.fidelity,
                    accuracy=found.accuracy, local=found.local)


def len_relu(task: Task, labels: Any = None, threshold: float = 0.5, terms: int = 10, names: Sequence[str] = ()) -> Attribution:
    """A_j = ±1 where the formula's term for x has concept j (or ~j): its concepts have |w_j| >= threshold max |w|, f = w·x + b at x.

    w        the affine map of the sample's firing path; each concept enters as it is in the sample (it holds above 1/2)
    labels   truth values (N,): only samples that are rightly put in the class speak, and terms are kept for accuracy, not for fidelity
    terms    how many of the most frequent conjunctions are tried, each kept where more samples of the batch come out right
    names    of the concepts; default c0, c1, ...

    Values (N, n) of 0, 1 and -1, all 0 where the formula does not hold. ``extras``: "formula", "fidelity" and "accuracy" on the batch,
    which is the data set, and "local", each sample's own conjunction. The network says the class where it is the largest output, or its
    only one is above 0 (behind a sigmoid: 1/2). Simplified without a change of its truth table up to 12 concepts. Costs one forward and
    backward pass. Raises Inapplicable for inputs that are no concepts or a target that is not one class, InputError for concepts outside
    [0, 1], ShapeError for labels that do not fit. Source: ciravegna2023 (as in the authors' code; the map is ours). Differs: the authors
    also train the network for this.
    """
    return _logic(task, "relu", labels=labels, threshold=threshold, terms=terms, names=names)


def len_mu(task: Task, labels: Any = None, terms: int = 10, names: Sequence[str] = ()) -> Attribution:
    """A_j = ±1 where the formula's term for x has concept j (or ~j): terms are all concepts that the first layer reads, as they are in x.

    For a network of one class whose first layer was pruned to few concepts; settings, values in the shape of the input,
    extras and errors as for len.relu, and Inapplicable where something other than a Dense layer reads the concepts. Costs one forward
    pass. Source: ciravegna2023 (as in the authors' code; the map is ours). Differs: the authors also train and prune the network for
    this.
    """
    return _logic(task, "mu", labels=labels, terms=terms, names=names)


def len_psi(task: Task, labels: Any = None, fan_in: int | None = 2, names: Sequence[str] = ()) -> Attribution:
    """A_j = ±1 where the formula's term for x has concept j (or ~j): the network's truth table, its sigmoids rounded to 0 or 1.

    fan_in   how many values a neuron may read (None: any number), as the network was pruned

    For Dense layers and sigmoids; the table is composed neuron by neuron and written with the fewest terms (Quine and McCluskey). Other
    settings, values in the shape of the input, extras and errors as for len.relu, and Inapplicable, naming the node, for another
    operator, a neuron that reads more than ``fan_in`` values, or more than 12 concepts. Costs one forward pass of 2^n rows. Source:
    ciravegna2023, mccluskey1956 (as in the authors' code; the map is ours). Differs: the authors simplify with sympy, which need not find
    the shortest form.
    """
    return _logic(task, "psi", labels=labels, fan_in=fan_in, names=names)


# ----- arguments ----------------------------------------------------------------------------------------------------


def dax(task: Task, layers: Sequence[str] | None = None, top: int | None = 5, base: Base = "lrp.zero") -> Attribution:
    """A_i = σ(i), the strength of input i, its relevance; a unit supports another where its message has the sign of that one's σ.

    layers  the strata between the inputs and the explained value, from below; default: every value that a layer with weights makes
    top     how many arguments a stratum shows, those of largest |σ|; None: all whose strength is not 0
    base    the relevance rule set whose messages these are; "lrp.zero" conserves as far as biases allow

    Values in the shape of the inputs: the relevance of ``base``, with its ledger and ``layers``. ``extras["arguments"]``: for each sample
    the graph of arguments and relations (support, attack, each with its message), which prints as text and has to_json(). σ is the sum of
    a unit's messages where nothing passes the stratum above by (W56). A message of 0 is no relation. Rational in exact mode. Costs one
    forward and backward pass of ``top`` samples for each stratum and sample. Raises Inapplicable for a layer that is not on the way or
    out of order, UnknownName for a base. Source: albini2020 (relations and strength: reconstruction). No library has it.
    """
    rules = base_rules(base)
    a = propagate(task, rules, "dax")
    found = tuple(argued(task.moved({}, np.array([n])), layers, top, base) for n in range(task.size))
    return Attribution(a.values, a.output, "dax", a.graph, a.feeds, a.target, a.settings, a.explained, layers=a.layers, ledger=a.ledger,
                       extras={"arguments": found, "says": "\n".join(map(str, found))})


# ----- images -------------------------------------------------------------------------------------------------------


def segmentation(task: Task, of: Any = "saliency", inside: float = 0.95, outside: float = 0.30, smoothness: float = 50.0,
                 components: int = 5, largest: bool = True, seed: int = 0) -> Attribution:
    """A(p) = 1 where pixel p is the object: min over labels of Σ_p D_p(l_p) + λ Σ_pq [l_p ≠ l_q] exp(-|c_p - c_q|² / 2σ²), a graph cut.

    of          whose map names the object: the id of a method, or (id, {its settings}), such as ("lrp.epsilon", {"eps": 0.1})
    inside, outside   pixels above and below these quantiles of |map| are examples of the object and of what is around it
    smoothness  λ;  components: Gaussians in each of the two models of colours;  largest: keep only the largest connected part

    Values (N, 1, H, W) of 0 and 1. ``extras``: "boxes", (top, left, bottom, right) of each sample, ends excluded, None for none; "cut"
    (N,), the cost of the cut, which no labelling undercuts (W62); "map", what ``of`` said. D is minus the logarithm of a colour's
    density. Costs what ``of`` costs, and a maximum flow for each image. Raises Inapplicable for inputs that are no images, InputError for
    a map that is the same everywhere, ExactnessError in exact mode. Source: simonyan2013 section 3.2 (quantiles and colour models from
    descriptions: reconstruction); boykov2001. No library has it.
    """
    floats_only(task, "segmentation", "takes logarithms of densities")
    inner = method_named(task, of)(task, np.arange(task.size))
    values, boxes, cuts = {}, {}, {}
    for k in task.wrt:
        if task.feeds[k].ndim != 4 or inner[k].ndim != 4:
            raise Inapplicable(f"segmentation divides the pixels of images (N, C, H, W), and input {k!r} has shape {task.feeds[k].shape}")
        found = segment(inner, k, inside, outside, smoothness, components, largest, seed)
        values[k] = as_fed(task, k, found.mask[:, None].astype(task.feeds[k].dtype))
        boxes[k], cuts[k] = found.boxes, np.array(found.cut)
    first = boxes[task.wrt[0]]
    says = "\n".join(f"sample {n}: " + ("no object" if b is None else f"rows {b[0]} to {b[2] - 1}, columns {b[1]} to {b[3] - 1}")
                     for n, b in enumerate(first))
    several = len(task.wrt) > 1
    return read_out(task, "segmentation", values, says, boxes=boxes if several else first,
                    cut=cuts if several else cuts[task.wrt[0]], map=dict(inner.values))


def global_contrast(task: Task) -> Attribution:
    """A(p) = Σ_q |I_p - I_q| over all pixels q, channels added: a map that no network enters, and that any attribution must beat.

    Values (N, 1, H, W), never negative, 0 for an image of one colour. By the histogram: sorted values and their running sums, O(P log P).
    Costs one forward pass, for f(x), which the map does not depend on. Rational in exact mode. Raises Inapplicable for inputs that are no
    images. Source: zhai2006 (reconstruction). Differs: libraries of static saliency scale it to [0, 1].
    """
    values = {}
    for k in task.wrt:
        x = task.feeds[k]
        if x.ndim != 4:
            raise Inapplicable(f"global_contrast compares the pixels of images (N, C, H, W), and input {k!r} has shape {x.shape}")
        last = channels_last(task.graph.meta, k)
        values[k] = as_fed(task, k, contrast_of(np.moveaxis(x, -1, 1) if last else x))
    return Attribution(values, task.result, "global_contrast", task.graph, task.feeds, task.target, {}, task.words)


# ----- graphs -------------------------------------------------------------------------------------------------------


def xgnn(task: Task, types: Any = None, nodes: int = 5, search: str = "exhaustive", degrees: Sequence[int] | None = None,
         steps: int = 10, rollouts: int = 10, future: float = 1.0, penalty: float = 1.0, seed: int = 0) -> Attribution:
    """A = the graph that is most typical of the class: argmax over connected graphs G of p_c(G) - 1 / classes - penalty [G is invalid].

    The input is the graph to start from, "adjacency" (N, n, n) of 0 and 1 and "features" (N, n, F); it matters for search="greedy" alone.
    types     (T, F): the features of each of T types of nodes; None: the different rows of the start graph's own
    nodes     how many nodes a graph may have;  degrees: how many edges a node of each type may have; None: any number
    search    "exhaustive": every graph; "greedy": at most ``steps`` times the best edge more, with ``rollouts`` random completions
    future, penalty, seed   λ1, λ2 as for xaicore.methods.model_search.xgnn

    Values: the adjacency (N, m, m) and the features (N, m, F) of the found graphs, m the most nodes of one, zeros behind those of smaller
    ones. ``extras["typical"]``: for each sample the graph, its probability and reward, and how many graphs were seen. ``output`` is f of
    the start graph. Raises Inapplicable for a model of other inputs, a target that is not one class, or too many graphs (with their
    number); InputError for a start graph that is none. Source: yuan2020 (reconstruction). Differs: the paper trains a policy by
    reinforcement for the greedy walk; this takes the best step of all, with the same reward.
    """
    floats_only(task, "xgnn", "compares probabilities")
    if set(task.graph.inputs) != {"adjacency", "features"}:
        raise Inapplicable(f"xgnn searches among graphs, and the network reads {', '.join(task.graph.inputs)}; inputs called 'adjacency' "
                           f"and 'features' are expected")
    wanted = one_class_of(task, "xgnn")
    found = []
    for n in range(task.size):
        a, h = (task.feeds[k][n] for k in ("adjacency", "features"))
        table = np.unique(h, axis=0) if types is None else np.asarray(types, dtype=float)
        best = searched(task.graph, wanted, table, nodes, search, degrees, start_graph(a, h, table), steps, rollouts, future, penalty, seed)
        found.append((best, table))
    most = max(len(t.graph.types) for t, _ in found)
    padded = [(_padded(t.graph.adjacency, (most, most)), _padded(table[list(t.graph.types)], (most, table.shape[1]))) for t, table in found]
    values = {k: np.stack([p[i] for p in padded]).astype(task.feeds[k].dtype) for i, k in enumerate(("adjacency", "features"))}
    return read_out(task, "xgnn", values, "\n".join(str(t) for t, _ in found), typical=tuple(t for t, _ in found))


def start_graph(adjacency: Array, features: Array, table: Array) -> Candidate:
    """The graph of matrices: InputError unless they are one, with nodes of the types in ``table``."""
    if not np.isin(adjacency, (0, 1)).all() or (adjacency != adjacency.T).any() or adjacency.diagonal().any():
        raise InputError("the start graph's adjacency must be symmetric, of 0 and 1, with zeros on the diagonal")
    fits = table.ndim == 2 and features.shape[1] == table.shape[1]
    same = (features[:, None] == table[None]).all(axis=2) if fits else np.zeros((len(features), 1), dtype=bool)
    if not same.any(axis=1).all():
        raise InputError(f"node {int(np.argmin(same.any(axis=1)))} of the start graph has features that are no row of types=; give one "
                         f"row for each type of node, (T, F)")
    edges = tuple((int(i), int(j)) for i, j in np.argwhere(np.triu(adjacency)))
    return Candidate(tuple(int(t) for t in same.argmax(axis=1)), edges)


def _padded(v: Array, shape: tuple[int, int]) -> Array:
    out = np.zeros(shape)
    out[:v.shape[0], :v.shape[1]] = v
    return out
