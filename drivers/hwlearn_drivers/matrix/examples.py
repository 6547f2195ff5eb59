"""Template that `hwlearn init --like matrix` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MATRIX: Final = Path(__file__).with_name("example.toml")
"""A commented bench file: one source-measure unit and a switch matrix."""
