"""Virtual Keysight 34970A and 34972A data acquisition units."""
