"""The drivers' operating ranges and the virtual instruments are those of the same data sheets."""

from __future__ import annotations

import pytest

from hwlearn_drivers.smu.registry import family_of, models
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.instruments.models import MODELS

BOTH = sorted(set(models()) & set(MODELS))
SCPI = [model for model in BOTH if not model.startswith("26")]


def test_every_scpi_driver_has_a_virtual_instrument():
    assert set(SCPI) == {model for model in models() if not model.startswith("26")}


@pytest.mark.parametrize("model", SCPI)
def test_ranges_and_channels_agree(model):
    row, capability = family_of(model).operating_ranges[model], MODELS[model].capability
    assert row.channels == MODELS[model].channels
    assert row.nplc == capability.nplc
    for k, quantity in enumerate(("voltage", "current")):
        ranges = capability.sources[quantity]
        assert row.scales[k] == tuple(one.full_scale for one in ranges.each)
        assert max(region[k] for region in row.regions) == pytest.approx(ranges.most)
        assert capability.measures[quantity].most == pytest.approx(ranges.most)


@pytest.mark.parametrize("source", ["voltage", "current"])
@pytest.mark.parametrize("model", sorted(MODELS))
def test_readings_at_a_limit_of_105_percent_never_overflow(model, source, rack):
    """Half of them did: noise crossed the end of the range."""
    one = rack(model, (1,), meters=Meters(noise=1.0))
    channel = one.instrument.channels[0]
    measured = "current" if source == "voltage" else "voltage"
    ranges = channel.capability.measures[measured]
    chosen = next(one for one in ranges.each if one.full_scale >= (1e-4 if measured == "current" else 2.0))
    limit = ranges.usable(chosen)
    channel.set_function(source)
    channel.set_limit(measured, limit)
    channel.set_level(source, 2 * limit * 1e3 if source == "voltage" else limit / 1e3 * 2)
    channel.set_output(True)
    assert channel.tripped
    readings = [channel.measure(measured).values[measured] for _ in range(200)]
    assert max(map(abs, readings)) < 1.004 * limit
    assert len(set(readings)) > 1 or chosen.noise < chosen.step, "there is no noise that could cross the limit"
