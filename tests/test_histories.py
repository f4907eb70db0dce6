"""A few of the histories that ``make histories`` lives through."""

from pathlib import Path

import pytest
from stress.histories import live


@pytest.mark.slow
def test_nothing_is_lost_in_any_history(home: Path, repository: Path) -> None:
    live(home, repository, count=20, number=0)
