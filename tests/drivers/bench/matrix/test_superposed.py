"""Samples composed by superposition: exact, with the stated uncertainty, and only after a check."""

import numpy as np
import pytest
from matrix_desk import desk

import hwlearn as hl
from hwlearn.errors import LimitError, NetworkError, SetupError
from hwlearn_drivers.bench.matrix.network import MatrixNetwork
from hwlearn_drivers.bench.matrix.reading import MatrixReading
from hwlearn_drivers.bench.matrix.superposed import SingleInputs
from hwlearn_drivers.bench.matrix.superposition_record import SuperpositionRecord
from hwlearn_drivers.instrument.pace import Pace

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-6, 1e-3))
TOP = hl.Topology.random(9, 20, inputs=4, outputs=3, seed=4)
G = np.random.default_rng(8).uniform(2e-5, 1e-4, TOP.n_edges)
COLUMNS = {TOP.names[node]: k + 1 for k, node in enumerate([*TOP.inputs, *TOP.outputs])}
ROWS = {"A": {"source": "smu1:a"}, "B": {"read": "smu1:b"}, "G": "ground"}


def bench(record, names=("smu1", "mat1"), limits=LIMITS, columns=COLUMNS):
    matrix = {"instrument": "mat1", "rows": ROWS, "columns": columns}
    how = MatrixReading(superposition=None if record is None else SuperpositionRecord(record))
    return desk(TOP, limits, names, matrix, (), G, MatrixNetwork, pace=Pace(1e6, 2.0, 0.0), reading=how)


def true(x):
    return hl.Kirchhoff(TOP, G).solve(x)[:, TOP.outputs]


def test_composed_samples_equal_those_of_the_circuit(tmp_path):
    x = np.random.default_rng(0).uniform(-0.4, 0.4, (5, 4))
    x[1] = [0.3, 0.0, 0.3, 0.0]  # measured directly
    network, circuit = bench(tmp_path / "check.toml")
    with network:
        with pytest.raises(NetworkError, match=r"no check has shown.*run hwlearn check"):
            network.measure(x)
        assert not circuit.sources
        network.keep_superposition(holds=True, found="error 1 uV")
        read = network.measure(x)
        np.testing.assert_allclose(read.voltages, true(x), atol=1e-9)
        assert read.voltage_sigma > 1e-6  # of one reading of this reader
        assert circuit.largest <= 0.4 + 1e-9
        network.keep_superposition(holds=False, found="error 1 mV")
        with pytest.raises(NetworkError, match="failed: error 1 mV"):
            network.measure(x)


def test_a_check_on_another_bench_does_not_count(tmp_path):
    record, x = tmp_path / "check.toml", [[0.1, 0.2, 0.3, 0.4]]
    network, _ = bench(record)
    with network:
        network.keep_superposition(holds=True, found="")
    swapped = dict(zip(COLUMNS, reversed(COLUMNS.values()), strict=True))
    for changed in ({"names": ("smu1", "dmm1", "mat1")}, {"columns": swapped}):
        network, _ = bench(record, **changed)
        with network, pytest.raises(NetworkError, match=r"was checked with other (instruments|columns)"):
            network.measure(x)
    record.write_text("[superposition]\nholds = 1\n", encoding="ascii")
    network, _ = bench(record)
    with network, pytest.raises(NetworkError, match="is damaged"):
        network.measure(x)


def test_without_superpose_the_error_names_it():
    network, _ = bench(None)
    with network, pytest.raises(NetworkError, match="superpose = true"):
        network.measure([[0.1, 0.2, 0.3, 0.4]])


def test_single_inputs_keep_the_limits(tmp_path):
    """Inputs that are close to each other may be far from 0 V, which is where the others are held."""
    network, circuit = bench(tmp_path / "c", limits=hl.Limits(0.5, 0.25, 0.2, 1e-3, (1e-6, 1e-3)))
    with network:
        network.keep_superposition(holds=True, found="")
        with pytest.raises(LimitError, match=r"limits\.drop"):
            network.measure([[0.40, 0.41, 0.42, 0.43]])
        assert not circuit.sources


def test_stated_uncertainty_is_that_of_many_repetitions():
    rng = np.random.default_rng(5)
    x = rng.uniform(-0.4, 0.4, (3, 4))
    single = SingleInputs.of(x)
    exact = rng.uniform(-0.3, 0.3, (len(single.requests), 1))
    sigma = 1e-3
    found = np.stack(
        [single.outputs(x, exact + sigma * rng.standard_normal(exact.shape))[:, 0] for _ in range(4000)]
    )
    np.testing.assert_allclose(found.std(axis=0), single.sigma(x, sigma), rtol=0.06)


def test_offsets_of_readings_stay_in_composed_samples():
    """A reader with an offset gives composed samples that offset, as it gives measured ones; not a multiple."""
    x = np.random.default_rng(0).uniform(-0.4, 0.4, (5, 4))
    single = SingleInputs.of(x)
    read = true(single.requests) + 2e-3
    np.testing.assert_allclose(single.outputs(x, read), true(x) + 2e-3, atol=1e-12)


def test_superpose_is_refused_where_it_cannot_hold():
    from matrix_desk import settings

    from hwlearn_drivers.bench.wiring import check_drive, make_wiring

    matrix = {"instrument": "mat1", "rows": {key: ROWS[key] for key in "AB"}, "columns": COLUMNS}
    with pytest.raises(SetupError, match=r"needs a row that is 'ground'"):
        make_wiring(settings(["smu1", "mat1"], matrix, superpose=True), TOP, LIMITS)
    wiring = make_wiring(settings(["smu1", "mat1"], {**matrix, "rows": ROWS}, superpose=True), TOP, LIMITS)
    with pytest.raises(SetupError, match="has no nudge"):
        check_drive(wiring, "current")
