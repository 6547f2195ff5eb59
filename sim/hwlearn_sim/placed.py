"""What stands on a virtual bench, and on which wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hwlearn_sim.code_laws import CodeLaw
from hwlearn_sim.wire.faults import Faults

Wire = Literal["tcp", "pty"]
Emulation = Literal["native", "avr"]


@dataclass(frozen=True)
class PlacedSmu:
    """A source-measure unit of a bench.

    Attributes
    ----------
    name : str
        How the bench calls it.
    model : str
        ``"2400"``, ``"2450"``, ``"2612B"`` or ``"B2902A"``.
    nodes : tuple of int
        Where its channels hang, in order; a second channel may be left unwired.
    wire : {"tcp", "pty"}
        Socket or pseudo-terminal (the latter on Linux and macOS alone).
    port : int
        TCP port; 0 takes a free one.
    faults : Faults
        What goes wrong on its wire.
    """

    name: str
    model: str
    nodes: tuple[int, ...]
    wire: Wire = "tcp"
    port: int = 0
    faults: Faults = field(default_factory=Faults)


@dataclass(frozen=True)
class PlacedCard:
    """An edge card of a bench.

    Attributes
    ----------
    name : str
        How the bench calls it.
    law : CodeLaw
        What a code means.
    edges : tuple of int, optional
        The edge at each of its places; all, in order, unless given.
    codes : tuple of int, optional
        Where they stand at first; the middle unless given.
    wire, port, faults
        As `PlacedSmu` has them.
    """

    name: str
    law: CodeLaw
    edges: tuple[int, ...] | None = None
    codes: tuple[int, ...] | None = None
    wire: Wire = "tcp"
    port: int = 0
    faults: Faults = field(default_factory=Faults)


@dataclass(frozen=True)
class PlacedBoard:
    """A reference board of a bench: DAC k at input k, ADC j and a nudge resistor at output j, edge k at place k.

    Attributes
    ----------
    name : str
        How the bench calls it.
    gain, offset_V : float
        Spread of the gain errors and of the offsets (V) of its converters.
    noise_V : float
        Standard deviation of one conversion.
    calibrated : bool
        Whether its record holds the true errors of converters and nudge resistors, or nominal ones. Edges are
        nominal in either.
    emulation : {"native", "avr"}
        The firmware compiled for this computer, or the product's binary on an emulated ATmega2560.
    wire, port, faults
        As `PlacedSmu` has them.
    """

    name: str
    gain: float = 0.0
    offset_V: float = 0.0
    noise_V: float = 0.0
    calibrated: bool = True
    emulation: Emulation = "native"
    wire: Wire = "tcp"
    port: int = 0
    faults: Faults = field(default_factory=Faults)


Placed = PlacedSmu | PlacedCard | PlacedBoard
