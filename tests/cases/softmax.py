"""Cases of softmax and its logarithm."""

from __future__ import annotations

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.ops import LogSoftmax, LogSumExp, Softmax

from .case import Case

BAD = (
    (((3,),), ShapeError, "axis 0, the batch"),
    ((np.array([[0.0, np.nan]]),), InputError, "maximum"),
    ((np.array([[0.0, np.inf]]),), InputError, "maximum"),
)

CASES = (
    Case("Softmax", Softmax(), ((3, 2, 4),), torch=lambda x: x.softmax(-1), errors=BAD),
    Case("Softmax-channels", Softmax(1), ((3, 4, 2, 2),), torch=lambda x: x.softmax(1)),
    Case("LogSoftmax", LogSoftmax(), ((3, 2, 4),), torch=lambda x: x.log_softmax(-1), errors=BAD),
    Case("LogSumExp", LogSumExp((-1,)), ((3, 2, 4),), torch=lambda x: x.logsumexp(-1), errors=(
        *BAD, ((np.array([[-np.inf, -np.inf]]),), InputError, "a finite maximum is expected in every row"),
    )),
    Case("LogSumExp-two", LogSumExp((1, 2), keepdims=True), ((3, 2, 4),), torch=lambda x: x.logsumexp((1, 2), True)),
    Case("LogSoftmax-channels", LogSoftmax(1), ((3, 4, 2),), torch=lambda x: x.log_softmax(1)),
)
