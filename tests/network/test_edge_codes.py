"""Edge codes: data-sheet values of digital potentiometers, and the nearest code found by exhaustive search."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwlearn.errors import SetupError
from hwlearn.network.edge_codes import EvenSteps, Rheostat, Rheostats

DATA_SHEETS = {
    # Analog Devices AD5204/AD5206, Rev. C, Table 7 (10 kohm version), R = D / 256 * R_AB + R_W
    "AD5204": (Rheostat(10e3, 45.0, 256), {0: 45, 1: 84, 128: 5045, 255: 10006}),
    # Analog Devices AD5235, Rev. F, Table 12 (25 kohm version), R = D / 1024 * R_AB + R_W
    "AD5235": (Rheostat(25e3, 30.0, 1024), {0: 30, 1: 54.4, 2: 78.8, 512: 12530, 1023: 25006}),
    # Analog Devices AD5273, Rev. H, Table 4 (10 kohm version), R = D / 63 * R_AB + R_W
    "AD5273": (Rheostat(10e3 * 64 / 63, 60.0, 64), {0: 60, 1: 219, 32: 5139, 63: 10060}),
}
"""Law and resistance in ohm at the codes that the data sheet lists."""

LAWS = [Rheostat(100e3, 100.0), EvenSteps(1e-6, 1e-4)]


@pytest.mark.parametrize("part", DATA_SHEETS)
def test_rheostat_has_the_resistances_of_the_data_sheet(part):
    law, table = DATA_SHEETS[part]
    ohms = 1 / law.siemens(list(table))
    np.testing.assert_allclose(ohms, list(table.values()), atol=0.5)
    np.testing.assert_array_equal(law.nearest(1 / np.array(list(table.values()))), list(table))


@pytest.mark.parametrize("part", DATA_SHEETS)
def test_calibrated_rheostats_have_the_resistances_of_the_data_sheet(part):
    law, table = DATA_SHEETS[part]
    n = len(table)
    each = Rheostats(
        np.full(n, law.full_ohm),
        np.full(n, law.wiper_ohm),
        np.zeros(n, dtype=int),
        np.full(n, law.positions - 1),
        law.positions,
    )
    np.testing.assert_allclose(1 / each.siemens(list(table)), list(table.values()), atol=0.5)
    np.testing.assert_array_equal(each.nearest(1 / np.array(list(table.values()))), list(table))


@given(st.integers(2, 1024), st.floats(1e3, 1e6), st.floats(1.0, 500.0), st.data())
def test_nearest_code_of_a_rheostat_is_the_best_of_all_codes(positions, full, wiper, data):
    law = Rheostat(full, wiper, positions)
    every = law.siemens(np.arange(positions))
    least, most = law.siemens_range
    assert (least, most) == (every.min(), every.max())
    target = data.draw(st.floats(0.1 * least, 10 * most))
    code = law.nearest([target])
    assert abs(law.siemens(code)[0] - target) <= np.abs(every - target).min() * (1 + 1e-9)


@given(st.integers(2, 1024), st.floats(1e-7, 1e-5), st.floats(2e-5, 1e-2), st.data())
def test_nearest_even_step_is_the_best_of_all_codes(positions, low, high, data):
    law = EvenSteps(low, high, positions)
    every = law.siemens(np.arange(positions))
    assert law.siemens_range == (low, high)
    np.testing.assert_allclose(np.diff(every), (high - low) / (positions - 1), rtol=1e-6)
    target = data.draw(st.floats(0.1 * low, 10 * high))
    code = law.nearest([target])
    assert abs(law.siemens(code)[0] - target) <= np.abs(every - target).min() * (1 + 1e-9) + 1e-18


@pytest.mark.parametrize("law", LAWS)
def test_every_code_is_its_own_nearest_code(law):
    codes = np.arange(256)
    np.testing.assert_array_equal(law.nearest(law.siemens(codes)), codes)
    assert law.nearest(law.siemens(7)) == 7, "a scalar gives a scalar"


@pytest.mark.parametrize("law", [Rheostat(100e3, 100.0, 65536), EvenSteps(1e-6, 1e-4, 65536)])
def test_last_of_65536_codes_does_not_overflow(law):
    least, most = law.siemens_range
    ends = [0, 65535] if isinstance(law, EvenSteps) else [65535, 0]
    assert law.nearest([0.5 * least, 2 * most]).tolist() == ends


def test_calibrated_rheostats_keep_to_their_code_ranges():
    law = Rheostats(np.full(2, 100e3), np.array([100.0, 200.0]), np.array([0, 10]), np.array([255, 200]))
    assert law.nearest(np.array([1.0, 1.0])).tolist() == [0, 10]
    assert law.nearest(np.array([1e-9, 1e-9])).tolist() == [255, 200]
    assert law.siemens_range == (law.siemens([255, 200]).max(), law.siemens([0, 10]).min())
    narrow = law.within(2e-5, 2e-4)
    ends = np.array([narrow.siemens(narrow.high), narrow.siemens(narrow.low)])
    assert (ends >= 2e-5 * (1 - 1e-6)).all()
    assert (ends <= 2e-4 * (1 + 1e-6)).all()
    outside = np.array([law.siemens(narrow.high + 1), law.siemens(narrow.low - 1)])
    assert outside[0, 0] < 2e-5
    assert (outside[1] > 2e-4).all()
    with pytest.raises(SetupError, match="edge 0 has no code between"):
        law.within(1e-9, 2e-9)


@pytest.mark.parametrize("wrong", [{"full_ohm": 0.0}, {"wiper_ohm": -1.0}, {"full_ohm": np.nan}, {"positions": 1}])
def test_invalid_rheostat_is_refused(wrong):
    with pytest.raises(SetupError, match="edge"):
        Rheostat(**({"full_ohm": 1e5, "wiper_ohm": 100.0} | wrong))


@pytest.mark.parametrize("wrong", [(0.0, 1e-4, 256), (1e-4, 1e-5, 256), (1e-5, np.inf, 256), (1e-5, 1e-4, 1)])
def test_invalid_even_steps_are_refused(wrong):
    with pytest.raises(SetupError, match="edge"):
        EvenSteps(*wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"full_ohm": np.zeros(2)}, {"low": np.array([5, -1])}, {"high": np.array([0, 256])}, {"positions": 70000}],
)
def test_invalid_calibrated_rheostats_are_refused(wrong):
    good = {
        "full_ohm": np.full(2, 1e5),
        "wiper_ohm": np.full(2, 100.0),
        "low": np.zeros(2, dtype=int),
        "high": np.full(2, 255),
    }
    with pytest.raises(SetupError):
        Rheostats(**(good | wrong))
