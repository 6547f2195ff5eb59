"""A page of documentation as a reader follows it: files are written, commands run, their output is compared.

What a page may contain, in this order of steps, all in one empty folder:

- a block after a line that ends in a name in backticks and a colon is a file with that name
  (``Write `own.csv`:``). With ``the table `[data]` of `bench.toml`:`` it replaces that table of the file;
- a ``console`` block has commands after ``$``, each with the output that follows it. ``...`` stands for anything.
  A command without output must only succeed; one whose output begins with ``hwlearn:``, or has ``failed``, must
  fail;
- a ``python`` block with ``>>>`` is a doctest. All of a page share their names;
- a ``text`` block is only shown.

Any other block is an error, so that no example is left untested.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`(?P<name>[\w./-]+\.\w+)`[^`\n]*:\s*\Z")
TABLE = re.compile(r"the table `\[(?P<table>[\w.]+)\]` of `(?P<name>[\w./-]+\.toml)`[^`\n]*:\s*\Z")
VARYING = {
    r"\b20\d{6}-\d{6}\b": "DATE",
    r"\b\d:\d\d:\d\d\b": "TIME",
    r"\b\d[\d.]* s\b": "SECONDS",
    r"\b\d[\d.]* [kMGT]?B free": "SPACE",
    "[━╸╺]+": "BAR",
}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class LessonError(AssertionError):
    """A step of a page does not do what the page says."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line of the page where it begins, and the text before it."""

    language: str
    text: str
    line: int
    before: str


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        before = text[: found.start()].rstrip("\n")
        line = text.count("\n", 0, found.start()) + 2
        paragraph = " ".join(before.rpartition("\n\n")[2].split())
        yield Block(found["language"], found["text"], line, paragraph)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of a console block, with the output that the page shows."""
    steps = re.split(r"^\$ ", text, flags=re.MULTILINE)
    if steps[0].strip():
        raise LessonError(f"a console block begins with output: {steps[0]!r}")
    for step in steps[1:]:
        command, _, output = step.partition("\n")
        while command.endswith("\\"):
            further, _, output = output.partition("\n")
            command = command.removesuffix("\\") + further
        yield command.strip(), output


class Lesson:
    """A reader in an empty folder, which is the working directory."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page, self.folder = page, folder
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.paths: list[str] = []

    def follow(self) -> int:
        """Do every step of the page, and return how many there were."""
        steps = 0
        for block in blocks(self.page):
            try:
                steps += self._step(block)
            except LessonError as error:
                raise LessonError(f"{self.page.name}, line {block.line}: {error}") from None
        return steps

    def _step(self, block: Block) -> int:
        if block.language == "text" or block.language.startswith("{"):
            return 0
        if block.language == "console":
            for command, output in commands(block.text):
                self._run(command, output)
        elif ">>> " in block.text:
            self._python(block)
        elif found := TABLE.search(block.before):
            self._replace(self.folder / found["name"], found["table"], block.text)
        elif found := FILE.search(block.before):
            file = self.folder / found["name"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        else:
            raise LessonError(f"a {block.language or 'plain'} block that is no file, command or doctest")
        return 1

    def _replace(self, file: Path, table: str, text: str) -> None:
        before = file.read_text(encoding="utf-8")
        pattern = re.compile(rf"^\[{re.escape(table)}\].*?(?=^\[(?!\[?{re.escape(table)}\.)|\Z)", re.M | re.S)
        if len(pattern.findall(before)) != 1 or not text.startswith(f"[{table}]"):
            raise LessonError(f"{file.name} has no single table [{table}]")
        after = pattern.sub(lambda _: text + "\n", before)
        tomllib.loads(after)
        file.write_text(after, encoding="utf-8")

    def _python(self, block: Block) -> None:
        report = io.StringIO()
        runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
        test = doctest.DocTestParser().get_doctest(block.text, self.names, self.page.name, None, block.line - 1)
        runner.run(test, out=report.write, clear_globs=False)
        self.names = test.globs
        if runner.failures:
            raise LessonError(report.getvalue())

    def _run(self, line: str, expected: str) -> None:
        program, *arguments = shlex.split(line)
        arguments = [one for word in arguments for one in self._expanded(word)]
        if program == "pip":
            self._pip(arguments)
            return
        run = {"hwlearn": self._hwlearn, "python": self._script, "pytest": self._pytest}.get(program)
        if run is None:
            raise LessonError(f"this reader cannot run {program!r}")
        code, output = run(arguments)
        if (code != 0) != (expected.startswith("hwlearn:") or " failed" in expected):
            raise LessonError(f"exit code {code} of: {line}\n{output}")
        if expected.strip() and not matches(expected, output):
            raise LessonError(f"output of: {line}\nexpected\n{expected}\ngot\n{output}")

    def _expanded(self, word: str) -> list[str]:
        """Return what a shell makes of a word: the paths that a pattern matches."""
        if "*" not in word:
            return [word]
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.glob(word)) or [word]

    def _hwlearn(self, arguments: list[str]) -> tuple[int, str]:
        from hwlearn.cli import app

        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    def _script(self, arguments: list[str]) -> tuple[int, str]:
        printed, before = io.StringIO(), sys.argv
        sys.argv = arguments
        try:
            with contextlib.redirect_stdout(printed):
                runpy.run_path(arguments[0], run_name="__main__")
        finally:
            sys.argv = before
        return 0, printed.getvalue()

    def _pytest(self, arguments: list[str]) -> tuple[int, str]:
        places = [*self.paths, *(str(ROOT / part) for part in ("", "drivers", "sim"))]
        path = os.pathsep.join([*places, os.environ.get("PYTHONPATH", "")])
        line = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", self.folder, *arguments]
        env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_"))}
        done = subprocess.run(
            line, env={**env, "PYTHONPATH": path}, cwd=self.folder, capture_output=True, text=True, timeout=120
        )
        return done.returncode, done.stdout + done.stderr

    def _pip(self, arguments: list[str]) -> None:
        """Check what would be installed; a folder that is installed can be imported from here on."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        known = {one.partition(">")[0] for one in project["optional-dependencies"]["dev"]}
        for argument in arguments:
            if found := re.fullmatch(r"hwlearn(?:\[(?P<extras>[\w,]+)\])?", argument):
                named = set(filter(None, (found["extras"] or "").split(",")))
                unknown = named - set(project["optional-dependencies"])
                if unknown:
                    raise LessonError(f"there is no extra {unknown}")
            elif (self.folder / argument.partition("[")[0] / "pyproject.toml").exists():
                self.paths.append(str(self.folder / argument.partition("[")[0]))
            elif argument not in known | {"install", "-e"}:
                raise LessonError(f"pip cannot install {argument!r}")


def matches(expected: str, output: str) -> bool:
    """Whether an output is the expected one: ``...`` stands for anything, and white space does not count."""
    return doctest.OutputChecker().check_output(_plain(expected), _plain(output), FLAGS)


def _plain(text: str) -> str:
    """Return a text without what differs from day to day: dates, times, space on the disk, the bar of progress."""
    for pattern, word in VARYING.items():
        text = re.sub(pattern, word, text)
    return text.replace("\\", "/").rstrip() + "\n"
