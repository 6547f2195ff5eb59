"""Virtual instruments, one file a model, and the languages that they speak."""
