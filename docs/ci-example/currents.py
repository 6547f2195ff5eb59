"""The program that is tested: currents through a device, measured by a Keithley 2400."""

from __future__ import annotations

from collections.abc import Sequence

import pyvisa


def currents(address: str, volts: Sequence[float], limit_A: float = 1e-3) -> list[float]:
    """Return the current in amperes at each voltage; the output is off afterwards, whatever happens."""
    manager = pyvisa.ResourceManager("@py")
    smu = manager.open_resource(address, read_termination="\n", write_termination="\n", timeout=1000)
    try:
        smu.write(f"*RST;:SENS:CURR:PROT {limit_A};:FORM:ELEM CURR;:OUTP ON")
        return [float(smu.query(f":SOUR:VOLT {level};:MEAS:CURR?")) for level in volts]
    finally:
        smu.write(":OUTP OFF")
        smu.close()
        manager.close()
