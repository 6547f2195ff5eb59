"""Templates that `hwlearn init --like NAME` writes."""

from __future__ import annotations

from typing import Final

from hwlearn_drivers.declared.declaration import BOARDS

DECLARED: Final = BOARDS / "example.toml"
"""A commented text protocol of a home-made board."""
