"""Recording a step takes a small part of it."""

import shutil

import pytest
from commit_cost import costs


@pytest.mark.alone
@pytest.mark.usefixtures("waits_for_disk")
@pytest.mark.skipif(shutil.which("cc") is None, reason="a C compiler is not installed")
def test_commit_takes_sixty_microseconds_and_two_percent_of_a_step(figure):
    found = costs("virtual-board", "normal", 20)
    share = 2 * found["commit"] / found["step"]
    figure(
        f"commit of a batch: {1e6 * found['commit']:.0f} us (required: at most 60 us), two are "
        f"{100 * share:.1f} % of a step on the virtual board (required: below 2 %)"
    )
    assert found["commit"] <= 60e-6
    assert share < 0.02
