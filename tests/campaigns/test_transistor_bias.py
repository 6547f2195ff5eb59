"""A share of the campaign on equilibrium propagation and coupled learning in transistor networks."""

from __future__ import annotations

import pytest
from transistor_bias import CAMPAIGN

SMALL = ("4 x 4 grid, body at ground, 0.1 mV", "34-5-2, body floating, 0.1 mV")


@pytest.mark.slow
def test_resistors_have_no_bias_and_transistors_keep_theirs_at_the_smallest_nudge():
    table = CAMPAIGN.run(count=3, cases=["resistors, 34-5-2, 0.1 mV", "resistors, 34-5-2, 200 mV", *SMALL])
    table.check()
    for rule in ("EP", "CL"):
        for case in ("resistors, 34-5-2, 0.1 mV", "resistors, 34-5-2, 200 mV"):
            assert table.of(case, f"{rule} cosine") == pytest.approx(1.0, abs=1e-9)
            assert table.of(case, f"{rule} length") == pytest.approx(1.0, abs=1e-6)
        for case in SMALL:
            assert (table.of(case, f"{rule} cosine") < 0.9999).all()
            assert (table.of(case, f"{rule} cosine") > 0.5).all()


@pytest.mark.slow
def test_figure_is_drawn(tmp_path):
    CAMPAIGN.draw(CAMPAIGN.run(count=1), tmp_path / "bias.svg")
    assert "angle to the gradient" in (tmp_path / "bias.svg").read_text()
