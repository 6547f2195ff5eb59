"""Follow a run while it is written: its data, without a page.

Only files of the run folder are opened, for reading. No backend is imported, so no hardware can be reached.
"""
