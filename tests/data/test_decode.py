"""Every bad picture gives one sentence; every odd one gives the right 8-bit RGB pixels."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.core.errors import BadImage
from engine.data.decode import MOST_BYTES, MOST_PIXELS, decode, fit


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


WHOLES = {
    name: saved(Image.radial_gradient("L").resize((48, 32)).convert(mode), format, **options)
    for name, mode, format, options in (
        ("png", "RGBA", "PNG", {}),
        ("palette", "P", "PNG", {"transparency": 3}),
        ("jpeg", "RGB", "JPEG", {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\1\3\0\1\0\0\0\6\0"}),
        ("progressive", "CMYK", "JPEG", {"progressive": True}),
        ("gif", "P", "GIF", {}),
        ("webp", "RGB", "WEBP", {}),
        ("avif", "RGB", "AVIF", {"speed": 10}),
        ("lzw", "RGB", "TIFF", {"compression": "tiff_lzw"}),
        ("tiff", "I;16", "TIFF", {}),
        ("bmp", "RGB", "BMP", {}),
        ("ppm", "RGB", "PPM", {}),
    )
}


@pytest.fixture
def photo() -> Image.Image:
    """Smooth colours 48 wide and 32 high: no two corners alike."""
    x, y = np.meshgrid(np.linspace(0, 255, 48), np.linspace(0, 255, 32))
    return Image.fromarray(np.stack([x, y, 255 - x], -1).astype(np.uint8))


def png_header(width: int, height: int) -> bytes:
    """A valid PNG that promises an enormous picture and ends with the first of its pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", 1000) + b"IDAT" + zlib.compress(b"")


def refused(source: bytes | Path | Image.Image) -> BadImage:
    with pytest.raises(BadImage) as caught:
        decode(source)
    error = caught.value
    assert error.sentence.endswith(".")
    assert error.sentence.count(". ") == 0, "one sentence"
    assert error.hint.endswith(".")
    return error


