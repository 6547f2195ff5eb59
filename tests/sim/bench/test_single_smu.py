"""`VirtualBench.of`: one instrument with a resistor at each channel, without any bench file."""

from __future__ import annotations

import pytest

from hwlearn.errors import CircuitError, SetupError
from hwlearn_sim import VirtualBench
from hwlearn_sim.instruments import MODELS


@pytest.mark.share(16)
@pytest.mark.parametrize("model", [model for model in MODELS if model[0] in "2B"])
def test_every_model_is_served_on_its_resistors(model, connect):
    ohms = (1e3, 2e3)[: MODELS[model].channels]
    with VirtualBench.of(model, ohms=ohms, noise=0.0) as bench:
        identity = connect(bench.address("smu")).query(b"*IDN?")
        channels = bench.instrument("smu").channels
        for channel, resistance in zip(channels, ohms, strict=True):
            channel.set_limit("current", 1e-2)
            channel.set_level("voltage", 0.5)
            channel.set_output(True)
            assert channel.operating_point.amperes == pytest.approx(0.5 / resistance, rel=1e-6)
    assert model.encode() in identity


def test_one_resistance_leaves_the_second_channel_open():
    with VirtualBench.of("B2902A", ohms=1e3) as bench:
        assert bench.instruments[0]["node"] == 1


@pytest.mark.parametrize("ohms", [0.0, -1.0, float("inf"), float("nan"), ()])
def test_impossible_resistance_is_refused(ohms):
    with pytest.raises(CircuitError, match="positive and finite"):
        VirtualBench.of("2400", ohms=ohms)


@pytest.mark.parametrize(("model", "ohms"), [("9999", 1e3), ("2400", (1e3, 1e3))])
def test_unknown_model_and_missing_channel_are_refused(model, ohms):
    with pytest.raises(SetupError):
        VirtualBench.of(model, ohms=ohms)
