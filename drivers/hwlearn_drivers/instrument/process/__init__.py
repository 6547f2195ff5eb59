"""What happens to the process that has instruments open: signals, a closed console, a suspended computer."""
