"""Templates that `hwlearn init --like NAME` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SCANNER: Final = Path(__file__).with_name("example.toml")
"""A commented bench file: voltage sources of a board, read by a scanning voltmeter."""
