"""The progress of a training in the output of a notebook cell.

One display of the cell is updated in place, as text and HTML. It needs no widgets: it is seen in every front end
and stays in the saved notebook.
"""

from __future__ import annotations

import sys
import time
from html import escape
from importlib import import_module
from typing import Any, Final

from hwlearn.lab.data.scaling import OutputScale
from hwlearn.lab.progress.terminal import score_text
from hwlearn.learning.records import Callback, Epoch, Step

_PERIOD_S: Final = 0.2
"""Between two updates: front ends become slow if there are more."""


def in_notebook() -> bool:
    """Return whether this code runs in a cell of a notebook, of Jupyter or of another program with its kernel."""
    ipython = sys.modules.get("IPython")  # no kernel runs without it
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and shell.has_trait("kernel")


class NotebookProgress(Callback):
    """Shows epoch, score and time left in the output of a cell.

    Parameters
    ----------
    name : str
        The bench.
    epochs, batches : int
        Epochs of the training, and batches of each.
    done : int
        Epochs that are done already.
    scale : OutputScale, optional
        Scale of the targets, to show errors in the user's own unit.
    """

    def __init__(
        self, name: str, epochs: int, batches: int, done: int = 0, scale: OutputScale | None = None
    ) -> None:
        self._name, self._epochs, self._batches, self._scale = name, epochs, batches, scale
        self._first = self._done = float(done)
        self._score = ""
        self._began = self._shown = time.monotonic()
        display: Any = import_module("IPython.display").display  # every kernel has it
        self._display = display(self._bundle(), raw=True, display_id=True)

    def on_step(self, step: Step) -> None:
        """Show the progress within an epoch."""
        self._done = (step.number + 1) / self._batches
        self._update()

    def on_epoch(self, epoch: Epoch) -> None:
        """Show the scores of the epoch."""
        self._done = epoch.number + 1.0
        self._score = score_text(epoch.validation or epoch.train, self._scale)
        self._update()

    def stop(self) -> None:
        """Show the last state, which stays."""
        self._shown = -_PERIOD_S
        self._update()

    def _update(self) -> None:
        now = time.monotonic()
        if now - self._shown >= _PERIOD_S:
            self._shown = now
            self._display.update(self._bundle(), raw=True)

    def _bundle(self) -> dict[str, str]:
        """Return the line as text and as HTML."""
        passed, done = time.monotonic() - self._began, self._done - self._first
        parts = [f"{int(self._done)}/{self._epochs} epochs", self._score]
        if self._done >= self._epochs:
            parts.append(f"{passed:.1f} s in total")
        elif done > 0:
            parts.append(f"{passed * (self._epochs - self._done) / done:.0f} s left")
        words = "   ".join(part for part in parts if part)
        bar = f'<progress value="{self._done:.3f}" max="{self._epochs}"></progress>'
        return {
            "text/plain": f"{self._name}   {words}",
            "text/html": f"<div><b>{escape(self._name)}</b> {bar} {escape(words)}</div>",
        }
