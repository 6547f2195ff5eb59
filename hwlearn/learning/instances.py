"""Check that an argument is an instance of the class that is expected, not the class itself or a name."""

from __future__ import annotations

import inspect

from hwlearn.errors import SetupError


def check_instance(value: object, expected: type, parameter: str) -> None:
    """Refuse a value of another class.

    Raises
    ------
    SetupError
        With the parameter, the value and what to write instead.
    """
    if isinstance(value, expected):
        return
    article = "an" if expected.__name__[0] in "AEIOU" else "a"
    what = f"{parameter} must be {article} {expected.__name__} object, got"
    if inspect.isclass(value) or inspect.isfunction(value):
        kind = "class" if inspect.isclass(value) else "function"
        raise SetupError(f"{what} the {kind} {value.__name__} itself; call it, as in {value.__name__}(...)")
    raise SetupError(f"{what} {value!r}")
