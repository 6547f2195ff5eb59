"""docs/instruments.md describes every key of the backend ``smu``."""

import re
from pathlib import Path

import pytest

from hwlearn.units import format_quantity
from hwlearn_drivers.edges.settings import EdgeCardSettings
from hwlearn_drivers.smu.registry import FAMILIES
from hwlearn_drivers.smu.settings import ChannelSettings, SmuSettings

PAGE = (Path(__file__).parents[3] / "docs" / "instruments.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", [SmuSettings, ChannelSettings, EdgeCardSettings])
def test_page_names_every_key(model):
    missing = {key for key in model.model_fields if key != "kind" and f"`{key}`" not in PAGE}
    assert not missing


def test_page_has_the_figures_of_every_model_and_names_those_that_are_refused():
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.split("\n") if line.startswith("| ")]
    cells = {
        model: row for row in rows for model in re.findall(r"\bB?2\d{3}\w*(?:-\w+)?", row[0]) if len(row) == 6
    }
    for family in FAMILIES:
        for model, known in family.operating_ranges.items():
            _, channels, regions, volts, amperes, noise = cells[model]
            counts = [int(one) for one in channels.split(", ")]
            assert known.channels in counts
            assert regions.split("; ")[0] == ", ".join(
                f"{v:g} V at {format_quantity(a, 'A')}" for v, a in known.regions
            )
            assert volts == ", ".join(f"{one.full_scale:g}" for one in known.volts)
            least, most = known.amperes[0].full_scale, known.amperes[-1].full_scale
            assert amperes == f"{format_quantity(least, 'A')} to {format_quantity(most, 'A')}"
            assert (noise == "not stated") == (known.noise is None)
        for model in family.refused:
            assert model in PAGE.split("**Refused by name**")[1].split("- **Pulses**")[0].replace("\n", " ")
