"""A share of the campaign `transistors`."""

import shutil

import pytest
from transistors import CAMPAIGN


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not installed")
def test_transistors_agree_with_ngspice_and_their_gradient_is_exact(figure):
    table = CAMPAIGN.run(count=2)
    table.check()
    worst = {name: max(table.of(case, name).max() for case in table.values) for name in ("currents", "volts")}
    figure(
        f"transistors against ngspice: currents {worst['currents']:.1e} relative, voltages {worst['volts']:.1e} V "
        "(required 1e-9)"
    )
