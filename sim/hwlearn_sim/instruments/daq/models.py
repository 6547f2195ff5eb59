"""`NiProduct`: channels, ranges, resolution and noise of the virtual DAQ devices.

Numbers of channels and lines, ranges and rates are those that NI-DAQmx reports, and the Linux drivers comedi
(``ni_pcimio.c``, ``ni_mio_common.c``) list. Other figures name their data sheet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hwlearn.errors import SetupError, closest

Range = tuple[float, float]

_TEN: Final[Range] = (-10.0, 10.0)


@dataclass(frozen=True, slots=True)
class NiProduct:
    """One model.

    Attributes
    ----------
    product : str
    outputs, inputs : int
        Number of analog channels.
    ports : tuple of int
        Number of digital lines of each port.
    output_bits, input_bits : int
    output_ranges, input_ranges : tuple of (float, float)
    pairs : int
        Distance of the two inputs of a differential pair; 0: every input is a pair of its own.
    configurations : tuple of str
        Terminal configurations; a channel that is the negative end of a pair has no ``DIFF``.
    input_rate_Hz : float
    simultaneous : bool
        Whether each input has a converter of its own.
    convert_clock : bool
        Whether the time between two inputs can be set.
    internal_channels : bool
        Whether internal inputs read the outputs back.
    reset_zeroes : bool
        Whether `reset_device` sets the outputs to 0 V.
    over_range : float
        Share of the codes beyond each end of an input range.
    noise_V : mapping of float to float
        Standard deviation of one sample, by end of the range.
    inl : float
        Largest nonlinearity of an input, as a share of the end of its range.
    output_ohm : float
    output_A : float
        Short-circuit current.
    """

    product: str
    outputs: int
    inputs: int
    ports: tuple[int, ...]
    output_bits: int = 16
    input_bits: int = 16
    output_ranges: tuple[Range, ...] = (_TEN,)
    input_ranges: tuple[Range, ...] = ()
    pairs: int = 8
    configurations: tuple[str, ...] = ("RSE", "NRSE", "DIFF")
    input_rate_Hz: float = 0.0
    simultaneous: bool = False
    convert_clock: bool = True
    internal_channels: bool = False
    reset_zeroes: bool = True
    over_range: float = 0.05
    noise_V: Mapping[float, float] = field(default_factory=dict)
    inl: float = 0.0
    output_ohm: float = 0.2
    output_A: float = 5e-3

    def input_configurations(self, number: int) -> tuple[str, ...]:
        """Return the terminal configurations of one input."""
        negative = self.pairs > 0 and (number // self.pairs) % 2 == 1
        return tuple(one for one in self.configurations if not (negative and one == "DIFF"))


_EVERY: Final = (
    # noise and nonlinearity: NI 6225 specifications, "AI Absolute Accuracy Table"
    NiProduct(
        "PCI-6225",
        outputs=2,
        inputs=80,
        ports=(8, 8, 8),
        input_ranges=((-0.2, 0.2), (-1.0, 1.0), (-5.0, 5.0), _TEN),
        input_rate_Hz=250e3,
        internal_channels=True,
        noise_V={10.0: 244e-6, 5.0: 122e-6, 1.0: 30e-6, 0.2: 13e-6},
        inl=76e-6,
    ),
    NiProduct("PCI-6733", outputs=8, inputs=0, ports=(8,), reset_zeroes=False),
    NiProduct(
        "USB-6008",
        outputs=2,
        inputs=8,
        ports=(8, 4),
        output_bits=12,
        input_bits=12,
        output_ranges=((0.0, 5.0),),
        input_ranges=((-1.0, 1.0), (-2.0, 2.0), (-5.0, 5.0), _TEN, (-20.0, 20.0)),
        pairs=4,
        configurations=("RSE", "DIFF"),
        input_rate_Hz=10e3,
        convert_clock=False,
        over_range=0.0,
        output_ohm=50.0,
    ),
    NiProduct(
        "USB-6366",
        outputs=2,
        inputs=8,
        ports=(8, 8, 8),
        input_ranges=((-1.0, 1.0), (-2.0, 2.0), (-5.0, 5.0), _TEN),
        pairs=0,
        configurations=("DIFF",),
        input_rate_Hz=2e6,
        simultaneous=True,
    ),
)

MODELS: Final = {model.product: model for model in _EVERY}


def model_of(product: str) -> NiProduct:
    """Return a model by its product type.

    Raises
    ------
    SetupError
        If there is no virtual device of this type.
    """
    found = MODELS.get(product.strip().upper())
    if found is None:
        raise SetupError(
            f"there is no virtual DAQ device with product = {product!r}{closest(product, list(MODELS))}; "
            f"known: {', '.join(MODELS)}"
        )
    return found
