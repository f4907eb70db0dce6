"""A few of the histories that ``make histories`` runs."""

from pathlib import Path

import pytest
from stress.histories import live


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_nothing_is_lost_in_any_history(home: Path, repository: Path, number: int) -> None:
    tally = live(home, repository, count=10, number=number, steps=6)

    assert tally["histories"] == tally["new 0"] > 0
    assert tally.keys() >= {"update 0", "generate 0"}
