"""Exit paths of a program: code that runs first, code that ends it, and its exit code."""

import signal
import sys

import pytest

SHORT = ("end of the program", "exception inside with", "SIGTERM")
"""Exit paths that are tried by default; tests of source-measure units try all of them."""

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes without a signal")

ENDINGS = {
    "normal close": ("", "smu.close()", 0),
    "end of the program": ("", "pass", 0),
    "exception": ("", "raise RuntimeError('anything')", 1),
    "exception inside with": ("", "with smu:\n    raise RuntimeError('anything')", 1),
    "sys.exit": ("", "sys.exit(3)", 3),
    "Ctrl-C": ("", "signal.raise_signal(signal.SIGINT)", -signal.SIGINT),
    "SIGTERM": ("", "signal.raise_signal(signal.SIGTERM)", -signal.SIGTERM),
    "SIGTERM with a custom handler": (
        "signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(5))",
        "signal.raise_signal(signal.SIGTERM)",
        5,
    ),
}

SOME_ENDINGS = [name if name in SHORT else pytest.param(name, marks=pytest.mark.slow) for name in ENDINGS]
"""Names of the exit paths, for drivers that share the handling of signals and exits with others."""

SOME_SIGNALS = ["SIGTERM", *(pytest.param(name, marks=pytest.mark.slow) for name in ("SIGINT", "SIGHUP"))]
"""Names of signals that arrive at a certain place, for such drivers."""
