"""The run store, its recorder and reports of runs."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.lab.runs.recorder import RunRecorder
    from hwlearn.lab.runs.report import draw_run
    from hwlearn.lab.runs.store import Run, runs_folder

__all__ = [
    "Run",
    "RunRecorder",
    "draw_run",
    "runs_folder",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "hwlearn.lab.runs.recorder": ["RunRecorder"],
            "hwlearn.lab.runs.report": ["draw_run"],
            "hwlearn.lab.runs.store": ["Run", "runs_folder"],
        },
    )
