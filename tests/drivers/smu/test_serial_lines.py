"""SMUs on RS-232: baud rates and line ends of each series, and what a message says if nothing answers."""

import os
import threading
import tty

import pytest
from idle_smu import CHANNEL_LIMIT

import hwlearn as hl
from hwlearn.errors import SetupError
from hwlearn_drivers.errors import LinkTimeout
from hwlearn_drivers.smu import open_smu
from hwlearn_drivers.smu.backend import SmuBackend
from hwlearn_drivers.smu.dry_answers import DryAnswers
from hwlearn_drivers.smu.registry import FAMILIES, write_off_and_check
from hwlearn_drivers.transport.addresses import LinkOptions, open_link
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.links.serial_port import SerialLink

PATIENT, QUICK = (Connector(LinkOptions(timeout_s=seconds)) for seconds in (2.0, 0.4))
GRAPH = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-5, 2e-4))


class RsPort:
    """A 2400 on a pseudo-terminal: a command ends at CR or LF, a reply with the terminator that the user chose."""

    def __init__(self, terminator, answers, split=False):
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.address, self.heard = os.ttyname(self._slave), []
        self._answers, self._terminator, self._split = answers, terminator, split
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        pending = b""
        while True:
            try:
                pending += os.read(self._master, 4096)
            except OSError:
                return
            *lines, pending = pending.replace(b"\r", b"\n").split(b"\n")
            for line in filter(None, lines):
                self.heard.append(line.decode())
                reply = self._answers(line)
                if reply is not None:
                    ends = [bytes([c]) for c in self._terminator] if self._split else [self._terminator]
                    for part in [reply, *ends]:
                        os.write(self._master, part)

    def close(self):
        os.close(self._slave)
        self._thread.join(5)
        os.close(self._master)


