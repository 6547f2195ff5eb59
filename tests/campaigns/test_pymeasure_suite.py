"""The campaign with PyMeasure's tests counts what a virtual 2400 answers, and names what it refuses."""

from __future__ import annotations

import pymeasure_suite

PROTOCOLS = """
INIT = (":FORMAT:ELEMENTS VOLTAGE", None)


def test_good():
    with expected_protocol(Keithley2400, [INIT, (b":OUTPUT?", 1), (":SOUR:VOLT 0.5", None)]) as inst:
        pass


def test_bad():
    with expected_protocol(Keithley2400, [INIT, (":SENSE:CURRENT:RANGE 0.5", None), (":OUTP?", None),
                                          (":NO", None)]):
        pass
"""


def test_replay_counts_messages_and_names_those_that_fail(tmp_path):
    (tmp_path / "protocols.py").write_text(PROTOCOLS)
    good, broken = pymeasure_suite.replay(tmp_path / "protocols.py")
    assert good == 4
    assert list(broken) == [":SENSE:CURRENT:RANGE 0.5", ":OUTP?", ":NO"]
    assert broken[":SENSE:CURRENT:RANGE 0.5"].startswith("824")
