"""What switches a DAQ device off that another process uses: its guardian, and `hwlearn off`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from daq_rig import EDGES, terminals

from hwlearn.storage.toml_text import toml_text

DRIVERS = Path(__file__).parents[1]
HOLDS = """
import sys, time
import hwlearn as hl

with hl.open_bench(sys.argv[1]) as bench:
    bench.network.measure([[0.3, -0.2]])
    print("on", flush=True)
    time.sleep(60)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and SIGSTOP, which Windows does not have"),
]


class Rig:
    """A bench file, and the voltages that the outputs of its device have."""

    def __init__(self, folder):
        self.processes = []
        self.state, self.bench = folder / "state.json", folder / "bench.toml"
        paths = [DRIVERS / "daq_package", DRIVERS, *filter(None, sys.path)]
        self.environment = {
            **os.environ,
            "DAQ_STATE": str(self.state),
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
        }

    def write(self, guardian):
        """Write the bench file."""
        instrument = {"name": "daq", "model": "nidaqmx", "address": "Dev1", "samples": 8}
        edges = [[0, 2], [0, 3], [1, 2], [1, 3], [2, 3], [3, 4]]
        tables = {
            "network": {
                "kind": "edges",
                "nodes": 5,
                "edges": edges,
                "inputs": [0, 1],
                "outputs": [2, 3],
                "ground": 4,
            },
            "limits": {
                "voltage": "0.5 V",
                "drop": "1 V",
                "nudge": "0.2 V",
                "current": "1 mA",
                "conductance": ["15 uS", "200 uS"],
            },
            "safety": {"guardian": guardian},
            "backend": {"kind": "bench", "instruments": [instrument], "terminals": terminals(), "edges": EDGES},
            "data": {"source": "teacher", "samples": 6, "amplitude": "0.3 V"},
            "train": {"rule": "analytic", "cost": "mse", "rate": 0.1, "epochs": 1},
        }
        self.bench.write_text(toml_text(tables), encoding="utf-8")

    def hold(self):
        """Start a process that measures and leaves the outputs on."""
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDS, str(self.bench)], env=self.environment, stdout=subprocess.PIPE, text=True
        )
        self.processes.append(process)
        assert process.stdout.readline() == "on\n"
        assert self.outputs()["ao0"] == pytest.approx(0.3, abs=1e-3)
        return process

    def outputs(self):
        return json.loads(self.state.read_text(encoding="ascii"))

    def off_within(self, seconds):
        """Return whether every output comes to 0 V."""
        ends = time.monotonic() + seconds
        while any(self.outputs().values()) and time.monotonic() < ends:
            time.sleep(0.02)
        return not any(self.outputs().values())

    def off(self):
        """Run `hwlearn off`."""
        return subprocess.run(
            [sys.executable, "-m", "hwlearn", "off", str(self.bench)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture
def rig(tmp_path):
    found = Rig(tmp_path)
    yield found
    for process in found.processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_outputs_stay_on_after_a_kill_and_the_guardian_switches_them_off(rig):
    rig.write(guardian=False)
    process = rig.hold()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert rig.outputs()["ao0"] == pytest.approx(0.3, abs=1e-3)  # the device holds its last voltage
    rig.write(guardian=True)
    process = rig.hold()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert rig.off_within(20)


def test_off_of_another_process_reaches_the_device_through_its_owner(rig):
    rig.write(guardian=False)
    rig.hold()
    done = rig.off()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "confirmed by" in done.stdout
    assert rig.off_within(0)


def test_off_ends_an_owner_that_is_stopped(rig):
    rig.write(guardian=False)
    process = rig.hold()
    process.send_signal(signal.SIGSTOP)
    done = rig.off()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ended" in done.stdout
    assert rig.off_within(0)


def test_off_after_a_kill_needs_no_owner(rig):
    rig.write(guardian=False)
    process = rig.hold()
    process.kill()
    process.wait()
    done = rig.off()
    assert done.returncode == 0, done.stdout + done.stderr
    assert rig.off_within(0)
