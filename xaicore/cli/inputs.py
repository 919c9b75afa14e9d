"""Reading INPUT: .npy, .npz, .png, .jpg, .csv, .json -> the feeds of a graph. Nothing that is read is executed, and nothing is
allocated that the file does not have."""

from __future__ import annotations

import csv
import math
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from PIL import Image, ImageOps, UnidentifiedImageError

from xaicore.cli.shared import log
from xaicore.errors import FileRefused, InputError, ShapeError, UnknownName, nearest
from xaicore.graph import Graph
from xaicore.graph.graph import InputSpec, cast
from xaicore.graph.untrusted import Spent, check_bytes, check_ratio, open_regular, parse_json, read_bytes
from xaicore.methods.propagate import channels_last
from xaicore.numerics import Array

IMAGES = (".png", ".jpg", ".jpeg")
READ = (".npy", ".npz", *IMAGES, ".csv", ".json")
PIXELS = 50_000_000                                   # of an image; a PNG of a few kilobytes can claim far more
HEADER = 2**17                                        # bytes of the header of an .npy
TEXT = 64 * 2**20                                     # bytes of a .csv or .json


@dataclass(frozen=True)
class Pixels:
    """How an image becomes numbers: 0..255 is mapped onto ``scale``, then (v - mean) / std for each channel."""

    resize: bool = False
    scale: tuple[float, float] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def read_input(name: str, graph: Graph, pixels: Pixels | None = None) -> dict[str, Array]:
    """The feeds for ``graph`` from a file, with a batch axis put in front of a single sample.

    Raises FileRefused for a file that is not what its name says, ShapeError for an image of another size, InputError and
    UnknownName for numbers that do not fit the inputs. What is left to check, ``explain`` checks.
    """
    path = _found(name)
    kind = path.suffix.lower()
    if kind not in READ:
        raise FileRefused(f"{path.name}: inputs ending in {kind or '(nothing)'} are not read; give one of {' '.join(READ)}")
    if kind in IMAGES:
        only = _image_input(path, graph)
        arrays: Mapping[str, Array] = {only: _image(path, only, graph, pixels or Pixels())}
    elif pixels is not None and pixels != Pixels():
        raise InputError(f"--resize, --scale, --mean and --std are for images; {path.name} is taken as it is")
    elif kind == ".npy":
        with open_regular(path) as stream:
            arrays = {"": _npy(stream, path.stat().st_size, path.name)}
    elif kind == ".npz":
        arrays = _npz(path)
    else:
        arrays = {"": _csv(path)} if kind == ".csv" else _json(path)
    named = _assigned(arrays, graph, path.name)
    feeds = {k: _shaped(v, graph.inputs[k]) for k, v in named.items()}
    return {k: cast(v, graph.dtype) if v.dtype.kind == "f" else v for k, v in feeds.items()}


def read_array(name: str) -> Any:
    """The numbers of a file, for a setting such as mask=parts.png: an array, or a mapping by name for an .npz or .json of several.

    An image becomes its grey values (H, W), 0 to 255; a .csv of one column a row of numbers, and whole numbers
    stay whole.
    """
    path = _found(name)
    kind = path.suffix.lower()
    if kind in IMAGES:
        return np.asarray(_converted(_decoded(path), "L", path.name)).astype(np.int64)
    if kind == ".npy":
        with open_regular(path) as stream:
            return _npy(stream, path.stat().st_size, path.name)
    if kind == ".csv":
        rows = _csv(path)
        rows = rows.astype(np.int64) if np.isfinite(rows).all() and (rows == np.rint(rows)).all() and np.abs(rows).max() < 2**53 else rows
        return rows[:, 0] if rows.shape[1] == 1 else rows
    arrays = _npz(path) if kind == ".npz" else _json(path)
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def _found(name: str) -> Path:
    """The file, or one that comes with xaicore (digit_3.png) when the current folder has none of this name."""
    path = Path(name)
    if path.is_dir():
        raise FileRefused(f"{path} is a directory; give one file ({' '.join(READ)})")
    if path.exists():
        return path
    if path.name == name:
        from xaicore.data import digits_path

        try:
            return digits_path(name)
        except UnknownName:
            pass
    raise FileRefused(f"{path} does not exist")


# ----- which input ----------------------------------------------------------------------------------------------------


def _assigned(arrays: Mapping[str, Array], graph: Graph, file: str) -> dict[str, Array]:
    """Input name -> array; an array without a name, or the only one, belongs to the only input."""
    names = list(graph.inputs)
    if len(arrays) == 1 and len(names) == 1:
        return {names[0]: next(iter(arrays.values()))}
    if "" in arrays:
        raise InputError(f"the model has {len(names)} inputs ({', '.join(names)}), but {file} holds one array; "
                         f"give an .npz or a .json with one for each")
    for k in arrays:
        if k not in graph.inputs:
            raise UnknownName(f"{file} holds {k!r}, which is no input of the model: {nearest(k, names)}")
    return dict(arrays)


