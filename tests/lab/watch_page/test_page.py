"""The page of a run in this process: a visitor sees the run, and picks a sample; nothing is written to the run."""

import asyncio

import pytest

import hwlearn as hl
from hwlearn.lab.watching.choice import FixedRun
from hwlearn.lab.watching.follower import RunFollower

pytest.importorskip("nicegui")


@pytest.fixture
def run(tmp_path):
    """A finished run of a few epochs."""
    with hl.open_bench("regression", {"train.epochs": 4}) as bench:
        bench.train(record=tmp_path)
    (found,) = hl.runs(tmp_path)
    return found


def test_a_visitor_sees_the_run(run):
    from nicegui.testing import user_simulation

    from hwlearn.lab.watch_page.page import build_page

    before = {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    follower = RunFollower(FixedRun(run))

    shown = []

    async def visit():
        async def root():
            await build_page(follower)

        async with user_simulation(root=root) as user:
            await user.open("/")
            for text in (
                "Learning curve",
                "Predicted against target",
                "Conductance map",
                "Health of the gradient",
            ):
                await user.should_see(text)
            for button in ("▶", "◀", "Largest cost"):
                user.find(button).click()
                await asyncio.sleep(0)
            await user.should_see("Sample")
            shown.append(follower.view)

    asyncio.run(visit())
    assert shown[0].name == run.name
    assert shown[0].condition.phase == "finished"
    assert {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()} == before
