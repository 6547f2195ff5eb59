"""Labels, headers, units, targets and NPZ files of other people; test names begin with the row of the report."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwlearn as hl
from hwlearn.errors import DataError, LimitError
from hwlearn.lab.bench_file.sections import DataSection
from hwlearn.lab.data.files import read_csv, read_npz
from hwlearn.lab.data.loading import load_data
from hwlearn.lab.data.scaling import OutputScale

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-6, 1e-4))


def loaded(tmp_path, text, inputs=2, outputs=1, **keys):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    section = DataSection.model_validate({"source": "a.csv"} | keys)
    return load_data(section, tmp_path, hl.Topology.crossbar(inputs, outputs), LIMITS)


# --- rows 1, 2, 10: values, headers and dialects of [data] ---------------------------------------------------


@pytest.mark.parametrize("code", ["9.91e37", "-9.9E+37", "9.909999530030929e+37", "nan", "inf", "1e999"])
def test_row_1_overflow_code_is_refused_by_line_and_column(tmp_path, code):
    with pytest.raises(DataError, match=r"line 2, column 1 \(b\)"):
        loaded(tmp_path, f"a,b,t\n0.1,{code},0.1\n", target_columns=[2])
    with pytest.raises(DataError, match="line 1, column 2"):
        loaded(tmp_path, f"0.1,0.2,{code}\n", target_columns=[2])


@pytest.mark.parametrize("name", ["inputs", "targets"])
@pytest.mark.parametrize("code", [9.91e37, np.float32(9.91e37), np.nan, -np.inf])
def test_row_1_overflow_code_in_npz_is_refused_by_row_and_column(tmp_path, name, code):
    arrays = {"inputs": np.full((4, 3), 0.1), "targets": np.full((4, 2), 0.1)}
    arrays[name][2, 1] = code
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=rf"a\.npz: array '{name}' has .* in row 2, column 1"):
        read_npz(tmp_path / "a.npz")


def test_row_2_pandas_header_is_no_sample(tmp_path):
    text = "0,1,2\n0.1,0.2,0.15\n0.2,0.1,0.12\n"
    with pytest.raises(DataError, match=r"line 1: 0, 1, 2 may be names .*; state data\.header = true or false"):
        loaded(tmp_path, text, target_columns=[2])
    data = loaded(tmp_path, text, target_columns=["2"], header=True)
    assert data.inputs.tolist() == [[0.1, 0.2], [0.2, 0.1]]
    assert data.targets.tolist() == [[0.15], [0.12]]
    with pytest.raises(LimitError, match="1 V at row0"):
        loaded(tmp_path, text, target_columns=[0], header=False)


def test_row_2_name_of_the_label_is_no_class(tmp_path):
    text = "0,1,label\n0.1,0.2,up\n0.2,0.1,down\n"
    with pytest.raises(DataError, match="line 1: 0, 1, label may be names"):
        loaded(tmp_path, text, label_column=2)
    assert loaded(tmp_path, text, outputs=2, label_column="label", header=True).classes == ("down", "up")


def test_row_2_row_numbers_are_no_feature_by_accident(tmp_path):
    text = ",a,b,t\n0,0.1,0.2,0.15\n1,0.2,0.1,0.12\n"
    with pytest.raises(DataError, match=r"column 0 has no title; .*data\.drop = \[0\]"):
        loaded(tmp_path, text, target_columns=["t"])
    assert loaded(tmp_path, text, target_columns=["t"], drop=[0]).inputs.tolist() == [[0.1, 0.2], [0.2, 0.1]]
    chosen = loaded(tmp_path, text, target_columns=["t"], columns=["b", "a"])
    assert chosen.inputs.tolist() == [[0.2, 0.1], [0.1, 0.2]]


@pytest.mark.parametrize(
    "keys", [{"columns": ["a"], "drop": ["b"]}, {"columns": ["t", "a"]}, {"columns": ["a", "a"]}, {"drop": ["t"]},
             {"drop": ["a", "b"]}, {"columns": []}, {"drop": ["no"]}, {"columns": [7]}]
)  # fmt: skip
def test_columns_that_cannot_be_chosen_are_refused(tmp_path, keys):
    with pytest.raises(DataError):
        loaded(tmp_path, "a,b,t\n0.1,0.2,0.15\n", target_columns=["t"], **keys)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("0,1;0,2;0,15\n0,2;0,1;0,12\n", {}),
        ("# measured\n0.1\t0.2\t0.15\n0.2\t0.1\t0.12\n", {}),
        ("0.1 0.2 0.15\n0.2  0.1 0.12\n", {"delimiter": "whitespace"}),
        ("0.1\t0.2\t0.15\n0.2\t0.1\t0.12\n", {"delimiter": "tab", "decimal": "."}),
    ],
)
def test_row_10_dialects_are_read_and_shown(tmp_path, text, keys):
    data = loaded(tmp_path, text, target_columns=[2], **keys)
    assert data.inputs.tolist() == [[0.1, 0.2], [0.2, 0.1]]
    assert data.targets.tolist() == [[0.15], [0.12]]
    assert data.understood[0].startswith(("semicolons, decimal commas", "tabs", "whitespace"))


# --- row 9: labels --------------------------------------------------------------------------------------


def classes(tmp_path, *labels):
    rows = "".join(f"0.1,0.{k},{label}\n" for k, label in enumerate(labels, start=1))
    path = tmp_path / "a.csv"
    path.write_text(f"a,b,kind\n{rows}", encoding="utf-8")
    return read_csv(path, "kind", None)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("1", "", "2"), r"line 3: the label '' marks a missing value; labels are whole numbers or text"),
        (("1", "2", "nan"), r"line 4: the label 'nan' marks a missing value"),
        (("up", "NA", "down"), r"line 3: the label 'NA' marks a missing value"),
        (("up", "None", "down"), r"line 3: the label 'None' marks"),
        (("1", "2", "1.0"), r"line 4: the label '1.0' is '1' of line 2 in another spelling"),
        (("1", "01", "2"), r"line 3: the label '01' is '1' of line 2"),
        (("1e0", "1", "2"), r"line 3: the label '1' is '1e0' of line 2"),
        (("kält", "ka\u0308lt", "up"), r"line 3: .* in another spelling"),
        (("up", "up\u200b", "down"), r"line 3: .* in another spelling"),
        (("1", "2", "label"), r"line 4: of the labels 'label' and '1' \(line 2\) one is text and one a number"),
        (("up", "down", "3"), r"line 4: of the labels '3' and 'up' \(line 2\) one is text"),
        (("1", "2", "inf"), r"line 4: the label 'inf' is no whole number"),
        (("1", "2", "9.91e37"), r"line 4: the label '9.91e37' is no whole number"),
        (("0.5", "1.5", "0.5"), r"line 2: the label '0.5' is no whole number.*data\.target_columns"),
        (("up", "up", "up"), r"all 3 rows have the label 'up'; a classification needs at least two classes"),
    ],
)
def test_row_9_labels_that_are_none_are_refused_by_line(tmp_path, labels, message):
    with pytest.raises(DataError, match=message):
        classes(tmp_path, *labels)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("1", "3", "1"), ("1", "3")),
        (("1.0", "2.0", "1.0"), ("1.0", "2.0")),
        (("-1", "+1", "-1"), ("-1", "+1")),
        (("10", "9", "2"), ("2", "9", "10")),
        (("up", "a b", "Up"), ("Up", "a b", "up")),
        (("2024-01-01", "2024-01-02", "2024-01-01"), ("2024-01-01", "2024-01-02")),
    ],
)
def test_row_9_classes_are_the_labels_that_occur(tmp_path, labels, names):
    read = classes(tmp_path, *labels)
    assert read.classes == names
    assert [read.classes[k] for k in read.targets] == list(labels)


def test_row_9_classes_and_their_outputs_are_shown(tmp_path):
    data = loaded(tmp_path, "a,b,c\n0.1,0.2,3\n0.2,0.1,1\n", outputs=2, label_column="c")
    assert data.understood[-1] == "classes 1, 3 are outputs 0 to 1"


def npz(tmp_path, labels):
    np.savez(tmp_path / "a.npz", inputs=np.full((len(labels), 2), 0.1), labels=labels)
    return read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("labels", "names", "numbers"),
    [
        ([1, 2, 3, 1], ("1", "2", "3"), [0, 1, 2, 0]),
        ([0, 5, 9, 5], ("0", "5", "9"), [0, 1, 2, 1]),
        (np.array([1.0, 2.0]), ("1", "2"), [0, 1]),
        (np.array([7, 9], dtype=np.uint8), ("7", "9"), [0, 1]),
        (np.array(["up", "down"]), ("down", "up"), [1, 0]),
        ([20240101, 20240102, 20240101], ("20240101", "20240102"), [0, 1, 0]),
    ],
)
def test_row_9_npz_labels_are_mapped_to_the_classes_that_occur(tmp_path, labels, names, numbers):
    read = npz(tmp_path, labels)
    assert read.classes == names
    assert read.targets.tolist() == numbers


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([4, 4, 4], "all 3 rows have the label '4'"),
        ([0.5, 1.0], "label 0.5 of row 0 is no class number"),
        ([0, -1], "label -1 of row 1 is no class number"),
        ([0, np.nan], "label nan of row 1"),
        (np.array(["up", ""]), r"labels, line 1: the label '' marks a missing value"),
        (np.array(["2024-01-01", "2024-01-02"], dtype="M8[D]"), "which is not numeric"),
        (np.array([True, False]), "which is not numeric"),
        (np.array([1, None], dtype=object), "not a readable .npz file"),
    ],
)
def test_row_9_npz_labels_that_are_none_are_refused(tmp_path, labels, message):
    with pytest.raises(DataError, match=message):
        npz(tmp_path, labels)


def test_row_22_npz_labels_that_are_identifiers_need_no_memory(tmp_path):
    import tracemalloc

    labels = 20_000_000 + np.arange(5000)
    tracemalloc.start()
    with pytest.raises(
        DataError, match=r"5000 different labels, such as '20000000': these are dates or identifiers"
    ):
        npz(tmp_path, labels)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    assert npz(tmp_path, 1_500_000_000 + np.arange(4)).classes[0] == "1500000000"
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_row_22_csv_labels_that_are_identifiers_are_refused(tmp_path):
    rows = "".join(f"0.1,0.2,id{k}\n" for k in range(2000))
    with pytest.raises(DataError, match="2000 different labels, such as 'id0': these are dates or identifiers"):
        loaded(tmp_path, "a,b,c\n" + rows, label_column="c")


def test_npz_columns_are_chosen_by_number_and_dialects_refused(tmp_path):
    x = np.arange(12).reshape(4, 3) / 100
    np.savez(tmp_path / "a.NPZ.npz", inputs=x, targets=x[:, 0])
    (tmp_path / "a.NPZ.npz").rename(tmp_path / "a.NPZ")
    top = hl.Topology.crossbar(2, 1)
    for keys in ({"columns": [2, 1]}, {"drop": [0]}):
        section = DataSection.model_validate({"source": "a.NPZ", "bias": 0.4} | keys)
        data = load_data(section, tmp_path, hl.Topology.crossbar(4, 1), LIMITS)
        np.testing.assert_array_equal(data.inputs[:, :2], x[:, keys.get("columns", [1, 2])])
    for keys in ({"columns": ["a"]}, {"drop": [3]}, {"drop": [0, 1, 2]}, {"header": True}, {"label_column": 0}):
        with pytest.raises(DataError, match=r"a\.NPZ"):
            load_data(DataSection.model_validate({"source": "a.NPZ"} | keys), tmp_path, top, LIMITS)


def test_whole_numbers_that_float64_does_not_hold_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", inputs=np.array([[1, 2**53 + 1]]), targets=[[0.1]])
    with pytest.raises(
        DataError, match=r"9007199254740993 in row 0, column 1, which float64 does not hold exactly"
    ):
        read_npz(tmp_path / "a.npz")


# --- row 11: units, limits, reach, scaling ---------------------------------------------------------------


@pytest.mark.parametrize("title", ["t (mV)", "t [mV]", "t/mV", "t_mV", "t mV"])
def test_row_11_unit_of_the_target_is_used(tmp_path, title):
    data = loaded(tmp_path, f"a,b [mV],{title}\n0.1,200,150\n0.346,346,346\n", target_columns=["t"])
    assert data.inputs.tolist() == [[0.1, 0.2], [0.346, 0.346]]
    assert data.targets.tolist() == [[0.15], [0.346]]


@pytest.mark.parametrize(
    ("titles", "message"),
    [
        ("a,b,t (kW)", r"column 2 \(t \(kW\)\) is in kW, but plain numbers are volts; use data\.target_scaling"),
        ("a,I/uA,t", r"column 1 \(I/uA\) is in uA, but plain numbers are volts; use data\.encoding = 'scaled'"),
    ],
)
def test_row_11_other_units_are_refused(tmp_path, titles, message):
    with pytest.raises(DataError, match=message):
        loaded(tmp_path, f"{titles}\n0.1,0.2,0.15\n", target_columns=[2])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("346", r"target 346 V of col0 \(line 3\) exceeds limits\.voltage = 500 mV; use data\.target_scaling"),
        (
            "0.3",
            r"target 300 mV of col0 \(line 3\) cannot be reached: a passive network .* 100 mV to 200 mV",
        ),
        ("-0.01", r"target -10 mV of col0 \(line 3\) cannot be reached"),
    ],
)
def test_row_11_targets_that_no_network_gives_are_refused_by_line(tmp_path, target, message):
    with pytest.raises(DataError, match=message):
        loaded(tmp_path, f"a,b,t\n0.1,0.2,0.15\n0.1,0.2,{target}\n", target_columns=["t"])


def test_row_11_ground_and_bias_widen_what_a_network_gives(tmp_path):
    text = "a,t\n0.2,0.1\n"
    with pytest.raises(DataError, match="cannot be reached"):
        loaded(tmp_path, text, inputs=1, target_columns=["t"])
    assert loaded(tmp_path, text, inputs=3, target_columns=["t"], bias=0.3).targets.tolist() == [[0.1]]
    (tmp_path / "a.csv").write_text(text)
    grounded = hl.Topology.crossbar(2, 1, ground=1)
    section = DataSection.model_validate({"source": "a.csv", "target_columns": ["t"]})
    assert load_data(section, tmp_path, grounded, LIMITS).targets.tolist() == [[0.1]]


@settings(deadline=None)  # files, on a busy disk
@given(st.integers(0, 50))
def test_row_11_what_a_network_gives_is_within_reach(seed):
    """No solution of a network is refused as its own target."""
    from hwlearn.lab.data.reach import check_targets

    rng = np.random.default_rng(seed)
    top = hl.Topology.random(12, 24, inputs=4, outputs=3, ground=5 if seed % 2 else None, seed=seed)
    x = rng.uniform(-0.4, 0.4, (5, top.n_inputs))
    y = hl.Kirchhoff(top, np.exp(rng.normal(-10, 1, top.n_edges))).solve(x)[:, top.outputs]
    check_targets(LIMITS, top, x, y)


def test_row_11_scaled_targets_have_their_own_unit(tmp_path):
    text = "a,b,power (kW)\n0.1,-0.2,0\n0.1,-0.2,346\n"
    scaling = {"volts": ["-0.1 V", "50 mV"], "range": [0, 346]}
    data = loaded(tmp_path, text, target_columns=["power"], target_scaling=scaling)
    np.testing.assert_allclose(data.targets, [[-0.1], [0.05]], rtol=1e-15)
    assert data.scale == OutputScale(0, 346, -0.1, 0.05, "kW")
    assert data.scale.error(0.15) == pytest.approx(346)
    assert data.scale.error_text(0.0015) == "3.46 kW"
    assert data.understood[-1] == "target scaling: 0 to 346 kW as -100 to 50 mV"
    auto = loaded(tmp_path, text, target_columns=["power"], target_scaling={"volts": [0.0, 0.05], "unit": "PS"})
    assert auto.scale == OutputScale(0, 346, 0, 0.05, "PS")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"target_scaling": {"volts": [0.0, 0.1], "range": [0, 100]}}, "exceeds|cannot be reached"),
        ({"target_scaling": {"volts": [0.1, 0.1]}}, "two different voltages"),
        ({"target_scaling": {"volts": [0.0, 0.1], "range": [3, 3]}}, "two different numbers"),
    ],
)
def test_row_11_scaling_that_does_not_fit_is_refused(tmp_path, keys, message):
    with pytest.raises(DataError, match=message):
        loaded(tmp_path, "a,b,t\n-0.1,0.2,0\n-0.1,0.2,346\n", target_columns=["t"], **keys)


def test_row_11_scaling_of_classes_and_of_mixed_units_is_refused(tmp_path):
    scaling = {"volts": [0.0, 0.1]}
    with pytest.raises(DataError, match="the data has classes"):
        loaded(tmp_path, "a,b,t\n0.1,0.2,0\n0.1,0.2,1\n", label_column="t", target_scaling=scaling)
    with pytest.raises(DataError, match="the targets have the units kW, W"):
        loaded(tmp_path, "a,t (kW),u (W)\n0.1,2,0\n", 1, 2, target_columns=["t", "u"], target_scaling=scaling)


# --- row 26: fractions that round to no row ---------------------------------------------------------------


@pytest.mark.parametrize("key", ["test_fraction", "validation_fraction"])
def test_row_26_fraction_that_rounds_to_no_sample_is_refused(tmp_path, key):
    text = "a,b,t\n" + "0.1,0.2,0.15\n" * 20
    with pytest.raises(DataError, match=rf"data\.{key} = 0.02 of 20 samples rounds to no sample"):
        loaded(tmp_path, text, target_columns=["t"], **{key: 0.02})
    assert len(loaded(tmp_path, text, target_columns=["t"], **{key: 0.1}).train) == 18


def test_scale_is_kept_as_plain_json():
    scale = OutputScale(0, 346, -0.1, 0.05, "kW")
    assert OutputScale.from_facts(json.loads(json.dumps(scale.facts()))) == scale
    assert OutputScale.from_facts(None) is None


@pytest.mark.parametrize("source", ["iris", "digits", "teacher"])
@pytest.mark.parametrize(
    "keys", [{"label_column": 4}, {"target_columns": [4]}, {"header": True}, {"drop": [0]}, {"columns": [0]}]
)
def test_key_that_a_source_does_not_use_is_refused(tmp_path, source, keys):
    section = DataSection.model_validate({"source": source, "amplitude": 0.4} | keys)
    with pytest.raises(
        DataError, match=rf"data\.{next(iter(keys))} is for data files, but data\.source = '{source}'"
    ):
        load_data(section, tmp_path, hl.Topology.crossbar(4, 3), LIMITS)
