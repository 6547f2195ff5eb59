"""A real ipykernel process, and instruments served by another process, for the tests of notebooks.

Needs the packages ipykernel and jupyter_client: ``pip install -e ".[dev,referees]"``.
"""

import json
import os
import queue
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE_S = 60

SMU_BENCH = """
[network]
kind = "random"
nodes = 12
edges = 24
inputs = 4
outputs = 2
seed = 3
[limits]
voltage = "500 mV"
drop = "1 V"
nudge = "200 mV"
current = "1 mA"
conductance = ["2 uS", "100 uS"]
[backend]
kind = "smu"
nplc = 0.01
channels = [{channels}]
edges = {{ address = "{card}", full = "501 kohm", wiper = "1 kohm", positions = 65536 }}
[data]
source = "teacher"
samples = 6
amplitude = "400 mV"
[train]
rule = "gep"
nudge = "clamp"
epochs = 100000
optimizer = "adam"
rate = 0.08
scale = "log"
"""


class Cell:
    """A cell that was sent to a kernel."""

    def __init__(self, client, code):
        self._client, self._id = client, client.execute(code)
        self.text, self.error = "", None
        self.displays = []
        self._idle = False

    def wait_for(self, pattern):
        """Wait until the output of the cell has a match."""
        self._read(lambda: re.search(pattern, self.text))
        return re.search(pattern, self.text)

    def end(self):
        """Wait for the end of the cell; return its output."""
        self._read(lambda: self._idle)
        return self.text

    def _read(self, found):
        deadline = time.monotonic() + PATIENCE_S
        while not found():
            assert not self._idle, f"the cell ended: {self.text} {self.error}"
            with suppress(queue.Empty):
                self._take(self._client.get_iopub_msg(timeout=1))
            assert time.monotonic() < deadline, self.text

    def _take(self, message):
        if message["parent_header"].get("msg_id") != self._id:
            return
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            self.text += content["text"]
        elif kind in ("display_data", "update_display_data"):
            self.displays.append(content)
        elif kind == "error":
            self.error = content["ename"], content["evalue"]
        elif kind == "status" and content["execution_state"] == "idle":
            self._idle = True


class Kernel:
    """An ipykernel process, as a notebook starts it."""

    def __init__(self, folder):
        from jupyter_client.manager import KernelManager

        self._manager = KernelManager(kernel_name="python3")
        paths = [str(path) for path in map(Path, sys.path) if path.is_dir()]
        self._manager.start_kernel(
            cwd=str(folder),
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._connect()

    def _connect(self):
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE_S)

    def cell(self, code):
        """Send a cell and return at once."""
        return Cell(self._client, code)

    def run(self, code):
        """Run a cell to its end; return its output. An error in it is an error here."""
        cell = self.cell(code)
        text = cell.end()
        assert cell.error is None, cell.error
        return text

    def interrupt(self):
        """Interrupt the running cell, as the stop button does."""
        self._manager.interrupt_kernel()

    def restart(self):
        """Restart the kernel, as the button does: it is asked to end and gets a second for it."""
        self._client.stop_channels()
        self._manager.restart_kernel(now=False)
        self._connect()

    def shut_down(self, now):
        """Shut the kernel down; ``now`` kills it without asking."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=now)

    def end(self):
        """Kill the kernel if it still runs."""
        with suppress(Exception):
            self._client.stop_channels()
        if self._manager.has_kernel:
            self._manager.shutdown_kernel(now=True)


@contextmanager
def kernel(folder):
    """Start a kernel in a folder; it is killed at the end."""
    started = Kernel(folder)
    try:
        yield started
    finally:
        started.end()


class Served:
    """The instruments of the bench ``virtual-smu`` in another process."""

    def __init__(self, folder):
        run = "from hwlearn.cli import main; main()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", run, "sim", "serve", "virtual-smu", "--json"], stdout=subprocess.PIPE
        )
        listed = json.loads(self._process.stdout.readline())["instruments"]
        self._smus = [row for row in listed if row["model"] == "2612B"]
        nodes = [f"n{k}" for k in (0, 1, 2, 3, 10, 11)]
        channels = ", ".join(
            f'{{ address = "{self._smus[k // 2]["address"]}", model = "2612B", channel = "{"ab"[k % 2]}", '
            f'node = "{node}" }}'
            for k, node in enumerate(nodes)
        )
        card = next(row["address"] for row in listed if row["model"] == "edge card")
        self.bench = Path(folder, "bench.toml")
        self.bench.write_text(SMU_BENCH.format(channels=channels, card=card))

    def outputs(self):
        """Return the state of the six outputs, asked through connections of our own: ``"111111"`` is all on."""
        found = ""
        for row in self._smus:
            _, host, port, _ = row["address"].split("::")
            with socket.create_connection((host, int(port)), timeout=10) as link:
                link.sendall(b"print(smua.source.output) print(smub.source.output)\n")
                with link.makefile("r") as lines:
                    found += "".join(str(int(float(lines.readline()))) for _ in "ab")
        return found

    def off_within(self, seconds):
        """Wait until every output is off; return the seconds that it took, None if it took longer."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if self.outputs() == "000000":
                return time.monotonic() - began
            time.sleep(0.02)
        return None

    def end(self):
        """End the process."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def served(folder):
    """Serve the instruments, and write ``bench.toml`` for them into a folder."""
    started = Served(folder)
    try:
        yield started
    finally:
        started.end()
