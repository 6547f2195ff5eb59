"""Template that `hwlearn init --like smu` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SMU: Final = Path(__file__).with_name("smu_example.toml")
"""A commented bench file: every terminal on a channel of a source-measure unit."""
