"""Checks of the values of a declaration: templates, queries with their replies, bounds, regular expressions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hwlearn.errors import SetupError
from hwlearn_drivers.declared.template import NUMBERS, Template, template


def example(pattern: str, filling: str) -> str:
    """Return a text that fits a simple regular expression: text with ``.*`` or ``.+``; empty if none is found."""
    text = re.sub(r"\.[*+]\??", filling or "x", pattern)
    text = re.sub(r"\\(.)", r"\1", text)
    return text if re.fullmatch(pattern, text) else ""


def check_expression(text: str) -> None:
    """Refuse what is no regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise SetupError(f"{text!r} is no regular expression: {error}") from None


def checked_form(key: str, text: str, allowed: Sequence[str]) -> Template:
    """Return the template of a key; an error begins with key and text."""
    try:
        return template(text, tuple(allowed))
    except SetupError as error:
        raise SetupError(f"{key} = {text!r}: {error}") from None


def check_template(key: str, text: str, allowed: Sequence[str], one: str, channel: bool = False) -> None:
    """Refuse a template without its number or array, or without ``{channel}`` where there are several."""
    form = checked_form(key, text, allowed)
    wanted = "{volts}" if "volts" in allowed else "{code}"
    if form.number is None:
        raise SetupError(f"{key} = {text!r} must contain {wanted} or another number")
    if form.is_array is not (one == "array"):
        raise SetupError(
            f"{key} = {text!r} must contain {'an array such as {volts,...}' if one == 'array' else 'one number'}"
        )
    if channel and not form.has("channel"):
        raise SetupError(f"{key} = {text!r} must contain {{channel}}, because there are several channels")


def check_query(ask: str | None, reply: str | None, several: bool) -> None:
    """Refuse a query without its reply, and one that names no channel where there are several."""
    if (ask is None) is not (reply is None):
        raise SetupError("ask and reply are given together, or neither")
    if ask is not None and reply is not None:
        form = checked_form("ask", ask, ("channel",))
        if several and not form.has("channel"):
            raise SetupError(f"ask = {ask!r} must contain {{channel}}, because there are several; or use ask_all")
        check_template("reply", reply, ("channel", "any", *NUMBERS), one="number")


def check_bounds(key: str, bounds: tuple[float, float], contains_zero: bool = False) -> None:
    """Refuse bounds that are not in rising order, or do not contain 0 V where they must."""
    low, high = bounds
    if not low < high:
        raise SetupError(f"{key} = [{low}, {high}]: the first voltage must be below the second")
    if contains_zero and not low <= 0 <= high:
        raise SetupError(f"{key} = [{low}, {high}] must contain 0 V, to which every output goes first")
