"""Messages to instruments: `Transport` on top of a VISA, serial or socket link."""
