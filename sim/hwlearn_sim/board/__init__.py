"""The virtual board: the firmware of the reference board, compiled for this computer."""
