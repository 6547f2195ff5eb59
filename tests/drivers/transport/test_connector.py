"""`Connector`: link options, wire log and dry run are one value from the backend to the transport."""

import inspect

import pytest

from hwlearn.errors import SetupError
from hwlearn_drivers.smu.dry_answers import DryAnswers
from hwlearn_drivers.smu.registry import open_smu, write_off
from hwlearn_drivers.transport.addresses import LinkOptions
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.wire_log import WireLog


def dry_answers():
    return DryAnswers("2400")


def test_options_wire_log_and_dry_run_are_one_argument():
    assert list(inspect.signature(open_smu).parameters) == ["address", "limits", "model", "connector"]
    assert list(inspect.signature(write_off).parameters) == ["address", "model", "connector"]


def test_transport_uses_timeout_and_wire_log(responder, tmp_path):
    device = responder(lambda line: b"one\n")
    path = tmp_path / "wire.log"
    with WireLog(path) as log:
        transport = Connector(LinkOptions(timeout_s=7.0), log).transport(device.url, dry_answers)
        assert transport.timeout_s == 7.0
        assert transport.query("ONE?") == "one"
        transport.close()
    assert f"{device.url}\t>\tONE?\\n" in path.read_text(encoding="ascii")


def test_dry_run_prints_and_opens_no_link(mocker, capsys):
    opened = mocker.patch("hwlearn_drivers.transport.connector.open_link")
    transport = Connector(dry_run=True).transport("COM3", dry_answers)
    assert transport.query(":OUTP?") == "0"
    transport.close()
    opened.assert_not_called()
    assert capsys.readouterr().out == "COM3 > :OUTP?\n"


def test_reopened_dry_run_starts_with_fresh_answers():
    made = []
    transport = Connector(dry_run=True).transport("COM3", lambda: made.append(1) or dry_answers())
    transport.reopen()
    transport.close()
    assert len(made) == 2


def test_invalid_address_is_rejected():
    with pytest.raises(SetupError, match="is not an address"):
        Connector().transport("nowhere", dry_answers)
