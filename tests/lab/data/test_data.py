"""Data sets: files, encoding as voltages, splits, and errors in them."""

import hashlib
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import hwlearn as hl
from hwlearn.errors import DataError, LimitError
from hwlearn.lab.bench_file.sections import DataSection
from hwlearn.lab.data.files import read_csv, read_npz
from hwlearn.lab.data.loading import encode, load_data, split

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-6, 1e-4))


def section(**keys):
    return DataSection.model_validate({"source": "somewhere"} | keys)


def crossbar(inputs, outputs=3):
    return hl.Topology.crossbar(inputs, outputs)


# --- data sets of the package -----------------------------------------------------------------------------


def fingerprint(array):
    return hashlib.sha256(np.ascontiguousarray(array, dtype="<f8").tobytes()).hexdigest()[:16]


def test_iris(tmp_path):
    keys = {"source": "iris", "encoding": "differential", "amplitude": 0.4, "bias": "300 mV"}
    data = load_data(section(**keys), tmp_path, crossbar(10), LIMITS)
    assert data.inputs.shape == (150, 10)
    assert data.classes == ("setosa", "versicolor", "virginica")
    assert np.bincount(data.targets).tolist() == [50, 50, 50]
    assert np.abs(data.inputs[:, :8]).max() == pytest.approx(0.4)
    np.testing.assert_array_equal(data.inputs[:, 8:], np.tile([0.3, -0.3], (150, 1)))
    # the numbers of Fisher's paper: sepal length, sepal width, petal length, petal width in cm
    raw = load_data(section(source="iris"), tmp_path, crossbar(4), wide()).inputs
    assert raw[0].tolist() == [5.1, 3.5, 1.4, 0.2]
    np.testing.assert_allclose(raw.mean(axis=0), [5.843333, 3.057333, 3.758, 1.199333], atol=1e-6)
    # many copies of the set have errors in rows 35 and 38
    assert raw[34].tolist() == [4.9, 3.1, 1.5, 0.2]
    assert raw[37].tolist() == [4.9, 3.6, 1.4, 0.1]
    assert fingerprint(raw) == IRIS


def test_digits(tmp_path):
    data = load_data(section(source="digits"), tmp_path, crossbar(64, 10), wide())
    assert data.inputs.shape == (1797, 64)
    assert len(data.classes) == 10
    assert np.bincount(data.targets).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (data.inputs.min(), data.inputs.max()) == (0, 16)
    assert fingerprint(data.inputs) == DIGITS
    scaled = load_data(
        section(source="digits", encoding="scaled", amplitude=0.4), tmp_path, crossbar(64, 10), LIMITS
    )
    np.testing.assert_allclose(scaled.inputs, 0.4 * (data.inputs / 8 - 1), atol=1e-15)


IRIS = "012f498fe9c8b3b3"
DIGITS = "20def7f70a702f0a"


def wide():
    return hl.Limits(voltage=100, drop=100, nudge=0.2, current=1e-3, conductance=(1e-6, 1e-4))


def test_teacher_targets_are_realisable_and_repeatable(tmp_path):
    top = hl.Topology.random(14, 30, inputs=4, outputs=3, seed=5)
    keys = {"source": "teacher", "amplitude": "0.4 V", "samples": 6, "seed": 3}
    one, two = (load_data(section(**keys), tmp_path, top, LIMITS) for _ in range(2))
    other = load_data(section(**keys | {"seed": 4}), tmp_path, top, LIMITS)
    np.testing.assert_array_equal(one.targets, two.targets)
    assert (one.targets != other.targets).any()
    assert one.targets.shape == (6, 3)
    assert 0.2 < np.abs(one.inputs).max() <= 0.4
    # an output cannot exceed the largest input
    assert (one.targets <= one.inputs.max(axis=1, keepdims=True)).all()
    assert not one.classifies


# --- encodings --------------------------------------------------------------------------------------

tables = arrays(
    np.float64, st.tuples(st.integers(2, 6), st.integers(1, 4)), elements=st.floats(-1e3, 1e3, width=32)
)


