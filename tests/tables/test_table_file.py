"""The reader of tables: dialects that are detected, stated or refused, and numbers equal to Python's float."""

import struct
import tempfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwlearn.errors import DataError
from hwlearn.tables import Stated, TableFile
from hwlearn.tables.plain import plain_numbers
from hwlearn.tables.titles import Title


@pytest.fixture
def table(tmp_path):
    """Write text or bytes as a file and open it as a table."""

    def opened(content, **stated):
        path = tmp_path / "a.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return TableFile(path, "data file", Stated(**stated, keys="data."))

    return opened


def all_numbers(file):
    return file.read(range(file.width)).numbers.tolist()


READ = {
    "commas": ("x,y\n1.5,0\n2.5,1\n", ",", ".", True, [[1.5, 0], [2.5, 1]]),
    "semicolons and decimal commas": ("1,5;0\n2,5;1\n", ";", ",", False, [[1.5, 0], [2.5, 1]]),
    "decimal commas in every cell": (
        "0,1;0,2;0,3\n0,4;0,5;0,6\n",
        ";",
        ",",
        False,
        [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]],
    ),
    "some whole numbers": ("x;y\n1,5;0\n2;1\n", ";", ",", True, [[1.5, 0], [2, 1]]),
    "semicolons and points": ("x;y\n1.5;0\n2.5;1\n", ";", ".", True, [[1.5, 0], [2.5, 1]]),
    "tabs": ("x\ty\n1.5\t0\n2.5\t1\n", "\t", ".", True, [[1.5, 0], [2.5, 1]]),
    "tabs and decimal commas": ("1,5\t0\n2,5\t1\n", "\t", ",", False, [[1.5, 0], [2.5, 1]]),
    "quoted decimal commas": ('x,y\n"1,5",0\n"2,5",1\n', ",", ",", True, [[1.5, 0], [2.5, 1]]),
    "comments and empty lines": (
        "# made, by; hand\n\nx,y\n1.5,0\n#end\n2.5,1\n\n",
        ",",
        ".",
        True,
        [[1.5, 0], [2.5, 1]],
    ),
    "quotes in comments": ('# 5" wide, "x\n1.5,0\n# "\n2.5,1\n', ",", ".", False, [[1.5, 0], [2.5, 1]]),
    "quoted line ends": ('"x\n(mV)",y\n"1.5\n",0\n2.5,1\n', ",", ".", True, [[1.5, 0], [2.5, 1]]),
    "spaces around cells": ('x , "y"\n 1.5 , 0\n2.5,\t1 \n', ",", ".", True, [[1.5, 0], [2.5, 1]]),
    "signs and short numbers": (
        "+1.5,-0\n.25,007\n5.,1e3\n",
        ",",
        ".",
        False,
        [[1.5, -0.0], [0.25, 7], [5, 1000]],
    ),
    "SCPI": ("+1.500000E+00,+0.0E+00\n+2.5E+00,+1.0E+00\n", ",", ".", False, [[1.5, 0], [2.5, 1]]),
    "delimiters in titles": ("x;1,y\n1.5,0\n2.5,1\n", ",", ".", True, [[1.5, 0], [2.5, 1]]),
    "rows of delimiters": ("x,y\n1.5,0\n,\n2.5,1\n,\n", ",", ".", True, [[1.5, 0], [2.5, 1]]),
    "Excel's hint": ("sep=;\nx;y\n1,5;0\n2,5;1\n", ";", ",", True, [[1.5, 0], [2.5, 1]]),
    "one column": ("x\n1.5\n2.5\n", ",", ".", True, [[1.5], [2.5]]),
}


@pytest.mark.share(40)
@pytest.mark.parametrize(("text", "delimiter", "decimal", "header", "numbers"), READ.values(), ids=READ)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_row_10_dialect_is_detected_and_shown(table, text, delimiter, decimal, header, numbers, encoding, end):
    file = table(text.replace("\n", end).encode(encoding))
    assert (file.dialect.delimiter, file.dialect.decimal, file.dialect.header) == (delimiter, decimal, header)
    assert all_numbers(file) == numbers
    assert str(file.dialect).endswith("UTF-16" if encoding == "utf-16" else "UTF-8")


