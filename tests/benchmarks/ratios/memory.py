"""Memory of a solution: the peak of a separate process above its initial memory, for each side."""

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
    """Return the peak memory of this process so far, in bytes."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def above_baseline(side: str, size: int, samples: int) -> dict[str, int]:
    """Solve once and return the peak in bytes, and its increase by this solution.

    A small array is solved first, so that imports and compilation do not count.
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
    """Return the result of `above_baseline` in a new process, with numba or without."""
    program = "" if numba else "import sys; sys.modules['numba'] = None; "
    program += f"import json; from ratios import memory; print(json.dumps(memory.above_baseline({side!r}, {size}, "
    program += f"{samples})))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
    )
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found
