"""Exit codes and one-line errors of the commands, and the options that several commands share.

0: done. 1: failed after the work had begun. 2: the request was refused and nothing was applied, as when another
process uses the bench. 130: Ctrl-C.
"""

from __future__ import annotations

import errno
import functools
import json
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, ParamSpec

import typer

from hwlearn import early_exit
from hwlearn.cli.plugins.origin import plugin_hint, plugin_of, print_traceback
from hwlearn.errors import MAY_BE_ON, HwlearnError, InUseError, NetworkError, RunError
from hwlearn.lab.bench_file.names import UNPRINTABLE
from hwlearn.storage.toml_text import toml_value

if TYPE_CHECKING:
    from hwlearn.lab.bench.bench import Bench

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
NoteOption = Annotated[
    str | None, typer.Option("--note", metavar="TEXT", help="Text that is stored with the run, for later search.")
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Print the commands instead of sending them. For the backends smu, board and arc2."
    ),
]


_NO_NAMES: Final = frozenset({errno.ENAMETOOLONG, errno.ELOOP})
"""A path that no file can have: the system says so wherever it is looked at first."""

_ENDED_BY: Final[dict[type[BaseException], str]] = {KeyboardInterrupt: "interrupted", SystemExit: "terminated"}


class CommandFailed(Exception):
    """A failure after the work had begun: exit code 1."""


class Ended(typer.Exit):
    """The end of a command whose error was reported.

    Attributes
    ----------
    message : str
        What was reported, in one line.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code)
        self.message = message


def command(function: Callable[Options, None]) -> Callable[Options, None]:
    """Make a command report errors of this package as one line on stderr and an exit code."""

    @functools.wraps(function)
    def wrapped(*args: Options.args, **options: Options.kwargs) -> None:
        with reported():
            early_exit.command_started()
            function(*args, **options)

    return wrapped


@contextmanager
def reported() -> Iterator[None]:
    """Report an error in this block as one line on stderr.

    Raises
    ------
    Ended
        With the exit code. Errors of Python itself that no plugin has raised pass unchanged.
    """
    try:
        yield
    except InUseError as error:
        _end(str(error), WRONG_REQUEST, error)
    except (CommandFailed, NetworkError) as error:
        _end(str(error), FAILED, error)
    except HwlearnError as error:
        # requests are refused with value errors and errors of runs; all others come from hardware
        if isinstance(error, ValueError | RunError):
            _end(str(error), WRONG_REQUEST, error)
        _end(causes(error), FAILED, error)
    except typer.Exit:
        raise
    except OSError as error:
        if error.errno not in _NO_NAMES:
            _end_if_plugin(error)
            raise
        _end(f"{error.strerror}: ...{str(error.filename)[-60:]}", WRONG_REQUEST, error)
    except Exception as error:
        _end_if_plugin(error)
        raise
    except KeyboardInterrupt:
        _end("interrupted", INTERRUPTED)


def wire_keys(wire_log: Path | None, dry_run: bool) -> list[str]:
    """Return the ``backend`` settings for ``--wire-log`` and ``--dry-run``."""
    keys = [] if wire_log is None else [f"backend.wire_log={toml_value(str(wire_log.absolute()))}"]
    return [*keys, "backend.dry_run=true"] if dry_run else keys


@contextmanager
def at_work() -> Iterator[None]:
    """Report errors in this block as failures (exit code 1), not as refused requests (2)."""
    try:
        yield
    except HwlearnError as error:
        raise CommandFailed(str(error)) from error


@contextmanager
def closing_network(bench: Bench) -> Iterator[None]:
    """Close the network of a bench at the end of this block.

    Raises
    ------
    CommandFailed
        If the network cannot be closed. The message also has the error that ended the block.
    """
    try:
        yield
    except BaseException as error:
        unsafe = close_failure(bench)
        if unsafe is not None:
            raise CommandFailed(causes(error, unsafe)) from error
        raise
    unsafe = close_failure(bench)
    if unsafe is not None:
        raise CommandFailed(unsafe)


def close_failure(bench: Bench) -> str | None:
    """Close the network of a bench; return why that failed, or None. Outputs may be on after a failure."""
    try:
        bench.close()
    except Exception as error:  # a plugin may raise anything
        print_traceback(error)
        text = str(error) or type(error).__name__
        text = text if MAY_BE_ON in text else f"{MAY_BE_ON}: the network cannot be closed ({text})"
        return f"{text}{plugin_hint(error)}"
    return None


def causes(error: BaseException, *more: str) -> str:
    """Return what an error reports, after the errors during whose handling it was raised, the first one first.

    Parameters
    ----------
    error : BaseException
    *more : str
        What failed afterwards. A text that is part of another one is left out.
    """
    texts = list(more)
    at: BaseException | None = error
    any_kind = True
    while at is not None:
        text = _ENDED_BY.get(type(at)) or str(at) or type(at).__name__
        counts = any_kind or isinstance(at, HwlearnError | KeyboardInterrupt | SystemExit)
        if counts and not any(text in other for other in texts):
            texts.insert(0, text)
        # other errors of ours report in their text the error of Python or of the system that they translate
        any_kind = MAY_BE_ON in text and at.__cause__ is None and not isinstance(at.__context__, OSError)
        at = at.__cause__ or at.__context__
    return "; ".join(texts)


def print_json(**fields: Any) -> None:
    """Print one JSON line to stdout and flush it."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def one_line(text: str) -> str:
    r"""Return text with its control characters escaped.

    Examples
    --------
    >>> one_line("new\nline")
    'new\\nline'
    """
    return "".join(c if unicodedata.category(c) not in UNPRINTABLE else ascii(c)[1:-1] for c in text)


def _end(message: str, code: int, error: BaseException | None = None) -> NoReturn:
    hint = ""
    if error is not None:
        print_traceback(error)
        hint = plugin_hint(error)
    line = one_line(" ".join(f"{message}{hint}".split()))
    with suppress(OSError):  # the terminal may be closed
        typer.echo(f"hwlearn: {line}", err=True)
    raise Ended(code, line)


def _end_if_plugin(error: Exception) -> None:
    """End with one line if a plugin raised an error that is none of this package; return if it was no plugin."""
    if plugin_of(error) is not None:
        _end(f"{type(error).__name__}: {error}", FAILED, error)
