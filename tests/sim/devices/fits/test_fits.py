"""Fits of device laws to measured pulses: parameters, coverage of uncertainties, and invalid files."""

import numpy as np
import pytest

from hwlearn.errors import DataError
from hwlearn_sim.devices import (
    PulseData,
    SoftBounds,
    SoftBoundsLaw,
    Vteam,
    VteamLaw,
    fit_soft_bounds,
    fit_vteam,
    read_pulse_data,
)

SOFT = SoftBoundsLaw(g_min=2e-6, g_max=8e-5, set_step=0.04, reset_step=0.06, set_scale=0.15, reset_scale=0.2)
VTEAM = VteamLaw(alpha_off=2.5, k_off=3e3, k_on=-6e3, v_off=0.55, v_on=-0.65)
NOISE, CYCLE = 0.005, 0.05


def measured(law, seed, pulses=400, amplitudes=(0.8, 1.0, 0.9, 1.1), run=25):
    """Return pulse data of one device: series of SET and RESET pulses with several amplitudes."""
    drawn, cycles, noise = np.random.default_rng(seed).spawn(3)
    kind, width = (SoftBounds, 1e-6) if isinstance(law, SoftBoundsLaw) else (Vteam, 5e-5)
    device = kind(law, 1, drawn, cycles, cycle_spread=CYCLE)
    volts, read = [0.0], [device.conductance[0]]
    for k in range(pulses):
        volts.append(amplitudes[k // run // 2 % len(amplitudes)] * (-1) ** (k // run))
        device.pulse(np.array([0]), np.array(volts[-1:]), width)
        read.append(device.conductance[0])
    readings = np.array(read) * (1 + NOISE * noise.standard_normal(len(read)))
    return PulseData(np.arange(pulses + 1), np.array(volts), np.full(pulses + 1, width), readings)


def fitted(law, data):
    if isinstance(law, SoftBoundsLaw):
        return fit_soft_bounds(data, set_voltage=1.0, reset_voltage=1.0)
    return fit_vteam(data)


def off(fit, law):
    """Return the error of each parameter in standard uncertainties."""
    return np.array([(fit.values[name] - getattr(law, name)) / fit.sigma[name] for name in fit.values])


@pytest.mark.share(1)
@pytest.mark.parametrize("law", [SOFT, VTEAM], ids=["soft", "vteam"])
def test_fit_recovers_law_and_noise(law):
    fit = fitted(law, measured(law, 1, pulses=104, run=13))  # each amplitude once in each polarity
    assert (np.abs(off(fit, law)) < 3.5).all()
    assert all(fit.determined.values())
    assert fit.read_noise == pytest.approx(NOISE, rel=0.15)
    assert fit.cycle_spread == pytest.approx(CYCLE, rel=0.4)
    assert fit.residual == pytest.approx(1.0, abs=0.05)
    for name, value in fit.values.items():
        assert getattr(fit.law, name) == value


def test_one_amplitude_does_not_determine_scale():
    fit = fit_soft_bounds(measured(SOFT, 2, pulses=200, amplitudes=(1.0,)))
    assert not fit.determined["set_scale"]
    assert not fit.determined["reset_scale"]
    assert fit.determined["set_step"]
    assert fit.values["set_step"] == pytest.approx(0.04, abs=4 * fit.sigma["set_step"])


def test_fit_uses_pulses_between_readings():
    every = measured(SOFT, 3, run=24)
    chosen = slice(None, None, 4)
    sparse = PulseData(
        every.number[chosen], every.amplitude[chosen], every.width[chosen], every.conductance[chosen]
    )
    assert sparse.repeats.tolist() == [4] * 100
    assert (np.abs(off(fitted(SOFT, sparse), SOFT)) < 3.5).all()


@pytest.mark.slow
@pytest.mark.parametrize(("law", "devices", "share"), [(SOFT, 40, 8), (VTEAM, 10, 3)], ids=["soft", "vteam"])
def test_stated_intervals_have_stated_coverage(law, devices, share, figure, seeds):
    chosen = seeds.first(devices, share)
    inside = np.array([np.abs(off(fitted(law, measured(law, seed)), law)) < 1.96 for seed in chosen])
    covered = inside.mean()
    figure(
        f"device fits ({type(law).__name__}), {len(chosen)} devices: 95 % intervals cover "
        f"{covered:.1%} of parameters"
    )
    assert covered >= seeds.fraction(0.90, inside.size)
    assert covered <= 0.99 or not seeds.full  # a few intervals can all be right


# --- files ------------------------------------------------------------------------------------------

ROWS = "\n".join(f"{k},{1 if k % 2 else -1},50 us,{12 + k % 2} uS,x" for k in range(12))


def test_file_with_units_in_cells_is_read(tmp_path):
    file = tmp_path / "pulses.csv"
    file.write_text("Pulse,amplitude (V),width,conductance,remark\n" + ROWS + "\n\n")
    data = read_pulse_data(file)
    assert data.number.tolist() == list(range(12))
    assert data.width[0] == 5e-5
    assert data.conductance[:2].tolist() == [12e-6, 13e-6]
    assert data.up.tolist() == [True, False] * 5 + [True]


@pytest.mark.parametrize(
    ("header", "row", "separator"),
    [
        ("pulse,amplitude_mV,width_us,conductance [uS]", "{k},{mV},50,{uS}", ","),
        ("pulse;amplitude (mV);width;conductance", "{k};{mV},0;5,0e-5;{uS} uS", ";"),
        ("pulse\tamplitude mV\tWidth (ns)\tconductance/uS", "{k}\t{mV}\t50000\t{uS}", "\t"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_units_in_header_and_other_separators(tmp_path, header, row, separator, end):
    file = tmp_path / "pulses.csv"
    rows = [row.format(k=k, mV=1000 if k % 2 else -1000, uS=12 + k % 2) for k in range(12)]
    file.write_bytes(end.join(["# measured by hand", header, *rows, separator * 3]).encode())
    data = read_pulse_data(file)
    assert data.amplitude.tolist() == [-1.0, 1.0] * 6
    assert data.width.tolist() == [5e-5] * 12
    assert data.conductance[:2].tolist() == [12e-6, 13e-6]


HEAD = "pulse,amplitude,width,conductance,remark\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("pulse,amplitude_A,width,conductance,remark\n" + ROWS, "unit of the column 'amplitude_A'"),
        (
            HEAD + ROWS.replace("12 uS", "nan", 1),
            "line 2 .* no conductance",
        ),
        ("pulse,amplitude,width\n0,1,1", "no column conductance"),
        (HEAD + ROWS.replace("50 us", "50 uA", 1), "line 2 .* no width"),
        (
            HEAD + ROWS + "\n12,1",
            "line 14: 2 columns, the first row has 5",
        ),
        (
            HEAD + ROWS + "\n5,1,1 us,1 uS,",
            "must rise; reading 12 has 5 after 11",
        ),
        (HEAD + ROWS + "\n12,1,1 us,-1 uS,", "positive"),
        ("pulse,amplitude,width,conductance\n0,1,1 us,1 uS", "at least 10"),
    ],
)
def test_invalid_files_are_refused(tmp_path, text, says):
    file = tmp_path / "pulses.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=says):
        read_pulse_data(file)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_pulse_data(tmp_path / "none.csv")


@pytest.mark.parametrize("fit", [fit_soft_bounds, fit_vteam])
def test_data_of_one_polarity_are_refused(fit):
    n = np.arange(12)
    with pytest.raises(DataError, match="SET and RESET"):
        fit(PulseData(n, np.full(12, 1.0), np.full(12, 1e-6), 1e-5 + 1e-6 * n))


# --- files of other programs: test names begin with the row of outside reports -------------------------------


def pulses(tmp_path, *changes):
    text = HEAD + ROWS
    for old, new in changes:
        text = text.replace(old, new, 1)
    (tmp_path / "pulses.csv").write_text(text, encoding="utf-8")
    return read_pulse_data(tmp_path / "pulses.csv")


def test_row_23_quoted_line_ends_in_pulse_data_are_read(tmp_path):
    plain = pulses(tmp_path)
    quoted = pulses(tmp_path, ("conductance", '"conductance"'), ("\n0,", '\n"0",'), ("12 uS", '"12\nuS"'))
    assert quoted.conductance.tolist() == plain.conductance.tolist()
    assert quoted.origin == "commas, decimal points, a header, UTF-8, 12 rows from line 2"


@pytest.mark.parametrize("code", ["9.91e37", "9.909999530030929e+37 S", "-9.9e37", "1e999 S", "inf"])
def test_row_1_overflow_codes_in_pulse_data_are_refused_by_line(tmp_path, code):
    with pytest.raises(DataError, match=r"line 2 .* no conductance in S"):
        pulses(tmp_path, ("12 uS", code))


@pytest.mark.parametrize("number", ["1.5", "1e3", "x", "", "99999999999999999999", "1_0"])
def test_pulse_number_that_is_none_is_refused_by_line(tmp_path, number):
    with pytest.raises(DataError, match=r"line 3 .* no pulse in integers"):
        pulses(tmp_path, ("\n1,", f"\n{number},"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_row_4_pulse_data_in_other_encodings(tmp_path, encoding):
    file = tmp_path / "pulses.csv"
    file.write_bytes((HEAD + ROWS.replace("uS", "\u00b5S")).encode(encoding))
    assert read_pulse_data(file).conductance[0] == 12e-6
    file.write_bytes((HEAD + ROWS.replace("uS", "\u00b5S")).encode("latin-1"))
    with pytest.raises(DataError, match=r"line 2: 0xb5 is not UTF-8"):
        read_pulse_data(file)
