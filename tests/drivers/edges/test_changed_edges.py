"""Somebody else changes codes of the edge card of an SMU bench: a named error in this batch, outputs off."""

import numpy as np
import pytest
from smu_rack import Rack

import hwlearn as hl
from hwlearn_drivers.errors import OutputStateError
from hwlearn_drivers.transport.blocks import decode_codes, encode_block, encode_codes

WORDS = (
    r"somebody else changed EDGE CARD .* edges \[2\] at its places \[2\] were set to codes .*void and all outputs"
)
GRAPH = hl.Topology.random(8, 14, inputs=3, outputs=2, seed=5)
INPUTS = np.array([[0.3, -0.2, 0.1], [0.1, 0.2, -0.4]])


def change(rack):
    """Change one code, as another client does."""
    card = rack.bench.instrument("card")
    reply = card.execute(b"EDGE:DATA?")
    codes = decode_codes(reply[2 + int(reply[1:2]) : -1])
    codes[2] += 1
    card.execute(b"EDGE:DATA " + encode_block(encode_codes(codes)))


def check_final(rack):
    """Nothing goes on before the reconnection, which sets the codes again."""
    assert rack.goes_off()
    for operation in (lambda: rack.network.measure(INPUTS), lambda: rack.network.program(np.full(14, 1e-4))):
        with pytest.raises(OutputStateError, match=WORDS):
            operation()
        assert rack.on == []
    rack.network.reconnect()
    again = rack.network.measure(INPUTS)
    np.testing.assert_allclose(again.voltages, rack.bench.true_outputs(INPUTS), atol=3e-5)


def test_change_between_two_batches():
    with Rack(GRAPH) as rack:
        rack.network.program(np.full(14, 9e-5))
        rack.network.measure(INPUTS)
        change(rack)
        with pytest.raises(OutputStateError, match=WORDS):
            rack.network.measure(INPUTS)
        check_final(rack)


def test_change_during_a_batch(monkeypatch):
    with Rack(GRAPH) as rack:
        rack.network.program(np.full(14, 9e-5))
        smu = rack.bench.instrument("one")
        execute, readings = smu.execute, []

        def executed(message):
            readings.extend([message] if b"READ?" in message else [])
            if len(readings) == 2:
                monkeypatch.undo()
                change(rack)
            return execute(message)

        monkeypatch.setattr(smu, "execute", executed)
        with pytest.raises(OutputStateError, match=WORDS):
            rack.network.measure(INPUTS)
        check_final(rack)


def test_change_before_programming_is_not_overwritten():
    with Rack(GRAPH) as rack:
        rack.network.program(np.full(14, 9e-5))
        rack.network.measure(INPUTS)
        change(rack)
        with pytest.raises(OutputStateError, match=WORDS):
            rack.network.program(np.full(14, 1e-4))
        check_final(rack)


@pytest.mark.parametrize("message", [1, 2, 3])
def test_change_while_codes_are_set_is_named(monkeypatch, message):
    """Before the card is read, before it is written, and before it is read back."""
    with Rack(GRAPH) as rack:
        rack.network.program(np.full(14, 9e-5))
        rack.network.measure(INPUTS)
        card = rack.bench.instrument("card")
        execute, data = card.execute, []

        def executed(line):
            data.extend([line] if b"EDGE:DATA" in line else [])
            if len(data) == message:
                monkeypatch.undo()
                change(rack)
            return execute(line)

        monkeypatch.setattr(card, "execute", executed)
        with pytest.raises(OutputStateError, match=WORDS):
            rack.network.program(np.full(14, 1e-4))
        assert rack.goes_off() is not False
        assert rack.on == []
