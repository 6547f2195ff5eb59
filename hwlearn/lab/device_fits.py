"""Registry of device models that can be fitted to measured pulses: the entry points ``hwlearn.device_fits``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from hwlearn.errors import SetupError, closest
from hwlearn.installed import entry_points
from hwlearn.storage.toml_text import toml_text

GROUP: Final = "hwlearn.device_fits"


class DeviceFit(Protocol):
    """Result that a plugin returns for a file of measured pulses."""

    @property
    def values(self) -> Mapping[str, float]:
        """Parameters by name."""

    @property
    def sigma(self) -> Mapping[str, float]:
        """Standard uncertainties of the parameters."""

    @property
    def determined(self) -> Mapping[str, bool]:
        """Whether the data determine each parameter; if not, its value depends on the start of the search."""

    @property
    def units(self) -> Mapping[str, str]:
        """Units of the parameters; empty for a plain number."""

    @property
    def residual(self) -> float:
        """Root mean square of (predicted - measured) in units of the stated noise; 1 if the model fits."""

    @property
    def read_noise(self) -> float:
        """Estimated relative standard deviation of a reading."""

    @property
    def cycle_spread(self) -> float:
        """Estimated relative standard deviation of the dose of one pulse."""

    @property
    def table(self) -> Mapping[str, object]:
        """Value of the key ``memristor`` of ``[backend]`` for such devices."""

    @property
    def origin(self) -> str:
        """How the file was read, in one line for a person: its dialect and the number of rows."""


def device_fits() -> dict[str, Callable[[Path], DeviceFit]]:
    """Return the installed fits by the name of their model; each is loaded at its first call.

    Each takes the path of a CSV file and returns a `DeviceFit`.
    """

    def later(load: Callable[[], Callable[[Path], DeviceFit]]) -> Callable[[Path], DeviceFit]:
        return lambda path: load()(path)

    return {point.name: later(point.load) for point in entry_points(group=GROUP)}


def fit_file(path: Path, model: str) -> DeviceFit:
    """Fit a model to a file of measured pulses.

    Raises
    ------
    SetupError
        If no such model is installed.
    DataError
        If the file cannot be read, or the model does not fit it at all.
    """
    known = device_fits()
    if model not in known:
        installed = ", ".join(sorted(known)) or "none"
        raise SetupError(
            f"there is no device model {model!r}{closest(model, list(known))}; installed are: {installed}"
        )
    return known[model](path)


def bench_snippet(fit: DeviceFit) -> str:
    """Return the lines of a bench file for devices like the fitted one.

    Raises
    ------
    SetupError
        If the plugin's table cannot be written as TOML.
    """
    return toml_text({"backend": {"kind": "sim", "memristor": fit.table}})
