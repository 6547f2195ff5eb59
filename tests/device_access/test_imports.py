"""Device access is a layer below the network, and write-verify a layer above it."""

import subprocess
import sys

import pytest


def modules_after(statement):
    """Return the modules that a new interpreter has imported after a statement."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import hwlearn.device_access", {"hwlearn.network.network", "hwlearn.write_verify"}),
        ("import hwlearn.network.network", {"hwlearn.write_verify", "hwlearn.network.wrapped"}),
    ],
)
def test_import_does_not_load_higher_layers(statement, absent):
    assert not modules_after(statement) & absent
