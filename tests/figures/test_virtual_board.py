"""Iris on the firmware of the reference board over a serial line, compared with the same network on the twin."""

import re
from importlib import resources

import numpy as np
import pytest

import hwlearn as hl

HELD_OUT = 45
"""Flowers that the accuracy of one seed is measured on."""

TWIN = """
[backend]
kind = "sim"
device_spread = 0.08
rheostat = { full = "100 kohm", wiper = "130 ohm", positions = 256 }
read_noise = "100 uV"
averages = 4
adc_bits = 16
adc_range = "2.5 V"
dac_bits = 16
dac_range = "2.5 V"
nudges = ["resistor"]

"""


def accuracies(bench, seeds) -> list[float]:
    """Return the measured test accuracy of each seed, which sets devices, split and noise."""
    found = []
    for seed in seeds:
        with hl.open_bench(bench, {"train.seed": seed, "backend.seed": seed, "data.split_seed": seed}) as one:
            one.train()
            found.append(one.evaluate().measured.accuracy)
    return found


@pytest.mark.slow
def test_board_reaches_the_accuracy_of_the_twin(figure, tmp_path, seeds):
    shipped = (resources.files("hwlearn.lab") / "benches" / "virtual-board.toml").read_text(encoding="utf-8")
    text, replaced = re.subn(r"(?ms)^\[backend\]$.*?(?=^\[data\]$)", TWIN, shipped)
    assert replaced == 1
    twin = tmp_path / "twin.toml"
    twin.write_text(text, encoding="utf-8")
    chosen = seeds.first(5, 2)
    on_board, on_twin = (np.mean(accuracies(bench, chosen)) for bench in ("virtual-board", twin))
    figure(
        f"virtual-board, iris, {len(chosen)} seeds: test accuracy {on_board:.4f} on the board "
        f"(required >= 0.94), "
        f"{on_twin:.4f} on the twin (required within 0.02)"
    )
    flowers = len(chosen) * HELD_OUT
    assert on_board >= seeds.fraction(0.94, flowers)
    # a few flowers decide about a share: 4 standard errors if one in thirty is classified differently
    assert abs(on_board - on_twin) <= 0.02 + (0 if seeds.full else 4 * np.sqrt(1 / 30 / flowers))
