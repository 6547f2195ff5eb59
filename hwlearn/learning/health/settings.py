"""`HealthSettings`: what a training does about the health of its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hwlearn.errors import SetupError
from hwlearn.units import is_count, is_number


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """What a training does about the health of its gradient.

    Parameters
    ----------
    action : "warn", "stop" or "off"
        At the first alarm: warn, or warn and end the training after that epoch; or watch nothing.
    device_error : float
        Stated relative error of the devices against the model, one standard deviation. Limits follow from it.
    every : int
        Epochs between two additional measurements of a rule that nudges with one sign: the other sign, on at most
        16 samples. 0: never. Rules that nudge with both signs need none.

    Raises
    ------
    SetupError
        If a value is out of range.
    """

    action: Literal["warn", "stop", "off"] = "warn"
    device_error: float = 0.2
    every: int = 10

    def __post_init__(self) -> None:
        if self.action not in ("warn", "stop", "off"):
            raise SetupError(f"health must be 'warn', 'stop' or 'off', got {self.action!r}")
        if not (is_number(self.device_error) and self.device_error >= 0):
            raise SetupError(f"device_error is {self.device_error!r}; it must be zero or a positive number")
        if not is_count(self.every, 0):
            raise SetupError(f"health_every is {self.every!r}; it must be a whole number of at least 0")
