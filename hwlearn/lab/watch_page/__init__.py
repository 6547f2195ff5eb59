"""The page of ``hwlearn watch``: NiceGUI elements, charts and drawings of a `RunFollower`, and its server.

The page needs the extra ``watch``. It sends no command to any instrument and writes no file.
"""
