"""`DryLink` prints commands and sends none."""

import io

from hwlearn_drivers.transport.links.dry_run import DryLink
from hwlearn_drivers.transport.transport import Transport


def test_dry_run_prints_commands_and_sends_none():
    out = io.StringIO()
    transport = Transport("SMU", lambda: DryLink("SMU", lambda message: b"0" if b"?" in message else None, out))
    transport.write("OUTP 0", "VOLT 0.5")
    assert transport.query("OUTP?") == "0"
    assert out.getvalue() == "SMU > OUTP 0\nSMU > VOLT 0.5\nSMU > OUTP?\n"
    transport.close()
