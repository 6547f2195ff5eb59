"""`SuperpositionRecord`: the result of the last check of superposition on a bench, in a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hwlearn.calibrated.record import identity
from hwlearn.errors import NetworkError, SetupError
from hwlearn.storage.atomic_file import write_atomically
from hwlearn.storage.text_file import is_file, read_text
from hwlearn.storage.toml_text import toml_tables, toml_text


@dataclass(frozen=True, slots=True)
class BenchIdentity:
    """What a check of superposition is valid for.

    Attributes
    ----------
    topology : str
        Fingerprint of the graph.
    instruments : tuple of str
        Maker, model and serial number of each.
    columns : str
        Which node is on which column.
    """

    topology: str
    instruments: tuple[str, ...]
    columns: str

    @classmethod
    def of(cls, topology: str, provenance: tuple[str, ...], columns: str) -> BenchIdentity:
        """Return the identity of a bench whose instruments report themselves like this."""
        return cls(topology, tuple(identity(text) for text in provenance), columns)

    def table(self) -> dict[str, Any]:
        """Return the values for a file."""
        return {"topology": self.topology, "instruments": list(self.instruments), "columns": self.columns}


class SuperpositionRecord:
    """The file in which ``hwlearn check`` leaves whether superposition holds.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, bench: BenchIdentity, holds: bool, found: str) -> None:
        """Write the result of a check.

        Raises
        ------
        StorageError, SetupError
            If the file cannot be written.
        """
        checked = {"holds": holds, "found": found, "at": datetime.now().astimezone().isoformat(timespec="seconds")}
        write_atomically(self._path, toml_text({"superposition": checked, "bench": bench.table()}).encode())

    def require(self, bench: BenchIdentity) -> None:
        """Refuse to compose samples unless a check on this bench has passed.

        Raises
        ------
        NetworkError
            With the command to run; nothing was applied.
        """
        reason = self._reason(bench)
        if reason:
            raise NetworkError(
                f"superpose = true, but {reason}; nothing was applied; run hwlearn check with this bench first"
            )

    def _reason(self, bench: BenchIdentity) -> str:
        """Return why the record does not allow superposition; empty if it does."""
        if not is_file(self._path):
            return f"no check has shown that superposition holds: there is no {self._path}"
        try:
            tables = toml_tables(read_text(self._path, str(self._path), SetupError))
            checked, of = tables["superposition"], tables["bench"]
            if checked["holds"] is not True:
                return f"the check of {checked['at']} failed: {checked['found']} ({self._path})"
            if of["topology"] != bench.topology:
                return f"{self._path} is of another network"
            wanted = bench.table()
            other = [key for key in ("instruments", "columns") if of[key] != wanted[key]]
        except (SetupError, LookupError, TypeError) as error:
            return f"{self._path} is damaged: {error}"
        return f"{self._path} was checked with other {' and '.join(other)}" if other else ""
