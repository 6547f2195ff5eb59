"""``hwlearn calibrate --from-data``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import typer

from hwlearn.cli.outcome import FAILED, print_json
from hwlearn.units import format_quantity

_MOST_RESIDUAL: Final = 1.5  # in units of the noise
_MOST_READ_NOISE: Final = 0.2  # relative; noise above it would explain any data


def fit_devices(path: Path, model: str, output: Path | None, *, as_json: bool) -> None:
    """Fit a device model to measured pulses, print it, and write lines of a bench file for such devices.

    Raises
    ------
    SetupError, DataError
        If there is no such model, the file is wrong, or the snippet cannot be written.
    """
    from hwlearn.lab.device_fits import bench_snippet, fit_file
    from hwlearn.storage.atomic_file import write_atomically

    fit = fit_file(path, model)
    where = path.with_name(f"{path.stem}-{model}.toml") if output is None else output
    write_atomically(where.absolute(), bench_snippet(fit).encode())
    fits = math.isfinite(fit.residual) and fit.residual < _MOST_RESIDUAL
    passed = fits and fit.read_noise < _MOST_READ_NOISE
    undetermined = [name for name, determined in fit.determined.items() if not determined]
    if as_json:
        print_json(
            event="fit",
            model=model,
            values=dict(fit.values),
            sigma=dict(fit.sigma),
            determined=dict(fit.determined),
            residual=fit.residual,
            read_noise=fit.read_noise,
            cycle_spread=fit.cycle_spread,
            passed=passed,
            data=fit.origin,
            snippet=str(where),
        )
    else:
        typer.echo(f"{'data':<14}{fit.origin}")
        for name, value in fit.values.items():
            unit = fit.units.get(name, "")
            note = "" if fit.determined[name] else "   (hardly determined by the data)"
            typer.echo(f"{name:<14}{_text(value, unit):>14}  +- {_text(fit.sigma[name], unit, 2)}{note}")
        typer.echo(f"{'misfit':<14}{fit.residual:>14.2f}  expected 1")
        typer.echo(f"{'read noise':<14}{100 * fit.read_noise:>12.2f} %  of a reading")
        typer.echo(f"{'cycle spread':<14}{100 * fit.cycle_spread:>12.2f} %  of the dose of a pulse")
        if not fits:
            typer.echo(
                f"FAILED: the data deviate from {model} by {fit.residual:.1f} times the noise; try another model"
            )
        elif not passed:
            typer.echo(
                f"FAILED: {model} explains most of the data as noise ({100 * fit.read_noise:.0f} % of a reading); "
                "try another model"
            )
        elif undetermined:
            typer.echo(f"PASSED, except {', '.join(undetermined)}: measure more amplitudes of both polarities")
        else:
            typer.echo(f"PASSED: {model} explains the readings within their noise")
        typer.echo(f"bench file    {where}")
    if not passed:
        raise typer.Exit(FAILED)


def _text(value: float, unit: str, digits: int = 4) -> str:
    return format_quantity(value, unit, digits) if unit else f"{value:.{digits}g}"
