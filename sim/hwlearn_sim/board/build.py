"""Compile the firmware into a library for this computer and keep it in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path

from hwlearn.errors import SetupError
from hwlearn.storage.text_file import read_text

FLAGS: Final = ("-O2", "-std=c11", "-fPIC", "-shared")
_COMPILERS: Final = ("cc", "gcc", "clang")
_FOLDERS: Final = ("core", "hal", "boards/host")
_ADVICE: Final = {
    "linux": "install one: apt install gcc, dnf install gcc or pacman -S gcc",
    "darwin": "install one: xcode-select --install",
    "win32": "install MSYS2's mingw-w64 gcc and put its bin folder on the PATH (Microsoft's cl is not enough)",
}


def firmware_folder() -> Path:
    """Return the folder of the firmware sources: inside the installed package, or at the root of a checkout.

    Raises
    ------
    SetupError
        If the sources are in neither place.
    """
    here = Path(__file__).resolve().parent
    for folder in (here.parent / "firmware", here.parents[2] / "firmware"):
        if (folder / "boards" / "host" / "host.h").is_file():
            return folder
    raise SetupError(f"the firmware sources are missing near {here}; install hwlearn again")


def host_header(firmware: Path | None = None) -> str:
    """Return the declarations of ``boards/host/host.h`` in the form that cffi accepts."""
    text = read_text((firmware or firmware_folder()) / "boards" / "host" / "host.h", "header", SetupError)
    return text.split("/* cffi reads from here */", 1)[1].rsplit("#endif", 1)[0]


def host_library(firmware: Path | None = None, cache: Path | None = None) -> Path:
    """Return the board's library for this computer. Compile it if it is not in the cache.

    Parameters
    ----------
    firmware : Path, optional
        Folder of the sources. Default: `firmware_folder`.
    cache : Path, optional
        Folder of the compiled libraries. Default: the user's cache folder.

    Raises
    ------
    SetupError
        If there is no C compiler, it fails, or the cache cannot be written.
    """
    sources = firmware_folder() if firmware is None else firmware
    folder = user_cache_path("hwlearn") if cache is None else cache
    compiler = _compiler()
    library = folder / f"libhwlearn_board-{_key(sources, compiler)}{'.dll' if sys.platform == 'win32' else '.so'}"
    if library.is_file():
        return library
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            built = Path(scratch) / library.name
            _compile(compiler, sources, built)
            built.replace(library)  # atomic: another process may build the same library
    except OSError as error:
        raise SetupError(f"the firmware cannot be compiled into {folder}: {error}; make it writable") from error
    return library


def _compiler() -> list[str]:
    chosen = shlex.split(os.environ.get("CC", ""))
    for command in (chosen, *([name] for name in _COMPILERS)):
        if command and shutil.which(command[0]):
            return command
    advice = _ADVICE.get(sys.platform, "install one")
    raise SetupError(f"the virtual board needs a C compiler ($CC, cc, gcc or clang), none was found; {advice}")


def _key(firmware: Path, compiler: list[str]) -> str:
    """Return a hash of everything that the library depends on."""
    version = subprocess.run([*compiler, "--version"], capture_output=True, check=False).stdout
    digest = hashlib.sha256(repr((compiler, FLAGS, version)).encode())
    for file in _files(firmware, "*.[ch]"):
        digest.update(f"{file.relative_to(firmware).as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _files(firmware: Path, pattern: str) -> list[Path]:
    return [file for folder in _FOLDERS for file in sorted((firmware / folder).glob(pattern))]


def _compile(compiler: list[str], firmware: Path, library: Path) -> None:
    include = [f"-I{firmware / folder}" for folder in _FOLDERS]
    sources = [str(file) for file in _files(firmware, "*.c")]
    flags = [flag for flag in FLAGS if sys.platform != "win32" or flag != "-fPIC"]
    done = subprocess.run(
        [*compiler, *flags, *include, *sources, "-o", str(library), "-lm"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error:" in line), done.stderr.strip()[:200])
        raise SetupError(f"{shlex.join(compiler)} cannot compile the firmware of the virtual board: {first}")
