"""The table: ONNX operator -> Builder calls. Each entry takes a Call (one node, its inputs, its attributes) and gives its results.

One file for each family; how constants, names and the place of the batch are handled stands in convert.py.
"""

from __future__ import annotations

from xaicore_onnx.call import Lowering
from xaicore_onnx.lower_attention import ATTENTION
from xaicore_onnx.lower_index import INDEX
from xaicore_onnx.lower_linear import LINEAR
from xaicore_onnx.lower_loop import LOOP
from xaicore_onnx.lower_math import MATH
from xaicore_onnx.lower_quantize import QUANTIZE
from xaicore_onnx.lower_recurrent import RECURRENT
from xaicore_onnx.lower_reduce import REDUCE
from xaicore_onnx.lower_resize import RESIZE
from xaicore_onnx.lower_shape import SHAPE
from xaicore_onnx.lower_signal import SIGNAL
from xaicore_onnx.lower_window import WINDOW

TABLE: dict[str, Lowering] = {
    **LINEAR, **WINDOW, **MATH, **REDUCE, **SHAPE, **RESIZE, **INDEX, **RECURRENT, **ATTENTION, **QUANTIZE, **SIGNAL, **LOOP,
}  # fmt: skip
