"""A share of the campaign `plane_laws`."""

import pytest
from plane_laws import CAMPAIGN


@pytest.mark.slow
def test_plane_agrees_with_exact_decimals(figure):
    table = CAMPAIGN.run(count=12)
    table.check()
    worst = {name: max(table.of(case, name).max() for case in table.values) for name in ("volts", "amperes")}
    limited = sum(table.of(case, "limited").sum() for case in table.values)
    figure(
        f"plane on nonlinear circuits against 50 digits, {limited:.0f} sources in compliance: voltages "
        f"{worst['volts']:.1e}, currents {worst['amperes']:.1e} (required 1e-9)"
    )
