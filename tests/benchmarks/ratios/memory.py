"""How much memory a solution takes: each side in a process of its own, its peak above what it began with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hwlearn as hl
from ratios.peers import crossbar_by_badcrossbar
from ratios.problems import WIRE_OHM, Crossbars


def peak_bytes() -> int:
    """Return the most memory that this process has held so far."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def above_baseline(side: str, size: int, samples: int) -> dict[str, int]:
    """Solve once and return the peak in bytes, and how far it lies above the peak before.

    A small array is solved first, so that neither imports nor compiled code count.
    """

    def solver(size: int, samples: int) -> Callable[[], object]:
        problem = Crossbars.of(size, size, samples, 1)
        if side == "badcrossbar":
            return crossbar_by_badcrossbar(problem.conductances[0], problem.volts, WIRE_OHM)
        return lambda: hl.solve_crossbar(problem.conductances[0], problem.volts, WIRE_OHM)

    solver(8, samples)()
    solve = solver(size, samples)
    before = peak_bytes()
    solve()
    return {"peak": peak_bytes(), "above": peak_bytes() - before}


def in_a_process(side: str, size: int, samples: int, *, numba: bool) -> dict[str, int]:
    """Return what `above_baseline` finds in a new process, with numba or without."""
    program = "" if numba else "import sys; sys.modules['numba'] = None; "
    program += f"import json; from ratios import memory; print(json.dumps(memory.above_baseline({side!r}, {size}, "
    program += f"{samples})))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
    )
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found
