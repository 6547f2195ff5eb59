"""A program with an instrument: virtual ones answer it."""

import pytest
import pyvisa
from currents import currents


def test_currents_follow_ohms_law(virtual_instrument):
    smu = virtual_instrument("2400", ohms=2200, noise=0)
    assert currents(smu.address, [0.1, 0.2]) == pytest.approx([0.1 / 2200, 0.2 / 2200], rel=1e-3)


@pytest.mark.parametrize("kind", ["dropped", "garbled"])
def test_output_is_off_after_a_bad_reply(kind, virtual_instrument, faults):
    smu = virtual_instrument("2400", ohms=2200)
    faults.wire(smu, kind, after=1)  # the second reply
    with pytest.raises((pyvisa.VisaIOError, ValueError)):
        currents(smu.address, [0.1, 0.2, 0.3])
    assert faults.waiting(smu) == 0  # the fault has occurred
    assert True in smu.channels[0].switched  # the output was on
    assert smu.outputs_on == ()
