"""Results of the joint estimate: converters, edges and wires, with their intervals."""
