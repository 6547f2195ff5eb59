"""A bench of SMUs has one owner, also within one process; OFF reaches it nevertheless."""

import os
import sys

import numpy as np
import pytest
from smu_rack import LIMITS, Rack

from hwlearn.errors import InUseError
from hwlearn_drivers.claims.claim import owner_of
from hwlearn_drivers.claims.keys import address_key
from hwlearn_drivers.errors import HaltedError, LinkError
from hwlearn_drivers.instrument.discovery import identify
from hwlearn_drivers.smu.backend import SmuBackend
from hwlearn_drivers.transport.connector import Connector

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="the pty is replaced by a socket there")


def owners(settings):
    addresses = {channel.address for channel in settings.channels} | {settings.edges.address}
    found = [owner_of(address_key(address)) for address in sorted(addresses)]
    return [None if owner is None else owner.pid for owner in found]


def test_second_opener_is_refused_and_disturbs_nothing(graph, inputs):
    with Rack(graph) as rack:
        before = rack.network.measure(inputs)
        with pytest.raises(InUseError, match=rf"in use by this process \({os.getpid()}\)"):
            SmuBackend.open(rack.settings, graph, LIMITS)
        for channel in rack.settings.channels:
            with pytest.raises(InUseError, match="this process"):
                identify(channel.address)
        after = rack.network.measure(inputs)
        assert np.array_equal(before.voltages, after.voltages)
        assert len(rack.on) == 5


def test_every_instrument_is_claimed_until_the_network_is_closed(graph):
    with Rack(graph) as rack:
        assert owners(rack.settings) == [os.getpid()] * 5
        rack.network.close()
        assert owners(rack.settings) == [None] * 5
        SmuBackend.open(rack.settings, graph, LIMITS).close()


def test_failed_opening_releases_every_claim(graph):
    with Rack(graph) as rack:
        rack.network.close()
        wrong = rack.settings.model_copy(
            update={"edges": rack.settings.edges.model_copy(update={"address": "COM77"})}
        )
        with pytest.raises(LinkError):
            SmuBackend.open(wrong, graph, LIMITS)
        assert owners(rack.settings) == [None] * 5


def test_bench_with_one_instrument_in_use_is_refused_before_any_other_is_contacted(graph):
    with Rack(graph) as rack:
        card = rack.settings.edges.address
        rack.network.close()
        held = Connector().transport(card, lambda: lambda message: None)
        heard = rack.bench.instrument("one")
        heard.channels[0].set_output(True)  # the OFF that is sent first would change it
        with pytest.raises(InUseError, match="in use by this process"):
            SmuBackend.open(rack.settings, graph, LIMITS)
        assert rack.on != []
        heard.channels[0].set_output(False)
        held.close()


@POSIX
def test_off_asks_the_owner_and_its_next_measurement_says_who_asked(graph, inputs):
    with Rack(graph) as rack:
        rack.network.measure(inputs)
        done = SmuBackend.off(rack.settings)
        assert rack.goes_off()
        by_address = {one.instrument: one.way for one in done}
        assert by_address[rack.bench.address("four")] == "owner"  # a pty admits one client
        assert set(by_address.values()) <= {"owner", "direct and owner"}
        with pytest.raises(HaltedError, match=f"requested by process {os.getpid()} of user"):
            rack.network.measure(inputs)
        assert rack.on == []
        rack.network.close()
        # the errors that OFF in the language of other models leaves on the one with model = "auto" are gone
        again = SmuBackend.open(rack.settings, graph, LIMITS)
        again.measure(inputs)
        again.close()


def test_dry_run_claims_nothing(graph, capsys):
    with Rack(graph) as rack:
        models = {channel.address: channel.model for channel in rack.settings.channels}
        dry = [
            channel.model_copy(update={"model": "B2902A" if models[channel.address] == "auto" else channel.model})
            for channel in rack.settings.channels
        ]
        settings = rack.settings.model_copy(update={"dry_run": True, "channels": tuple(dry)})
        SmuBackend.open(settings, graph, LIMITS).close()
        assert [one.way for one in SmuBackend.off(settings)] == ["direct"] * 4
        assert owners(rack.settings) == [os.getpid()] * 5
    assert ":OUTP 0" in capsys.readouterr().out
