"""`Declaration`: a text protocol as a file declares it; checked, with the line of each mistake."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from pydantic import Field, ValidationError, model_validator

from hwlearn.errors import SetupError, closest
from hwlearn.quantities import Section
from hwlearn.storage.text_file import is_file, read_text
from hwlearn.storage.toml_text import toml_tables
from hwlearn_drivers.declared.checksum import Checksum
from hwlearn_drivers.declared.problems import first_problem
from hwlearn_drivers.declared.sections import (
    ChecksumSection,
    EdgeSection,
    ErrorSection,
    IdentitySection,
    LinkSection,
    OffSection,
    OnSection,
    ReadSection,
    SourceSection,
    SwitchSection,
)
from hwlearn_drivers.declared.template import NUMBERS, Template, template

BOARDS: Final = Path(__file__).parent / "boards"
"""Folder of the declarations that come with the package."""

_ACKNOWLEDGED = ("any", "channel", "state", "edge", *NUMBERS)


class Declaration(Section):
    """A text protocol; see the tables."""

    link: LinkSection = Field(default_factory=LinkSection)
    checksum: ChecksumSection | None = None
    identity: IdentitySection | None = None
    source: SourceSection | None = None
    read: ReadSection | None = None
    switch: SwitchSection | None = None
    edge: EdgeSection | None = None
    on: OnSection | None = None
    off: OffSection | None = None
    error: ErrorSection = Field(default_factory=ErrorSection)

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.source is None and self.read is None and self.edge is None:
            raise SetupError("the file declares no role: [source], [read] or [edge] is missing")
        if (self.source is not None or self.switch is not None) and self.off is None:
            raise SetupError("[off] is missing: a board with outputs needs commands that switch them off")
        if self.off is not None:
            self.off_lines  # for its checks  # noqa: B018
        return self

    @cached_property
    def line_checksum(self) -> Checksum | None:
        """The checksum of lines; None without."""
        found = self.checksum
        return None if found is None else Checksum(found.kind, found.form, found.skip)

    @cached_property
    def off_lines(self) -> tuple[str, ...]:
        """The commands of ``[off]``, one for each channel where they name one; without their checksums."""
        if self.off is None:
            return ()
        lines: list[str] = []
        for text in self.off.send:
            form = template(text, ("channel", *NUMBERS) if self.source is not None else ())
            names: Sequence[str] = ("",)
            zero = 0.0
            if self.source is not None:
                names = self.source.names if form.has("channel") else ("",)
                if form.number is not None:
                    zero = self.source.scale_of(form).number(0.0)
            number: float | list[float] = zero
            if form.is_array and self.source is not None:
                number = [zero] * len(self.source.names)
            lines += [form.render({"channel": name, "number": number}) for name in names]
        return tuple(lines)

    def acknowledgement(self, own: str | None) -> Template | None:
        """Return the reply to a command of a table: its own, or that of every command; None without."""
        text = self.link.commands_are_acknowledged if own is None else own
        return None if text is None else template(text, _ACKNOWLEDGED)


def load_declaration(named: str) -> Declaration:
    """Read and check a declaration: a file, or the name of one that comes with the package.

    Raises
    ------
    SetupError
        With file, line, table and key, value and what is allowed.
    """
    path = Path(named)
    if path.suffix != ".toml":
        known = sorted(one.stem for one in BOARDS.glob("*.toml"))
        if named not in known:
            raise SetupError(
                f"protocol = {named!r}{closest(named, known)}: give a .toml file, or one of: {', '.join(known)}"
            )
        path = BOARDS / f"{named}.toml"
    if not is_file(path):
        raise SetupError(f"there is no protocol file {path}")
    return parse_declaration(read_text(path, "protocol file", SetupError), path.name)


def parse_declaration(text: str, name: str) -> Declaration:
    """Return the declaration in a text; raises as `load_declaration`."""
    try:
        tables = toml_tables(text)
    except SetupError as error:
        raise SetupError(f"{name} is not valid TOML: {error}") from None
    try:
        return Declaration.model_validate(tables)
    except ValidationError as error:
        raise SetupError(first_problem(error, text, name, tables, Declaration)) from None
