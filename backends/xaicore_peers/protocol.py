"""What a peer is: a library of explainers behind one call, whatever its own interface looks like.

    peer.explain("DeepLift", model, x, target, baseline, **settings) -> array

``model`` is a module of the peer's framework, or a Graph or file that one is made of; x an array (N, ...), target one class index
for all samples or one for each (None: the model has one number for each sample), baseline an array that broadcasts to x or None
for the peer's own default. Settings have the peer's own names. The result is the peer's, images as (N, C, H, W).
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata, util
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from xaicore.errors import BackendError, UnknownName, XaicoreError, nearest
from xaicore_peers.models import opened

Array = NDArray[Any]
Explain = Callable[..., Any]
Framework = Literal["torch", "keras"]


class PeerFailed(XaicoreError):
    """The peer raised; the message has the peer's own exception. It is a finding about the peer, not about xaicore."""

    exit_code = 1

    def __init__(self, message: str, kind: str = "", text: str = ""):
        super().__init__(message)
        self.kind, self.text = kind, text


class Explains(Protocol):
    """What a peer in this process and one in a worker process have in common."""

    @property
    def name(self) -> str:
        """What it is called here."""
        ...

    @property
    def version(self) -> str:
        """The release that runs."""
        ...

    @property
    def framework(self) -> Framework:
        """What its models are made of."""
        ...

    @property
    def methods(self) -> Mapping[str, tuple[str, ...]]:
        """Explainer -> the names of the settings that it takes."""
        ...

    def explain(self, method: str, model: Any, x: Any, target: Any = None, baseline: Any = None, **settings: Any) -> Array:
        """The peer's attribution of x."""
        ...


@dataclass(frozen=True)
class Library:
    """One peer: its names on the package index and when imported, a function for each explainer, the dtype that all of them take."""

    name: str
    distribution: str
    package: str
    framework: Framework
    explainers: Mapping[str, Explain]
    dtype: Literal["float32", "float64"] = "float64"

    @property
    def importable(self) -> bool:
        """Is it installed in this interpreter?"""
        return util.find_spec(self.package) is not None

    @property
    def version(self) -> str:
        """The version that is installed here; BackendError when none is."""
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            raise BackendError(f"{self.name} is not installed here; install it (pip install {self.distribution}), or make an environment: "
                               f"python -m benchmarks.peers make {self.name}") from None

    @property
    def methods(self) -> Mapping[str, tuple[str, ...]]:
        """Explainer -> the names of the settings that it takes."""
        return {k: tuple(list(inspect.signature(f).parameters)[4:]) for k, f in self.explainers.items()}

    def explain(self, method: str, model: Any, x: Any, target: Any = None, baseline: Any = None, **settings: Any) -> Array:
        """What the peer's explainer gives. UnknownName for a name that it has not, PeerFailed when it raises."""
        known_here(self, method)
        assert self.version
        model = opened(model, self.framework, self.dtype)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return np.asarray(self.explainers[method](model, np.asarray(x), target, baseline, **settings))
        except XaicoreError:
            raise
        except Exception as error:                                      # whatever another library raises is its answer
            raise failed(self.name, method, type(error).__name__, str(error)) from error


def known_here(peer: Any, method: str) -> None:
    """UnknownName, with the nearest names, for an explainer that the peer has not."""
    if method not in peer.methods:
        raise UnknownName(f"{peer.name} has no explainer {method!r}: {nearest(method, peer.methods)}")


def failed(name: str, method: str, kind: str, text: str) -> PeerFailed:
    """The error for a peer that raised."""
    return PeerFailed(f"{name}:{method} raised {kind}: {text.strip() or 'no message'}", kind, text)


def targets(target: Any, n: int) -> Any:
    """One index for each of n samples; None stays None."""
    return None if target is None else np.broadcast_to(np.asarray(target), (n,))


def filled(baseline: Any, x: Array) -> Array:
    """A baseline in x's shape; None is zeros."""
    return np.array(np.broadcast_to(np.asarray(0 if baseline is None else baseline, dtype=x.dtype), x.shape))
