"""Reading INPUT: images, arrays, tables of numbers; and files that lie about themselves."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xaicore.cli.inputs import Pixels, read_input
from xaicore.errors import FileRefused, InputError, ShapeError, UnknownName
from xaicore.graph import Builder, Graph
from xaicore.ops import Identity

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)


def model(*shape: int | None, kind: str = "float", meta: dict[str, str] | None = None) -> Graph:
    """A graph with one input "x" of this shape."""
    b = Builder()
    b.meta.update(meta or {})
    return b.build(b.add(Identity(), b.input("x", (None, *shape), kind)))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# ----- images -----------------------------------------------------------------------------------------------------------


def test_a_grey_image_is_channels_rows_columns_from_0_to_1() -> None:
    Image.fromarray(GREY).save("a.png")
    x = read_input("a.png", model(1, 3, 4))["x"]
    assert x.dtype == np.float64
    assert np.abs(x - GREY[None, None] / 255).max() < 1e-15               # 1/255 is rounded once
    assert (read_input("a.png", model(None, None, None))["x"] == x).all()


def test_colours_and_their_layout() -> None:
    Image.fromarray(COLOUR).save("a.png")
    x = read_input("a.png", model(3, 3, 4))["x"]
    assert x.shape == (1, 3, 3, 4)
    assert x[0, 1, 0, 0] == 1.0
    last = read_input("a.png", model(3, 4, 3, meta={"layout.x": "NHWC"}))["x"]
    assert (last == np.moveaxis(x, 1, -1)).all()


def test_range_scale_mean_and_std() -> None:
    Image.fromarray(COLOUR).save("a.png")
    plain = read_input("a.png", model(3, 3, 4))["x"]
    from_model = read_input("a.png", model(3, 3, 4, meta={"range.x": "-1,1"}))["x"]
    given = read_input("a.png", model(3, 3, 4), Pixels(scale=(-1.0, 1.0)))["x"]
    assert (from_model == given).all()
    assert np.allclose(given, 2 * plain - 1, rtol=0, atol=1e-15)          # a few roundings of numbers of size 1
    mean, std = (0.5, 0.4, 0.3), (0.1, 0.2, 0.5)
    normal = read_input("a.png", model(3, 3, 4), Pixels(mean=mean, std=std))["x"]
    for k in range(3):
        assert np.allclose(normal[:, k], (plain[:, k] - mean[k]) / std[k], rtol=0, atol=1e-14)
    with pytest.raises(InputError, match="divided by it"):
        read_input("a.png", model(3, 3, 4), Pixels(std=(1.0, 0.0, 1.0)))


def test_an_index_input_gets_the_bytes() -> None:
    Image.fromarray(GREY).save("a.png")
    x = read_input("a.png", model(1, 3, 4, kind="int"))["x"]
    assert x.dtype == np.int64
    assert (x[0, 0] == GREY).all()


def test_wrong_size_says_the_size_and_resize_does_it(capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(COLOUR).save("a.png")
    with pytest.raises(ShapeError, match=r"a\.png has 4 x 3 pixels \(width x height\), but input 'x' takes 8 x 6"):
        read_input("a.png", model(3, 6, 8))
    assert read_input("a.png", model(3, 6, 8), Pixels(resize=True))["x"].shape == (1, 3, 6, 8)
    assert "scaled from 4 x 3 to 8 x 6" in capsys.readouterr().err


def test_modes_and_transparency(capsys: pytest.CaptureFixture[str]) -> None:
    image = Image.fromarray(COLOUR)
    image.convert("P").save("palette.png")
    image.convert("L").save("grey.png")
    image.convert("RGBA").save("opaque.png")
    clear = image.convert("RGBA")
    clear.putalpha(0)
    clear.save("clear.png")
    assert read_input("palette.png", model(3, 3, 4))["x"].shape == (1, 3, 3, 4)
    assert read_input("grey.png", model(3, 3, 4))["x"].shape == (1, 3, 3, 4)
    assert read_input("a.png" if Path("a.png").exists() else "grey.png", model(1, 3, 4))["x"].shape == (1, 1, 3, 4)
    assert (read_input("opaque.png", model(3, 3, 4))["x"] == np.moveaxis(COLOUR, -1, 0)[None] * (1 / 255)).all()
    assert capsys.readouterr().err == ""
    assert (read_input("clear.png", model(3, 3, 4))["x"] == 1).all()
    assert "transparent" in capsys.readouterr().err
    assert read_input("clear.png", model(4, 3, 4))["x"][0, 3].max() == 0


def test_exif_rotation_is_applied() -> None:
    image = Image.fromarray(COLOUR)
    exif = Image.Exif()
    exif[0x0112] = 6                                                      # to be turned by 90 degrees
    image.save("a.jpg", exif=exif)
    assert read_input("a.jpg", model(3, 4, 3))["x"].shape == (1, 3, 4, 3)


@pytest.mark.parametrize(("graph", "error", "said"), [
    (model(5, 3, 4), ShapeError, "has 5 channels"),
    (model(12), InputError, "an image fits one input of rank 4"),
])
def test_images_that_do_not_fit(graph: Graph, error: type[Exception], said: str) -> None:
    Image.fromarray(GREY).save("a.png")
    with pytest.raises(error, match=said):
        read_input("a.png", graph)


def test_damaged_images_are_refused() -> None:
    Image.fromarray(COLOUR).resize((64, 64)).save("whole.png")
    data = Path("whole.png").read_bytes()
    Path("cut.png").write_bytes(data[: len(data) // 2])
    Path("text.png").write_text("no image", encoding="utf-8")
    Image.fromarray(COLOUR).save("really.gif")
    Path("really.gif").rename("gif.png")
    Image.fromarray(np.zeros((4, 4), np.uint16)).save("deep.png")
    for name, said in (("cut.png", "damaged or truncated"), ("text.png", "not a PNG or JPEG"), ("gif.png", "not a PNG or JPEG"), ("deep.png", "8 bits")):
        with pytest.raises(FileRefused, match=said):
            read_input(name, model(3, None, None))


def test_an_image_that_claims_too_many_pixels_is_refused_unread() -> None:
    """A PNG header of 60 bytes that promises 40000 x 40000 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for size in (8000, 40000):
        header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
        Path("bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
        with pytest.raises(FileRefused, match="50,000,000"):
            read_input("bomb.png", model(3, None, None))


# ----- arrays -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<f2", "<i4", ">i2", "|u1", "|b1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_every_number_type_and_order(dtype: str, order: str) -> None:
    x = np.asarray(np.arange(12).reshape(2, 6) % 2, dtype=dtype, order=order)  # type: ignore[call-overload]
    np.save("a.npy", x)
    read = read_input("a.npy", model(6))["x"]
    assert read.dtype == np.dtype(dtype).newbyteorder("=") or read.dtype.kind == "f"
    assert (read == x).all()


def test_a_single_sample_gets_a_batch_axis() -> None:
    np.save("a.npy", np.ones((3, 4, 5)))
    assert read_input("a.npy", model(3, 4, 5))["x"].shape == (1, 3, 4, 5)
    np.save("a.npy", np.ones((2, 3, 4, 5)))
    assert read_input("a.npy", model(3, 4, 5))["x"].shape == (2, 3, 4, 5)
    np.save("a.npy", np.ones((2, 60)))
    assert read_input("a.npy", model(3, 4, 5))["x"].shape == (2, 3, 4, 5)


def two_inputs() -> Graph:
    b = Builder()
    b.input("ids", (None, 2), "int")
    return b.build(b.add(Identity(), b.input("x", (None, 3))))


def test_npz_by_name_and_alone() -> None:
    np.savez("a.npz", x=np.ones((1, 3)), ids=np.zeros((1, 2), int))
    assert {k: v.shape for k, v in read_input("a.npz", two_inputs()).items()} == {"x": (1, 3), "ids": (1, 2)}
    np.savez("b.npz", anything=np.ones((1, 3)))
    assert read_input("b.npz", model(3))["x"].shape == (1, 3)
    np.savez("c.npz", x=np.ones((1, 3)), idz=np.zeros((1, 2)))
    with pytest.raises(UnknownName, match="did you mean 'ids'"):
        read_input("c.npz", two_inputs())
    np.save("d.npy", np.ones((1, 3)))
    with pytest.raises(InputError, match="2 inputs"):
        read_input("d.npy", two_inputs())


def header(shape: str, descr: str = "'<f8'") -> bytes:
    """The header of an .npy file, as the format describes it."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(("data", "said"), [
    (b"hello", "not an .npy array"),
    (b"", "not an .npy array"),
    (header("(2, 3)") + b"\0" * 40, "truncated"),
    (header("(1099511627776, 8)"), "more than"),
    (header("(10000, 10000)"), "truncated: its header promises 800,000,000 bytes"),
    (header("(1,)", "'|O'") + b"cos\nsystem\n", "never loaded"),
    (header("(1,)", "'<U4'") + b"\0" * 16, "numbers are expected"),
    (header("(1,)", "'<c16'") + b"\0" * 16, "numbers are expected"),
    (b"\x93NUMPY\x09\x00", "version"),
])
def test_npy_files_that_lie_are_refused_before_anything_is_allocated(data: bytes, said: str) -> None:
    Path("a.npy").write_bytes(data)
    with pytest.raises(FileRefused, match=said):
        read_input("a.npy", model(8))


def test_npz_files_that_lie_are_refused() -> None:
    Path("text.npz").write_text("no archive", encoding="utf-8")
    with zipfile.ZipFile("none.npz", "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    buffer = io.BytesIO()
    np.save(buffer, np.ones((1, 3)))
    with zipfile.ZipFile("pickle.npz", "w") as archive:
        archive.writestr("x.npy", header("(1,)", "'|O'") + b"cos\nsystem\n")
    with zipfile.ZipFile("cut.npz", "w") as archive:
        archive.writestr("x.npy", buffer.getvalue()[:-8])
    data = Path("cut.npz").read_bytes()
    Path("half.npz").write_bytes(data[: len(data) // 2])
    for name, said in (("text.npz", "not a readable"), ("none.npz", "no array"), ("pickle.npz", "never loaded"), ("cut.npz", "truncated"),
                       ("half.npz", "not a readable")):
        with pytest.raises(FileRefused, match=said):
            read_input(name, model(3))


# ----- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [
    "1,2,3\n4,5,6\n", "a;b;c\n1;2;3\n4;5;6", "1\t2\t3\r\n4\t5\t6\r\n", "1 2 3\n\n4  5 6\n", "\ufeff1, 2, 3\n4, 5, 6",
])
def test_csv_with_any_usual_delimiter_and_heading(text: str) -> None:
    Path("a.csv").write_text(text, encoding="utf-8")
    assert read_input("a.csv", model(3))["x"].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_csv_of_one_column_and_of_images() -> None:
    Path("a.csv").write_text("1\n2\n3\n", encoding="utf-8")
    assert read_input("a.csv", model(3))["x"].tolist() == [[1, 2, 3]]
    assert read_input("a.csv", model(1))["x"].tolist() == [[1], [2], [3]]
    Path("a.csv").write_text("1,2,3,4\n", encoding="utf-8")
    assert read_input("a.csv", model(1, 2, 2))["x"].tolist() == [[[[1, 2], [3, 4]]]]


@pytest.mark.parametrize(("text", "said"), [
    ("1,2,3\n4,5\n", "line 2: 2 numbers, but the rows before have 3"), ("1,2\nx,y\n", "line 2: 'x,y' is not a row of numbers"),
    ("a,b\n", "no row of numbers"), ("", "no row of numbers"), ("=cmd|' /C calc'!A0,1\n=x,2\n", "line 2"),
])
def test_csv_that_is_none(text: str, said: str) -> None:
    Path("a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(FileRefused, match=said.replace("|", r"\|")):
        read_input("a.csv", model(3))


def test_json_lists_and_mappings() -> None:
    Path("a.json").write_text("[1, 2, 3]", encoding="utf-8")
    assert read_input("a.json", model(3))["x"].tolist() == [[1, 2, 3]]
    Path("a.json").write_text(json.dumps({"x": [[1, 2, 3]], "ids": [[0, 1]]}), encoding="utf-8")
    assert read_input("a.json", two_inputs())["ids"].tolist() == [[0, 1]]
    for text in ("{", "[[1, 2], [3]]", '["a"]', '{"x": null}', "[" * 100_000, str([10**40])):
        Path("a.json").write_text(text, encoding="utf-8")
        with pytest.raises(FileRefused, match=r"a\.json"):
            read_input("a.json", model(3))
    Path("a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileRefused, match="UTF-8"):
        read_input("a.csv", model(3))


def test_names() -> None:
    assert read_input("digit_3.png", model(1, 8, 8))["x"].shape == (1, 1, 8, 8)      # comes with xaicore
    for name, said in (("nothing.png", "does not exist"), ("sub/digit_3.png", "does not exist"), ("x.wav", "does not exist"), (".", "directory")):
        with pytest.raises(FileRefused, match=said):
            read_input(name, model(1, 8, 8))
    Path("x.wav").touch()
    with pytest.raises(FileRefused, match=r"\.wav are not read"):
        read_input("x.wav", model(1, 8, 8))
