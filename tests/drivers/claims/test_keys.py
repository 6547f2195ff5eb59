"""Keys of claims: one for all spellings of an address, another one for another address."""

import socket

import pytest

from hwlearn_drivers.claims.keys import address_key, instrument_key


@pytest.mark.parametrize(
    "spellings",
    [
        ["TCPIP::192.168.0.5::5025::SOCKET", "tcpip0::192.168.0.5::5025::socket", "socket://192.168.0.5:5025/"],
        ["TCPIP1::192.168.0.5::05025::SOCKET", " socket://192.168.0.5:5025 ", "rfc2217://192.168.0.5:5025"],
        ["TCPIP::192.168.0.5::INSTR", "TCPIP0::192.168.0.5", "TCPIP0::192.168.0.5::inst0::INSTR"],
        ["TCPIP::192.168.0.5::hislip0::INSTR", "TCPIP0::192.168.0.5::HISLIP0"],
        ["GPIB::24", "GPIB0::24::INSTR", "gpib0::24::instr"],
        ["GPIB1::24::2::INSTR", "GPIB1::24::2"],
        [
            "USB::0x05E6::0x2636::4012345::INSTR",
            "USB0::1510::9782::4012345",
            "usb1::0x5e6::0x2636::4012345::0::INSTR",
        ],
        ["COM3", "com3", r"\\.\COM3", "ASRL3", "ASRL3::INSTR", "ASRLCOM3::INSTR"],
        [
            "/dev/ttyUSB77",
            "ASRL/dev/ttyUSB77::INSTR",
            "spy:///dev/ttyUSB77?file=x.txt",
            "alt:///dev/ttyUSB77?class=A",
        ],
        [
            "socket://127.0.0.1:5025",
            "socket://127.8.9.1:5025",
            "socket://localhost:5025",
            "TCPIP::[::1]::5025::SOCKET",
        ],
        ["TCPIP::[::ffff:192.168.0.5]::5025::SOCKET", "socket://192.168.0.5:5025"],
        ["PXI0::3::INSTR", "pxi0::3::instr"],
    ],
    ids=lambda spellings: spellings[0],
)
def test_spellings_of_one_address_have_one_key(spellings):
    assert len({address_key(text) for text in spellings}) == 1


def test_different_addresses_have_different_keys():
    addresses = [
        "socket://192.168.0.5:5025",
        "socket://192.168.0.5:5026",
        "socket://192.168.0.6:5025",
        "TCPIP::192.168.0.5::INSTR",
        "TCPIP::192.168.0.5::inst1::INSTR",
        "TCPIP::192.168.0.5::hislip0::INSTR",
        "GPIB0::24::INSTR",
        "PROLOGIX::192.168.0.5::GPIB::24",
        "PROLOGIX::192.168.0.5::GPIB::2",
        "PROLOGIX::192.168.0.6::GPIB::24",
        "GPIB1::24::INSTR",
        "GPIB0::2::INSTR",
        "GPIB0::2::4::INSTR",
        "USB0::0x05E6::0x2636::4012345::INSTR",
        "USB0::0x05E6::0x2636::4012346::INSTR",
        "USB0::0x05E6::0x2636::4012345::1::INSTR",
        "COM3",
        "COM33",
        "/dev/ttyUSB77",
        "/dev/ttyUSB7",
        "ws://host/a?b=1",
        "ws://host/a?b=2",
    ]
    assert len({address_key(address).text for address in addresses}) == len(addresses)


def test_serial_port_by_id_has_the_key_of_its_device(tmp_path):
    device = tmp_path / "ttyACM0"
    device.touch()
    by_id = tmp_path / "usb-Arduino_85735"
    by_id.symlink_to(device)
    assert address_key(str(by_id)) == address_key(f"ASRL{device}::INSTR") == address_key(str(device))


def test_port_found_by_pattern_has_the_key_of_its_device(mocker):
    port = mocker.Mock(device="/dev/ttyUSB77")
    mocker.patch("serial.tools.list_ports.grep", return_value=[port])
    assert address_key("hwgrep://2341:0042&skip_busy") == address_key("/dev/ttyUSB77")


def test_host_name_has_the_key_of_its_ip_address(monkeypatch):
    found = [
        (0, 0, 0, "", ("192.168.0.9", 0)),
        (0, 0, 0, "", ("fe80::1%eth0", 0, 0, 0)),
        (0, 0, 0, "", ("10.0.0.2", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert address_key("TCPIP::smu.lab::5025::SOCKET") == address_key("socket://10.0.0.2:5025")


def test_host_that_is_not_found_has_the_key_of_its_name(monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert address_key("socket://SMU.lab.:5025") == address_key("TCPIP::smu.lab::5025::SOCKET")


def test_only_the_address_of_virtual_instruments_is_claimed():
    for address in ("socket://127.0.0.1:5025", "TCPIP::localhost::INSTR", "ASRL/dev/pts/3::INSTR"):
        assert address_key(address).alone, address
    for address in ("socket://192.168.0.5:5025", "COM3", "/dev/ttyACM0", "GPIB::24"):
        assert not address_key(address).alone, address
    assert address_key("loop://") is None


def test_serial_ports_and_usb_admit_one_client():
    assert address_key("COM3").exclusive
    assert address_key("USB0::0x05E6::0x2636::4012345::INSTR").exclusive
    assert not address_key("GPIB::24").exclusive
    assert not address_key("socket://192.168.0.5:5025").exclusive


def test_instrument_has_one_key_however_it_spells_its_model():
    assert instrument_key("MODEL 2450", " 04012345") == instrument_key("2450", "04012345")
    assert instrument_key("2450", "1") != instrument_key("2450", "2") != instrument_key("2400", "2")
    assert instrument_key("EDGE CARD", "0") is None
    assert instrument_key("EDGE CARD", "") is None
