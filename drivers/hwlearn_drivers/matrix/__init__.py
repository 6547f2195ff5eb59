"""Switch matrices: relays that connect the rows of a bench, which carry instruments, with its nodes."""
