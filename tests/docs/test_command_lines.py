"""Every command line in README and docs has a command and options that exist, and names programs that exist."""

from __future__ import annotations

import re
import shlex
import tomllib

import pytest
import typer
from lesson import ROOT
from typer.main import get_command

from hwlearn.cli import app

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
LINE = re.compile(r"^(?: {4}|\$ |)(?P<line>(?:hwlearn|python|pytest|pip) .*)$")


def lines(page):
    """Return the commands of the blocks of a page, indented or fenced, one a line."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    found = []
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif (match := LINE.match(line)) and (fenced or line.startswith("    ")):
            found.extend(part.strip() for part in re.split(r"&&|\|\|", match["line"]))
    return found


ALL = sorted({(page.relative_to(ROOT).as_posix(), line) for page in PAGES for line in lines(page)})


def words(line):
    """Return the words of a command, without a comment and without where it writes to."""
    return shlex.split(re.sub(r"\s[>|]\s.*", "", line), comments=True)


def command_of(given):
    """Return the command that the words name, and the words that are left."""
    here, rest = get_command(app), list(given)
    while rest and hasattr(here, "get_command") and not rest[0].startswith("-"):
        found = here.get_command(typer.Context(here), rest[0])
        assert found is not None, f"there is no command {rest[0]!r}"
        here = found
        rest.pop(0)
    return here, rest


def test_commands_and_options_exist():
    checked = 0
    for page, line in ALL:
        if line.startswith("hwlearn "):
            command, rest = command_of(words(line)[1:])
            known = {option for one in command.params for option in one.opts} | {"--help", "--install-completion"}
            used = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
            assert used <= known, f"{page}: {line}: there is no {used - known}"
            checked += 1
    assert checked > 60


def test_named_files_and_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for page, line in ALL:
        for word in words(line):
            place = word.partition("::")[0]
            if re.match(r"(tests|docs|firmware)/", place):
                assert (ROOT / place).exists(), f"{page}: {line}"
            if found := re.fullmatch(r"(?:hwlearn|\.)\[([\w,]+)\]", word):
                assert set(found[1].split(",")) <= set(project["optional-dependencies"]), f"{page}: {line}"


def test_command_that_does_not_exist_is_found():
    with pytest.raises(AssertionError, match="no command 'trian'"):
        command_of(["trian", "iris"])
