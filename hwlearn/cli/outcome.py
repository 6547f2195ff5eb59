"""Exit codes and one-line errors of the commands, and the options that several commands share.

0: done. 1: failed after the work had begun. 2: the request was refused and nothing was applied. 130: Ctrl-C.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer

from hwlearn.errors import HwlearnError, NetworkError

FAILED, WRONG_REQUEST, INTERRUPTED = 1, 2, 130

Options = ParamSpec("Options")

BenchArgument = Annotated[
    str, typer.Argument(help="A bench file (TOML), or the name of a shipped bench such as iris.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the bench file, for example train.epochs=10. Repeatable.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object per line, for scripts.")]
RunsOption = Annotated[
    str | None,
    typer.Option("--runs", metavar="DIR", help="Folder of the runs. Default: $HWLEARN_RUNS, else ./runs."),
]
WireLogOption = Annotated[
    Path | None,
    typer.Option(
        "--wire-log",
        metavar="FILE",
        help="Record every byte sent and received. For backends with instruments, real or virtual.",
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Print the commands instead of sending them. For the backends smu, board and arc2."
    ),
]


class CommandFailed(Exception):
    """A failure after the work had begun: exit code 1."""


def command(function: Callable[Options, None]) -> Callable[Options, None]:
    """Make a command report errors of this package as one line on stderr and an exit code."""

    @functools.wraps(function)
    def wrapped(*args: Options.args, **options: Options.kwargs) -> None:
        try:
            function(*args, **options)
        except (CommandFailed, NetworkError) as error:
            _end(str(error), FAILED)
        except HwlearnError as error:
            _end(str(error), WRONG_REQUEST)
        except KeyboardInterrupt:
            _end("interrupted", INTERRUPTED)

    return wrapped


def wire_keys(wire_log: Path | None, dry_run: bool) -> list[str]:
    """Return the ``backend`` settings for ``--wire-log`` and ``--dry-run``."""
    keys = [] if wire_log is None else [f"backend.wire_log={json.dumps(str(wire_log.absolute()))}"]
    return [*keys, "backend.dry_run=true"] if dry_run else keys


@contextmanager
def at_work() -> Iterator[None]:
    """Report errors in this block as failures (exit code 1), not as refused requests (2)."""
    try:
        yield
    except HwlearnError as error:
        raise CommandFailed(str(error)) from error


def print_json(**fields: Any) -> None:
    """Print one JSON line to stdout and flush it."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def _end(message: str, code: int) -> None:
    typer.echo("hwlearn: " + " ".join(message.split()), err=True)
    raise typer.Exit(code)
