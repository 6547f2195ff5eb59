"""Shares of the campaigns on benches of DAQ devices."""

import daq_faults
import daq_requests
import pytest


@pytest.mark.slow
def test_fault_of_a_device_is_named_and_outputs_are_off():
    daq_faults.CAMPAIGN.run(count=2).check()


@pytest.mark.slow
def test_random_requests_stay_within_the_limits():
    daq_requests.CAMPAIGN.run(count=4).check()
