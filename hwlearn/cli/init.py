"""``hwlearn init``."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Annotated, Final

import typer

from hwlearn.cli.outcome import JsonOption, command, print_json
from hwlearn.errors import SetupError
from hwlearn.installed import entry_points

SCHEMA: Final = "bench.schema.json"
"""Default name of the JSON schema. A bench file that is written beside it names it for editors."""


@command
def init(
    path: Annotated[
        Path | None, typer.Argument(help="The file or folder to write. Default: bench.toml, or hwlearn-NAME.")
    ] = None,
    like: Annotated[
        str,
        typer.Option(
            help="The shipped bench to copy; or a template for your instruments: smu, matrix, scanner, daq, or "
            "declared (the text protocol of a home-made board). An unknown name lists all."
        ),
    ] = "iris",
    backend_package: Annotated[
        str | None,
        typer.Option("--backend-package", metavar="NAME", help="Write a package with your own backend instead."),
    ] = None,
    schema: Annotated[
        bool,
        typer.Option(
            "--schema", help="Write the JSON schema of bench files instead, with which editors complete and check."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a commented bench file to start from, or a package with a backend. Nothing is overwritten."""
    if schema and backend_package is not None:
        raise SetupError("--schema and --backend-package write different things; give one of them")
    if schema:
        _write_schema(Path(SCHEMA) if path is None else path, as_json)
    elif backend_package is not None:
        _write_package(backend_package, path, as_json)
    else:
        _write_bench(Path("bench.toml") if path is None else path, like, as_json)


def _write_package(name: str, folder: Path | None, as_json: bool) -> None:
    from hwlearn.lab.package_template import write_package

    where = Path(f"hwlearn-{name}") if folder is None else folder
    written = write_package(name, where)
    if as_json:
        print_json(folder=str(where), backend=name, files=[str(path) for path in written])
    else:
        typer.echo(
            f"wrote {where}, {len(written)} files; install it: pip install -e {where}; test it: pytest {where}"
        )


def _write_schema(path: Path, as_json: bool) -> None:
    from hwlearn.lab.bench.json_schema import bench_schema

    schema = bench_schema()
    _write_new(path, json.dumps(schema, indent=1) + "\n")
    if as_json:
        print_json(schema=str(path), backends=schema["properties"]["backend"]["properties"]["kind"]["enum"])
    else:
        typer.echo(f"wrote {path}; editors use it for a bench file that begins with: #:schema ./{path.name}")


def _write_bench(path: Path, like: str, as_json: bool) -> None:
    from hwlearn.errors import closest
    from hwlearn.lab.bench_file.file import shipped_benches
    from hwlearn.storage.text_file import read_text

    templates = {point.name: point for point in entry_points(group="hwlearn.templates")}
    known = [*shipped_benches(), *sorted(templates)]
    if like not in known:
        raise SetupError(
            f"there is no shipped bench {like!r}{closest(like, known)}; shipped are: {', '.join(known)}"
        )
    _refuse_existing(path)
    if like in templates:
        text = read_text(Path(templates[like].load()), "template", SetupError)
    else:
        with resources.as_file(resources.files("hwlearn.lab") / "benches" / f"{like}.toml") as shipped:
            text = read_text(shipped, "bench file", SetupError)
    is_bench = "\n[backend]" in text
    if is_bench and (path.parent / SCHEMA).is_file():
        text = f"#:schema ./{SCHEMA}\n{text}"
    _write_new(path, text)
    if as_json:
        print_json(bench_file=str(path), like=like)
    elif like not in templates:
        typer.echo(f"wrote {path}; train it with: hwlearn train {path}")
    elif is_bench:
        typer.echo(f"wrote {path}; set the addresses of your instruments, then: hwlearn check {path}")
    else:
        typer.echo(f"wrote {path}; its first lines say how a bench file names it")


def _refuse_existing(path: Path) -> None:
    if path.exists() or path.is_symlink():  # a link to a file that does not exist yet would create that file
        raise SetupError(f"{path} already exists; name another file")


def _write_new(path: Path, text: str) -> None:
    _refuse_existing(path)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SetupError(f"cannot write {path}: {error}") from error
