"""Load and call the peers, with an error that says how to install a missing one."""

from __future__ import annotations

import importlib.util
import logging
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

import hwlearn as hl


class MissingPeer(Exception):
    """A peer is not installed; the message says how to install it."""


def badcrossbar() -> ModuleType:
    """Return badcrossbar without its log messages; only its plots need pycairo."""
    if importlib.util.find_spec("badcrossbar") is None:
        raise MissingPeer("badcrossbar is not installed: pip install --no-deps badcrossbar pathvalidate")
    with warnings.catch_warnings(record=True):
        import badcrossbar as module
    logging.getLogger("badcrossbar").setLevel(logging.WARNING)
    if not hasattr(module, "compute"):
        raise MissingPeer("badcrossbar lacks its dependency pathvalidate: pip install pathvalidate")
    return module


def pyrkm_circuit() -> type:
    """Return pyrkm's Circuit, loaded from its file, since the rest of the package imports torch."""
    spec = importlib.util.find_spec("pyrkm")
    if spec is None or not spec.submodule_search_locations:
        raise MissingPeer("pyrkm is not installed: pip install --no-deps pyrkm")
    file = Path(spec.submodule_search_locations[0]) / "circuit_utils.py"
    alone = importlib.util.spec_from_file_location("pyrkm_circuit_utils", file)
    if alone is None or alone.loader is None:
        raise MissingPeer(f"pyrkm has no {file.name}; 0.1.0 has one")
    module = importlib.util.module_from_spec(alone)
    try:
        alone.loader.exec_module(module)
    except ModuleNotFoundError as missing:
        raise MissingPeer(f"pyrkm's circuit needs {missing.name}: pip install {missing.name}") from missing
    return module.Circuit


def crossbar_by_badcrossbar(g: np.ndarray, volts: np.ndarray, ohms: float) -> Callable[[], tuple]:
    """Return a function that solves with badcrossbar for column currents and node voltages."""
    compute, by_sample, resistances = badcrossbar().compute, volts.T.copy(), 1 / g
    return lambda: compute(by_sample, resistances, ohms, all_currents=False)


def read_badcrossbar(solution: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return column currents (S, N), row and column node voltages (S, M, N) of badcrossbar's solution."""
    rows, columns = (np.atleast_3d(v).transpose(2, 0, 1) for v in solution.voltages)
    return solution.currents.output, rows, columns


class Ngspice:
    """ngspice in batch mode; ``analysis_s`` is the duration of its last analysis."""

    def __init__(self) -> None:
        program = shutil.which("ngspice")
        if program is None:
            raise MissingPeer("ngspice is not installed: apt-get install ngspice")
        self._program = program
        self.analysis_s = float("nan")

    def __call__(self, netlist: str) -> dict[str, float]:
        """Run an operating point; return volts by node."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "network.cir").write_text(netlist, encoding="utf-8")
            done = subprocess.run(
                [self._program, "-b", "network.cir"], cwd=folder, capture_output=True, text=True, timeout=300
            )
        if done.returncode:
            raise RuntimeError(f"ngspice failed: {done.stdout[-500:]}{done.stderr[-500:]}")
        # without the start of the program, reading the netlist and printing
        took = re.search(r"Total analysis time \(seconds\) = (\S+)", done.stdout)
        self.analysis_s = float(took[1]) if took else float("nan")
        table = done.stdout.partition("Voltage")[2].partition("models")[0]
        return {name: float(value) for name, value in re.findall(r"^\s+(\S+)\s+(-?\d\S+)$", table, re.MULTILINE)}


class PyrkmGrid:
    """A topology as pyrkm's Circuit with held inputs."""

    def __init__(self, topology: hl.Topology) -> None:
        import networkx as nx

        graph = nx.Graph()
        graph.add_nodes_from((node, {"pos": (0.0, 0.0)}) for node in range(topology.n_nodes))
        graph.add_edges_from(topology.edges.tolist())
        at = {frozenset(edge): k for k, edge in enumerate(topology.edges.tolist())}
        self._order = np.array([at[frozenset(edge)] for edge in graph.edges])
        self._circuit = pyrkm_circuit()(graph)
        self._held = self._circuit.constraint_matrix(topology.inputs)

    def __call__(self, conductances: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Return the volts (S, N); `Circuit.solve` takes one sample per call."""
        self._circuit.setConductances(conductances[self._order])
        return np.stack([self._circuit.solve(self._held, volts) for volts in inputs])
