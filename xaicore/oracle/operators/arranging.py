"""Recurrence, questions and whole numbers, sums and maxima along axes, indices, layout, normalisation, softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore import ops as o
from xaicore.numerics import Array
from xaicore.oracle.operators.told import Told

_FLAT = "Its derivative is 0 everywhere, so that a gradient sees nothing of what stands before it."
_MOVES = "It only moves entries: read a map behind it in the layout behind it."
_WINNER = "All of the signal goes to the winner: a runner-up that is almost as large gets nothing, and a tie is decided by order."
_MEAN = "A gradient gives every entry the same share, LRP shares by value: the two look alike only where the entries are."
_PRODUCT = "Factors share what none made alone; a zero among them hides all others from a gradient."
_STATISTICS = ("The statistics depend on all entries: a gradient through them says what happens when all move with one; relevance rules "
               "differ on whether they count as constants.")
_INDEX = "Nothing flows to the indices, although another index would give another output."
_TRUTH = "No signal passes a yes or a no: whatever it decides further on, what it was made from gets no share of that."
_STATE = "A state carries what was read long before: a map over steps mixes what a step said with what it let through."
_CLASSES = "Classes compete: a gradient can be large because another class falls, and is nearly 0 where the answer is certain."


def ids(v: Any) -> Array:
    """Whole numbers."""
    return np.array(v, dtype=np.int64)


_ONE = {"x": [[[1], [2]]], "w": [[1]], "u": [[0.5]], "b": [0], "c": [0]}
"""Two steps of one number, one state."""
_GATES = {"x": [[[1]]], "w": [[0], [0], [1]], "u": [[0], [0], [0]], "b": [0, 0, 0], "c": [0, 0, 0]}
_CELL = {"x": [[[1]]], "w": [[0], [0], [1], [0]], "u": [[0], [0], [0], [0]], "b": [0, 0, 0, 0], "c": [0, 0, 0, 0]}

ROWS: tuple[Told, ...] = (
    Told(o.RNN(activation=o.ReLU()), _ONE, "1; 2 + 0.5*1", "1 + 0.5; 1", "A state that takes in one step after the other.", _STATE),
    Told(o.GRU(), _GATES, "(1 - 1/2)*tanh(1)", "1/2*(1 - tanh(1)**2)", "A state that a gate mixes with what is new.",
         _STATE + " Gates decide, but by the usual convention get no relevance."),
    Told(o.LSTM(), _CELL, "1/2*tanh(1/2*tanh(1))", "1/2*(1 - tanh(1/2*tanh(1))**2)*1/2*(1 - tanh(1)**2)",
         "A cell that gates write, keep and read.", _STATE + " Gates decide, but by the usual convention get no relevance."),
    Told(o.Compare("lt"), {"a": [[1, 5]], "b": [[3, 4]]}, "1; 0", "", "Is a smaller than b (or equal, larger, other)?", _TRUTH),
    Told(o.Logical("and"), {"a": [[True, True]], "b": [[True, False]]}, "1; 0", "", "And, or, exclusive or, of conditions.", _TRUTH),
    Told(o.Not(), {"x": [[True, False]]}, "0; 1", "", "The opposite of a condition.", _TRUTH),
    Told(o.IsNaN(), {"x": [[1, 2]]}, "0; 0", "", "Is it not a number?", _TRUTH),
    Told(o.IsInf(), {"x": [[1, float("inf")]]}, "0; 1", "", "Is it infinite?", _TRUTH),
    Told(o.Bitwise("and"), {"a": ids([[6, 5]]), "b": ids([[3, 4]])}, "2; 4", "", "And, or, exclusive or, bit by bit.", _TRUTH),
    Told(o.BitwiseNot(), {"x": ids([[0, 5]])}, "-0 - 1; -5 - 1", "", "Every bit turned.", _TRUTH),
    Told(o.BitShift("left"), {"a": ids([[3, 1]]), "b": ids([[1, 2]])}, "3*2; 1*2**2", "", "Times or divided by a power of two.", _TRUTH),
    Told(o.ToFloat(), {"x": ids([[3, -1]])}, "3; -1", "", "A whole number as the graph's kind of number.", _TRUTH),
    Told(o.ToInt(), {"x": [[1.7, -1.7]]}, "1; -1", "", "The whole part.", _FLAT),
    Told(o.ToBool(), {"x": [[0, 2]]}, "0; 1", "", "Is it not zero?", _TRUTH),
    Told(o.ArgMax(1), {"x": [[1, 5, 3]]}, "1", "", "Where the largest entry stands.", _INDEX),
    Told(o.ArgMin(1), {"x": [[1, 5, 3]]}, "0", "", "Where the smallest entry stands.", _INDEX),
    Told(o.Hardmax(1), {"x": [[1, 5, 3]]}, "0; 1; 0", "", "1 for the winner, 0 for the others.", _FLAT),
    Told(o.OneHot(3), {"ids": ids([2])}, "0; 0; 1", "", "A class number as a row with a single 1.", _INDEX),
    Told(o.Sum((1,)), {"x": [[1, -3, 4]]}, "1 - 3 + 4", "1; 1; 1", "The sum along axes.",
         "Entries that cancel get large shares of opposite sign."),
    Told(o.Mean((1,)), {"x": [[1, -3, 5]]}, "(1 - 3 + 5)/3", "1/3; 1/3; 1/3", "The mean along axes.", _MEAN),
    Told(o.ReduceMax((1,)), {"x": [[1, 5, 3]]}, "max(1, 5, 3)", "0; 1; 0", "The largest entry along axes.", _WINNER),
    Told(o.ReduceMin((1,)), {"x": [[1, 5, 3]]}, "min(1, 5, 3)", "1; 0; 0", "The smallest entry along axes.", _WINNER),
    Told(o.ReduceProd((1,)), {"x": [[2, 3, 4]]}, "2*3*4", "3*4; 2*4; 2*3", "The product along axes.", _PRODUCT),
    Told(o.Norm((1,), p=2), {"x": [[3, 4]]}, "sqrt(3**2 + 4**2)", "3/5; 4/5", "The length of a vector.", "It knows no signs."),
    Told(o.LogSumExp((1,)), {"x": [[0, 1]]}, "log(1 + exp(1))", "1/(1 + exp(1)); exp(1)/(1 + exp(1))", "A smooth maximum.", _CLASSES),
    Told(o.Variance((1,)), {"x": [[1, 3]]}, "((1 - 2)**2 + (3 - 2)**2)/2", "2*(1 - 2)/2; 2*(3 - 2)/2",
         "How far entries lie around their mean.",
         "Shifting all entries changes nothing, so none of them has a meaning alone."),
    Told(o.CumSum(1), {"x": [[1, 2, 3]]}, "1; 1 + 2; 1 + 2 + 3", "3; 2; 1", "Running sums.",
         "Early entries are in more sums, and get more for that alone."),
    Told(o.CumProd(1), {"x": [[1, 2, 3]]}, "1; 1*2; 1*2*3", "1 + 2 + 2*3; 1 + 1*3; 1*2", "Running products.", _PRODUCT),
    Told(o.Det(), {"x": [[[1, 2], [3, 4]]]}, "1*4 - 2*3", "4; -3; -2; 1", "The determinant of a matrix.",
         "Every entry is in many products: no relevance rule is known, and the gradient is about one entry at a time."),
    Told(o.Gather(1), {"x": [[1, 2, 3]], "indices": ids([2, 0])}, "3; 1", "1; 0; 1",
         "Picks entries by number, the same for every sample.", _INDEX),
    Told(o.GatherElements(1), {"x": [[1, 2, 3]], "indices": ids([[2, 2]])}, "3; 3", "0; 0; 1 + 1",
         "Picks an entry for every place, by its own number.",
         _INDEX),
    Told(o.GatherND(1), {"x": [[1, 2, 3]], "indices": ids([[[1], [0]]])}, "2; 1", "1; 1; 0",
         "Picks entries or blocks by several numbers.", _INDEX),
    Told(o.ScatterElements("add", 1), {"x": [[1, 2, 3]], "indices": ids([[2, 2]]), "updates": [[10, 20]]}, "1; 2; 3 + 10 + 20", "1; 1; 1",
         "Puts or adds values at numbered places.", _INDEX),
    Told(o.ScatterND("none"), {"x": [[1, 2, 3]], "indices": ids([[[1]]]), "updates": [[10]]}, "1; 10; 3", "1; 0; 1",
         "Puts entries or blocks at numbered places.", _INDEX + " What was overwritten gets nothing."),
    Told(o.TopK(1, 2), {"x": [[1, 5, 3]]}, "5; 3", "0; 1; 1", "The largest entries, in order.", _WINNER),
    Told(o.TopKIndices(1, 2), {"x": [[1, 5, 3]]}, "1; 2", "", "Where the largest entries stand.", _INDEX),
    Told(o.Embedding(), {"table": [[1, 2], [3, 4]], "ids": ids([[1, 0]])}, "3; 4; 1; 2", "1; 1; 1; 1", "A row of numbers for every word.",
         "Nothing flows to the word's number: a map is over the row's numbers, and their sum is the word's only by convention."),
    Told(o.Trilu(), {"x": [[[1, 2], [3, 4]]]}, "1; 2; 0; 4", "1; 1; 0; 1", "A matrix without the part below (or above) a diagonal.",
         "What is cut off gets nothing, which is what a causal mask means."),
    Told(o.ReverseSequence(1), {"x": [[1, 2, 3]], "lengths": ids([2])}, "2; 1; 3", "1; 1; 1",
         "Each sequence turned around, as far as it goes.", _MOVES),
    Told(o.Reshape((2, 2)), {"x": [[1, 2, 3, 4]]}, "1; 2; 3; 4", "1; 1; 1; 1", "The same entries in another shape.", _MOVES),
    Told(o.Flatten(), {"x": [[[1, 2], [3, 4]]]}, "1; 2; 3; 4", "1; 1; 1; 1", "All entries of a sample in one row.", _MOVES),
    Told(o.Transpose((0, 2, 1)), {"x": [[[1, 2], [3, 4]]]}, "1; 3; 2; 4", "1; 1; 1; 1", "Axes in another order.", _MOVES),
    Told(o.Concat(1), {"a": [[1, 2]], "b": [[3, 4]]}, "1; 2; 3; 4", "1; 1", "Signals one behind the other.", _MOVES),
    Told(o.Split(1, (1, 2), 1), {"x": [[1, 2, 3]]}, "2; 3", "0; 1; 1", "One piece of a signal.", _MOVES),
    Told(o.Slice(1, 0, 3, 2), {"x": [[1, 2, 3]]}, "1; 3", "1; 0; 1", "Some entries of an axis, as Python slices.", _MOVES),
    Told(o.Pad(((1, 1),)), {"x": [[1, 2]]}, "0; 1; 2; 0", "1; 1", "Room around a signal.",
         "What pads is a value like any other: zeros are black only where 0 is black."),
    Told(o.Expand((-1, 2)), {"x": [[[1], [2]]]}, "1; 1; 2; 2", "2; 2", "The same entries repeated.",
         "A share of an entry is the sum of its copies' shares."),
    Told(o.Squeeze((1,)), {"x": [[[1, 2]]]}, "1; 2", "1; 1", "Without an axis of length 1.", _MOVES),
    Told(o.Unsqueeze((1,)), {"x": [[1, 2]]}, "1; 2", "1; 1", "With an axis of length 1 more.", _MOVES),
    Told(o.Resize((4,), "nearest"), {"x": [[[1, 2]]]}, "1; 1; 2; 2", "2; 2", "A picture or a signal in another size.",
         "A map behind it is as coarse as what was resized; and frameworks put the places differently."),
    Told(o.GridSample(align_corners=True), {"x": [[[1, 3]]], "grid": [[[0]]]}, "(1 + 3)/2", "1/2; 1/2",
         "A picture read at places that were computed.",
         "Moving the grid moves what is read: its derivative is a difference of neighbours, and says nothing of places further off."),
    Told(o.Identity(), {"x": [[1, 2]]}, "1; 2", "1; 1", "Nothing happens.",
         "Nothing to be misled by, but its name may be a layer's that did something in training."),
    Told(o.Dropout(), {"x": [[1, 2]]}, "1; 2", "1; 1", "Nothing happens, once training is over.",
         "A model left in training mode drops entries at random: its explanations differ from call to call."),
    Told(o.Detach(), {"x": [[1, 2]]}, "1; 2", "", "The value without its history.",
         "What stands before it gets nothing, however much depends on it."),
    Told(o.BatchNorm(eps=1), {"x": [[1, 5]], "gamma": [2, 2], "beta": [0, 1], "mean": [1, 1], "var": [3, 3]}, "0; (5 - 1)/2*2 + 1",
         "2/2; 2/2",
         "Every channel shifted and scaled by stored statistics.",
         "LRP folds it into its neighbour, others keep it as a layer with a bias of its own: the maps differ."),
    Told(o.LayerNorm(1, 0), {"x": [[1, 3]]}, "(1 - 2)/1; (3 - 2)/1", "0; 0", "Each sample brought to mean 0 and variance 1.", _STATISTICS),
    Told(o.GroupNorm(1, 0), {"x": [[1, 3]]}, "(1 - 2)/1; (3 - 2)/1", "0; 0", "Each group of channels brought to mean 0 and variance 1.",
         _STATISTICS),
    Told(o.InstanceNorm(0), {"x": [[[1, 3]]]}, "(1 - 2)/1; (3 - 2)/1", "0; 0",
         "Each channel of a sample brought to mean 0 and variance 1.", _STATISTICS),
    Told(o.RMSNorm(1, 0), {"x": [[1, 7]]}, "1/5; 7/5", "(1 - 1/5*(1/5 + 7/5)/2)/5; (1 - 7/5*(1/5 + 7/5)/2)/5",
         "Each sample divided by the root of its mean square.", _STATISTICS),
    Told(o.LocalResponseNorm(1, 1, 1, 1), {"x": [[1, 2]]}, "1/(1 + 1); 2/(1 + 4)", "(1 + 1 - 2)/(1 + 1)**2; (1 + 4 - 8)/(1 + 4)**2",
         "An entry divided by how busy its neighbouring channels are.", _STATISTICS),
    Told(o.Softmax(1), {"x": [[0, 1]]}, "1/(1 + exp(1)); exp(1)/(1 + exp(1))", "exp(1)/(1 + exp(1))**2; -exp(1)/(1 + exp(1))**2",
         "Scores as probabilities.", _CLASSES, "1; 0"),
    Told(o.LogSoftmax(1), {"x": [[0, 1]]}, "-log(1 + exp(1)); 1 - log(1 + exp(1))", "exp(1)/(1 + exp(1)); -exp(1)/(1 + exp(1))",
         "Scores as logarithms of probabilities.", _CLASSES, "1; 0"),
)