@pytest.mark.parametrize(
    "noise",
    [
        b"",
        b"hello, this is a text file",
        b"\x89PNG\r\n\x1a\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n",
    ],
    ids=["empty", "text", "bare signature", "postscript"],
)
def test_what_is_no_picture_is_refused(noise: bytes) -> None:
    assert "not a picture" in refused(noise).sentence


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_a_file_cut_short_is_refused(photo: Image.Image, format: str) -> None:
    whole = saved(photo.resize((96, 96)), format)
    sentence = refused(whole[: len(whole) * 2 // 3]).sentence
    # Formats whose directory lies at the end are not even recognised once it is gone.
    assert "cut short" in sentence or "not a picture" in sentence


def test_a_truncated_jpeg_is_called_cut_short(photo: Image.Image) -> None:
    whole = saved(photo.resize((96, 96)), "JPEG", quality=95)
    assert "cut short" in refused(whole[: len(whole) // 2]).sentence


@pytest.mark.parametrize("size", [(1, 1), (15, 400), (400, 15)])
def test_too_few_pixels_are_refused_with_both_numbers(size: tuple[int, int]) -> None:
    error = refused(saved(Image.new("RGB", size), "PNG"))
    assert f"{size[0]} x {size[1]}" in error.sentence
    assert "16" in error.hint


@pytest.mark.filterwarnings("default::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("width", "height", "told"),
    [(30000, 30000, "900 million"), (10000, 10000, "100 million"), (6000, 5000, "6000 x 5000")],
    ids=["past Pillow's error", "past Pillow's warning", "past ours"],
)
def test_a_bomb_is_refused_from_its_header(width: int, height: int, told: str) -> None:
    sentence = refused(png_header(width, height)).sentence
    assert told in sentence
    assert "24 million" in sentence


def test_the_limit_itself_is_let_through_the_size_check() -> None:
    assert 6000 * 4000 == MOST_PIXELS
    # The header is all there is, so the next complaint must be another one.
    assert "cut short" in refused(png_header(6000, 4000)).sentence


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "gone.png" in refused(tmp_path / "gone.png").sentence


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture", encoding="utf-8")
    assert refused(tmp_path / "notes.jpg").sentence.startswith("notes.jpg")


def test_bytes_path_and_image_give_the_same_pixels(photo: Image.Image, tmp_path: Path) -> None:
    photo.save(tmp_path / "a.png")
    from_bytes = decode((tmp_path / "a.png").read_bytes())
    from_path = decode(tmp_path / "a.png")
    assert from_bytes.mode == from_path.mode == decode(photo).mode == "RGB"
    assert from_bytes.tobytes() == from_path.tobytes() == decode(photo).tobytes() == photo.tobytes()


def test_cmyk_jpeg_becomes_rgb(photo: Image.Image) -> None:
    red = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    pixels = np.asarray(decode(saved(red, "JPEG", quality=95)))
    assert pixels.shape == (32, 32, 3)
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() <= 6  # JPEG's own loss


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)
    grey = Image.fromarray(np.tile(ramp, (32, 1)))
    pixels = np.asarray(decode(saved(grey, "PNG")))
    expected = np.rint(ramp / 257.0).astype(np.uint8)
    assert np.array_equal(pixels, np.tile(expected[None, :, None], (32, 1, 3)))


@pytest.mark.parametrize("mode", ["F", "I"])
def test_32_bit_samples_have_no_white_point(mode: str) -> None:
    deep = Image.new(mode, (32, 32), 70000)
    assert "32-bit" in refused(saved(deep, "TIFF")).sentence


def test_palette_with_alpha_is_laid_on_white() -> None:
    flag = Image.new("P", (32, 32), 0)
    flag.putpalette([255, 0, 0, 0, 0, 255])
    flag.paste(1, (0, 0, 16, 32))
    pixels = np.asarray(decode(saved(flag, "PNG", transparency=bytes([255, 0]))))
    assert (pixels[:, :16] == 255).all(), "the transparent blue half is white"
    assert (pixels[:, 16:] == (255, 0, 0)).all()


def test_half_transparency_mixes_with_white() -> None:
    veil = Image.new("RGBA", (32, 32), (0, 0, 0, 128))
    assert np.abs(np.asarray(decode(saved(veil, "PNG"))).astype(int) - 127).max() <= 1


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(format: str) -> None:
    frames = [Image.new("RGB", (32, 32), tint) for tint in ("red", "lime", "blue")]
    options = {"lossless": True} if format == "WEBP" else {}
    moving = saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(moving)).n_frames == 3  # pyright: ignore[reportAttributeAccessIssue]
    assert (np.asarray(decode(moving)) == (255, 0, 0)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(photo: Image.Image, orientation: int) -> None:
    """However the camera was held, the stored and the upright picture are the same picture."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = photo.transpose(undo[orientation]) if orientation > 1 else photo
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = decode(saved(stored, "PNG", exif=exif))
    assert upright.tobytes() == photo.tobytes()


def test_broken_exif_does_not_cost_the_picture(photo: Image.Image) -> None:
    whole = saved(photo, "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff" + b"\x07" * 40)
    assert decode(whole).size == photo.size


def test_the_given_image_is_not_changed(photo: Image.Image) -> None:
    before = photo.tobytes()
    decode(photo).putpixel((0, 0), (1, 2, 3))
    assert photo.tobytes() == before


def test_fit_gives_exact_bytes() -> None:
    """At the model's own size nothing is resampled: the pixels arrive bit for bit."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    x = fit(Image.fromarray(pixels), 64)
    assert x.dtype == torch.uint8
    assert x.is_contiguous()
    assert np.array_equal(x.permute(1, 2, 0).numpy(), pixels)


@pytest.mark.parametrize("size", [(90, 40), (40, 90)])
def test_fit_cuts_the_centre(size: tuple[int, int]) -> None:
    """A square of the shorter side is kept; what lies outside it leaves no trace."""
    image = Image.new("RGB", size, "red")
    left, top = (size[0] - 40) // 2, (size[1] - 40) // 2
    image.paste("blue", (left - 4, top - 4, left + 44, top + 44))
    assert torch.equal(
        fit(image, 40), torch.tensor([0, 0, 255]).byte()[:, None, None].expand(3, 40, 40)
    )


def test_fit_honours_the_crop_share() -> None:
    """crop 0.875 at 224 resizes to 256 and cuts 224: a frame of 1/16 each side is gone."""
    image = Image.new("RGB", (256, 256), "red")
    image.paste("blue", (16, 16, 240, 240))
    assert torch.equal(fit(image, 224, 0.875)[2], torch.full((224, 224), 255).byte())
    assert fit(image, 224, 1.0)[0].any()


def test_fit_is_close_to_resize_then_crop(photo: Image.Image) -> None:
    """One resampling against two steps: they differ by a fraction of a pixel's shift at most."""
    large = photo.resize((480, 320), Image.Resampling.BICUBIC)
    two_steps = large.resize((168, 112), Image.Resampling.BICUBIC).crop((28, 0, 140, 112))
    gap = fit(large, 112).permute(1, 2, 0).numpy().astype(int) - np.asarray(two_steps).astype(int)
    assert np.abs(gap).max() <= 3


def test_fit_antialiases() -> None:
    """A fine checkerboard shrunk tenfold is grey, not a random subset of its squares."""
    board = np.indices((400, 400)).sum(0) % 2 * 255
    x = fit(Image.fromarray(board.astype(np.uint8)).convert("RGB"), 40)
    assert (x.int() - 128).abs().max() <= 2


def test_fit_is_the_same_after_a_trip_through_png(photo: Image.Image) -> None:
    x = fit(photo, 32)
    again = decode(saved(Image.fromarray(x.permute(1, 2, 0).numpy()), "PNG"))
    assert torch.equal(fit(again, 32), x)


def with_scans(photo: Image.Image, count: int) -> bytes:
    """A progressive JPEG whose last scan is there `count` times more."""
    whole = saved(photo, "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * count + whole[-2:]


def test_a_jpeg_of_many_scans_is_refused_before_they_are_decoded(photo: Image.Image) -> None:
    assert decode(with_scans(photo, 80)).size == photo.size
    began = time.process_time()
    assert "more than 100 scans" in refused(with_scans(photo.resize((4000, 3000)), 3000)).sentence
    assert time.process_time() - began < 2, "1 s is the making of it; its scans would take 17 s"


def test_what_only_looks_like_scans_is_not_counted(photo: Image.Image) -> None:
    """Notes and a film behind the picture, as phones write them, hold any bytes."""
    whole = saved(photo, "JPEG")
    note = b"\xff\xe5" + struct.pack(">H", 2 + 60_000) + b"\xff\xda" * 30_000
    assert decode(whole[:2] + note + whole[2:] + b"\xff\xda" * 1000).tobytes()


def test_a_jpeg_of_many_notes_is_refused(photo: Image.Image) -> None:
    whole = saved(photo, "JPEG")
    notes = (b"\xff\xe1" + struct.pack(">H", 12) + b"Exif\0\0II*\0") * 4000
    assert "more than 3000 segments" in refused(whole[:2] + notes + whole[2:]).sentence


def test_a_file_is_not_read_where_its_size_says_enough(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    assert "the limit is 80" in refused(tmp_path / "a.png").sentence


@pytest.mark.parametrize("name", ["x" * 5000 + ".png", "a\0b.png", "🎈" * 200])
def test_a_name_that_no_disk_takes_is_a_missing_file(tmp_path: Path, name: str) -> None:
    error = refused(tmp_path / name)
    assert "no file" in error.sentence
    assert len(error.sentence) < 120


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are counted in other units")
def test_a_picture_of_the_most_pixels_is_held_at_most_twice(tmp_path: Path) -> None:
    """Once as its decoder makes it, once as RGB, at Pillow's four bytes a pixel."""
    Image.new("RGB", (6000, 4000), "teal").save(tmp_path / "large.jpg")
    script = (
        "import resource, sys; from pathlib import Path; from engine.data.decode import decode;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "before = peak(); decode(Path(sys.argv[1])); print(1024 * (peak() - before))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "large.jpg")]
    taken = subprocess.run(command, capture_output=True, check=True, encoding="utf-8")
    assert int(taken.stdout) < 2 * 4 * MOST_PIXELS + (10 << 20)


@settings(max_examples=150, deadline=5000, derandomize=True)
@given(data=st.data())
def test_no_mutation_of_a_picture_makes_anything_but_a_sentence(data: st.DataObject) -> None:
    whole = WHOLES[data.draw(st.sampled_from(sorted(WHOLES)))]
    places = st.integers(0, len(whole) - 1)
    broken = bytearray(whole)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=12)):
        broken[place] = value
    cut = data.draw(st.none() | places)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow tells of what it mends
        try:
            picture = decode(bytes(broken[:cut]))
        except BadImage:
            return
    assert picture.mode == "RGB"
    assert picture.width * picture.height <= MOST_PIXELS
