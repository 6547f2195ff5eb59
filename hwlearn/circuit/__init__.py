"""Circuit model: graphs, Kirchhoff's laws, gradients; imports neither hardware nor learning code."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.circuit.crossbar.solution import solve_crossbar as solve_crossbar
    from hwlearn.circuit.kirchhoff import Kirchhoff as Kirchhoff
    from hwlearn.circuit.loops import projector as projector
    from hwlearn.circuit.solver import OperatingPoint as OperatingPoint
    from hwlearn.circuit.spice.netlist import Netlist as Netlist
    from hwlearn.circuit.spice.netlist import read_spice as read_spice
    from hwlearn.circuit.spice.netlist import write_spice as write_spice
    from hwlearn.circuit.topology import Topology as Topology
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
