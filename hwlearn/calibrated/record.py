"""`CalibrationRecord`: the results of a calibration, stored in one readable file ``calibration.toml``.

A record is valid for one network (fingerprint of its topology) on certain instruments (maker, model, serial
number). `CalibrationRecord.check` refuses any other. A damaged or incomplete file is refused as a whole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from hwlearn.calibrated.sections import (
    ConverterRecord,
    EdgeRecord,
    LineRecord,
    NoiseRecord,
    PulseRecord,
    RecordSection,
    VerifyRecord,
)
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError, closest
from hwlearn.html_text import object_box
from hwlearn.installed import version
from hwlearn.storage.atomic_file import write_atomically
from hwlearn.storage.text_file import is_file, read_text
from hwlearn.storage.toml_text import toml_tables, toml_text

FORMAT: Final = 1
STEPS: Final = ("converters", "noise", "lines", "pulses", "edges", "verify")
"""Steps of a calibration; each step fills the section of the same name."""

_SECTIONS: Final[Mapping[str, type[RecordSection]]] = {
    "converters": ConverterRecord,
    "noise": NoiseRecord,
    "lines": LineRecord,
    "pulses": PulseRecord,
    "edges": EdgeRecord,
    "verify": VerifyRecord,
}
_HEAD: Final = ("format", "package", "topology", "instruments", "made")


@dataclass(frozen=True, kw_only=True)
class CalibrationRecord:
    """Results of the calibration of a bench.

    Attributes
    ----------
    topology : str
        Fingerprint of the network's topology.
    instruments : tuple of str
        `Network.instruments` during the calibration; empty in a simulation.
    made : mapping of str to datetime
        Time in UTC at which each completed step had its result.
    package : str
        Version of this package that wrote the record.
    converters, noise, lines, pulses, edges, verify
        Results of the steps; None if a step was not done or its result is not measurable on the bench.

    Examples
    --------
    >>> from hwlearn.circuit.topology import Topology
    >>> divider = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    >>> record = CalibrationRecord.of(divider, ())
    >>> found = {"gain": [1.1, 0.9], "gain_sigma": [0.01, 0.01], "scale_sigma": 0.1, "scale_known": False}
    >>> edges = EdgeRecord(**found, chi=1.0, configurations=4)
    >>> record.with_step("edges", edges).edges.gain
    array([1.1, 0.9])
    """

    topology: str
    instruments: tuple[str, ...] = ()
    made: Mapping[str, datetime] = field(default_factory=dict)
    package: str = ""
    converters: ConverterRecord | None = None
    noise: NoiseRecord | None = None
    lines: LineRecord | None = None
    pulses: PulseRecord | None = None
    edges: EdgeRecord | None = None
    verify: VerifyRecord | None = None

    @classmethod
    def of(cls, topology: Topology, instruments: tuple[str, ...]) -> Self:
        """Return an empty record for a network."""
        return cls(topology=topology.fingerprint, instruments=tuple(instruments), package=version("hwlearn"))

    def __repr__(self) -> str:
        steps = [step for step in STEPS if step in self.made or getattr(self, step) is not None]
        return f"<CalibrationRecord of topology {self.topology}: {', '.join(steps) or 'no step'}>"

    def _repr_html_(self) -> str:
        facts = [("topology", self.topology), ("instruments", "; ".join(self.instruments) or "none")]
        for step in STEPS:
            section: RecordSection | None = getattr(self, step)
            made = self.made.get(step)
            if section is not None or made is not None:
                at = "" if made is None else f"{made.isoformat()}: "
                facts.append(
                    (step, at + ("not measurable on this bench" if section is None else section.summary()))
                )
        return object_box("Calibration record", facts)

    def with_step(self, step: str, found: RecordSection | None, when: datetime | None = None) -> Self:
        """Return the record with the result of one step, dated ``when`` (default: now) in UTC."""
        if step not in STEPS:
            raise SetupError(f"there is no step {step!r}{closest(step, STEPS)}; the steps are: {', '.join(STEPS)}")
        at = (datetime.now(UTC) if when is None else when.astimezone(UTC)).replace(microsecond=0)
        changes: dict[str, Any] = {step: found, "made": {**self.made, step: at}, "package": version("hwlearn")}
        return replace(self, **changes)

    # --- checks -------------------------------------------------------------------------------------

    def check(self, topology: Topology, instruments: tuple[str, ...]) -> None:
        """Refuse the record if it was made for another network or on other instruments.

        Raises
        ------
        SetupError
            With the difference, in one line.
        """
        self.check_topology(topology)
        mine, there = ([identity(text) for text in names] for names in (self.instruments, instruments))
        if mine != there:
            was, now = next(
                ((a, b) for a, b in zip(mine, there, strict=False) if a != b),
                ("; ".join(mine) or "no instrument", "; ".join(there) or "no instrument"),
            )
            raise SetupError(f"the calibration was made on {was}, this bench has {now}; run: hwlearn calibrate")
        for name in STEPS:
            section: RecordSection | None = getattr(self, name)
            if section is not None:
                try:
                    section.check(topology)
                except SetupError as error:
                    raise SetupError(f"the calibration does not fit the network: {name}.{error}") from None

    def check_topology(self, topology: Topology) -> None:
        """Refuse the record if it was made for another network; this part of `check` needs no hardware.

        Raises
        ------
        SetupError
            If the topology differs.
        """
        if self.topology != topology.fingerprint:
            raise SetupError(
                f"the calibration was made for another topology ({self.topology}), this network has "
                f"{topology.fingerprint}; run: hwlearn calibrate"
            )

    def circuit(self, topology: Topology) -> Topology:
        """Return the network's topology with the wires that the calibration found.

        Parameters
        ----------
        topology : Topology
            As the bench declares it; the record was made for it.
        """
        return topology if self.lines is None else self.lines.with_wires(topology)

    def age(self, now: datetime | None = None) -> timedelta:
        """Return the age of the oldest step; zero if there is none."""
        at = datetime.now(UTC) if now is None else now
        return max((at - made for made in self.made.values()), default=timedelta())

    def is_older_than(self, days: float, now: datetime | None = None) -> bool:
        """Return whether any step is older than this number of days."""
        return self.age(now) > timedelta(days=days)

    @property
    def id(self) -> str:
        """Checksum of the record, which is in its file: 16 hexadecimal digits, others for any other record."""
        return _checksum(self._body())

    # --- the file -----------------------------------------------------------------------------------

    def text(self) -> str:
        """Return the text of the file, with its checksum at the end."""
        return f'{self._body()}\n[end]\nchecksum = "{self.id}"\n'

    def _body(self) -> str:
        made = {step: at.astimezone(UTC).isoformat() for step, at in self.made.items()}
        head = {
            "format": FORMAT,
            "package": self.package,
            "topology": self.topology,
            "instruments": list(self.instruments),
            "made": made,
        }
        found = {step: getattr(self, step) for step in STEPS}
        return toml_text(
            {"calibration": head, **{step: part.table() for step, part in found.items() if part is not None}}
        )

    def save(self, path: Path) -> None:
        """Write the record atomically: after an interruption the file is either the old one or the new one.

        Raises
        ------
        SetupError
            If the file cannot be written.
        """
        write_atomically(path, self.text().encode())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a record from a file.

        Raises
        ------
        SetupError
            If the file is missing, damaged, incomplete, changed or in another format, or if a key is unknown,
            missing or of the wrong type.
        """
        if not is_file(path):
            raise SetupError(
                f"there is no calibration file {path}; run: hwlearn calibrate, or leave [calibration] out"
            )
        text = read_text(path, "calibration file", SetupError)
        try:
            return cls.parse(text)
        except SetupError as error:
            raise SetupError(f"calibration file {path}: {error}") from None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the record from the text of a file; raises as `load`."""
        try:
            tables = toml_tables(text)
        except SetupError as error:
            raise SetupError(
                f"it is incomplete or damaged: {error}; delete it and run: hwlearn calibrate"
            ) from None
        _check_keys(tables, ("calibration", *STEPS, "end"), "")
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise SetupError(f"{name} must be a table, [{name}]")
        for name in ("calibration", "end"):
            if name not in tables:
                raise SetupError(
                    f"the table [{name}] is missing, so it is incomplete; delete it and run: hwlearn calibrate"
                )
        head = tables["calibration"]
        _check_keys(head, _HEAD, "calibration.")
        if head.get("format") != FORMAT:
            raise SetupError(f"its format is {head.get('format')!r}, this version reads {FORMAT}")
        for key, kind in (("package", str), ("topology", str), ("instruments", list), ("made", dict)):
            if not isinstance(head.get(key), kind):
                raise SetupError(f"calibration.{key} is missing or not a {kind.__name__}")
        if not all(isinstance(name, str) for name in head["instruments"]):
            raise SetupError("calibration.instruments must be a list of texts")
        _check_keys(head["made"], STEPS, "calibration.made.")
        found: dict[str, Any] = {step: _section(step, tables[step]) for step in STEPS if step in tables}
        for step in found:
            if step not in head["made"]:
                raise SetupError(f"calibration.made.{step} is missing, but there is a table [{step}]")
        # last, so that an error in a key that was edited by hand is reported by its name
        _check_keys(tables["end"], ("checksum",), "end.")
        body, _, _ = text.partition("\n[end]\n")
        if tables["end"].get("checksum") != _checksum(body):
            raise SetupError(
                "its checksum is wrong: it is incomplete, damaged or changed; delete it and run: hwlearn calibrate"
            )
        made = {step: _time(step, at) for step, at in head["made"].items()}
        return cls(
            topology=head["topology"],
            instruments=tuple(head["instruments"]),
            made=made,
            package=head["package"],
            **found,
        )


def identity(instrument: str) -> str:
    """Return maker, model and serial number of an entry of `Network.instruments`, without firmware and address.

    Examples
    --------
    >>> identity("Keithley 2450, serial 0412, at TCPIP::10.0.0.2::5025::SOCKET")
    'Keithley 2450, serial 0412'
    """
    return re.split(r", (?:firmware |at )", instrument, maxsplit=1)[0]


def _checksum(body: str) -> str:
    return hashlib.sha256(body.strip().replace("\r\n", "\n").encode()).hexdigest()[:16]


def _time(step: str, text: object) -> datetime:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        raise SetupError(f"calibration.made.{step} = {text!r} is not a time") from None
    if at.tzinfo is None:
        raise SetupError(f"calibration.made.{step} = {text!r} has no time zone")
    return at.astimezone(UTC)


def _check_keys(table: Mapping[str, object], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise SetupError(f"unknown key {where}{key}{closest(key, known)}; the keys are: {', '.join(known)}")


def _section(step: str, table: Mapping[str, Any]) -> RecordSection:
    kind = _SECTIONS[step]
    _check_keys(table, tuple(item.name for item in fields(kind)), f"{step}.")
    for item in fields(kind):
        if item.name not in table and not item.metadata["optional"]:
            raise SetupError(f"{step}.{item.name} is missing")
    try:
        return kind(**table)
    except SetupError as error:
        raise SetupError(f"{step}.{error}") from None
