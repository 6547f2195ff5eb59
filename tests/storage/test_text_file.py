"""One reader for text files: encodings by byte order mark, line ends, and faults by byte and line."""

import codecs
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwlearn.errors import DataError, SetupError
from hwlearn.storage.text_file import CHUNK, TextFile, checked_text, read_text


def read(path, content):
    path.write_bytes(content)
    return read_text(path, "test file", DataError)


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_row_4_text_is_read_by_its_mark_and_line_ends_become_one(tmp_path, mark, encoding, end):
    text = end.join(["größe µ Ω", "", "\U0001f600 x\u2028y\x85z", "last"])
    path = tmp_path / "a.txt"
    assert read(path, mark + text.encode(encoding)) == text.replace(end, "\n")
    file = TextFile(path, "test file", DataError)
    assert list(file.lines()) == text.split(end)
    assert file.encoding == encoding[:6].upper().rstrip("-").replace("UTF-1", "UTF-16")[:6]


def test_row_4_two_marks_are_left_out(tmp_path):
    assert read(tmp_path / "a.txt", codecs.BOM_UTF8 * 2 + b"x") == "x"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\xe4c", r"byte 3, line 2: 0xe4 is not UTF-8"),
        (b"a\r\nb\rc\n\xff", r"byte 7, line 4: 0xff is not UTF-8"),
        (codecs.BOM_UTF8 + b"a\n\xc3", r"byte 5, line 2: 0xc3 is not UTF-8"),
        (b"a\n\x00b", r"byte 2, line 2: a NUL character"),
        ("a\nb".encode("utf-16-le"), r"byte 1, line 1: a NUL character"),
        (codecs.BOM_UTF16_LE + b"a\0\n\0b", r"byte 6, line 2: 0x62 is not UTF-16"),
        (codecs.BOM_UTF16_LE + "a\nb\0c".encode("utf-16-le"), r"byte 8, line 2: a NUL character"),
        (codecs.BOM_UTF16_BE + b"\xd8\x00\x00a", r"byte 2, line 1: .* is not UTF-16"),
        (codecs.BOM_UTF32_LE + "a".encode("utf-32-le"), r"UTF-32"),
        (b"PK\x03\x04\x00", r"byte 4, line 1: a NUL"),
    ],
)
def test_row_4_other_bytes_are_refused_by_byte_and_line(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path / "a.txt", content)
    assert str(caught.value).startswith(f"test file {tmp_path / 'a.txt'}")
    assert "\n" not in str(caught.value)


def test_fault_behind_the_first_piece_is_found_at_its_place(tmp_path):
    lines = b"0123456789abcde\n" * (CHUNK // 16)
    with pytest.raises(DataError, match=rf"byte {2 * CHUNK + 1}, line {2 * (CHUNK // 16) + 1}: 0xfe"):
        read(tmp_path / "a.txt", lines * 2 + b"x\xfe\n")


@settings(deadline=None)  # files, on a busy disk
@given(st.text(st.characters(exclude_characters="\0\ufeff", exclude_categories=["Cs"])), st.integers(0, 3))
def test_pieces_make_the_same_lines_as_the_whole_text(text, shift):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.txt"
        long = "x" * (CHUNK - 2 + shift) + text + "\r\n" + text
        path.write_bytes(long.encode())
        expected = long.replace("\r\n", "\n").replace("\r", "\n")
        assert read_text(path, "f", DataError) == expected
        lines = expected.split("\n")
        assert list(TextFile(path, "f", DataError).lines()) == lines[: len(lines) - (lines[-1] == "")]


def test_file_that_cannot_be_read_is_refused_with_its_reason(tmp_path):
    for path, reason in (
        (tmp_path / "none.txt", "No such file"),
        (tmp_path, "directory"),
        (tmp_path / "a\0b", "null"),
    ):
        with pytest.raises(SetupError, match=rf"bench file .* cannot be read: .*{reason}"):
            read_text(path, "bench file", SetupError)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes of POSIX")
def test_pipe_is_read_once_and_kept(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"a,b\n1,2\n",))
    writer.start()
    file = TextFile(path, "f", DataError)
    writer.join()
    assert list(file.lines()) == list(file.lines()) == ["a,b", "1,2"]


def test_text_that_is_given_instead_of_a_file_is_checked_alike():
    assert checked_text("\ufeffa\r\nb\rc", "text", DataError) == "a\nb\nc"
    with pytest.raises(DataError, match="text, line 2: a NUL"):
        checked_text("a\nb\0", "text", DataError)
