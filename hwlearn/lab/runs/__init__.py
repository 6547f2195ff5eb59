"""The run store, its recorder and reports of runs."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.lab.runs.recorder import RunRecorder as RunRecorder
    from hwlearn.lab.runs.report import draw_run as draw_run
    from hwlearn.lab.runs.store import Run as Run
    from hwlearn.lab.runs.store import runs_folder as runs_folder
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
