"""`VisaLink`: a VISA resource (GPIB, USB, VXI-11, HiSLIP and others) through any installed VISA library."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pyvisa
from pyvisa.constants import StatusCode

from hwlearn_drivers.errors import LinkError, LinkTimeout
from hwlearn_drivers.transport.links.link import Link

_CHUNK = 20 * 1024
_MORE = StatusCode.success_max_count_read


class VisaLink(Link):
    """An open VISA resource; it calls the VISA library directly, because PyVISA's read and write are slower.

    Parameters
    ----------
    address : str
        VISA resource name.
    library : str
        ``"@py"``, ``"@ivi"``, another backend, or the path of a VISA library.
    baud : int
        Used on serial resources.
    timeout_s : float
        For opening and sending.

    Raises
    ------
    LinkError
        If the library or the resource cannot be opened.
    """

    __slots__ = ("_buffer", "_lib", "_open_ended", "_quiet", "_resource", "_session", "_set_s", "address")

    def __init__(self, address: str, library: str, baud: int, timeout_s: float) -> None:
        self.address = address
        kind = address.upper()
        # on a byte stream a newline ends a message; on other interfaces the bus marks the end
        self._open_ended = kind.startswith("ASRL") or kind.endswith("SOCKET")
        self.has_clear = not self._open_ended
        self._buffer = bytearray()
        self._set_s = -1.0
        self._quiet = contextlib.ExitStack()
        self._resource: Any = None
        try:
            manager = pyvisa.ResourceManager(library)
            resource: Any = manager.open_resource(address, open_timeout=round(1000 * timeout_s))
            self._resource, self._lib, self._session = resource, resource.visalib, resource.session
            # a long message takes several reads; PyVISA would warn about each of them
            self._quiet.enter_context(resource.ignore_warning(_MORE))
            if kind.startswith("ASRL"):
                resource.baud_rate = baud
            if self._open_ended:
                resource.read_termination = "\n"
                resource.write_termination = ""
            self._wait_at_most(timeout_s)
        except Exception as error:  # every backend raises exceptions of its own
            self.close()
            text = " ".join(str(error).split()) or type(error).__name__
            raise LinkError(f"cannot open {address} with the VISA library {library!r}: {text}") from error

    def write(self, data: bytes) -> None:
        """Send all of data as one message."""
        try:
            sent, _ = self._lib.write(self._session, data)
        except Exception as error:
            raise self._translated(error) from error
        if sent != len(data):
            raise LinkTimeout(f"{self.address} accepted {sent} of {len(data)} bytes")

    def write_messages(self, messages: list[bytes]) -> None:
        """Send one message after the other; on a bus each one has its own end mark."""
        if self._open_ended:
            self.write(b"".join(messages))
        else:
            for message in messages:
                self.write(message)

    def read_line(self, timeout_s: float) -> bytes:
        """Return the next line or bus message without its end."""
        buffer = self._buffer
        while b"\n" not in buffer:
            piece, ended = self._read(_CHUNK, timeout_s)
            if not buffer and ended:
                return piece.rstrip(b"\r\n")
            buffer += piece
            if ended:
                line = bytes(buffer)
                buffer.clear()
                return line.rstrip(b"\r\n")
        line, _, rest = bytes(buffer).partition(b"\n")
        buffer[:] = rest
        return line.rstrip(b"\r")

    def read_exactly(self, count: int, timeout_s: float) -> bytes:
        """Return the next count bytes."""
        buffer = self._buffer
        missing = count - len(buffer)
        if missing > 0:
            with self._unterminated(missing):
                while len(buffer) < count:
                    piece, _ = self._read(min(_CHUNK, count - len(buffer)), timeout_s)
                    buffer += piece
        data = bytes(buffer[:count])
        del buffer[:count]
        return data

    def unread(self) -> bool:
        """Whether a part of an earlier message is left here; the library's own buffer cannot be inspected."""
        return bool(self._buffer)

    def drain(self, quiet_s: float, longest_s: float) -> bytes:
        """Read and return everything until nothing arrives for quiet_s, at most for longest_s."""
        found = bytearray(self._buffer)
        self._buffer.clear()
        deadline = time.monotonic() + longest_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                piece, _ = self._read(_CHUNK, min(quiet_s, left))
            except LinkTimeout:
                break
            found += piece
        return bytes(found)

    def clear(self) -> None:
        """Send the device clear of the bus; a backend that has none is not asked again."""
        self._buffer.clear()
        try:
            self._resource.clear()
        except Exception as error:
            if _is_missing(error):
                self.has_clear = False
                return
            raise self._translated(error) from error

    def close(self) -> None:
        """Close the resource."""
        with contextlib.suppress(Exception):
            self._quiet.close()
        with contextlib.suppress(Exception):
            self._resource.close()

    def _read(self, count: int, timeout_s: float) -> tuple[bytes, bool]:
        """Return the next piece, and whether it ended a message."""
        try:
            self._wait_at_most(timeout_s)
            piece, status = self._lib.read(self._session, count)
        except Exception as error:
            raise self._translated(error) from error
        return piece, status != _MORE

    @contextlib.contextmanager
    def _unterminated(self, missing: int) -> Any:
        """Do not stop at newlines while a long block is read."""
        if not self._open_ended or missing < 64:
            yield
            return
        self._end_reads_at(None)
        try:
            yield
        finally:
            self._end_reads_at("\n")

    def _end_reads_at(self, mark: str | None) -> None:
        try:
            self._resource.read_termination = mark
        except Exception as error:
            raise self._translated(error) from error

    def _wait_at_most(self, seconds: float) -> None:
        if seconds != self._set_s:
            self._resource.timeout = max(1, round(1000 * seconds))
            self._set_s = seconds

    def _translated(self, error: Exception) -> LinkError:
        """Return the error of any backend; the pure-Python ones pass on those of sockets, USB and ports."""
        if isinstance(error, pyvisa.VisaIOError):
            if error.error_code == StatusCode.error_timeout:
                return LinkTimeout(f"{self.address} did not answer within {self._set_s:g} s")
            return LinkError(f"{self.address}: {error.description}")
        if isinstance(error, TimeoutError):
            return LinkTimeout(f"{self.address} did not answer within {self._set_s:g} s")
        text = " ".join(str(error).split()) or type(error).__name__
        return LinkError(f"{self.address} was disconnected: {text}")


def _is_missing(error: Exception) -> bool:
    """Whether a backend does not implement an operation."""
    if isinstance(error, pyvisa.VisaIOError):
        return error.error_code == StatusCode.error_nonsupported_operation
    return isinstance(error, NotImplementedError)
