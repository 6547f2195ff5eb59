"""Scripts of a Keithley 2600: the Lua interpreter, its limits, and the objects that scripts see."""
