"""A share of the campaign `health`: faults that must be seen, and healthy runs without an alarm."""

import pytest
from health import FAULTS, Case, run


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("rule", ["EP", "CL", "resistor"])
def test_seeded_fault_is_seen_where_devices_are_known_to_2_percent(rule, fault):
    assert any(run(Case(rule, "outputs", 0.02, fault), 0))


@pytest.mark.slow
@pytest.mark.parametrize("error", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("rule", ["EP", "CL", "resistor", "Analytic"])
def test_healthy_bench_raises_no_alarm(rule, error):
    assert not any(any(run(Case(rule, "outputs", error), seed)) for seed in range(200, 203))
