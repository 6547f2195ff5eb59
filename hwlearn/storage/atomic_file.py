"""Files that are the old one or the new one, whatever happens while they are written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hwlearn.errors import SetupError


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file's contents, or leave it as it was; on disk when this returns.

    Raises
    ------
    SetupError
        If it cannot be written.
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
