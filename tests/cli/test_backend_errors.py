"""A command ends with exit code 1 and one line if a backend returns an invalid readout."""

from dataclasses import replace

import numpy as np
import pytest

from hwlearn_sim import KirchhoffTwin


@pytest.mark.usefixtures("without_reports")
def test_invalid_reading_ends_a_training_with_outputs_off(hwlearn, monkeypatch, mocker):
    measure = KirchhoffTwin._measure

    def broken(self, inputs, drive):
        read = measure(self, inputs, drive)
        return replace(read, voltages=np.full_like(read.voltages, np.nan))

    monkeypatch.setattr(KirchhoffTwin, "_measure", broken)
    closed = mocker.spy(KirchhoffTwin, "_close")
    ended = hwlearn("train", "small.toml")
    assert ended.code == 1
    assert "KirchhoffTwin returned" in " ".join(ended.err)
    assert "Traceback" not in " ".join(ended.err)
    assert closed.call_count >= 1
