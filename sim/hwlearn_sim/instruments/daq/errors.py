"""Exceptions with the names and arguments of `nidaqmx.errors`."""

from __future__ import annotations


class Error(Exception):
    """Base class of all errors of NI-DAQmx."""


class DaqNotFoundError(Error):
    """The driver is not installed."""


class DaqError(Error):
    """An error with a code.

    Parameters
    ----------
    message : str
    error_code : int
    task_name : str
    """

    def __init__(self, message: str, error_code: int, task_name: str = "") -> None:
        super().__init__(f"{message}\n\nStatus Code: {error_code}")
        self._error_code, self.task_name = int(error_code), task_name

    @property
    def error_code(self) -> int:
        """Code of the error, negative."""
        return self._error_code