def _shaped(x: Array, spec: InputSpec) -> Array:
    """A batch axis for a single sample, and rows of numbers folded into the shape of the input; else as it is."""
    rank, sizes = len(spec.shape), spec.shape[1:]
    if x.ndim == rank - 1 and all(n is None or n == m for n, m in zip(sizes, x.shape)):
        return x[None]
    if x.ndim == 2 and rank != 2 and None not in sizes and x.shape[1] == math.prod(n or 0 for n in sizes):
        return x.reshape(len(x), *(n or 0 for n in sizes))
    if x.ndim == 2 and rank == 2 and x.shape[1] == 1 and x.shape[0] == sizes[0] != 1:
        return x.T                                                      # a column of numbers: one sample
    return x


# ----- images -----------------------------------------------------------------------------------------------------------


def _image_input(path: Path, graph: Graph) -> str:
    """The input that takes an image: the only floating one of rank 4."""
    fitting = [k for k, s in graph.inputs.items() if len(s.shape) == 4]
    if len(fitting) == 1 and len(graph.inputs) == 1:
        return fitting[0]
    shapes = ", ".join(f"{k} {s}" for k, s in graph.inputs.items())
    raise InputError(f"{path.name} is an image, but the model's inputs are {shapes}; an image fits one input of rank 4. "
                     f"Give an .npy or .npz instead")


def _image(path: Path, name: str, graph: Graph, pixels: Pixels) -> Array:
    spec, last = graph.inputs[name], channels_last(graph.meta, name)
    sizes = spec.shape[1:]
    channels, height, width = np.roll(np.array(sizes, dtype=object), 1 if last else 0)
    image = _decoded(path)
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    if channels is not None and channels not in modes:
        raise ShapeError(f"{path.name} is an image, but input {name!r} has {channels} channels; give an .npy of shape {spec}")
    mode = modes[channels] if channels is not None else "L" if image.mode in ("1", "L", "LA") else "RGB"
    image = _converted(image, mode, path.name)
    wanted = (width or image.width, height or image.height)
    if image.size != wanted:
        if not pixels.resize:
            raise ShapeError(f"{path.name} has {image.width} x {image.height} pixels (width x height), but input {name!r} takes "
                             f"{wanted[0]} x {wanted[1]}; crop or scale it yourself, or add --resize to have it scaled to that size")
        log(f"{path.name}: scaled from {image.width} x {image.height} to {wanted[0]} x {wanted[1]}")
        image = image.resize(wanted, Image.Resampling.BILINEAR)
    x = np.asarray(image)
    x = x[None] if x.ndim == 2 else np.moveaxis(x, -1, 0)
    if spec.kind != "float":
        return (np.moveaxis(x, 0, -1) if last else x).astype(np.int64)
    low, high = pixels.scale or _range(graph, name)
    values = low + x.astype(float) * ((high - low) / 255)
    values = (values - _per_channel(pixels.mean, 0.0, len(x), "--mean")) / _per_channel(pixels.std, 1.0, len(x), "--std")
    return np.moveaxis(values, 0, -1) if last else values


