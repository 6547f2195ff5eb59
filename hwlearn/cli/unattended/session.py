"""A session that somebody may not watch: what is logged, and what runs after its end."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from hwlearn.cli.outcome import FAILED, INTERRUPTED, WRONG_REQUEST, causes, reported
from hwlearn.cli.unattended.end_command import EndCommand
from hwlearn.cli.unattended.log_file import command_line, logging_to
from hwlearn.errors import MAY_BE_ON, SetupError
from hwlearn.installed import version

LogFileOption = Annotated[
    Path | None,
    typer.Option("--log-file", metavar="FILE", help="Append plain lines with time stamps to this file."),
]
OnEndOption = Annotated[
    str | None,
    typer.Option(
        "--on-end",
        metavar="COMMAND",
        help="Run this program after the end, with outputs off; $HWLEARN_RUN, $HWLEARN_STATUS and "
        "$HWLEARN_EXIT_CODE say how it ended. No shell; at most 60 s.",
    ),
]
OnFailureOption = Annotated[
    str | None,
    typer.Option(
        "--on-failure", metavar="COMMAND", help="The same, only if the exit code is not 0; before --on-end."
    ),
]

log = logging.getLogger("hwlearn.session")


@dataclass
class CommandSession:
    """A running command, as the variables of its end commands describe it.

    Attributes
    ----------
    command : str
        Its name, such as ``"train"``.
    folder : Path or None
        The run folder, as soon as there is one.
    bench : str
        Name of the bench.
    status : str
        How it ended, if the command knows better than its exit code.
    """

    command: str
    folder: Path | None = None
    bench: str = ""
    status: str = ""

    def variables(self, code: int, message: str) -> dict[str, str]:
        """Return the variables of the end commands."""
        outputs = "may be on" if MAY_BE_ON in message else "not touched" if code == WRONG_REQUEST else "off"
        return {
            "HWLEARN_COMMAND": self.command,
            "HWLEARN_BENCH": self.bench,
            "HWLEARN_RUN": "" if self.folder is None else str(self.folder.absolute()),
            "HWLEARN_STATUS": self.status if code == 0 and self.status else status_of(code),
            "HWLEARN_EXIT_CODE": str(code),
            "HWLEARN_OUTPUTS": outputs,
            "HWLEARN_MESSAGE": message[:_MOST_TEXT],
        }


_MOST_TEXT = 4000


def status_of(code: int) -> str:
    """Return how a command ended, by its exit code.

    Examples
    --------
    >>> [status_of(code) for code in (0, 1, 2, 130, 143)]
    ['finished', 'failed', 'refused', 'interrupted', 'terminated']
    """
    known = {0: "finished", WRONG_REQUEST: "refused", INTERRUPTED: "interrupted"}
    return known.get(code, "terminated" if code > 128 else "failed")


@dataclass
class _Ending:
    code: int = 0
    message: str = ""
    error: BaseException | None = field(default=None, repr=False)


@contextmanager
def unattended(
    command: str, log_file: Path | None, on_end: str | None, on_failure: str | None
) -> Iterator[CommandSession]:
    """Log what happens in this block, report its errors, and run commands after it.

    The block must leave its outputs off and its run closed. The commands run last, whatever the block raised, and
    change neither the exit code nor the error. They also run if the log file or another command is refused, which
    ends the session before the block.

    Raises
    ------
    Ended
        With the exit code of an error of the block, or of a refused log file or command.
    """
    after, refused = _parsed({"--on-failure": on_failure, "--on-end": on_end})
    session, ending = CommandSession(command), _Ending()
    with ExitStack() as stack:
        try:
            with reported():
                stack.enter_context(logging_to(log_file, f"hwlearn {version('hwlearn')}: {command_line()}"))
                if refused is not None:
                    raise refused
                yield session
        except BaseException as error:
            ending = _ending(error)
            raise
        finally:
            variables = session.variables(ending.code, ending.message)
            text = f": {ending.message}" if ending.message else ""
            log.info("%s, exit code %d%s", variables["HWLEARN_STATUS"], ending.code, text)
            failure, end = after
            _run([failure if ending.code else None, end], variables)


def _parsed(texts: Mapping[str, str | None]) -> tuple[list[EndCommand | None], SetupError | None]:
    """Return the command of each option, None where there is none, and the first error of one that is refused."""
    after: list[EndCommand | None] = []
    refused: SetupError | None = None
    for option, text in texts.items():
        try:
            after.append(None if text is None else EndCommand.parse(option, text))
        except SetupError as error:
            after.append(None)
            refused = refused or error
    return after, refused


def _ending(error: BaseException) -> _Ending:
    """Return the exit code and the message of what ended a command."""
    if isinstance(error, typer.Exit):
        return _Ending(int(error.exit_code), str(getattr(error, "message", "")))
    if isinstance(error, SystemExit):
        code = error.code
        return _Ending(code if isinstance(code, int) else 0 if code is None else FAILED)
    if isinstance(error, KeyboardInterrupt):
        return _Ending(INTERRUPTED)
    return _Ending(FAILED, f"{type(error).__name__}: {causes(error)}")


def _run(commands: Sequence[EndCommand | None], variables: dict[str, str]) -> None:
    """Run commands one after another, and report on stderr and in the log what goes wrong."""
    for one in commands:
        if one is not None:
            log.info("%s: running %s", one.option, one.words[0])
            problem = one.run(variables)
            if problem:
                log.info("%s", problem)
                with suppress(OSError, ValueError):  # the terminal may be closed
                    sys.stderr.write(f"hwlearn: {problem}\n")
                    sys.stderr.flush()
