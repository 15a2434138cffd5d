"""A picture that a visitor names: a sample, an upload, and nothing else on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from demo.kit import picture
from demo.kit.picture import Picture
from engine.core.errors import BadImage, EngineError

CHURCH = Path("assets/samples/church.png").resolve()


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "uploads"
    (folder / "0a1b").mkdir(parents=True)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder / "0a1b"


def test_samples_and_uploads_are_read(uploads: Path) -> None:
    Image.open(CHURCH).save(uploads / "mine.png")
    assert (
        Picture.of(str(uploads / "mine.png")).image.tobytes()
        == Picture.of("sample:church").image.tobytes()
    )


@pytest.mark.parametrize(
    "source",
    [
        str(CHURCH),
        "assets/samples/church.png",
        "/etc/passwd",
        "",
        "a\0b",
        "x" * 40_000,
        "sample:../../etc/passwd",
        None,
        5,
        ["sample:church"],
        {"path": str(CHURCH)},
    ],
)
def test_what_is_no_upload_is_not_opened(uploads: Path, source: object) -> None:
    with pytest.raises(EngineError) as caught:
        Picture.of(source)
    assert not isinstance(caught.value, AssertionError)
    assert "church" not in caught.value.sentence


def test_a_way_out_of_the_uploads_is_no_upload(uploads: Path) -> None:
    (uploads / "link.png").symlink_to(CHURCH)
    for source in (uploads / "link.png", uploads / ".." / ".." / ".." / CHURCH.name):
        with pytest.raises(BadImage, match="not uploaded"):
            Picture.of(str(source))


def test_an_upload_that_is_gone_is_a_sentence(uploads: Path) -> None:
    with pytest.raises(BadImage, match="no longer here"):
        Picture.of(str(uploads / "gone.png"))


def test_a_hostile_upload_is_refused_where_it_harms_nobody(
    uploads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (uploads / "mine.png").write_bytes(
        b"II*\0\x08\0\0\0\xff\xff" + b"\x01\x02\x03\x04\x05\x06" * 9999
    )
    monkeypatch.setattr(picture, "decode", lambda _: pytest.fail("decoded here"))
    with pytest.raises(BadImage, match=r"mine\.png"):
        Picture.of(str(uploads / "mine.png"))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("sample:golf_ball", "golf_ball"),
        ("/tmp/gradio/0a1b/My cat (2).final.jpeg", "My-cat-2-final"),
        ("/tmp/gradio/0a1b/Kätzchen–süß.png", "K-tzchen-s"),
        ("/tmp/gradio/0a1b/🎈🎈.png", "picture"),
        ("/tmp/gradio/0a1b/" + "long" * 50 + ".png", "long" * 10),
        ("/tmp/gradio/0a1b/..", "picture"),
        ("", "picture"),
    ],
)
def test_names_are_safe_in_file_names(source: str, name: str) -> None:
    assert picture.stem_of(source) == name
