"""The maker's published example scripts of the Series 2600 on virtual instruments.

Fetch the public repository ``tektronix/keithley`` and give its folder of the series::

    python tests/campaigns/published_scripts.py keithley/Instrument_Examples/Series_2600

Each script (``*.tsp``) is loaded and run on a new virtual instrument; functions that some only define are called.
A script **runs** if it reaches its end. It is **refused by name** if it ends with an error that names what the
virtual instrument does not model. Errors of settings that the script itself makes are counted beside: the
instrument reports them and goes on. Scripts for the Models 2651A, 2657A and 2601B-PULSE are listed apart.
Ends with exit code 1 if fewer than 55 of the others run, or if one fails in another way than `OWN_FAULTS`.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwlearn.circuit.topology import Topology
from hwlearn_sim.instruments.instrument import VirtualInstrument
from hwlearn_sim.instruments.models import make_smu
from hwlearn_sim.placed import PlacedSmu
from hwlearn_sim.plane.plane import AnalogPlane

ASKED = 55
MODELS = ("2602B", "2612B")
OTHER_INSTRUMENTS = ("265xA", "2601B_PULSE")
"""Folders of scripts for instruments of other command sets."""

OWN_FAULTS = {"functions.tsp": "concatenates a variable that it never sets"}
"""Scripts that end with an error on the instrument too."""

CALLS = {
    "KE26XXB_DC_Sweeps.tsp": (
        "DCSweepVLinear(0, 1, 3, 1e-2, 1)",
        "DCSweepVLog(0.1, 1, 3, 1e-2, 0.1)",
        "DCSweepVList({0.1, 0.3, 0.2}, 3, 1e-2, 0.1)",
        "DCSweepILinear(0, 1e-3, 3, 5, 1)",
        "DCSweepILog(1e-5, 1e-3, 3, 5, 1)",
        "DCSweepIList({1e-5, 1e-3}, 2, 5, 1)",
    ),
    "KE26XXB_AC_Waveform_Sweep.tsp": ("AC_Waveform_Sweep(1, 1, 60, 0.1)",),
    "26xxA_Check_for_Overrun.tsp": ("CheckForOverRun(localnode)",),
}
"""Calls of functions that scripts only define."""


@dataclass(frozen=True)
class Outcome:
    """What became of one script."""

    result: str
    own_errors: int = 0
    detail: str = ""
    seconds: float = 0.0


def instrument(model: str) -> VirtualInstrument:
    """Return an instrument at two resistors of 1 kohm in series."""
    plane = AnalogPlane(Topology(3, [(0, 1), (1, 2)], inputs=[1], outputs=[2], ground=0), [1e-3, 1e-3])
    return make_smu(PlacedSmu("smu", model, (1, 2)), plane, np.random.default_rng(0))


def run(path: Path, model: str) -> Outcome:
    """Load and run one script."""
    one, start = instrument(model), time.perf_counter()
    text = path.read_bytes().replace(b"\r\n", b"\n")
    for line in (b"loadandrunscript", *text.split(b"\n"), b"endscript"):
        one.execute(line)
    for call in CALLS.get(path.name, ()):
        one.execute(call.encode())
    errors = [one.errors.next() for _ in range(len(one.errors))]
    seconds = time.perf_counter() - start
    ending = [message for code, message in errors if code in (-285, -286)]
    if not ending:
        return Outcome("runs", len(errors), seconds=seconds)
    named = "is not modelled" in ending[0] or "belongs to the Model" in ending[0]
    return Outcome("refused by name" if named else "fails", len(errors) - len(ending), ending[0], seconds)


def best(path: Path) -> Outcome:
    """Run a script on each model; return the first outcome without errors, or the first one."""
    outcomes = [run(path, model) for model in MODELS]
    return next((one for one in outcomes if one.result == "runs"), outcomes[0])


def main() -> int:
    """Run all scripts of a folder and print their outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    scripts = sorted(folder.rglob("*.tsp"))
    if not scripts:
        sys.exit(f"{folder} has no scripts (*.tsp); fetch the repository tektronix/keithley")
    counts: dict[tuple[str, str], int] = {}
    unexpected = []
    for path in scripts:
        place = path.relative_to(folder)
        outcome = best(path)
        group = "other instruments" if place.parts[0] in OTHER_INSTRUMENTS else "series 2600"
        counts[group, outcome.result] = counts.get((group, outcome.result), 0) + 1
        own = f", {outcome.own_errors} errors of its own settings" if outcome.own_errors else ""
        print(f"{outcome.result:16} {outcome.seconds:5.2f} s  {place}{own}  {outcome.detail[:120]}")
        if outcome.result == "fails" and path.name not in OWN_FAULTS:
            unexpected.append(place)
    for group in ("series 2600", "other instruments"):
        found = {result: count for (of, result), count in counts.items() if of == group}
        print(f"{group}: {sum(found.values())} scripts: " + ", ".join(f"{n} {what}" for what, n in found.items()))
    enough = counts.get(("series 2600", "runs"), 0) >= ASKED
    return 0 if enough and not unexpected else 1


if __name__ == "__main__":
    sys.exit(main())
