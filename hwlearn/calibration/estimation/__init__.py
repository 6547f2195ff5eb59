"""The joint fit of edges and converters from terminal measurements."""
