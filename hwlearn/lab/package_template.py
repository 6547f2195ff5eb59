"""Write a package with a backend of one's own: its files are those of the folder ``backend_package``."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from pathlib import Path
from typing import Final

from hwlearn.errors import SetupError
from hwlearn.lab.bench.backends import backend_names
from hwlearn.storage.text_file import read_text

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SUFFIX: Final = ".txt"  # the files are no modules of this package


def package_files(name: str) -> dict[str, str]:
    """Return the text of every file of a package, by its path with slashes.

    Parameters
    ----------
    name : str
        Kind of the backend: lower-case letters, digits and underscores, beginning with a letter.

    Raises
    ------
    SetupError
        If the name is not possible.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name.endswith("_"):
        raise SetupError(
            f"a backend cannot be named {name!r:.60}; use lower-case letters, digits and underscores: my_board"
        )
    words = {
        "PACKAGE": f"hwlearn_{name}",
        "CLASS": "".join(word.capitalize() for word in name.split("_")),
        "NAME": name,
    }
    with resources.as_file(resources.files("hwlearn.lab") / "backend_package") as folder:
        found = {}
        for path in sorted(folder.rglob(f"*{_SUFFIX}")):
            text = read_text(path, "file of the template", SetupError)
            parts = path.relative_to(folder).as_posix().removesuffix(_SUFFIX).split("/")
            place = "/".join(words["PACKAGE"] if part == "package" else part for part in parts)
            found[place] = _filled(text, words)
        return found


def write_package(name: str, folder: Path) -> list[Path]:
    """Write a package with a backend into a new folder, and return its files.

    Raises
    ------
    SetupError
        If the name is not possible or a backend of this kind is installed, or the folder exists or cannot be made.
    """
    files = package_files(name)
    if name in backend_names():
        raise SetupError(f"a backend {name!r} is installed already; choose another name")
    if folder.exists() or folder.is_symlink():
        raise SetupError(f"{folder} already exists; name another folder")
    written = []
    try:
        for place, text in files.items():
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
            written.append(path)
    except OSError as error:
        raise SetupError(f"cannot write {folder}: {error}") from error
    return written


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text
