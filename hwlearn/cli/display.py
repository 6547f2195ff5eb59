"""A training in the terminal: the table at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from rich.table import Table

from hwlearn.lab.bench.evaluation import Evaluation
from hwlearn.lab.data.scaling import OutputScale
from hwlearn.lab.progress.terminal import score_text
from hwlearn.learning.records import History
from hwlearn.network.network import Network
from hwlearn.units import format_quantity


def closing_table(
    result: Evaluation | None,
    history: History,
    seconds: float,
    measurements: int,
    scale: OutputScale | None = None,
) -> Table:
    """Return the table that ends a training.

    Parameters
    ----------
    result : Evaluation or None
        The final evaluation; None if the training was interrupted.
    history : History
    seconds : float
        Duration of this session.
    measurements : int
        Of this session.
    scale : OutputScale, optional
        Scale of the targets, to show errors in the user's own unit.
    """
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    if result is not None:
        rows = f"{result.rows} {'held-out' if result.held_out else 'training'} samples"
        table.add_row("measured", f"[bold]{score_text(result.measured, scale)}[/bold] on {rows}")
        if result.true is not None:
            table.add_row("true", f"{score_text(result.true, scale)} (known only to the simulator)")
    best = next((epoch for epoch in history.epochs if epoch.number == history.best_epoch), None)
    if best is not None:
        kind = "training" if best.validation is None else "validation"
        found = score_text(best.validation or best.train, scale)
        table.add_row("best epoch", f"{best.number + 1} of {len(history.epochs)}: {found} on {kind} samples")
    for parameter, values in history.by_parameter():
        ends = (format_quantity(value, parameter.unit) for value in (values.min(), values.max()))
        table.add_row(f"{parameter.name}s", " to ".join(ends))
    table.add_row("training", f"{history.stopped} after {len(history.epochs)} epochs, {seconds:.1f} s")
    table.add_row("measurements", f"{measurements:,}")
    return table


@dataclass(frozen=True, slots=True)
class RelayWear:
    """Relay moves since a network was opened.

    Attributes
    ----------
    moves : int or None
        None for a network without relays.
    samples : int
        Samples that were measured meanwhile.
    """

    moves: int | None
    samples: int

    @classmethod
    def of(cls, network: Network) -> Self:
        """Return the moves and samples of a network until now."""
        return cls(network.relay_moves, network.measurements)

    def facts(self) -> dict[str, int | float]:
        """Return them for a run and for JSON; empty without relays."""
        if self.moves is None:
            return {}
        return {"relay_moves": self.moves, "relay_moves_per_sample": round(self.moves / max(1, self.samples), 4)}

    def text(self) -> str:
        """Return them for a person."""
        return f"{self.moves:,} in this session, {(self.moves or 0) / max(1, self.samples):.2f} per sample"
