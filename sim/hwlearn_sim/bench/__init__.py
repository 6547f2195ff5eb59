"""Virtual benches: virtual instruments and boards on one simulated circuit."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_sim.bench.bench import VirtualBench as VirtualBench
    from hwlearn_sim.bench.board_backend import VirtualBoardBackend as VirtualBoardBackend
    from hwlearn_sim.bench.board_backend import VirtualBoardSettings as VirtualBoardSettings
    from hwlearn_sim.bench.network import VirtualNetwork as VirtualNetwork
    from hwlearn_sim.bench.smu_backend import VirtualSmuBackend as VirtualSmuBackend
    from hwlearn_sim.bench.smu_backend import VirtualSmuSettings as VirtualSmuSettings
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
