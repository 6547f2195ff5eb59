"""docs/instruments.md describes every key of the backend ``smu``."""

from pathlib import Path

import pytest

from hwlearn_drivers.edges.settings import EdgeCardSettings
from hwlearn_drivers.smu.settings import ChannelSettings, SmuSettings

PAGE = (Path(__file__).parents[3] / "docs" / "instruments.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", [SmuSettings, ChannelSettings, EdgeCardSettings])
def test_page_names_every_key(model):
    missing = {key for key in model.model_fields if key != "kind" and f"`{key}`" not in PAGE}
    assert not missing
