"""Registry of the kinds of virtual instruments."""

from __future__ import annotations

from typing import Final

from hwlearn.errors import SetupError
from hwlearn_drivers.roles.settings import InstrumentSettings
from hwlearn_sim.bench.kinds.board import BoardKind
from hwlearn_sim.bench.kinds.card import CardKind
from hwlearn_sim.bench.kinds.daq import DaqKind
from hwlearn_sim.bench.kinds.declared import DeclaredKind
from hwlearn_sim.bench.kinds.kind import PlacedKind, Site
from hwlearn_sim.bench.kinds.matrix import MatrixKind
from hwlearn_sim.bench.kinds.scanner import ScannerKind
from hwlearn_sim.bench.kinds.smu import SmuKind
from hwlearn_sim.placed import Placed

KINDS: Final[tuple[PlacedKind, ...]] = (
    SmuKind(),
    CardKind(),
    BoardKind(),
    DeclaredKind(),
    MatrixKind(),
    DaqKind(),
    ScannerKind(),
)


def kind_of_placed(placed: Placed) -> PlacedKind:
    """Return the kind of an instrument of a virtual bench.

    Raises
    ------
    SetupError
        If it is of no kind.
    """
    for kind in KINDS:
        if isinstance(placed, kind.placed):
            return kind
    raise SetupError(f"{type(placed).__name__} is no instrument of a virtual bench")


def place(settings: InstrumentSettings, site: Site) -> Placed:
    """Return the virtual counterpart of an instrument of a bench file.

    Raises
    ------
    SetupError
        If there is none.
    """
    for kind in KINDS:
        if kind.settings is not None and isinstance(settings, kind.settings):
            return kind.place(settings, site)
    raise SetupError(f"{settings.name}: there is no virtual {settings.model}; use it with kind = 'bench'")
