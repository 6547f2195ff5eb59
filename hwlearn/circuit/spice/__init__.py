"""SPICE netlists: read and write."""

from hwlearn.circuit.spice.netlist import Netlist, read_spice, spice_text, write_spice

__all__ = ["Netlist", "read_spice", "spice_text", "write_spice"]
