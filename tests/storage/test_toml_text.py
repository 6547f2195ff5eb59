"""TOML text is parsed to exactly the same tables."""

import enum
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwlearn.errors import SetupError
from hwlearn.storage.toml_text import plain_value, toml_text, toml_value

# surrogates are no text, and nothing else is excluded: quotes, control characters, other scripts
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), text)
values = st.one_of(scalars, st.lists(scalars, max_size=4), st.lists(st.lists(scalars, max_size=2), max_size=3))
tables = st.dictionaries(text, st.dictionaries(text, values, max_size=5), max_size=4)


@given(tables)
def test_parsed_text_equals_the_tables(written):
    back = tomllib.loads(toml_text(written))
    assert back == written
    assert repr(back) == repr(written)  # 1 is not 1.0, nor True; floats to the last bit


def test_nested_table_is_written_inline():
    written = {"backend": {"stuck": {"3": 1e-5, "a b": [1, 2]}}}
    assert tomllib.loads(toml_text(written)) == written


@pytest.mark.parametrize("value", [None, b"x", object()])
def test_value_without_toml_type_is_refused(value):
    with pytest.raises(SetupError, match="cannot be written"):
        toml_text({"train": {"key": value}})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.bool_(True), "true"),
        (np.int64(-3), "-3"),
        (np.uint8(255), "255"),
        (np.float64(0.1), "0.1"),
        (np.float32(0.5), "0.5"),
        (np.longdouble(0.25), "0.25"),
        (np.float64("inf"), "inf"),
        (np.str_("a b"), '"a b"'),
        (np.array(2), "2"),
        (np.array([[0.5, 1.0]]), "[[0.5, 1.0]]"),
        ([np.int64(1), (np.bool_(False),)], "[1, [false]]"),
        ({"a": np.int64(1)}, "{a = 1}"),
        (enum.IntEnum("Level", "LOW").LOW, "1"),
    ],
)
def test_numbers_of_numpy_are_written_as_those_of_python(value, text):
    assert toml_value(value) == text
    assert toml_value(plain_value(value)) == text
    back = tomllib.loads(f"value = {text}")["value"]
    assert repr(plain_value(value)) == repr(back) or isinstance(value, enum.IntEnum)


@pytest.mark.parametrize("value", [np.complex128(1j), np.datetime64("2020-01-01"), np.array([None])])
def test_values_of_numpy_without_toml_type_are_refused(value):
    with pytest.raises(SetupError, match="cannot be written"):
        toml_value(value)
