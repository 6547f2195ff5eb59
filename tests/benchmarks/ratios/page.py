"""The table of ratios in docs/performance.md, written from docs/performance.json."""

from __future__ import annotations

from pathlib import Path

from ratios.rows import ROWS, Measured, Row

DOCS = Path(__file__).parents[3] / "docs"
PAGE, DATA = DOCS / "performance.md", DOCS / "performance.json"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

Results = dict[str, dict[str, Measured | None]]
"""Results of each row by key: ``plain`` without numba, ``fast`` with numba; None if the peer is missing."""


def table(measured: Results) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| work | peer | the peer's | ours | ratio | required | ours with `fast` | ratio | required |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(row, measured[row.key]) for row in ROWS if row.key in measured]
    return "\n".join(lines)


def rewritten(page: str, measured: Results, machine: dict[str, str]) -> str:
    """Return the page with a new table and machine between its marks."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    where = "Measured with " + ", ".join(f"{name} {value}" for name, value in machine.items()) + "."
    return f"{before}{BEGIN}\n{table(measured)}\n\n{where}\n{END}{after}"


def _line(row: Row, found: dict[str, Measured | None]) -> str:
    plain, fast = found.get("plain"), found.get("fast") if row.by_numba else None
    either = plain or fast
    their = "missing" if either is None else _amount(row, either.get("theirs"))
    cells = [row.work, row.peer, their]
    for measured, required in ((plain, row.required(fast=False)), (fast, row.required(fast=True))):
        if measured is None:
            cells += ["-", "-", "-"]
            continue
        value = _reached(row, measured[row.quantity])
        wanted = (
            "-" if required is None else f"{'<=' if row.maximum is not None else '>='} {_reached(row, required)}"
        )
        mine = _amount(row, measured.get("ours"))
        missed = row.shortfall(measured, fast=measured is fast)
        cells += [mine, f"**{value}, missed**" if missed else value, wanted]
    return "| " + " | ".join(cells) + " |"


def _reached(row: Row, value: float) -> str:
    if row.quantity == "points":
        return f"{value:+.2g} points"
    if row.quantity == "exponent":
        return f"exponent {value:.2f}"
    return f"{value:.0f}" if value >= 20 else f"{value:.3g}"


def _amount(row: Row, value: float | None) -> str:
    if value is None:
        return "-"
    if row.quantity == "points":
        return f"{value:.4f}"
    if row.key.startswith("memory"):
        return f"{value / 1e6:.0f} MB"
    return (
        f"{value:.2f} s" if value >= 1 else f"{1e3 * value:.3g} ms" if value >= 1e-3 else f"{1e6 * value:.0f} us"
    )
