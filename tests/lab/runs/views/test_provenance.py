"""Where the numbers of a run come from: instruments, firmware, calibration, data, versions, commit and note."""

import hashlib
import tomllib

import hwlearn as hl
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.installed import version
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.store import Run


def recorded(bench, runs, note=None):
    run = Run.create(bench, runs)
    with bench, RunRecorder(run, bench, note) as recorder:
        bench.train([recorder])
    return run


def session_facts(run):
    with run.contents() as contents:
        return contents.sessions()[-1].facts


def test_run_names_instruments_and_firmware_as_they_report_them(tmp_path):
    run = recorded(hl.open_bench("virtual-smu", ["train.epochs=1"]), tmp_path)
    instruments = session_facts(run)["instruments"]
    assert len(instruments) >= 2
    for name in instruments:
        identity, _, address = name.rpartition(", at ")
        maker_and_model, serial, firmware = identity.split(", ")
        assert maker_and_model
        assert address
        assert (serial.split(" ")[0], firmware.split(" ")[0]) == ("serial", "firmware")


def test_calibration_is_named_by_the_checksum_in_its_file(bench_path, tmp_path):
    bench = hl.open_bench(bench_path, ["backend.read_noise=1 mV"])
    with bench:
        bench.calibrate("noise")
    run = recorded(bench, tmp_path, "after the repair of n5")
    with run.contents() as contents:
        facts = contents.sessions()[0].facts
        assert contents.notes() == ["after the repair of n5"]
        (file,) = contents.facts["files"]
    copy = run.folder / file["name"]
    stored = tomllib.loads(copy.read_text(encoding="utf-8"))
    assert facts["calibration_id"] == stored["end"]["checksum"] == CalibrationRecord.load(copy).id
    assert file["sha256"] == hashlib.sha256(copy.read_bytes()).hexdigest()


def test_run_names_versions_commit_and_data(bench_path, tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("0123456789abcdef\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    run = recorded(hl.open_bench(bench_path), tmp_path)
    facts = session_facts(run)
    assert facts["git_commit"] == "0123456789abcdef"
    assert facts["versions"]["hwlearn"] == version("hwlearn")
    assert facts["calibration_id"] is facts["note"] is None
    other = Run.create(hl.open_bench(bench_path, ["data.seed=1"]), tmp_path)
    assert run.meta("data_sha256") != other.meta("data_sha256")
    assert run.meta("split_sha256") == other.meta("split_sha256")
