"""The studies by name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

from hwlearn.errors import SetupError, closest
from hwlearn.study.study import Study

STUDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "exactness": "exactness",
        "bias": "bias",
        "readout": "readout",
        "subset": "subset",
        "noise": "noise",
        "wires": "wires",
        "transistors": "transistors",
        "paired": "replica",
        "energy": "energy",
        "tasks": "tasks",
    }
)
"""Module of each study in `hwlearn.study.studies`."""


def find_study(name: str) -> Study:
    """Return the study of a name.

    Raises
    ------
    SetupError
        If there is none.
    """
    if name not in STUDIES:
        raise SetupError(
            f"there is no study {name!r}{closest(name, list(STUDIES))}; there are: {', '.join(STUDIES)}"
        )
    module = import_module(f"hwlearn.study.studies.{STUDIES[name]}")
    study: Study = module.STUDY
    return study
