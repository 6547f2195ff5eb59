"""Virtual instruments, one file per model, and their command languages."""
