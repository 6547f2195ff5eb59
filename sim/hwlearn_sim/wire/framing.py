"""Messages out of a stream of bytes: lines, in which binary blocks may hold any byte."""

from __future__ import annotations

from typing import Final

_NEWLINE: Final = 0x0A
_QUOTES: Final = (0x22, 0x27)
_HASH: Final = 0x23


class Framer:
    """Collects bytes and hands out whole messages, without their end of line.

    Parameters
    ----------
    takes_blocks : bool
        Whether a definite-length block ``#<n><length><data>`` may hold an end of line.
    longest : int
        Bytes that a message may have.

    Attributes
    ----------
    in_block : bool
        Whether the rest of a block is awaited; if it does not come soon, `abandon` it.
    """

    def __init__(self, takes_blocks: bool, longest: int) -> None:
        self._takes_blocks, self._longest = takes_blocks, longest
        self._buffer = bytearray()
        self._skipping = False
        self.in_block = False

    def feed(self, data: bytes) -> tuple[list[bytes], bool]:
        """Take bytes; return the messages that are whole now, and whether one was too long and lost."""
        self._buffer += data
        messages: list[bytes] = []
        lost = False
        while True:
            end = self._end()
            if end is None:
                break
            if self._skipping:
                self._skipping = False
            elif end > self._longest:
                lost = True
            else:
                messages.append(bytes(self._buffer[:end]))
            del self._buffer[: end + 1]
        if len(self._buffer) > self._longest:
            lost = not self._skipping
            self._buffer.clear()
            self._skipping, self.in_block = True, False
        return messages, lost

    def abandon(self) -> None:
        """Give up a message whose block never came to its end."""
        self._buffer.clear()
        self.in_block = False

    def _end(self) -> int | None:
        """Return where the first message ends, None if it is not whole yet."""
        self.in_block = False
        newline = self._buffer.find(b"\n")
        if not self._takes_blocks or self._skipping or self._buffer.find(b"#", 0, newline + 1 or None) < 0:
            return None if newline < 0 else newline
        position = 0
        while position < len(self._buffer):
            byte = self._buffer[position]
            if byte == _NEWLINE:
                return position
            if byte in _QUOTES:
                close = self._buffer.find(bytes([byte]), position + 1)
                line = self._buffer.find(b"\n", position + 1)
                if close < 0 or -1 < line < close:
                    return None if line < 0 else line  # a string ends with its line at the latest
                position = close
            elif byte == _HASH:
                length = self._block_length(position)
                if length is None or position + length > len(self._buffer):
                    self.in_block = True
                    return None
                position += max(length - 1, 0)
            position += 1
        return None

    def _block_length(self, start: int) -> int | None:
        """Return how many bytes the block at ``start`` takes: 0 if it is none, None if its header is cut."""
        header = self._buffer[start + 1 : start + 2]
        if not header:
            return None
        digits = header[0] - 0x30
        if not 1 <= digits <= 9:
            return 0
        text = bytes(self._buffer[start + 2 : start + 2 + digits])
        if text and not text.isdigit():
            return 0
        if len(text) < digits:
            return None
        total = 2 + digits + int(text)
        return 0 if total > self._longest else total
