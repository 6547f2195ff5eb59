"""Figures of the virtual 34970A, 34972A, 34980A and DAQ970A.

Source: specifications of the 34970A/34972A (DC operating characteristics, measurement characteristics, module
specifications). The noise is the additional noise error as three standard deviations. Below one power line cycle
it has 20 uV more, and without automatic zero readings 5 uV of offset, as stated for the E1412A, which has the same
converter; these two figures were not found for the 34970A itself. The 34980A has the same converter and the same
resolutions; its noise and the speeds of its modules were not found, and are assumed. So are all figures of the
converter and the modules of a DAQ970A; its replies are those of its Programming Guide (page 149) and of public
programs (see `hwlearn_drivers.scanner.models.keysight_daq`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from hwlearn_sim.instruments.scanner_channels import Multiplexer, ScannedChannel, ScannerModel

SIGMAS: Final = 3.0
OVER: Final = 1.2
MOST_V: Final = 300.0
RANGES_V: Final = (0.1, 1.0, 10.0, 100.0, 300.0)
INITIAL: Final = ScannedChannel(RANGES_V[-1])
USUAL_OHM: Final = 10e6
HIGH_OHM: Final = 10e9
HIGH_UP_TO_V: Final = 10.0
MOST_DELAY_S: Final = 60.0
FAST_V: Final = 20e-6
"""Additional noise below one power line cycle."""

ZERO_V: Final = 5e-6 / SIGMAS
FARADS: Final = 200e-12
"""Between high and low: 50 pF of a multiplexer module, 150 pF of the input of the voltmeter."""


@dataclass(frozen=True, slots=True)
class DaqModel(ScannerModel):
    """One model.

    Attributes
    ----------
    card_form : str
        Reply to ``SYSTem:CTYPe?``.
    zero, impedance : str
        Headers of automatic zero readings and of the high input resistance.
    opens_all : bool
        Whether it has ``ROUTe:OPEN:ALL``.
    cycles : str
        Header of the query of how often relays have closed.
    """

    card_form: str
    zero: str
    impedance: str
    opens_all: bool
    cycles: str = "DIAGnostic:RELay:CYCLes"

    @property
    def slot_names(self) -> dict[str, int]:
        """How commands name the slots: ``100`` or ``1``."""
        return {str(slot * (100 if self.digits == 2 else 1)): slot for slot in range(1, self.slots + 1)}


_34970A: Final = DaqModel(
    identity="HEWLETT-PACKARD,34970A,0,13-2-2",
    cards={
        "34901A": Multiplexer(20, 10, 60.0),
        "34902A": Multiplexer(16, 8, 250.0),
        "34908A": Multiplexer(40, 20, 60.0),
    },
    slots=3,
    digits=2,
    card_form="HEWLETT-PACKARD,{card},0,{firmware}",
    zero="[SENSe:]ZERO:AUTO",
    impedance="INPut:IMPedance:AUTO",
    opens_all=False,
)

MODELS: Final = {
    "34970A": _34970A,
    "34972A": replace(_34970A, identity="Agilent Technologies,34972A,{serial},1.16-1.12-02-02"),
    "DAQ970A": replace(
        _34970A,
        identity="Keysight Technologies,DAQ970A,{serial},A.02.04-00.16-11.29-00.02-02-01",
        cards={
            "DAQM901A": Multiplexer(20, 10, 60.0),
            "DAQM902A": Multiplexer(16, 8, 250.0),
            "DAQM908A": Multiplexer(40, 20, 60.0),
        },
        card_form="Keysight Technologies,{card},0,{firmware}",
        cycles="SYSTem:RELay:CYCLes",
    ),
    "34980A": DaqModel(
        identity="Agilent Technologies,34980A,{serial},2.43-2.43-2.07-1.05",
        cards={
            "34921A": Multiplexer(40, 20, 100.0),
            "34922A": Multiplexer(70, 35, 100.0),
            "34924A": Multiplexer(70, 35, 500.0),
        },
        slots=8,
        digits=3,
        card_form='"Agilent Technologies,{card},0,{firmware}"',
        zero="[SENSe:]VOLTage[:DC]:ZERO:AUTO",
        impedance="[SENSe:]VOLTage[:DC]:IMPedance:AUTO",
        opens_all=True,
    ),
}
"""A 34970A reports no serial number."""

_STEPS: Final = {
    0.02: 1e-4,
    0.2: 1e-5,
    1.0: 3e-6,
    2.0: 2.2e-6,
    10.0: 1e-6,
    20.0: 8e-7,
    100.0: 3e-7,
    200.0: 2.2e-7,
}
NPLCS: Final = tuple(_STEPS)


def step_V(range_V: float, nplc: float) -> float:
    """Return the resolution of a range in volts."""
    return _STEPS[nplc] * range_V


def noise_V(range_V: float, nplc: float) -> float:
    """Return the standard deviation of one reading in volts."""
    if nplc >= 10:
        return 0.0
    part = (1e-4 if nplc < 0.2 else 1e-5) * (3.0 if range_V > 100 else 1.0)
    return math.hypot(part * range_V, FAST_V if nplc < 1 else 0.0) / SIGMAS


def delay_s(nplc: float) -> float:
    """Return the automatic channel delay of DC voltages."""
    return 0.002 if nplc > 1 else 0.001
