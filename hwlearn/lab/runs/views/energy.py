"""The energy of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwlearn.lab.runs.contents import RunContents
from hwlearn.learning.energy import training_energy
from hwlearn.learning.records import Epoch


def energy_of_run(contents: RunContents, epochs: Sequence[Epoch]) -> Mapping[str, Any]:
    """Return the account of the whole training, see `History.energy`; empty if it has none.

    A training that ended has stored it, with the part of an epoch in which it was interrupted. Of one that was
    killed or still runs it is that of its complete epochs.
    """
    stored: Mapping[str, Any] | None = contents.meta("energy")
    return stored or training_energy(epoch.energy for epoch in epochs)
