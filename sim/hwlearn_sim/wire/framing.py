"""Split a byte stream into messages: lines that may contain binary blocks."""

from __future__ import annotations

from typing import Final

_NEWLINE: Final = 0x0A
_QUOTES: Final = (0x22, 0x27)
_HASH: Final = 0x23


class Framer:
    """Collects bytes and returns complete messages without their newline.

    Parameters
    ----------
    takes_blocks : bool
        Whether a definite-length block ``#<n><length><data>`` may contain newlines.
    longest : int
        Maximum length of a message in bytes.

    Attributes
    ----------
    in_block : bool
        Whether the end of a block has not arrived yet. After a time-out, call `discard`.
    """

    def __init__(self, takes_blocks: bool, longest: int) -> None:
        self._takes_blocks, self._longest = takes_blocks, longest
        self._buffer = bytearray()
        self._skipping = False
        self.in_block: bool = False

    def feed(self, data: bytes) -> tuple[list[bytes], bool]:
        """Add bytes; return the messages that are complete, and whether one was too long and discarded."""
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

    def discard(self) -> None:
        """Discard a message whose block is incomplete."""
        self._buffer.clear()
        self.in_block = False

    def _end(self) -> int | None:
        """Return the end of the first message, or None if it is incomplete."""
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
                    return None if line < 0 else line  # a newline also ends a string
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
        """Return the length of the block at ``start``: 0 for no block, None if its header is incomplete."""
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
