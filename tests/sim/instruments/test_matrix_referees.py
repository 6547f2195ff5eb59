"""Released drivers of others control the virtual switch matrices over sockets: an independent check."""

import pytest
from matrix_rig import matrix_rig

pytestmark = pytest.mark.filterwarnings("ignore")  # deprecations of the libraries and their dependencies


@pytest.fixture(scope="module")
def keithley(tmp_path_factory):
    """Return QCoDeS' Keithley drivers; QCoDeS keeps its settings outside the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QCODES_USER_PATH", str(tmp_path_factory.mktemp("qcodes")))
        yield pytest.importorskip(
            "qcodes.instrument_drivers.Keithley",
            reason="QCoDeS is not installed; pip install 'hwlearn[referees]'",
        )


def test_qcodes_3706a(keithley):
    with matrix_rig("3706A matrix") as rig:
        switch = keithley.Keithley3706A("switch", rig.address, visalib="@py")
        try:
            assert switch.get_idn()["model"] == "3706A"
            (card,) = switch.get_switch_cards()
            assert (card["model"], card["mtype"]) == ("3730", "6x16 High Density Matrix")
            switch.channel_connect_rule("BREAK_BEFORE_MAKE")
            assert switch.channel_connect_rule() == "BREAK_BEFORE_MAKE"
            switch.close_channel("1101")
            switch.close_channel("1203,1304")
            assert switch.get_closed_channels("allslots") == ["1101", "1203", "1304"]
            assert rig.relays.closed == {rig.point(0, 1), rig.point(1, 3), rig.point(2, 4)}
            switch.open_channel("1203")
            assert switch.get_closed_channels("slot1") == ["1101", "1304"]
            switch.exclusive_close("1102")
            assert switch.get_closed_channels("allslots") == ["1102"]
            assert rig.relays.closed == {rig.point(0, 2)}
            switch.set_forbidden_channels("1103")
            assert switch.get_forbidden_channels("allslots") == "1103"
            switch.clear_forbidden_channels("1103")
            switch.set_delay("1102", 0.01)
            assert switch.get_delay("1102") == [0.01]
            switch.open_channel("allslots")
            assert switch.get_closed_channels("allslots") is None
            assert rig.relays.closed == set()
            assert len(rig.bench.instrument("mat1").errors) == 0
        finally:
            switch.close()


def test_qcodes_b2200(keithley):
    drivers = pytest.importorskip("qcodes.instrument_drivers.Keysight")
    with matrix_rig("B2200A") as rig:
        switch = drivers.KeysightB2200("b2200", rig.address, visalib="@py")
        try:
            switch.write(":ROUT:FUNC ACON")  # the driver expects it
            assert switch.get_idn()["model"] == "B2200A"
            assert switch.connection_rule() == "free"
            assert switch.connection_sequence() == "bbm"
            switch.connect(1, 1)
            switch.connect_paths([(2, 3), (3, 24)])
            assert switch.connections() == {(1, 1), (2, 3), (3, 24)}
            assert rig.relays.closed >= {rig.point(0, 1), rig.point(1, 3)}
            switch.disconnect(2, 3)
            assert switch.connections() == {(1, 1), (3, 24)}
            switch.connection_rule("single")
            switch.connect(1, 2)  # opens (1, 1)
            assert switch.connections() == {(1, 2), (3, 24)}
            switch.connection_rule("free")
            assert switch.bias_mode() is switch.gnd_mode() is switch.couple_mode() is False
            switch.disconnect_all()
            assert switch.connections() == set()
            assert switch.get_error().startswith("+0")
            switch.connect(14, 48)  # there are two modules
            assert switch.get_error().startswith("-222")
        finally:
            switch.close()


def test_tektronix_3706a(tmp_path, monkeypatch):
    """The maker's own library, whose channel commands are made from its command reference."""
    monkeypatch.chdir(tmp_path)  # it writes log files
    tm_devices = pytest.importorskip(
        "tm_devices", reason="tm_devices is not installed; pip install 'hwlearn[referees]'"
    )
    with matrix_rig("3706A matrix") as rig, tm_devices.DeviceManager(verbose=False) as manager:
        manager.visa_library = "@py"
        host, port = rig.address.split("::")[1:3]
        switch = manager.add_ss(host, connection_type="SOCKET", port=int(port))
        channel = switch.commands.channel
        assert switch.model == "MODEL 3706A"
        channel.connectrule = "channel.BREAK_BEFORE_MAKE"
        assert float(channel.connectrule) == 1.0
        channel.close("1101,1203")
        assert channel.getclose("allslots") == "1101;1203"
        channel.exclusiveclose("1304")
        assert channel.getclose("slot1") == "1304"
        assert rig.relays.closed == {rig.point(2, 4)}
        assert channel.getstate("1304,1101") == "1,0"
        assert channel.getpole("1101") == "2"
        channel.open("allslots")
        assert channel.getclose("allslots") == "nil"
        assert len(rig.bench.instrument("mat1").errors) == 0
