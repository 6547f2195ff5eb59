"""Edges of a network on SMUs: fixed resistors, or an edge card that sets the conductances."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_drivers.edges.card import CardEdges as CardEdges
    from hwlearn_drivers.edges.card import EdgeCard as EdgeCard
    from hwlearn_drivers.edges.edges import Edges as Edges
    from hwlearn_drivers.edges.edges import FixedEdges as FixedEdges
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
