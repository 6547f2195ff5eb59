"""TOML text is parsed to exactly the same tables."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwlearn.errors import SetupError
from hwlearn.storage.toml_text import toml_text

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
