"""First contact with a bench on SMUs that states nothing but its wiring: `check` and the noise step pass."""

import pytest

import hwlearn as hl
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.placed import PlacedSmu

BENCH = """
[network]
kind = "edges"
nodes = 4
edges = [[0, 2], [1, 2], [2, 3], [0, 3]]
inputs = [0, 1]
outputs = [2]
ground = 3
[limits]
voltage = "500 mV"
drop = "1 V"
nudge = "200 mV"
current = "1 mA"
conductance = ["10 uS", "200 uS"]
[backend]
kind = "smu"
channels = [
  {{ address = "{a}", model = "2400", node = 0 }},
  {{ address = "{b}", model = "{second}", channel = "a", node = 1 }},
  {{ address = "{b}", model = "{second}", channel = "b", node = 2 }},
]
edges = "100 uS"
settle = 0
slew_V_per_s = 1e6
ramp_step = "500 mV"
[data]
source = "teacher"
samples = 2
amplitude = "300 mV"
[train]
rule = "analytic"
epochs = 1
"""


@pytest.fixture
def path(tmp_path, request):
    """Write a bench file; the parameter is the model that reads the output. Default: one without noise figures."""
    second = getattr(request, "param", "2612B")
    graph = hl.Topology(4, [(0, 2), (1, 2), (2, 3), (0, 3)], [0, 1], [2], ground=3)
    placed = [PlacedSmu("one", "2400", (0,)), PlacedSmu("two", second, (1, 2))]
    with VirtualBench(graph, placed, conductances=1e-4, meters=Meters(noise=1.0), seed=3) as bench:
        file = tmp_path / "bench.toml"
        file.write_text(
            BENCH.format(a=bench.address("one"), b=bench.address("two"), second=second), encoding="utf-8"
        )
        yield file


def test_check_of_a_bench_with_default_settings_measures_its_noise_and_says_so(path):
    from hwlearn.lab.checks import check_bench

    with hl.open_bench(path) as bench:
        checks = {check.name: check for check in check_bench(bench)}
    noise = checks["noise floor"]
    assert noise.result == "not applicable"
    assert "rms; not stated" in noise.found
    assert checks["programming"].result == "not applicable"  # its edges are resistors
    assert not [check for check in checks.values() if check.result == "fail"]


@pytest.mark.parametrize("path", ["2602B"], indirect=True)
def test_check_compares_the_noise_with_the_data_sheet_where_it_is_known(path):
    from hwlearn.lab.checks import check_bench

    with hl.open_bench(path) as bench:
        assert bench.network.noise_is_from_data_sheet
        assert bench.network.resolution == pytest.approx(7.58e-6, rel=1e-2)  # 50 uV peak to peak on the 1 V range
        noise = next(check for check in check_bench(bench) if check.name == "noise floor")
    assert noise.result == "pass"
    assert "as stated in the data sheet: 7.58" in noise.found
    with hl.open_bench(path, {"backend.voltage_sigma": "20 uV"}) as bench:
        assert not bench.network.noise_is_from_data_sheet
        assert bench.network.resolution == 20e-6


@pytest.mark.slow
def test_noise_step_of_a_bench_with_default_settings_passes(path):
    from hwlearn.lab.calibration.calibrate import calibrate

    with hl.open_bench(path) as bench:
        (done,) = list(calibrate(bench.calibration_job(), ("noise",)))
    assert done.result.passed
    assert "not stated" in done.result.verdict
    assert any(row.value == "not stated" for row in done.result.rows)