@given(tables)
@example(np.full((2, 1), -1.54042869e-14))
def test_scaled_encoding_stays_within_the_amplitude_and_keeps_order(values):
    volts = encode(values, section(encoding="scaled", amplitude=0.4))
    assert (np.abs(volts) <= 0.4 * (1 + 1e-12)).all()
    for raw, scaled in zip(values.T, volts.T, strict=True):
        assert (np.diff(scaled[np.argsort(raw, kind="stable")]) >= 0).all()
        if np.ptp(raw) > 0:
            assert scaled.min() == pytest.approx(-0.4)
            assert scaled.max() == pytest.approx(0.4)
        else:
            assert (scaled == 0).all()


@given(tables)
def test_differential_encoding_sums_to_zero(values):
    keys = {"amplitude": 0.4, "bias": 0.25}
    volts = encode(values, section(encoding="differential", **keys))
    scaled = encode(values, section(encoding="scaled", **keys))
    assert volts.shape == (len(values), 2 * values.shape[1] + 2)
    np.testing.assert_allclose(volts.sum(axis=1), 0, atol=1e-12)
    # every feature occurs once with each sign, and the rails are last
    np.testing.assert_array_equal(
        np.sort(volts[:, :-2]), np.sort(np.concatenate([scaled[:, :-2], -scaled[:, :-2]], 1))
    )
    np.testing.assert_array_equal(volts[:, -2:], np.tile([0.25, -0.25], (len(values), 1)))


@given(tables, st.data())
def test_negatives_of_chosen_features_follow_all_features(values, data):
    features = values.shape[1]
    chosen = data.draw(st.lists(st.integers(0, features - 1), unique=True))
    keys = {"encoding": "scaled", "amplitude": 0.4}
    whole = encode(values, section(**keys, negated=chosen, bias=0.25))
    assert whole.shape == (len(values), features + len(chosen) + 2)
    np.testing.assert_array_equal(whole[:, :features], encode(values, section(**keys)))
    np.testing.assert_array_equal(whole[:, features:-2], -whole[:, chosen])
    np.testing.assert_array_equal(whole[:, -2:], np.tile([0.25, -0.25], (len(values), 1)))


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"negated": [2]}, "features 0 to 1"),
        ({"negated": [1, 1]}, "each at most once"),
        ({"negated": [0], "encoding": "differential", "amplitude": 0.4}, "negates every feature"),
    ],
)
def test_invalid_list_of_negated_features_is_refused(keys, text):
    with pytest.raises(DataError, match=text):
        encode(np.ones((3, 2)), section(**keys))


def test_wrong_number_of_inputs_for_the_negatives_is_explained(tmp_path):
    keys = {"source": "iris", "encoding": "scaled", "amplitude": 0.4, "negated": [2, 3], "bias": 0.4}
    assert load_data(section(**keys), tmp_path, crossbar(8), LIMITS).inputs.shape == (150, 8)
    with pytest.raises(DataError, match=r"make 8 input voltages \(scaled encoding, 2 negated, two bias rails\)"):
        load_data(section(**keys), tmp_path, crossbar(7), LIMITS)


def test_plain_encoding_uses_numbers_as_volts():
    values = np.array([[0.1, -0.2]])
    np.testing.assert_array_equal(encode(values, section()), values)


def test_given_ranges_apply_to_each_feature():
    values = np.array([[0.0, 10.0], [5.0, 20.0]])
    keys = {"encoding": "scaled", "amplitude": 0.4}
    np.testing.assert_allclose(
        encode(values, section(ranges=[[0, 10], [0, 20]], **keys)), [[-0.4, 0.0], [0.0, 0.4]], atol=1e-15
    )
    one = encode(values, section(ranges=[[0, 20]], **keys))
    np.testing.assert_allclose(one, [[-0.4, 0.0], [-0.2, 0.4]], atol=1e-15)


@pytest.mark.parametrize("ranges", [[[0, 1]] * 3, [[1, 0]] * 2, [[1, 1]] * 2, [[0, 1], [2]], [[0, 1, 2]] * 2])
def test_ranges_that_do_not_fit_the_features_are_refused(ranges):
    with pytest.raises(DataError, match=r"data\.ranges"):
        encode(np.ones((3, 2)), section(encoding="scaled", amplitude=0.4, ranges=ranges))


