"""A calibration from Python with `Bench.calibrate`."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import SetupError

pytestmark = pytest.mark.usefixtures("without_rendering")

FLAWED = [
    "backend.device_spread=0.2",
    "backend.read_noise=1 mV",
    "backend.current_noise=10 nA",
    "backend.adc_gain=0.02",
    "backend.adc_offset=5 mV",
    "backend.dac_gain=0.02",
    "backend.dac_offset=5 mV",
]


def test_bench_uses_its_new_calibration(bench_path):
    with hl.open_bench(bench_path, FLAWED) as bench:
        twin = bench.raw_network
        record = bench.calibrate("noise", "converters", "edges", configurations=5, patterns=16)
        assert record.verify is None
        assert list(record.made) == ["noise", "converters", "edges"]
        gains = bench.network.program(np.full(30, 1e-5)).reached / twin.true_conductances
        nominal = twin.program(np.full(30, 1e-5)).reached / twin.true_conductances
        known = record.edges.gain_sigma < 0.05
        assert known.sum() > 20
        assert np.log(gains[known]).std() < 0.2 * np.log(nominal[known]).std()
        with pytest.raises(SetupError, match="did you mean 'edges'"):
            bench.calibrate("edge")
        with pytest.raises(SetupError, match="configurations is 0"):
            bench.calibrate(configurations=0)
        with pytest.raises(SetupError, match=r"calibrate: .*'confs'"):
            bench.calibrate(confs=3)
