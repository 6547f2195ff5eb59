"""The calibration record: what was found out about a bench, in one human-readable ``calibration.toml``.

A record belongs to one network (its topology's fingerprint) on certain instruments (maker, model, serial
number): `CalibrationRecord.check` refuses any other. Reading is strict; a file cut short is refused whole.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
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
from hwlearn.storage.atomic_file import write_atomically
from hwlearn.storage.toml_text import toml_text

FORMAT: Final = 1
STEPS: Final = ("converters", "noise", "lines", "pulses", "edges", "verify")
"""The steps of a calibration, each of which fills the section of its name."""

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
    """What is known of a bench.

    Attributes
    ----------
    topology : str
        Fingerprint of the network's topology.
    instruments : tuple of str
        `Network.instruments` when it was calibrated; empty in a simulation.
    made : mapping of str to datetime
        When each step that was done had its result, in UTC.
    package : str
        Version of this package that wrote it.
    converters, noise, lines, pulses, edges, verify
        What the steps found; None if a step was not done, or found that the bench cannot show it.

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

    def with_step(self, step: str, found: RecordSection | None, when: datetime | None = None) -> Self:
        """Return the record with the result of one step, dated now (UTC) unless told otherwise."""
        if step not in STEPS:
            raise SetupError(f"there is no step {step!r}{closest(step, STEPS)}; the steps are: {', '.join(STEPS)}")
        at = (datetime.now(UTC) if when is None else when.astimezone(UTC)).replace(microsecond=0)
        changes: dict[str, Any] = {step: found, "made": {**self.made, step: at}, "package": version("hwlearn")}
        return replace(self, **changes)

    # --- whether it may be used ---------------------------------------------------------------------

    def check(self, topology: Topology, instruments: tuple[str, ...]) -> None:
        """Refuse the record for another network or on other instruments than it was made on.

        Raises
        ------
        SetupError
            One line that says what differs.
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
        """Refuse the record for another network: the part of `check` that needs no hardware.

        Raises
        ------
        SetupError
        """
        if self.topology != topology.fingerprint:
            raise SetupError(
                f"the calibration is of another topology ({self.topology}) than this network's "
                f"({topology.fingerprint}); run: hwlearn calibrate"
            )

    def age(self, now: datetime | None = None) -> timedelta:
        """Return the age of the oldest step; zero if there is none."""
        at = datetime.now(UTC) if now is None else now
        return max((at - made for made in self.made.values()), default=timedelta())

    def is_older_than(self, days: float, now: datetime | None = None) -> bool:
        """Tell whether any step is older than so many days."""
        return self.age(now) > timedelta(days=days)

    # --- the file -----------------------------------------------------------------------------------

    def text(self) -> str:
        """Return the file's text, its checksum last."""
        made = {step: at.astimezone(UTC).isoformat() for step, at in self.made.items()}
        head = {
            "format": FORMAT,
            "package": self.package,
            "topology": self.topology,
            "instruments": list(self.instruments),
            "made": made,
        }
        found = {step: getattr(self, step) for step in STEPS}
        body = toml_text(
            {"calibration": head, **{step: part.table() for step, part in found.items() if part is not None}}
        )
        return f'{body}\n[end]\nchecksum = "{_checksum(body)}"\n'

    def save(self, path: Path) -> None:
        """Write the record, so that the file is the old one or the new one whatever happens meanwhile.

        Raises
        ------
        SetupError
            If it cannot be written.
        """
        write_atomically(path, self.text().encode())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a record.

        Raises
        ------
        SetupError
            In one line: missing, damaged, cut short or changed, of another format, or a key that is mistyped,
            missing or of the wrong kind.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise SetupError(
                f"there is no calibration file {path}; run: hwlearn calibrate, or leave [calibration] out"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(f"calibration file {path} cannot be read: {error}") from None
        try:
            return cls.parse(text)
        except SetupError as error:
            raise SetupError(f"calibration file {path}: {error}") from None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the record that a file's text holds; see `load`."""
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SetupError(
                f"it is cut short or damaged: {error}; delete it and run: hwlearn calibrate"
            ) from None
        _check_keys(tables, ("calibration", *STEPS, "end"), "")
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise SetupError(f"{name} must be a table, [{name}]")
        for name in ("calibration", "end"):
            if name not in tables:
                raise SetupError(
                    f"the table [{name}] is missing: it is cut short; delete it and run: hwlearn calibrate"
                )
        head = tables["calibration"]
        _check_keys(head, _HEAD, "calibration.")
        if head.get("format") != FORMAT:
            raise SetupError(f"it is of format {head.get('format')!r}, this version reads {FORMAT}")
        for key, kind in (("package", str), ("topology", str), ("instruments", list), ("made", dict)):
            if not isinstance(head.get(key), kind):
                raise SetupError(f"calibration.{key} is missing or no {kind.__name__}")
        if not all(isinstance(name, str) for name in head["instruments"]):
            raise SetupError("calibration.instruments must be a list of texts")
        _check_keys(head["made"], STEPS, "calibration.made.")
        found: dict[str, Any] = {step: _section(step, tables[step]) for step in STEPS if step in tables}
        for step in found:
            if step not in head["made"]:
                raise SetupError(f"calibration.made.{step} is missing, but there is a table [{step}]")
        # last, so that whoever changed a key by hand hears of the key
        _check_keys(tables["end"], ("checksum",), "end.")
        body, _, _ = text.partition("\n[end]\n")
        if tables["end"].get("checksum") != _checksum(body):
            raise SetupError(
                "its checksum is wrong: it was cut short, damaged or changed; delete it and run: hwlearn calibrate"
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
        raise SetupError(f"calibration.made.{step} = {text!r} is no time") from None
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