@pytest.mark.parametrize("keys", [{"encoding": "scaled"}, {"encoding": "differential"}])
def test_missing_amplitude_is_named(keys):
    with pytest.raises(DataError, match=r"data\.amplitude"):
        encode(np.ones((3, 2)), section(**keys))


# --- splits ------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), min_size=4, max_size=60), st.floats(0, 0.9), st.integers(0, 5))
def test_split_is_a_partition_with_equal_fractions_of_each_class(labels, fraction, seed):
    targets = np.array(labels)
    try:
        train, test = split(targets, True, fraction, seed)
    except DataError:
        assert all(round(fraction * n) == n for n in np.bincount(targets))
        return
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(targets)))
    for c in set(labels):
        assert (targets[test] == c).sum() == round(fraction * labels.count(c))
    again = split(targets, True, fraction, seed)
    np.testing.assert_array_equal(test, again[1])


def test_split_depends_on_its_seed_and_also_splits_target_volts():
    targets = np.zeros((40, 3))
    train, test = split(targets, False, 0.25, 0)
    assert (len(train), len(test)) == (30, 10)
    assert split(targets, False, 0.25, 1)[1].tolist() != test.tolist()
    assert len(split(targets, False, 0.0, 0)[1]) == 0


# --- files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", " ; "])
@pytest.mark.parametrize("header", ["", "a,b,kind\n", "\ufeffa,b,kind\n"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\n\n"])
def test_csv_with_classes_is_read(write, separator, header, newline):
    text = (header + "0.1,0.2,up\n0.3,-0.4,down\n1e-1,+.5,up\n").replace(",", separator).replace("\n", newline)
    got = read_csv(write(text, "a.csv"), "kind" if header else 2, None)
    np.testing.assert_array_equal(got.values, [[0.1, 0.2], [0.3, -0.4], [0.1, 0.5]])
    assert got.classes == ("down", "up")
    assert got.targets.tolist() == [1, 0, 1]


def test_csv_with_target_volts_is_read(write):
    path = write("x,out1,y,out2\n0.1,0.01,0.2,0.02\n0.3,0.03,0.4,0.04\n", "a.csv")
    for columns in (["out1", "out2"], [1, 3], [1, -1]):
        got = read_csv(path, None, columns)
        np.testing.assert_array_equal(got.values, [[0.1, 0.2], [0.3, 0.4]])
        np.testing.assert_array_equal(got.targets, [[0.01, 0.02], [0.03, 0.04]])


def test_numeric_labels_are_sorted_as_numbers(write):
    got = read_csv(write("0.1,10\n0.2,9\n0.3,2\n", "a.csv"), 1, None)
    assert got.classes == ("2", "9", "10")


BAD_CSV = {
    "text cell": ("a,b,t\n0.1,0.2,0.3\n0.1,oops,0.3\n", r"line 3, column 1 \(b\): 'oops'"),
    "text cell in the first row": ("0.1,oops,0.3\n0.1,0.2,0.3\n", r"line 1, column 1: 'oops'"),
    "NaN": ("0.1,0.2,0.3\nnan,0.2,0.3\n", "line 2, column 0: 'nan'"),
    "infinity": ("0.1,0.2,0.3\n0.1,-inf,0.3\n", "line 2, column 1: '-inf'"),
    "NaN target": ("0.1,0.2,0.3\n0.1,0.2,NaN\n", "line 2, column 2: 'NaN'"),
    "empty cell": ("0.1,0.2,0.3\n0.1,,0.3\n", "line 2, column 1: ''"),
    "short row": ("0.1,0.2,0.3\n\n0.1,0.2\n", "line 3: 2 columns, the first row has 3"),
    "long row": ("a,b,t\n0.1,0.2,0.3,0.4\n", "line 2: 4 columns"),
    "digits in groups": ("0.1,0.2,0.3\n1_000,0.2,0.3\n", "line 2, column 0: '1_000'"),
    "decimal comma beside a point": ("0,1;0,2;0,3\n0,1;0.2;0,3\n", "'0.2' in line 2 has a decimal point"),
    "header alone": ("a,b,t\n", "no rows"),
    "nothing": ("", "is empty"),
    "blank lines": ("\n \n,,\n", "is empty"),
    "endless cell": ("0.1,0.2,0.3\n0.1," + 200_000 * "9" + ",0.3\n", "line 2"),
    "binary": ("0.1,0.2,0.3\n\x000.1,0.2,0.3\n", "line 2"),
}


@pytest.mark.parametrize(("text", "message"), BAD_CSV.values(), ids=BAD_CSV)
def test_bad_csv_is_refused_with_its_line_and_column(write, text, message):
    path = write(text, "bad.csv")
    with pytest.raises(DataError, match=message) as caught:
        read_csv(path, None, [2])
    assert "bad.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_csv_column_is_named(write):
    path = write("a,b,t\n0.1,0.2,0.3\n", "a.csv")
    for label, targets in ((None, ["u"]), (None, [3]), ("u", None), (None, None), ("t", ["a"]), (None, [0, 1, 2])):
        with pytest.raises(DataError, match=r"a\.csv"):
            read_csv(path, label, targets)
    latin = path.with_name("latin.csv")
    latin.write_bytes("größe,b\n0.1,0.2\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.csv"):
        read_csv(latin, None, [1])


def test_npz_is_read(tmp_path):
    x = np.arange(12).reshape(4, 3) / 100
    np.savez(tmp_path / "a.npz", inputs=x, targets=x[:, 0])
    np.savez(tmp_path / "b.npz", inputs=x, labels=[0, 2, 1, 2])
    volts, classes = read_npz(tmp_path / "a.npz"), read_npz(tmp_path / "b.npz")
    np.testing.assert_array_equal(volts.values, x)
    np.testing.assert_array_equal(volts.targets, x[:, :1])
    assert classes.classes == ("0", "1", "2")
    assert classes.targets.tolist() == [0, 2, 1, 2]


BAD_NPZ = {
    "no targets": {"inputs": np.ones((4, 3))},
    "no inputs": {"targets": np.ones((4, 3))},
    "NaN": {"inputs": np.full((4, 3), np.nan), "targets": np.ones((4, 1))},
    "infinite target": {"inputs": np.ones((4, 3)), "targets": np.full((4, 1), np.inf)},
    "text": {"inputs": np.array([["a", "b"]]), "targets": np.ones((1, 1))},
    "objects": {"inputs": np.array([[None]], dtype=object), "targets": np.ones((1, 1))},
    "complex": {"inputs": np.ones((4, 3), dtype=complex), "targets": np.ones((4, 1))},
    "one axis": {"inputs": np.ones(4), "targets": np.ones(4)},
    "a single number": {"inputs": np.ones((4, 3)), "targets": np.array(1.0)},
    "three axes of targets": {"inputs": np.ones((4, 3)), "targets": np.ones((4, 3, 2))},
    "too few targets": {"inputs": np.ones((4, 3)), "targets": np.ones((3, 1))},
    "no samples": {"inputs": np.ones((0, 3)), "targets": np.ones((0, 1))},
    "fractional labels": {"inputs": np.ones((2, 3)), "labels": np.array([0.5, 1])},
    "negative labels": {"inputs": np.ones((2, 3)), "labels": np.array([-1, 1])},
    "one-hot labels": {"inputs": np.ones((2, 3)), "labels": np.eye(2)},
}


@pytest.mark.parametrize("arrays_", BAD_NPZ.values(), ids=BAD_NPZ)
def test_bad_npz_is_refused(tmp_path, arrays_):
    np.savez(tmp_path / "bad.npz", **arrays_)
    with pytest.raises(DataError, match=r"bad\.npz") as caught:
        read_npz(tmp_path / "bad.npz")
    assert "\n" not in str(caught.value)


def test_file_that_is_no_npz_is_refused(tmp_path):
    np.savez(tmp_path / "whole.npz", inputs=np.ones((50, 3)), targets=np.ones((50, 1)))
    whole = (tmp_path / "whole.npz").read_bytes()
    np.save(tmp_path / "one.npy", np.ones(3))
    damaged = bytearray(whole)
    damaged[60:90] = b"\xff" * 30
    contents = [b"", b"no zip at all", whole[:-30], bytes(damaged), (tmp_path / "one.npy").read_bytes()]
    for content in contents:
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"bad\.npz"):
            read_npz(tmp_path / "bad.npz")


# --- data that does not fit the network ------------------------------------------------------------------


def test_wrong_number_of_columns_and_missing_file_are_refused(write, tmp_path):
    write("0.1,0.2,0.3\n0.1,0.2,0.3\n", "a.csv")
    with pytest.raises(DataError, match=r"2 features make 2 input voltages .* has 5 inputs"):
        load_data(section(source="a.csv", target_columns=[2]), tmp_path, crossbar(5, 1), LIMITS)
    with pytest.raises(DataError, match=r"no data file .*b\.csv"):
        load_data(section(source="b.csv", target_columns=[2]), tmp_path, crossbar(5, 1), LIMITS)


def test_inputs_beyond_the_limits_are_refused_when_loaded(write, tmp_path):
    write("0.1,0.2,0.3\n0.1,0.6,0.3\n", "a.csv")
    with pytest.raises(LimitError, match=r"600 mV at row1 \(sample 1\) exceeds limits\.voltage"):
        load_data(section(source="a.csv", target_columns=[2]), tmp_path, crossbar(2, 1), LIMITS)
    # also if the data exceed the given ranges
    keys = {"encoding": "scaled", "amplitude": 0.4, "ranges": [[0, 0.2]]}
    with pytest.raises((LimitError, DataError)):
        load_data(section(source="a.csv", target_columns=[2], **keys), tmp_path, crossbar(2, 1), LIMITS)


# --- sizes of NPZ files -----------------------------------------------------------------------------------


def member(shape, kind="<f8", data=b""):
    """Return an array in NPY format whose header declares this shape."""
    header = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def archive(path, **members):
    with ZipFile(path, "w", ZIP_DEFLATED) as file:
        for name, data in members.items():
            with file.open(name.replace("_npy", ".npy"), "w", force_zip64=True) as entry:
                for part in data if isinstance(data, list) else [data]:
                    entry.write(part)
    return path


@pytest.mark.parametrize(
    "members",
    [
        {"inputs_npy": member((800_000, 1000)), "labels_npy": member((800_000,), "<i8")},
        {"inputs_npy": member((1 << 20, 1 << 10), "|u1")},  # 1 GiB as read, 8 GiB as float64
        {"inputs": member((1 << 40, 1 << 40))},  # numpy reads arrays also without the ending
        {"inputs_npy": member((6000, 6000)), "labels_npy": member((6000, 20000))},
    ],
)
def test_npz_that_declares_huge_arrays_is_refused_before_they_are_read(tmp_path, members, mocker):
    load = mocker.patch("hwlearn.lab.data.files.np.load")
    with pytest.raises(DataError, match=r"big\.npz: its arrays need .* GiB as float64; at most 1 GiB"):
        read_npz(archive(tmp_path / "big.npz", **members))
    assert load.call_count == 0


@pytest.mark.slow
def test_small_npz_that_expands_to_gigabytes_is_refused(tmp_path):
    part = bytes(1 << 24)
    path = archive(tmp_path / "big.npz", inputs_npy=[member((1 << 27, 6)), *[part] * 70])
    assert path.stat().st_size < 2e6
    with pytest.raises(DataError, match="at most 1 GiB"):
        read_npz(path)


@pytest.mark.parametrize("shape", [(-1, 5), (-3, -1 << 40), ("a",), 5])
def test_npz_with_impossible_shape_is_refused_by_name(tmp_path, shape):
    with pytest.raises(DataError, match=r"big\.npz"):
        read_npz(archive(tmp_path / "big.npz", inputs_npy=member(shape), labels_npy=member((5,))))
