"""Virtual instruments, one file per model, and their command languages."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_sim.instruments.edge_card import VirtualEdgeCard as VirtualEdgeCard
    from hwlearn_sim.instruments.instrument import VirtualInstrument as VirtualInstrument
    from hwlearn_sim.instruments.models import MODELS as MODELS
    from hwlearn_sim.instruments.models import make_smu as make_smu
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
