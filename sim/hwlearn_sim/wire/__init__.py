"""Servers and sessions that connect virtual instruments to sockets and pseudo-terminals."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_sim.wire.faults import Fault as Fault
    from hwlearn_sim.wire.faults import Faults as Faults
    from hwlearn_sim.wire.session import Session as Session
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
