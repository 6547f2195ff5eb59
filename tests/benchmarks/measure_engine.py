"""Measure the engine against its peers and write docs/performance.json and the table of docs/performance.md.

``python tests/benchmarks/measure_engine.py`` measures every row; with names it measures
these and keeps the rest.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys

from ratios import alone, page
from ratios.page import Results
from ratios.rows import ROWS


def machine() -> dict[str, str]:
    """Return the versions and cores on which the figures depend."""
    named = {"Python": platform.python_version(), "cores": str(os.cpu_count())}
    for package in ("numpy", "scipy", "numba", "badcrossbar", "pyrkm"):
        if importlib.util.find_spec(package) is not None:
            named[package] = importlib.metadata.version(package)
    return named


def main() -> int:
    """Measure, print and write; the exit code is 1 if a requirement is missed."""
    keys = [row.key for row in ROWS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"default: all of {', '.join(keys)}")
    parser.add_argument("--dry-run", action="store_true", help="print, write nothing")
    parser.add_argument("--page", action="store_true", help="write the table from the JSON without measuring")
    options = parser.parse_args()
    unknown = set(options.rows) - set(keys)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(keys)}")
    measured: Results = {}
    with_numba = importlib.util.find_spec("numba") is not None
    missed = 0
    for row in ROWS:
        if options.page or (options.rows and row.key not in options.rows):
            continue
        measured[row.key] = {}
        for variant in ("plain", "fast") if with_numba and row.by_numba else ("plain",):
            fast = variant == "fast"
            try:
                found = alone.run(row.key, fast=fast)
            except LookupError as missing:
                print(f"{row.key:18} {variant:6} {missing}")
                measured[row.key][variant] = None
                continue
            measured[row.key][variant] = found
            shortfall = row.shortfall(found, fast=fast)
            missed += shortfall is not None
            shown = {name: float(f"{value:.3g}") for name, value in found.items()}
            print(f"{row.key:18} {variant:6} {shown} {shortfall or ''}", flush=True)
    if not options.dry_run:
        data = json.loads(page.DATA.read_text(encoding="utf-8")) if page.DATA.exists() else {"measured": {}}
        known = data["measured"] | measured
        measured = {key: known[key] for key in keys if key in known}
        where = data["machine"] if options.page else machine()
        text = json.dumps({"machine": where, "measured": measured}, indent=1)
        page.DATA.write_text(text + "\n", encoding="utf-8")
        now = page.rewritten(page.PAGE.read_text(encoding="utf-8"), measured, where)
        page.PAGE.write_text(now, encoding="utf-8")
    return missed > 0


if __name__ == "__main__":
    sys.exit(main())