REFUSED = {
    "points and commas": (
        "1,5;0\n2.5;1\n",
        r"'2.5' in line 2 has a decimal point, '1,5' in line 1 a decimal comma",
    ),
    "thousands or decimals": (
        "1,234;5\n2,345;6\n",
        r"line 1: the comma of '1,234' may be a decimal comma or group",
    ),
    "groups of thousands": (
        "1.234,5;0\n1.234,5;1\n",
        r"line 1: the columns may be separated by commas or semicolons",
    ),
    "two delimiters": (
        "a;b,c\n1;2,c\n",
        r"line 1: the columns may be separated by commas or semicolons; state data.del",
    ),
    "spaces": ("1.5 0\n2.5 1\n", r"line 1: spaces seem to separate the columns; state data.delimiter"),
    "short row": ("x,y\n1.5,0\n2.5\n", r"line 3: 1 columns, the first row has 2"),
    "row that is cut": ("1.5,0\n2.5,", r"line 2, column 1: '' is not a finite number"),
    "open quote": ('x,y\n1.5,0\n2.5,"1\n', r"line 3: unexpected end of data"),
    "text after a quote": ('x,y\n1.5,"0"1\n', r"line 2: .*expected after"),
    "late decimal comma": (
        "x;y\n" + "1.5;0\n" * 500 + "2,5;1\n",
        r"line 502, column 0 \(x\): '2,5' .* decimal points",
    ),
    "late decimal point": (
        "x;y\n" + "1,5;0\n" * 500 + "2.5;1\n",
        r"line 502, column 0 \(x\): '2.5' .* decimal commas",
    ),
    "overflow code": ("x,y\n1.5,0\n9.91e37,1\n", r"line 3, column 0 \(x\): '9.91e37' is a code of instruments"),
    "single precision": (
        "x,y\n1,9.909999530030929e+37\n",
        r"line 2, column 1 \(y\): '9.909999530030929e\+37' is a code",
    ),
    "negative overflow": ("1,-9.9E+37\n", r"line 1, column 1: '-9.9E\+37' is a code"),
    "NaN": ("x,y\n1.5,NAN\n", r"line 2, column 1 \(y\): 'NAN' is not a finite number"),
    "infinity": ("x,y\n1.5,-Infinity\n", r"line 2, column 1 \(y\): '-Infinity' is not a finite number"),
    "beyond float": ("x,y\n1.5,1e999\n", r"line 2, column 1 \(y\): '1e999' is not a finite number"),
    "underscore": ("x,y\n1.5,1_000\n", r"line 2, column 1 \(y\): '1_000' is not a finite number"),
    "other digits": ("x,y\n1.5,\u0661\n", r"line 2, column 1 \(y\): '\u0661' is not a finite number"),
    "hexadecimal": ("x,y\n1.5,0x10\n", r"line 2, column 1 \(y\): '0x10' is not a finite number"),
    "only a header": ("x,y\n", r"has a header but no rows"),
    "nothing": ("", "is empty"),
    "comments alone": ("# a\n\n", "is empty"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_row_10_what_can_be_read_in_two_ways_is_refused_by_line(table, text, message):
    with pytest.raises(DataError, match=message) as caught:
        all_numbers(table(text))
    assert "a.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "stated", "numbers"),
    [
        ("1.5 0\n2.5\t 1\n", {"delimiter": " "}, [[1.5, 0], [2.5, 1]]),
        ("x y\n1,5 0\n2,5 1\n", {"delimiter": " "}, [[1.5, 0], [2.5, 1]]),
        ("1,234;5\n2,345;6\n", {"decimal": ","}, [[1.234, 5], [2.345, 6]]),
        ("0,1\n1,0\n", {"header": False}, [[0, 1], [1, 0]]),
        ("0,1\n1,0\n", {"header": True}, [[1, 0]]),
        ("a;b,c\n1;2,5\n", {"delimiter": ";", "header": True}, [[1, 2.5]]),
        ('"1,5","0"\n', {"delimiter": ",", "decimal": ",", "header": False}, [[1.5, 0]]),
    ],
)
def test_stated_dialect_is_used(table, text, stated, numbers):
    assert all_numbers(table(text, **stated)) == numbers


def test_decimal_comma_cannot_be_the_delimiter_too(table):
    with pytest.raises(DataError, match=r"line 1: commas separate the columns, but data\.decimal is a comma too"):
        table("1.5,0\n2.5,1\n", decimal=",")


HEADERS = {
    "names": ("a,b\n1,2\n", True),
    "names above text and numbers": ("a,kind\n1,up\n", True),
    "quoted names": ('"a","b"\n1,2\n', True),
    "numbers": ("0.1,0.2\n0.3,0.4\n", False),
    "whole numbers": ("3,1,4\n1,5,9\n", False),
    "pixels": ("5,0,0,0\n0,0,3,2\n", False),
    "numbers and a class": ("5.1,3.5,setosa\n4.9,3.0,other\n", False),
    "one row of numbers": ("0.5,2\n", False),
    "pandas' numbers from 0": (
        "0,1,2\n0.1,0.2,0.3\n",
        "line 1: 0, 1, 2 may be names of columns or a sample; state data.h",
    ),
    "numbers from 1": ("1,2,3\n7,8,9\n", "line 1: 1, 2, 3 may be names"),
    "quoted column numbers": ('"0","1"\n7,8\n', "line 1: 0, 1 may be names"),
    "column numbers and a name": ("0,1,label\n5.1,3.5,up\n", "line 1: 0, 1, label may be names"),
    "column numbers above numbers": ("0,1,label\n5.1,3.5,1\n", "line 1, column 2: 'label' is text above numbers"),
    "pandas' index": (",0,1\n0,5.1,3.5\n1,4.9,3.0\n", "column 0: '' is text above numbers"),
    "wavelengths": ("400,410,420\n0.1,0.2,0.35\n", "line 1: 400, 410, 420 may be names"),
    "wavelengths and a class": ("400,410,420,kind\n0.1,0.2,0.35,up\n", "line 1: 400, 410, 420, kind may be names"),
    "pandas' numbers as floats": ("0.0,1.0,2.0\n0.1,0.2,0.3\n", "line 1: 0.0, 1.0, 2.0 may be names"),
    "uneven wavelengths": ("400,450,520\n0.1,0.2,0.35\n", "line 1: 400, 450, 520 may be names"),
    "years above whole numbers": ("2019,2020,2021\n12,15,17\n", "line 1: 2019, 2020, 2021 may be names"),
    "numpy's format": ("1.000e+00,2.000e+00\n3.5e+00,4.0e+00\n", False),
    "zeros above fractions": ("0,0,0\n0.1,0.2,0.35\n", False),
    "years from behind": ("2020,2021,2022\n1.5,2.5,3.5\n", "line 1: 2020, 2021, 2022 may be names"),
    "a mistake in the first row": (
        "0.1,oops,0.3\n0.1,0.2,0.3\n",
        "line 1, column 1: 'oops' is text above numbers",
    ),
    "units below names": ("a,b\nmV,mV\n1,2\n", "line 2, column 0 .*'mV'"),
}


@pytest.mark.parametrize(("text", "expected"), HEADERS.values(), ids=HEADERS)
def test_row_2_header_is_recognised_or_refused(table, text, expected):
    if isinstance(expected, bool):
        assert table(text).dialect.header is expected
        return
    with pytest.raises(DataError, match=expected):
        all_numbers(table(text))


def test_columns_are_found_by_title_name_and_number(table):
    file = table("a (mV),b,b\n1,2,3\n")
    assert [file.column(name) for name in ("a (mV)", "a", 0, -3)] == [0, 0, 0, 0]
    for name, message in (
        ("b", "2 columns 'b'"),
        ("c", r"no column 'c'; .* a \(mV\), b, b"),
        (3, "it has 3"),
        (-4, "it has 3"),
    ):
        with pytest.raises(DataError, match=message):
            file.column(name)


@pytest.mark.parametrize(
    ("text", "name", "unit", "power"),
    [
        ("target (mV)", "target", "mV", -3),
        ("V1 [mV]", "V1", "mV", -3),
        ("x/uV", "x", "uV", -6),
        ("x / \u00b5V", "x", "\u00b5V", -6),
        ("x (\u03bcV)", "x", "\u03bcV", -6),
        ("x_mV", "x", "mV", -3),
        ("x mV", "x", "mV", -3),
        ("x [V]", "x", "V", 0),
        ("x", "x", None, 0),
        ("node_A", "node_A", None, 0),
        ("in/out", "in/out", None, 0),
        ("out (1)", "out (1)", None, 0),
        ("out [0, 3]", "out [0, 3]", None, 0),
        ("I/uA", "I", "uA", None),
        ("R (k\u2126)", "R", "k\u2126", None),
        ("length (cm)", "length", "cm", None),
        ("power (kW)", "power", "kW", None),
    ],
)
def test_row_11_units_in_titles_are_understood(text, name, unit, power):
    title = Title.of(text)
    assert (title.name, title.unit, title.in_unit("V")) == (name, unit, power)


# --- numbers equal to those of float --------------------------------------------------------------------

FLOATS = st.floats(-9e37, 9e37, exclude_min=True, exclude_max=True)
CELLS = st.one_of(
    FLOATS.map(repr),
    FLOATS.map("{:.17g}".format),
    FLOATS.map("{:+.6E}".format),
    st.integers(-(10**25), 10**25).map(str),
    st.from_regex(r"[+-]?([0-9]{1,25}\.?[0-9]{0,25}|\.[0-9]{1,9})(e-[0-9]{1,2})?", fullmatch=True),
    st.from_regex(r"[+-]?([0-9]{1,18}\.?[0-9]{0,25}|\.[0-9]{1,9})e\+?1?[0-9]", fullmatch=True),
    st.sampled_from(
        ["-0", "-0.0", "+0", "007", "-00", ".5", "5.", "1e-400", "4.9e-324", "2.2250738585072011e-308"]
    ),
).filter(lambda cell: abs(float(cell)) < 9e37)


def same_bits(a, b):
    return [struct.pack("<d", x) for x in a] == [struct.pack("<d", x) for x in b]


@settings(deadline=None)  # files, on a busy disk
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=8), st.sampled_from([",", ";", "\t", " "]))
def test_numbers_have_the_bits_of_csv_and_float(rows, delimiter):
    text = f"a{delimiter}b{delimiter}c\n" + "".join(delimiter.join(row) + "\n" for row in rows)
    expected = [[float(cell) for cell in row] for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_text(text, encoding="utf-8")
        stated = Stated(delimiter=delimiter, decimal=".", header=True)
        got = TableFile(path, "f", stated).read([0, 1, 2]).numbers
        one = TableFile(path, "f", stated).read([2, 0], [1])
    assert same_bits(got.ravel(), np.array(expected).ravel())
    assert same_bits(one.numbers.ravel(), np.array(expected)[:, [2, 0]].ravel())
    assert one.texts[0] == [row[1] for row in rows]


@settings(deadline=None)  # files, on a busy disk
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6))
def test_decimal_commas_have_the_bits_of_decimal(rows):
    text = "".join(";".join(cell.replace(".", ",") for cell in row) + "\n" for row in rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_text(text, encoding="utf-8")
        got = TableFile(path, "f", Stated(header=False, delimiter=";", decimal=",")).read([0, 1]).numbers
    assert same_bits(got.ravel(), [float(Decimal(cell)) for row in rows for cell in row])


@pytest.mark.parametrize(
    "row", ['1,"2"', "1,2,3", "1", "1,x", "1,", "1,1_0", "1,\u0661", "1,nan", "1,9.9e37", "true,1", "1,[2]"]
)
def test_fast_conversion_leaves_what_is_unusual_to_the_careful_reader(table, row):
    file = table("0.5,2.5\n")
    assert plain_numbers(["1.5,2.5"], file.dialect, 2, [0, 1]).tolist() == [[1.5, 2.5]]
    assert plain_numbers(["1.5,2.5", row], file.dialect, 2, [0, 1]) is None


def test_long_tables_are_read_in_blocks_with_their_lines(table):
    rng = np.random.default_rng(3)
    values = rng.normal(size=(3000, 60))
    rows = [",".join(map(repr, row)) + f",c{k % 3}" for k, row in enumerate(values.tolist())]
    rows[1500] = "# a comment\n" + rows[1500].replace("c", '"c') + '"'
    file = table("\n".join([",".join(f"x{k}" for k in range(60)) + ",kind", *rows]))
    read = file.read(range(60), [60])
    assert read.numbers.tolist() == values.tolist()
    assert read.texts[0] == [f"c{k % 3}" for k in range(3000)]
    assert read.lines.tolist() == [*range(2, 1502), *range(1503, 3003)]