@pytest.fixture
def port():
    made = []

    def make(*arguments, **options):
        made.append(RsPort(*arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.share(8)
@pytest.mark.parametrize("terminator", [b"\r", b"\n", b"\r\n", b"\n\r"], ids=["CR", "LF", "CR+LF", "LF+CR"])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("model", ["2400", "2400 family", "auto"])
def test_2400_is_used_with_every_terminator_of_its_menu(port, terminator, split, model):
    served = port(terminator, DryAnswers("2400"), split=split)
    with open_smu(served.address, {1: CHANNEL_LIMIT}, model=model, connector=PATIENT) as smu:
        channel = smu.channel(1)
        channel.voltage_source(0.1, 1e-3)
        channel.on()
        for _ in range(5):
            assert channel.read().volts == 0.0
        assert len(channel.sweep([0.1] * 3).volts) == 3
    assert served.heard[0] == (":OUTP 0" if model != "auto" else "*IDN?")
    assert "*ESE?" not in "".join(served.heard), "the rest of a line end is not taken for an unread reply"


def test_line_ends_are_kept_where_the_instrument_has_no_choice(port):
    link = open_link(port(b"\r\n", lambda line: line[::-1]).address, LinkOptions(timeout_s=1.0))
    link.write(b"ab\n")
    assert link.read_line(1.0) == b"ba"
    link.close()


RATES = {
    "2400": ("2400", None, 9600, True),
    "2410": ("2410", 57600, 57600, True),
    "2612B": ("2612B", None, 9600, False),
    "2612B, fast": ("2612B", 115200, 115200, False),
    "auto": ("auto", None, 9600, True),
    "auto, fast": ("auto", 115200, 115200, True),
    "2450 through an adapter": ("2450", 115200, 115200, False),
}


@pytest.mark.parametrize(("model", "baud", "used", "any_end"), RATES.values(), ids=RATES)
def test_port_is_opened_with_the_rate_and_line_ends_of_the_series(mocker, model, baud, used, any_end):
    opened = mocker.patch.object(SerialLink, "__init__", autospec=True, side_effect=RuntimeError("opened"))
    for use in (
        lambda: open_smu("COM3", {1: CHANNEL_LIMIT}, model=model, connector=Connector(LinkOptions(baud))),
        lambda: write_off_and_check("COM3", model, Connector(LinkOptions(baud)), check=False),
    ):
        opened.reset_mock()
        with pytest.raises(RuntimeError, match="opened"):
            use()
        assert opened.call_args.args[2] == used
        assert opened.call_args.kwargs["any_line_end"] == any_end


WRONG_RATES = [
    ("2400", 115200),
    ("2401", 14400),
    ("2410", 230400),
    ("2612B", 230400),
    ("2636A", 1_000_000),
    ("2400 family", 1),
]


@pytest.mark.share(16)
@pytest.mark.parametrize(("model", "baud"), WRONG_RATES)
@pytest.mark.parametrize("where", ["table", "channel"])
@pytest.mark.parametrize("address", ["COM3", "ASRL3::INSTR", "/dev/ttyUSB0", "spy:///dev/ttyUSB0"])
def test_rate_that_a_model_does_not_have_is_refused_before_anything_is_opened(mocker, model, baud, where, address):
    opened = [mocker.patch("serial.serial_for_url"), mocker.patch("socket.create_connection")]
    channels = [{"address": "socket://127.0.0.1:9", "model": "2450", "node": 0},
                {"address": address, "model": model, "node": 1}]  # fmt: skip
    table = {"channels": channels, "edges": 1e-4}
    (table if where == "table" else channels[1])["baud"] = baud
    with pytest.raises(SetupError, match=f"baud = {baud} .*300, .*57600.* 9600 at the factory"):
        SmuBackend.open(SmuBackend.Settings(**table), GRAPH, LIMITS)
    assert not any(one.called for one in opened)


def test_off_is_not_refused_for_a_wrong_rate(mocker):
    opened = mocker.patch.object(SerialLink, "__init__", autospec=True, side_effect=RuntimeError("opened"))
    with pytest.raises(RuntimeError, match="opened"):
        write_off_and_check("COM3", "2400", Connector(LinkOptions(115200)), check=False)
    assert opened.call_args.args[2] == 9600


def test_rate_does_not_matter_where_there_is_no_serial_port(mocker):
    opened = mocker.patch("socket.create_connection", side_effect=OSError(111, "refused"))
    table = {
        "channels": [{"address": "socket://127.0.0.1:9", "model": "2400", "node": n} for n in (0, 1)],
        "edges": 1e-4,
    }
    table["channels"][1]["address"] = "socket://127.0.0.1:10"
    with pytest.raises(ConnectionError, match="refused"):
        SmuBackend.open(SmuBackend.Settings(**table, baud=115200), GRAPH, LIMITS)
    assert opened.called


@pytest.mark.parametrize("model", ["2400", "2410", "2612B", "auto"])
def test_silent_port_says_what_to_try(port, model):
    served = port(b"\n", lambda line: None)
    with pytest.raises(LinkTimeout) as silent:
        open_smu(served.address, {1: CHANNEL_LIMIT}, model=model, connector=QUICK.with_baud(19200))
    text = str(silent.value)
    assert "19200 baud" in text
    assert "9600 at the factory" in text
    assert "front panel" in text
    if model in ("2400", "auto"):
        assert "TERMINATOR" in text
    assert len(text.splitlines()) == 1


def test_noise_of_a_wrong_rate_says_what_to_try(port):
    served = port(b"\n", lambda line: b"\x00\xfe\x80")
    with pytest.raises(Exception, match="9600 at the factory"):
        open_smu(served.address, {1: CHANNEL_LIMIT}, model="2400", connector=QUICK)


def test_socket_says_nothing_about_baud(responder):
    with pytest.raises(LinkTimeout) as silent:
        open_smu(responder(lambda line: None).url, {1: CHANNEL_LIMIT}, model="2400", connector=QUICK)
    assert "baud" not in str(silent.value)


def test_every_usual_rate_is_one_that_the_series_has():
    lines = [family.serial_line for family in FAMILIES if family.serial_line is not None]
    assert len(lines) == 2
    for line in lines:
        assert line.usual in line.rates
