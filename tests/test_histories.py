"""A few of the histories that ``make histories`` runs."""

from pathlib import Path

import pytest
from stress.histories import live

# The tests of code that histories write, generate and edit; others are run elsewhere.
TESTS = ("tests/unit/app/controllers", "tests/unit/app/models", "tests/unit/app/test_lifespan.py")


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_nothing_is_lost_in_any_history(home: Path, repository: Path, number: int) -> None:
    live(home, repository, count=10, number=number, steps=6, tests=TESTS)
