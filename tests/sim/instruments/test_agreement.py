"""The drivers' operating ranges and the virtual instruments are those of the same data sheets."""

from __future__ import annotations

import pytest

from hwlearn_drivers.smu.registry import family_of, models
from hwlearn_sim.instruments.capability import QUANTITIES, Meters
from hwlearn_sim.instruments.models import MODELS

DISTINCT = sorted({id(model.capability): number for number, model in MODELS.items()}.values())
"""One model for each capability: models with the same channel differ in their number only."""


def test_every_driver_has_a_virtual_instrument():
    assert set(models()) == set(MODELS)


@pytest.mark.parametrize("model", sorted(MODELS))
def test_ranges_and_channels_agree(model):
    row, capability = family_of(model).operating_ranges[model], MODELS[model].capability
    assert row.channels == MODELS[model].channels
    assert row.nplc == capability.nplc
    for k, quantity in enumerate(QUANTITIES):
        ranges = capability.sources[quantity]
        assert [one.full_scale for one in row.scales(quantity)] == [one.full_scale for one in ranges.each]
        assert all(
            ours.step >= one.step * 0.999999 for ours, one in zip(row.scales(quantity), ranges.each, strict=True)
        )
        assert ranges.each[-1].full_scale <= max(region[k] for region in row.regions) <= ranges.most * 1.000001
        assert capability.measures[quantity].most == pytest.approx(ranges.most)
    assert capability.area in ((), row.regions)


@pytest.mark.share(12)
@pytest.mark.parametrize("source", ["voltage", "current"])
@pytest.mark.parametrize("model", DISTINCT)
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
