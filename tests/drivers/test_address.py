"""Addresses of instruments: every spelling of one address becomes the same text, impossible ones are refused."""

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shares import examples

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn_drivers.address import normal_address, parse_address
from hwlearn_drivers.claims.keys import address_key
from hwlearn_drivers.errors import LinkError, OutputsMayBeOnError
from hwlearn_drivers.smu.backend import SmuBackend
from hwlearn_drivers.smu.settings import SmuSettings
from hwlearn_drivers.transport.addresses import LinkOptions, open_link, prepare_link

SPELLINGS = {
    "GPIB0::5::INSTR": ["GPIB::5", "gpib0::05", "GPIB00::5::INSTR", " gpib::005::instr\n", "GPIB0::5"],
    "PROLOGIX::192.168.0.7::1234::GPIB::24::INSTR": [
        "prologix::192.168.0.7::GPIB0::024",
        "AR488::192.168.0.7::01234::gpib::24::instr",
    ],
    "PROLOGIX::/dev/ttyUSB0::GPIB::24::1::INSTR": [
        "PROLOGIX::ASRL/dev/ttyUSB0::INSTR::GPIB::24::1",
        "AR488::/dev//ttyUSB0::GPIB::024::01",
    ],
    "PROLOGIX::COM3::GPIB::24::INSTR": ["prologix::com3::gpib::24", "PROLOGIX::ASRL3::GPIB::24"],
    "PROLOGIX::[fe80::1]::1235::GPIB::9::INSTR": ["prologix::[FE80:0::1]::1235::gpib::9"],
    "GPIB1::5::7::INSTR": ["gpib01::5::07", "GPIB1::05::7::instr"],
    "TCPIP0::192.168.0.5::5025::SOCKET": [
        "tcpip::192.168.0.5::05025::socket",
        "TCPIP0::192.168.0.5::5025::Socket",
    ],
    "socket://192.168.0.5:5025": ["SOCKET://192.168.0.5:5025/", "socket://192.168.0.5:0005025"],
    "socket://smu.lab:5025": ["socket://SMU.Lab.:5025", "Socket://smu.lab:5025/"],
    "socket://[fe80::1]:5025": ["socket://[FE80:0:0::0001]:5025", "socket://[fe80:0000::1]:05025/"],
    "TCPIP0::[::1]::5025::SOCKET": ["TCPIP::[0:0:0:0:0:0:0:1]::5025::SOCKET"],
    "TCPIP0::smu::inst0::INSTR": [
        "TCPIP::smu",
        "tcpip0::SMU::instr",
        "TCPIP::smu::INST00::INSTR",
        "TCPIP0::smu::inst0",
    ],
    "TCPIP0::[fe80::1%eth0]::hislip0::INSTR": ["tcpip::[FE80::1%eth0]::HISLIP0"],
    "TCPIP0::smu:1111::inst0::INSTR": ["tcpip::SMU:01111::instr"],
    "TCPIP0::smu,1111::inst0::INSTR": ["tcpip::SMU,01111"],
    "TCPIP2::smu::inst0::INSTR": ["TCPIP02::smu::INSTR"],
    "USB0::0x05E6::0x2636::4012345::INSTR": ["USB::0x5e6::0x2636::4012345", "usb0::1510::9782::4012345::0::instr"],
    "USB0::0x05E6::0x2636::4012345::1::RAW": ["usb::0x05e6::9782::4012345::01::raw"],
    "COM3": ["com3", r"\\.\COM3", "Com03", " COM3 "],
    "ASRL3::INSTR": ["asrl3", "ASRL03::instr", "ASRL3"],
    "ASRL/dev/ttyUSB0::INSTR": ["asrl/dev//ttyUSB0", "ASRL/dev/ttyUSB0"],
    "/dev/ttyUSB0": ["//dev/ttyUSB0", "/dev/./ttyUSB0", "/dev/ttyUSB0/"],
    "rfc2217://box.lab:4000?ign_set_control": ["RFC2217://Box.Lab:04000?ign_set_control"],
    "PXI0::3::INSTR": ["pxi::3::instr"],
}

