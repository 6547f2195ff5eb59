"""Speed of scripts on a virtual Keithley 2612B, beside an earlier commit.

Give the commit before the Lua interpreter, or none for this tree alone::

    python tests/campaigns/script_speed.py --before a426a13

Prints the time of a loop of 100,000 turns, of an endless loop until it is aborted, and of the reading message that
the driver of this project sends. Ends with exit code 1 if the loop is not 100 times faster than before, or if an
endless loop takes more than 2 s of processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).parents[2]
ASKED_RATIO, ASKED_S = 100.0, 2.0
MEASURE = """
import json, time
import numpy as np
from hwlearn.circuit.topology import Topology
from hwlearn_sim.instruments.models import make_smu
from hwlearn_sim.placed import PlacedSmu
from hwlearn_sim.plane.plane import AnalogPlane

plane = AnalogPlane(Topology(3, [(0, 1), (1, 2)], inputs=[1], outputs=[2], ground=0), [1e-3, 1e-3])
one = make_smu(PlacedSmu("smu", "2612B", (1, 2)), plane, np.random.default_rng(0))

def best(message, count, repeats):
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        for _ in range(count):
            one.execute(message)
        times.append((time.thread_time() - start) / count)
    return min(times)

node = "smua.source."
state = ",".join(node + name for name in ("compliance", "output", "func", "levelv", "limiti"))
one.execute(b"smua.source.levelv=0.5 smua.source.output=1")
found = {"loop": best(b"s=0 for i=1,100000 do s=s+i end", 1, 5)}
found["reading"] = best(f"local i,v=smua.measure.iv() print(i,v,{state},errorqueue.count)".encode(), 500, 7)
assert not len(one.errors)
found["endless"] = best(b"while true do end", 1, 1)
print(json.dumps(found))
"""


def measured(tree: Path) -> dict[str, float]:
    """Return the times of a tree in seconds."""
    path = os.pathsep.join(str(tree / part) for part in ("", "drivers", "sim"))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        env=os.environ | {"PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", help="commit to compare with")
    before = parser.parse_args().before
    now = measured(ROOT)
    print("now     " + "  ".join(f"{name} {seconds * 1e3:.3f} ms" for name, seconds in now.items()))
    good = now["endless"] < ASKED_S
    if before:
        archive = subprocess.run(["git", "archive", before], cwd=ROOT, check=True, capture_output=True).stdout
        with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=BytesIO(archive)) as packed:
            packed.extractall(folder, filter="data")
            earlier = measured(Path(folder))
        print("before  " + "  ".join(f"{name} {seconds * 1e3:.3f} ms" for name, seconds in earlier.items()))
        ratio = earlier["loop"] / now["loop"]
        reading = now["reading"] / earlier["reading"]
        print(f"the loop is {ratio:.0f} times faster, a reading takes {reading:.2f} of the time before")
        good = good and ratio >= ASKED_RATIO
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
