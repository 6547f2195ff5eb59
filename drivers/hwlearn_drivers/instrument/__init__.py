"""Base classes of all instrument drivers: messages, error queue, output state, discovery."""
