"""Environments for the peers: one folder for each release, beside each other, so that pins do not meet.

    python -m benchmarks.peers make                              # the newest release of every peer that this script knows
    python -m benchmarks.peers make captum==0.9.0 captum==0.6.0  # these releases
    python -m benchmarks.peers list

Folders are made below $XAICORE_PEERS, or .peers, which git ignores; ``--into DIR`` says otherwise. A peer on torch is a folder of packages
that runs in this interpreter with this torch; a peer on TensorFlow is a virtual environment of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recipe:
    """What to install for a peer: its own package, what it imports besides NumPy, SciPy and torch, and whether it needs an interpreter."""

    package: str
    version: str
    needs: tuple[str, ...] = ()
    own: bool = False


PLOTS = ("matplotlib", "contourpy", "cycler", "kiwisolver", "pyparsing", "fonttools", "python-dateutil", "six", "packaging", "pillow")
TENSORFLOW = ("tensorflow-cpu==2.19.1",)
CORE = ("numpy", "scipy", "autograd", "pillow", "hypothesis", "rich", "jinja2", "h5py")
RECIPES = {
    "captum": Recipe("captum", "0.9.0", ("tqdm", "packaging", *PLOTS)),
    "zennit": Recipe("zennit", "0.5.1", ("torchvision", "click", "pillow")),
    "shap": Recipe("shap", "0.51.0", ("slicer", "cloudpickle", "numba", "llvmlite", "pandas", "python-dateutil", "pytz", "six", "tqdm",
                                      "packaging", "scikit-learn")),
    "grad_cam": Recipe("grad-cam", "1.5.7", ("torchvision", "ttach", "opencv-python-headless", "tqdm", *PLOTS)),
    "torchcam": Recipe("torchcam", "0.5.0", PLOTS),
    "saliency": Recipe("saliency", "0.2.1", ("scikit-image",)),
    "lime": Recipe("lime", "0.2.0.1", ("tqdm", "scikit-image", *PLOTS)),
    "tf_keras_vis": Recipe("tf-keras-vis", "0.8.7", (*TENSORFLOW, *CORE), own=True),
    "quantus": Recipe("quantus", "0.6.0", ("torchvision", "opencv-python-headless", "pandas", "pytz", "tqdm", "scikit-learn",
                                            "scikit-image", *PLOTS)),
    "innvestigate": Recipe("innvestigate", "2.1.2", ("tensorflow-cpu==2.14.1",), own=True),
    "xplique": Recipe("xplique", "2.0.2", (*TENSORFLOW, *CORE), own=True),
}


def main() -> int:
    """Makes or lists environments; the exit code is 1 when one could not be made."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", choices=["make", "list"])
    parser.add_argument("releases", nargs="*", metavar="PEER[==VERSION]", help=f"default: all of {', '.join(RECIPES)}")
    parser.add_argument("--into", type=Path, default=Path(os.environ.get("XAICORE_PEERS", ".peers")), metavar="DIR")
    args = parser.parse_args()
    if args.command == "list":
        print("\n".join(sorted(f.name for f in args.into.glob("*-*"))) or f"no environments below {args.into}")
        return 0
    failed = []
    for release in args.releases or list(RECIPES):
        name, _, version = release.partition("==")
        if name not in RECIPES:
            parser.error(f"{name!r} is no peer; there are {', '.join(RECIPES)}")
        recipe = RECIPES[name]
        folder = args.into / f"{name}-{version or recipe.version}"
        if make(folder, recipe, version or recipe.version):
            print(f"{folder}: made")
        else:
            shutil.rmtree(folder, ignore_errors=True)
            failed.append(str(folder))
    print(f"could not make {', '.join(failed)}" if failed else f"set XAICORE_PEERS={args.into.resolve()} where it is not .peers")
    return bool(failed)


def make(folder: Path, recipe: Recipe, version: str) -> bool:
    """Installs one release into a folder that is not there yet."""
    if folder.exists():
        return True
    wanted = [f"{recipe.package}=={version}", *recipe.needs]
    if recipe.own:
        venv.create(folder, with_pip=True)
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *wanted]
    else:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *wanted]
    print("installing", *wanted, flush=True)
    done = subprocess.run(command, check=False).returncode == 0
    return done and (recipe.own or without_operators(folder))


def without_operators(folder: Path) -> bool:
    """torchvision's compiled operators load only with the torch that they were built for, and stop its import; no peer calls them."""
    registrations = folder / "torchvision" / "_meta_registrations.py"
    if registrations.exists():
        there = {**os.environ, "PYTHONPATH": str(folder)}
        if subprocess.run([sys.executable, "-c", "import torchvision"], env=there, capture_output=True, check=False).returncode:
            registrations.write_text("", encoding="utf-8")
    return True


if __name__ == "__main__":
    sys.exit(main())
