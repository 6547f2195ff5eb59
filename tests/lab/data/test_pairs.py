"""``data.output_pairs``: names and numbers of outputs, targets that differences can have, and class counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shares import examples

import hwlearn as hl
from hwlearn.errors import DataError, SetupError
from hwlearn.lab.bench.recipes import make_cost, make_targets
from hwlearn.lab.bench_file.sections import DataSection
from hwlearn.lab.data.loading import load_data
from hwlearn.lab.data.pairs import read_pairs
from hwlearn.lab.data.reach import check_differences
from hwlearn.learning import OutputPairs

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-6, 1e-4))
NAMES = ["V1", "V2", "gnd", "O+", "O-", "O 3", "hidden"]
NAMED = hl.Topology(
    7, [(0, 3), (1, 4), (2, 3), (2, 4), (0, 5), (3, 6), (4, 6)], [0, 1], [4, 3, 5], ground=2, names=NAMES
)


def loaded(tmp_path, text, topology=None, **keys):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    section = DataSection.model_validate({"source": "a.csv"} | keys)
    return load_data(section, tmp_path, topology or hl.Topology.crossbar(2, 4), LIMITS)


# --- names and numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "pairs"),
    [
        ([["O+", "O-"]], [(1, 0)]),
        ([[1, "O-"], ["O 3", 0]], [(1, 0), (2, 0)]),
        ([[0, 1], [2, 1]], [(0, 1), (2, 1)]),
    ],
)
def test_outputs_are_given_by_number_or_by_node(given, pairs):
    assert read_pairs(given, NAMED) == OutputPairs(pairs)
    assert read_pairs(None, NAMED) is None


def test_consecutive_pairs_cover_every_output():
    assert read_pairs("consecutive", hl.Topology.crossbar(2, 4)) == OutputPairs([(0, 1), (2, 3)])
    with pytest.raises(DataError, match=r"data\.output_pairs: 3 outputs cannot all be in consecutive pairs"):
        read_pairs("consecutive", NAMED)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[0, 3]], "there is no output 3: outputs are numbered 0 to 2 in the order .*; node 3 is output 1"),
        ([[0, 6]], "there is no output 6: outputs are numbered 0 to 2 in the order of the network's outputs$"),
        ([[-1, 0]], "there is no output -1"),
        ([["O+", "hidden"]], r"node 'hidden' is no output; the outputs are: O-, O\+, O 3"),
        ([["O+", "gnd"]], "node 'gnd' is no output"),
        ([["O+", "O3"]], "there is no output 'O3', did you mean 'O 3'"),
        ([["O+", " O-"]], "there is no output ' O-', did you mean 'O-'"),
        ([["0", "1"]], "there is no output '0'"),
        ([["O-", 0]], "pair 0 of outputs is output 0 with itself"),
        ([["O+", "O-"], [0, 1]], r"pair 1 of outputs is \[0, 1\], which is pair 0 with the other sign"),
        ([], "there is no pair of outputs"),
    ],
)
def test_pairs_of_other_outputs_are_refused(given, message):
    with pytest.raises(DataError, match=f"^data.output_pairs: {message}"):
        read_pairs(given, NAMED)


@pytest.mark.parametrize(
    "value", [[[0.0, 1]], [[True, 1]], [[0]], [[0, 1, 2]], [0, 1], "consecutives", True, 1, {}]
)
def test_values_that_are_no_pairs_are_refused_with_their_key(bench_path, value):
    with pytest.raises(SetupError, match=r"^bench small: data\.output_pairs"):
        hl.open_bench(bench_path, {"data.output_pairs": value})


# --- targets ----------------------------------------------------------------------------------------


def test_targets_are_those_of_the_pairs(tmp_path):
    data = loaded(tmp_path, "a,b,t (mV)\n-0.2,0.2,-399\n", target_columns=[2], output_pairs=[[0, 3]])
    np.testing.assert_allclose(data.targets, [[-0.399]])
    assert data.understood[-1] == "pairs of outputs: col0 - col3; read, but not scored: col1, col2"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "-0.31",
            r"target -310 mV of col0 - col3 \(line 2\) cannot be reached: outputs .* its inputs, here 300 mV",
        ),
        ("87", r"target 87 V of col0 - col3 \(line 2\) cannot be reached: .* or give the unit in the title"),
    ],
)
def test_differences_beyond_the_range_of_the_inputs_are_refused_by_line(tmp_path, target, message):
    with pytest.raises(DataError, match=message):
        loaded(tmp_path, f"a,b,t\n-0.1,0.2,{target}\n", target_columns=[2], output_pairs=[[0, 3]])
    # with a ground, or a bias, the range is wider
    wide = {"target_columns": [2], "output_pairs": [[0, 3]], "bias": 0.25}
    top = hl.Topology.crossbar(4, 4)
    if target == "-0.31":
        assert loaded(tmp_path, f"a,b,t\n-0.1,0.2,{target}\n", top, **wide).targets.tolist() == [[-0.31]]


def test_targets_of_a_chain_need_one_range_together():
    """Two differences of 200 mV fit into 300 mV alone, and in opposite directions, but not one upon the other."""
    top, x = hl.Topology.crossbar(2, 3), np.array([[-0.1, 0.2]])
    chain = OutputPairs([(0, 1), (1, 2)])
    check_differences(top, x, np.array([[0.2, -0.2]]), chain)
    check_differences(top, x, np.array([[0.15, 0.15]]), chain)
    with pytest.raises(DataError, match="with the pairs that share its outputs, 400 mV in all, cannot be reached"):
        check_differences(top, x, np.array([[0.2, 0.2]]), chain)


def test_targets_around_a_loop_of_pairs_sum_to_zero():
    top, x = hl.Topology.crossbar(2, 3), np.array([[-0.1, 0.2]])
    loop = OutputPairs([(0, 1), (1, 2), (2, 0)])
    check_differences(top, x, np.array([[0.1, 0.15, -0.25]]), loop)
    with pytest.raises(DataError, match="contradicts the other targets: around a loop of pairs"):
        check_differences(top, x, np.array([[0.1, 0.15, -0.2]]), loop)


@settings(deadline=None, max_examples=examples(40))
@given(st.integers(0, 2**16))
def test_what_a_network_gives_is_within_reach(seed):
    """No difference of a solved network is refused as a target."""
    rng = np.random.default_rng(seed)
    top = hl.Topology.random(12, 24, inputs=4, outputs=4, ground=5 if seed % 2 else None, seed=seed)
    x = rng.uniform(-0.4, 0.4, (5, top.n_inputs))
    volts = hl.Kirchhoff(top, np.exp(rng.normal(-10, 3, top.n_edges))).solve(x)[:, top.outputs]
    every = [(a, b) for a in range(4) for b in range(a)]
    pairs = OutputPairs([every[k] for k in rng.permutation(6)[: rng.integers(1, 7)]])
    check_differences(top, x, pairs.differences(volts), pairs)


def test_teacher_targets_are_differences_of_the_outputs(tmp_path):
    section = {"source": "teacher", "amplitude": "0.3 V", "samples": 5}
    top = hl.Topology.random(12, 24, inputs=4, outputs=3, seed=1)
    plain = load_data(DataSection.model_validate(section), tmp_path, top, LIMITS)
    paired = section | {"output_pairs": [[2, 0]]}
    data = load_data(DataSection.model_validate(paired), tmp_path, top, LIMITS)
    np.testing.assert_array_equal(data.targets, plain.targets[:, [2]] - plain.targets[:, [0]])
    np.testing.assert_array_equal(data.inputs, plain.inputs)


def test_scaled_targets_are_volts_of_the_difference(tmp_path):
    keys = {"target_columns": [2], "output_pairs": "consecutive", "target_scaling": {"volts": [-0.1, 0.1]}}
    data = loaded(tmp_path, "a,b,load (kW)\n-0.1,0.2,10\n0.1,-0.2,50\n", hl.Topology.crossbar(2, 2), **keys)
    np.testing.assert_allclose(data.targets, [[-0.1], [0.1]])
    assert data.scale.error_text(0.001) == "0.2 kW"


# --- classes ----------------------------------------------------------------------------------------

CLASSES = """
[network]
kind = "crossbar"
rows = 2
columns = 6
[limits]
voltage = "0.5 V"
drop = "1 V"
nudge = "0.2 V"
current = "1 mA"
conductance = ["1 uS", "100 uS"]
[backend]
kind = "sim"
[data]
source = "a.csv"
label_column = "y"
output_pairs = "consecutive"
[train]
epochs = 1
"""


@pytest.fixture
def classes(write):
    """Return a function that opens a bench of six columns with these labels."""

    def opened(labels, changes=()):
        write("a,b,y\n" + "".join(f"0.{k + 1},-0.1,{label}\n" for k, label in enumerate(labels)), "a.csv")
        return hl.open_bench(write(CLASSES), changes)

    return opened


def test_classes_are_counted_by_pairs(classes):
    bench = classes("abc")
    assert bench.data.understood[-2:] == (
        "classes a, b, c are pairs of outputs 0 to 2",
        "pairs of outputs: col0 - col1, col2 - col3, col4 - col5",
    )
    with bench:
        bench.train()
        assert bench.evaluate().measured.accuracy is not None


@pytest.mark.parametrize(
    ("labels", "pairs", "message"),
    [
        ("ab", "consecutive", r"the data has 2 classes \(a, b\), but data\.output_pairs gives 3; give one pair"),
        ("abcd", "consecutive", r"the data has 4 classes \(a, b, c, d\), but data\.output_pairs gives 3"),
        ("0135", [[0, 1], [2, 3], [4, 5], [0, 2], [0, 3]], r"4 classes \(0, 1, 3, 5\), but .* gives 5"),
        ("abc", [[0, 1]], r"3 classes \(a, b, c\), but data\.output_pairs gives 1"),
    ],
)
def test_wrong_number_of_classes_is_refused(classes, labels, pairs, message):
    with pytest.raises(SetupError, match=message):
        classes(labels, {"data.output_pairs": pairs})


def test_more_classes_than_outputs_can_share_a_reference(write):
    """Pairs may be more than outputs, since each class needs a difference and not an output of its own."""
    write("a,b,y\n" + "".join(f"0.{k + 1},-0.1,{k}\n" for k in range(3)), "a.csv")
    bench = hl.open_bench(
        write(CLASSES), {"network.columns": 3, "data.output_pairs": [[0, 1], [1, 2], [2, 0]], "train.epochs": 2}
    )
    with bench:
        assert len(bench.train().epochs) == 2


def test_mean_square_targets_of_classes_are_those_of_the_pairs(classes):
    bench = classes("bca", {"train.cost": "mse", "train.target": "60 mV"})
    cost = make_cost(bench.file.train, True, bench.data.pairs)
    targets = make_targets(bench.file, bench.data, cost, bench.topology.n_outputs)
    np.testing.assert_allclose(targets, [[0, 0.06, 0], [0, 0, 0.06], [0.06, 0, 0]])
    with bench:
        score = bench.evaluate().measured
    assert score.accuracy is not None
    assert score.rms_error_V is not None