REFUSED = {
    "adapter without GPIB": ("PROLOGIX::/dev/ttyUSB0::24", "write PROLOGIX::"),
    "adapter without itself": ("PROLOGIX::GPIB::24", "write PROLOGIX::"),
    "adapter, GPIB address": ("PROLOGIX::COM3::GPIB::31", "it is 0 to 30"),
    "adapter, TCP port": ("AR488::192.168.0.7::99999::GPIB::3", "ports are 1 to 65535"),
    "adapter behind GPIB": ("PROLOGIX::GPIB0::4::INSTR::GPIB::3", "TCPIP::HOST::PORT::SOCKET"),
    "127.000.000.010": ("socket://127.000.000.010:5025", "write 127.0.0.10"),
    "octal in VISA": ("TCPIP::010.0.0.1::INSTR", "write 10.0.0.1"),
    "octal, one part": ("TCPIP::192.168.0.05::5025::SOCKET", "write 192.168.0.5"),
    "IPv4 above 255": ("socket://192.168.0.256:5025", "0 to 255"),
    "short IPv4": ("socket://127.1:5025", "no IPv4 address"),
    "one number": ("socket://2130706433:5025", "no IPv4 address"),
    "hexadecimal IPv4": ("TCPIP::0x7f.0.0.1::INSTR", "no IPv4 address"),
    "five numbers": ("socket://1.2.3.4.5:5025", "no IPv4 address"),
    "bad IPv6": ("socket://[fe80::1::2]:5025", "no IPv6 address"),
    "IPv6 without brackets": ("socket://fe80::1:5025", "fe80::1"),
    "port beyond": ("socket://192.168.0.5:99999", "ports are 1 to 65535"),
    "port just beyond": ("TCPIP::192.168.0.5::65536::SOCKET", "ports are 1 to 65535"),
    "port 0": ("socket://192.168.0.5:0", "ports are 1 to 65535"),
    "port with 30 digits": ("rfc2217://smu:" + "9" * 30, "ports are 1 to 65535"),
    "negative port": ("socket://192.168.0.5:-1", "HOST:PORT"),
    "Arabic digits": ("socket://192.168.0.5:٥٠٢٥", "HOST:PORT"),
    "no port": ("socket://192.168.0.5", "HOST:PORT"),
    "forgotten SOCKET": ("TCPIP::192.168.0.5::5025", "TCPIP::HOST::5025::SOCKET"),
    "forgotten SOCKET, INSTR": ("TCPIP::192.168.0.5::5025::INSTR", "TCPIP::HOST::5025::SOCKET"),
    "inner space": ("GPIB0:: 24::INSTR", "a space"),
    "space in a host": ("socket://my smu:5025", "a space"),
    "newline inside": ("socket://smu\n:5025", "'\\n'"),
    "NUL": ("/dev/tty\0USB0", "'\\x00'"),
    "no-break space": ("COM\u00a03", "'\\xa0'"),
    "GPIB above 30": ("GPIB0::31::INSTR", "0 to 30"),
    "secondary above 30": ("GPIB0::5::96::INSTR", "secondary address 96"),
    "GPIB board": ("GPIB0::INTFC", "no GPIB instrument"),
    "GPIB sign": ("GPIB0::-5::INSTR", "no GPIB instrument"),
    "USB without serial": ("USB0::0x05E6::0x2636::INSTR", "no USB instrument"),
    "USB vendor beyond": ("USB0::0x105E6::0x2636::1::INSTR", "0xFFFF"),
    "COM0": ("COM0", "COM1"),
    "bare port": ("ttyUSB0", "/dev/ttyUSB0"),
    "web address": ("http://192.168.0.5", "none for instruments"),
    "underscore for dot": ("socket://a..b:5025", "no host name"),
    "host name too long": (f"socket://{'a' * 64}:5025", "no host name"),
    "international name": ("socket://größe.lab:5025", "xn--"),
    "empty": ("  ", "is not an address"),
}  # fmt: skip


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_spelling_becomes_one_text(text):
    for spelling in [text, *SPELLINGS[text]]:
        assert normal_address(spelling) == text, spelling


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_spelling_has_one_claim(text, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", unknown_host)
    assert len({address_key(spelling) for spelling in [text, *SPELLINGS[text]]}) == 1


@pytest.mark.parametrize(("address", "words"), REFUSED.values(), ids=REFUSED)
def test_impossible_or_ambiguous_address_is_refused_before_anything_is_opened(address, words, mocker):
    opened = [mocker.patch("socket.create_connection"), mocker.patch("serial.serial_for_url")]
    for use in (parse_address, open_link, prepare_link, address_key):
        with pytest.raises(SetupError) as refused:
            use(address)
        assert words in str(refused.value)
        assert "\n" not in str(refused.value)
    assert not any(one.called for one in opened)


def test_messages_show_the_one_spelling():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    with pytest.raises(LinkError, match=f"127.0.0.1:{free}"):
        open_link(f"socket://127.0.0.1:000{free}/", LinkOptions(timeout_s=0.5))


def test_channels_of_one_instrument_are_joined_whatever_the_spelling():
    settings = SmuSettings.model_validate(
        {
            "channels": [
                {"address": "gpib::26", "node": 0},
                {"address": "GPIB0::026::INSTR", "node": 1, "channel": "b"},
            ],
            "edges": 1e-3,
        }
    )
    assert {channel.address for channel in settings.channels} == {"GPIB0::26::INSTR"}


@pytest.mark.parametrize("wrong", ["socket://127.000.000.010:5025", "GPIB0::31::INSTR", "nonsense"])
@pytest.mark.parametrize("place", ["channel", "card"])
def test_bench_with_an_impossible_address_is_refused_before_any_instrument_is_opened(mocker, wrong, place):
    opened = mocker.patch("socket.create_connection")
    graph = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    limits = Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-5, 2e-4))
    second, card = (wrong, "socket://127.0.0.1:10") if place == "channel" else ("socket://127.0.0.1:10", wrong)
    table = {
        "channels": [{"address": "socket://127.0.0.1:9", "node": 0}, {"address": second, "node": 1}],
        "edges": {"address": card},
    }
    with pytest.raises(SetupError, match="address"):
        SmuBackend.open(SmuSettings.model_validate(table), graph, limits)
    opened.assert_not_called()


