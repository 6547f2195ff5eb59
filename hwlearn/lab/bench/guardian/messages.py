"""What a program and its guardian process tell each other through two pipes."""

from __future__ import annotations

from typing import Final

BEAT_S: Final = 0.2
"""Seconds between two signs of life of the program."""

BEAT: Final = b"."
"""Sign of life. The first line on this pipe is the request (JSON), everything after it is one byte each."""

DONE: Final = b"q"
"""The outputs are off and confirmed; the guardian ends."""

SEND_OFF: Final = b"o"
"""The program could not switch off: the guardian sends OFF, then ends. The end of the pipe means the same."""

READY: Final = "ready"
"""First line of a guardian that has imported and checked all that OFF needs."""

FAILED: Final = "failed "
"""First line of a guardian that cannot send OFF for this bench, followed by the reason."""

ALIVE: Final = "alive"
"""Answer to signs of life."""

FIRED: Final = "fired "
"""Line of a guardian that has switched the outputs off, followed by the reason."""
