"""A share of the campaign of exports."""

import sys

import pytest

for _package in ("xarray", "pandas", "pyarrow", "h5netcdf", "netCDF4"):
    pytest.importorskip(_package, reason="the extras `data` and `referees` are not installed")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")
def test_killed_runs_are_exported_bit_for_bit():
    from killed_exports import CAMPAIGN

    CAMPAIGN.run(count=2).check()
