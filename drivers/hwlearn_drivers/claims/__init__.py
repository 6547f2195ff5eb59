"""Claims: one process at a time drives an instrument; `hwlearn off` reaches that process."""
