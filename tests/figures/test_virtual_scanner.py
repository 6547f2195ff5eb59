"""Iris on a board whose nodes a scanning voltmeter reads, against the twin with its imperfections."""

import time

import numpy as np
import pytest

import hwlearn as hl

TWIN = {
    "kind": "sim",
    "device_spread": 0.1,
    "read_noise": "3.4 uV",  # 34970A, 1 V range, 1 power line cycle
    "dac_bits": 14,
    "dac_range": "1 V",
    "rheostat": {"full": "100 kohm", "wiper": "130 ohm", "positions": 256},
}


def twin(seed, epochs):
    from hwlearn.lab.bench.bench import Bench
    from hwlearn.lab.bench_file.file import parse_bench_file
    from hwlearn.storage.toml_text import toml_text

    file = hl.open_bench("virtual-scanner", {"train.epochs": epochs, "train.seed": seed}).file
    tables = {**file.tables, "backend": {**TWIN, "seed": seed}}
    with Bench(parse_bench_file(toml_text(tables), "twin", file.folder)) as bench:
        bench.train()
        return bench.evaluate().measured.accuracy


def scanned(seed, epochs):
    """Return accuracy, samples per second of instrument time, and samples per second of processor time."""
    changes = {"train.epochs": epochs, "train.seed": seed, "backend.seed": seed}
    with hl.open_bench("virtual-scanner", changes) as bench:
        began = time.process_time()
        bench.train()
        busy = time.process_time() - began
        network = bench.network
        seconds, samples = network.bench.instrument("scan").clock.seconds, network.measurements
        return bench.evaluate().measured.accuracy, samples / seconds, samples / busy


@pytest.mark.slow
def test_scanner_trains_as_well_as_the_twin(figure, seeds):
    """The mean accuracy is within 1.5 points of the twin's, for five seeds; CI runs one."""
    chosen, epochs = seeds.first(5, 1), 30
    runs = [scanned(seed, epochs) for seed in chosen]
    found, twins = [run[0] for run in runs], [twin(seed, epochs) for seed in chosen]
    figure(
        f"virtual-scanner over TCP, {len(found)} seeds: {100 * np.mean(found):.1f} % ({100 * min(found):.1f} to "
        f"{100 * max(found):.1f}), twin {100 * np.mean(twins):.1f} % ({100 * min(twins):.1f} to "
        f"{100 * max(twins):.1f}); required: within 1.5 points; {np.mean([run[1] for run in runs]):.2f} samples "
        f"per second of the scanner's time, {np.mean([run[2] for run in runs]):.0f} per second of processor time"
    )
    assert np.mean(found) >= np.mean(twins) - (0.015 if len(found) >= 5 else 0.05)
