"""Attacks on the readers of images, of .csv and of .json inputs."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from tests.attacks.attack import Attack, feed


def chunk(kind: bytes, data: bytes, sum_of: bytes | None = None) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data if sum_of is None else sum_of))


def png(width: int = 8, height: int = 8, data: bytes | None = None, extra: bytes = b"", bits: int = 8) -> bytes:
    rows = b"".join(b"\0" + bytes(8) for _ in range(8)) if data is None else data
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)) + extra
            + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def written(kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((8, 8), 120, np.uint8)).save(out, kind)
    return out.getvalue()


def svg(data: bytes) -> Attack:
    return feed("x.png", data, "is not a PNG or JPEG image")


IMAGES = {
    "bomb of pixels": feed("x.png", png(60000, 60000), "pixels"),
    "largest size": feed("x.png", png(2**31 - 1, 2**31 - 1), "pixels|damaged"),
    "bomb of rows": feed("x.png", png(7000, 7000, bytes(7000 * 7001)), "pixels", codes=(2,)),
    "too few rows": feed("x.png", png(data=b"\0" + bytes(8)), "", codes=(0, 4)),                    # Pillow lets it pass: the rest is black
    "bomb of text": feed("x.png", png(extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200 << 20), 9))), "damaged|Decompressed|text"),
    "bomb of a profile": feed("x.png", png(extra=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(200 << 20), 9))), "", codes=(0, 4)),
    "wrong sum": feed("x.png", png(extra=chunk(b"pHYs", bytes(9), b"other")), "damaged|not a PNG"),
    "chunk of 2 GB": feed("x.png", png()[:33] + struct.pack(">I", 2**31 - 1) + b"IDAT" + bytes(50), "damaged|not a PNG"),
    "cut off": feed("x.png", png()[:45], "damaged|not a PNG"),
    "empty": feed("x.png", b"", "not a PNG"),
    "no size": feed("x.png", png(0, 0), "damaged|not a PNG|pixels", codes=(2, 4)),
    "16 bits": feed("x.png", png(bits=16), "more than 8 bits"),
    "JPEG cut off": feed("x.jpg", written("JPEG")[:180], "damaged|not a PNG"),
    "JPEG of nothing": feed("x.jpg", b"\xff\xd8\xff\xe0" + bytes(20), "damaged|not a PNG"),
    "a GIF by another name": svg(written("GIF")),
    "a TIFF by another name": svg(written("TIFF")),
    "a BMP by another name": svg(written("BMP")),
    "PostScript": svg(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(/etc/passwd) (r) file\n"),
    "an SVG with a script": svg(b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
}
TEXTS = {
    "csv: no numbers": feed("x.csv", b"a,b\nc,d\n", "not a row of numbers"),
    "csv: formula": feed("x.csv", b"1,2\n=cmd|' /C calc'!A0,3\n", "not a row of numbers"),
    "csv: ragged": feed("x.csv", b"1,2\n1,2,3\n", "the rows before have 2"),
    "csv: zero bytes": feed("x.csv", bytes(5000), "no row of numbers|not a row"),
    "csv: cell of a megabyte": feed("x.csv", b"1,2\n" + b"9" * 10**6 + b",3\n", "", codes=(2, 4)),
    "csv: open quote": feed("x.csv", b'1,2\n"' + b"a\n" * 200_000, "", codes=(4,)),
    "csv: no UTF-8": feed("x.csv", b"\xff\xfe1,2", "not a text in UTF-8"),
    "json: no document": feed("x.json", b"{'a': 1}", "not a JSON document"),
    "json: deep": feed("x.json", b"[" * 10**6, "nested more than 100"),
    "json: deep, closed": feed("x.json", b"[" * 90 + b"1" + b"]" * 90, "", codes=(2, 4)),
    "json: a key twice": feed("x.json", b'{"image": [1], "image": [2]}', "stands twice"),
    "json: ragged": feed("x.json", b"[[1, 2], [3]]", "rows of equal length"),
    "json: integer of 10^400": feed("x.json", b"[[1" + b"0" * 400 + b", 1.5]]", "", codes=(2, 4)),
    "json: 10,000 digits": feed("x.json", b"[" + b"9" * 10**4 + b"]", "not a JSON document"),
    "json: infinity": feed("x.json", b"[" + b"[Infinity]," * 63 + b"[1]]", "", codes=(2, 4)),
    "json: objects": feed("x.json", b'{"image": {"__class__": "os.system"}}', "nested list of numbers"),
    "json: null": feed("x.json", b"null", "nested list of numbers"),
    "json: text": feed("x.json", b'"__import__(\'os\')"', "nested list of numbers"),
}
ATTACKS = {**{f"image: {k}": v for k, v in IMAGES.items()}, **TEXTS}
