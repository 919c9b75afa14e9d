"""Peers: other libraries of explainers behind one call, in this process where they are installed, else in a worker of their own.

    from xaicore_peers import peer
    captum = peer("captum")                              # or "captum@0.6.0", from an environment that benchmarks.peers made
    captum.explain("DeepLift", model, x, target=3, baseline=0)

An adapter knows how its library is called, nothing about what is right; ``xaicore.oracle.profiles`` says which settings of ours give its
numbers. Nothing of any peer is copied: they run as black boxes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from xaicore.errors import BackendError, UnknownName, nearest
from xaicore_peers.captum import CAPTUM
from xaicore_peers.grad_cam import GRAD_CAM
from xaicore_peers.innvestigate import INNVESTIGATE
from xaicore_peers.lime import LIME
from xaicore_peers.lxt import LXT
from xaicore_peers.protocol import Explains, Library, PeerFailed
from xaicore_peers.quantus import QUANTUS
from xaicore_peers.saliency import SALIENCY
from xaicore_peers.shap import SHAP
from xaicore_peers.tf_keras_vis import TF_KERAS_VIS
from xaicore_peers.torchcam import TORCHCAM
from xaicore_peers.worker import Remote
from xaicore_peers.xplique import XPLIQUE
from xaicore_peers.zennit import ZENNIT

LIBRARIES: dict[str, Library] = {one.name: one for one in (
    CAPTUM, ZENNIT, SHAP, GRAD_CAM, TORCHCAM, SALIENCY, LIME, TF_KERAS_VIS, XPLIQUE, INNVESTIGATE, QUANTUS, LXT)}
"""Name -> adapter."""


def environments() -> dict[tuple[str, str], Path]:
    """(peer, version) -> the folder that ``python -m benchmarks.peers make`` filled, below $XAICORE_PEERS (default: .peers)."""
    root = Path(os.environ.get("XAICORE_PEERS", ".peers"))
    found = {}
    for folder in sorted(root.glob("*-*")):
        name, _, version = folder.name.rpartition("-")
        if name in LIBRARIES and folder.is_dir():
            found[name, version] = folder.resolve()
    return found


def peer(name: str, timeout: float = 120.0) -> Explains:
    """The peer called ``name`` or ``name@version``: in this process if that is installed here, else as a worker.

    UnknownName for a peer that there is no adapter for; BackendError, with what to do, where it is not installed.
    """
    name, _, version = name.partition("@")
    if name not in LIBRARIES:
        raise UnknownName(f"no peer is called {name!r}: {nearest(name, LIBRARIES)}")
    library = LIBRARIES[name]
    if library.importable and version in ("", library.version):
        return library
    made = {v: folder for (n, v), folder in environments().items() if n == name and version in ("", v)}
    if not made:
        wanted = f"{name}=={version}" if version else name
        where = os.environ.get("XAICORE_PEERS", ".peers")
        raise BackendError(f"{wanted} is neither installed here nor in an environment below {where}; make one: python -m benchmarks.peers "
                           f"make {wanted}")
    folder = made[max(made, key=_key)]
    python = folder / "bin" / "python"
    return Remote(name, str(python if python.exists() else sys.executable), "" if python.exists() else str(folder), timeout)


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


__all__ = ["LIBRARIES", "Explains", "Library", "PeerFailed", "Remote", "environments", "peer"]
