"""Virtual switch matrices: relays between nodes of the analog plane, and the instruments that move them."""
