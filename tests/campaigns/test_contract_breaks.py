"""A share of the breaks of the backend contract, through the command line."""

import contract_breaks
import pytest


@pytest.mark.slow
def test_breaks_of_the_contract_are_named_errors():
    found = list(contract_breaks.outcomes(every=12))
    assert len(found) >= 6
    assert [one for one in found if not one.kept] == []
