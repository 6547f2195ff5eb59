"""Atomic writes: after a crash a file has its old or its new contents."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hwlearn.errors import SetupError


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the contents of a file, or leave it unchanged; the data is on disk when this returns.

    Raises
    ------
    SetupError
        If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SetupError(f"cannot write {path}: {error}") from None
