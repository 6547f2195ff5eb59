"""Virtual switch matrices for the driver tests: what they are wired to, and what they are sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hwlearn.circuit.topology import Topology
from hwlearn_drivers.matrix.matrix import MatrixUse, SwitchMatrix
from hwlearn_drivers.matrix.registry import open_matrix
from hwlearn_drivers.roles.values import ChannelUse, Crosspoint
from hwlearn_drivers.transport.connector import Connector
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.placed import PlacedMatrix, PlacedSmu, RelayParts

GRAPH = Topology(5, [(0, 2), (1, 2), (2, 3), (3, 4)], inputs=[0, 1], outputs=[2, 3], ground=4)
SIEMENS = (1e-4, 2e-4, 3e-4, 4e-4)

CARDS: Mapping[str, Mapping[int, str]] = {
    "707B": {1: "7174A", 2: "7174A"},
    "708B": {1: "7072"},
    "3706A matrix": {1: "3730"},
    "7001": {1: "7012-S"},
    "B2200A": {1: "B2210A", 2: "B2210A"},
}
"""A set of cards for each model."""

ROWS = {model: ("A", "B", "C") if model in ("707B", "708B") else ("1", "2", "3") for model in CARDS}


class MatrixRig:
    """A matrix with an SMU at its first two rows, the ground line at the third, and nodes at columns 1 to 4."""

    def __init__(self, model: str = "707B", parts: RelayParts | None = None, **options: Any) -> None:
        self.model, self.rows = model, ROWS[model]
        self.cards = dict(CARDS[model])
        columns = {str(k + 1): k for k in range(4)}
        matrix = PlacedMatrix(
            "mat1",
            model,
            self.cards,
            self.rows,
            columns,
            grounded=self.rows[2:],
            relays=RelayParts() if parts is None else parts,
        )
        smu = PlacedSmu("smu1", "B2902A", tuple(matrix.row_node(row) for row in self.rows[:2]))
        self.bench = VirtualBench(
            GRAPH, [smu, matrix], conductances=SIEMENS, meters=Meters(noise=0.0), **options
        ).start()
        carried = ("smu1:a", "smu1:b", "ground")
        self.use = MatrixUse(
            self.cards,
            200.0,
            1e-3 if model == "7001" else 0.0,
            channels=ChannelUse(
                rows=dict(zip(self.rows, carried, strict=True)), columns={k: f"n{n}" for k, n in columns.items()}
            ),
        )
        self.heard: list[str] = []
        self._record(self.bench.instrument("mat1"))

    def fresh(self) -> MatrixRig:
        """Return it as new: no faults, every relay open, nothing heard."""
        relays = self.relays
        for point in list(relays.faults):
            relays.set_fault(point, None)
        relays.move(list(relays.closed), ())
        relays.settle()
        relays.moves, relays.hot_V, relays.hot_A = 0, 0.0, 0.0
        relays.hot_moves.clear()
        self.heard.clear()
        return self

    @property
    def address(self) -> str:
        return self.bench.address("mat1")

    @property
    def relays(self) -> Any:
        return self.bench.instrument("mat1").relays  # type: ignore[attr-defined]

    def open(self, connector: Connector | None = None, use: MatrixUse | None = None) -> SwitchMatrix:
        return open_matrix(self.address, self.model, self.use if use is None else use, connector)

    def point(self, row: int, column: int) -> Crosspoint:
        """Return the crosspoint of row 0, 1 or 2."""
        return Crosspoint(self.rows[row], str(column))

    def name(self, row: int, column: int) -> str:
        """Return the name that the instrument has for a crosspoint."""
        letter = self.rows[row]
        if self.model == "7001":
            return f"1!{letter}!{column}"
        return f"0{int(letter):02d}{column:02d}" if self.model.startswith("B22") else f"1{letter}{column:02d}"

    @property
    def asks(self) -> list[bool]:
        """Whether each message that was heard is a query."""
        return ["?" in text or text.startswith("print(") for text in self.heard]

    def drive(self, channel: int, volts: float) -> None:
        """Let a channel of the SMU be a voltage source, bypassing its connection."""
        smu = self.bench.instrument("smu1").channels[channel]  # type: ignore[attr-defined]
        smu.settings.function = "voltage"
        smu.settings.levels["voltage"] = volts
        smu.settings.limits["current"] = 0.1
        smu.set_output(True)

    def _record(self, instrument: Any) -> None:
        execute = instrument.execute

        def recorded(message: bytes) -> bytes:
            self.heard.append(message.decode("latin-1").strip())
            return execute(message)

        instrument.execute = recorded


@contextmanager
def matrix_rig(model: str = "707B", parts: RelayParts | None = None, **options: Any) -> Iterator[MatrixRig]:
    """Serve a rig."""
    rig = MatrixRig(model, parts, **options)
    try:
        yield rig
    finally:
        rig.bench.close()
