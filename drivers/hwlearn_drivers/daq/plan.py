"""`DaqPlan`: what a bench uses of a device; refuses a device that cannot serve it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hwlearn.errors import SetupError, closest
from hwlearn.units import format_quantity
from hwlearn_drivers.daq.facts import DeviceFacts, Range, narrowest, overlapping, range_text
from hwlearn_drivers.errors import UnknownInstrumentError


@dataclass(frozen=True, slots=True)
class DaqPlan:
    """What a bench uses of a device, and how.

    Attributes
    ----------
    sources, reads : tuple of str
        Analog outputs, and analog inputs in the order of the scan.
    lines : tuple of str
        Digital lines that are switches.
    closed_high : bool
        Whether a high level closes a switch.
    limit_V : float
        ``limits.voltage`` of the bench.
    configuration : str
        Terminal configuration of every input.
    ground_channel : str
        Input at ground that is scanned before each other one; empty for none.
    settle_s : float or None
        Time from one channel to the next; None: from ``source_ohm``.
    sets_settle : bool
        Whether this time is set; some devices do not let it be set.
    source_ohm : float
        Largest resistance of a node to its sources.
    samples : int or None
        Samples of each channel that a reading averages, or
    average_s : float or None
        the time over which it averages.
    sigma_V : float or None
        Standard uncertainty of a reading; None: from the data sheet, as far as it is known.
    timeout_s : float
        Time beyond the acquisition after which samples are late.
    product, serial : str
        As the bench expects them; empty: any.
    allow_simulated : bool
        Accept a device that NI-DAQmx only simulates.
    """

    sources: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    closed_high: bool = True
    limit_V: float = 0.0
    configuration: str = "RSE"
    ground_channel: str = ""
    settle_s: float | None = None
    sets_settle: bool = True
    source_ohm: float = 0.0
    samples: int | None = None
    average_s: float | None = 0.02
    sigma_V: float | None = None
    timeout_s: float = 3.0
    product: str = ""
    serial: str = ""
    allow_simulated: bool = False

    def expecting(self, facts: DeviceFacts) -> DaqPlan:
        """Return the plan for exactly this device, for a reconnection."""
        return replace(self, product=facts.product, serial=facts.serial)

    def check(self, called: str, facts: DeviceFacts) -> None:
        """Refuse a device that is not the expected one, or cannot serve the bench.

        Raises
        ------
        UnknownInstrumentError
            If another product or serial number answers, or the device is only simulated.
        SetupError
            Naming every channel, range and configuration that it lacks.
        """
        self._check_identity(called, facts)
        problems = list(self._problems(facts))
        if problems:
            raise SetupError(f"{called} (a {facts.product}): {'; '.join(problems)}")

    def output_range(self, facts: DeviceFacts) -> Range:
        """Return the narrowest output range that holds the limits, or as much of them as the device can."""
        found = narrowest(facts.output_ranges, self.limit_V) or overlapping(facts.output_ranges, self.limit_V)
        assert found is not None, "the plan was checked"
        return found

    def output_limits(self, facts: DeviceFacts) -> Range:
        """Return the range that NI-DAQmx allows: the limits of the bench, as far as the range holds them."""
        low, high = self.output_range(facts)
        return max(low, -self.limit_V), min(high, self.limit_V)

    def _check_identity(self, called: str, facts: DeviceFacts) -> None:
        for what, wanted, found in (
            ("product", self.product, facts.product),
            ("serial", self.serial, facts.serial),
        ):
            if wanted and wanted.strip().upper() != found.upper():
                raise UnknownInstrumentError(
                    f"{called}: the bench expects {what} = {wanted!r}, but the device is a {facts.product}, "
                    f"serial {facts.serial}; check its name in NI MAX; only 0 V was written to it"
                )
        if facts.simulated and not self.allow_simulated:
            raise UnknownInstrumentError(
                f"{called} is a device that NI-DAQmx simulates: its readings are made up; choose a real one, or "
                "set allow_simulated = true to try out the program"
            )

    def _problems(self, facts: DeviceFacts) -> Iterator[str]:
        listed = (("analog output", self.sources, facts.outputs), ("analog input", self.reads, facts.inputs))
        for what, wanted, there in (*listed, ("digital line", self.lines, facts.lines)):
            for channel in wanted:
                if channel not in there:
                    known = f"it has {_span(there)}" if there else "it has none"
                    yield f"there is no {what} {channel}{closest(channel, there)}; {known}"
        if self.sources and overlapping(facts.output_ranges, self.limit_V) is None:
            yield "no output range holds 0 V, which OFF needs"
        if self.reads:
            yield from self._input_problems(facts)

    def _input_problems(self, facts: DeviceFacts) -> Iterator[str]:
        if narrowest(facts.input_ranges, self.limit_V) is None:
            widest = max(facts.input_ranges, key=lambda one: one[1] - one[0], default=None)
            has = "none" if widest is None else range_text(widest)
            yield (
                f"no input range holds limits.voltage = ±{format_quantity(self.limit_V, 'V')}; its widest range "
                f"is {has}; lower the limit"
            )
        for channel in self.reads:
            can = facts.configurations.get(channel, ())
            if channel in facts.inputs and self.configuration not in can:
                why = ", because it is the negative input of a pair" if self.configuration == "DIFF" else ""
                yield (
                    f"{channel} cannot be read with terminal_configuration = {self.configuration!r}{why}; "
                    f"it can: {', '.join(can) or 'nothing'}"
                )
        if self.ground_channel and facts.simultaneous:
            yield "each input has a converter of its own: remove ground_channel"


def _span(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
