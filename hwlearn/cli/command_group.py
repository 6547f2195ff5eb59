"""`CommandGroup`: the root of the command line. Commands of installed packages are loaded when they are used."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup, TyperOption
from typer.main import get_command, get_group

from hwlearn.cli.outcome import INTERRUPTED, WRONG_REQUEST, command, one_line
from hwlearn.cli.plugins.origin import show_tracebacks
from hwlearn.errors import SetupError
from hwlearn.installed import entry_points

ENTRY_POINTS = "hwlearn.commands"

_WRONG_USE: Final[Any] = typer.BadParameter.__mro__[2]
"""The base class of all errors of a command line; typer exports only this subclass of a subclass."""

_HELP: Final = "NoArgsIsHelpError"


class CommandGroup(TyperGroup):
    """The commands of this package, then those of the entry-point group ``hwlearn.commands``.

    An entry point names a function or a `typer.Typer`. It is imported only when its command is called or listed: a
    slow or broken plugin affects no other command.
    """

    def main(  # type: ignore[override]  # windows_expand_args and complete_var are passed on
        self, args: Any = None, prog_name: str | None = None, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        """Run a command line; a wrong one is reported in one line on stderr, with exit code 2."""
        if not standalone_mode:
            return super().main(args, prog_name, standalone_mode=False, **extra)
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
        except _WRONG_USE as error:
            if type(error).__name__ == _HELP:  # a group without a command
                error.show()
            else:
                typer.echo(one_line(_usage_line(error)), err=True)
            sys.exit(WRONG_REQUEST)
        except typer.Abort:
            typer.echo("hwlearn: interrupted", err=True)
            sys.exit(INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, those of this package first."""
        own = super().list_commands(ctx)
        return [*own, *(point.name for point in _installed() if point.name not in own)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of a name, None if there is none."""
        found = super().get_command(ctx, cmd_name)
        if found is None:
            points = {point.name: point for point in _installed()}
            # a name that does not exist needs all the others, for "Did you mean"
            for name in [cmd_name] if cmd_name in points else points:
                self.commands[name] = _loaded(points[name])
            found = super().get_command(ctx, cmd_name)
        if found is not None:
            _add_debug(found)
            _hide_flag_types(found, ctx)
        return found

    def get_params(self, ctx: Any) -> Any:
        """Return the options of the root command."""
        params = super().get_params(ctx)
        _hide_types(params)
        return params


def _add_debug(found: Any) -> None:
    """Give a command and its subcommands the option ``--debug``."""
    if isinstance(found, TyperGroup):
        for below in found.commands.values():
            _add_debug(below)
    elif not any("--debug" in param.opts for param in found.params):
        found.params.append(_debug_option())


@functools.cache
def _debug_option() -> Any:
    """Return the option ``--debug`` as typer makes it, whichever version is installed."""
    host = typer.Typer(add_completion=False)
    host.command()(_with_debug)
    (option,) = [param for param in get_command(host).params if "--debug" in param.opts]
    return option


def _with_debug(
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Print the traceback of an error, for the authors of plugins.",
            callback=show_tracebacks,
            is_eager=True,
            expose_value=False,
        ),
    ] = False,
) -> None:
    pass


def _usage_line(error: Any) -> str:
    """Return the message of a wrong command line, and where its options are explained."""
    text = " ".join(error.format_message().split()).rstrip(".")
    path = error.ctx.command_path if hasattr(error, "ctx") and error.ctx is not None else "hwlearn"
    end = " See" if text.endswith("?") else "; see"
    return f"hwlearn: {text[:1].lower()}{text[1:]}{end}: {path} --help"


def _installed() -> Iterable[EntryPoint]:
    return entry_points(group=ENTRY_POINTS)


def _loaded(point: EntryPoint) -> Any:
    """Return the command of an entry point; if it cannot be loaded, a command that reports why."""
    host = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    host.callback()(_no_options)
    try:
        plugin = point.load()
        if isinstance(plugin, typer.Typer):
            host.add_typer(plugin, name=point.name)
        else:
            host.command(point.name)(plugin)
        return get_group(host).commands[point.name]
    except BaseException as error:  # a plugin may raise anything; the other commands must still work
        reason = f"it exits with {error.code}" if isinstance(error, SystemExit) else str(error) or repr(error)
        return _broken(point.name, f"the command {point.name!r} cannot be loaded: {reason}")


def _broken(name: str, message: str) -> Any:
    @command
    def fail() -> None:
        raise SetupError(message)

    host = typer.Typer(add_completion=False, rich_markup_mode=None)
    host.callback()(_no_options)
    host.command(name, help=message, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
        fail
    )
    return get_group(host).commands[name]


def _no_options() -> None:
    pass


def _hide_flag_types(found: Any, ctx: Any) -> None:
    """Remove ``<bool>`` behind the flags of a command and of its subcommands."""
    _hide_types(found.get_params(ctx))
    for below in found.commands.values() if isinstance(found, TyperGroup) else ():
        _hide_flag_types(below, ctx)


def _hide_types(params: Iterable[Any]) -> None:
    for param in params:
        if isinstance(param, TyperOption) and param.is_flag:
            param.metavar = ""
