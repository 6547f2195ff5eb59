"""The law of edge codes as keys of a bench file."""

from __future__ import annotations

from hwlearn.network.edge_codes import CodeLaw, Rheostat


def law_keys(law: CodeLaw) -> str:
    """Return the keys of the table ``edges`` of a bench file that state a law."""
    if isinstance(law, Rheostat):
        return f"full = {law.full_ohm!r}, wiper = {law.wiper_ohm!r}, positions = {law.positions}"
    low, high = law.siemens_range
    if law.unit == "V":
        return f"gate = [{low!r}, {high!r}], positions = {law.positions}"
    return f"linear = [{low!r}, {high!r}], positions = {law.positions}"
