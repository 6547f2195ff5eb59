"""Messages to instruments over VISA, serial ports and sockets."""
