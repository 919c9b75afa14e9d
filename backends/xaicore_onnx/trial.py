"""Trying a node out on ones, for the shape of its result; and errors that name the ONNX node, whatever raised them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from xaicore.errors import ConversionError, FileRefused, InputError, XaicoreError
from xaicore.graph import Node
from xaicore.graph.run import run_node
from xaicore.graph.untrusted import check_bytes
from xaicore.numerics import Array
from xaicore.ops import GroupNorm, InstanceNorm, LayerNorm, RMSNorm


@contextmanager
def refusing(who: str) -> Iterator[None]:
    """Puts ``who`` in front of every error, and makes one of ours of any other."""
    try:
        yield
    except XaicoreError as error:
        if str(error).startswith(("node '", "output '")):
            raise
        raise type(error)(f"{who}: {error}") from error
    except MemoryError as error:
        raise FileRefused(f"{who} asks for more memory than there is ({error}); the file is broken or hostile") from error
    except Exception as error:
        # A damaged file can put any number anywhere, and NumPy and the reference evaluator then raise whatever they raise.
        raise ConversionError(
            f"{who} cannot be converted: {type(error).__name__}: {str(error)[:200]}. Attributes and inputs do not fit "
            f"each other as far as is understood; check the file with onnx.checker and onnx.shape_inference"
        ) from error


def try_out(node: Node, xs: Sequence[Array], dtype: str = "float64") -> Array:
    """The output of a node on ones, for its shape; FileRefused where an input is larger than a file may ask for."""
    for x in xs:
        check_bytes(x.size * x.itemsize, f"node {node.name!r}: an input of shape {x.shape}")
    try:
        with np.errstate(all="ignore"):
            return run_node(node, xs, dtype)
    except InputError:
        if not (node.op.elementwise or isinstance(node.op, (GroupNorm, InstanceNorm, LayerNorm, RMSNorm))):
            raise
        return ones(xs[0].shape, xs[0].dtype)               # 1 has no Atanh, and equal entries no variance; the shape is the input's


def ones(shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
    """Ones, or zeros for integers (they may be indices), in no memory; no logarithm, root or quotient fails on these."""
    kind = np.dtype(dtype)
    return np.broadcast_to(np.asarray(0 if kind.kind in "iu" else 1, kind), shape)
