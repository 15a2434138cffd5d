"""What strangers bring, and the words that answer it, whichever door they come to.

A door is a test module here: `test_hostile_api.py`, `test_hostile_cli.py`, `test_hostile_page.py`. A new
row is tried at every door that its table fits.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from PIL import Image

SECONDS = 20  # by the clock, on a machine that is busy; undisturbed none takes 4


class Case(NamedTuple):
    """A file, made when it is needed, and words of the one sentence that answers it."""

    name: str
    make: Callable[[], bytes]
    words: str


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def picture(side: int = 64) -> bytes:
    return saved(Image.new("RGB", (side, side), (90, 120, 30)), "PNG")


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def jpeg_of_scans(count: int) -> bytes:
    """24 megapixels whose last, empty scan is repeated: 14 bytes cost a pass over all of them."""
    whole = saved(Image.new("RGB", (6000, 4000), "teal"), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * count + whole[-2:]


def jpeg_of_notes(count: int) -> bytes:
    """Pillow adds up the notes called Exif, one by one."""
    whole = saved(Image.new("RGB", (64, 64)), "JPEG")
    note = b"\xff\xe1" + struct.pack(">H", 1008) + b"Exif\0\0" + bytes(1000)
    return whole[:2] + note * count + whole[2:]


def gif_of_comments() -> bytes:
    """16 MB of comment, which Pillow adds up by 255 bytes: a minute."""
    whole = saved(Image.new("P", (64, 64)), "GIF")
    start = 13 + 3 * 2 ** ((whole[10] & 7) + 1)
    return whole[:start] + b"!\xfe" + (b"\xff" + b"a" * 255) * 64_000 + b"\0" + whole[start:]


def tiff_of_tags() -> bytes:
    """60,000 tags that all claim the same 8 MB: half a terabyte for Pillow."""
    tags = b"".join(struct.pack("<HHII", 1 + tag, 7, 8 << 20, 0) for tag in range(60_000))
    return (b"II*\0\x08\0\0\0" + struct.pack("<H", 60_000) + tags).ljust((8 << 20) + 4, b"\0")


def png_header(width: int, height: int) -> bytes:
    """A picture that promises more pixels than it has."""
    whole = bytearray(picture())
    whole[16:24] = struct.pack(">II", width, height)
    whole[29:33] = struct.pack(">I", zlib.crc32(whole[12:29]))
    return bytes(whole)


def utf8_in_name_only() -> bytes:
    return zipped({"church/é.png": picture()}).replace("é".encode(), b"\xff\xff")


def locked() -> bytes:
    whole = bytearray(zipped({"church/1.png": picture()}))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        whole[whole.index(signature) + place] |= 1
    return bytes(whole)


ROWS = "file,class\nschön.png,church\n"

PICTURES = (
    Case("text.png", lambda: b"hello", "is not a picture that can be read"),
    Case(
        "postscript.jpg", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n", "is not a picture that can be read"
    ),
    Case("empty.png", lambda: b"", "is not a picture that can be read"),
    Case("cut.png", lambda: picture(400)[:-600], "is damaged or cut short"),
    Case("tiny.png", partial(picture, 4), "4 x 4 pixels, too few"),
    Case("bomb.png", partial(png_header, 30_000, 30_000), "900 million pixels"),
    Case("large.png", partial(png_header, 6_000, 5_000), "the limit is 24 million"),
)
# A browser that shows them is busy with them itself: for the other two doors.
SLOW = (
    Case("scans.jpg", partial(jpeg_of_scans, 3_000), "a JPEG of more than 100 scans"),
    Case("notes.jpg", partial(jpeg_of_notes, 8_000), "a JPEG of more than 3000 segments"),
)
# Those that only a limit on the decoder's process can end: for a machine that others use, too.
GREEDY = (
    Case("comments.gif", gif_of_comments, "takes too long to decode"),
    Case("tags.tif", tiff_of_tags, "needs too much memory"),
)
ARCHIVES = (
    Case("noise.zip", lambda: b"PK no zip", "is not a zip archive that can be read"),
    Case("empty.zip", partial(zipped, {}), "There are no pictures"),
    Case("utf8.zip", utf8_in_name_only, "is not a zip archive that can be read"),
    Case("locked.zip", locked, "is locked"),
    Case(
        "lzma.zip",
        lambda: zipped({"church/1.png": picture()}, zipfile.ZIP_LZMA),
        "packed by a rare method",
    ),
    Case(
        "huge.zip",
        lambda: zipped({f"church/{i}.png": bytes(20 << 20) for i in range(8)}),
        "would unpack to 160 MB; the limit is 64",
    ),
    Case("one.zip", lambda: zipped({"church/1.png": bytes(25 << 20)}), "is larger than 24 MB"),
    Case(
        "many.zip",
        lambda: zipped({f"{i}.txt": b"" for i in range(10_001)}),
        "holds 10,001 files; the limit is 10,000",
    ),
    Case("class.zip", lambda: zipped({"unicorn/1.png": picture()}), "does not say which class"),
    Case("broken.zip", lambda: zipped({"church/1.png": b"hello"}), "is not a picture"),
    Case(
        "scans.zip", lambda: zipped({"church/1.jpg": jpeg_of_scans(3_000)}), "more than 100 scans"
    ),
    Case(
        "nameless.zip", lambda: zipped({"a 1 " * 10_000 + ".png": picture()}), "does not say which"
    ),
)
# As a file in a folder for the command line, and inside an archive for the page and the endpoint.
TABLES = (
    Case("latin", lambda: ROWS.encode("latin-1"), "is not written in UTF-8"),
    Case(
        "utf-16", lambda: ROWS.encode("utf-16"), "names files that are not there (1): “schön.png”"
    ),
    Case("half", lambda: ROWS.encode("utf-16")[:-1], "is not written in UTF-8"),
    Case("nul", lambda: b"file,class\na\0.png,church\n", "is not a table of text"),
    Case("field", lambda: b"file,class\n" + b"x" * 200_000 + b",church\n", "line 2"),
    Case("name", lambda: b"file,class\n" + b"x" * 5_000 + b",church\n", "files that are not there"),
    Case(
        "emoji", lambda: ("file,class\n" + "🎈" * 90 + ",church\n").encode(), "that are not there"
    ),
    Case("columns", lambda: b"a,b\n1,2\n", "has no column “file”, “class_index”"),
    Case("semicolons", lambda: b"file;class\n1.png;church\n", "has no column"),
    Case("class", lambda: b"file,class\n1.png,unicorn\n", "line 2"),
    Case("index", lambda: b"file,class_index\n1.png,99\n", "line 2"),
    Case("number", lambda: b"file,class_index\n1.png," + b"9" * 5_000, "line 2"),
    Case("outside", lambda: b"file,class\n../../../../etc/hostname.png,church\n", "are not there"),
)


def with_table(case: Case) -> Case:
    """The table in an archive beside a picture."""
    return Case(
        f"{case.name}.zip",
        lambda: zipped({"labels.csv": case.make(), "1.png": picture()}),
        case.words,
    )
