"""Figures of the virtual 2700, 2701 and 2750 with 7700 modules.

Sources: User's Manuals (ranges, automatic ranging, integration times, channels 1 to 20 of a 7700, defaults). Their
noise was not found: it is that of the 2015, a meter of the same series, as a fraction of its 10 V range. The speed
of the relays, the input capacitance and the automatic delays (those of the 2000) are assumed.
"""

from __future__ import annotations

from typing import Final

from hwlearn_sim.instruments.scanner_channels import Multiplexer, ScannedChannel, ScannerModel

RANGES_V: Final = (0.1, 1.0, 10.0, 100.0, 1000.0)
OVER: Final = 1.2
MOST_V: Final = 1010.0
USUAL_OHM: Final = 10e6
HIGH_OHM: Final = 10e9
HIGH_UP_TO_V: Final = 10.0
LEAST_NPLC: Final = 0.01
MOST_NPLC: Final = 50.0
STEP: Final = 1e-6
"""Of the range: 0.1 uV of 100 mV."""

ZERO_V: Final = 5e-6
FARADS: Final = 400e-12
MOST_DELAY_S: Final = 999_999.999
INITIAL: Final = ScannedChannel(RANGES_V[-1], nplc=5.0)

_CARDS: Final = {"7700": Multiplexer(20, 20, 60.0)}

MODELS: Final = {
    model: ScannerModel(f"KEITHLEY INSTRUMENTS INC.,MODEL {model},{{serial}},B10  /A02", _CARDS, slots, 2)
    for model, slots in (("2700", 2), ("2701", 2), ("2750", 5))
}

_NOISES: Final = ((10.0, 1.5e-7), (1.0, 4e-7), (0.1, 2.2e-6), (LEAST_NPLC, 1.5e-5))


def noise_V(range_V: float, nplc: float) -> float:
    """Return the standard deviation of one reading in volts."""
    return range_V * next(noise for least, noise in _NOISES if nplc >= least)


def delay_s(range_V: float) -> float:
    """Return the automatic delay of DC voltages."""
    return 0.001 if range_V <= 10 else 0.005
