"""Rules about the source tree that no linter checks. Each function returns the places that break one rule."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator

from source_tree import PACKAGES, ROOT, Module, modules

MOST_LINES, HEAD = 400, 20
MOST_MODULES = 14
SAME_FIRST_WORD, SAME_LAST_WORD = 2, 3
"""So many modules of one folder whose names share a word should be a folder of their own."""
WRAPPER = "hwlearn.network.wrapped"
WRAPPED = ("hwlearn.network.network", "hwlearn.network.checked")


def long_files_without_a_reason() -> list[str]:
    """Return files over 400 lines, tests and firmware too, whose head does not say "One file because ..."."""
    found = []
    for folder in ("hwlearn", "drivers", "sim", "tests", "firmware"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".py", ".c", ".h") or "build" in path.parts:
                continue
            lines = path.read_text(encoding="utf-8").splitlines()
            if len(lines) > MOST_LINES and "one file because" not in " ".join(lines[:HEAD]).lower():
                found.append(f"{path.relative_to(ROOT).as_posix()}: {len(lines)} lines")
    return found


def crowded_folders() -> list[str]:
    """Return folders with more than 14 modules side by side."""
    return [
        f"{folder.relative_to(ROOT)}: {len(files)} modules"
        for package in PACKAGES.values()
        for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]
        if len(files := [path for path in folder.glob("*.py") if path.name != "__init__.py"]) > MOST_MODULES
    ]


def name_families() -> list[str]:
    """Return folders with two modules that begin, or three that end, with the same word."""
    found = []
    for package in PACKAGES.values():
        for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
            names = [path.stem for path in folder.glob("*.py") if path.name != "__init__.py"]
            for which, most in ((0, SAME_FIRST_WORD), (-1, SAME_LAST_WORD)):
                words = Counter(name.split("_")[which] for name in names)
                found += [
                    f"{folder.relative_to(ROOT)}: {count} modules share {word!r}"
                    for word, count in words.items()
                    if count >= most
                ]
    return found


def class_names_used_twice() -> list[str]:
    """Return public class names that two modules of the three packages define."""
    homes = defaultdict(list)
    for module in modules().values():
        for node in module.nodes:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(module.name)
    return [f"{name}: {', '.join(where)}" for name, where in sorted(homes.items()) if len(where) > 1]


def private_attributes_of_others() -> list[str]:
    """Return uses of another object's private names.

    Allowed are ``other._name`` of the same class (the file defines ``_name``, and ``other`` is a plain name), and
    the protected methods that `WrappedNetwork` forwards to the network that it wraps.
    """
    found = []
    for module in modules().values():
        own = set(_defined_privately(module))
        if module.name == WRAPPER:
            own |= {name for wrapped in WRAPPED for name in _defined_privately(modules()[wrapped])}
        found += [
            f"{_place(module)}:{node.lineno}: {ast.unparse(node)}"
            for node in module.nodes
            if isinstance(node, ast.Attribute)
            and _is_private(node.attr)
            and not (node.attr in own and _is_plain(node.value))
            and not (module.name == WRAPPER and node.attr in own)
        ]
        found += [
            f"{_place(module)}:{node.lineno}: import of {alias.name} from {node.module}"
            for node in module.nodes
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hwlearn")
            for alias in node.names
            if _is_private(alias.name)
        ]
    return found


def settings_read_by_guess() -> list[str]:
    """Return ``getattr(something, "name", default)`` on settings: a capability guessed from a name."""
    return [
        f"{_place(module)}:{node.lineno}: {ast.unparse(node)}"
        for module in modules().values()
        for node in module.nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "getattr"
        and len(node.args) == 3
        and "settings" in ast.unparse(node.args[0])
    ]


READERS = {
    "hwlearn.storage.text_file": ("open",),
    "hwlearn.storage.toml_text": ("tomllib.loads",),
    "hwlearn.tables.records": ("csv.reader",),
    "hwlearn.tables.plain": ("np.loadtxt",),
    "hwlearn_drivers.instrument.instrument": ("csv.reader",),  # replies, not files
}
"""Modules that may call what reads text; others read files by `hwlearn.storage.text_file` and `hwlearn.tables`."""

OWN = ("/proc/", "process /", "files('hwlearn")
"""Files that nobody writes: those of the operating system and of the package."""

PARSERS = ("csv.reader", "csv.DictReader", "tomllib.load", "tomllib.loads", "np.fromstring")
OPENERS = ("open", "io.open", "codecs.open")


def text_files_read_elsewhere() -> list[str]:
    """Return calls that read text files, tables or TOML without the one function for each."""
    return [
        f"{_place(module)}:{node.lineno}: {text}"
        for module in modules().values()
        for node in module.nodes
        if isinstance(node, ast.Call)
        and (text := ast.unparse(node.func))
        and _reads_text(node, text)
        and not any(text.endswith(name) for name in READERS.get(module.name, ()))
        and not any(path in ast.unparse(node) for path in OWN)
    ]


def _reads_text(call: ast.Call, function: str) -> bool:
    """Return whether a call opens or parses text."""
    name = function.rpartition(".")[2]
    if function not in OPENERS and name != "open":
        return (name in ("read_text", "genfromtxt", "loadtxt") and function != "read_text") or function in PARSERS
    place = 1 if function in OPENERS else 0  # of the mode
    given = [*call.args[place : place + 1], *(word.value for word in call.keywords if word.arg == "mode")]
    modes = [arg.value for arg in given if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    if function in OPENERS and not modes:
        return True
    return any(set(mode) <= set("rwxabt+") and mode[:1] == "r" and "b" not in mode for mode in modes)


def _defined_privately(module: Module) -> Iterator[str]:
    """Yield private names that this file defines: methods, attributes of ``self``, slots, fields, properties."""
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("self", "cls")
        ) or (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Name)
            and node.value.func.id == "super"
        ):
            yield node.attr


def _is_plain(value: ast.expr) -> bool:
    """Return whether an expression is a name, ``super()``, or a value made on the spot."""
    return isinstance(value, ast.Name | ast.Call)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _place(module: Module) -> str:
    return module.path.relative_to(ROOT).as_posix()
