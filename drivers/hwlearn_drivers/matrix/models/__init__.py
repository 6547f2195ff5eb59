"""The models of switch matrices, one file per command set."""
