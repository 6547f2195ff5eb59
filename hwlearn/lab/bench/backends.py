"""Find the backend plugin that a bench file names, in the entry-point group ``hwlearn.backends``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import EntryPoint, distributions
from typing import Any

from pydantic import BaseModel

from hwlearn import early_exit
from hwlearn.circuit.topology import Topology
from hwlearn.errors import MAY_BE_ON, HwlearnError, NetworkError, SetupError, closest
from hwlearn.installed import entry_points
from hwlearn.lab.bench_file.file import BenchFile
from hwlearn.lab.bench_file.sections import BackendSection, checked_section
from hwlearn.network.backend import Backend, ChecksSettings, ChecksWiring, ReportsState, SwitchesOff
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network
from hwlearn.network.opened import check_opened
from hwlearn.network.reports import InstrumentReport
from hwlearn.network.switched_off import SwitchedOff, SwitchOffError

GROUP = "hwlearn.backends"


def backend_names() -> list[str]:
    """Return the kinds of backend that are installed."""
    return sorted({point.name for point in _points()})


def backend_settings() -> dict[str, type[BaseModel]]:
    """Return the settings of each installed backend by its kind, without backends that cannot be loaded."""
    found = {}
    for point in sorted(_points(), key=lambda point: point.name):
        with suppress(SetupError):
            found[point.name] = _loaded(point, "schema").Settings
    return found


def find_backend(table: Mapping[str, Any], where: str) -> tuple[Backend, BaseModel]:
    """Return the backend of a ``[backend]`` table and its checked settings.

    Parameters
    ----------
    table : mapping
        ``kind`` and that backend's own settings.
    where : str
        Name of the bench in error messages.

    Raises
    ------
    SetupError
        If no such backend is installed, the plugin cannot be loaded or is no `Backend`, or a setting is wrong.
    """
    kind = checked_section(BackendSection, table, "backend", where).kind
    points = [point for point in _points() if point.name == kind]
    if not points:
        known = backend_names()
        raise SetupError(
            f"{where}: unknown backend.kind = {kind!r}{closest(kind, known)}; installed are: {', '.join(known)}"
        )
    backend = _loaded(points[0], where)
    settings = {key: value for key, value in table.items() if key != "kind"}
    checked = checked_section(backend.Settings, settings, "backend", where)
    if isinstance(backend, ChecksSettings):
        try:
            backend.check(checked)
        except SetupError as error:
            raise SetupError(f"{where}: {error}") from None
    return backend, checked


def check_guardian(backend: object, file: BenchFile) -> None:
    """Refuse ``safety.guardian`` for a backend without outputs that must be switched off.

    Raises
    ------
    SetupError
        If there is nothing to guard.
    """
    if file.safety.guardian and not isinstance(backend, SwitchesOff):
        raise SetupError(
            f"{file.where}: safety.guardian = true, but backend {file.backend.kind!r} has no outputs that "
            "stay on when its process ends; remove the key"
        )


def check_terminals(
    backend: Backend, settings: BaseModel, topology: Topology, limits: Limits, file: BenchFile
) -> None:
    """Refuse, before anything is opened, what the hardware of a bench cannot do, if its backend can tell.

    Raises
    ------
    SetupError
        Naming everything that is missing, with what it rules out.
    """
    if isinstance(backend, ChecksWiring):
        try:
            backend.check_wiring(
                settings, topology, limits, file.train.nudge if file.train.rule == "gep" else None
            )
        except SetupError as error:
            raise SetupError(f"{file.where}: {error}") from None


@contextmanager
def reported_errors(what: str) -> Iterator[None]:
    """Report what a plugin raises in this block as a `NetworkError`; errors of this package pass unchanged."""
    try:
        yield
    except HwlearnError:
        raise
    except Exception as error:  # a plugin may raise anything
        raise NetworkError(f"{what}: {str(error) or type(error).__name__}") from error


def opened_network(
    backend: Backend, settings: BaseModel, topology: Topology, limits: Limits, file: BenchFile
) -> Network:
    """Return the network that a backend opens for a bench file, checked, with its outputs off.

    Raises
    ------
    NetworkError
        If it cannot be opened, or what the backend opened does not fit the bench; see `check_opened`.
    """
    with reported_errors(f"{file.where}: backend {file.backend.kind!r} cannot be opened"):
        early_exit.work_begins()
        return check_opened(backend.open(settings, topology, limits), topology, limits)


class UnusableBackend(SetupError):
    """A backend that is installed and cannot be used: it cannot be loaded, or is no `Backend`."""


def switch_off(backend: SwitchesOff, settings: BaseModel, where: str) -> list[SwitchedOff]:
    """Send OFF to every output of a backend.

    Returns
    -------
    list of SwitchedOff
        How OFF reached each instrument, as far as the backend reports it.

    Raises
    ------
    SwitchOffError
        If it raises anything, also Ctrl-C: outputs may be on.
    """
    try:
        early_exit.work_begins()
        found: object = backend.off(settings)
    except BaseException as error:  # a plugin may raise anything
        text = str(error) if isinstance(error, HwlearnError) else f"OFF failed: {_reason(error)}"
        text = text if MAY_BE_ON in text else f"{MAY_BE_ON}: {where}: {text}"
        raise SwitchOffError(text, error.done if isinstance(error, SwitchOffError) else ()) from error
    return [one for one in found if isinstance(one, SwitchedOff)] if isinstance(found, list | tuple) else []


def read_status(backend: ReportsState, settings: BaseModel, where: str) -> list[InstrumentReport]:
    """Return the state of every instrument of a backend; nothing is set.

    Raises
    ------
    NetworkError
        If the backend fails, or returns something else than reports.
    """
    with reported_errors(f"{where}: the state cannot be read"):
        early_exit.work_begins()
        found = list(backend.status(settings))
        if not all(isinstance(one, InstrumentReport) for one in found):
            raise TypeError(f"status() returned {found!r:.80}, which are no InstrumentReports")
        return found


def _points() -> list[EntryPoint]:
    """Return the installed backends, those of this package first: no other package can replace them."""
    try:
        found = entry_points(group=GROUP)
    except Exception:  # one damaged package must not prevent `hwlearn off` of another backend
        found = []
        for package in distributions():
            with suppress(Exception):
                found += [point for point in package.entry_points if point.group == GROUP]
    return sorted(
        found, key=lambda point: not getattr(point, "value", "").startswith(("hwlearn_drivers.", "hwlearn_sim."))
    )


def _reason(error: BaseException) -> str:
    return f"it exits with {error.code}" if isinstance(error, SystemExit) else str(error) or type(error).__name__


def _loaded(point: EntryPoint, where: str) -> Backend:
    """Return an instance of the plugin's class, checked against `Backend`."""
    try:
        backend = point.load()()
    except (Exception, SystemExit) as error:  # a plugin may raise anything
        raise UnusableBackend(f"{where}: backend {point.name!r} cannot be loaded: {_reason(error)}") from error
    unusable = f"{where}: backend {point.name!r} is not usable: {type(backend).__name__}"
    lacks = [name for name in ("Settings", "open") if not hasattr(backend, name)]
    if lacks:
        raise UnusableBackend(f"{unusable} has no {' and no '.join(lacks)}; see hwlearn.network.backend.Backend")
    if not (isinstance(backend.Settings, type) and issubclass(backend.Settings, BaseModel)):
        raise UnusableBackend(
            f"{unusable}.Settings is no pydantic model; derive it from hwlearn.quantities.Section"
        )
    checked: Backend = backend
    return checked
