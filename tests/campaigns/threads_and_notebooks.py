"""Second users of one network: threads, forked children, and the stop button of a notebook.

Every second user is refused by name, no reading is wrong, a child sends nothing on the links of its parent, and an
interrupted cell leaves its outputs off::

    python tests/campaigns/threads_and_notebooks.py --count 100

Readings are compared with the true outputs of the simulated circuit, without noise; those of the notebook with the
mean of 50 readings before the first interrupt. The notebook drives source-measure units that another process
serves; it needs ipykernel and jupyter_client.
"""

import atexit
import functools
import multiprocessing
import os
import re
import socket
import sys
import tempfile
import threading
import time

import numpy as np
from campaign import Campaign, every, none, shown

import hwlearn as hl
from hwlearn.errors import NetworkError
from hwlearn.network.network import Network

WRONG_V = 2e-3
"""A reading that is further from the truth is wrong; converters and zero offsets stay below."""

BY_NAME = re.compile("in use by another thread|forked child|is closed")

THREADS = ("threads: twin", "threads: virtual-smu", "threads: virtual-board")
FORKS = ("fork: virtual-smu", "fork: virtual-board")
NOTEBOOK = "notebook: interrupt"


BENCHES = {
    "twin": ("regression", ("read_noise", "dac_gain", "dac_offset", "adc_gain", "adc_offset")),
    "virtual-smu": ("virtual-smu", ("noise",)),
    "virtual-board": ("virtual-board", ("gain", "offset", "read_noise")),
}
"""Shipped benches, and their imperfections of readings: without them, a reading is the truth."""


class Bench:
    """An open bench whose measurements can be held, with fixed conductances."""

    def __init__(self, kind: str) -> None:
        name, ideal = BENCHES[kind]
        self.bench = hl.open_bench(name, dict.fromkeys((f"backend.{key}" for key in ideal), 0))
        self.network: Network = self.bench.network
        atexit.register(self.bench.close)
        low, high = self.bench.limits.conductance
        self.siemens = np.full(self.bench.topology.n_edges, np.sqrt(low * high))
        self.network.program(self.siemens)
        self.inside, self.go_on, self.held = threading.Event(), threading.Event(), False
        inner = self.network
        while hasattr(inner, "network"):
            inner = inner.network
        measure = inner._measure

        def hold(inputs, drive):
            if self.held:
                self.held = False
                self.inside.set()
                assert self.go_on.wait(30)
            return measure(inputs, drive)

        inner._measure = hold

    def inputs(self, rng: np.random.Generator) -> np.ndarray:
        """Return inputs of a few samples."""
        most = 0.4 * min(self.bench.limits.voltage, self.bench.limits.drop)
        return rng.uniform(-most, most, (2, self.bench.topology.n_inputs))

    def wrong(self, inputs: np.ndarray, volts: np.ndarray) -> int:
        """Return how many readings are not the truth."""
        true = self.network.true_outputs(inputs)
        assert true is not None
        return int((np.abs(volts - true) > WRONG_V).sum())

    def another_use(self, rng: np.random.Generator) -> None:
        """Use the network in one of all ways."""
        x = self.inputs(rng)
        network = self.network
        nudge = next(
            nudge for nudge in (hl.ClampNudge(0.01), hl.ResistorNudge(0.01, 1e-4)) if nudge.kind in network.nudges
        )
        target = hl.TargetError(np.zeros((len(x), self.bench.topology.n_outputs)))
        uses = (
            lambda: network.measure(x),
            lambda: network.program(1.5 * self.siemens),
            lambda: network.two_phase(x, target, nudge),
            lambda: network.true_outputs(x),
            network.switch_off,
            network.reconnect,
            lambda: self.bench.train(record=False),
            lambda: self.bench.evaluate(),
        )
        uses[rng.integers(len(uses))]()


opened = functools.cache(Bench)


def refused_by_name(use) -> bool:
    """Return whether a use of a network is refused with an error that says why."""
    try:
        use()
    except NetworkError as error:
        return BY_NAME.search(str(error)) is not None
    return False


