"""Small noisy benches of every simulated backend, to compare a resumed run with an uninterrupted one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

_BENCH: Final = """
[network]
kind = "random"
nodes = 7
edges = 12
inputs = 3
outputs = 2
seed = {graph}
{elements}

[limits]
voltage = "500 mV"
drop = "1 V"
nudge = "200 mV"
current = "{current}"
conductance = [{range}]
gate_voltage = ["400 mV", "8 V"]

[backend]
{backend}

[data]
source = "teacher"
samples = 6
amplitude = "400 mV"
{data}

[train]
{train}
"""

_SIM: Final = """kind = "sim"
seed = 3
read_noise = "1 mV"
current_noise = "10 nA"
"""

_MEMRISTORS: Final = """kind = "sim"
seed = 3
read_noise = "1 mV"
memristor.model = "{model}"
memristor.device_spread = 0.1
memristor.cycle_spread = 0.1
memristor.read_noise = 0.002
memristor.tolerance = 0.03
"""

_SMU: Final = """kind = "virtual-smu"
seed = 3
write_noise = 0.002
device_spread = 0.1
gain = 1e-3
model = {model}
"""

BACKENDS: Final = {
    "sim": _SIM,
    "sim writes": _SIM + "device_spread = 0.2\nwrite_noise = 0.003\nstuck_fraction = 0.1\nconductance_bits = 8",
    "sim drift": _SIM + "drift_per_sqrt_hour = 30.0\nsettle_tau = '10 us'\nsettle = '20 us'\naverages = 3",
    "sim converters": _SIM
    + "adc_bits = 12\nadc_range = '1 V'\ndac_bits = 12\ndac_range = '1 V'\nadc_gain = 0.002\nadc_offset = '1 mV'\n"
    + "dac_gain = 0.002\ndac_offset = '1 mV'\nsource_resistance = '50 ohm'\nnode_readout = true",
    "sim digipots": _SIM + "rheostat = {full = '100 kohm', wiper = '100 ohm'}\nwrite_noise = 0.002",
    "sim transistors": _SIM
    + "device_spread = {vto = '10 mV', kp = '0.5 %'}\nstuck_fraction = 0.1\n"
    + "write_noise = {gate_voltage = '1 mV', conductance = '1 %'}\nvalue_bits = {gate_voltage = 10}",
    "soft bounds": _MEMRISTORS.format(model="soft-bounds"),
    "soft bounds failing": _MEMRISTORS.format(model="soft-bounds")
    + "memristor.stuck_fraction = 0.1\nmemristor.endurance = 120\nmemristor.retention = '20 ms'\n"
    + "memristor.read_width = '1 us'",
    "vteam": _MEMRISTORS.format(model="vteam") + "memristor.retention = '1 s'",
    "2400": _SMU.format(model='"2400"'),
    "2450": _SMU.format(model='"2450"'),
    "2612B": _SMU.format(model='"2612B"'),
    "B2902A": _SMU.format(model='"B2902A"'),
    "mixed": _SMU.format(model='["2400", "2612B", "B2902A"]'),
    "board": 'kind = "virtual-board"\nwire = "tcp"\nseed = 3\n'
    + 'read_noise = "100 uV"\nwrite_noise = 0.002\ngain = 1e-3',
}
"""``[backend]`` tables of simulated benches with noise, by name."""

_TRANSISTORS: Final = """[[network.elements]]
edges = [0, 1, 2, 3, 5, 6, 7, 8, 9, 11]
element = { kind = "mosfet", vto = 0.75, kp = 6.2e-5, gamma = 1.1, lambda = 0.2, l = 8e-6, w = 138e-6 }
"""
"""Edges with transistors; the others are resistors."""

_RANGES: Final = {"soft": '"2 uS", "60 uS"', "vteam": '"2 uS", "60 uS"', "board": '"12 uS", "400 uS"'}


_TRAIN: Final = {"epochs": 3, "batch": 2, "kappa": 1e-4, "cost": "mse", "scale": "log", "rate": 0.05}


def write_bench(folder: Path, backend: str, *, graph: int = 5, data: str = "seed = 0", **train: object) -> Path:
    """Write a bench file for one of `BACKENDS` and return its path; ``train``: keys of its ``[train]``."""
    siemens = next((text for name, text in _RANGES.items() if backend.startswith(name)), '"1 uS", "100 uS"')
    keys = {"nudge": "resistor" if backend == "board" else "clamp", **_TRAIN, **train}
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
    path = folder / "bench.toml"
    is_mixed = backend == "sim transistors"
    text = _BENCH.format(
        graph=graph,
        elements=_TRANSISTORS if is_mixed else "",
        range=siemens,
        current="20 mA" if is_mixed else "1 mA",
        backend=BACKENDS[backend],
        data=data,
        train=lines,
    )
    path.write_text(text, encoding="utf-8")
    return path
