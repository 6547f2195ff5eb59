"""Template that `hwlearn init --like daq` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

DAQ: Final = Path(__file__).with_name("example.toml")
"""A commented bench file with two DAQ devices of NI."""
