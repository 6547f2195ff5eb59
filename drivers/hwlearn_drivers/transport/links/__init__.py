"""Links: how bytes reach an instrument. TCP socket, serial port, VISA resource, or a dry run that only prints."""
