"""A virtual instrument of each further model, served on a socket and driven by its driver; and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from hwlearn_drivers.errors import InstrumentError
from hwlearn_drivers.smu import ChannelLimit, open_smu
from hwlearn_sim import VirtualBench
from hwlearn_sim.instruments import MODELS

FURTHER = [
    "2400-LV",
    "2400-C",
    "2420",
    "2425",
    "2430",
    "2440",
    "2602",
    "2612",
    "2636",
    "2651A",
    "B2961A",
    "B2962A",
]
LIMIT = ChannelLimit(10.0, 10e-3)


@pytest.mark.share(4)
@pytest.mark.parametrize("model", FURTHER)
def test_served_model_is_driven_as_both_sources_and_by_lists(model):
    count = MODELS[model].channels
    ohms = (1e3, 2e3)[:count]
    with (
        VirtualBench.of(model, ohms=ohms, noise=0.0) as bench,
        open_smu(bench.address("smu"), dict.fromkeys(range(1, count + 1), LIMIT), model=model) as smu,
    ):
        assert smu.model_of(smu.identity) == model
        for channel, ohm in zip(smu.channels, ohms, strict=True):
            channel.nplc = 0.1
            channel.voltage_source(0.0, 5e-3)
            channel.on()
            channel.change_level(0.5)
            found = channel.read()
            assert (found.volts, found.amperes) == pytest.approx((0.5, 0.5 / ohm), rel=1e-3)
            channel.current_source(1e-3, 5.0)
            assert channel.read().volts == pytest.approx(1e-3 * ohm, rel=1e-3)
            channel.change_level(8e-3)
            assert channel.read().limited is (ohm * 8e-3 > 5.0)
            channel.voltage_source(0.0, 5e-3)
            levels = np.array([0.1, -0.2, 0.3])
            swept = channel.sweep(levels)
            assert swept.volts == pytest.approx(levels, rel=1e-3)
            assert swept.amperes == pytest.approx(levels / ohm, rel=1e-3)
        assert not any(one.settings.output for one in bench.instrument("smu").channels)


def test_driver_reports_the_refusal_of_the_instrument():
    with (
        VirtualBench.of("2420", ohms=1e3) as bench,
        open_smu(bench.address("smu"), {1: ChannelLimit(60.0, 1.0)}, model="2420") as smu,
        pytest.raises(InstrumentError, match="826"),
    ):
        smu.write(":SOUR:VOLT 60", ":SENS:CURR:PROT 3")