def test_wrong_address_does_not_keep_off_from_the_other_instruments(responder):
    heard = responder(lambda line: None)
    channels = [
        {"address": heard.url, "model": "2612B", "node": 0},
        {"address": "socket://127.000.000.010:5025", "model": "2400", "node": 1},
        {"address": "nonsense", "model": "2450", "node": 2},
    ]
    with pytest.raises(OutputsMayBeOnError) as unsafe:
        SmuBackend.off(SmuSettings.model_validate({"channels": channels, "edges": 1e-3}))
    heard.wait_for("smub.source.output=0")
    assert "write 127.0.0.10" in str(unsafe.value)
    assert "nonsense" in str(unsafe.value)


def unknown_host(*_, **__):
    raise socket.gaierror(-2, "Name or service not known")


# fmt: off
PIECES = st.sampled_from([
    "GPIB", "gpib0", "USB", "TCPIP", "TCPIP0", "ASRL", "COM", "PXI", "VXI", "VICP", "PRLGX-TCPIP", "socket",
    "spy", "alt", "loop", "hwgrep", "rfc2217", "http", "::", ":", "//", "/", "://", "[", "]", "%", "?", "#",
    "&", ",", ".", "-", "\\", "(", "*", "INSTR", "SOCKET", "RAW", "inst0", "hislip0", "192.168.0.5",
    "127.000.0.1", "::1", "fe80::1", "localhost", "SMU.lab.", "0x05E6", "0", "5", "05", "65535", "65536",
    "999999999999", "ä", "٣", "²", "/dev/ttyUSB0", " ", "\0", "\n",
])
# fmt: on
SCHEMES = st.sampled_from(["socket", "SOCKET", "rfc2217", "spy", "alt", "hwgrep", "loop"])
HOSTS = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map("[{}]".format), st.text(max_size=10))
PORTS = st.one_of(st.integers(-1, 70000), st.text("0123456789", max_size=8))
STRUCTURED = st.one_of(
    st.builds(
        "{}{}::{}::{}".format,
        st.sampled_from(["GPIB", "tcpip", "USB", "VXI"]),
        st.text("0123", max_size=3),
        st.text("0123456789abc.:[]", max_size=12),
        st.sampled_from(["INSTR", "5025::SOCKET", "1::INSTR", "x"]),
    ),
    st.builds("{}://{}:{}{}".format, SCHEMES, HOSTS, PORTS, st.sampled_from(["", "/", "?a=1"])),
)
ADDRESSES = st.one_of(st.lists(PIECES, max_size=9).map("".join), STRUCTURED, st.text(max_size=30))


def check_address(address):
    """Parse an address: one text whose own text is the same, one claim for both; or a refusal of one line."""
    refusal = ""
    try:
        found = parse_address(address)
    except SetupError as error:
        refusal = str(error)
    if refusal:
        assert len(refusal.splitlines()) == 1
        return
    assert parse_address(found.text) == found
    assert address_key(found.text) == address_key(address)
    assert found.text.isprintable()


@given(ADDRESSES)
@settings(max_examples=examples(1500), deadline=None)
def test_any_text_has_one_spelling_and_one_claim_or_is_refused_in_one_line(address):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", unknown_host)
        check_address(address)


@pytest.mark.slow
@given(ADDRESSES)
@settings(max_examples=examples(20_000), deadline=None)
def test_twenty_thousand_texts_have_one_spelling_and_one_claim_or_are_refused(address):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", unknown_host)
        check_address(address)


@given(st.ip_addresses(v=4), st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_ipv4_address_with_leading_zeros_is_refused_and_the_plain_one_named(address, zeros):
    spelled = ".".join("0" * count + part for count, part in zip(zeros, str(address).split("."), strict=True))
    if spelled == str(address):
        assert parse_address(f"socket://{spelled}:1").host == str(address)
    else:
        with pytest.raises(SetupError, match=f"write {address}"):
            parse_address(f"socket://{spelled}:1")
