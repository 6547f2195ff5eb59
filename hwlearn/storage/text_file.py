"""Text files that people write: UTF-8, or UTF-16 with a byte order mark; everything else is refused by its place.

Every text file that comes from outside the package is read here, so that a letter never becomes another one.
"""

from __future__ import annotations

import codecs
import io
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from hwlearn.errors import HwlearnError

CHUNK: Final = 1 << 20
"""Bytes that are decoded at a time."""

_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF8, "utf-8", "UTF-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
_ADVICE: Final = "save it as UTF-8"


class TextFile:
    """A text file, read in pieces; line ends of every kind become ``\\n``, a byte order mark is left out.

    Parameters
    ----------
    path : Path
        The file. A pipe is read at once and kept.
    what : str
        Its name in errors, such as ``"bench file"``.
    error : type of HwlearnError
        What is raised.

    Raises
    ------
    HwlearnError
        Of the type ``error``, with file, byte and line: the file cannot be read, is not UTF-8 (or UTF-16 with a
        byte order mark), or has a NUL character. Faults behind the first piece are found while it is read.
    """

    def __init__(self, path: Path, what: str, error: type[HwlearnError]) -> None:
        self.path: Path = path
        self.what: str = what
        self._error = error
        self._held: bytes | None = None
        try:
            if path.exists() and not path.is_file() and not path.is_dir():
                self._held = path.read_bytes()  # a pipe can be read only once
            with self._opened() as file:
                start = file.read(4)
        except (OSError, ValueError) as failure:
            raise self._unreadable(failure) from None
        mark, self._codec, self.encoding = next(
            (known for known in _MARKS if start.startswith(known[0])), (b"", "utf-8", "UTF-8")
        )
        self._skip = len(mark)
        if self.encoding == "UTF-32":
            raise error(f"{what} {path} is UTF-32 (byte 0, line 1), which is not read; {_ADVICE}")

    def text(self) -> str:
        """Return the whole text."""
        return "".join(self.chunks())

    def lines(self) -> Iterator[str]:
        """Yield the lines without their ends. Only line feeds and carriage returns end a line."""
        pending: list[str] = []
        for chunk in self.chunks():
            head, *rest = chunk.split("\n")
            pending.append(head)
            if rest:
                yield "".join(pending)
                yield from rest[:-1]
                pending = [rest[-1]]
        last = "".join(pending)
        if last:
            yield last

    def chunks(self) -> Iterator[str]:
        """Yield the text in pieces."""
        decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(self._codec)(), translate=True)
        try:
            with self._opened() as file:
                file.seek(self._skip)
                start = True
                while raw := file.read(CHUNK):
                    text = self._decoded(decoder, raw)
                    if text:
                        yield text.lstrip("\ufeff") if start else text
                        start = False
                text = self._decoded(decoder, b"")
                if text:
                    yield text
        except OSError as failure:
            raise self._unreadable(failure) from None

    def _opened(self) -> BinaryIO:
        return self.path.open("rb") if self._held is None else io.BytesIO(self._held)

    def _decoded(self, decoder: io.IncrementalNewlineDecoder, raw: bytes) -> str:
        try:
            text = decoder.decode(raw, final=not raw)
        except UnicodeDecodeError:
            raise self._fault() from None
        if "\0" in text:
            raise self._fault()
        return text

    def _fault(self) -> HwlearnError:
        """Return the error for the first byte that is no text, or the first NUL character."""
        with self._opened() as file:
            file.seek(self._skip)
            raw = file.read()
        good, what = raw, ""
        try:
            raw.decode(self._codec)
        except UnicodeDecodeError as failure:
            good = raw[: failure.start]
            what = f"{raw[failure.start]:#04x} is not {self.encoding}; {_ADVICE}"
        text = good.decode(self._codec)
        if "\0" in text:
            text = text.partition("\0")[0]
            good = text.encode(self._codec)
            what = f"a NUL character; {_ADVICE}, if it is a text file"
        line = 1 + text.replace("\r\n", "\n").replace("\r", "\n").count("\n")
        return self._error(
            f"{self.what} {self.path} cannot be read as text: byte {self._skip + len(good)}, line {line}: {what}"
        )

    def _unreadable(self, failure: OSError | ValueError) -> HwlearnError:
        reason = failure.strerror if isinstance(failure, OSError) and failure.strerror else str(failure)
        return self._error(f"{self.what} {str(self.path)!r} cannot be read: {reason}")


def is_file(path: Path) -> bool:
    """Return whether there is a file or pipe of this name; a name that no system can have is none."""
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):
        return False


def read_text(path: Path, what: str, error: type[HwlearnError]) -> str:
    """Return the text of a file; parameters and errors as for `TextFile`."""
    return TextFile(path, what, error).text()


def checked_text(text: str, what: str, error: type[HwlearnError]) -> str:
    """Return text that a caller gives instead of a file, as `read_text` returns that of a file.

    Raises
    ------
    HwlearnError
        Of the type ``error``: the text has a NUL character.
    """
    plain = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    before, nul, _ = plain.partition("\0")
    if nul:
        raise error(f"{what}, line {1 + before.count(chr(10))}: a NUL character, which is no text")
    return plain


def visible(text: str) -> str:
    """Return text without characters that cannot be seen, and with one character for each that looks the same.

    Examples
    --------
    >>> visible("up\\u200b"), visible("a\\u0308") == "ä", visible("\\u2126") == visible("\\u03a9")
    ('up', True, True)
    """
    composed = unicodedata.normalize("NFKC", text)
    return "".join(c for c in composed if unicodedata.category(c) != "Cf")