def _decoded(path: Path) -> Image.Image:
    """The image upright; FileRefused for what is none, for a claim of too many pixels, and for more than 8 bits."""
    try:
        with open_regular(path) as stream, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(stream, formats=("PNG", "JPEG"))
            if image.width * image.height > PIXELS:
                raise FileRefused(f"{path.name} has {image.width} x {image.height} pixels; more than {PIXELS:,} are not read")
            if image.mode.startswith(("I", "F")):
                raise FileRefused(f"{path.name} has more than 8 bits for each channel (mode {image.mode}); save it with 8, or give an .npy")
            image.load()
            return ImageOps.exif_transpose(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise FileRefused(f"{path.name} claims so many pixels that it is not read; the limit is {PIXELS:,}") from None
    except UnidentifiedImageError:
        raise FileRefused(f"{path.name} is not a PNG or JPEG image, whatever its name says") from None
    except (OSError, SyntaxError, ValueError, MemoryError, OverflowError) as error:     # Pillow's own errors for damaged files
        raise FileRefused(f"{path.name} is a damaged or truncated image: {error}") from None


def _converted(image: Image.Image, mode: str, file: str) -> Image.Image:
    if image.mode == mode:
        return image
    if mode != "RGBA" and (image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info):
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema() != (255, 255):
            log(f"{file}: its transparent parts are shown to the model as white")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert(mode)


def _range(graph: Graph, name: str) -> tuple[float, float]:
    """Where 0..255 goes: the graph's own "range.<input>", else 0 to 1."""
    from xaicore.show.heatmap import bounds_of

    return bounds_of(graph.meta, name) or (0.0, 1.0)


def _per_channel(values: tuple[float, ...], none: float, channels: int, option: str) -> Array:
    if not values:
        return np.full((1, 1, 1), none)
    if len(values) not in (1, channels):
        raise InputError(f"{option} gives {len(values)} numbers, but the image has {channels} channels; give one for each, or one for all")
    if option == "--std" and 0 in values:
        raise InputError("--std holds a 0, and the pixels are divided by it")
    return np.asarray(values, dtype=float).reshape(-1, 1, 1)


# ----- arrays -----------------------------------------------------------------------------------------------------------


def _npy(stream: IO[bytes], size: int, name: str) -> Array:
    """One array; what its header promises is compared with what is there before anything is allocated."""
    head = BytesIO(stream.read(min(size, HEADER)))                       # NumPy would believe any length of the header
    try:
        version = npy.read_magic(head)
        readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        if version not in readers:
            raise FileRefused(f"{name} has the .npy version {version}; 1.0 and 2.0 are read")
        shape, fortran, dtype = readers[version](head)
    except FileRefused:
        raise
    except Exception as error:                                          # NumPy parses the header as Python literals: errors of any kind
        raise FileRefused(f"{name} is not an .npy array, or it is truncated: {str(error)[:300]}") from None
    if len(shape) > 32 or not all(type(n) is int and 0 <= n < 2**62 for n in shape):
        raise FileRefused(f"{name} has the shape {shape!s:.200}; at most 32 sizes of at least 0 are expected")
    if dtype.hasobject or dtype.kind not in "fiub":
        raise FileRefused(f"{name} holds {dtype}, but numbers are expected; arrays of Python objects are never loaded, "
                          f"because that runs code")
    count = math.prod(shape)
    promised = count * dtype.itemsize
    check_bytes(promised, f"{name}, as its header has it,")
    if promised > size or (promised == 0 and max(shape, default=1) > size):
        raise FileRefused(f"{name} is truncated: its header promises {promised:,} bytes of {shape}, the file has {size:,}")
    stream.seek(head.tell())
    raw = stream.read(promised)
    if len(raw) != promised:
        raise FileRefused(f"{name} is truncated: {promised:,} bytes of {shape} are promised, {len(raw):,} are there")
    x = np.frombuffer(raw, dtype)
    return (x.reshape(shape[::-1]).T if fortran else x.reshape(shape)).astype(dtype.newbyteorder("="))


def _npz(path: Path, without: tuple[str, ...] = ()) -> dict[str, Array]:
    try:
        spent = Spent(path.name)
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            members = [m for m in archive.infolist() if m.filename.endswith(".npy") and m.filename not in without]
            if not members:
                raise FileRefused(f"{path.name} holds no array; it is no .npz file")
            out: dict[str, Array] = {}
            for m in members:
                spent.add(m.file_size, f"{path.name}: {m.filename}")
                if m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise FileRefused(f"{path.name}: {m.filename} is packed by method {m.compress_type}, which NumPy does not write; "
                                      f"save it again with numpy.savez")
                check_ratio(m.compress_size, m.file_size, f"{path.name}: {m.filename}")
                if m.filename[:-4] in out:
                    raise FileRefused(f"{path.name} holds {m.filename!r} twice, so which one counts is not known")
                with archive.open(m) as stream:
                    out[m.filename[:-4]] = _npy(stream, m.file_size, f"{path.name}: {m.filename}")
            return out
    except FileRefused:
        raise
    except Exception as error:                                          # damaged or encrypted: zipfile and zlib each raise their own
        raise FileRefused(f"{path.name} is not a readable .npz file: {error}") from None


# ----- text -------------------------------------------------------------------------------------------------------------


def _text(path: Path) -> str:
    try:
        return read_bytes(path, TEXT).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileRefused(f"{path.name} is not a text in UTF-8") from None


def _csv(path: Path) -> Array:
    """Rows of numbers, one sample each; a first row of words is a heading."""
    text = _text(path)
    delimiter = next((d for d in (",", ";", "\t") if d in text), " ")
    cells = csv.reader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
    try:
        lines = [(k, kept) for k, row in enumerate(cells, 1) if (kept := [c for c in row if c.strip()])]
    except csv.Error as error:                                          # a cell of 131,072 letters, such as an open quote makes
        raise FileRefused(f"{path.name}, line {cells.line_num}: {error}; rows of numbers are expected") from None
    rows: list[list[float]] = []
    for position, (k, row) in enumerate(lines):
        try:
            rows.append([float(c) for c in row])
        except ValueError:
            if position == 0:
                continue
            raise FileRefused(f"{path.name}, line {k}: {','.join(row)[:60]!r} is not a row of numbers") from None
        if len(rows[-1]) != len(rows[0]):
            raise FileRefused(f"{path.name}, line {k}: {len(rows[-1])} numbers, but the rows before have {len(rows[0])}")
    if not rows:
        raise FileRefused(f"{path.name} holds no row of numbers")
    return np.array(rows)


def _json(path: Path) -> dict[str, Array]:
    """A nested list for the only input, or a mapping from input names to nested lists."""
    document = parse_json(read_bytes(path, TEXT), path.name)
    given: dict[str, Any] = document if isinstance(document, dict) else {"": document}
    out = {}
    for k, v in given.items():
        try:
            x = np.asarray(v)
        except (ValueError, OverflowError):                             # rows of other lengths; a whole number beyond float beside floats
            x = np.asarray(None)
        if x.dtype.kind not in "fiub":
            raise FileRefused(f"{path.name}{f', entry {k!r}' if k else ''}: a nested list of numbers with rows of equal length is expected")
        out[k] = x
    return out
