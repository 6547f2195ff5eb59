"""Notebooks: a real ipykernel process, with instruments served by another process and with the shipped benches."""

import os
import time

import pytest
from notebook_rig import kernel, served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="interrupts of a kernel are messages on Windows, not signals"),
]
WHERE = 'needs ipykernel and jupyter_client: pip install -e ".[dev,referees]"'
pytest.importorskip("ipykernel", reason=WHERE)
pytest.importorskip("jupyter_client", reason=WHERE)

ON, OFF = "111111", "000000"

OPEN = """
import asyncio, threading, time
import hwlearn as hl
import numpy as np

class Tell(hl.Callback):
    def on_step(self, step):
        print("step", step.number, flush=True)

bench = hl.open_bench({bench!r}, {{"train.epochs": 100000, {more}}})
bench.open()
x = bench.data.inputs
"""
MEASURE = "bench.network.measure(x)"
IN_USE = "in use by another thread; nothing was applied"


def opened(bench="bench.toml", more=""):
    """Return the code of a cell that opens a bench."""
    return OPEN.format(bench=str(bench), more=more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for the kernel."""
    return tmp_path_factory.mktemp("notebook")


def test_interrupts_and_errors_in_cells(folder):
    with served(folder) as rack, kernel(folder) as notebook:
        notebook.run(opened())
        # a training
        cell = notebook.cell("history = bench.train([Tell()]); print(history.stopped)")
        cell.wait_for("step 2")
        notebook.interrupt()
        assert cell.end().endswith("interrupted\n")
        assert rack.outputs() == OFF
        notebook.run(MEASURE)
        assert rack.outputs() == ON
        # measurements
        cell = notebook.cell(f"{MEASURE}; print('on', flush=True)\nbench.network.measure(np.tile(x, (2000, 1)))")
        cell.wait_for("on")
        time.sleep(0.2)
        notebook.interrupt()
        cell.end()
        assert cell.error[0] == "KeyboardInterrupt"
        assert rack.outputs() == OFF
        # a calibration, whose measurements are kept
        calibrate = "bench.calibrate('noise'); print('calibrated')"
        cell = notebook.cell(
            "threading.Thread(target=lambda: [time.sleep(0.01) for _ in iter(lambda: bench.network.measurements"
            f" < 300, False)] and print('measured', flush=True)).start()\n{calibrate}"
        )
        cell.wait_for("measured")
        notebook.interrupt()
        cell.end()
        assert cell.error[0] == "Interrupted"
        assert rack.outputs() == OFF
        assert notebook.run(calibrate).endswith("calibrated\n")
        # an error in the middle of a cell
        cell = notebook.cell(f"with bench:\n    {MEASURE}\n    1 / 0")
        cell.end()
        assert cell.error[0] == "ZeroDivisionError"
        assert rack.outputs() == OFF
        cell = notebook.cell(f"bench.open(); {MEASURE}; 1 / 0")
        cell.end()
        assert rack.outputs() == ON, "without a with block the bench stays open"
        notebook.run("bench.network.switch_off()")
        assert rack.outputs() == OFF
        # threads and tasks
        notebook.run("""
def train():
    global history
    history = bench.train()
thread = threading.Thread(target=train)
thread.start()
while bench.network.on_measured is None:
    time.sleep(0.001)
""")
        cell = notebook.cell(MEASURE)
        cell.end()
        assert IN_USE in cell.error[1]
        assert notebook.run("bench.stop(); thread.join(); print(history.stopped)") == "interrupted\n"
        assert rack.outputs() == OFF
        task = """
async def training():
    task = asyncio.create_task(asyncio.to_thread(bench.train))
    while not bench.stop():
        await asyncio.sleep(0.01)
    return await task
print((await training()).stopped)
"""
        assert notebook.run(task) == "interrupted\n"
        notebook.run(MEASURE)
        assert rack.outputs() == ON
        notebook.shut_down(now=False)
        assert rack.off_within(2.0) is not None


def test_restart_shutdown_and_kill_of_a_kernel_switch_off(folder):
    with served(folder) as rack, kernel(folder) as notebook:
        for end, more in (
            (notebook.restart, ""),
            (lambda: notebook.shut_down(now=True), '"safety.guardian": True'),
        ):
            notebook.run(opened(more=more))
            cell = notebook.cell("bench.train([Tell()])")
            cell.wait_for("step 2")
            assert rack.outputs() == ON
            end()
            assert rack.off_within(2.0) is not None


def test_interrupted_training_on_simulated_benches(folder):
    with kernel(folder) as notebook:
        for bench in ("regression", "virtual-smu", "virtual-board"):
            notebook.run(opened(bench))
            cell = notebook.cell("history = bench.train([Tell()]); print(history.stopped)")
            cell.wait_for("step 2")
            notebook.interrupt()
            assert cell.end().endswith("interrupted\n"), bench
            assert notebook.run(f"print({MEASURE}.voltages.shape[0] == len(x)); bench.close()") == "True\n", bench


def test_training_in_a_cell_updates_one_display_and_records_a_run(folder):
    with kernel(folder) as notebook:
        cell = notebook.cell("import hwlearn as hl\nwith hl.open_bench('regression') as b: b.train()")
        cell.end()
        first, *updates = cell.displays
        assert updates
        assert {content["transient"]["display_id"] for content in cell.displays} == {
            first["transient"]["display_id"]
        }
        last = updates[-1]["data"]
        assert "400/400 epochs   rms error" in last["text/plain"]
        assert "s in total" in last["text/html"]
        found = notebook.run(
            "run = hl.open_run(b.run_folder)\nprint(run.status, run.steps(), len(run.to_xarray().step))"
        )
        assert found == "finished 400 400\n"
