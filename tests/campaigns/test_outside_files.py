"""A share of the search for files that are misread."""

import pytest
from campaign import commit_seed
from outside_files import KINDS, search


@pytest.mark.share(1)
@pytest.mark.parametrize("files", [80, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_files_of_other_programs_are_read_as_meant_or_refused(kind, files):
    ended = search(kind, files, commit_seed())
    read = sum(count for how, count in ended.items() if not how.endswith("Error"))
    assert read >= files // 10
    assert ended.total() - read >= files // 40
