"""labels.csv as spreadsheets, scripts and strangers write it: read rightly, or one sentence."""

from __future__ import annotations

import codecs
import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import EngineError
from engine.data.table import BadFolder, read_table

NAMES = ("tench", "English springer", "cassette player")
WANTED = (("schöne/é.png", 2), ("b.png", 0))
PLAIN = "file,class_index\nschöne/é.png,2\nb.png,0\n"


def complaint(content: bytes) -> EngineError:
    with pytest.raises(BadFolder) as caught:
        read_table(content, "mine/labels.csv", NAMES)
    assert caught.value.sentence.startswith("mine/labels.csv")
    assert len(caught.value.sentence) < 200
    assert caught.value.hint.endswith(".")
    return caught.value


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\n\n").encode(),
        b'"class_index",wnid,file\n2,,"sch\xc3\xb6ne/\xc3\xa9.png"\n 0 ,x,b.png\n',
        "class,file\nCassette_Player,schöne/é.png\nn01440764,b.png".encode(),
        "file,class,class_index\nschöne/é.png,tench,2\nb.png,unicorn,0".encode(),
    ],
    ids=["UTF-8", "mark", "UTF-16", "big-endian", "Windows", "gaps", "quotes", "names", "both"],
)
def test_what_programs_write_is_read(content: bytes) -> None:
    assert read_table(content, "labels.csv", NAMES) == WANTED


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (PLAIN.encode("latin-1"), "not written in UTF-8"),
        (PLAIN.encode("utf-16-le"), "not written in UTF-8"),
        (PLAIN.encode("utf-16")[:-1], "not written in UTF-8"),
        (b"file,class_index\na\0.png,0\n", "not a table of text"),
        (b"file,class_index\na.png,0\n" + b"x" * 200_000 + b",0\n", "line 3"),
        (b'file,class_index\n"a.png,0\n' + b"b.png,0\n" * 20_000, "line"),
        (b"file,class_index\na.png," + b"9" * 5000, "line 2"),
        (b"", "no column “file”, “class_index”"),
        (b"file;class_index\na.png;0\n", "no column “file”, “class_index”"),
        (b"file,class\na.png,unicorn\n", "line 2"),
        (b"class,file\n0\n", "line 2"),
        (b"class,file\ntench\n", "line 2"),
    ],
)
def test_what_cannot_be_read_names_the_table(content: bytes, words: str) -> None:
    assert words in complaint(content).sentence


def test_an_unknown_name_is_told_what_is_known() -> None:
    assert "“tench”" in complaint(b"file,class\na.png,unicorn\n").hint


@settings(max_examples=200, deadline=2000, derandomize=True)
@given(
    st.binary(max_size=400)
    | st.lists(
        st.sampled_from(
            b'file class class_index , " 0 -1 tench a.png \0 \n \r \xff\xfe \xef\xbb\xbf \xe4'.split(
                b" "
            )
        ),
        max_size=40,
    ).map(b"".join)
)
def test_any_bytes_are_a_table_or_a_sentence(content: bytes) -> None:
    try:
        rows = read_table(content, "labels.csv", NAMES)
    except BadFolder:
        return
    assert all(0 <= row.label < len(NAMES) for row in rows)


@settings(max_examples=50, deadline=2000, derandomize=True)
@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"))), st.booleans())
def test_any_file_name_survives_the_table(files: list[str], wide: bool) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([("file", "class_index"), *((file, 1) for file in files)])
    content = stream.getvalue().encode("utf-16" if wide else "utf-8")
    assert [row.file for row in read_table(content, "labels.csv", NAMES)] == files
