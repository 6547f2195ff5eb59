"""How commands end: one line for a person, an exit code for a script.

0 done; 1 something failed on the way; 2 the request was wrong and nothing was applied; 130 stopped by Ctrl-C.
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

BenchArgument = Annotated[str, typer.Argument(help="A TOML file, or the name of a bench that ships.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key: section.key=value; repeatable."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line, for scripts.")]
RunsOption = Annotated[
    str | None, typer.Option("--runs", metavar="DIR", help="Where runs are kept; else $HWLEARN_RUNS, else ./runs.")
]
WireLogOption = Annotated[
    Path | None,
    typer.Option("--wire-log", metavar="FILE", help="Write down every byte to and from the instruments."),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print each command to the instruments instead of sending it.")
]


class CommandFailed(Exception):
    """A failure after the work had begun."""


def command(function: Callable[Options, None]) -> Callable[Options, None]:
    """Turn this package's errors into one line on stderr and an exit code."""

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
    """Return the settings of a backend with instruments that the options stand for."""
    keys = [] if wire_log is None else [f"backend.wire_log={json.dumps(str(wire_log.absolute()))}"]
    return [*keys, "backend.dry_run=true"] if dry_run else keys


@contextmanager
def at_work() -> Iterator[None]:
    """Mark the part of a command after which an error is a failure, not a wrong request."""
    try:
        yield
    except HwlearnError as error:
        raise CommandFailed(str(error)) from error


def print_json(**fields: Any) -> None:
    """Print one JSON line to stdout, at once."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def _end(message: str, code: int) -> None:
    typer.echo("hwlearn: " + " ".join(message.split()), err=True)
    raise typer.Exit(code)
