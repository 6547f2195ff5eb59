"""``hwlearn watch``."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from hwlearn.cli.outcome import JsonOption, RunsOption, command, print_json


@command
def watch(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN|BENCH",
            help="A run folder, the first characters of a run's name, a bench file, or a shipped bench.",
        ),
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page. 0: a free one.")] = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Other computers need the token that is printed.")
    ] = "127.0.0.1",
    browser: Annotated[
        bool | None,
        typer.Option("--open/--no-browser", help="Open the page in a browser. Default: on a graphical desktop."),
    ] = None,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a page that follows a run while it runs, until Ctrl-C. It only reads files of the run folder.

    With a bench, the page follows its running run, else its newest one, and waits if there is none yet.
    """
    from hwlearn.installed import extra_module
    from hwlearn.lab.watching.choice import chosen_run

    extra_module("nicegui", "watch", "hwlearn watch")
    chosen = chosen_run(run, runs)

    from hwlearn.lab.watch_page.server import WatchAddress, serve
    from hwlearn.lab.watching.follower import RunFollower

    def ready(url: str) -> None:
        if as_json:
            found = chosen.current()
            print_json(
                event="watching", url=url, run=None if found is None else str(found.folder), follows=chosen.text
            )
        else:
            typer.echo(f"watching      {chosen.text}\npage          {url}\nCtrl-C ends this page, not the run")

    serve(RunFollower(chosen), WatchAddress(host, port), ready, _has_desktop() if browser is None else browser)


def _has_desktop() -> bool:
    """Return whether a browser is expected to open: a person at a terminal of a graphical desktop."""
    if not sys.stdout.isatty():
        return False
    return sys.platform in ("win32", "darwin") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
