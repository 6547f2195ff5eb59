"""Figures of the virtual DAQ6510 with 7700 modules.

Ranges and integration times are those of PyMeasure's driver for the DAQ6510. Noise, resolution, input capacitance
and automatic delays were not found: they are those of the virtual 2700, whose modules it takes.
"""

from __future__ import annotations

from typing import Final

from hwlearn_sim.instruments.scanner_channels import Multiplexer, ScannedChannel, ScannerModel
from hwlearn_sim.instruments.scpi.scanners.keithley2700 import models as keithley2700

RANGES_V: Final = keithley2700.RANGES_V
LEAST_NPLC: Final = 5e-4
MOST_NPLC: Final = 12.0
MOST_DELAY_S: Final = 60.0
INITIAL: Final = ScannedChannel(RANGES_V[-1])
CARD_FORM: Final = "{card},20Ch Mux w/CJC,0.0.0a,{serial}"

MODELS: Final = {
    "DAQ6510": ScannerModel(
        "KEITHLEY INSTRUMENTS,MODEL DAQ6510,{serial},1.7.12b", {"7700": Multiplexer(20, 20, 60.0)}, 2, 2
    )
}


def noise_V(range_V: float, nplc: float) -> float:
    """Return the standard deviation of one reading in volts."""
    return keithley2700.noise_V(range_V, max(nplc, keithley2700.LEAST_NPLC))