def threads(kind: str, rng: np.random.Generator) -> dict[str, float]:
    """One thread measures; another one uses the network at this moment, and then both at random moments."""
    on = opened(kind)
    x = on.inputs(rng)
    found: list[np.ndarray] = []
    on.inside.clear()
    on.go_on.clear()
    on.held = True
    first = threading.Thread(target=lambda: found.append(on.network.measure(x).voltages))
    first.start()
    assert on.inside.wait(30)
    refused = refused_by_name(lambda: on.another_use(rng))
    on.go_on.set()
    first.join()
    wrong, unnamed = (on.wrong(x, found[0]) if found else 1), 0
    taken: list[tuple[np.ndarray, np.ndarray]] = []
    odd: list[str] = []

    def often(sign: float) -> None:
        for _ in range(10):
            try:
                taken.append((sign * x, on.network.measure(sign * x).voltages))
            except NetworkError as error:
                if not BY_NAME.search(str(error)):
                    odd.append(str(error))

    both = [threading.Thread(target=often, args=(sign,)) for sign in (1.0, -1.0)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    wrong += sum(on.wrong(*pair) for pair in taken)
    unnamed += len(odd)
    return {"refused": refused, "wrong": wrong, "unnamed": unnamed, "sent": 0, "off": 1, "next": 1}


def count_sent() -> list[int]:
    """Count, from now on, what this process sends on sockets and other files than its own output."""
    sent: list[int] = []
    for name in ("send", "sendall", "sendto"):
        plain = getattr(socket.socket, name)
        setattr(
            socket.socket,
            name,
            lambda self, *rest, plain=plain: (sent.append(self.fileno()), plain(self, *rest))[1],
        )
    write = os.write
    os.write = lambda file, data: (file > 2 and sent.append(file), write(file, data))[1]
    return sent


def child_of(on: Bench, way: int, seed: int) -> int:
    """Use the network of the parent in this child; return 0 if it was refused, and nothing was sent."""
    sent = count_sent()
    rng = np.random.default_rng(seed)
    refused = True
    if way != 1:
        refused = all(refused_by_name(lambda: on.another_use(rng)) for _ in range(3))
    if way >= 1:
        on.bench.close()
        on.network.close()
    atexit._run_exitfuncs()
    return len(sent) + (0 if refused else 50)


def forks(kind: str, rng: np.random.Generator) -> dict[str, float]:
    """A child uses the network, closes it, ends with its exit handlers, or comes from multiprocessing."""
    on = opened(kind)
    x = on.inputs(rng)
    before = on.wrong(x, on.network.measure(x).voltages)
    way, seed = int(rng.integers(5)), int(rng.integers(2**31))
    if way == 3:
        child = multiprocessing.get_context("fork").Process(
            target=lambda: os._exit(min(child_of(on, 2, seed), 99)), daemon=True
        )
        child.start()
        child.join(60)
        code = child.exitcode
    elif way == 4:
        code = 0
        try:
            multiprocessing.get_context("spawn").Process(target=id, args=(on.network,)).start()
            code = 50
        except (TypeError, AttributeError, ValueError) as error:
            if "pickle" not in str(error):
                code = 50
    else:
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            code = 98
            try:
                code = min(child_of(on, way, seed), 99)
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    wrong = before + on.wrong(x, on.network.measure(x).voltages)
    assert code is not None
    return {"refused": code % 50 == code, "wrong": wrong, "unnamed": 0, "sent": code % 50, "off": 1, "next": 1}


@functools.cache
def notebook():
    """Return a kernel with an open bench, the instruments, and the reading that is expected."""
    from notebook_rig import Kernel, Served

    folder = tempfile.mkdtemp()
    rack, kernel = Served(folder), Kernel(folder)
    atexit.register(rack.end)
    atexit.register(kernel.end)
    kernel.run("""
import numpy as np
import hwlearn as hl
class Tell(hl.Callback):
    def on_step(self, step):
        print("running", flush=True)
bench = hl.open_bench("bench.toml").open()
network, x = bench.network, bench.data.inputs[:2]
g = np.full(bench.topology.n_edges, 1e-5)
network.program(g)
def volts(times):
    return np.mean([network.measure(x).voltages for _ in range(times)], axis=0)
expected = volts(50)
""")
    return kernel, rack


CELLS = {
    "train": ("history = bench.train([Tell()]); print('KEPT', history.stopped)", "KEPT interrupted", None),
    "measure": (
        "print('running', flush=True); network.measure(np.tile(x, (2000, 1)))",
        None,
        "KeyboardInterrupt",
    ),
    "two_phase": (
        "many = np.tile(x, (2000, 1))\n"
        "print('running', flush=True)\n"
        "network.two_phase(many, hl.TargetError(np.zeros((len(many), 2))), hl.ClampNudge(0.01))",
        None,
        "KeyboardInterrupt",
    ),
    "calibrate": (
        "import threading, time\n"
        "start = network.measurements\n"
        "def tell():\n"
        "    while network.measurements < start + 20: time.sleep(0.002)\n"
        "    print('running', flush=True)\n"
        "threading.Thread(target=tell, daemon=True).start()\n"
        "bench.calibrate('noise'); bench.calibrate('noise', patterns=9)",
        None,
        "Interrupted",
    ),
}


def interrupts(rng: np.random.Generator) -> dict[str, float]:
    """Interrupt a random cell at a random moment."""
    kernel, rack = notebook()
    code, text, error = CELLS[str(rng.choice(sorted(CELLS)))]
    cell = kernel.cell(code)
    cell.wait_for("running")
    time.sleep(float(rng.uniform(0.1, 0.4)))
    kernel.interrupt()
    said = cell.end()
    kept = (text is None or text in said) and (cell.error is None if error is None else cell.error[0] == error)
    off = rack.outputs() == "000000"
    answer = kernel.run("network.program(g); print(np.abs(volts(4) - expected).max())")
    wrong = float(answer.split()[-1]) > WRONG_V
    return {"refused": kept, "wrong": wrong, "unnamed": 0, "sent": 0, "off": off, "next": 1}


def trial(case: str, rng: np.random.Generator) -> dict[str, float]:
    """Run one trial of a case."""
    if case == NOTEBOOK:
        return interrupts(rng)
    kind = case.split(": ")[1]
    return threads(kind, rng) if case in THREADS else forks(kind, rng)


CAMPAIGN = Campaign(
    "threads_and_notebooks",
    trial,
    (*THREADS, *FORKS, NOTEBOOK),
    {
        "refused": every(),
        "wrong": none(),
        "unnamed": none(),
        "sent": none(),
        "off": every(),
        "next": shown(),
    },
    100,
)

if __name__ == "__main__":
    CAMPAIGN.main()
